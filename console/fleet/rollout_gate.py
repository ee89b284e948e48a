"""Whether a node is as well after a playbook as it was before: pure rules."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from console.fleet.push_gate import DROP
from console.fleet.rollout_events import Health

WENT_BACK = {"rolled_back": "it went back to the release of before", "rollback_failed": "it could not even go back"}


class Look(StrEnum):
    """What one look at a node shows (closed).  Of `wait` time tells whether it is bad; of `trial` the node itself."""

    WELL = "well"
    PROVISIONAL = "provisional"
    WAIT = "wait"
    TRIAL = "trial"
    BAD = "bad"


def judge(was: Health, now: Health) -> tuple[Look, str]:
    """How it is, and why in words."""
    if not now.answers:
        return (Look.WAIT, now.in_words()) if was.answers else (Look.WELL, f"{now.in_words()}, nor did it before")
    return next(_found(was, now), (Look.WELL, now.in_words()))


def _found(was: Health, now: Health) -> Iterator[tuple[Look, str]]:
    """All that is not as it was, what matters most first."""
    new = now.release if (now.release, now.since) != (was.release, was.since) else ""
    if new in WENT_BACK:
        yield Look.BAD, ": ".join(filter(None, (WENT_BACK[new], now.reason)))
    if new == "trial" or now.config == "probation":
        yield Look.TRIAL, f"its {'release' if new else 'document'} is on trial: by itself it keeps it or goes back"
    if was.ready and not now.ready:
        yield Look.WAIT, ": ".join(filter(None, ("it is not ready", now.reason)))
    yield from ((Look.BAD, said) for said in _worse(was, now))
    if new == "provisional" or (now.config == "provisional" and now.digest != was.digest):
        yield Look.PROVISIONAL, "nothing was due: it is judged at its first due window, and may still go back"


def _worse(was: Health, now: Health) -> Iterator[str]:
    if was.answers and now.dead > was.dead:
        yield f"dead jobs rose from {was.dead} to {now.dead}"
    for camera, usual in was.quality.items():
        quality = now.quality.get(camera)
        if quality is not None and quality < usual - DROP:
            yield f"quality of {camera} fell from {usual} to {quality}"
