"""One node over HTTP: what it says, shows and is asked to do.  Nothing it sends is believed before it is checked."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import httpcore
import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from console.fleet.inventory import Host
from console.fleet.socks import Through
from console.fleet.text import clean
from console.fleet.trust import TlsFiles, causes, mistrust, own_fault, refuse_revoked, tls_context
from node.wire.config import NO_SUCH_FIELD
from node.wire.errors import (
    ConsoleCertificateRefused,
    ConsoleFileUnusable,
    FaultKind,
    FieldFault,
    HeliographError,
    NodeAnswerWrong,
    NodeRefused,
    NodeUnreachable,
    OrderRefused,
    ProxyUnreachable,
)
from node.wire.problem import FieldProblem, Problem
from node.wire.status import NodeStatus
from node.wire.stream import GOODBYE, HEARTBEAT_S, MEDIA_TYPE, RESET, Goodbye, Reset, StreamEvent

if find_spec("sniffio") is None:
    # httpcore looks for it several times a request, in every folder; so it learns at once that it is not there
    sys.modules["sniffio"] = None  # type: ignore[assignment]

STATUS_PATH, EVENTS_PATH = "/v1/status", "/v1/events"
BODY_LIMIT_BYTES = 1_000_000
ORIGINAL_LIMIT_BYTES = 200_000_000
EVENT_LIMIT_BYTES = 64 * 1024
STATUS_TIMEOUT_S = 5.0
ORDER_TIMEOUT_S = 35.0
"""The node itself ends a request after 30 s, and says of an action after 25 s that it goes on."""
PICTURE_TIMEOUT_S = 15.0
SILENCE_LIMIT_S = 3 * HEARTBEAT_S
"""An event stream without even a heartbeat for so long is taken for dead."""
REFUSALS = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
LIMITS = httpx.Limits(max_connections=8, max_keepalive_connections=4, keepalive_expiry=60.0)
"""A connection outlasts the time between two polls.  httpcore counts an open stream among those that are kept."""
SAID_CHARS, FAULTS_SAID, FAULTS_KEPT = 160, 3, 100
INTEGERS = 2**63
KEPT_BYTES, FIELDS_KEPT, NAME_CHARS = 8 * 1024, 32, 64
BLOCKS_BURST, BLOCKS_BREATH_S = 500, 0.5
"""So many blocks and comments that are no events, then a pause: they cost the reader as much as events do."""
TOKEN = re.compile(rb"[!-~]+")
JPEG_HEAD = b"\xff\xd8\xff"
OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])

M = TypeVar("M", bound=BaseModel)
B = TypeVar("B")
R = TypeVar("R")
NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.InvalidURL,
    httpx.UnsupportedProtocol,
)
"""After these nothing has left this machine."""
CUT = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
"""So a connection ends that the node has opened and then closes."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.  With `own_words` the node's own problem is kept as OrderRefused."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    own_words: bool = True


@dataclass(slots=True, eq=False)
class _Line:
    """The connections to a node that one TLS context has opened."""

    http: httpx.AsyncClient
    tls: ssl.SSLContext
    under_way: int = 0


