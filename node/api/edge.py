"""The outermost layer: request id, security headers, rate limit, deadline, stalled readers, one line and one metric."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.api.limits import Buckets
from node.api.parts import ApiParts
from node.api.problems import problem
from node.domain.errors import HeliographError, InternalError, NotReady, TimedOut, TooManyRequests
from node.log import about

DEADLINE_S = 30.0
STALL_S = 15.0
REQUEST_ID = b"x-request-id"
_GOOD_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_LOG = logging.getLogger(__name__)

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_UNLESS_SET: tuple[tuple[bytes, bytes], ...] = ((b"cache-control", b"no-store"),)
_PARTING: tuple[tuple[bytes, bytes], ...] = ((b"connection", b"close"),)
"""To a client whose connection was made before the TLS files changed: its next one is judged by the new ones."""


class Stalled(Exception):
    """The client takes nothing any more; its connection has been cut."""


class Edge:
    """An ASGI application around another one."""

    def __init__(
        self, app: ASGIApp, parts: ApiParts, *, deadline_s: float = DEADLINE_S, stall_s: float = STALL_S
    ) -> None:
        self._app, self._parts = app, parts
        self._deadline_s, self._stall_s = deadline_s, stall_s
        self._buckets = Buckets()
        self._late: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = request_id = _request_id(scope) or self._parts.clock.new_id()
        answer = _Answer(scope, send, self._stall_s)
        with about(request=request_id):
            began = self._parts.clock.monotonic()
            await self._serve(scope, receive, answer)
            self._tell(scope, answer.status, self._parts.clock.monotonic() - began)

    async def _serve(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        wait_s = self._buckets.wait_s(_client(scope), self._parts.clock.monotonic(), self._parts.document().api)
        if wait_s:
            await self._refuse(TooManyRequests(), scope, answer, wait_s)
            return
        task = asyncio.ensure_future(self._app(scope, receive, answer.send))
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        try:
            await asyncio.wait({task}, timeout=self._deadline_s)
            if not task.done() and not answer.started:
                await self._give_up(TimedOut(), scope, answer)
                return
            await self._finish(task, scope, answer)
        except asyncio.CancelledError:  # the server stops and has waited long enough
            await self._give_up(NotReady("the node is stopping"), scope, answer)
        finally:
            task.add_done_callback(_forget)
            task.cancel()  # nothing where it is done

    async def _give_up(self, error: HeliographError, scope: Scope, answer: _Answer) -> None:
        """The handler may sit in a thread that nobody can end: it is left behind and may say nothing more."""
        answer.mute()
        if not answer.started:
            await self._refuse(error, scope, answer)

    async def _finish(self, task: asyncio.Task[None], scope: Scope, answer: _Answer) -> None:
        try:
            await task
        except Stalled:
            _LOG.info("client took nothing more", extra={"client": _client(scope)})
        except Exception:  # noqa: BLE001 - the boundary of one request: nothing may reach the server's own plain-text answer
            _LOG.exception("request failed unexpectedly", extra={"path": scope["path"]})
            if not answer.started:
                await self._refuse(InternalError(), scope, answer)

    async def _refuse(self, error: HeliographError, scope: Scope, answer: _Answer, wait_s: float = 0) -> None:
        response = problem(error, scope["state"]["request_id"], retry_after_s=wait_s)
        await response(scope, _nothing, answer.say)

    def _tell(self, scope: Scope, status: int, took_s: float) -> None:
        route = scope["state"].get("route", "none")
        self._parts.metrics.observe("api_seconds", took_s, route, str(status))
        _LOG.debug("request", extra={"method": scope["method"], "route": route, "status": status, "took_s": took_s})


class _Answer:
    """What goes out: headers are added, a client that takes nothing for `stall_s` is cut."""

    def __init__(self, scope: Scope, send: Send, stall_s: float) -> None:
        self._send, self._stall_s = send, stall_s
        self._request_id = scope["state"]["request_id"].encode()
        self._more = _PARTING if scope["state"].get("parting") else ()
        self._abort: Callable[[], None] | None = scope["state"].get("abort")
        self._muted = False
        self.started = False
        self.status = 0

    async def send(self, message: Message) -> None:
        """For the application; silent once it was given up."""
        if not self._muted:
            await self.say(message)

    def mute(self) -> None:
        self._muted = True

    async def say(self, message: Message) -> None:
        """Raises Stalled."""
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            message = {**message, "headers": self._headers(message)}
        try:
            async with asyncio.timeout(self._stall_s):
                await self._send(message)
        except TimeoutError:
            if self._abort:
                self._abort()
            raise Stalled from None

    def _headers(self, message: Message) -> list[tuple[bytes, bytes]]:
        given = list(message.get("headers", ()))
        names = {name.lower() for name, _ in given}
        unset = [pair for pair in _UNLESS_SET if pair[0] not in names]
        return [*given, (REQUEST_ID, self._request_id), *SECURITY_HEADERS, *unset, *self._more]


def _request_id(scope: Scope) -> str:
    """The client's own id, if it is one that may stand in headers, log and audit."""
    given = next((value for name, value in scope["headers"] if name.lower() == REQUEST_ID), b"")
    return given.decode() if _GOOD_ID.fullmatch(given) else ""


def _client(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else "unknown"


async def _nothing() -> Any:  # noqa: ANN401 - ASGI's receive, never called for a whole answer
    return {"type": "http.disconnect"}


def _forget(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()  # was given up; its end is nobody's concern
