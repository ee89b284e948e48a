"""One node over HTTP: its status and its events.  Nothing it sends is believed before it is checked."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import httpx
from pydantic import ValidationError

from console.fleet.inventory import Host
from node.wire.errors import ConsoleFileUnusable, NodeAnswerWrong, NodeRefused, NodeUnreachable
from node.wire.problem import Problem
from node.wire.status import NodeStatus
from node.wire.stream import HEARTBEAT_S, MEDIA_TYPE, StreamEvent

STATUS_PATH, EVENTS_PATH = "/v1/status", "/v1/events"
BODY_LIMIT_BYTES = 1_000_000
EVENT_LIMIT_BYTES = 64 * 1024
STATUS_TIMEOUT_S = 5.0
SILENCE_LIMIT_S = 3 * HEARTBEAT_S
"""An event stream without even a heartbeat for so long is taken for dead."""
REFUSALS = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
SAID_CHARS = 160
TOKEN = re.compile(rb"[!-~]+")


@cache
def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """The one TLS context of a certificate authority, shared by all its nodes; None = the machine's own list."""
    return ssl.create_default_context(cafile=ca_file)


class NodeClient:
    """A small HTTP client of its own for one node: a pool shared by a fleet costs the square of its size."""

    def __init__(self, host: Host, *, timeout_s: float = STATUS_TIMEOUT_S) -> None:
        self.host = host
        self._timeout_s = timeout_s
        self._http: httpx.AsyncClient | None = None

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def status(self) -> NodeStatus:
        """What the node says of itself.

        Raises NodeUnreachable, NodeRefused, NodeAnswerWrong, or, before anything is sent, ConsoleFileUnusable.
        """
        try:
            async with asyncio.timeout(self._timeout_s), self._get(STATUS_PATH) as response:
                body = await _whole(response)
        except TimeoutError:
            raise NodeUnreachable(f"no answer within {self._timeout_s:g} s") from None
        return self._understood(body)

    async def events(self, after: int) -> AsyncIterator[StreamEvent]:
        """The node's events after that id, as they happen, until the stream ends.  Raises as `status` does."""
        asked = {"Last-Event-ID": str(after), "Accept": MEDIA_TYPE}
        async with self._get(EVENTS_PATH, asked, read_s=SILENCE_LIMIT_S) as response:
            async for block in _blocks(response):
                event = parse_event(block)
                if event is not None:
                    yield event

    def _understood(self, body: bytes) -> NodeStatus:
        try:
            status = NodeStatus.model_validate_json(body)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
            path = ".".join(str(part) for part in fault["loc"])
            raise NodeAnswerWrong(": ".join(filter(None, (path, fault["msg"])))[:SAID_CHARS]) from None
        if status.node != self.host.name:
            raise NodeAnswerWrong(f"it calls itself {status.node[:63]!r}")
        return status

    @asynccontextmanager
    async def _get(
        self, path: str, headers: Mapping[str, str] | None = None, *, read_s: float | None = None
    ) -> AsyncIterator[httpx.Response]:
        timeout = httpx.Timeout(self._timeout_s, read=read_s or self._timeout_s)
        try:
            async with self._client().stream("GET", path, headers=self._headers(headers), timeout=timeout) as response:
                await _checked(response)
                yield response
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NodeUnreachable(_met(error)) from None

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(base_url=self.host.url, verify=self._tls(), trust_env=False)
        return self._http

    def _tls(self) -> ssl.SSLContext:
        try:
            return tls_context(self.host.ca_file)
        except ssl.SSLError:
            raise ConsoleFileUnusable(f"{self.host.ca_file} holds no certificates") from None
        except OSError as error:
            raise ConsoleFileUnusable(f"certificate file {self.host.ca_file}: {error.strerror}") from None

    def _headers(self, more: Mapping[str, str] | None) -> dict[str, str]:
        # identity: a compressed answer could be a thousand times its limit once unpacked
        headers = {"Accept-Encoding": "identity", **(more or {})}
        if self.host.token_file is not None:
            headers["Authorization"] = f"Bearer {read_token(self.host.token_file)}"
        return headers


def read_token(path: str) -> str:
    """The token in that file.  Read at each request, so that a rotated one is taken up.  Raises ConsoleFileUnusable."""
    try:
        token = Path(path).expanduser().read_bytes().strip()
    except OSError as error:
        raise ConsoleFileUnusable(f"token file {path}: {error.strerror}") from None
    except (RuntimeError, ValueError):  # a home that nobody has, a name with a NUL in it
        raise ConsoleFileUnusable(f"token file {path}: no such path") from None
    if not token:
        raise ConsoleFileUnusable(f"token file {path} is empty")
    if TOKEN.fullmatch(token) is None:
        raise ConsoleFileUnusable(f"token file {path} holds something else than one line of plain letters")
    return token.decode("ascii")


def parse_event(block: Mapping[str, str]) -> StreamEvent | None:
    """The event in one block of an event stream; None where it is none of the node's log."""
    try:
        return StreamEvent.model_validate_json(block.get("data", ""))
    except ValidationError:
        return None


def _met(error: BaseException) -> str:
    """What the network said: the innermost system error, else the client's own words."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, ssl.SSLError):  # an OSError whose number means something else
            return f"TLS: {getattr(inner, 'verify_message', '') or inner.reason or type(inner).__name__}"[:SAID_CHARS]
        if isinstance(inner, OSError) and inner.errno is not None and inner.errno in errno.errorcode:
            return os.strerror(inner.errno)
        inner = inner.__cause__ or inner.__context__
    return str(error)[:SAID_CHARS] or "the connection was lost or took too long"


async def _checked(response: httpx.Response) -> None:
    if response.status_code == httpx.codes.OK:
        return
    said = f"HTTP {response.status_code}{await _problem(response)}"
    raise (NodeRefused if response.status_code in REFUSALS else NodeAnswerWrong)(said)


async def _problem(response: httpx.Response) -> str:
    try:
        problem = Problem.model_validate_json(await _whole(response))
    except (ValidationError, NodeAnswerWrong):
        return ""
    return f": {problem.code} {problem.title}"[:SAID_CHARS]


async def _whole(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            raise NodeAnswerWrong(f"more than {BODY_LIMIT_BYTES:,} bytes")
    return bytes(body)


async def _blocks(response: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """The blocks of a text/event-stream as their fields (HTML standard, 9.2.6); comments are heartbeats."""
    block: dict[str, str] = {}
    async for line in _lines(response):
        if not line and block:
            yield block
            block = {}
        name, _, value = line.partition(":")
        if name:
            value = value.removeprefix(" ")
            block[name] = f"{block[name]}\n{value}" if name == "data" and name in block else value
            if len(block) > SAID_CHARS or len(block[name]) > EVENT_LIMIT_BYTES:
                raise NodeAnswerWrong("an event without an end")


async def _lines(response: httpx.Response) -> AsyncIterator[str]:
    rest = b""
    async for chunk in response.aiter_raw():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode(errors="replace")
        if len(rest) > EVENT_LIMIT_BYTES:
            raise NodeAnswerWrong(f"an event of more than {EVENT_LIMIT_BYTES:,} bytes")
