"""uvicorn's HTTP/1.1 protocol, made hard: few connections, heads in time and of bounded size, problem bodies."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from node.api.edge import SECURITY_HEADERS
from node.api.peer import Peer, peer_of
from node.api.problems import problem
from node.api.tls import LiveContext
from node.domain.errors import RequestMalformed

CONNECTIONS = 192
HEAD_S = 10.0
HEAD_BYTES = 64 * 1024


class Protocol(HttpToolsProtocol):
    """A head (request line and headers) has HEAD_S seconds and HEAD_BYTES bytes; then the connection is closed."""

    _peer: Peer | None = None
    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base
        super().connection_made(transport)
        self._peer = peer_of(transport.get_extra_info("ssl_object"))
        if len(self.connections) > CONNECTIONS:
            transport.abort()
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._idle():
            self._await_head()
        if self._head_timer is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_timer is not None and self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"the request's head is longer than {HEAD_BYTES} bytes")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"] |= {"abort": self.transport.abort, "peer": self.peer, "parting": self._parting()}

    def peer(self) -> Peer | None:
        """As what is in force now sees it: a request may outlast that."""
        live = self.config.ssl
        if self._peer is None or not isinstance(live, LiveContext):
            return None
        return replace(self._peer, revoked=self._peer.fingerprint in live.front.revoked)

    def look_again(self) -> None:
        """What is under way for one who is revoked now is cut off; whoever asks anew is told why."""
        peer = self.peer()
        if peer is not None and peer.revoked and not self._idle():
            self.transport.abort()

    def _parting(self) -> bool:
        """One that an older front let in has to come in again."""
        live = self.config.ssl
        if not isinstance(live, LiveContext):
            return False
        connection = self.transport.get_extra_info("ssl_object")
        return connection is None or connection.context is not live.front.context

    def on_headers_complete(self) -> None:
        self._head_is_here()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Not HTTP: said as every other error is."""
        response = problem(RequestMalformed(msg), "")
        head = [f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}".encode()]
        head += [name + b": " + value for name, value in (*response.raw_headers, *SECURITY_HEADERS)]
        self.transport.write(b"\r\n".join([*head, b"connection: close", b"", bytes(response.body)]))
        self.transport.close()

    def _idle(self) -> bool:
        return self._head_timer is None and (self.cycle is None or self.cycle.response_complete)

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(HEAD_S, self.transport.abort)

    def _head_is_here(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
