"""Programs that a transfer starts: they end with this process, and at once when they are not wanted any more."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Self

from node.clock import Clock
from node.domain.errors import TargetUnavailable

LOOK_S = 0.2
TAIL_BYTES = 64 * 1024
_DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")
_ENGLISH = {"LC_ALL": "C"}
Stream = IO[bytes] | int
Said = Callable[[str], object]
"""Told several times a second of the last words on a child's output; what it raises ends the child."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended: its status (negative = by a signal), what it wrote, and the end of its complaints."""

    status: int
    out: bytes
    complaints: str


class Child:
    """One program.  Input and output are files without a name: neither side ever waits for the other."""

    def __init__(self, words: Sequence[str], scratch: Path, given: bytes = b"", into: IO[bytes] | None = None) -> None:
        """Raises TargetUnavailable where the program is missing here."""
        installed(words[0])
        self._err: IO[bytes] = TemporaryFile(dir=scratch)  # noqa: SIM115 - closed with the block
        self._out = into or TemporaryFile(dir=scratch)  # noqa: SIM115 - closed with the block
        self._is_ours = into is None
        with TemporaryFile(dir=scratch) as source:
            source.write(given)
            source.seek(0)
            self._process = start(words, scratch, stdin=source, stdout=self._out, stderr=self._err)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process)
        self._err.close()
        if self._is_ours:
            self._out.close()

    def wait(self, clock: Clock, silence_s: float, said: Said) -> Ended:
        """Until it ends.  Raises TargetUnavailable after so many seconds without any output."""
        size, since = -1, clock.monotonic()
        while not exited(self._process, LOOK_S):
            said(self._last_words())
            before, size = size, os.fstat(self._out.fileno()).st_size
            since = clock.monotonic() if size != before else since
            if clock.monotonic() - since > silence_s:
                raise TargetUnavailable(f"nothing moved for {silence_s:g} s")
        said(self._last_words())  # also to whoever stops: a stop of the whole unit ends the child first
        return Ended(self._process.wait(), self._written(), tail(self._err))

    def _last_words(self) -> str:
        return tail(self._out) if self._is_ours else ""

    def _written(self) -> bytes:
        if not self._is_ours:
            return b""
        self._out.seek(0)
        return self._out.read()


def start(
    words: Sequence[str], scratch: Path, stdin: Stream, stdout: Stream, stderr: Stream
) -> subprocess.Popen[bytes]:
    """In a session of its own: Ctrl-C is for us.  The thread that calls must outlive the child: the kernel ends it."""
    return subprocess.Popen(  # noqa: S603 - our own words; names of files never come in here
        [*_DIES_WITH_US, *words],
        cwd=scratch,
        env={**os.environ, **_ENGLISH},
        start_new_session=True,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )


def installed(program: str) -> None:
    """Raises TargetUnavailable where this machine lacks it, or what starts it."""
    for needed in (_DIES_WITH_US[0], program):
        if shutil.which(needed) is None:
            raise TargetUnavailable(f"{needed} is not installed on this node")


def end(process: subprocess.Popen[bytes]) -> None:
    """With what it has started."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def exited(process: subprocess.Popen[bytes], within_s: float) -> bool:
    handle = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(within_s * 1000))
    finally:
        os.close(handle)


def tail(file: IO[bytes]) -> str:
    """The end of what was written; the writer's place in the file is left alone."""
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), TAIL_BYTES, max(0, size - TAIL_BYTES)).decode(errors="replace")
