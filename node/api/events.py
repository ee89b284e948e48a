"""GET /v1/events: the event log as it grows, resumable by id, one bounded stream per reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Request
from fastapi import Query as InQuery
from pydantic import Field
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from node.api.guard import still_known
from node.api.paging import Query
from node.api.parts import ApiParts, Parts
from node.api.problems import ERRORS
from node.domain.errors import FieldFault, HeliographError, RequestInvalid, StreamsFull
from node.domain.events import REGISTRY
from node.domain.times import to_text
from node.hub import Ended, Ending, Hub, Listener
from node.store.log import EventReader, EventRow
from node.wire.stream import (
    GREETING,
    HEARTBEAT,
    HEARTBEAT_S,
    MEDIA_TYPE,
    Goodbye,
    Reset,
    StreamEvent,
    event_block,
    goodbye_block,
    reset_block,
)

BATCH = 200
LARGEST_ID = 2**63 - 1
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "text/event-stream.", "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}},
    **ERRORS,
}
LastId = Annotated[
    int | None,
    Header(alias="Last-Event-ID", ge=0, le=LARGEST_ID, description="Go on after it; without, from now on."),
]

router = APIRouter()


class EventQuery(Query):
    kind: str | None = Field(None, max_length=800, description="Kinds joined by commas; empty = every kind.")

    def kinds(self) -> tuple[str, ...]:
        """Raises RequestInvalid naming each that is not known."""
        names = tuple(dict.fromkeys(self.kind.split(","))) if self.kind else ()
        faults = [FieldFault("query.kind", "unknown kind", name) for name in names if name not in REGISTRY]
        if faults:
            raise RequestInvalid(fields=faults)
        return names


class Streams:
    """How many are open; used in the event loop only."""

    def __init__(self, parts: ApiParts, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._parts = parts
        self.heartbeat_s = heartbeat_s
        self.open = 0

    def enter(self) -> None:
        """Raises StreamsFull."""
        most = self._parts.document().api.streams_max
        if self.open >= most:
            raise StreamsFull(f"{most} are open")
        self.open += 1

    def leave(self) -> None:
        self.open -= 1


@dataclass(frozen=True, slots=True)
class Start:
    """Where a stream begins: after that id, with a reset first where what was asked for is gone."""

    after: int
    reset: Reset | None = None


@router.get("/v1/events", response_class=StreamingResponse, responses=_STREAM)
async def events(
    request: Request, parts: Parts, query: Annotated[EventQuery, InQuery()], last_id: LastId = None
) -> StreamingResponse:
    """Events as they happen (text/event-stream); with Last-Event-ID first those that were missed."""
    kinds, reader = query.kinds(), EventReader(parts.database)
    start = await run_sync(_start, reader, last_id)
    streams: Streams = request.app.state.streams
    streams.enter()
    feed = _Feed(parts.hub, reader, kinds, streams.heartbeat_s, partial(still_known, request, parts))
    return _Stream(feed.blocks(start), streams)


def _start(reader: EventReader, last_id: int | None) -> Start:
    newest = reader.newest()
    if last_id is None:
        return Start(newest)
    oldest = reader.oldest()
    if oldest - 1 <= last_id <= newest:
        return Start(last_id)
    return Start(max(0, oldest - 1), Reset(oldest=oldest, newest=newest))


class _Stream(StreamingResponse):
    """Gives its place back however it ends."""

    def __init__(self, blocks: AsyncGenerator[bytes, None], streams: Streams) -> None:
        super().__init__(blocks, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})
        self._blocks, self._streams = blocks, streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.leave()
            await self._blocks.aclose()


@dataclass(frozen=True, slots=True)
class _Feed:
    """What was missed comes from the log in batches, what happens from the hub; none twice, none left out.

    Nothing more goes to a reader who would not be let in now; coming back, it is told why.
    """

    hub: Hub[EventRow]
    reader: EventReader
    kinds: tuple[str, ...]
    heartbeat_s: float
    let_in: Callable[[], bool]

    async def blocks(self, start: Start) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._all(start)) as found:
            async for block in found:
                if not self.let_in():
                    return
                yield block

    async def _all(self, start: Start) -> AsyncGenerator[bytes, None]:
        yield GREETING
        if start.reset:
            yield reset_block(start.reset)
        after = start.after
        try:
            # a long backlog is read before the hub is listened to: a listener that does not keep up is cut
            async for row in self._logged(after):
                yield event_block(published(row))
                after = row.id
            async for block in self._live(after):
                yield block
        except HeliographError:
            yield goodbye_block(Goodbye(reason="unavailable"))

    async def _live(self, after: int) -> AsyncGenerator[bytes, None]:
        listener = self.hub.subscribe()
        try:
            async for row in self._logged(after):  # what came between the backlog and now
                yield event_block(published(row))
                after = row.id
            while not isinstance(item := await self._next(listener), Ended):
                if item is None:
                    yield HEARTBEAT
                elif item.id > after and (not self.kinds or item.kind in self.kinds):
                    yield event_block(published(item))
            yield goodbye_block(Goodbye(reason="slow" if item.why is Ending.SLOW else "stopping"))
        finally:
            self.hub.leave(listener)

    async def _logged(self, after: int) -> AsyncGenerator[EventRow, None]:
        while rows := await run_sync(self.reader.after, after, BATCH, self.kinds):
            for row in rows:
                yield row
            after = rows[-1].id
            if len(rows) < BATCH:
                return

    async def _next(self, listener: Listener[EventRow]) -> EventRow | Ended | None:
        """None = nothing for the time of a heartbeat."""
        try:
            async with asyncio.timeout(self.heartbeat_s):
                return await listener.next()
        except TimeoutError:
            return None


def published(row: EventRow) -> StreamEvent:
    """An event as it goes over the wire: instants are texts, without `_us` in their names."""
    body = {
        name.removesuffix("_us"): to_text(value) if name.endswith("_us") and isinstance(value, int) else value
        for name, value in row.body.items()
    }
    return StreamEvent(id=row.id, at=to_text(row.at_us), kind=row.kind, level=row.level, body=body)
