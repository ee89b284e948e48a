"""A tiny node: a real HTTP server on loopback that answers as it is told to."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from console.fleet.clock import Clock
from console.fleet.inventory import Host
from node.wire.status import NodeStatus
from node.wire.stream import StreamEvent, event_block

GIB = 2**30
ENTRY_US = 1_800_000_000_000_000


def camera(name: str = "main", **changes: Any) -> dict[str, Any]:
    return {
        "name": name, "state": "ok", "last_good": "2027-01-15T07:59:53.000Z", "last_good_age_s": 7.0,
        "interval_s": 60, "due": 120, "captured": 120, "gaps": 0, "quality": 91,
        "quality_24h": "899999988...99999998888",
        **changes,
    }  # fmt: skip


def status(node: str = "reykjavik", **changes: Any) -> dict[str, Any]:
    return {
        "node": node, "site": "Harbour", "version": "0.1.0", "state": "ok", "reasons": [], "ready": True,
        "started": "2027-01-15T06:00:00.000Z", "uptime_s": 7200.0,
        "clock": {"now": "2027-01-15T08:00:00.000Z", "synced": True},
        "config": {"version": 1, "digest": "0" * 64, "state": "active"},
        "cameras": [camera()],
        "disk": {"total_bytes": 100 * GIB, "free_bytes": 45 * GIB, "level": "ok", "full_in_days": 9.0},
        **changes,
    }  # fmt: skip


@dataclass
class Answer:
    """One answer: JSON unless it is bytes; `drip_s` apart for each byte; `lost` = the connection is cut instead."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    drip_s: float = 0.0
    lost: bool = False

    @property
    def data(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def problem(status: int, code: str, title: str = "no", detail: str = "", hint: str = "") -> Answer:
    said = {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail, "hint": hint}
    return Answer(said, status)


def job(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"01ARZ3NDEKTSV4RRFFQ69G{number:04d}", "kind": "render", "key": f"main/{number}", "state": "dead",
        "priority": 50, "who": "trigger", "created": "2027-01-15T07:00:00.000Z", "due": "2027-01-15T07:00:00.000Z",
        "attempt": 3, "error_code": "REN-004", "error": "the encoder ended with 1",
        **changes,
    }  # fmt: skip


@dataclass
class FakeNode:
    """What it answers is in plain sight; `asked` keeps the headers of every request."""

    name: str = "reykjavik"
    body: bytes = b""
    code: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: threading.Event | None = None
    events: queue.Queue[bytes | None] = field(default_factory=queue.Queue)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    routes: dict[str, list[Answer]] = field(default_factory=dict)
    """By "METHOD /path" without its query: one answer after the other, the last one for good."""
    orders: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    """Path, Idempotency-Key and body of each POST, PUT and DELETE."""
    port: int = 0

    def says(self, **changes: Any) -> None:
        self.body = json.dumps(status(self.name, **changes)).encode()

    def tells(self, number: int, kind: str, **body: Any) -> None:
        self.events.put(event_block(StreamEvent(id=number, at="2027-01-15T08:00:00.000Z", kind=kind, body=body)))

    def answers(self, route: str, *answers: Answer | dict[str, Any]) -> None:
        self.routes[route] = [each if isinstance(each, Answer) else Answer(each) for each in answers]

    def refuses(self, route: str, status: int, code: str, title: str = "no", detail: str = "", hint: str = "") -> None:
        self.answers(route, problem(status, code, title, detail, hint))

    @property
    def host(self) -> Host:
        return Host(self.name, "127.0.0.1", self.port, "http")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    fake: FakeNode


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        fake = self.server.fake
        fake.asked.append((self.path, dict(self.headers)))
        if self.path == "/v1/events":
            self._stream(fake)
            return
        if fake.delay is not None:
            fake.delay.wait(10)
        if self._routed(fake):
            return
        self._head(fake.code, {"Content-Length": str(len(fake.body)), **fake.headers})
        self._send(fake.body)

    def do_POST(self) -> None:
        fake = self.server.fake
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        fake.orders.append((self.path, self.headers.get("Idempotency-Key", ""), body))
        fake.asked.append((self.path, dict(self.headers)))
        if fake.delay is not None:
            fake.delay.wait(10)
        if not self._routed(fake):
            self._answer(problem(404, "API-003", "no such resource"))

    def do_PUT(self) -> None:
        self.do_POST()

    def do_DELETE(self) -> None:
        self.do_POST()

    def _routed(self, fake: FakeNode) -> bool:
        waiting = fake.routes.get(f"{self.command} {self.path.partition('?')[0]}")
        if not waiting:
            return False
        self._answer(waiting.pop(0) if len(waiting) > 1 else waiting[0])
        return True

    def _answer(self, answer: Answer) -> None:
        if answer.lost:
            self.close_connection = True
            return
        self._head(answer.status, {"Content-Length": str(len(answer.data)), **answer.headers})
        pieces = [bytes([each]) for each in answer.data] if answer.drip_s else [answer.data]
        for piece in pieces:
            if not self._send(piece):
                return
            threading.Event().wait(answer.drip_s)

    def _stream(self, fake: FakeNode) -> None:
        self.close_connection = True
        self._head(200, {"Content-Type": "text/event-stream"})
        while (block := fake.events.get()) is not None and self._send(block):
            pass

    def _head(self, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, data: bytes) -> bool:
        try:
            self.wfile.write(data)
            self.wfile.flush()
        except OSError:
            return False
        return True


@pytest.fixture(autouse=True)
def _own_homes(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's settings and state but the test's own."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp(name)))


@pytest.fixture
def start_node() -> Iterator[Callable[..., FakeNode]]:
    """Starts fake nodes; all are gone after the test."""
    servers: list[tuple[Server, threading.Thread, FakeNode]] = []

    def start(name: str = "reykjavik", **changes: Any) -> FakeNode:
        fake = FakeNode(name)
        fake.says(**changes)
        server = Server(("127.0.0.1", 0), Handler)
        server.fake = fake
        fake.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        servers.append((server, thread, fake))
        return fake

    yield start
    for server, thread, fake in servers:
        for _ in range(50):
            fake.events.put(None)
        server.shutdown()
        thread.join()
        server.server_close()


class HandClock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def as_clock(self) -> Clock:
        return Clock(monotonic=lambda: self.now_s, utc_us=lambda: ENTRY_US + round((self.now_s - 1000) * 1_000_000))


@pytest.fixture
def hand() -> HandClock:
    return HandClock()


@pytest.fixture
def make_status() -> Callable[..., NodeStatus]:
    return lambda node="reykjavik", **changes: NodeStatus.model_validate(status(node, **changes))


@pytest.fixture
def inventory(tmp_path: Path) -> Callable[..., str]:
    """Writes one, for Ansible to read."""

    def write(*fakes: FakeNode) -> str:
        hosts = {
            fake.name: {"ansible_host": "127.0.0.1", "heliograph_port": fake.port, "heliograph_scheme": "http"}
            for fake in fakes
        }
        path = tmp_path / "inventory.json"
        path.write_text(json.dumps({"all": {"hosts": hosts}}))
        return str(path)

    return write


@pytest.fixture
def make_job() -> Callable[..., dict[str, Any]]:
    return job


@pytest.fixture
def answer() -> type[Answer]:
    return Answer


@pytest.fixture
def make_problem() -> Callable[..., Answer]:
    return problem


@pytest.fixture
def make_camera() -> Callable[..., dict[str, Any]]:
    return camera


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("s3cret\n")
    return path
