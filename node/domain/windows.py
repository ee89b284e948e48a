"""When a schedule's windows are: spans of time by the site's clock or by the sun, one a date at most."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from functools import lru_cache
from typing import Protocol

from node.domain.config import DAYS, AlwaysWindow, ClockWindow, Edge, SolarWindow
from node.domain.times import DAY_MINUTES, US, day_us, local_date, local_us

ONE_DAY = timedelta(days=1)
REMEMBERED_DAYS = 64
OFFSET_REACH_DAYS = 2
"""A window of a date lies wholly within so many days of it: offsets reach 12 h, nights into the next day."""

HORIZON_DEG = -0.833
"""Elevation of the sun's centre at sunrise and sunset: half its disc plus mean refraction at the horizon."""
NOON, RISING, SETTING = "noon", "rising", "setting"
ANCHORS: dict[str, tuple[str, float]] = {
    "sunrise": (RISING, HORIZON_DEG),
    "sunset": (SETTING, HORIZON_DEG),
    "noon": (NOON, 0.0),
    "civil_dawn": (RISING, -6.0),
    "civil_dusk": (SETTING, -6.0),
    "nautical_dawn": (RISING, -12.0),
    "nautical_dusk": (SETTING, -12.0),
    "astronomical_dawn": (RISING, -18.0),
    "astronomical_dusk": (SETTING, -18.0),
    "elevation_rising": (RISING, 0.0),
    "elevation_setting": (SETTING, 0.0),
}


class SunTimes(Protocol):
    """What windows ask of the sun; node.almanac.Sun answers.  A date's solar day runs from midnight to midnight."""

    def elevation_deg(self, at_us: int) -> float:
        """Degrees above the horizon."""

    def noon_us(self, day: date) -> int:
        """Solar noon."""

    def midnight_us(self, day: date) -> int:
        """Start of the solar day."""

    def crossing_us(self, day: date, elevation_deg: float, *, rising: bool) -> int | None:
        """When the sun passes that elevation; None where it does not."""

    def solar_day(self, at_us: int) -> date:
        """The date whose solar day holds the instant."""


@dataclass(frozen=True, slots=True)
class Span:
    """One window of one date: start included, end not."""

    day: date
    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class _Met:
    """Where an edge of a solar window falls; `below`: the sun stays under it all day."""

    at_us: int
    below: bool = False


class Windows:
    """The windows of one schedule, in order, never overlapping.

    Each belongs to a date: the one on whose clock it starts, or whose solar day it starts in.  A window ends at the
    latest where the next date's begins, so long offsets and days of midnight sun meet exactly.
    """

    def __init__(
        self,
        window: AlwaysWindow | ClockWindow | SolarWindow,
        days: Collection[str],
        zone: tzinfo,
        sun: SunTimes | None,
    ) -> None:
        self._window = window
        self._weekdays = {DAYS.index(day) for day in DAYS if day in days}
        self._zone = zone
        self._sun = sun
        self._raw: Callable[[date], tuple[int, int] | None] = lru_cache(REMEMBERED_DAYS)(self._find)
        self._span: Callable[[date], Span | None] = lru_cache(REMEMBERED_DAYS)(self._clipped)

    def spans(self, from_us: int, until_us: int) -> Iterator[Span]:
        """Those that overlap [from, until), in order."""
        if self._blind or from_us >= until_us:
            return
        day = self._day_of(from_us) - ONE_DAY * OFFSET_REACH_DAYS
        last = self._day_of(until_us) + ONE_DAY * OFFSET_REACH_DAYS
        while day <= last:
            span = self._span(day)
            if span is not None and span.end_us > from_us:
                if span.start_us >= until_us:
                    return
                yield span
            day += ONE_DAY

    def horizon_us(self, at_us: int, days: int) -> int:
        """Where the date begins that lies so many days ahead (the sun's days for solar windows)."""
        if self._blind:
            return at_us
        day = self._day_of(at_us) + ONE_DAY * days
        if isinstance(self._window, SolarWindow) and self._sun is not None:
            return self._sun.midnight_us(day)
        return local_us(day, 0, self._zone)

    @property
    def _blind(self) -> bool:
        return self._sun is None and isinstance(self._window, SolarWindow)

    def _day_of(self, at_us: int) -> date:
        if isinstance(self._window, SolarWindow) and self._sun is not None:
            return self._sun.solar_day(at_us)
        return local_date(at_us, self._zone)

    def _clipped(self, day: date) -> Span | None:
        found = self._raw(day) if day.weekday() in self._weekdays else None
        if found is None:
            return None
        start, end = found
        for ahead in range(1, OFFSET_REACH_DAYS + 1):
            following = self._raw(day + ONE_DAY * ahead)
            end = min(end, following[0]) if following else end
        return Span(day, start, end) if start < end else None

    def _find(self, day: date) -> tuple[int, int] | None:
        if isinstance(self._window, AlwaysWindow):
            return day_us(day, self._zone)
        if isinstance(self._window, ClockWindow):
            return _clock_span(self._window, day, self._zone)
        return None if self._sun is None else solar_span(self._window, day, self._sun)


def _clock_span(window: ClockWindow, day: date, zone: tzinfo) -> tuple[int, int]:
    start, end = _minutes(window.start), _minutes(window.end)
    return local_us(day, start, zone), local_us(day, end if end > start else end + DAY_MINUTES, zone)


def _minutes(clock_time: str) -> int:
    hours, minutes = clock_time.split(":")
    return int(hours) * 60 + int(minutes)


def solar_span(window: SolarWindow, day: date, sun: SunTimes) -> tuple[int, int] | None:
    """A solar window's start and end; None where the sun gives none on that date.

    An edge that the sun does not reach lies at its limit: solar midnight where the sun stays above it, noon where it
    stays below.  So midnight sun makes a day window the whole solar day, and polar night a night window.  A day
    window whose edge the sun stays below is what `polar_night` says.
    """
    overnight = _phase(window.start) > _phase(window.end)
    start = _meet(window.start, day, sun)
    end = _meet(window.end, day + ONE_DAY if overnight else day, sun)
    if not overnight and (start.below or end.below):
        return _around_noon(window, day, sun)
    return (start.at_us, end.at_us) if start.at_us < end.at_us else None


def _phase(edge: Edge) -> float:
    """A number that grows over the solar day, to tell a window that ends on the next one."""
    side, elevation = _anchor(edge)
    return {RISING: elevation - 100, NOON: 0, SETTING: 100 - elevation}[side]


def _anchor(edge: Edge) -> tuple[str, float]:
    side, elevation = ANCHORS[edge.anchor]
    return side, elevation if edge.elevation_deg is None else edge.elevation_deg


def _meet(edge: Edge, day: date, sun: SunTimes) -> _Met:
    side, elevation = _anchor(edge)
    noon = sun.noon_us(day)
    if side == NOON:
        return _Met(noon + edge.offset_s * US)
    crossing = sun.crossing_us(day, elevation, rising=side == RISING)
    if crossing is not None:
        return _Met(crossing + edge.offset_s * US)
    if sun.elevation_deg(noon) < elevation:
        return _Met(noon, below=True)
    return _Met(sun.midnight_us(day if side == RISING else day + ONE_DAY))


def _around_noon(window: SolarWindow, day: date, sun: SunTimes) -> tuple[int, int] | None:
    if window.polar_night == "none":
        return None
    noon, half = sun.noon_us(day), window.noon_half_width_s * US
    return noon - half, noon + half
