"""Whether a target's backlog shrinks: what was sent and what waits, now and an hour ago."""

from __future__ import annotations

from dataclasses import dataclass

HOUR_S = 3600.0
EVERY_S = 300.0
"""Between two marks that are kept."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A target at a moment: monotonic seconds, bytes that it holds, bytes that wait for it."""

    at_s: float
    sent_bytes: int
    unsent_bytes: int


@dataclass(frozen=True, slots=True)
class Pace:
    """`eta_s` until the target holds everything, None = not known, or never at this pace.

    `outgrown`: for an hour frames have come faster than they went, and what waits would take more than an hour even
    if none came.
    """

    eta_s: float | None = None
    outgrown: bool = False


def kept(marks: tuple[Mark, ...], now: Mark) -> tuple[Mark, ...]:
    """The marks of the last hour, one every EVERY_S, and the newest older one; `now` is among them if it is time."""
    if marks and now.at_s - marks[-1].at_s < EVERY_S:
        return marks
    recent = [mark for mark in marks if now.at_s - mark.at_s < HOUR_S]
    older = [mark for mark in marks if now.at_s - mark.at_s >= HOUR_S]
    return (*older[-1:], *recent, now)


def pace(marks: tuple[Mark, ...], now: Mark) -> Pace:
    """By the oldest mark.  A backlog that is not sent from at all is no matter of the pace."""
    if not now.unsent_bytes:
        return Pace(eta_s=0.0)
    if not marks or (passed_s := now.at_s - marks[0].at_s) < EVERY_S:
        return Pace()
    sent = now.sent_bytes - marks[0].sent_bytes
    shrunk = marks[0].unsent_bytes - now.unsent_bytes
    if sent > 0 and shrunk > 0:
        return Pace(eta_s=round(now.unsent_bytes * passed_s / shrunk, 1))
    outgrown = sent > 0 and shrunk < 0 and passed_s >= HOUR_S and now.unsent_bytes * passed_s > sent * HOUR_S
    return Pace(outgrown=outgrown)
