"""A rollout: a playbook run batch by batch; each batch is looked at after it, and the first failure ends all.

Nothing here knows of screens: `check` and `rollout` give typed events as they happen; what `rollout` gives it has
recorded before.  `Wishes` is how a screen, a signal or another command pauses and aborts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from console.fleet.batches import Batch, BatchBegun, Soaking
from console.fleet.clock import Clock
from console.fleet.rollout_child import Call, Child
from console.fleet.rollout_events import (
    BAD,
    DONE,
    Ended,
    Event,
    Health,
    How,
    Judged,
    OfPlaybook,
    Paused,
    Phase,
    Reader,
    Row,
    Stopping,
    WentOn,
    Worked,
)
from console.fleet.rollout_gate import Look, judge
from console.fleet.rollout_plan import ClientOf, RolloutPlan, Standing, held_by_other, look, look_at
from node.wire.errors import NodesHeld

NAMED = 3
ROUNDS = 5
"""So often check mode begins again without those that it did not reach."""
LOOKS_S = 2.0
PHASES = {
    Look.WELL: Phase.DONE,
    Look.PROVISIONAL: Phase.PROVISIONAL,
    Look.WAIT: Phase.FAILED,
    Look.TRIAL: Phase.UNKNOWN,
    Look.BAD: Phase.FAILED,
}
"""What a node is whose time is over."""
Record = Callable[[Event], None]
Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Terms:
    """How long things may take, in seconds.

    `quiet_s`: a playbook that says nothing for so long is ended.  `health_s`: so long after its batch a node may take
    to be well again, `trial_s` to end a trial of its own.
    """

    quiet_s: float = 3600.0
    health_s: float = 120.0
    trial_s: float = 900.0
    look_s: float = LOOKS_S


class Wishes:
    """What is asked of a rollout while it runs; from the loop's own thread."""

    def __init__(self) -> None:
        self.aborted = asyncio.Event()
        self.hurry = asyncio.Event()
        self.why = ""
        self.held_by = ""
        self._let_go_by = ""
        self._stirred = asyncio.Event()

    def abort(self, why: str) -> None:
        """Stop now.  Said again: do not wait for the playbook's own end any longer."""
        if self.aborted.is_set():
            self.hurry.set()
        self.why = self.why or why
        self.aborted.set()
        self._stirred.set()

    def hold(self, by: str) -> None:
        """No batch begins after this one."""
        self.held_by = by
        self._stirred.set()

    def go_on(self, by: str) -> None:
        self.held_by, self._let_go_by = "", by
        self._stirred.set()

    async def released(self) -> str:
        """Waits while it is held; who let it go on."""
        while self.held_by and not self.aborted.is_set():
            self._stirred.clear()
            await self._stirred.wait()
        return self._let_go_by


@dataclass(slots=True)
class Ways:
    """What a rollout works through.  `keep` descriptors stay open in each playbook, and so does a lock on them."""

    client_of: ClientOf
    wishes: Wishes
    owner: str
    message: str
    record: Record
    keep: tuple[int, ...] = ()
    start: Callable[[Call], Awaitable[Child]] = Child.start
    terms: Terms = field(default_factory=Terms)
    clock: Clock = field(default_factory=Clock)
    pause: Pause = asyncio.sleep


