"""Files by ranges of bytes (RFC 9110, 14): one range; several are answered with the whole, as the RFC allows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import BinaryIO

from anyio.to_thread import run_sync
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

CHUNK_BYTES = 64 * 1024
_ONE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
_MOST_DIGITS = 18
_BEYOND = 10**_MOST_DIGITS  # the end of any file


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes start .. end, both included."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start + 1


def span_of(header: str, size: int) -> Span | None:
    """The range asked for; None = send the whole.  Raises ValueError where no byte of it is there."""
    match = _ONE.fullmatch(header.strip().lower().replace(" ", ""))
    if match is None or not any(match.groups()):
        return None
    first, last = (_position(digits) for digits in match.groups())
    if first is None:
        span = Span(max(0, size - (last or 0)), size - 1)
    elif last is not None and last < first:
        return None  # not a range at all: to be ignored
    else:
        span = Span(first, size - 1 if last is None else min(last, size - 1))
    if span.start >= size:
        message = f"{header} of {size} bytes"
        raise ValueError(message)
    return span


def _position(digits: str) -> int | None:
    """None where nothing is written; a number of any length is one, and those beyond every file are alike."""
    written = digits.lstrip("0")
    if not written:
        return 0 if digits else None
    return int(written) if len(written) <= _MOST_DIGITS else _BEYOND


class FileSpan(Response):
    """A span of an open file, read beside the event loop; the file is closed however it ends."""

    def __init__(
        self, handle: BinaryIO, span: Span, status: HTTPStatus, headers: Mapping[str, str], media_type: str
    ) -> None:
        super().__init__(None, status, {**headers, "Content-Length": str(span.length)}, media_type)
        self._handle, self._span = handle, span

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await self._send_body(send, self._span.length if scope["method"] != "HEAD" else 0)
        finally:
            self._handle.close()

    async def _send_body(self, send: Send, left: int) -> None:
        self._handle.seek(self._span.start)
        while left:
            chunk = await run_sync(self._handle.read, min(CHUNK_BYTES, left))
            if not chunk:
                break  # the file has become shorter; the server sees that bytes are missing and closes
            left -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
