"""Asks every node how it is, again and again; listens to those that are looked at or in trouble."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator
from contextlib import aclosing
from itertools import chain, islice
from typing import cast

from console.fleet.client import NodeClient
from console.fleet.clock import Clock
from console.fleet.garbage import Garbage
from console.fleet.gate import Gate, raised_limit, room_for
from console.fleet.inventory import Host
from console.fleet.view import FleetModel, NodeView, Patience
from node.wire.errors import HeliographError, NodeAnswerWrong
from node.wire.stream import GOODBYE, RESET, StreamEvent

JITTER = 0.1
"""Share by which a node's polls come early or late, so that a fleet is not asked at one instant."""
BREAKER_MAX_S = 60.0
"""A node that does not answer is asked ever more seldom, but at least so often."""
RETRIES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
NEWS_WAIT_S = 0.3
"""After an event the status is asked for this soon: time for the node to post its facts."""
NEWS_APART_S = 1.0
"""However many events come."""
CHOOSE_S = 0.5
FAILURES_BORNE = 3
"""A stream is not given up for one poll that came too late."""
EVENTS_BURST, EVENTS_BREATH_S = 100, 0.5
"""So many events, then a pause: what a node tells beyond that waits in its connection, and the node cuts it."""
BACKLOG = 50
"""Events of before that a stream begins with."""


class Fleet:
    """One task for each node that polls it, and event streams to some; what they learn goes into the model."""

    def __init__(
        self,
        hosts: Iterable[Host],
        *,
        patience: Patience | None = None,
        clock: Clock | None = None,
        connect: Callable[[Host], NodeClient] = NodeClient,
    ) -> None:
        self.model = FleetModel((), patience=patience or Patience(), clock=clock or Clock())
        self._connect = connect
        self._gate = Gate()
        self._nodes: dict[str, _Node] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._attended: tuple[str, ...] = ()
        self._troubled: dict[str, None] = {}
        self._seen = 0
        self._choose = asyncio.Event()
        self._garbage = Garbage(self.model.clock)
        self._notices: dict[str, str] = {}
        self.set_hosts(hosts)

    @property
    def notice(self) -> str:
        """What the operator should know of the console itself; empty = nothing."""
        return "; ".join(filter(None, self._notices.values()))

    def note(self, about: str, text: str) -> None:
        """What is to be known about that now; an empty text takes it back."""
        self._notices[about] = text

    def set_hosts(self, hosts: Iterable[Host]) -> None:
        """The nodes from now on: new ones are asked, those that are gone no longer."""
        wanted = {host.name: host for host in hosts}
        for name in [name for name, node in self._nodes.items() if wanted.get(name) != node.client.host]:
            self._nodes.pop(name).stop()
        self.model.set_hosts(wanted.values())
        self._room = room_for(len(wanted), raised_limit(len(wanted)))
        self.note("room", self._room.notice)
        for name in [name for name in wanted if name not in self._nodes]:
            self._nodes[name] = node = _Node(self._connect(wanted[name]), self.model, self._gate)
            if self._tasks is not None:
                node.start(self._tasks)
        for node in self._nodes.values():
            node.keep = self._room.keep

    def attend(self, names: Iterable[str]) -> None:
        """The nodes on the screen: their events are streamed."""
        attended = tuple(names)
        if attended != self._attended:
            self._attended = attended
            self._choose.set()

    def client(self, name: str) -> NodeClient | None:
        """Who asks that node; None = it is not in the inventory."""
        node = self._nodes.get(name)
        return None if node is None else node.client

    def ask_now(self, name: str) -> None:
        """Polls that node at once, however long it has been silent."""
        if name in self._nodes:
            self._nodes[name].ask_now()

    async def ask_once(self) -> None:
        """Every node, once."""
        try:
            await asyncio.gather(*(node.ask() for node in self._nodes.values()))
        finally:
            await self._close()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                for node in self._nodes.values():
                    node.start(self._tasks)
                self._tasks.create_task(self._listen(self._tasks))
        finally:
            self._tasks = None
            self._garbage.leave()
            await self._close()

    async def _close(self) -> None:
        await asyncio.gather(*(node.client.close() for node in self._nodes.values()))

    async def _listen(self, tasks: asyncio.TaskGroup) -> None:
        """Opens and closes streams as nodes come into view or into trouble."""
        while True:
            self._garbage.mind(len(self._nodes))
            wanted = set(self._chosen())
            for name, node in self._nodes.items():
                if name in wanted:
                    node.listen(tasks)
                elif node.listens:
                    node.leave()
            try:
                async with asyncio.timeout(CHOOSE_S):
                    await self._choose.wait()
            except TimeoutError:
                continue
            self._choose.clear()

    def _chosen(self) -> list[str]:
        for name in self.model.changed_since(self._seen):
            if _in_trouble(self.model.views.get(name)):
                self._troubled.setdefault(name)
            else:
                self._troubled.pop(name, None)
        self._seen = self.model.revision
        open_now = {name for name, node in self._nodes.items() if node.listens}
        attended = [name for name in self._attended if answers(self.model.views.get(name))]
        return list(islice(preferred(attended, self._troubled, open_now), self._room.streams))


