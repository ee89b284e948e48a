"""A push: documents put on nodes batch by batch; each proves its own, and the first that does not ends it.

Nothing here knows of screens: `push` gives typed events as they happen, and what it gives it has recorded before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from itertools import chain, repeat
from typing import Any, TypeVar

from console.fleet.batches import Batch, BatchBegun, Soaking
from console.fleet.client import NodeClient
from console.fleet.clock import Clock
from console.fleet.gate import Gate
from console.fleet.hold import HOLDER, Holds
from console.fleet.push_gate import Before, Look, Seen, before, judge
from console.fleet.push_plan import CONFIG_PATH, ClientOf, NodePlan, PushPlan, Standing, rolled_back
from console.fleet.text import clean
from console.fleet.wanted import Wanted
from node.wire.errors import HeliographError, NodeAnswerWrong, NodesHeld, NodeUnreachable, OrderRefused
from node.wire.records import ConfigActivation

ROLLBACK_PATH = f"{CONFIG_PATH}/rollback"
GOES_ON, TOO_MANY = frozenset({"API-012", "API-018"}), frozenset({"API-006"})
"""The node's codes for: it takes longer than an answer may; and for: ask again in a moment."""
LOOKS_S = (1.0, 1.0, 2.0, 3.0)
NAMED = 3
AGAIN = 5
"""So often a node that is asked too much is asked again."""
Answer = TypeVar("Answer")


class Phase(StrEnum):
    """How far a node is (closed)."""

    SENT = "sent"
    CONFIRMED = "confirmed"
    PROVISIONAL = "provisional"
    ROLLED_BACK = "rolled back"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DEFERRED = "deferred"
    SKIPPED = "not begun"


DONE = frozenset({Phase.CONFIRMED, Phase.PROVISIONAL})
BAD = frozenset({Phase.ROLLED_BACK, Phase.FAILED, Phase.UNKNOWN})
"""After the first of these no batch follows."""


