"""What a document will ask for: windows, slots, frames and bytes of the days to come, and when the disk is full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta, tzinfo
from itertools import groupby
from typing import Any, Literal

from node.domain.config import DAY_S
from node.domain.schedule import Calendar, Occurrence
from node.domain.times import US, from_text, to_datetime, to_text

USUAL_FRAME_BYTES = 2_000_000
SizeIs = Literal["given", "measured", "assumed"]
_MEGA = 1_000_000


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """One window of one schedule; `start` and `end` are RFC 3339."""

    camera: str
    schedule: str
    profiles: tuple[str, ...]
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class PlannedDay:
    """One site day: the windows that start in it, and what every camera together takes in it."""

    date: str
    windows: tuple[PlannedWindow, ...]
    frames: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """A dry run.  `full_in_days` is None where the disk outlasts it, or where its free space is not known."""

    days: tuple[PlannedDay, ...]
    frames: int
    size_bytes: int
    frame_bytes: int
    frame_bytes_are: SizeIs
    frames_by_camera: dict[str, int]
    free_bytes: int | None
    full_in_days: float | None

    def as_json(self) -> dict[str, Any]:
        """The whole as JSON-ready values."""
        return asdict(self)

    def lines(self, zone: tzinfo) -> list[str]:
        """The whole for people: a line a day with windows by the site's clock, then the sums."""
        days = [_day_line(day, zone) for day in self.days]
        cameras = ", ".join(f"{name} {count}" for name, count in self.frames_by_camera.items())
        sums = f"{len(self.days)} days: {self.frames} frames ({cameras}), {_sized(self.size_bytes)}"
        size = f"at {_sized(self.frame_bytes)} a frame, {self.frame_bytes_are}"
        return [*days, f"{sums} {size}; {self._lasts()}"]

    def _lasts(self) -> str:
        if self.free_bytes is None:
            return "free space is not known"
        return f"disk lasts {'beyond these' if self.full_in_days is None else f'{self.full_in_days:.1f}'} days"


def _day_line(day: PlannedDay, zone: tzinfo) -> str:
    def shown(text: str) -> str:
        return f"{to_datetime(from_text(text)).astimezone(zone):%H:%M}"

    windows = "  ".join(
        f"{window.camera}/{window.schedule} {shown(window.start)}-{shown(window.end)}" for window in day.windows
    )
    return f"{day.date}  {day.frames:6} frames  {_sized(day.size_bytes):>9}  {windows}".rstrip()


def _sized(size_bytes: int) -> str:
    """In the largest unit of which there is one: whole kilobytes, else with one decimal."""
    if size_bytes < _MEGA:
        return f"{size_bytes / 1e3:.0f} kB"
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes < 1000 * _MEGA else f"{size_bytes / 1e9:.1f} GB"


@dataclass(frozen=True, slots=True)
class Room:
    """What the frames will need and have: mean bytes of a frame and how they are known, free bytes (None = unknown)."""

    frame_bytes: int
    free_bytes: int | None = None
    frame_bytes_are: SizeIs = "given"


def room_of(given: int | None, measured: float | None, free_bytes: int | None) -> Room:
    """By the size of a frame that somebody gave, else by the mean of frames that there are, else by what is usual."""
    if given is not None:
        return Room(given, free_bytes, "given")
    if measured is not None:
        return Room(max(1, round(measured)), free_bytes, "measured")
    return Room(USUAL_FRAME_BYTES, free_bytes, "assumed")


def forecast(calendar: Calendar, cameras: Iterable[str], from_us: int, days: int, room: Room) -> Forecast:
    """The next `days` site days from `from_us` on; the first is what is left of today."""
    names = tuple(cameras)
    spans = tuple(_site_days(calendar, from_us, days))
    counts = [{name: calendar.count(name, start - 1, end - 1) for name in names} for _, start, end in spans]
    planned = tuple(
        PlannedDay(
            date,
            tuple(window for name in names for window in _windows(calendar, name, (start, end), from_us)),
            sum(count.values()),
            sum(count.values()) * room.frame_bytes,
        )
        for (date, start, end), count in zip(spans, counts, strict=True)
    )
    by_camera = {name: sum(count[name] for count in counts) for name in names}
    needs = [(start, end, day.size_bytes) for (_, start, end), day in zip(spans, planned, strict=True)]
    full_us = None if room.free_bytes is None else _full_us(needs, room.free_bytes)
    return Forecast(
        days=planned,
        frames=sum(by_camera.values()),
        size_bytes=sum(day.size_bytes for day in planned),
        frame_bytes=room.frame_bytes,
        frame_bytes_are=room.frame_bytes_are,
        frames_by_camera=by_camera,
        free_bytes=room.free_bytes,
        full_in_days=None if full_us is None else (full_us - from_us) / (DAY_S * US),
    )


def _site_days(calendar: Calendar, from_us: int, days: int) -> Iterator[tuple[str, int, int]]:
    """Date, start and end of each; the first starts at `from_us`."""
    today = calendar.date_of(from_us)
    for ahead in range(days):
        date = today + timedelta(days=ahead)
        start, end = calendar.day_us(date)
        yield date.isoformat(), max(start, from_us), end


def _windows(calendar: Calendar, camera: str, span: tuple[int, int], now_us: int) -> Iterator[PlannedWindow]:
    """The windows that start in the span, or are open now where it starts now; one a schedule, with its profiles."""
    starting = (
        shoot for shoot in calendar.occurrences(camera, *span) if shoot.start_us >= span[0] or span[0] == now_us
    )
    for _, same in groupby(starting, key=_window_of):
        shoots = list(same)
        first = shoots[0]
        profiles = tuple(shoot.profile for shoot in shoots)
        yield PlannedWindow(camera, first.schedule, profiles, to_text(first.start_us), to_text(first.end_us))


def _window_of(shoot: Occurrence) -> tuple[int, str]:
    return shoot.start_us, shoot.schedule


def _full_us(needs: Iterable[tuple[int, int, int]], free_bytes: int) -> int | None:
    """When the free bytes are used, each day's need spread evenly over it; None where they last."""
    left = max(0, free_bytes)
    for start, end, need in needs:
        if need and left <= need:
            return start + (end - start) * left // need
        left -= need
    return None
