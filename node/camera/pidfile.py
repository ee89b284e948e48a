"""The pid file of a camera worker: lets the next start find a leftover and end it, never a recycled pid."""

from __future__ import annotations

import json
import os
import select
import signal
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from node.clock import boot_id

_PROC = Path("/proc")
_START_FIELD = 19  # of /proc/PID/stat after the command's name: field 22, start time in ticks since boot


@dataclass(frozen=True, slots=True)
class Process:
    """One process of one boot: pids are used again, pid and start time together are not."""

    pid: int
    started_ticks: int
    boot: str


def identify(pid: int) -> Process | None:
    """The process that has this pid now; None when there is none, or only its remains."""
    try:
        after_name = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if after_name[0] == "Z":
        return None
    return Process(pid, int(after_name[_START_FIELD]), boot_id())


def write(path: Path, process: Process) -> None:
    """Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".tmp")
    fresh.write_text(json.dumps(asdict(process)))
    fresh.replace(path)


def read(path: Path) -> Process | None:
    """None where there is no file that can be read, or none that we wrote whole."""
    try:
        return Process(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def end_leftover(path: Path, wait_s: float) -> int | None:
    """Kill the worker that an earlier service left behind; returns its pid, None when there was none.

    Raises TimeoutError when it survives SIGKILL (stuck in a driver).
    """
    known = read(path)
    if known is None:
        return None
    ended = _end(known, wait_s)
    path.unlink(missing_ok=True)
    return ended


def _end(known: Process, wait_s: float) -> int | None:
    try:
        handle = os.pidfd_open(known.pid)
    except ProcessLookupError:
        return None
    try:
        # compared after the handle is taken: from here on the handle cannot come to mean another process
        if identify(known.pid) != known:
            return None
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        if not poll.poll(wait_s * 1000):
            raise TimeoutError(f"process {known.pid} is still there {wait_s:g} s after SIGKILL")
    finally:
        os.close(handle)
    return known.pid
