"""Whether a node has proved a document, as its status tells: pure rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from console.fleet.text import clean
from node.wire.status import NodeStatus
from node.wire.times import US, from_text

PROVISIONAL = "nothing speaks for it yet: it is judged when slots come by a light that shows it, and may still go back"
DROP = 15
"""Points by which a camera's quality may be lower than before: weather does as much, a spoilt picture more."""


class Look(StrEnum):
    """What one status shows of a document that was sent (closed)."""

    WAIT = "wait"
    PASSED = "passed"
    PROVISIONAL = "provisional"
    WORSE = "worse"
    BACK = "back"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Before:
    """How a node was before the change: what it ran, whether it was ready, its dead jobs, quality by camera."""

    digest: str
    ready: bool = True
    dead: int = 0
    quality: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """A look, and why in words.  `left_s` is how long the node still takes to decide, None = it does not say."""

    look: Look
    why: str = ""
    left_s: float | None = None


def before(status: NodeStatus) -> Before:
    quality = {camera.name: camera.quality for camera in status.cameras if camera.quality is not None}
    return Before(status.config.digest, status.ready, status.queue.dead if status.queue else 0, quality)


def judge(was: Before, status: NodeStatus, wanted: str) -> Seen:
    """What that status shows of the document of that digest."""
    config = status.config
    if config.digest != wanted:
        if config.digest == was.digest:
            return Seen(Look.BACK, f"runs the document of before again ({was.digest[:8]})")
        return Seen(Look.OTHER, f"runs another document ({clean(config.digest[:8])}): somebody else changed it")
    if config.state == "probation":
        return Seen(Look.WAIT, left_s=_left_s(status))
    if str(config.state) == "provisional":
        return Seen(Look.PROVISIONAL, PROVISIONAL)
    worse = "; ".join(_worse(was, status))
    return Seen(Look.WORSE, worse) if worse else Seen(Look.PASSED)


def _worse(was: Before, status: NodeStatus) -> Iterator[str]:
    if was.ready and not status.ready:
        yield clean(f"it is not ready: {', '.join(status.reasons)}")
    dead = status.queue.dead if status.queue else 0
    if dead > was.dead:
        yield f"dead jobs rose from {was.dead} to {dead}"
    for camera in status.cameras:
        usual = was.quality.get(camera.name)
        if usual is not None and camera.quality is not None and camera.quality < usual - DROP:
            yield clean(f"quality of {camera.name} fell from {usual} to {camera.quality}")


def _left_s(status: NodeStatus) -> float | None:
    """By the node's own clock, which may be wrong."""
    if status.config.probation_until is None:
        return None
    try:
        return max(0.0, (from_text(status.config.probation_until) - from_text(status.clock.now)) / US)
    except ValueError:
        return None