class How(StrEnum):
    """How a push ended (closed); one without an end was interrupted."""

    DONE = "done"
    STOPPED = "stopped"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Terms:
    """How long things may take, in seconds.

    `again_s` lies between the two looks that must agree, `look_s` is the longest time between two others, `limit_s` how
    long a node that does not say it may take to decide, `slack_s` what it may take longer than it says.
    """

    again_s: float = 3.0
    look_s: float = 5.0
    limit_s: float = 300.0
    slack_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Moved:
    """A node has come so far, in words; `code` is that of an error, the node's own where it gave one."""

    node: str
    phase: Phase
    said: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Converged:
    """What a node should run and what it runs; `running` empty = it could not be asked."""

    node: str
    wanted: str
    running: str
    state: str
    phase: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event: how and why, and every node as it is now."""

    how: How
    why: str
    rows: tuple[Converged, ...] = ()


Event = BatchBegun | Moved | Soaking | Ended
Record = Callable[[Event], None]
Pause = Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class Ways:
    """What a push works through: who asks a node, what keeps its events, who holds the nodes, time."""

    client_of: ClientOf
    record: Record
    holds: Holds
    terms: Terms = field(default_factory=Terms)
    clock: Clock = field(default_factory=Clock)
    pause: Pause = asyncio.sleep


async def push(plan: PushPlan, ways: Ways) -> AsyncGenerator[Event, None]:
    """What happens, as it happens, to its end.

    Raises NodesHeld before anything is sent, and whatever `record` raises: what cannot be recorded is not begun.
    Closed early, it sends nothing more and lets the nodes go; those on probation decide by themselves.
    """
    run = _Run(plan, ways)
    try:
        async with ways.holds, aclosing(run.events()) as events:
            async for event in events:
                ways.record(event)
                yield event
    except NodesHeld as held:
        ways.record(Ended(How.HELD, str(held)))
        raise


class _Run:
    def __init__(self, plan: PushPlan, ways: Ways) -> None:
        self._plan, self._ways = plan, ways
        self._gate = Gate()
        self._phases: dict[str, Phase] = {}
        self._was: dict[str, Before] = {}

    async def events(self) -> AsyncGenerator[Event, None]:
        why = ""
        for number, batch in enumerate(self._plan.batches, 1):
            why = self._ways.holds.lost
            if why:
                break
            yield BatchBegun(batch.name, number, len(self._plan.batches), batch.nodes)
            async with aclosing(self._together(batch.nodes, self._change)) as moves:
                async for moved in moves:
                    yield moved
            if batch.soak_s and not self._bad():
                yield Soaking(batch.name, batch.soak_s)
                await self._ways.pause(batch.soak_s)
                async with aclosing(self._together(batch.nodes, self._look_again)) as moves:
                    async for moved in moves:
                        yield moved
            why = self._bad() or self._unproved(batch)
            if why:
                break
        yield Ended(How.STOPPED if why else How.DONE, why, await self._converged())

    def _unproved(self, batch: Batch) -> str:
        """Others do not follow nodes that none of could be reached; empty = somebody has proved it."""
        proved = any(self._phases.get(name) in DONE for name in batch.nodes)
        return "" if proved else f"no node of the batch {batch.name} could be reached"

    def _bad(self) -> str:
        """What ends the push; empty = nothing."""
        names = [f"{name} {phase}" for name, phase in self._phases.items() if phase in BAD]
        return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")

    async def _together(
        self, nodes: tuple[str, ...], do: Callable[[str, NodeClient], AsyncIterator[Moved]]
    ) -> AsyncGenerator[Moved, None]:
        """What becomes of these, at the same time, as it comes."""
        told: asyncio.Queue[Moved | None] = asyncio.Queue()

        async def one(name: str) -> None:
            try:
                async for moved in self._asked(name, do):
                    self._phases[name] = moved.phase
                    told.put_nowait(moved)
            finally:
                told.put_nowait(None)

        tasks = [asyncio.create_task(one(name)) for name in nodes]
        try:
            for _ in tasks:
                while (moved := await told.get()) is not None:
                    yield moved
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _asked(self, name: str, do: Callable[[str, NodeClient], AsyncIterator[Moved]]) -> AsyncIterator[Moved]:
        client = self._ways.client_of(name)
        if client is None:
            yield Moved(name, Phase.DEFERRED, "there is nobody to ask")
            return
        async for moved in do(name, client):
            yield moved

    # --- one node -----------------------------------------------------------------------------------------------

    async def _change(self, name: str, client: NodeClient) -> AsyncIterator[Moved]:
        """From its state of before to its verdict."""
        if self._bad():
            yield Moved(name, Phase.SKIPPED, "another failed before it was its turn")
            return
        planned, meant = self._plan.nodes[name], self._plan.documents[name]
        try:
            was = before(await self._through(client.status))
        except HeliographError as error:
            yield _failed(name, Phase.DEFERRED, error)
            return
        proving = planned.standing is Standing.PROVING
        self._was[name] = replace(was, digest="") if proving else was
        if not proving:
            sent = await self._sent(planned, meant, client)
            yield sent
            if sent.phase is not Phase.SENT:
                return
        yield await self._proved(name, client, self._was[name], meant)

    async def _sent(self, planned: NodePlan, meant: Wanted, client: NodeClient) -> Moved:
        """Once; again only where the node has said that it was asked too much."""
        headers = {"If-Match": f'"{planned.version}"', HOLDER: self._ways.holds.owner}
        for _ in range(AGAIN):
            try:
                done = await self._through(
                    lambda: client.send("PUT", CONFIG_PATH, ConfigActivation, meant.document, headers)
                )
            except HeliographError as error:
                moved = _unsent(planned.node, error)
            else:
                until = f", on probation until {clean(done.probation_until)}" if done.probation_until else ""
                return Moved(planned.node, Phase.SENT, f"version {done.version}{until}")
            if moved.code not in TOO_MANY:
                break
            await self._ways.pause(self._ways.terms.again_s)
        return moved

    async def _proved(self, name: str, client: NodeClient, was: Before, meant: Wanted) -> Moved:
        """Its verdict: two looks that agree, or the end of its time."""
        terms, said, limit_s = self._ways.terms, "", None
        until_s = self._ways.clock.monotonic() + terms.limit_s
        seen, waits = Seen(Look.WAIT), self._waits()
        while self._ways.clock.monotonic() < until_s:
            await self._ways.pause(next(waits) if seen.look is Look.WAIT else terms.again_s)
            try:
                status = await self._through(client.status)
            except HeliographError as error:
                said, seen = clean(str(error)), Seen(Look.WAIT)
                continue
            said, earlier, seen = "", seen, judge(was, status, meant.digest)
            if seen.left_s is not None and limit_s is None:  # once: a clock that stands still would prolong it for ever
                limit_s = seen.left_s + terms.slack_s
                until_s = self._ways.clock.monotonic() + limit_s
            if seen.look is not Look.WAIT and seen.look is earlier.look:
                return await self._verdict(name, client, seen, meant)
        why = f"it does not answer ({said})" if said else "it has not decided in its time"
        return Moved(name, Phase.UNKNOWN, f"{why}: by itself it keeps the document or goes back")

    def _waits(self) -> Iterator[float]:
        longest = self._ways.terms.look_s
        return (min(each, longest) for each in chain(LOOKS_S, repeat(longest)))

    async def _verdict(self, name: str, client: NodeClient, seen: Seen, meant: Wanted) -> Moved:
        if seen.look is Look.PASSED:
            return Moved(name, Phase.CONFIRMED, f"runs {meant.digest[:8]}")
        if seen.look is Look.PROVISIONAL:
            return Moved(name, Phase.PROVISIONAL, seen.why)
        if seen.look is Look.WORSE:
            return await self._taken_back(name, client, seen.why)
        reason = await self._through(lambda: rolled_back(client, meant.digest))
        if reason is not None:
            return Moved(name, Phase.ROLLED_BACK, f"{reason or 'it did not prove itself'}; {seen.why}")
        return Moved(name, Phase.FAILED, seen.why)

    async def _taken_back(self, name: str, client: NodeClient, why: str) -> Moved:
        """The node took the document for good, and is worse off: it is asked to go back, and looked at again."""
        planned, was = self._plan.nodes[name], self._was[name]
        body = {} if planned.standing is Standing.PROVING else {"version": planned.version}
        key = {"Idempotency-Key": f"{self._ways.holds.owner}-{name}", HOLDER: self._ways.holds.owner}
        try:
            await self._through(lambda: client.send("POST", ROLLBACK_PATH, ConfigActivation, body, key))
            runs = (await self._through(client.status)).config.digest
        except HeliographError as error:
            return Moved(name, Phase.FAILED, f"{why}; it was asked to go back, and: {error}", error.code)
        back = "runs the document of before again" if runs == was.digest else f"runs {clean(runs[:8])}"
        return Moved(name, Phase.FAILED, f"{why}; it was asked to go back, and {back}")

    async def _look_again(self, name: str, client: NodeClient) -> AsyncIterator[Moved]:
        """After the soak: told only where something has changed."""
        if self._phases.get(name) in DONE:
            moved = await self._proved(name, client, self._was[name], self._plan.documents[name])
            if moved.phase is not self._phases[name]:
                yield moved

    # --- all nodes ----------------------------------------------------------------------------------------------

    async def _converged(self) -> tuple[Converged, ...]:
        return tuple(await asyncio.gather(*(self._row(planned) for planned in self._plan.nodes.values())))

    async def _row(self, planned: NodePlan) -> Converged:
        client, phase = self._ways.client_of(planned.node), self._phases.get(planned.node)
        said = str(phase or planned.standing)
        if client is None or (phase is None and planned.standing is Standing.DEFERRED):
            return Converged(planned.node, planned.wanted, "", "", said)
        try:
            config = (await self._through(client.status)).config
        except HeliographError as error:
            return Converged(planned.node, planned.wanted, "", clean(str(error)), said)
        return Converged(planned.node, planned.wanted, clean(config.digest), str(config.state), said)

    async def _through(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        async with self._gate:
            return await ask()


def _unsent(node: str, error: HeliographError) -> Moved:
    """What that error says of a document on its way: it may have arrived all the same."""
    if isinstance(error, NodeUnreachable) and not error.sent:
        return _failed(node, Phase.DEFERRED, error)
    if isinstance(error, NodeUnreachable | NodeAnswerWrong):
        return Moved(node, Phase.SENT, "no answer: whether it arrived will be seen", error.code)
    if isinstance(error, OrderRefused):
        phase = Phase.SENT if error.theirs in GOES_ON else Phase.FAILED
        return Moved(node, phase, clean(f"it said: {error}"), error.theirs)
    return _failed(node, Phase.FAILED, error)


def _failed(node: str, phase: Phase, error: HeliographError) -> Moved:
    return Moved(node, phase, clean(str(error)), error.code)


def as_entry(event: Event) -> Mapping[str, Any]:
    """For programs and for the history: the kind, and its fields by their names."""
    return {"event": KINDS[type(event)], **asdict(event)}


KINDS: Mapping[type, str] = {BatchBegun: "batch", Moved: "moved", Soaking: "soaking", Ended: "ended"}