class NodeClient:
    """A small HTTP client of its own for one node: a pool shared by a fleet costs the square of its size."""

    def __init__(self, host: Host, *, timeout_s: float = STATUS_TIMEOUT_S) -> None:
        self.host = host
        self._timeout_s = timeout_s
        self._lines: list[_Line] = []
        """The last one is asked by; those before have something under way."""

    async def close(self) -> None:
        lines, self._lines = self._lines, []  # whoever asks meanwhile gets a new one
        for line in lines:
            await line.http.aclose()

    async def rest(self) -> None:
        """Closes where nothing is under way."""
        if not any(line.under_way for line in self._lines):
            await self.close()

    async def status(self) -> NodeStatus:
        """What the node says of itself.

        Raises NodeUnreachable, NodeRefused, NodeAnswerWrong, or, before anything is sent, NodeUntrusted or
        ConsoleFileUnusable.
        """
        status = understood(
            await self._body(Asked(STATUS_PATH, own_words=False), self._timeout_s), NodeStatus.model_validate_json
        )
        if status.node != self.host.name:
            raise NodeAnswerWrong(clean(f"it calls itself {status.node[:63]!r}"))
        return status

    async def fetch(self, path: str, kind: type[M], query: Mapping[str, str] | None = None) -> M:
        """What stands at that path.  Raises as `status` does, and OrderRefused with the node's own words."""
        asked = Asked(path, query=query or {})
        return understood(await self._body(asked, self._timeout_s), kind.model_validate_json)

    async def picture(self, frame: str) -> bytes:
        """A small JPEG of that frame.  Raises as `fetch` does."""
        asked = Asked(f"/v1/frames/{frame}/small")
        body = await self._body(asked, max(self._timeout_s, PICTURE_TIMEOUT_S))
        if not body.startswith(JPEG_HEAD):
            raise NodeAnswerWrong("what should be a picture is no JPEG")
        return body

    async def original(self, frame: str) -> AsyncIterator[bytes]:
        """That frame's file as it was kept, piece by piece; slow is well, silent is not.  Raises as `fetch` does."""
        async with self._ask(Asked(f"/v1/frames/{frame}/image")) as response:
            size = 0
            async for piece in response.aiter_raw():
                size += len(piece)
                if size > ORIGINAL_LIMIT_BYTES:
                    raise NodeAnswerWrong(f"more than {ORIGINAL_LIMIT_BYTES:,} bytes")
                yield piece

    async def order(self, path: str, body: Mapping[str, Any], key: str) -> dict[str, Any]:
        """Asks for an action, done at most once under that key.  Raises as `fetch` does."""
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        asked = Asked(path, "POST", headers, content=json.dumps(dict(body)).encode())
        return understood(await self._body(asked, max(self._timeout_s, ORDER_TIMEOUT_S)), OBJECT.validate_json)

    async def send(
        self, method: str, path: str, kind: type[M], body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> M:
        """Hands that over, once, and reads the answer.  Raises as `fetch` does, OrderRefused with every wrong field."""
        whole = {"Content-Type": "application/json", **(headers or {})}
        asked = Asked(path, method, whole, content=json.dumps(dict(body)).encode())
        return understood(await self._body(asked, max(self._timeout_s, ORDER_TIMEOUT_S)), kind.model_validate_json)

    async def events(self, after: int) -> AsyncIterator[StreamEvent]:
        """The node's events after that id, as they happen, until the stream ends.  Raises as `status` does."""
        asked = Asked(EVENTS_PATH, headers={"Last-Event-ID": str(after), "Accept": MEDIA_TYPE}, own_words=False)
        async with self._ask(asked, read_s=SILENCE_LIMIT_S) as response:
            useless = 0
            async for block in _blocks(response):
                self._refuse_revoked(response)
                event = parse_event(block)
                if event is not None:
                    yield event
                    continue
                useless += 1
                if useless % BLOCKS_BURST == 0:
                    await asyncio.sleep(BLOCKS_BREATH_S)

    def _refuse_revoked(self, response: httpx.Response) -> None:
        """A stream is open for days.  Raises NodeCertificateRevoked."""
        stream = response.extensions.get("network_stream")
        side = stream and stream.get_extra_info("ssl_object")
        if side is not None:
            refuse_revoked(TlsFiles.of(self.host), side)

    async def _body(self, asked: Asked, within_s: float) -> bytes:
        """The whole answer within that time, however slowly it drips."""
        try:
            async with asyncio.timeout(within_s), self._ask(asked, read_s=within_s) as response:
                return await _whole(response)
        except TimeoutError:
            raise NodeUnreachable(f"no answer within {within_s:g} s") from None

    @asynccontextmanager
    async def _ask(self, asked: Asked, *, read_s: float | None = None) -> AsyncIterator[httpx.Response]:
        timeout = httpx.Timeout(self._timeout_s, read=read_s or self._timeout_s)
        line = self._line()
        request = line.http.build_request(
            asked.method,
            asked.path,
            params=asked.query or None,
            content=asked.content,
            headers=self._headers(asked.headers),
            timeout=timeout,
            extensions={"sni_hostname": self.host.tls_name} if self.host.tls_name else {},
        )
        line.under_way += 1
        try:
            response = await line.http.send(request, stream=True)
            try:
                await _checked(response, asked.own_words)
                yield response
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:  # the last as the node ends a handshake
            raise mistrust(error, self.host) or _cut_off(error, self.host) or _lost(error, self.host) from None
        finally:
            line.under_way -= 1
            await self._put_down()

    def _line(self) -> _Line:
        """The connections to ask by: new ones once a certificate has changed."""
        tls = tls_context(TlsFiles.of(self.host))
        if not self._lines or self._lines[-1].tls is not tls:
            self._lines.append(_Line(_opened(self.host, tls), tls))
        return self._lines[-1]

    async def _put_down(self) -> None:
        """Closes connections that others have replaced, once nothing is under way on them."""
        for line in [line for line in self._lines[:-1] if not line.under_way]:
            self._lines.remove(line)
            await line.http.aclose()

    def _headers(self, more: Mapping[str, str]) -> dict[str, str]:
        # identity: a compressed answer could be a thousand times its limit once unpacked
        headers = {"Accept-Encoding": "identity", **more}
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
    """The event in one block of an event stream, `reset` and `goodbye` too; None where it is none that we know."""
    data, read = block.get("data", ""), ASIDE.get(block.get("event", ""), StreamEvent.model_validate_json)
    try:
        event = read(data)
    except ValidationError:
        return None
    if not _bounded(event):
        return None
    return event if len(data) <= KEPT_BYTES else _lightened(event, len(data))


def _lightened(event: StreamEvent, size: int) -> StreamEvent:
    """The same with a body that can be kept: as objects of Python a long one takes twenty times its size."""
    body = {name[:NAME_CHARS]: _light(value) for name, value in islice(event.body.items(), FIELDS_KEPT)}
    short = {"at": event.at[:NAME_CHARS], "kind": event.kind[:NAME_CHARS], "level": event.level[:NAME_CHARS]}
    return event.model_copy(update={**short, "body": body | {"cut": f"from {size:,} characters"}})


def _light(value: object) -> object:
    text = value if isinstance(value, str) else json.dumps(value)
    return value if len(text) <= SAID_CHARS else f"{text[:SAID_CHARS]}…"


def _reset(data: str) -> StreamEvent:
    reset = Reset.model_validate_json(data)
    return StreamEvent(id=max(0, reset.oldest - 1), at="", kind=RESET, body=reset.model_dump())


def _goodbye(data: str) -> StreamEvent:
    return StreamEvent(id=0, at="", kind=GOODBYE, body=Goodbye.model_validate_json(data).model_dump())


ASIDE: dict[str, Callable[[str], StreamEvent]] = {RESET: _reset, GOODBYE: _goodbye}
"""What a stream says that is no event of the log."""


class _Proxied(httpx.AsyncHTTPTransport):
    """As httpx's own, but through a proxy that it does not know how to use well."""

    def __init__(self, tls: ssl.SSLContext, through: Through) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=LIMITS.max_connections,
            max_keepalive_connections=LIMITS.max_keepalive_connections,
            keepalive_expiry=LIMITS.keepalive_expiry,
            network_backend=through,
        )


