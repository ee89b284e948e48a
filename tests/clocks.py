"""A clock that jumps: simulated days pass as fast as the code under test can go."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import math
import threading
from collections.abc import Callable

from node.clock import US
from node.domain.frame import make_id

START_US = 1_795_000_000 * US  # 2026-11-18T12:26:40Z
_REAL_WAIT_S = 0.25


class JumpClock:
    """Waiting moves time at once, in the thread that made the clock; other threads wait for their event, really.

    Wall and monotonic time go together; `step` sets the wall clock alone, as a time service does.  `at` plans an act:
    time stops at that instant, the act runs, and a wait whose event it sets ends there.
    """

    def __init__(self, now_us: int = START_US, *, synced: bool = True) -> None:
        self.is_synced = synced
        self.waits = 0
        self._passed_us = 0
        self._offset_us = now_us
        self._owner = threading.get_ident()
        self._numbers = itertools.count()
        self._planned: list[tuple[int, int, Callable[[], object]]] = []

    def now_us(self) -> int:
        return self._offset_us + self._passed_us

    def monotonic(self) -> float:
        return self._passed_us / US

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        self.waits += 1
        if threading.get_ident() != self._owner:
            return wake.wait(min(max(0.0, seconds), _REAL_WAIT_S))
        # rounded up: a wait for an instant must not end just before it
        return self._pass(math.ceil(max(0.0, seconds) * US), wake)

    def synced(self) -> bool:
        return self.is_synced

    def new_id(self) -> str:
        """The same row of ids in each run."""
        return make_id(self.now_us() // 1000, hashlib.sha256(str(next(self._numbers)).encode()).digest()[:10])

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._pass(math.ceil(seconds * US), threading.Event())

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back; no time passes."""
        self._offset_us += round(seconds * US)

    def at(self, wall_us: int, act: Callable[[], object]) -> None:
        """Run `act` when the wall clock, as it goes now, reaches `wall_us`."""
        heapq.heappush(self._planned, (wall_us - self._offset_us, next(self._numbers), act))

    def _pass(self, span_us: int, wake: threading.Event) -> bool:
        end_us = self._passed_us + span_us
        while not wake.is_set() and self._planned and self._planned[0][0] <= end_us:
            due_us, _, act = heapq.heappop(self._planned)
            self._passed_us = max(self._passed_us, due_us)
            act()
        if wake.is_set():
            return True
        self._passed_us = max(self._passed_us, end_us)
        return False
