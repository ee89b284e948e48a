"""When a trigger asks for a video: crossed since last, by a stored cursor; a late look misses nothing, fires once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta, tzinfo

from node.domain.config import DAY_S, Trigger
from node.domain.times import US, local_date, local_us

WAITS_FOR_FRAMES = ("capture", "milestone")
"""Those that wait while there are too few frames for a video; a past day gets no more of them, and is passed over."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a trigger has looked at one camera.

    `seq`: the row of the newest frame counted; `count`: frames since it fired last (since the last n-th one for a
    milestone); `at_us`: when it fired last, for a daily one the time of day that it fired for.
    """

    seq: int = 0
    at_us: int = 0
    count: int = 0


@dataclass(frozen=True, slots=True)
class Crossing:
    """A video is due; `cursor` is the one to keep with it.  Up to when it shows; None = up to the newest frame."""

    cursor: Cursor
    to_us: int | None = None


def counted(cursor: Cursor, seq: int, new: int) -> Cursor:
    """The cursor after a look at the frames up to the row `seq`, of which `new` are of its camera and profile."""
    return replace(cursor, seq=seq, count=cursor.count + new)


def pulled_in(cursor: Cursor, now_us: int) -> Cursor:
    """Where the clock was far ahead and is right again, a trigger begins anew, or it would sleep until then."""
    return replace(cursor, at_us=now_us) if cursor.at_us > now_us + DAY_S * US else cursor


def crossed(trigger: Trigger, cursor: Cursor, now_us: int, zone: tzinfo) -> Crossing | None:
    """What is due since the trigger fired last, once: of several missed, the latest counts for all."""
    return _RULES[trigger.on](trigger, cursor, now_us, zone)


def last_moment_us(at: str, now_us: int, zone: tzinfo) -> int:
    """The last instant until now at which the site's clock showed `at` (HH:MM) first on its date.

    Where the clocks change: a time left out is the moment of the change, one that comes twice counts once.
    """
    hours, minutes = at.split(":")
    today = local_date(now_us, zone)
    moment_us = local_us(today, 60 * int(hours) + int(minutes), zone)
    if moment_us <= now_us:
        return moment_us
    return local_us(today - timedelta(days=1), 60 * int(hours) + int(minutes), zone)


def _capture(trigger: Trigger, cursor: Cursor, now_us: int, _zone: tzinfo) -> Crossing | None:
    # a clock set back does not make it wait for the time that it had been
    resting = cursor.at_us <= now_us < cursor.at_us + round(trigger.throttle_s * US)
    if resting or not cursor.count:
        return None
    return Crossing(Cursor(cursor.seq, now_us))


def _milestone(trigger: Trigger, cursor: Cursor, now_us: int, _zone: tzinfo) -> Crossing | None:
    if cursor.count < trigger.every:
        return None
    return Crossing(Cursor(cursor.seq, now_us, cursor.count % trigger.every))


def _daily(trigger: Trigger, cursor: Cursor, now_us: int, zone: tzinfo) -> Crossing | None:
    moment_us = last_moment_us(trigger.at, now_us, zone)
    if moment_us <= cursor.at_us:
        return None
    return Crossing(Cursor(cursor.seq, moment_us), moment_us)


_RULES: Mapping[str, Callable[[Trigger, Cursor, int, tzinfo], Crossing | None]] = {
    "capture": _capture,
    "milestone": _milestone,
    "daily": _daily,
}
