"""The supervisor's end of a camera worker: one request at a time, each with a deadline that this end enforces."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol

import node
from node.camera import messages, pidfile
from node.camera.base import CameraConfig, CameraHealth, CameraInfo, Capabilities, Shot, ShotSpec
from node.clock import Clock, SystemClock
from node.domain.errors import CameraLost, CameraTimeout

WORKER = "node.camera.worker"
KILL_WAIT_S = 2.0
LAST_LINES, LINE_CHARS = 20, 400
# numpy's threads and glibc's arenas cost memory and bring nothing to one thread
_LEAN = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1"}


class Link(Protocol):
    """A camera behind a boundary that can be cut.

    Every call raises the camera errors of the backend; CameraTimeout when no answer came in time (the worker is
    killed then) and CameraLost when the worker ended.  After either `alive` is False and only `kill` is legal.
    """

    @property
    def alive(self) -> bool:
        """Whether it takes requests."""

    @property
    def pid(self) -> int | None:
        """The worker's process id; None without a process."""

    def probe(self, options: Mapping[str, Any], deadline_s: float) -> list[CameraInfo]:
        """The cameras that the backend of these options sees."""

    def open(self, config: CameraConfig, deadline_s: float) -> Capabilities:
        """Open the camera, closing the one that was open."""

    def shoot(self, spec: ShotSpec, deadline_s: float) -> Shot:
        """One shot of the open camera."""

    def ping(self, deadline_s: float) -> CameraHealth:
        """A sign of life."""

    def close(self, deadline_s: float) -> None:
        """Release the camera; the worker stays."""

    def kill(self) -> bool:
        """End the worker; False when it survives even SIGKILL."""

    def abort(self) -> None:
        """From any thread: the request under way fails at once with CameraLost, and so does every later one."""