def preferred(attended: Iterable[str], troubled: Collection[str], open_now: Collection[str]) -> Iterator[str]:
    """Who is listened to first: those on the screen, then the sick, and of these whoever is listened to already."""
    sick = sorted(troubled, key=lambda name: name not in open_now)
    return iter(dict.fromkeys(chain(attended, sick)))


def answers(view: NodeView | None) -> bool:
    """Whether it has answered this console, if not the last time then shortly before."""
    return view is not None and view.status is not None and not view.remembered and view.failures < FAILURES_BORNE


def _in_trouble(view: NodeView | None) -> bool:
    return view is not None and answers(view) and view.status is not None and view.status.state != "ok"


class _Node:
    """The polls of one node, and its event stream while somebody wants it."""

    def __init__(self, client: NodeClient, model: FleetModel, gate: Gate) -> None:
        self.client = client
        self.keep = True
        """Whether the connection is kept from one poll to the next."""
        self._name = client.host.name
        self._model = model
        self._gate = gate
        self._news = asyncio.Event()
        self._urgent = False
        self._failures = 0
        self._last_id: int | None = None
        self._polling: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None

    @property
    def listens(self) -> bool:
        return self._listening is not None

    def start(self, tasks: asyncio.TaskGroup) -> None:
        self._polling = tasks.create_task(self._poll())

    def listen(self, tasks: asyncio.TaskGroup) -> None:
        """Once; until `leave`."""
        if self._listening is None:
            self._listening = tasks.create_task(self._hear_on())

    def leave(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    def stop(self) -> None:
        self.leave()
        if self._polling is not None:
            self._polling.cancel()

    def ask_now(self) -> None:
        self._failures, self._urgent = 0, True
        self._news.set()

    async def ask(self) -> None:
        try:
            async with self._gate:
                self._model.heard(self._name, await self.client.status())
        except HeliographError as error:
            self._failed(error)
        except Exception as error:  # noqa: BLE001 - loop boundary: one node's oddity must not end the screen
            self._failed(NodeAnswerWrong(f"unexpected {type(error).__name__}"))
        else:
            self._failures = 0

    def _failed(self, error: HeliographError) -> None:
        self._failures += 1
        self._model.failed(self._name, error)

    async def _poll(self) -> None:
        place = zlib.crc32(self._name.encode()) / 0xFFFFFFFF
        interval_s = self._model.patience.poll_s * (1 + JITTER * (2 * place - 1))
        try:
            await self._visit()
            await self._pause(interval_s * place)  # at first all are asked; from then on each at its own time
            while True:
                await self._visit()
                await self._pause(self._wait_s(interval_s))
        finally:
            await self.client.close()

    async def _visit(self) -> None:
        await self.ask()
        if not self.keep:
            await self.client.rest()

    def _wait_s(self, interval_s: float) -> float:
        doubled = max(0, self._failures - self._model.patience.failed + 1)
        return interval_s if doubled == 0 else min(interval_s * 2 ** min(doubled, 16), max(interval_s, BREAKER_MAX_S))

    async def _pause(self, seconds: float) -> None:
        began_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return
        waited_s = asyncio.get_running_loop().time() - began_s
        if not self._urgent:
            await asyncio.sleep(max(NEWS_WAIT_S, NEWS_APART_S - waited_s))
        self._urgent = False
        self._news.clear()

    async def _hear_on(self) -> None:
        failures = 0
        while True:
            before = self._last_id
            try:
                await self._hear(self._start())
            except HeliographError:
                pass  # the polls say what is wrong with the node
            except Exception as error:  # noqa: BLE001 - loop boundary, as in `ask`
                self._model.failed(self._name, NodeAnswerWrong(f"unexpected {type(error).__name__} in its events"))
            failures = 0 if self._last_id != before else failures + 1
            await asyncio.sleep(RETRIES_S[min(failures, len(RETRIES_S) - 1)])

    def _start(self) -> int:
        """After which id: what was missed, but no more than anybody would read."""
        view = self._model.views.get(self._name)
        newest = view.status.last_event_id if view is not None and view.status is not None else 0
        return max(self._last_id or 0, newest - BACKLOG)

    async def _hear(self, after: int) -> None:
        async with aclosing(cast("AsyncGenerator[StreamEvent]", self.client.events(after))) as events:
            taken = 0
            async for event in events:
                self._news.set()
                taken += 1
                if taken % EVENTS_BURST == 0:
                    await asyncio.sleep(EVENTS_BREATH_S)
                if event.kind == GOODBYE:
                    return
                if event.kind == RESET:
                    self._last_id = _after_reset(event)
                    return
                self._last_id = event.id  # as the node counts: after a restored backup it may be less
                self._model.happened(self._name, event)


def _after_reset(event: StreamEvent) -> int:
    """What is left of the log is not read from its beginning: that may be days."""
    newest = event.body.get("newest")
    return max(event.id, newest - BACKLOG) if isinstance(newest, int) else event.id
