"""What a process beside the service does between jobs: a table of looks, each every so many seconds, in one thread."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from node.clock import Clock
from node.domain.errors import HeliographError
from node.domain.events import LoopFailed
from node.host.pulse import Pulse
from node.journal import Journal

LOOK_S = 0.5
PROMISE_S = 60.0
"""A look may take so long: one at a full disk deletes for half a minute."""
RETRY_S = 30.0
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Round:
    """Something looked at every so many seconds."""

    every_s: float
    act: Callable[[], object]


class Rounds:
    """One thread.  A look that raises does not keep the others from being made, and comes again a little later."""

    def __init__(
        self, name: str, rounds: Mapping[str, Round], journal: Journal, clock: Clock, pulse: Callable[[Pulse], object]
    ) -> None:
        self._name, self._rounds, self._journal, self._clock, self._pulse = name, dict(rounds), journal, clock, pulse
        self._due_s: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    def run(self, stop: threading.Event) -> None:
        """Look until stopped."""
        while not stop.is_set():
            self.turn()
            self._clock.wait(stop, LOOK_S)

    def turn(self) -> None:
        """Everything whose time has come."""
        for name, each in self._rounds.items():
            now_s = self._clock.monotonic()
            if now_s >= self._due_s.get(name, now_s):
                self._pulse(Pulse(os.getpid(), now_s, PROMISE_S))
                self._guarded(name, each)
                pause_s = max(each.every_s, RETRY_S) if name in self._failures else each.every_s
                self._due_s[name] = self._clock.monotonic() + pause_s

    def _guarded(self, name: str, each: Round) -> None:
        """The loop's boundary.  A failure that goes on is told of once."""
        try:
            each.act()
        except Exception as error:
            loop = f"{self._name}/{name}"
            self._failures[name] = self._failures.get(name, 0) + 1
            if self._failures[name] == 1:
                LOG.exception("loop failed", extra={"loop": loop})
                self._tell(LoopFailed(loop, f"{type(error).__name__}: {error}", 1))
        else:
            self._failures.pop(name, None)

    def _tell(self, failed: LoopFailed) -> None:
        try:
            self._journal.note([failed])
        except HeliographError as error:  # as likely as not, the database is what failed
            LOG.warning("failure was not recorded", extra={"error": str(error)})
