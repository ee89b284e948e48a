"""What happens in a rollout, as types; and how the lines that our callback prints are read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from console.fleet.batches import BatchBegun, Soaking
from console.fleet.text import clean

SAID_CHARS, DIFF_LINES, DIFF_CHARS = 1_000, 400, 8_000
COUNTED = frozenset({"ok", "changed", "failed", "unreachable", "skipped"})
QUIET = frozenset({"ok", "skipped", "retry"})
"""Of these only that they happened is worth keeping."""


class Phase(StrEnum):
    """How far a node is (closed)."""

    RUNNING = "running"
    DONE = "done"
    PROVISIONAL = "provisional"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"
    DEFERRED = "deferred"
    SKIPPED = "not begun"


DONE = frozenset({Phase.DONE, Phase.PROVISIONAL})
BAD = frozenset({Phase.FAILED, Phase.UNREACHABLE, Phase.UNKNOWN})
"""After the first of these no batch follows."""


class How(StrEnum):
    """How a rollout ended (closed); one without an end was interrupted."""

    DONE = "done"
    STOPPED = "stopped"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Counts:
    """Tasks of one node, by how they ended; `changed` ones are `ok` too."""

    ok: int = 0
    changed: int = 0
    failed: int = 0
    unreachable: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Health:
    """What a node says of itself.  `answers` False = it could not be asked, and `why`."""

    answers: bool = False
    ready: bool = False
    version: str = ""
    digest: str = ""
    dead: int = 0
    quality: Mapping[str, int] = field(default_factory=dict)
    release: str = ""
    """How the last change of its software stands: trial, provisional ...; empty = there was none."""
    since: str = ""
    """When that change was made."""
    reason: str = ""
    config: str = ""
    held_by: str = ""
    """Who holds its lease; empty = nobody."""
    why: str = ""

    def in_words(self) -> str:
        """Short, for a line."""
        if not self.answers:
            return f"does not answer ({self.why})" if self.why else "does not answer"
        worst = min(self.quality.values(), default=None)
        words = ["ready" if self.ready else "not ready", self.version, self.digest[:8]]
        words += [f"release {self.release}"] if self.release else []
        words += [f"quality {worst}"] if worst is not None else []
        return " ".join(filter(None, words))


@dataclass(frozen=True, slots=True)
class TaskBegun:
    play: str
    task: str


@dataclass(frozen=True, slots=True)
class Worked:
    """A node has ended a task, or a try or an item of one; `what` is the callback's word.  `counts` are of the run."""

    node: str
    what: str
    task: str
    said: str = ""
    diff: str = ""
    rc: int | None = None
    counts: Counts = field(default_factory=Counts)


@dataclass(frozen=True, slots=True)
class Recapped:
    """All that was to be done on a node in this batch has ended; `good` as Ansible has it."""

    node: str
    good: bool
    counts: Counts


