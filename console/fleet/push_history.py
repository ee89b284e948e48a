"""Every push kept in a file of its own, written as it goes, so that one that was interrupted can be gone on with."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from console.fleet.batches import CANARY, SHARES, Batch, BatchBegun
from console.fleet.chronicle import Chronicle, entries_of, files
from console.fleet.client import NodeClient
from console.fleet.push import BAD, DONE, Ended, Event, How, Moved, Phase, as_entry
from console.fleet.push_plan import PUT_OFF, TO_DO, ClientOf, NodePlan, PushPlan, Standing, rolled_back
from node.wire.errors import NodesHeld, NothingToResume, StateNotSaved

FOLDER, LOCK = "pushes", ".lock"
NAMED = 3
LASTING = (BatchBegun, Ended)
"""What is on the disk before anything follows; of all else the nodes themselves know more."""
PRIVATE, FOR_OWNER = 0o600, 0o700
LATE = "deferred"
"""The batch of those that were put off before; the last one."""
ORDER = {name: place for place, name in enumerate([CANARY, *(name for name, _ in SHARES), LATE])}
MEANT = (TO_DO | PUT_OFF) - {Standing.TOO_OLD}


@dataclass(frozen=True, slots=True)
class Meant:
    """What a push wanted of one node.  `batch` empty = it was put off."""

    wanted: str
    batch: str


@dataclass(slots=True)
class Past:
    """A push as its file tells it.  `how` None = it was interrupted; `begun` are the batches that were."""

    run: str
    owner: str
    at_us: int
    soak_s: float
    nodes: dict[str, Meant] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    phases: dict[str, Phase] = field(default_factory=dict)
    how: How | None = None

    def to_do(self) -> dict[str, Meant]:
        """What it has not brought to its end."""
        return {name: meant for name, meant in self.nodes.items() if self.phases.get(name) not in DONE}

    def touched(self, node: str) -> bool:
        """Whether that node may have been changed, with no verdict on it yet."""
        phase = self.phases.get(node)
        return self.nodes[node].batch in self.begun and phase in {None, Phase.SENT, Phase.UNKNOWN}


class History:
    """The file of one push, which this process alone writes."""

    def __init__(self, folder: Path, run: str) -> None:
        self.run = run
        self._folder = folder / FOLDER
        self._chronicle = Chronicle(self._folder, run, LOCK)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Raises NodesHeld where another process goes on with this push, StateNotSaved where nothing can be kept."""
        try:
            self._folder.mkdir(FOR_OWNER, parents=True, exist_ok=True)
            handle = os.open(self._folder / f"{self.run}{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        except OSError as error:
            raise StateNotSaved(f"{error.filename or self._folder}: {error.strerror}") from None
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise NodesHeld(f"another process goes on with {self.run}") from None
            yield
        finally:
            os.close(handle)

    def begin(self, plan: PushPlan, said: Mapping[str, Any]) -> None:
        """The whole plan, without the documents, and what is said of the run.  Raises StateNotSaved."""
        batch_of = {name: batch.name for batch in plan.batches for name in batch.nodes}
        nodes = [
            {"node": planned.node, "standing": planned.standing, "wanted": planned.wanted, "version": planned.version,
             "digest": planned.digest, "batch": batch_of.get(planned.node, ""),
             "changes": [asdict(change) for change in planned.changes[:50]]}
            for planned in plan.nodes.values()
        ]  # fmt: skip
        run = {"event": "run", "run": self.run, **said}
        self._chronicle.write([run, *({"event": "node", **each} for each in nodes)], lasting=True)
        self._chronicle.prune()

    def catch_up(self, plan: PushPlan) -> None:
        """Those that have come to their end while nobody looked.  Raises StateNotSaved."""
        for planned in plan.standing(Standing.SAME):
            phase = Phase.PROVISIONAL if planned.state == "provisional" else Phase.CONFIRMED
            self.record(Moved(planned.node, phase, "meanwhile"))

    def record(self, event: Event) -> None:
        """Raises StateNotSaved."""
        entry = dict(as_entry(event))
        entry.pop("nodes", None)
        rows = entry.pop("rows", ())
        self._chronicle.write([*({"event": "row", **row} for row in rows), entry], lasting=isinstance(event, LASTING))


def last(folder: Path) -> Past:
    """The newest push, fit to be gone on with.  Raises NothingToResume, StateNotSaved."""
    found = files(folder / FOLDER)
    if not found:
        raise NothingToResume("none is kept here")
    past = read(found[-1])
    failed = [f"{name} {phase}" for name, phase in past.phases.items() if phase in BAD and not past.touched(name)]
    if failed:
        raise NothingToResume(f"{past.run} was stopped by what failed: {', '.join(failed[:NAMED])}")
    if past.how is How.HELD:
        raise NothingToResume(f"{past.run} began nothing: another held nodes")
    if not past.to_do():
        raise NothingToResume(f"{past.run} has come to its end")
    return past


def read(path: Path) -> Past:
    """That file, as far as it goes.  Raises StateNotSaved where it cannot be read, NothingToResume where it is none."""
    past: Past | None = None
    for entry in entries_of(path):
        if entry.get("event") == "run":
            past = _past(entry)
        elif past is not None:
            APPLY.get(str(entry.get("event")), _passed_over)(past, entry)
    if past is None:
        raise NothingToResume(f"{path} has no beginning")
    return past


def _past(entry: Mapping[str, Any]) -> Past:
    at_us, soak_s = entry.get("at_us"), entry.get("soak_s")
    return Past(
        str(entry.get("run")),
        str(entry.get("owner")),
        at_us if isinstance(at_us, int) else 0,
        float(soak_s) if isinstance(soak_s, int | float) else 0.0,
    )


def _node(past: Past, entry: Mapping[str, Any]) -> None:
    if entry.get("standing") in MEANT:
        past.nodes[str(entry.get("node"))] = Meant(str(entry.get("wanted")), str(entry.get("batch")))


def _batch(past: Past, entry: Mapping[str, Any]) -> None:
    past.begun.add(str(entry.get("batch")))


def _moved(past: Past, entry: Mapping[str, Any]) -> None:
    with suppress(ValueError):  # a word of a newer release: then nothing is known of it
        past.phases[str(entry.get("node"))] = Phase(str(entry.get("phase")))


def _ended(past: Past, entry: Mapping[str, Any]) -> None:
    with suppress(ValueError):
        past.how = How(str(entry.get("how")))


def _passed_over(past: Past, entry: Mapping[str, Any]) -> None:
    """What only a person reads."""


APPLY = {"node": _node, "batch": _batch, "moved": _moved, "ended": _ended}


async def resumed(past: Past, plan: PushPlan, client_of: ClientOf) -> PushPlan:
    """What is left of it, in its batches: of `plan`, which is one of the nodes it has not brought to their end.

    A node that was being changed and is not on its way to the document any more is Standing.FAILED.  Raises
    NothingToResume where the inventory wants something else by now.
    """
    left = past.to_do()
    other = [name for name, planned in plan.nodes.items() if planned.wanted != left[name].wanted]
    if other:
        raise NothingToResume(f"the inventory wants another document of {', '.join(other[:NAMED])} than {past.run} did")
    nodes = dict(plan.nodes)
    for name in filter(past.touched, plan.nodes):
        nodes[name] = await _since(plan.nodes[name], client_of(name))
    order = dict.fromkeys(meant.batch or LATE for meant in past.nodes.values())
    names: dict[str, list[str]] = {batch: [] for batch in sorted(order, key=lambda name: ORDER.get(name, len(ORDER)))}
    for name, planned in nodes.items():
        if planned.standing in TO_DO:
            names[left[name].batch or LATE].append(name)
    return replace(plan, nodes=nodes, batches=_batches(names, past.soak_s))


def _batches(names: Mapping[str, list[str]], soak_s: float) -> tuple[Batch, ...]:
    filled = [(called, tuple(members)) for called, members in names.items() if members]
    return tuple(
        Batch(called, members, soak_s if called == CANARY and members is not filled[-1][1] else 0.0)
        for called, members in filled
    )


async def _since(planned: NodePlan, client: NodeClient | None) -> NodePlan:
    """A node that was being changed when the push was interrupted."""
    if planned.standing in PUT_OFF or client is None:
        why = f"was being changed when the push was interrupted; now {planned.standing}: {planned.why}"
        return replace(planned, standing=Standing.FAILED, why=why)
    if planned.standing is not Standing.CHANGE:
        return planned
    reason = await rolled_back(client, planned.wanted)
    if reason is None:
        return planned  # it never arrived
    return replace(planned, standing=Standing.FAILED, why=f"rolled the document back: {reason}")
