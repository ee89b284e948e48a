"""Which slots are due: the schedules of a document laid over time, for each camera of a node."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby, pairwise
from operator import attrgetter, itemgetter
from zoneinfo import ZoneInfo

from node.domain.config import Document, Schedule, SolarWindow, unknown_cameras
from node.domain.errors import FieldFault
from node.domain.frame import SlotKey
from node.domain.grid import Grid, count_union, grid_of
from node.domain.times import US, day_us, local_date
from node.domain.windows import Span, SunTimes, Windows

__all__ = ["Calendar", "Due", "Occurrence", "SunTimes"]

LOOK_AHEAD_DAYS = 400
MUST_FIRE_WITHIN_DAYS = 366
LONGEST_GRACE_S = 10


@dataclass(frozen=True, slots=True)
class Due:
    """One slot that is asked for, with every schedule and shoot that wants it.

    `interval_s` is the shortest, `priority` the highest of its schedules; `grace_us` is how late it may start.
    """

    slot: SlotKey
    schedules: tuple[str, ...]
    shoots: tuple[str, ...]
    interval_s: int
    priority: int
    grace_us: int


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One shoot: a window of one date, for one camera and profile.  Start included, end not."""

    shoot: str
    camera: str
    schedule: str
    profile: str
    date: str
    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """One schedule, ready to be asked."""

    name: str
    schedule: Schedule
    profiles: tuple[str, ...]
    grid: Grid
    windows: Windows

    def spans(self, from_us: int, until_us: int) -> Iterator[Span]:
        """The windows that overlap [from, until) and ask for at least one slot."""
        return (s for s in self.windows.spans(from_us, until_us) if self.grid.first(s.start_us) < s.end_us)

    def instants(self, after_us: int, until_us: int) -> Iterator[tuple[int, str, Span, _Plan]]:
        """The slots' instants in (after, until], with name and window."""
        for span in self.spans(after_us + 1, until_us + 1):
            at = self.grid.first(max(span.start_us, after_us + 1))
            end = min(span.end_us, until_us + 1)
            while at < end:
                yield at, self.name, span, self
                at += self.grid.interval_us


class Calendar:
    """The slots of every camera of a node under one document.  Instants are UTC microseconds.

    `cameras` are those of node.yml.  Without a sun (no coordinates) solar windows ask for nothing; `check` says so.
    """

    def __init__(self, document: Document, cameras: Sequence[str], node_id: str, sun: SunTimes | None) -> None:
        self.zone = ZoneInfo(document.site.timezone)
        self._document = document
        self._cameras = tuple(cameras)
        self._plans = tuple(
            _Plan(
                name,
                schedule,
                tuple(dict.fromkeys(schedule.profiles)),
                grid_of(schedule.interval_s, schedule.phase_s, node_id),
                Windows(schedule.window, schedule.days, self.zone, sun),
            )
            for name, schedule in sorted(document.effective_schedules().items())
            if schedule.enabled
        )
        self._sun = sun
        self._of = {camera: self._plans_of(camera) for camera in self._cameras}

    def due(self, camera: str, after_us: int, until_us: int) -> Iterator[Due]:
        """The slots with after < due <= until, by time, then highest priority, then profile."""
        plans = self._of.get(camera, ())
        return _merge(camera, [plan.instants(after_us, until_us) for plan in plans])

    def next_due(self, camera: str, after_us: int) -> Due | None:
        """The first slot after that instant; None where none comes within 400 days."""
        streams = [
            plan.instants(after_us, plan.windows.horizon_us(after_us, LOOK_AHEAD_DAYS))
            for plan in self._of.get(camera, ())
        ]
        return next(_merge(camera, streams), None)

    def count(self, camera: str, after_us: int, until_us: int) -> int:
        """How many slots `due` would give, by arithmetic: the cost grows with windows, not with slots."""
        plans = self._of.get(camera, ())
        profiles = {profile for plan in plans for profile in plan.profiles}
        sharing = ([plan for plan in plans if profile in plan.profiles] for profile in sorted(profiles))
        return sum(_count(group, after_us + 1, until_us + 1) for group in sharing)

    def occurrences(self, camera: str, from_us: int, until_us: int) -> Iterator[Occurrence]:
        """The shoots whose windows overlap [from, until), by start, schedule and profile."""
        found = [
            Occurrence(_shoot(camera, plan, span, profile), camera, plan.name, profile, span.day.isoformat(),
                       span.start_us, span.end_us)
            for plan in self._of.get(camera, ())
            for span in plan.spans(from_us, until_us)
            for profile in plan.profiles
        ]  # fmt: skip
        return iter(sorted(found, key=attrgetter("start_us", "schedule", "profile")))

    def interval_s(self, camera: str, at_us: int) -> int | None:
        """The shortest interval asked for at that instant; None where the camera is expected to be idle."""
        asked = (plan.schedule.interval_s for plan in self._of.get(camera, ()) if any(plan.spans(at_us, at_us + 1)))
        return min(asked, default=None)

    def date_of(self, at_us: int) -> date:
        """The site's date."""
        return local_date(at_us, self.zone)

    def day_us(self, day: date) -> tuple[int, int]:
        """Start (included) and end (not included) of a site's date."""
        return day_us(day, self.zone)

    def check(self, at_us: int) -> tuple[FieldFault, ...]:
        """What the schema cannot see: cameras that are not there, schedules that ask for nothing within a year."""
        return (*self._unknown_cameras(), *self._silent_schedules(at_us))

    def _plans_of(self, camera: str) -> tuple[_Plan, ...]:
        if not self._document.camera(camera).enabled:
            return ()
        return tuple(plan for plan in self._plans if not plan.schedule.cameras or camera in plan.schedule.cameras)

    def _unknown_cameras(self) -> Iterator[FieldFault]:
        return iter(unknown_cameras(self._document.model_dump(include={"cameras", "schedules"}), self._cameras))

    def _silent_schedules(self, at_us: int) -> Iterator[FieldFault]:
        for plan in self._plans:
            path = f"schedules.{plan.name}"
            if self._sun is None and isinstance(plan.schedule.window, SolarWindow):
                yield FieldFault(f"{path}.window", "a solar window needs site.latitude and site.longitude", "solar")
            elif not any(plan.spans(at_us, plan.windows.horizon_us(at_us, MUST_FIRE_WITHIN_DAYS))):
                yield FieldFault(path, "asks for no slot within a year: compare window, days, interval_s and phase_s")


