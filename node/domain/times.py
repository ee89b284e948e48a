"""Instants as text and back.  Inside: UTC microseconds; in JSON: RFC 3339 with ms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

US = 1_000_000
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
