"""The event stream of GET /v1/events (text/event-stream, HTML standard 9.2): one block an event.

`id` is the row id in the event log, without holes; a client that comes back sends the last one as Last-Event-ID.
Two blocks carry no event of the log: `reset` (the id asked for has expired: what is missing is gone, the stream goes
on at `oldest`) and `goodbye` (why the node ends the stream).  Comments are heartbeats.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field

from node.wire.status import Wire

MEDIA_TYPE = "text/event-stream"
HEARTBEAT_S = 15.0
RETRY_MS = 3000
RESET, GOODBYE = "reset", "goodbye"
HEARTBEAT = b": beat\n\n"
GREETING = f"retry: {RETRY_MS}\n\n".encode()


class StreamEvent(Wire):
    """The data of one block.  Times in `body` are RFC 3339 texts."""

    id: int
    at: str
    kind: str
    level: str = "info"
    body: dict[str, Any] = Field(default_factory=dict)


class Reset(Wire):
    """The data of a `reset` block: the ids that the log still holds; 0 and 0 = none."""

    oldest: int
    newest: int


class Goodbye(Wire):
    """The data of a `goodbye` block."""

    reason: Literal["stopping", "slow", "unavailable"]


def event_block(event: StreamEvent) -> bytes:
    """One event of the log."""
    return _block(event.kind, event.model_dump(), event.id)


def reset_block(reset: Reset) -> bytes:
    """Its id is the one before the oldest: whoever comes back with it misses nothing that is still there."""
    return _block(RESET, reset.model_dump(), max(0, reset.oldest - 1))


def goodbye_block(goodbye: Goodbye) -> bytes:
    return _block(GOODBYE, goodbye.model_dump())


def _block(kind: str, data: dict[str, Any], identity: int | None = None) -> bytes:
    head = "" if identity is None else f"id: {identity}\n"
    # plain ASCII: the data is one line for every reader, also for those that break lines at U+2028
    return f"{head}event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
