"""The process of one encode, or of one look at its result: a request in, progress and an answer out, as JSON lines."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from node.clock import SystemClock
from node.crashpoint import crash_point
from node.domain.errors import HeliographError, MemoryShort
from node.render.plan import plan_from

PROGRESS_S = 0.5
NICENESS = 19
_PR_SET_PDEATHSIG = 1
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "armv7l": 314}
_THIS_PROCESS, _IDLE_CLASS = 1, 3 << 13  # ioprio_set(2)


class Voice:
    """What the parent hears: progress at most twice a second, never backwards, then one answer or error."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._clock = SystemClock()
        self._began_s = self._said_s = self._clock.monotonic()
        self._done = 0

    def progress(self, done: int) -> None:
        now_s = self._clock.monotonic()
        self._done = max(self._done, done)
        if now_s - self._said_s >= PROGRESS_S:
            self._said_s = now_s
            self.say({"done": self._done, "fps": round(self._done / (now_s - self._began_s), 2)})

    def say(self, line: Mapping[str, Any]) -> None:
        self._out.write(json.dumps(line) + "\n")
        self._out.flush()


def encode(request: Mapping[str, Any], voice: Voice) -> dict[str, Any]:
    """Frames used, those left out, the child's peak memory."""
    from node.render.encode import encode as encode_plan  # noqa: PLC0415 - each verb holds only its own libraries

    plan = plan_from(request["plan"])
    made = encode_plan(plan, Path(request["video"]), Path(request["poster"]), voice.progress)
    left_out = [asdict(each) for each in made.left_out]
    return {"frames": len(made.used), "left_out": left_out, "peak_bytes": peak_bytes()}


def verify(request: Mapping[str, Any], voice: Voice) -> dict[str, Any]:
    """The facts of the file."""
    from node.render.verify import read  # noqa: PLC0415 - as above

    video, poster = Path(request["video"]), Path(request["poster"])
    return asdict(read(video, poster, lambda: voice.progress(request["done"])))


VERBS: Mapping[str, Callable[[Mapping[str, Any], Voice], dict[str, Any]]] = {"encode": encode, "verify": verify}


def serve(verb: str, requests: IO[str], out: IO[str]) -> None:
    """One request.  From then on the end of the pipe ends this process, whatever it is doing."""
    voice = Voice(out)
    request = json.loads(requests.readline())
    threading.Thread(target=_end_with, args=(requests,), name="parent", daemon=True).start()
    crash_point(f"render_{verb}")
    try:
        voice.say({"answer": VERBS[verb](request, voice)})
    except HeliographError as error:
        voice.say({"error": error.code, "detail": error.detail})
    except MemoryError:
        voice.say({"error": MemoryShort.code, "detail": f"{verb} had none left"})


def _end_with(requests: IO[str]) -> None:
    requests.read()
    os.kill(os.getpid(), signal.SIGKILL)  # a library's thread may hang: nothing is asked, nothing is flushed


def peak_bytes() -> int:
    """The most memory that this process has had; ru_maxrss would count the parent's from before exec."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def stand_back() -> None:
    """Capture outranks this: the last share of the processor, and the disk when nobody else wants it.

    A unit says both (Nice=, IOSchedulingClass=): its filter of system calls may end whoever asks for them later.
    """
    if os.getpriority(os.PRIO_PROCESS, 0) > 0:
        return
    with suppress(PermissionError):
        os.nice(NICENESS)
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:  # refused by some containers, and by schedulers without classes: then it stays as it is
        ctypes.CDLL(None).syscall(number, _THIS_PROCESS, 0, _IDLE_CLASS)


def take_pipes() -> tuple[IO[str], IO[str]]:
    """Requests and answers, moved away from descriptors 0 and 1: what a library prints goes to stderr."""
    requests, out = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    silence = os.open(os.devnull, os.O_RDONLY)
    os.dup2(silence, 0)
    os.close(silence)
    os.dup2(2, 1)
    return requests, out


def main() -> None:
    """Ctrl-C and the unit's SIGTERM are the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    stand_back()
    status = 0
    try:
        serve(sys.argv[1], *take_pipes())
    except Exception:  # noqa: BLE001 - the process's boundary: the parent reads the last lines
        traceback.print_exc()
        status = 1
    # native libraries may hang in their destructors: nothing is left to do that the kernel does not do
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