@dataclass(frozen=True, slots=True)
class Noticed:
    """What Ansible says of no node."""

    said: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a node, and how it was before and is now."""

    node: str
    phase: Phase
    said: str
    was: Health = field(default_factory=Health)
    now: Health = field(default_factory=Health)


@dataclass(frozen=True, slots=True)
class Paused:
    """No batch begins until somebody lets it go on."""

    batch: str
    by: str


@dataclass(frozen=True, slots=True)
class WentOn:
    by: str


@dataclass(frozen=True, slots=True)
class Stopping:
    """The playbook is being ended; on these nodes a task was under way, and may go on there."""

    why: str
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A node at the end: its phase, and what it runs, as it says itself; `runs` empty = it could not be asked."""

    node: str
    phase: str
    runs: str
    said: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event: how and why, and every node as it is now."""

    how: How
    why: str
    rows: tuple[Row, ...] = ()


OfPlaybook = TaskBegun | Worked | Recapped | Noticed
Event = BatchBegun | OfPlaybook | Judged | Soaking | Paused | WentOn | Stopping | Ended
KINDS: Mapping[type, str] = {
    BatchBegun: "batch",
    TaskBegun: "task",
    Worked: "worked",
    Recapped: "recapped",
    Noticed: "noticed",
    Judged: "judged",
    Soaking: "soaking",
    Paused: "paused",
    WentOn: "went on",
    Stopping: "stopping",
    Ended: "ended",
}


def as_entry(event: Event) -> Mapping[str, Any]:
    """For programs and for the history: the kind, and its fields by their names."""
    return {"event": KINDS[type(event)], **asdict(event)}


class Reader:
    """Reads the lines of one playbook; knows how far each of its nodes is.  Nothing that a line says is believed."""

    def __init__(self, nodes: Iterable[str], hide: Iterable[str] = ()) -> None:
        self.counts = {name: Counts() for name in nodes}
        self.recapped: dict[str, bool] = {}
        self.unreachable: dict[str, str] = {}
        """Why, of those that Ansible did not reach."""
        self.failed: dict[str, str] = {}
        """What was said at a node's last failure."""
        self._at_rest: set[str] = set()
        """Nodes that have ended the task that was begun last."""
        self._hide = sorted(filter(None, hide), key=len, reverse=True)

    def read(self, line: bytes) -> OfPlaybook | None:
        """None = nothing that counts here, or no line of ours."""
        try:
            said = json.loads(line)
        except ValueError:  # also what is no text
            text = self._text(line.decode(errors="replace"))
            return Noticed(text) if text.strip() else None
        if not isinstance(said, dict):
            return None
        return self._understood(said | {"host": str(said.get("host"))})

    def open(self) -> tuple[str, ...]:
        """Nodes on which a task may be under way."""
        ended = {*self.recapped, *self.unreachable, *self.failed, *self._at_rest}
        return tuple(name for name in self.counts if name not in ended)

    def _understood(self, said: Mapping[str, Any]) -> OfPlaybook | None:
        event, node = said.get("event"), said["host"]
        if event == "task":
            self._at_rest.clear()
            return TaskBegun(self._text(said.get("play")), self._text(said.get("task")))
        if event == "no_hosts" or (event == "warning" and node not in self.counts):
            return Noticed(self._text(said.get("msg")))
        if node not in self.counts or event == "play":
            return None
        if event == "recap":
            return self._recap(node, good=said.get("rc") == 0)
        return self._worked(node, self._text(event), said)

    def _recap(self, node: str, *, good: bool) -> Recapped:
        self.recapped[node] = good
        return Recapped(node, good, self.counts[node])

    def _worked(self, node: str, what: str, said: Mapping[str, Any]) -> Worked:
        self._count(node, what)
        if what in COUNTED | {"ignored"}:
            self._at_rest.add(node)
        rc, words = said.get("rc"), self._text(said.get("msg"))
        if what == "unreachable":
            self.unreachable[node] = words
        if what == "failed":
            self.failed[node] = f"{self._text(said.get('task'))}: {words}"
        code = rc if isinstance(rc, int) and not isinstance(rc, bool) else None
        return Worked(
            node, what, self._text(said.get("task")), words, self._diff(said.get("diff")), code, self.counts[node]
        )

    def _count(self, node: str, what: str) -> None:
        if what in COUNTED:
            more = {what, "ok"} if what == "changed" else {what}
            was = self.counts[node]
            self.counts[node] = Counts(**{name: getattr(was, name) + (name in more) for name in COUNTED})

    def _text(self, value: object, chars: int = SAID_CHARS) -> str:
        return "" if value is None else clean(self._shown(str(value)), chars)

    def _diff(self, value: object) -> str:
        if not isinstance(value, str):
            return ""
        lines = self._shown(value[:DIFF_CHARS]).splitlines()[:DIFF_LINES]
        return "\n".join(clean(line) for line in lines)

    def _shown(self, text: str) -> str:
        for secret in self._hide:
            text = text.replace(secret, "***")
        return text
