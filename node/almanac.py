"""Where the sun is: astral, wrapped so that every solar day of every site has an answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from astral import Observer
from astral.julian import julianday, julianday_to_juliancentury
from astral.sun import elevation, eq_of_time

from node.domain.config import DAY_S, Site
from node.domain.errors import SiteUnknown
from node.domain.times import US, local_date, to_datetime, to_us

SECONDS_PER_DEGREE = DAY_S // 360
REMEMBERED = 2048
"""Crossings and noons kept: a year of windows with two edges and their noons."""
ONE_DAY = timedelta(days=1)


class Sun:
    """The sun over one site.  Raises SiteUnknown where the site has no coordinates.

    A date's solar day runs from solar midnight to solar midnight around the noon that belongs to the date; dates and
    solar days match one to one, whatever longitude and timezone are.  Astral's own date-only calls answer with events
    of different solar days where a site's UTC day splits its daylight, and raise where an event is missing, so
    only its elevation is asked.  With a factor above 1 the sun runs so many times faster from `from_us` on (for the
    demo); instants are real ones all the same, dates are then the sun's.
    """

    def __init__(self, site: Site, factor: float = 1.0, from_us: int = 0) -> None:
        if site.latitude is None or site.longitude is None:
            raise SiteUnknown(site.name)
        self._observer = Observer(site.latitude, site.longitude, 0.0)
        self._zone = ZoneInfo(site.timezone)
        self._factor = factor
        self._from_us = from_us
        self._noon: Callable[[date], int] = lru_cache(REMEMBERED)(self._find_noon)
        self._crossing: Callable[[date, float, bool], int | None] = lru_cache(REMEMBERED)(self._find_crossing)

    def elevation_deg(self, at_us: int) -> float:
        """Degrees of the sun's centre above the horizon, without refraction."""
        return self._height(self._sun_us(at_us))

    def noon_us(self, day: date) -> int:
        """Solar noon of that date's solar day."""
        return self._real_us(self._noon(day))

    def midnight_us(self, day: date) -> int:
        """Where that date's solar day begins, and the day before ends."""
        return self._real_us(self._midnight(day))

    def crossing_us(self, day: date, elevation_deg: float, *, rising: bool) -> int | None:
        """When the sun passes that elevation in that date's solar day, to the second.

        Rising is looked for before noon, setting after it.  None where it does not happen.
        """
        found = self._crossing(day, elevation_deg, rising)
        return None if found is None else self._real_us(found)

    def solar_day(self, at_us: int) -> date:
        """The date whose solar day holds that instant."""
        moment = self._sun_us(at_us)
        day = local_date(moment, self._zone)
        while moment < self._midnight(day):
            day -= ONE_DAY
        while moment >= self._midnight(day + ONE_DAY):
            day += ONE_DAY
        return day

    def _sun_us(self, at_us: int) -> int:
        return at_us if at_us <= self._from_us else self._from_us + round((at_us - self._from_us) * self._factor)

    def _real_us(self, sun_us: int) -> int:
        return sun_us if sun_us <= self._from_us else self._from_us + round((sun_us - self._from_us) / self._factor)

    def _height(self, sun_us: int) -> float:
        return float(elevation(self._observer, to_datetime(sun_us), with_refraction=False))

    def _midnight(self, day: date) -> int:
        return (self._noon(day - ONE_DAY) + self._noon(day)) // 2

    def _find_noon(self, day: date) -> int:
        local_noon = datetime.combine(day, time(12), self._zone)
        # without daylight saving, so that no date takes the solar day of its neighbour when the clocks change
        offset = (local_noon.utcoffset() or timedelta()) - (local_noon.dst() or timedelta())
        ahead_s = self._observer.longitude * SECONDS_PER_DEGREE
        solar_day = day + ONE_DAY * round((ahead_s - offset.total_seconds()) / DAY_S)
        mean_noon = datetime.combine(solar_day, time(12), UTC) - timedelta(seconds=ahead_s)
        equation = timedelta(minutes=eq_of_time(julianday_to_juliancentury(julianday(mean_noon))))
        return to_us(mean_noon - equation)

    def _find_crossing(self, day: date, wanted: float, rising: bool) -> int | None:
        """Bisection between midnight and noon, where the elevation only rises or only falls."""
        below, above = (self._midnight(day) if rising else self._midnight(day + ONE_DAY)) // US, self._noon(day) // US
        if self._height(below * US) >= wanted or self._height(above * US) < wanted:
            return None
        while abs(above - below) > 1:
            middle = (above + below) // 2
            if self._height(middle * US) < wanted:
                below = middle
            else:
                above = middle
        return above * US
