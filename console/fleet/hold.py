"""Nodes held for one run by a lease on each, so that two control hosts exclude each other."""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

from console.fleet.client import NodeClient
from console.fleet.gate import Gate
from console.fleet.push_plan import ClientOf
from console.fleet.text import clean
from node.wire.errors import HeliographError, LeaseHeld, NodesHeld, OrderRefused
from node.wire.records import LeaseRecord
from node.wire.times import to_text

LEASE_PATH, HOLDER = "/v1/lease", "Heliograph-Lease"
TTL_S = 300
RENEWED_S = TTL_S / 3
LEAVING_S = 10.0
"""So long letting go may take; what is not let go ends by itself."""
NAMED = 3
UNFIT, HOST_CHARS, MESSAGE_CHARS = re.compile(r"[^A-Za-z0-9._-]"), 60, 200


def run_id(kind: str, now_us: int) -> str:
    """The name of a run: its kind, when it began, and a few letters."""
    stamp = to_text(now_us)[:19].replace("-", "").replace(":", "")
    return f"{kind}-{stamp}Z-{secrets.token_hex(2)}"


def owner_of(run: str) -> str:
    """As the nodes' leases name it."""
    return f"{run}@{UNFIT.sub('-', socket.gethostname())[:HOST_CHARS]}"


class Holds:
    """The leases of one run.  Nodes of a release that knows none are not held, and that is no fault."""

    def __init__(self, nodes: Iterable[str], client_of: ClientOf, owner: str, message: str) -> None:
        self.owner = owner
        self.lost = ""
        """Whom somebody else holds by now, though we did; empty = nobody."""
        self._nodes, self._client_of = tuple(nodes), client_of
        self._message = clean(message, MESSAGE_CHARS)
        self._gate = Gate()
        self._held: set[str] = set()
        self._renewing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """All of them, or NodesHeld is raised and none is held.  One that does not answer is left to the push."""
        try:
            refused = await self._take(self._nodes)
        except BaseException:  # also where it is interrupted: what was taken is let go
            await self._leave()
            raise
        if refused:
            await self._leave()
            raise NodesHeld(_told(refused))
        self._renewing = asyncio.create_task(self._renew())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
        await self._leave()

    async def _renew(self) -> None:
        while not self.lost:
            await asyncio.sleep(RENEWED_S)
            self.lost = _told(await self._take(self._held))

    async def _take(self, nodes: Iterable[str]) -> list[str]:
        """Why not, of those that somebody else holds."""
        answers = await asyncio.gather(*(self._one(name) for name in sorted(nodes)))
        return [why for why in answers if why]

    async def _one(self, name: str) -> str:
        client, body = self._client_of(name), {"owner": self.owner, "message": self._message, "ttl_s": TTL_S}
        if client is None:
            return ""
        try:
            async with self._gate:
                await client.send("PUT", LEASE_PATH, LeaseRecord, body)
        except OrderRefused as error:
            return f"{name}: {error.said}" if error.theirs == LeaseHeld.code else ""
        except HeliographError:
            return ""
        self._held.add(name)
        return ""

    async def _leave(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVING_S):
                await asyncio.gather(*(self._let_go(name) for name in sorted(self._held)))
        self._held.clear()

    async def _let_go(self, name: str) -> None:
        client: NodeClient | None = self._client_of(name)
        if client is None:
            return
        with suppress(HeliographError):  # it ends by itself
            async with self._gate:
                await client.send("DELETE", LEASE_PATH, LeaseRecord, {"owner": self.owner})


def _told(refused: list[str]) -> str:
    more = f"; and {len(refused) - NAMED} more" if len(refused) > NAMED else ""
    return "; ".join(refused[:NAMED]) + more
