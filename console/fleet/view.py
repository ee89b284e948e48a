"""What the console knows of each node, and what may be said about it now."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import takewhile

from console.fleet.clock import Clock
from console.fleet.inventory import Host
from console.fleet.text import ago, joined
from console.fleet.thrift import thrifty
from node.wire.errors import ConsoleFileUnusable, HeliographError, NodeAnswerWrong, NodeRefused, NodeUntrusted
from node.wire.status import CameraStatus, NodeStatus
from node.wire.stream import StreamEvent
from node.wire.times import US

EVENTS_KEPT, NODE_KEPT = 1000, 100
"""Where all are kept that may be, a node that told more than its share loses its own before another does."""
GONE_KEPT = 10_000
GAP_TOLD_S = 120.0
"""For so long a new gap is told of a node that complains of nothing."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long silence is no news: seconds between polls; polls missed, polls failed and seconds until it is some."""

    poll_s: float = 10.0
    missed: int = 3
    failed: int = 3
    silence_s: float = 45.0

    @property
    def stale_s(self) -> float:
        return self.missed * self.poll_s


class Word(StrEnum):
    """A node's state in one word (closed)."""

    CRIT = "crit"
    UNREACHABLE = "unreachable"
    UNTRUSTED = "untrusted"
    REFUSED = "refused"
    GARBLED = "garbled"
    UNASKED = "unasked"
    WARN = "warn"
    STALE = "stale"
    WAITING = "waiting"
    OK = "ok"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Look:
    """How a word is shown without any colour, and which exit status it deserves."""

    glyph: str
    ascii: str
    exit: int


LOOKS: dict[Word, Look] = {  # worst first: the order of the rows
    Word.CRIT: Look("✖", "X", 2),
    Word.UNREACHABLE: Look("◌", "o", 2),
    Word.UNTRUSTED: Look("⊗", "#", 2),
    Word.REFUSED: Look("⊘", "/", 2),
    Word.GARBLED: Look("≠", "%", 2),
    Word.UNASKED: Look("⊖", "~", 2),
    Word.WARN: Look("▲", "!", 1),
    Word.STALE: Look("◔", "?", 1),
    Word.WAITING: Look("…", ".", 1),
    Word.OK: Look("●", "+", 0),
    Word.IDLE: Look("◇", "-", 0),
}
RANK = {word: rank for rank, word in enumerate(LOOKS)}
OLD_WORDS = frozenset({Word.UNREACHABLE, Word.UNTRUSTED, Word.REFUSED, Word.GARBLED, Word.UNASKED, Word.STALE})
"""Under these words the last values are shown as what they are: old."""
CAMERA_RANK = {"offline": 0, "recovering": 1, "warming": 2, "ok": 3, "idle": 4, "disabled": 5}
LOST = {
    NodeUntrusted: Word.UNTRUSTED,
    NodeRefused: Word.REFUSED,
    NodeAnswerWrong: Word.GARBLED,
    ConsoleFileUnusable: Word.UNASKED,
}
"""What an error makes of a node that is not heard; every other one makes it unreachable."""
WELL = frozenset({"ok", "idle", "disabled"})
RESTING = frozenset({"idle", "disabled"})


@dataclass(frozen=True, slots=True)
class NewGap:
    """A gap that this console saw come: its camera, the reason, and when (monotonic seconds)."""

    camera: str
    reason: str
    seen_s: float


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node as last heard of.  Times are of the console's monotonic clock, in seconds."""

    host: Host
    since_s: float
    status: NodeStatus | None = None
    heard_s: float | None = None
    failures: int = 0
    error: HeliographError | None = None
    gap: NewGap | None = None
    remembered: bool = False
    """The status is from an earlier console: old, however young it is."""

    def heard(self, status: NodeStatus, now_s: float) -> NodeView:
        before = None if self.remembered else self.status  # when a gap came that nobody watched is not known
        gap = _new_gap(before, status, now_s) or self.gap
        return replace(self, status=status, heard_s=now_s, failures=0, error=None, gap=gap, remembered=False)

    def failed(self, error: HeliographError) -> NodeView:
        return replace(self, failures=self.failures + 1, error=error)

    def silence_s(self, now_s: float) -> float:
        """Seconds since the node was last heard, or since the console began to ask."""
        return now_s - (self.since_s if self.heard_s is None else self.heard_s)


def _new_gap(before: NodeStatus | None, status: NodeStatus, now_s: float) -> NewGap | None:
    """The status carries no time of its last gap: a count that has grown since the status before tells it."""
    counted = {camera.name: camera.gaps for camera in before.cameras} if before is not None else {}
    for camera in status.cameras:
        if camera.gaps > counted.get(camera.name, camera.gaps) and camera.last_gap_reason:
            return NewGap(camera.name, camera.last_gap_reason, now_s)
    return None