def _merge(camera: str, streams: list[Iterator[tuple[int, str, Span, _Plan]]]) -> Iterator[Due]:
    for at_us, together in groupby(heapq.merge(*streams, key=itemgetter(0, 1)), key=itemgetter(0)):
        yield from _at_instant(camera, at_us, [(plan, span) for _, _, span, plan in together])


def _at_instant(camera: str, at_us: int, wanted: list[tuple[_Plan, Span]]) -> list[Due]:
    """One slot a profile, tagged with all that want it; they share the instant's grace."""
    shortest = min(plan.schedule.interval_s for plan, _ in wanted)
    grace_us = min(shortest * US // 2, LONGEST_GRACE_S * US)
    profiles = {profile for plan, _ in wanted for profile in plan.profiles}
    dues = [
        _due(SlotKey(camera, profile, at_us), [(p, s) for p, s in wanted if profile in p.profiles], grace_us)
        for profile in profiles
    ]
    return sorted(dues, key=lambda due: (-due.priority, due.slot.profile))


def _due(slot: SlotKey, wanted: list[tuple[_Plan, Span]], grace_us: int) -> Due:
    return Due(
        slot,
        schedules=tuple(plan.name for plan, _ in wanted),
        shoots=tuple(_shoot(slot.camera, plan, span, slot.profile) for plan, span in wanted),
        interval_s=min(plan.schedule.interval_s for plan, _ in wanted),
        priority=max(plan.schedule.priority for plan, _ in wanted),
        grace_us=grace_us,
    )


def _shoot(camera: str, plan: _Plan, span: Span, profile: str) -> str:
    return f"{camera}/{plan.name}/{span.day.isoformat()}/{profile}"


def _count(plans: Sequence[_Plan], start_us: int, end_us: int) -> int:
    """Different instants in [start, end) that any of the schedules asks for."""
    pieces = [
        (max(span.start_us, start_us), min(span.end_us, end_us), plan.grid)
        for plan in plans
        for span in plan.spans(start_us, end_us)
    ]
    borders = sorted({border for start, end, _ in pieces for border in (start, end)})
    total = 0
    for left, right in pairwise(borders):
        active = {grid for start, end, grid in pieces if start <= left and right <= end}
        total += count_union(tuple(active), left, right)
    return total