class _Play:
    """One playbook over some nodes, from its start to its end, whoever ends it."""

    def __init__(self, plan: RolloutPlan, nodes: tuple[str, ...], ways: Ways, *, check: bool = False) -> None:
        self._ways = ways
        book, (variables, secrets) = plan.playbook, plan.open_and_secret()
        self._call = Call(
            book.path, book.fleet, plan.inventory, nodes, variables, secrets, ways.owner, ways.message, check, ways.keep
        )
        self.reader = Reader(nodes, secrets.values())
        self.stopped = self.last_words = ""
        self.rc = 0

    async def events(self) -> AsyncGenerator[OfPlaybook | Stopping, None]:
        """Raises ProgramMissing, PlaybookUnusable.  Closed early it ends the playbook."""
        child = await self._ways.start(self._call)
        lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        pump = asyncio.create_task(_pump(child, lines))
        try:
            while (line := await self._next(lines)) is not None:
                event = self.reader.read(line)
                if event is not None:
                    yield event
            if self.stopped:
                yield Stopping(self.stopped, self.reader.open())
                await child.stop(self._ways.wishes.hurry)
                await pump
                for event in self._rest(lines):
                    yield event
            self.rc, self.last_words = await child.wait(), child.last_words
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
            await asyncio.shield(child.close())

    async def _next(self, lines: asyncio.Queue[bytes | None]) -> bytes | None:
        """The next line; None = it has ended, or `stopped` says why it is to be."""
        getting = asyncio.ensure_future(lines.get())
        aborting = asyncio.ensure_future(self._ways.wishes.aborted.wait())
        quiet_s = self._ways.terms.quiet_s
        await asyncio.wait({getting, aborting}, timeout=quiet_s, return_when=asyncio.FIRST_COMPLETED)
        aborting.cancel()
        if getting.done():
            return getting.result()
        getting.cancel()
        wishes = self._ways.wishes
        self.stopped = wishes.why if wishes.aborted.is_set() else f"nothing was heard of it for {quiet_s:g} s"
        return None

    def _rest(self, lines: asyncio.Queue[bytes | None]) -> list[OfPlaybook]:
        left = [lines.get_nowait() for _ in range(lines.qsize())]
        read = [self.reader.read(line) for line in left if line is not None]
        return [event for event in read if event is not None]

    def phase(self, node: str) -> tuple[Phase | None, str]:
        """What became of it as far as Ansible tells, and why; None = all is done there."""
        reader = self.reader
        if node in reader.unreachable:
            return Phase.UNREACHABLE, reader.unreachable[node]
        if node in reader.recapped:
            return (None, "") if reader.recapped[node] else (Phase.FAILED, reader.failed.get(node, "Ansible says so"))
        if self.stopped:
            said = "a task was under way when the playbook was ended, and may go on there"
            said = said if node in reader.open() else "the playbook was ended before it was through here"
            return (Phase.FAILED, reader.failed[node]) if node in reader.failed else (Phase.UNKNOWN, said)
        if self.rc == 0:
            return None, "the playbook has nothing for it"
        if reader.failed or reader.unreachable:
            return Phase.SKIPPED, "another failed before it was its turn"
        return Phase.FAILED, self.last_words or f"ansible-playbook ended with {self.rc}"


async def _pump(child: Child, lines: asyncio.Queue[bytes | None]) -> None:
    try:
        async for line in child.lines():
            lines.put_nowait(line)
    finally:
        lines.put_nowait(None)


# --- check mode -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Would:
    """What the playbook would do on a node: the tasks that would change something, or why it cannot be done there."""

    node: str
    changes: tuple[Worked, ...] = ()
    failed: str = ""
    unreachable: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """The last event of `check`.  `why` says what ended it before its end."""

    would: Mapping[str, Would]
    why: str = ""

    @property
    def failed(self) -> tuple[Would, ...]:
        return tuple(would for would in self.would.values() if would.failed)

    @property
    def unreachable(self) -> dict[str, str]:
        return {name: would.unreachable for name, would in self.would.items() if would.unreachable}


CHANGES = frozenset({"changed", "item"})


async def check(plan: RolloutPlan, ways: Ways) -> AsyncGenerator[Event | Checked, None]:
    """Runs the whole in check mode.  Those that Ansible does not reach are told, and do not end it.

    Raises ProgramMissing, PlaybookUnusable.
    """
    would: dict[str, Would] = {}
    why, left = "", plan.to_do
    for _ in range(ROUNDS):
        play = _Play(plan, left, ways, check=True)
        changes: dict[str, list[Worked]] = {name: [] for name in left}
        async with aclosing(play.events()) as events:
            async for event in events:
                if isinstance(event, Worked) and event.what in CHANGES:
                    changes[event.node].append(event)
                yield event
        would |= {name: _would(name, play, changes[name]) for name in left}
        why = play.stopped
        left = tuple(name for name in left if play.phase(name)[0] is Phase.SKIPPED)
        if why or not left or not play.reader.unreachable or any(each.failed for each in would.values()):
            break
    for name in left:  # it never came so far
        would[name] = Would(name, unreachable="check mode did not come to it")
    yield Checked(would, why)


