"""Times as an operator wants them: as ages, in UTC, or of the site."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from console.fleet.text import ago

MICROSECONDS = 1_000_000
FIRST_YEAR, LAST_YEAR = 2, 9998
"""One less than there are: so every time has its place in every zone, and a fortnight after it."""


class Times(StrEnum):
    """What `t` goes round."""

    AGO = "ago"
    UTC = "UTC"
    SITE = "site"

    def next(self) -> Times:
        every = list(Times)
        return every[(every.index(self) + 1) % len(every)]


def shown(at: str | None, times: Times, now_us: int, zone: str = "") -> str:
    """An RFC 3339 time: its age, or the time of day, with the date where it is another day; empty for none.

    A site whose time zone is not known is shown in UTC, and says so by its Z.
    """
    instant = parsed(at)
    if instant is None:
        return ""
    if times is Times.AGO:
        return ago(max(0.0, now_us / MICROSECONDS - instant.timestamp()))
    place = _zone(zone) if times is Times.SITE else None
    there, now = instant.astimezone(place or UTC), datetime.fromtimestamp(now_us / MICROSECONDS, place or UTC)
    return there.strftime("%H:%M:%S" if there.date() == now.date() else "%m-%d %H:%M") + ("" if place else "Z")


def parsed(at: str | None) -> datetime | None:
    """In UTC; None for what is no time, or none to reckon with: it came from elsewhere."""
    try:
        instant = datetime.fromisoformat(at) if at else None
        if instant is None or instant.tzinfo is None:
            return None
        utc = instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return utc if FIRST_YEAR <= utc.year <= LAST_YEAR else None


def to_us(at: str | None) -> int | None:
    """Microseconds since 1970, UTC."""
    instant = parsed(at)
    return None if instant is None else round(instant.timestamp() * MICROSECONDS)


@lru_cache
def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