def word(view: NodeView, now_s: float, patience: Patience) -> Word:
    """The node's state now.  What it said itself counts only while it is fresh."""
    silence_s = view.silence_s(now_s)
    if view.remembered and view.error is None:
        return Word.STALE
    if view.failures >= patience.failed or silence_s > patience.silence_s:
        return _lost(view.error)
    if view.status is None:
        return Word.WAITING
    if silence_s > patience.stale_s or view.remembered:
        return Word.STALE
    return _said(view.status)


def _lost(error: HeliographError | None) -> Word:
    return next((word for kind, word in LOST.items() if isinstance(error, kind)), Word.UNREACHABLE)


def _said(status: NodeStatus) -> Word:
    if status.state != "ok":
        return Word(status.state)
    resting = bool(status.cameras) and all(is_resting(camera) for camera in status.cameras)
    return Word.IDLE if resting else Word.OK


def is_resting(camera: CameraStatus) -> bool:
    """Whether nothing is expected of it: nothing is due, it is switched off, or somebody holds it."""
    return camera.state in RESTING or camera.held is not None


def worst_camera(status: NodeStatus) -> CameraStatus | None:
    """The camera that most wants looking at: by state, then by the age of its last good frame."""
    return min(status.cameras, key=lambda one: (CAMERA_RANK[one.state], -age_rank(one.last_good_age_s)), default=None)


def age_rank(age_s: float | None) -> float:
    """An age to sort by: no frame at all is the oldest."""
    return math.inf if age_s is None or math.isnan(age_s) else age_s


def last_good_age_s(view: NodeView, now_s: float) -> float | None:
    """Seconds since the worst camera's last good frame, as of now; None = it has none."""
    camera = worst_camera(view.status) if view.status is not None else None
    if camera is None or camera.last_good_age_s is None:
        return None
    return camera.last_good_age_s + view.silence_s(now_s)


def counts_today(status: NodeStatus) -> tuple[int, int, int]:
    """Due, captured and gaps of the site's current day over all cameras."""
    cameras = status.cameras
    return sum(one.due for one in cameras), sum(one.captured for one in cameras), sum(one.gaps for one in cameras)


def lowest_quality(status: NodeStatus) -> int | None:
    return min((one.quality for one in status.cameras if one.quality is not None), default=None)


def disk_used_pct(status: NodeStatus) -> float | None:
    """Percent of the data disk in use; None = not known."""
    disk = status.disk
    if disk is None or disk.total_bytes <= 0:
        return None
    return 100.0 * (1 - disk.free_bytes / disk.total_bytes)


def open_jobs(status: NodeStatus) -> int | None:
    """Jobs that are due or run; None = an older node, or not known yet."""
    return None if status.queue is None else status.queue.due + status.queue.running


def dead_jobs(status: NodeStatus) -> int | None:
    """Jobs that have failed for good."""
    return None if status.queue is None else status.queue.dead


def unsent(status: NodeStatus) -> int | None:
    """Items that targets still lack; None = there is no target."""
    return sum(target.unsent for target in status.archive) if status.archive else None


def cause(view: NodeView, now_word: Word, now_s: float) -> str:
    """Why a node is as it is, in words: what the console met, else what the node says."""
    if view.error is not None and (view.status is None or now_word in OLD_WORDS):
        return f"{view.error.code} {view.error.detail or view.error.title}"
    status = view.status
    if status is None:
        return "no answer yet"
    if now_word is Word.STALE:
        return f"silent for {ago(view.silence_s(now_s))}"
    return _reasons(status, _gap(view, now_s)) or (_next(status) if now_word is Word.IDLE else "")


def _gap(view: NodeView, now_s: float) -> str:
    gap = view.gap
    if gap is None or view.status is None or now_s - gap.seen_s > GAP_TOLD_S:
        return ""
    camera = f"{gap.camera} " if len(view.status.cameras) > 1 else ""
    return f"{camera}gap: {gap.reason} {ago(now_s - gap.seen_s)} ago"


def _next(status: NodeStatus) -> str:
    following = min((camera.next_slot for camera in status.cameras if camera.next_slot), default="")
    return f"next {_when(following, status)}" if following else ""


def _held(status: NodeStatus) -> str:
    """Of the held camera that goes on first; without an end comes last."""
    held = [camera for camera in status.cameras if camera.held is not None]
    first = min(held, key=lambda camera: camera.held_until or "~", default=None)
    if first is None:
        return ""
    which = f"{first.name} " if len(status.cameras) > 1 else ""
    return f"{which}held until {_when(first.held_until, status)}" if first.held_until else f"{which}held"


def _when(instant: str, status: NodeStatus) -> str:
    today = instant[:10] == status.clock.now[:10]
    return f"{instant[11:16] if today else instant[5:16].replace('T', ' ')}Z"