def _would(node: str, play: _Play, changes: list[Worked]) -> Would:
    phase, why = play.phase(node)
    unreachable = why if phase is Phase.UNREACHABLE else ""
    failed = why if phase in {Phase.FAILED, Phase.UNKNOWN} else ""
    return Would(node, tuple(changes), failed, unreachable)


# --- the rollout ------------------------------------------------------------------------------------------------------


async def rollout(plan: RolloutPlan, ways: Ways) -> AsyncGenerator[Event, None]:
    """What happens, as it happens, to its end.

    Raises ProgramMissing, PlaybookUnusable, and whatever `record` raises: what cannot be recorded is not begun.
    """
    run = _Run(plan, ways)
    async with aclosing(run.events()) as events:
        async for event in events:
            ways.record(event)
            yield event


class _Run:
    def __init__(self, plan: RolloutPlan, ways: Ways) -> None:
        self._plan, self._ways = plan, ways
        self._phases: dict[str, Phase] = {}
        self._was: dict[str, Health] = {}

    async def events(self) -> AsyncGenerator[Event, None]:
        total, batches = len(self._plan.batches), self._plan.batches
        for number, batch in enumerate(batches, 1):
            async with aclosing(self._batch(batch, number, total)) as events:
                async for event in events:
                    yield event
            if self._over():
                break
            if number < total and self._ways.wishes.held_by:
                yield Paused(batch.name, self._ways.wishes.held_by)
                by = await self._ways.wishes.released()
                if self._over():
                    break
                yield WentOn(by)
        yield await self._end()

    def _over(self) -> bool:
        return self._ways.wishes.aborted.is_set() or bool(self._bad())

    def _bad(self) -> str:
        """What ends the rollout; empty = nothing."""
        names = [f"{name} {phase}" for name, phase in self._phases.items() if phase in BAD]
        return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")

    # --- a batch ------------------------------------------------------------------------------------------------------

    async def _batch(self, batch: Batch, number: int, total: int) -> AsyncGenerator[Event, None]:
        nodes: list[str] = []
        async for judged in self._admitted(batch):
            if isinstance(judged, Judged):
                yield self._moved(judged)
            else:
                nodes.append(judged)
        if number == 1 and not nodes and not self._bad():  # nobody goes first: then nobody follows
            self._phases |= dict.fromkeys(batch.nodes, Phase.UNREACHABLE)
        if self._over() or not nodes:
            return
        yield BatchBegun(batch.name, number, total, tuple(nodes))
        async with aclosing(self._played(nodes)) as events:
            async for event in events:
                yield event
        if batch.soak_s and number < total and not self._over():
            yield Soaking(batch.name, batch.soak_s)
            await self._soak(batch.soak_s)
            async for judged_again in self._looked_at_again(nodes):
                yield self._moved(judged_again)

    async def _played(self, nodes: list[str]) -> AsyncGenerator[Event, None]:
        play = _Play(self._plan, tuple(nodes), self._ways)
        async with aclosing(play.events()) as events:
            async for event in events:
                yield event
        async for judged in self._judged(nodes, play):
            yield self._moved(judged)

    def _moved(self, judged: Judged) -> Judged:
        self._phases[judged.node] = judged.phase
        return judged

    async def _admitted(self, batch: Batch) -> AsyncIterator[str | Judged]:
        """Who is fit to begin, and of the others why not; where one is held by somebody else, nobody is."""
        found = await look_at(batch.nodes, self._ways.client_of)
        held = {name: now.held_by for name, now in found.items() if held_by_other(now, self._ways.owner)}
        for name, now in found.items():
            planned = self._plan.nodes[name].health
            self._was[name] = now if now.answers else planned
            if name in held:
                yield Judged(name, Phase.FAILED, f"held by {held[name]}; nothing was changed", planned, now)
            elif planned.answers and not now.answers:
                yield Judged(name, Phase.DEFERRED, now.in_words(), planned, now)
            elif held:
                yield Judged(name, Phase.SKIPPED, "another is held", planned, now)
            else:
                yield name

    async def _judged(self, nodes: Iterable[str], play: _Play) -> AsyncIterator[Judged]:
        """Each node once it is clear how it is; all are asked, whatever Ansible said."""
        tasks = [asyncio.create_task(self._judge(name, *play.phase(name))) for name in nodes]
        try:
            for task in asyncio.as_completed(tasks):
                yield await task
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _judge(self, name: str, phase: Phase | None, said: str) -> Judged:
        was = self._was[name]
        if phase is not None:
            now = await look(self._ways.client_of(name))
            return Judged(name, phase, "; ".join(filter(None, (said, _runs(was, now)))), was, now)
        seen, words, now = await self._settled(name)
        phase = PHASES[seen]
        return Judged(name, phase, "; ".join(filter(None, (said, words))), was, now)

    async def _settled(self, name: str) -> tuple[Look, str, Health]:
        """Looked at until it is clear, or its time is over: then what is not well is bad."""
        terms, begun_s = self._ways.terms, self._ways.clock.monotonic()
        patience_s = {Look.WAIT: terms.health_s, Look.TRIAL: terms.trial_s}
        while True:
            now = await look(self._ways.client_of(name))
            seen, words = judge(self._was[name], now)
            waited_s = self._ways.clock.monotonic() - begun_s
            if waited_s >= patience_s.get(seen, 0.0) or self._ways.wishes.aborted.is_set():
                return seen, words, now
            await self._ways.pause(self._ways.terms.look_s)

    async def _soak(self, seconds: float) -> None:
        """That long, or until somebody aborts it."""
        waits = [asyncio.ensure_future(self._ways.pause(seconds)), asyncio.ensure_future(self._aborted())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    async def _aborted(self) -> None:
        await self._ways.wishes.aborted.wait()

    async def _looked_at_again(self, nodes: Iterable[str]) -> AsyncIterator[Judged]:
        """After the soak: told only where something has changed."""
        for name in nodes:
            if self._phases.get(name) in DONE:
                judged = await self._judge(name, None, "")
                if judged.phase is Phase.FAILED:
                    yield replace(judged, said=f"while it was watched: {judged.said}")

    # --- the end ------------------------------------------------------------------------------------------------------

    async def _end(self) -> Ended:
        bad, wishes = self._bad(), self._ways.wishes
        if wishes.aborted.is_set():
            return Ended(How.ABORTED, wishes.why, await self._rows())
        return Ended(How.STOPPED if bad else How.DONE, bad, await self._rows())

    async def _rows(self) -> tuple[Row, ...]:
        found = await look_at(self._plan.nodes, self._ways.client_of)
        return tuple(Row(name, self._said(name), _short(now), now.in_words()) for name, now in found.items())

    def _said(self, name: str) -> str:
        standing = self._plan.nodes[name].standing
        return str(self._phases.get(name, Phase.SKIPPED if standing is Standing.GOES else standing))


def _short(now: Health) -> str:
    return f"{now.version} {now.digest[:8]}".strip() if now.answers else ""


def _runs(was: Health, now: Health) -> str:
    if not now.answers:
        return now.in_words()
    still = "still " if was.answers and (was.version, was.digest) == (now.version, now.digest) else ""
    return f"{still}runs {_short(now)}, {'ready' if now.ready else 'not ready'}"


def refuse_held(plan: RolloutPlan) -> None:
    """Raises NodesHeld where nothing is left because somebody else is at work there."""
    held = plan.standing(Standing.HELD)
    if held and not plan.to_do:
        raise NodesHeld("; ".join(f"{node.node}: {node.why}" for node in held[:NAMED]))