def _opened(host: Host, tls: ssl.SSLContext) -> httpx.AsyncClient:
    proxied = None if host.proxy is None else _Proxied(tls, Through(host.proxy))
    return httpx.AsyncClient(base_url=host.url, verify=tls, trust_env=False, limits=LIMITS, transport=proxied)


def _cut_off(error: Exception, host: Host) -> HeliographError | None:
    """A connection that ended after its handshake because of this console's certificate; None = why is not known."""
    if host.scheme != "https" or not isinstance(error, CUT):
        return None
    why = own_fault(host)
    return ConsoleCertificateRefused(why) if why else None


def _lost(error: Exception, host: Host) -> NodeUnreachable:
    """Nobody answers: what the network said."""
    if isinstance(error, httpx.ProxyError):
        why = _met(error)
        said = f"{error} {host.proxy}"
        return ProxyUnreachable(said if why == str(error) else f"{said}: {why}", sent=False)
    return NodeUnreachable(_met(error), sent=not isinstance(error, NEVER_SENT))


def _met(error: BaseException) -> str:
    """The innermost system error, else the client's own words."""
    for met in causes(error):
        if isinstance(met, ssl.SSLError):  # an OSError whose number means something else
            return f"TLS: {met.reason or type(met).__name__}"[:SAID_CHARS]
        if isinstance(met, OSError) and met.errno is not None and met.errno in errno.errorcode:
            return os.strerror(met.errno)
    return str(error)[:SAID_CHARS] or "the connection was lost or took too long"


