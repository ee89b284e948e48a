"""What a console saw, written as it happens, and played back as if it happened now.

JSON lines: first `format`, `t` (UTC microseconds, of the oldest that was known and not stale), `began`, `patience` and
`hosts`; then `t` with one of `status`, `error`, `event` of a `node`, a new list of `hosts`, or `end`: why it stops.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json, to_json

from console.fleet.clock import Clock
from console.fleet.inventory import Host
from console.fleet.keep import FORMAT, format_of
from console.fleet.state import Moment
from console.fleet.view import FleetModel, NodeView, Patience
from node.wire.errors import (
    ConsoleFileUnusable,
    NodeAnswerWrong,
    NodeRefused,
    NodeUnreachable,
    NodeUntrusted,
    RecordingUnusable,
    kinds_of,
)
from node.wire.status import NodeStatus
from node.wire.stream import StreamEvent
from node.wire.times import US

if TYPE_CHECKING:
    from console.fleet.client import NodeClient

LARGEST_BYTES = 1_000_000_000
LONGEST_LINE_BYTES = 2_000_000
TAIL_BYTES = 64 * 1024
CHUNK_BYTES = 1_000_000
TICK_S = 0.25
AT_ONCE = 200
"""Lines played back before anybody else gets a turn."""
SPEEDS = (0.01, 10_000.0)
HIDDEN = b"***"
SHORTEST_SECRET = 8
ERRORS = kinds_of(NodeUnreachable, NodeUntrusted, NodeRefused, NodeAnswerWrong, ConsoleFileUnusable)


class Recorder:
    """Writes what is new in a model each time it is asked to; what it has written is there after any crash.

    `note` is for the loop that changes the model, and quick; `write` is not, and may run in a thread meanwhile.
    """

    def __init__(self, path: Path, model: FleetModel, *, limit_bytes: int = LARGEST_BYTES) -> None:
        """Raises RecordingUnusable where something stands already, or nothing can be written."""
        self.path = path
        self.stopped = ""
        """Why nothing more is recorded; empty = it goes on."""
        self._model = model
        self._room = limit_bytes
        self._seen = 0
        self._told = model.told
        self._written: dict[str, NodeView] = {}
        self._waiting: deque[dict[str, Any]] = deque()
        self._turn = Lock()
        self._secrets = _Secrets()
        self._secrets.are_of(view.host for view in model.views.values())
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except OSError as error:
            raise RecordingUnusable(f"{path}: {error.strerror}") from None
        head = {"format": FORMAT, "t": self._begin_us(), "began": self._now_us(), "patience": asdict(model.patience)}
        self._write([{**head, "hosts": self._hosts()}])
        self.note()  # what is known by now: a second later it may be another

    def record(self) -> None:
        """What has changed since the last call, at once."""
        self.note()
        self.write()

    def note(self) -> None:
        """What has changed since the last call, to be written."""
        if self.stopped:
            return
        names = self._model.changed_since(self._seen)
        self._seen = self._model.revision
        lines = [*self._moved(names), *(line for name in names for line in self._node(name)), *self._events()]
        lines.sort(key=lambda line: line["t"])  # stable: what was heard before this recording began comes first
        self._waiting.extend(lines)

    def write(self) -> None:
        """What was noted."""
        with self._turn:
            lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if lines and not self.stopped:
                self._write(lines)

    async def run(self, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Until cancelled."""
        try:
            while not self.stopped:
                self.record()
                await pause(TICK_S)
        finally:
            self.close()

    def close(self) -> None:
        """The last of it is written first."""
        self.record()
        with self._turn:
            self._stop("closed")

    def _now_us(self) -> int:
        return self._model.clock.utc_us()

    def _begin_us(self) -> int:
        """Early enough for the latest word of every node that is not silent."""
        now_s, patience = self._model.clock.monotonic(), self._model.patience
        heard_s = (view.silence_s(now_s) for view in self._model.views.values() if view.heard_s is not None)
        return self._now_us() - round(max((each for each in heard_s if each <= patience.stale_s), default=0.0) * US)

    def _hosts(self) -> list[dict[str, Any]]:
        """Who and where; what opens a node is nobody's business later on."""
        return [
            {
                "name": host.name,
                "address": host.address,
                "port": host.port,
                "scheme": host.scheme,
                "groups": host.groups,
            }
            for host in (view.host for view in self._model.views.values())
        ]

    def _moved(self, names: list[str]) -> Iterator[dict[str, Any]]:
        views, written = self._model.views, self._written
        left = [name for name in written.keys() & names if name not in views]
        moved = any(name not in written or written[name].host != views[name].host for name in names if name in views)
        if left or (moved and written):
            self._secrets.are_of(view.host for view in views.values())
            yield {"t": self._now_us(), "hosts": self._hosts()}
        for name in left:
            del self._written[name]

    def _node(self, name: str) -> Iterator[dict[str, Any]]:
        view, before = self._model.views.get(name), self._written.get(name)
        if view is None:
            return
        self._written[name] = view
        if view.status is not None and (before is None or view.status is not before.status):
            heard_us = self._now_us() - round(view.silence_s(self._model.clock.monotonic()) * US)
            yield {"t": max(0, heard_us), "node": name, "status": view.status}
        if view.error is not None and (before is None or view.failures != before.failures):
            error = {"code": view.error.code, "detail": view.error.detail, "failures": view.failures}
            yield {"t": self._now_us(), "node": name, "error": error}

    def _events(self) -> Iterator[dict[str, Any]]:
        fresh, self._told = self._model.fresh(self._told), self._model.told
        for one in fresh:
            yield {"t": self._now_us(), "node": one.node, "event": one.event}

    def _write(self, lines: list[dict[str, Any]]) -> None:
        data = self._secrets.hidden(b"".join(to_json(_dumped(line)) + b"\n" for line in lines))
        self._room -= len(data)
        if self._room < 0:
            self._stop("the recording has reached its largest size")
        else:
            self._put(data)

    def _stop(self, why: str) -> None:
        if not self.stopped:
            self._put(to_json({"t": self._now_us(), "end": why}) + b"\n")
        if not self.stopped:
            self.stopped = why
            os.close(self._file)

    def _put(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            self.stopped = f"{self.path}: {error.strerror}"
            os.close(self._file)


def _dumped(line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _plain(value) for key, value in line.items()}


def _plain(value: object) -> object:
    if isinstance(value, NodeStatus):
        return value.model_dump(mode="json", exclude_defaults=True)
    return value.model_dump(mode="json") if isinstance(value, StreamEvent) else value


class _Secrets:
    """The tokens that a node might send back, as they would stand in JSON; also those of before a change."""

    def __init__(self) -> None:
        self._found: set[bytes] = set()
        self._read: dict[str, tuple[int, ...]] = {}
        """Each file as it was when it was read; empty = not yet."""

    def are_of(self, hosts: Iterable[Host]) -> None:
        files = {host.token_file for host in hosts if host.token_file is not None}
        self._read = {path: self._read.get(path, ()) for path in files}

    def hidden(self, data: bytes) -> bytes:
        """Looked at right before: what was heard was asked for with a token that stood there by then."""
        known = self._read
        for path, before in list(known.items()):
            with suppress(OSError, RuntimeError, ValueError):  # then it cannot be sent either
                known[path] = self._look(Path(path).expanduser(), before)
        for secret in sorted(self._found, key=len, reverse=True):
            data = data.replace(secret, HIDDEN)
        return data

    def _look(self, path: Path, before: tuple[int, ...]) -> tuple[int, ...]:
        found = path.stat()
        now = (found.st_mtime_ns, found.st_ino, found.st_size)
        secret = to_json(path.read_text().strip())[1:-1] if now != before else b""
        if len(secret) >= SHORTEST_SECRET:
            self._found.add(secret)
        return now


class Tempo(BaseModel):
    """The patience of the console that recorded."""

    poll_s: Annotated[float, Field(gt=0, le=86_400)]
    missed: Annotated[int, Field(ge=1, le=100)]
    failed: Annotated[int, Field(ge=1, le=100)]
    silence_s: Annotated[float, Field(gt=0, le=864_000)]


class Failure(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    code: str
    detail: str = ""
    failures: int = 1


class Recorded(BaseModel):
    """A host in a recording."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,63}$")]
    address: str = ""
    port: int = 0
    scheme: str = "https"
    groups: tuple[str, ...] = ()

    def host(self) -> Host:
        return Host(self.name, self.address, self.port, self.scheme, groups=self.groups)


class Line(BaseModel):
    """One line of a recording; what a newer release adds is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    t: Moment
    began: Moment = 0
    """Of the first line: from when on it is played; what is older was known by then.  0 = a release that had none."""
    node: str = ""
    status: NodeStatus | None = None
    error: Failure | None = None
    event: StreamEvent | None = None
    hosts: tuple[Recorded, ...] | None = None


@dataclass(slots=True)
class _Tape:
    """The lines of the file, one after the other, and the one that comes next."""

    file: IO[bytes]
    skipped: int = 0
    next: Line | None = None

    def last_us(self) -> int:
        """The time on the last line that can be understood, if there is one near the end."""
        size = self.file.seek(0, os.SEEK_END)
        self.file.seek(max(0, size - TAIL_BYTES))
        lines = map(_line, reversed(self.file.read(TAIL_BYTES).split(b"\n")))
        return next((line.t for line in lines if line is not None), 0)

    def rewind(self) -> None:
        self.file.seek(0)
        self.file.readline(LONGEST_LINE_BYTES)
        self.advance()

    def advance(self) -> None:
        """To the next line that can be understood; None at the end."""
        while data := self.file.readline(LONGEST_LINE_BYTES):
            if not data.endswith(b"\n") and len(data) == LONGEST_LINE_BYTES:
                self._pass_over()
            elif (line := _line(data)) is not None:
                self.next = line
                return
            self.skipped += 1
        self.next = None

    def _pass_over(self) -> None:
        while (data := self.file.readline(CHUNK_BYTES)) and not data.endswith(b"\n"):
            pass


def _line(data: bytes) -> Line | None:
    try:
        return Line.model_validate_json(data)
    except ValidationError:
        return None


class Replay:
    """A recording as a source: its model's clock is the recording's, and at the end it stays on the last state."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Raises RecordingUnusable."""
        self.path = path
        self._wall = clock or Clock()
        self._wait = pause
        self._tape, first, patience = _opened(path)
        self.known_us = first.t
        """What was heard before that was old by the time the recording began."""
        self.begin_us = max(first.t, first.began)
        self.end_us = max(self.begin_us, self._tape.last_us())
        self._speed = 1.0
        self._at_us, self._since_s = self.begin_us, self._wall.monotonic()
        self._paused = False
        self._hosts = first.hosts or ()
        self._passed_us = first.t
        """No line is played at a time before that of the line before it."""
        self._tape.rewind()
        recorded = Clock(monotonic=lambda: self.now_us / US, utc_us=lambda: self.now_us)
        self.model = FleetModel([one.host() for one in self._hosts], patience=patience, clock=recorded)

    # --- as every source --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                more = self._play(AT_ONCE)
                await self._wait(0 if more else TICK_S)
        finally:
            self.close()

    def close(self) -> None:
        """Nothing more is played."""
        self._tape.next = None
        self._tape.file.close()

    def attend(self, names: Iterable[str]) -> None:
        """All that was recorded is there."""

    def client(self, name: str) -> NodeClient | None:  # noqa: ARG002 - a source is asked by name
        return None

    def ask_now(self, name: str) -> None:
        """There is nobody to ask."""

    # --- as a player ------------------------------------------------------------------------------------------------

    @property
    def now_us(self) -> int:
        """Where it stands; never past the next line that is still to be played, nor past the last."""
        following = self._tape.next
        return min(self._goal_us(), self._passed_us if following is None else max(self._passed_us, following.t))

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def ended(self) -> bool:
        return self._tape.next is None

    @property
    def skipped(self) -> int:
        """Lines that could not be understood so far."""
        return self._tape.skipped

    def pause(self) -> None:
        self._hold(self.now_us)
        self._paused = True

    def resume(self) -> None:
        self._hold(self.now_us)
        self._paused = False

    @property
    def speed(self) -> float:
        """How many recorded seconds go by in one."""
        return self._speed

    @speed.setter
    def speed(self, factor: float) -> None:
        self._hold(self.now_us)
        slowest, fastest = SPEEDS
        self._speed = min(max(factor, slowest), fastest)

    def seek(self, at_us: int) -> None:
        """To that instant, or the nearest there is; the model follows as `run` goes on."""
        at_us = min(max(at_us, self.begin_us), self.end_us)
        if at_us < self.now_us:
            self._start_over()
        self._hold(at_us)

    def _start_over(self) -> None:
        self._hold(self.begin_us)
        self._passed_us = self.known_us
        self._tape.rewind()
        self.model.set_hosts(())
        self.model.happenings.clear()
        self.model.set_hosts(one.host() for one in self._hosts)

    def _hold(self, at_us: int) -> None:
        self._at_us, self._since_s = at_us, self._wall.monotonic()

    def _goal_us(self) -> int:
        gone_s = 0.0 if self._paused else (self._wall.monotonic() - self._since_s) * self._speed
        return self._at_us + round(gone_s * US)

    def _play(self, most: int) -> bool:
        """What is due by now, at most so many lines; whether more is due."""
        for _ in range(most):
            line = self._tape.next
            if line is None or max(self._passed_us, line.t) > self._goal_us():
                return False
            self._apply(line)
            self._passed_us = max(self._passed_us, line.t)
            self._tape.advance()
        return True

    def _apply(self, line: Line) -> None:
        if line.hosts is not None:
            self.model.set_hosts(one.host() for one in line.hosts)
        if line.node not in self.model.views:
            return
        if line.status is not None:
            self._heard(line, line.status)
        if line.error is not None:
            self._failed(line.node, line.error)
        if line.event is not None:
            self.model.happened(line.node, line.event)

    def _heard(self, line: Line, status: NodeStatus) -> None:
        if line.t < self.known_us:
            self.model.restore(line.node, status, line.t)
        else:
            self.model.heard(line.node, status)

    def _failed(self, name: str, failure: Failure) -> None:
        error = ERRORS.get(failure.code, NodeUnreachable)(failure.detail)
        missing = min(failure.failures, self.model.patience.failed) - self.model.views[name].failures
        for _ in range(max(1, missing)):
            self.model.failed(name, error)


def _opened(path: Path) -> tuple[_Tape, Line, Patience]:
    try:
        if not path.is_file():
            raise RecordingUnusable(f"{path}: no such file")
        file = path.open("rb")
    except OSError as error:
        raise RecordingUnusable(f"{path}: {error.strerror}") from None
    try:
        first, patience = _head(path, file.readline(LONGEST_LINE_BYTES))
    except RecordingUnusable:
        file.close()
        raise
    return _Tape(file), first, patience


def _head(path: Path, data: bytes) -> tuple[Line, Patience]:
    if not data:
        raise RecordingUnusable(f"{path} is empty")
    head = _object(data)
    number, first = format_of(head), _line(data)
    if number is not None and number > FORMAT:
        raise RecordingUnusable(f"{path} was written by a newer release (format {number})")
    if number is None or first is None or first.hosts is None:
        raise RecordingUnusable(f"{path} is no recording")
    try:
        return first, Patience(**Tempo.model_validate(head.get("patience")).model_dump())
    except ValidationError:
        return first, Patience()


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        found = from_json(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
