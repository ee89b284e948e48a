"""Nodes that misbehave, one way each: what a broken link, a wrong machine or an enemy may answer."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from typing import Any

from pydantic import BaseModel

from node.domain.events import REGISTRY, FrameKept
from node.wire.problem import Problem
from node.wire.records import ConfigRecord, DeepHealth, FrameRecord, Page, SlotRecord
from node.wire.status import NodeStatus
from node.wire.stream import StreamEvent, event_block
from node.wire.work_records import JobRecord, QueueRecord
from tests.bench.fleet.certificate import LOOPBACK, Certificate
from tests.bench.fleet.extreme import FRAME, TIMES, Extreme
from tests.bench.fleet.life import CONTRACT, SimNode

HUGE = 10_000_000
PIECE = b" " * 65_536
NEVER_S = 3600.0
RECORDS: dict[str, type[BaseModel]] = {
    "/v1/status": NodeStatus,
    "/v1/frames": Page[FrameRecord],
    "/v1/frames/latest": Page[FrameRecord],
    "/v1/gaps": Page[SlotRecord],
    "/v1/queue": QueueRecord,
    "/health/deep": DeepHealth,
    "/v1/config": ConfigRecord,
    "/v1/jobs": Page[JobRecord],
    f"/v1/jobs/{FRAME}": JobRecord,
}
"""What the console asks for."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request to one such node."""

    name: str
    path: str
    writer: asyncio.StreamWriter

    @property
    def streams(self) -> bool:
        return self.path.startswith("/v1/events")

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes, code: int = 200, more: str = "") -> None:
        await self.send(f"HTTP/1.1 {code} X\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body)

    async def stream(self) -> None:
        await self.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")

    def status(self, **changes: Any) -> dict[str, Any]:
        return SimNode(self.name, 0, state="warn").status() | changes

    async def well(self, **changes: Any) -> None:
        await self.answer(json.dumps(self.status(**changes)).encode())


async def hangs(visit: Visit) -> None:
    await asyncio.sleep(NEVER_S)


async def hangs_before_the_body(visit: Visit) -> None:
    await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
    await asyncio.sleep(NEVER_S)


async def drips(visit: Visit) -> None:
    body = json.dumps(visit.status()).encode()
    await visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
    for place in range(len(body)):
        await visit.send(body[place : place + 1])
        await asyncio.sleep(0.05)


async def drips_headers(visit: Visit) -> None:
    await visit.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await visit.send(b"X-More: y\r\n")
        await asyncio.sleep(0.05)


async def huge(visit: Visit) -> None:
    await visit.answer(b'{"node": "' + b"x" * HUGE + b'"}')


async def endless(visit: Visit) -> None:
    await visit.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await visit.send(PIECE)


async def huge_problem(visit: Visit) -> None:
    await visit.answer(b"x" * HUGE, 500)


async def unknown_token(visit: Visit) -> None:
    await visit.answer(b'{"code": "API-001", "title": "who are you"}', 401)


async def wrong_types(visit: Visit) -> None:
    await visit.well(uptime_s="a while", cameras={"north": 1})


async def deep(visit: Visit) -> None:
    await visit.answer(b'{"node": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")


async def other_name(visit: Visit) -> None:
    await visit.well(node="somebody-else")


async def future(visit: Visit) -> None:
    await (visit.stream() if visit.streams else visit.well(version="9.0.0", weather={"rain": [1, 2]}, mood=7))


async def oldest(visit: Visit) -> None:
    said = json.loads((CONTRACT / "status-0.1.0.json").read_text()) | {"node": visit.name}
    await (visit.answer(b"", 404) if visit.streams else visit.answer(json.dumps(said).encode()))


async def drops_streams(visit: Visit) -> None:
    if not visit.streams:
        await visit.well()
        return
    await visit.stream()
    await visit.send(b"id: 7\nevent: gap\nda")
    visit.writer.transport.abort()


async def endless_line(visit: Visit) -> None:
    if not visit.streams:
        await visit.well()
        return
    await visit.stream()
    while True:
        await visit.send(b"data: " + PIECE)


async def endless_fields(visit: Visit) -> None:
    if not visit.streams:
        await visit.well()
        return
    await visit.stream()
    while True:
        await visit.send(b"data: more\n" * 1000)


async def floods(visit: Visit) -> None:
    if not visit.streams:
        await visit.well()
        return
    await visit.stream()
    for number in range(1, 1_000_000_000):
        await visit.send(event_block(StreamEvent(id=number, at="", kind="gap", body={"camera": "\x1b[2J"})))


async def resets(visit: Visit) -> None:
    if not visit.streams:
        await visit.well()
        return
    await visit.stream()
    await visit.send(b'event: reset\ndata: {"oldest": 5, "newest": 99999999999999999999}\n\n')


async def most(visit: Visit) -> None:
    """All that it may legally say, at its limit."""
    extreme = Extreme(random.Random(visit.name + visit.path), {"node": visit.name, "id": FRAME})
    path = visit.path.partition("?")[0]
    if visit.streams:
        await visit.stream()
        for number, kind in enumerate((*REGISTRY, "unknown\x1b[2J"), 1):
            body = {field.name: extreme.of(FrameRecord) for field in fields(REGISTRY.get(kind, FrameKept))}
            await visit.send(event_block(StreamEvent(id=number, at=TIMES[number % 5], kind=kind, body=body)))
        await asyncio.sleep(NEVER_S)
    elif path.endswith("/small"):
        await visit.answer(b"\xff\xd8\xff\x1b[2J")
    elif path in RECORDS:
        said = extreme.of(RECORDS[path])
        await visit.answer(json.dumps(said | {"state": "warn"} if path == "/v1/status" else said).encode())
    else:
        await visit.answer(json.dumps(dict.fromkeys(Problem.model_fields, "\x1b[2Jno") | {"status": 404}).encode(), 404)


async def beyond(visit: Visit) -> None:
    await visit.well(last_event_id=10**400)


async def curses(visit: Visit) -> None:
    said = dict.fromkeys(("type", "title", "code", "detail", "hint"), "\x1b[2J\x1b[31mred") | {"status": 401}
    await visit.answer(json.dumps(said).encode(), 401)


async def babbles(visit: Visit) -> None:
    await visit.send(b"\x00\xffSSH-2.0-OpenSSH_9.2\r\n" * 50)


async def page(visit: Visit) -> None:
    await visit.answer(b"<html><h1>It works!</h1></html>")


async def packed(visit: Visit) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    await visit.answer(bomb, more="Content-Encoding: gzip\r\n")


async def redirects(visit: Visit) -> None:
    await visit.answer(b"", 302, "Location: http://169.254.169.254/latest/meta-data\r\n")


async def hangs_up(visit: Visit) -> None:
    visit.writer.transport.abort()


MANNERS: dict[str, Callable[[Visit], Awaitable[None]]] = {
    manner.__name__.replace("_", "-"): manner
    for manner in (
        *(hangs, hangs_before_the_body, drips, drips_headers, huge, endless, huge_problem, unknown_token, wrong_types),
        *(deep, other_name, future, oldest, drops_streams, endless_line, endless_fields, floods, resets),
        *(babbles, page, packed, redirects, hangs_up, most, beyond, curses),
    )
}


class Hostile:
    """Such nodes in the running loop."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._visits: set[asyncio.Task[None]] = set()
        self.visits: dict[str, int] = {}

    async def start(self, name: str, manner: str, tls: Certificate | None = None) -> int:
        """Its port."""

        async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.visits[name] = self.visits.get(name, 0) + 1
            task = asyncio.current_task()
            assert task is not None
            self._visits.add(task)
            try:
                await _serve(name, MANNERS[manner], reader, writer)
            finally:
                self._visits.discard(task)
                writer.transport.abort()

        context = tls.server() if tls else None
        server = await asyncio.start_server(visited, LOOPBACK, 0, ssl=context)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def close(self) -> None:
        for server in self._servers:
            server.close()
        for visit in self._visits:
            visit.cancel()


async def _serve(
    name: str,
    manner: Callable[[Visit], Awaitable[None]],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await manner(Visit(name, head.split(b" ", 2)[1].decode(), writer))
            if writer.is_closing() or head.startswith(b"GET /v1/events"):
                return
