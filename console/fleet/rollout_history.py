"""Every rollout kept in a file of its own, written as it goes; and what others ask of one that runs."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from console.fleet.batches import Batch, BatchBegun
from console.fleet.chronicle import Chronicle, entries_of, files
from console.fleet.keep import Journal, NotKept
from console.fleet.rollout import Checked, Pause, Wishes
from console.fleet.rollout_events import DONE, QUIET, Ended, Event, How, Judged, Phase, Worked, as_entry
from console.fleet.rollout_plan import HIDDEN, RolloutPlan
from console.fleet.text import clean
from node.wire.errors import NodesHeld, RolloutUnfit, StateNotSaved

FOLDER, ASKS = "rollouts", ".asks"
LOCK, LIVE = "lock", "live"
"""Both are held by the process that rolls out; the first by its playbook too, which may outlive it by seconds."""
LASTING = (BatchBegun, Judged, Ended)
"""What is on the disk before anything follows."""
PRIVATE, FOR_OWNER = 0o600, 0o700
LATE = "deferred"
"""The batch of those that were put off before; the last one."""
ASK_S = 0.5
"""So often a rollout looks whether somebody asks something of it."""
LAST = "last"
INTERRUPTED, RUNNING, PAUSED = "interrupted", "running", "paused"
CHANGES_KEPT = 200
HOLDER_BYTES = 4096


@dataclass(slots=True)
class Past:
    """A rollout as its file tells it.  `how` None = it runs, or was interrupted; `begun` are batches that were."""

    run: str
    playbook: str
    owner: str
    by: str
    at_us: int
    soak_s: float
    fleet: str = ""
    inventory: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    """As they may be shown: those that are secret are to be given again."""
    batch_of: dict[str, str] = field(default_factory=dict)
    """By node; empty = it was put off."""
    named: set[str] = field(default_factory=set)
    """Those that went along though they did not answer: they were called by their names."""
    begun: dict[str, tuple[str, ...]] = field(default_factory=dict)
    phases: dict[str, Phase] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    how: How | None = None
    why: str = ""
    paused: bool = False
    entries: list[Mapping[str, Any]] = field(default_factory=list)
    """Everything, as it was written."""

    def to_do(self) -> dict[str, str]:
        """The batches of those nodes that it has not brought to their end."""
        return {name: batch for name, batch in self.batch_of.items() if self.phases.get(name) not in DONE}

    def touched(self) -> tuple[str, ...]:
        """Nodes that may have been changed, with no verdict on them."""
        begun = {name for nodes in self.begun.values() for name in nodes}
        return tuple(name for name in self.batch_of if name in begun and name not in self.phases)

    def state(self, live: str) -> str:
        """How it stands, where `live` is the one that runs now."""
        if self.how is not None:
            return str(self.how)
        if self.run == live:
            return PAUSED if self.paused else RUNNING
        return INTERRUPTED


class History:
    """The file of one rollout, which this process alone writes."""

    def __init__(self, folder: Path, run: str) -> None:
        self.run = run
        self._folder = folder / FOLDER
        self._chronicle = Chronicle(self._folder, run, ASKS)

    @contextmanager
    def held(self, who: str) -> Iterator[int]:
        """One rollout at a time works from here: the descriptor that holds it, and whoever inherits it holds it too.

        Raises NodesHeld, StateNotSaved.
        """
        with ExitStack() as stack:
            try:
                self._folder.mkdir(FOR_OWNER, parents=True, exist_ok=True)
                handles = [_opened(self._folder / name, stack) for name in (LOCK, LIVE)]
            except OSError as error:
                raise StateNotSaved(f"{error.filename or self._folder}: {error.strerror}") from None
            self._lock(handles, who)
            yield handles[0]

    def _lock(self, handles: list[int], who: str) -> None:
        for handle in handles:
            if not _is_free(handle, fcntl.LOCK_EX):
                folder = self._folder.parent
                held = holder(folder)
                ends = "" if running(folder) else ", whose playbook is being ended: again in half a minute"
                raise NodesHeld(f"{held or 'another rollout'} goes on here{ends}")
        with suppress(OSError):  # a full disk: then nobody can be told whose it is
            os.ftruncate(handles[0], 0)
            os.pwrite(handles[0], json.dumps({"run": self.run, "who": who}).encode(), 0)

    def begin(self, plan: RolloutPlan, checked: Checked | None, said: Mapping[str, Any]) -> None:
        """The whole plan, and what check mode found.  Raises StateNotSaved."""
        batch_of = {name: batch.name for batch in plan.batches for name in batch.nodes}
        nodes = [
            {"event": "node", "node": node.node, "standing": node.standing, "why": node.why,
             "batch": batch_of.get(node.node, ""), "was": asdict(node.health)}
            for node in plan.nodes.values()
        ]  # fmt: skip
        run = {"event": "run", "run": self.run, "playbook": plan.playbook.name, "fleet": str(plan.playbook.fleet),
               "inventory": None if plan.inventory is None else str(plan.inventory), "soak_s": plan.soak_s,
               "variables": plan.shown(), **said}  # fmt: skip
        would = [_would(change) for each in (checked.would.values() if checked else ()) for change in each.changes]
        self._chronicle.write([run, *nodes, *would[: CHANGES_KEPT * len(nodes)]], lasting=True)
        self._chronicle.prune()

    def record(self, event: Event) -> None:
        """Raises StateNotSaved."""
        if isinstance(event, Worked) and event.what in QUIET:
            return
        entry = dict(as_entry(event))
        rows = entry.pop("rows", ())
        self._chronicle.write([*({"event": "row", **row} for row in rows), entry], lasting=isinstance(event, LASTING))

    def resume(self, by: str, at_us: int) -> None:
        """From here on it goes on.  Raises StateNotSaved."""
        self._chronicle.write([{"event": "resumed", "by": by, "at_us": at_us}], lasting=True)


def _would(change: Worked) -> Mapping[str, Any]:
    return {**as_entry(change), "event": "would"}


# --- what is kept -----------------------------------------------------------------------------------------------------


def running(folder: Path) -> str:
    """Which rollout a process works at now, in that folder; empty = none."""
    return "" if _nobody_holds(folder / FOLDER / LIVE) else holder(folder)


def holder(folder: Path) -> str:
    """As `running`, also where only its playbook is left; with who began it."""
    path = folder / FOLDER / LOCK
    if _nobody_holds(path):
        return ""
    with suppress(OSError, ValueError), path.open("rb") as file:
        found = json.loads(file.read(HOLDER_BYTES))
        if isinstance(found, dict):
            return clean(str(found.get("run", "")))
    return ""


def _nobody_holds(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _is_free(file.fileno(), fcntl.LOCK_SH)
    except OSError:
        return True


def _opened(path: Path, stack: ExitStack) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    stack.callback(os.close, handle)
    return handle


def _is_free(handle: int, how: int) -> bool:
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def kept(folder: Path) -> list[Past]:
    """All that are kept, the newest first; those that cannot be read are left out."""
    found: list[Past] = []
    for path in reversed(files(folder / FOLDER)):
        with suppress(RolloutUnfit, StateNotSaved):
            found.append(read(path))
    return found


def find(folder: Path, run: str) -> Past:
    """That rollout, by its name, by a beginning or end that only it has, or `last`.  Raises RolloutUnfit."""
    paths = {path.stem: path for path in files(folder / FOLDER)}
    if not paths:
        raise RolloutUnfit("none is kept here")
    if run in {"", LAST}:
        return read(list(paths.values())[-1])
    meant = [run] if run in paths else [name for name in paths if name.startswith(run) or name.endswith(run)]
    if len(meant) != 1:
        raise RolloutUnfit(clean(f"{'several are' if meant else 'none is'} called {run!r}"))
    return read(paths[meant[0]])


def read(path: Path) -> Past:
    """That file, as far as it goes.  Raises StateNotSaved where it cannot be read, RolloutUnfit where it is none."""
    past: Past | None = None
    for entry in entries_of(path):
        if entry.get("event") == "run":
            past = _past(entry)
        if past is not None:
            past.entries.append(entry)
            APPLY.get(str(entry.get("event")), _passed_over)(past, entry)
    if past is None:
        raise RolloutUnfit(f"{path} has no beginning")
    return past


def _past(entry: Mapping[str, Any]) -> Past:
    at_us, soak_s, variables = entry.get("at_us"), entry.get("soak_s"), entry.get("variables")
    inventory = entry.get("inventory")
    return Past(
        run=str(entry.get("run")),
        playbook=str(entry.get("playbook")),
        owner=str(entry.get("owner")),
        by=clean(str(entry.get("by", ""))),
        at_us=at_us if isinstance(at_us, int) else 0,
        soak_s=float(soak_s) if isinstance(soak_s, int | float) else 0.0,
        fleet=str(entry.get("fleet", "")),
        inventory=inventory if isinstance(inventory, str) else None,
        variables={str(name): str(value) for name, value in variables.items()} if isinstance(variables, dict) else {},
    )


def _node(past: Past, entry: Mapping[str, Any]) -> None:
    name, was = str(entry.get("node")), entry.get("was")
    past.batch_of[name] = str(entry.get("batch"))
    if past.batch_of[name] and isinstance(was, dict) and not was.get("answers"):
        past.named.add(name)


def _batch(past: Past, entry: Mapping[str, Any]) -> None:
    nodes = entry.get("nodes")
    past.begun[str(entry.get("batch"))] = tuple(map(str, nodes)) if isinstance(nodes, list) else ()
    past.phases = {name: phase for name, phase in past.phases.items() if name not in past.begun[str(entry["batch"])]}


def _judged(past: Past, entry: Mapping[str, Any]) -> None:
    with suppress(ValueError):  # a word of a newer release: then nothing is known of it
        past.phases[str(entry.get("node"))] = Phase(str(entry.get("phase")))
        past.said[str(entry.get("node"))] = clean(str(entry.get("said", "")))


def _paused(past: Past, _entry: Mapping[str, Any]) -> None:
    past.paused = True


def _went_on(past: Past, _entry: Mapping[str, Any]) -> None:
    past.paused = False


def _resumed(past: Past, _entry: Mapping[str, Any]) -> None:
    past.how, past.why, past.paused = None, "", False


def _ended(past: Past, entry: Mapping[str, Any]) -> None:
    with suppress(ValueError):
        past.how, past.why = How(str(entry.get("how"))), clean(str(entry.get("why", "")))


def _passed_over(past: Past, entry: Mapping[str, Any]) -> None:
    """What only a person reads."""


APPLY = {
    "node": _node,
    "batch": _batch,
    "judged": _judged,
    "paused": _paused,
    "went on": _went_on,
    "resumed": _resumed,
    "ended": _ended,
}


# --- what is asked of one that runs -----------------------------------------------------------------------------------

ABORT, HOLD, GO_ON = "abort", "hold", "go on"


def ask(folder: Path, run: str, wish: str, by: str) -> None:
    """Lets the process that runs it know, wherever that is.  Raises StateNotSaved."""
    try:
        Journal(folder / FOLDER / f"{run}{ASKS}").append([{"wish": wish, "by": by}], lasting=True)
    except NotKept as error:
        raise StateNotSaved(str(error)) from None


async def heed(folder: Path, run: str, wishes: Wishes, pause: Pause = asyncio.sleep) -> None:
    """Until it is cancelled: what is asked from now on becomes a wish."""
    journal = Journal(folder / FOLDER / f"{run}{ASKS}")
    with suppress(NotKept):
        journal.fresh()  # what was asked of it before it was interrupted
    heard = {
        ABORT: lambda by: wishes.abort(f"aborted by {by}"),
        HOLD: wishes.hold,
        GO_ON: wishes.go_on,
    }
    while True:
        with suppress(NotKept):  # it is looked at again
            for entry in journal.fresh():
                heard.get(str(entry.get("wish")), _not_heard)(clean(str(entry.get("by", ""))))
        await pause(ASK_S)


def _not_heard(_by: str) -> None:
    """A wish of a newer release."""


# --- going on ---------------------------------------------------------------------------------------------------------


def refuse_ended(past: Past) -> None:
    """Raises RolloutUnfit where there is nothing to go on with."""
    if past.how is How.STOPPED:
        failed = [f"{name} {phase}" for name, phase in past.phases.items() if phase not in DONE]
        raise RolloutUnfit(f"{past.run} was stopped by what failed ({', '.join(failed[:3])}): mend it, begin anew")
    if not past.to_do():
        raise RolloutUnfit(f"{past.run} has come to its end")


def given_again(past: Past, given: Mapping[str, str]) -> dict[str, str]:
    """Its variables.  Raises RolloutUnfit where secret ones are not given again."""
    whole = {**past.variables, **given}
    lacking = [name for name, value in whole.items() if value == HIDDEN]
    if lacking:
        raise RolloutUnfit(f"give again what is not kept: {', '.join(f'-e {name}=…' for name in lacking)}")
    return whole


def resumed(past: Past, plan: RolloutPlan) -> RolloutPlan:
    """What is left of it, in its batches; of `plan`, which is one of the nodes it has not brought to their end."""
    left = past.to_do()
    names: dict[str, list[str]] = {}
    order = dict.fromkeys(filter(None, past.batch_of.values()))
    for name in sorted(plan.to_do, key=lambda name: _place(left[name], list(order))):
        names.setdefault(left[name] or LATE, []).append(name)
    cut = [Batch(called, tuple(members)) for called, members in names.items()]
    first_soaks = bool(cut) and cut[0].name in order and cut[0].name == next(iter(order)) and len(cut) > 1
    soaked = [replace(cut[0], soak_s=past.soak_s), *cut[1:]] if first_soaks else cut
    return replace(plan, batches=tuple(soaked))


def _place(batch: str, order: list[str]) -> int:
    return order.index(batch) if batch in order else len(order)
