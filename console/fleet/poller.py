"""Asks every node how it is, again and again, and listens to its events."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterable

from console.fleet.client import NodeClient
from console.fleet.clock import Clock
from console.fleet.inventory import Host
from console.fleet.view import FleetModel, Patience
from node.wire.errors import HeliographError, NodeAnswerWrong

JITTER = 0.1
"""Share by which a node's polls come early or late, so that a fleet is not asked at one instant."""
AT_ONCE = 64
"""Polls under way at the same moment."""
RETRIES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
NEWS_WAIT_S = 0.3
"""After an event the status is asked for this soon: time for the node to post its facts."""


class Fleet:
    """One poller and one listener for each node; what they learn goes into the model."""

    def __init__(
        self,
        hosts: Iterable[Host],
        *,
        patience: Patience | None = None,
        clock: Clock | None = None,
        connect: Callable[[Host], NodeClient] = NodeClient,
    ) -> None:
        hosts = tuple(hosts)
        self.model = FleetModel(hosts, patience=patience or Patience(), clock=clock or Clock())
        at_once = asyncio.Semaphore(AT_ONCE)
        self._nodes = {host.name: _Node(connect(host), self.model, at_once) for host in hosts}
        self._attended: frozenset[str] = frozenset()

    def attend(self, names: Iterable[str]) -> None:
        """The nodes on the screen: their events are streamed."""
        self._attended = frozenset(names)

    def client(self, name: str) -> NodeClient | None:
        """Who asks that node; None = it is not in the inventory."""
        node = self._nodes.get(name)
        return None if node is None else node.client

    def ask_now(self, name: str) -> None:
        """Polls that node at once."""
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
            async with asyncio.TaskGroup() as tasks:
                for node in self._nodes.values():
                    tasks.create_task(node.poll())
                    tasks.create_task(node.listen())
        finally:
            await self._close()

    async def _close(self) -> None:
        await asyncio.gather(*(node.close() for node in self._nodes.values()))


class _Node:
    """The two loops of one node."""

    def __init__(self, client: NodeClient, model: FleetModel, at_once: asyncio.Semaphore) -> None:
        self.client = client
        self._name = client.host.name
        self._model = model
        self._at_once = at_once
        self._news = asyncio.Event()
        self._last_id = 0

    async def close(self) -> None:
        await self.client.close()

    def ask_now(self) -> None:
        self._news.set()

    async def ask(self) -> None:
        try:
            async with self._at_once:
                self._model.heard(self._name, await self.client.status())
        except HeliographError as error:
            self._model.failed(self._name, error)
        except Exception as error:  # noqa: BLE001 - loop boundary: one node's oddity must not end the screen
            self._model.failed(self._name, NodeAnswerWrong(f"unexpected {type(error).__name__}"))

    async def poll(self) -> None:
        spread = zlib.crc32(self._name.encode()) / 0xFFFFFFFF
        interval_s = self._model.patience.poll_s * (1 + JITTER * (2 * spread - 1))
        while True:
            await self.ask()
            await self._pause(interval_s)

    async def listen(self) -> None:
        failures = 0
        while True:
            before = self._last_id
            try:
                await self._hear()
            except HeliographError:
                pass  # the polls say what is wrong with the node
            except Exception as error:  # noqa: BLE001 - loop boundary, as in `ask`
                self._model.failed(self._name, NodeAnswerWrong(f"unexpected {type(error).__name__} in its events"))
            failures = 0 if self._last_id > before else failures + 1
            await asyncio.sleep(RETRIES_S[min(failures, len(RETRIES_S) - 1)])

    async def _hear(self) -> None:
        async for event in self.client.events(self._last_id):
            self._last_id = max(self._last_id, event.id)
            self._model.happened(self._name, event)
            self._news.set()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()
        await asyncio.sleep(NEWS_WAIT_S)
