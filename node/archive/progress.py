"""How far a transfer is, and how fast it may go."""

from __future__ import annotations

import threading

from node.archive.base import Beat
from node.clock import Clock

BEAT_S = 1.0


class Progress:
    """Counts bytes towards a total, and says so."""

    def __init__(self, beat: Beat, total_bytes: int, said: str) -> None:
        self._beat, self._total, self._said = beat, max(1, total_bytes), said
        self._done = 0

    def took(self, size_bytes: int) -> None:
        self._done += size_bytes
        self._beat(min(1.0, self._done / self._total), self._said)


class Pace:
    """Holds a sender back so that on average no more than the limit goes out; None = no limit."""

    def __init__(self, clock: Clock, limit_bytes_per_s: int | None) -> None:
        self._clock, self._limit = clock, limit_bytes_per_s
        self._began, self._sent = clock.monotonic(), 0
        self._never = threading.Event()

    def took(self, size_bytes: int, progress: Progress) -> None:
        """Waits as long as it must; the progress goes on beating."""
        if self._limit is None:
            return
        self._sent += size_bytes
        due = self._began + self._sent / self._limit
        while (left_s := due - self._clock.monotonic()) > 0:
            self._clock.wait(self._never, min(left_s, BEAT_S))
            progress.took(0)
