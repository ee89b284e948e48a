"""What a document will ask for: windows, slots, frames and bytes of the days to come, and when the disk is full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any

from node.domain.schedule import Calendar, Occurrence
from node.domain.times import to_text


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
    """A dry run.  `full_in_days` is None where the disk outlasts it, or where its free space was not given."""

    days: tuple[PlannedDay, ...]
    frames: int
    size_bytes: int
    frames_by_camera: dict[str, int]
    full_in_days: float | None

    def as_json(self) -> dict[str, Any]:
        """The whole as JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Room:
    """What the frames will need and have: mean bytes of a frame, and free bytes (None = not known)."""

    frame_bytes: int
    free_bytes: int | None = None


def forecast(calendar: Calendar, cameras: Iterable[str], from_us: int, days: int, room: Room) -> Forecast:
    """The next `days` site days from `from_us` on; the first is what is left of today."""
    names = tuple(cameras)
    counted = tuple(_counted_days(calendar, names, from_us, days))
    by_camera = {name: sum(counts[name] for _, counts in counted) for name in names}
    planned = tuple(
        PlannedDay(date, windows, sum(counts.values()), sum(counts.values()) * room.frame_bytes)
        for (date, windows), counts in counted
    )
    frames = sum(by_camera.values())
    return Forecast(planned, frames, frames * room.frame_bytes, by_camera, _full_in_days(planned, room.free_bytes))


def _counted_days(
    calendar: Calendar, cameras: tuple[str, ...], from_us: int, days: int
) -> Iterator[tuple[tuple[str, tuple[PlannedWindow, ...]], dict[str, int]]]:
    """Each day's date and windows, and its slots by camera."""
    today = calendar.date_of(from_us)
    for ahead in range(days):
        date = today + timedelta(days=ahead)
        start, end = calendar.day_us(date)
        start = max(start, from_us)
        windows = tuple(window for camera in cameras for window in _windows(calendar, camera, start, end))
        counts = {camera: calendar.count(camera, start - 1, end - 1) for camera in cameras}
        yield (date.isoformat(), windows), counts


def _windows(calendar: Calendar, camera: str, start_us: int, end_us: int) -> Iterator[PlannedWindow]:
    """The windows that start in [start, end), one a schedule whatever its profiles."""
    starting = (shoot for shoot in calendar.occurrences(camera, start_us, end_us) if shoot.start_us >= start_us)
    for (_, schedule), same in groupby(starting, key=_window_of):
        shoots = list(same)
        yield PlannedWindow(
            camera,
            schedule,
            tuple(shoot.profile for shoot in shoots),
            to_text(shoots[0].start_us),
            to_text(shoots[0].end_us),
        )


def _window_of(shoot: Occurrence) -> tuple[int, str]:
    return shoot.start_us, shoot.schedule


def _full_in_days(days: tuple[PlannedDay, ...], free_bytes: int | None) -> float | None:
    """Days until the free bytes are used, with the share of the last day; None where they last."""
    if free_bytes is None:
        return None
    left = free_bytes
    for number, day in enumerate(days):
        if day.size_bytes and left <= day.size_bytes:
            return number + max(0, left) / day.size_bytes
        left -= day.size_bytes
    return None