def _reasons(status: NodeStatus, gap: str) -> str:
    """What the node complains of; where that is nothing, what this console saw of it."""
    said = joined(status.reasons) or joined(alert.sentence for alert in status.alerts)
    several = len(status.cameras) > 1
    well = sum(camera.state in WELL for camera in status.cameras)
    share = f"{well}/{len(status.cameras)} ok" if several else ""
    return ": ".join(filter(None, (share, said or gap or _held(status))))


@dataclass(frozen=True, slots=True)
class Happening:
    """An event and the node that told it; `number` counts all that were told."""

    node: str
    event: StreamEvent
    number: int


class Happenings(deque[Happening]):
    """The latest events of all nodes, oldest first; a node that talks without end drowns no other."""

    def __init__(self) -> None:
        super().__init__()
        self._of: Counter[str] = Counter()

    def append(self, one: Happening) -> None:
        super().append(one)
        self._of[one.node] += 1
        if len(self) > EVENTS_KEPT:
            self._drop(self._least_missed())

    def clear(self) -> None:
        super().clear()
        self._of.clear()

    def _least_missed(self) -> int:
        """Where the oldest of the node is that told the most; where all have kept to their share, the oldest."""
        node, count = max(self._of.items(), key=lambda each: each[1])
        return next((at for at, one in enumerate(self) if one.node == node), 0) if count > NODE_KEPT else 0

    def _drop(self, at: int) -> None:
        node = self[at].node
        del self[at]
        self._of[node] -= 1
        if not self._of[node]:
            del self._of[node]


class FleetModel:
    """Everything known of the fleet: pollers write here, screens and boards read what has changed.

    `revision` grows with each change; a reader keeps the one that it has seen.
    """

    def __init__(self, hosts: Iterable[Host], *, patience: Patience, clock: Clock) -> None:
        self.patience = patience
        self.clock = clock
        self.views = {host.name: NodeView(host, clock.monotonic()) for host in hosts}
        self.happenings = Happenings()
        self.told = 0
        self.revision = 0
        self._changed: dict[str, int] = {}
        """The revision of each node's last change, in that order; also of nodes that are gone."""
        for name in self.views:
            self._touch(name)

    def set_hosts(self, hosts: Iterable[Host]) -> None:
        """The nodes from now on: what is known of those that stay is kept."""
        wanted = {host.name: host for host in hosts}
        for name in [name for name in self.views if name not in wanted]:
            del self.views[name]
            self._touch(name)
        for name, host in wanted.items():
            self._set_host(name, host)
        self._forget()

    def _forget(self) -> None:
        """Where names come and go for ever, those that are long gone."""
        gone = [name for name in self._changed if name not in self.views]
        for name in gone[: max(0, len(gone) - GONE_KEPT)]:
            del self._changed[name]

    def _set_host(self, name: str, host: Host) -> None:
        known = self.views.get(name)
        if known is None:
            self.views[name] = NodeView(host, self.clock.monotonic())
            self._touch(name)
        elif known.host != host:
            self._change(name, lambda view: replace(view, host=host))

    def restore(self, name: str, status: NodeStatus, heard_us: int) -> None:
        """What an earlier console heard at that instant; it yields to whatever this one has heard."""
        known = self.views.get(name)
        if known is None or known.heard_s is not None:
            return
        age_s = max(0, self.clock.utc_us() - heard_us) / US
        heard_s = self.clock.monotonic() - age_s
        self._change(name, lambda view: replace(view, status=thrifty(status), heard_s=heard_s, remembered=True))

    def heard(self, name: str, status: NodeStatus) -> None:
        self._change(name, lambda view: view.heard(thrifty(status), self.clock.monotonic()))

    def failed(self, name: str, error: HeliographError) -> None:
        self._change(name, lambda view: view.failed(error))

    def happened(self, name: str, event: StreamEvent) -> None:
        if name not in self.views:
            return
        self.happenings.append(Happening(name, event, self.told))
        self.told += 1
        self._touch(name)

    def fresh(self, told: int) -> list[Happening]:
        """What has happened since so many were told, oldest first, as far as it is kept."""
        new = list(takewhile(lambda one: one.number >= told, reversed(self.happenings)))
        return new[::-1]

    def word(self, name: str) -> Word:
        return word(self.views[name], self.clock.monotonic(), self.patience)

    def changed_since(self, revision: int) -> list[str]:
        """The nodes that changed, came or went after that revision, the latest first."""
        return [name for name, _ in takewhile(lambda one: one[1] > revision, reversed(self._changed.items()))]

    def _change(self, name: str, change: Callable[[NodeView], NodeView]) -> None:
        view = self.views.get(name)
        if view is None:  # an answer that was under way when its node left the inventory
            return
        self.views[name] = change(view)
        self._touch(name)

    def _touch(self, name: str) -> None:
        self.revision += 1
        self._changed.pop(name, None)
        self._changed[name] = self.revision