class ProcessLink:
    """A worker of its own process, started at the first request."""

    def __init__(
        self,
        name: str,
        run_dir: Path,
        *,
        clock: Clock | None = None,
        said: Callable[[str], None] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._name = name
        self._pid_path = run_dir / f"camera-{name}.pid"
        self._clock = clock or SystemClock()
        self._said = said or (lambda _line: None)
        self._env = env or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._listener: threading.Thread | None = None
        self._ended = False

    @property
    def alive(self) -> bool:
        return not self._ended

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def probe(self, options: Mapping[str, Any], deadline_s: float) -> list[CameraInfo]:
        answer = self._ask("probe", {"options": dict(options)}, deadline_s)
        return messages.to_infos(answer.header["cameras"])

    def open(self, config: CameraConfig, deadline_s: float) -> Capabilities:
        answer = self._ask("open", {"config": messages.from_config(config)}, deadline_s)
        return messages.to_capabilities(answer.header)

    def shoot(self, spec: ShotSpec, deadline_s: float) -> Shot:
        # the backend's own deadline ends first, so that a camera late by a little is not a dead worker
        body = {"spec": messages.from_spec(spec), "deadline_s": deadline_s * 0.9}
        answer = self._ask("shoot", body, deadline_s)
        try:
            return messages.to_shot(answer)
        except messages.Garbled as error:
            raise self._lost(f"answer not understood: {error}") from error

    def ping(self, deadline_s: float) -> CameraHealth:
        return messages.to_health(self._ask("ping", {}, deadline_s).header)

    def close(self, deadline_s: float) -> None:
        if self._process is not None and not self._ended:
            self._ask("close", {}, deadline_s)

    def kill(self) -> bool:
        self._ended = True
        if self._process is None:
            return True
        self._process.kill()
        try:
            self._process.wait(KILL_WAIT_S)
        except subprocess.TimeoutExpired:
            return False
        self._forget(self._process)
        return True

    def abort(self) -> None:
        self._ended = True
        process = self._process
        if process is not None:
            with suppress(PermissionError):
                process.kill()  # looks first whether it was reaped: never another process of that number

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        if self._listener:
            self._listener.join(KILL_WAIT_S)
            self._listener = None
        self._process = None
        with suppress(OSError):  # as when it was written: the file helps the next start, nothing else
            self._pid_path.unlink(missing_ok=True)

    def _ask(self, verb: str, body: Mapping[str, Any], deadline_s: float) -> messages.Message:
        if self._ended:
            raise CameraLost("this worker has ended")
        until = self._clock.monotonic() + deadline_s
        process = self._running()
        if self._ended:
            raise self._lost("aborted while it started")
        try:
            self._send(process, messages.pack(messages.Message({"do": verb, **body})), until)
            answer = self._receive(process, until)
        except TimeoutError:
            raise self._late(verb, deadline_s) from None
        except (EOFError, OSError, messages.Garbled) as error:
            raise self._lost(str(error)) from error
        failure = messages.to_error(answer.header)
        if failure is not None:
            raise failure
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._end_leftover()
            try:
                self._process = self._spawn()
                self._listen(self._process)
            except OSError as error:  # no memory, or no file handle, for it: the next try may have them
                raise self._lost(f"worker cannot be started: {error}") from error
            self._record(self._process)
        return self._process

    def _end_leftover(self) -> None:
        try:
            leftover = pidfile.end_leftover(self._pid_path, KILL_WAIT_S)
        except TimeoutError as error:
            raise CameraLost(f"a worker of an earlier start holds the camera: {error}") from error
        except OSError as error:
            raise CameraLost(f"a worker of an earlier start cannot be looked for: {error}") from error
        if leftover is not None:
            self._said(f"ended the camera worker {leftover} of an earlier start")

    def _spawn(self) -> subprocess.Popen[bytes]:
        source = str(Path(node.__file__).parent.parent)
        path = os.pathsep.join(filter(None, (self._env.get("PYTHONPATH"), source)))
        return subprocess.Popen(  # noqa: S603 - our own module under our own interpreter
            [sys.executable, "-P", "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **_LEAN, **self._env, "PYTHONPATH": path},
        )

    def _record(self, process: subprocess.Popen[bytes]) -> None:
        try:
            identity = pidfile.identify(process.pid)
            if identity is not None:  # else it has ended already; the request will say so
                pidfile.write(self._pid_path, identity)
        except OSError as error:
            # the camera matters more: without the file only the search for leftovers is blind
            self._said(f"pid file of the camera worker cannot be written: {error}")

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        for pipe in (process.stdin, process.stdout):
            if pipe:
                os.set_blocking(pipe.fileno(), False)
        if process.stderr:
            # read at once and by a thread: a driver that talks while nobody asks would fill the pipe and stop
            self._listener = threading.Thread(
                target=self._read_lines, args=(process.stderr,), name=f"camera-{self._name}-words", daemon=True
            )
            self._listener.start()

    def _read_lines(self, pipe: IO[bytes]) -> None:
        with pipe:
            for line in iter(lambda: pipe.readline(LINE_CHARS), b""):
                text = line.decode(errors="replace").rstrip()
                self._last_lines.append(text)
                self._said(text)

    def _send(self, process: subprocess.Popen[bytes], buffers: list[bytes | memoryview], until: float) -> None:
        assert process.stdin
        fd = process.stdin.fileno()
        for buffer in buffers:
            rest = memoryview(buffer)
            while rest:
                self._wait(fd, select.POLLOUT, until)
                rest = rest[os.write(fd, rest) :]

    def _receive(self, process: subprocess.Popen[bytes], until: float) -> messages.Message:
        assert process.stdout
        fd = process.stdout.fileno()
        header_size, parts_size = messages.lengths(bytes(self._read(fd, messages.PREFIX.size, until)))
        header = self._read(fd, header_size, until)
        return messages.unpack(bytes(header), self._read(fd, parts_size, until))

    def _read(self, fd: int, size: int, until: float) -> memoryview:
        view = memoryview(bytearray(size))
        got = 0
        while got < size:
            self._wait(fd, select.POLLIN, until)
            count = os.readv(fd, [view[got:]])
            if count == 0:
                raise EOFError("worker closed its pipe")
            got += count
        return view

    def _wait(self, fd: int, event: int, until: float) -> None:
        poll = select.poll()
        poll.register(fd, event)
        left = until - self._clock.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeoutError

    def _late(self, verb: str, deadline_s: float) -> CameraTimeout:
        pid = self.pid
        self.kill()
        return CameraTimeout(f"no answer to {verb} within {deadline_s:.1f} s; worker {pid} killed{self._last_words()}")

    def _lost(self, why: str) -> CameraLost:
        process = self._process
        self.kill()
        status = process.returncode if process else None
        if status is None:
            return CameraLost(f"{why}{self._last_words()}")
        ending = f"signal {-status}" if status < 0 else f"exit status {status}"
        return CameraLost(f"{why}, {ending}{self._last_words()}")

    def _last_words(self) -> str:
        said = " | ".join(line for line in list(self._last_lines)[-3:] if line)
        return f"; last words: {said}" if said else ""
