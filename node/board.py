"""What is true now: the latest facts with the time each was learnt.  Loops post, probes read; no database."""

from __future__ import annotations

import threading
from typing import Any

from node.domain.facts import Learnt


class Board:
    """Facts by name (see node.domain.facts for names and types).  Safe from any thread; never blocks for long."""

    def __init__(self) -> None:
        self._facts: dict[str, Learnt[Any]] = {}
        self._lock = threading.Lock()

    def post(self, name: str, value: object, at_us: int, *, took_ms: float | None = None) -> None:
        """Replace the fact of that name.  The last post wins, also where the clock was set back in between."""
        fact = Learnt(value, at_us, took_ms)
        with self._lock:
            self._facts[name] = fact

    def forget(self, name: str) -> None:
        """Take a fact away: it is no longer known."""
        with self._lock:
            self._facts.pop(name, None)

    def read(self, name: str) -> Learnt[Any] | None:
        """The fact of that name; None = not learnt yet."""
        with self._lock:
            return self._facts.get(name)

    def all(self) -> dict[str, Learnt[Any]]:
        """Every fact by name: a copy, taken at one moment."""
        with self._lock:
            return dict(self._facts)