def understood(body: B, read: Callable[[B], R]) -> R:
    """That answer as what it should be.  Raises NodeAnswerWrong, which names the first wrong field."""
    try:
        answer = read(body)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(str(part) for part in fault["loc"])
        raise NodeAnswerWrong(clean(": ".join(filter(None, (path, fault["msg"])))[:SAID_CHARS])) from None
    if not _bounded(answer):
        fields = answer.__dict__ if isinstance(answer, BaseModel) else OBJECT.validate_python(answer)
        wrong = next(name for name, value in fields.items() if not _bounded(value))
        raise NodeAnswerWrong(clean(f"{wrong}: a number of more than 64 bits"[:SAID_CHARS]))
    return answer


def _bounded(value: object) -> bool:
    """Whether all its integers are such as a machine reckons with: a float overflows at larger ones."""
    if isinstance(value, int):
        return -INTEGERS <= value < INTEGERS
    if isinstance(value, BaseModel):
        return all(map(_bounded, value.__dict__.values()))
    if isinstance(value, Mapping):
        return all(map(_bounded, value.values()))
    return all(map(_bounded, value)) if isinstance(value, tuple | list) else True


async def _checked(response: httpx.Response, own_words: bool) -> None:
    if response.is_success:
        return
    problem = await _problem(response)
    if own_words and problem is not None and response.status_code not in REFUSALS:
        fields = [
            FieldFault(clean(each.path), clean(each.message), kind=_kind(each)) for each in problem.errors[:FAULTS_KEPT]
        ]
        said = "; ".join(f"{fault.path}: {fault.message}" for fault in fields[:FAULTS_SAID])
        words = (problem.code, problem.title, problem.detail or said, problem.hint)
        raise OrderRefused(*(clean(part[:SAID_CHARS]) for part in words), fields=fields)
    said = f"HTTP {response.status_code}" + (f": {problem.code} {problem.title}" if problem else "")
    raise (NodeRefused if response.status_code in REFUSALS else NodeAnswerWrong)(clean(said[:SAID_CHARS]))


def _kind(fault: FieldProblem) -> FaultKind:
    """An older node says it by its words alone."""
    unknown = fault.kind == "unknown_field" or (not fault.kind and fault.message == NO_SUCH_FIELD)
    return "unknown_field" if unknown else "wrong_value"


async def _problem(response: httpx.Response) -> Problem | None:
    try:
        return Problem.model_validate_json(await _whole(response))
    except (ValidationError, NodeAnswerWrong):
        return None


async def _whole(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            raise NodeAnswerWrong(f"more than {BODY_LIMIT_BYTES:,} bytes")
    return bytes(body)


async def _blocks(response: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """The blocks of a text/event-stream as their fields (HTML standard, 9.2.6); comments are heartbeats.

    What is no field is a block without fields, so that whoever reads sees it too.
    """
    block: dict[str, str] = {}
    data: list[str] = []
    size = 0
    async for line in _lines(response):
        name, _, value = line.partition(":")
        if name:
            value = value.removeprefix(" ")
            size += len(value) + 1
            block[name] = value
            if name == "data":
                data.append(value)
            if len(block) > SAID_CHARS or size > EVENT_LIMIT_BYTES:
                raise NodeAnswerWrong("an event without an end")
        elif line:
            yield {}
        else:
            yield block | ({"data": "\n".join(data)} if data else {})
            block, data, size = {}, [], 0


async def _lines(response: httpx.Response) -> AsyncIterator[str]:
    rest = b""
    async for chunk in response.aiter_raw():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode(errors="replace")
        if len(rest) > EVENT_LIMIT_BYTES:
            raise NodeAnswerWrong(f"an event of more than {EVENT_LIMIT_BYTES:,} bytes")
