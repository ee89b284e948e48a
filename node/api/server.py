"""The HTTP server in a thread of its own: bind, TLS, start, stop within five seconds."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from node.api.ports import holder
from node.api.protocol import Protocol
from node.api.tls import CLIENT, LiveContext, Refused, live_context, read_front
from node.domain.certificate import Validity
from node.domain.errors import FieldFault, InternalError, NodeFileInvalid, PortTaken
from node.domain.nodefile import ApiBind, check_bind

GRACE_S = 3
STOP_S = 5.0
START_S = 10.0
BACKLOG = 128
KEEP_ALIVE_S = 30
"""Longer than a console waits between two polls, so that it need not shake hands anew at each."""
_LOG = logging.getLogger(__name__)


class Server:
    """One listening socket.

    `end_streams` is called first at a stop (from the stopping thread), `refused` for each handshake that this end
    refuses (in the server's own).
    """

    def __init__(self, app: ASGIApp, bind: ApiBind, end_streams: Callable[[], None], refused: Refused) -> None:
        """Raises InsecureBind."""
        check_bind(bind)
        self._app, self._bind, self._end_streams, self._refused = app, bind, end_streams, refused
        self._uvicorn: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._tls: LiveContext | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Scheme, host and the real port."""
        host = f"[{self._bind.host}]" if ":" in self._bind.host else self._bind.host
        return f"{'https' if self._bind.tls else 'http'}://{host}:{self.port}"

    def start(self) -> None:
        """Returns when it answers.

        Raises PortTaken, TlsUnusable, CredentialMissing, NodeFileInvalid (address cannot be bound).
        """
        config = self._config()
        listener = bound(self._bind.host, self._bind.port)
        self.port = listener.getsockname()[1]
        server = self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(target=server.run, args=([listener],), name="api", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + START_S
        while not server.started and self._thread.is_alive() and time.monotonic() < deadline:
            self._thread.join(0.01)
        if not server.started:
            listener.close()
            raise InternalError("the API's event loop did not start")

    def stop(self, timeout_s: float = STOP_S) -> bool:
        """Streams say goodbye, requests get three seconds.  False where a handler still sits in its thread."""
        self._end_streams()
        if self._uvicorn is None or self._thread is None:
            return True
        self._uvicorn.should_exit = True
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            _LOG.warning("a request did not end; it is left behind")
        return not self._thread.is_alive()

    def reload_tls(self) -> Validity | None:
        """New connections get what the files say now; those that are open go on, but for whom is revoked.

        None where there is no TLS.

        Raises as `start` does; then what was in force stays.
        """
        if self._bind.tls is None or self._tls is None:
            return None
        self._tls.front = read_front(self._bind.tls)
        self._look_again()
        return self.certificate

    def _look_again(self) -> None:
        for connection in tuple(self._uvicorn.server_state.connections) if self._uvicorn else ():
            if isinstance(connection, Protocol):
                with suppress(RuntimeError):  # its loop has ended
                    connection.loop.call_soon_threadsafe(connection.look_again)

    @property
    def certificate(self) -> Validity | None:
        """When the certificate in force counts."""
        return None if self._tls is None else self._tls.front.validity

    def alive(self) -> bool:
        """Whether the server's thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _config(self) -> uvicorn.Config:
        self._tls = None if self._bind.tls is None else live_context(self._bind.tls, self._refused)
        config = uvicorn.Config(
            self._app,
            http=Protocol,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        config.load()
        config.ssl = self._tls
        return config


class Listener(socket.socket):
    """Notes who comes: asyncio gives each connection a task, and each task a copy of the context that this sets."""

    def accept(self) -> tuple[socket.socket, Any]:
        connection, address = super().accept()
        CLIENT.set(address[0])
        return connection, address


def bound(host: str, port: int) -> socket.socket:
    """A listening socket.  Raises PortTaken naming who holds it, NodeFileInvalid where the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # with the protocol named, asyncio switches off the delay that holds small answers back for 40 ms
    listener = Listener(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"{host}:{port} is held by {holder(port)}") from error
        field = "api.port" if error.errno == errno.EACCES else "api.host"
        raise NodeFileInvalid(fields=[FieldFault(field, os.strerror(error.errno or 0), f"{host}:{port}")]) from error
    return listener
