"""The console's time; tests pass their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

MICROSECONDS = 1000


def _utc_us() -> int:
    return time.time_ns() // MICROSECONDS


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic` in seconds that never go back, for ages; `utc_us` for what a person reads."""

    monotonic: Callable[[], float] = time.monotonic
    utc_us: Callable[[], int] = _utc_us
