"""The search for garbage: over a large fleet it stops everything for most of a second, so it is seldom made."""

from __future__ import annotations

import gc
from collections.abc import Callable

from console.fleet.clock import Clock

LARGE = 200
"""From so many nodes on it is felt."""
EVERY_S = 600.0
NEVER = 2**31 - 1


class Garbage:
    """What nobody can reach any more, though it holds on to itself.  Young garbage is found as ever, at once."""

    def __init__(self, clock: Clock, search: Callable[[], object] = gc.collect) -> None:
        self._clock = clock
        self._search = search
        self._usual: tuple[int, int, int] | None = None
        self._due_s = 0.0

    def mind(self, nodes: int) -> None:
        """Called now and then: from now on all is searched only here, where there are many nodes."""
        if nodes < LARGE:
            return
        if self._usual is None:
            self._usual = gc.get_threshold()
            gc.set_threshold(*self._usual[:2], NEVER)
            self._due_s = self._clock.monotonic() + EVERY_S
        if self._clock.monotonic() >= self._due_s:
            self._due_s = self._clock.monotonic() + EVERY_S
            self._search()

    def leave(self) -> None:
        """Everything is as before."""
        if self._usual is not None:
            gc.set_threshold(*self._usual)
            self._usual = None
