"""The one source of time, boot id and waiting.  Rules take `now` as an argument; tests pass their own clock."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from functools import cache
from pathlib import Path
from typing import Protocol

from node.domain.frame import make_id

US = 1_000_000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_INIT, _STARTED = Path("/proc/1/stat"), 19  # proc(5): starttime, counted behind the name
_SYNCED = Path("/run/systemd/timesync/synchronized")
_LONGEST_WAIT_S = 3600.0
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 512  # struct timex is smaller on every machine; all zero = read only


class Clock(Protocol):
    """Time as the node sees it."""

    def now_us(self) -> int:
        """UTC in microseconds since 1970."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        """Wait until `wake` is set or the time is over; True when it was set."""

    def synced(self) -> bool:
        """Whether the wall clock may be believed."""

    def new_id(self) -> str:
        """A fresh time-ordered id."""


class SystemClock:
    """The machine's clock.  A trusted one needs no time service to be believed."""

    def __init__(self, *, trusted: bool = False) -> None:
        self._trusted = trusted

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        return wake.wait(min(max(0.0, seconds), _LONGEST_WAIT_S))

    def synced(self) -> bool:
        """What systemd-timesyncd says (its marker file), or the kernel, which chrony and ntpd tell."""
        return self._trusted or _SYNCED.exists() or kernel_synced()

    def new_id(self) -> str:
        return make_id(self.now_us() // 1000, os.urandom(10))


@cache
def boot_id() -> str:
    """Changes with each boot of the machine, and with each start of a container that shares its kernel."""
    started_ticks = _INIT.read_text().rpartition(")")[2].split()[_STARTED]
    return f"{_BOOT_ID.read_text().strip()}-{started_ticks}"


def kernel_synced() -> bool:
    """Whether some time service has disciplined the kernel's clock lately (adjtimex; one system call)."""
    state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return 0 <= state < _TIME_ERROR
