"""How much of a machine a large fleet may take: how many requests begin at once, how many connections stay open."""

from __future__ import annotations

import asyncio
import resource
from dataclasses import dataclass
from types import TracebackType

AT_ONCE = 256
"""Requests under way: those of nodes that hang must not hold up the others."""
BURST, BURST_S = 8, 0.01
"""So many begin, then the loop has a breath: 800 a second at most, and fewer where it is behind."""
STREAMS_MAX = 200
SPARE = 64
"""Descriptors for all else: terminal, files, programs that are started."""


class Gate:
    """Whoever wants to ask a node passes through it, in the order in which they came."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._room = asyncio.Semaphore(at_once)
        self._turn = asyncio.Lock()
        self._passed = 0

    async def __aenter__(self) -> None:
        await self._room.acquire()
        try:
            await self._wait()
        except BaseException:
            self._room.release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._room.release()

    async def _wait(self) -> None:
        async with self._turn:
            self._passed += 1
            if self._passed % BURST == 0:
                await asyncio.sleep(BURST_S)


@dataclass(frozen=True, slots=True)
class Room:
    """What the limit of open files leaves: event streams, and whether connections are kept between polls."""

    streams: int
    keep: bool
    notice: str = ""


def room_for(nodes: int, limit: int) -> Room:
    free = max(0, limit - SPARE)
    if free >= nodes + min(STREAMS_MAX, nodes):
        return Room(STREAMS_MAX, keep=True)
    keep = free >= 2 * AT_ONCE + nodes
    streams = min(STREAMS_MAX, free - nodes if keep else free // 4)
    kept = "" if keep else ", a connection for each poll"
    return Room(streams, keep, f"{limit} open files for {nodes} nodes (ulimit -n): {streams} event streams{kept}")


def raised_limit(nodes: int) -> int:
    """The limit of open files, raised as far as it may be and is worth it for so many nodes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = nodes + STREAMS_MAX + SPARE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):  # a sandbox may forbid even that
        return soft
    return most
