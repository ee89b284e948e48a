"""Instants as text, as site dates, and back.  Inside: UTC microseconds; in JSON: RFC 3339 with ms."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo

US = 1_000_000
DAY_MINUTES = 24 * 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_text(at_us: int) -> str:
    """`2026-11-20T05:16:00.123Z`."""
    return to_datetime(at_us).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_datetime(at_us: int) -> datetime:
    """An aware UTC datetime, exact to the microsecond."""
    return _EPOCH + timedelta(microseconds=at_us)


def to_us(moment: datetime) -> int:
    """UTC microseconds of an aware datetime, without rounding."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_text(text: str) -> int:
    """UTC microseconds of an RFC 3339 text.  Raises ValueError where it is none or has no offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        message = f"{text!r} has no UTC offset"
        raise ValueError(message)
    return to_us(moment)


def local_date(at_us: int, zone: tzinfo) -> date:
    """The date that the site's calendar shows."""
    return to_datetime(at_us).astimezone(zone).date()


def local_us(day: date, minutes: int, zone: tzinfo) -> int:
    """The first instant at which the site's clock shows that many minutes after midnight of `day`, or more.

    So a time that a change of clocks leaves out is the moment of the change, and one that comes twice is the first
    of the two.  Minutes may reach into other days.
    """
    shown = datetime.combine(day, datetime.min.time()) + timedelta(minutes=minutes)
    first, second = to_us(shown.replace(tzinfo=zone)), to_us(shown.replace(tzinfo=zone, fold=1))
    if first <= second:
        return first  # an ordinary time (equal), or one that comes twice
    return _change_us(shown, second, first, zone)


def day_us(day: date, zone: tzinfo) -> tuple[int, int]:
    """Start (included) and end (not included) of a site day; 23 to 25 hours where the clocks change."""
    return local_us(day, 0, zone), local_us(day, DAY_MINUTES, zone)


def _change_us(shown: datetime, before: int, after: int, zone: tzinfo) -> int:
    """The instant in (before, after] at which the site's clock jumps over `shown`; changes fall on whole seconds."""
    low, high = before // US, after // US
    while high - low > 1:
        middle = (low + high) // 2
        if to_datetime(middle * US).astimezone(zone).replace(tzinfo=None) >= shown:
            high = middle
        else:
            low = middle
    return high * US
