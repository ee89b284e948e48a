"""What every screen works on: where news comes from, what may be done, what is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from console.fleet.client import NodeClient
from console.fleet.clock import Clock
from console.fleet.times import Times
from console.fleet.view import FleetModel

PAINT_S, SLOW_PAINT_S = 0.25, 1.0
BEHIND_S, RECOVER_S = 0.2, 5.0
"""So much late is behind; for so long after that, paint less often."""
UNLOCK_S, LONGEST_UNLOCK_S = 600.0, 3600.0


class Source(Protocol):
    """A live fleet, or a recording played back."""

    model: FleetModel

    async def run(self) -> None:
        """Until cancelled."""

    def attend(self, names: Iterable[str]) -> None:
        """These nodes are on the screen: their events are streamed."""

    def client(self, name: str) -> NodeClient | None:
        """None: a recording has nobody to ask."""

    def ask_now(self, name: str) -> None:
        """At once, whatever its back-off."""


@dataclass(slots=True)
class Tempo:
    """How often is painted: a tick that comes late means that loop, terminal or link is behind."""

    now: Callable[[], float] = time.monotonic
    _ticked_s: float | None = None
    _late_s: float = float("-inf")

    def tick(self) -> None:
        """One of the timer's, due each PAINT_S."""
        now_s = self.now()
        if self._ticked_s is not None and now_s - self._ticked_s > PAINT_S + BEHIND_S:
            self._late_s = now_s
        self._ticked_s = now_s

    @property
    def slow(self) -> bool:
        return self.now() - self._late_s < RECOVER_S


@dataclass(slots=True)
class Armed:
    """Whether actions may change nodes: only for a while, and the time is shown."""

    clock: Clock
    _until_s: float = float("-inf")

    def unlock(self, seconds: float = UNLOCK_S) -> None:
        self._until_s = self.clock.monotonic() + min(seconds, LONGEST_UNLOCK_S)

    def lock(self) -> None:
        self._until_s = float("-inf")

    @property
    def left_s(self) -> float:
        """Seconds that are left; 0 = read-only."""
        return max(0.0, self._until_s - self.clock.monotonic())


@dataclass(slots=True)
class Desk:
    """One of them is what a fleet's screens share; a recording that is opened has its own.

    `clock` is the console's own; the model's is that of what it shows, which in a recording is another.
    """

    source: Source
    title: str = ""
    notice: str = ""
    ascii: bool = False
    times: Times = Times.AGO
    clock: Clock = field(default_factory=Clock)
    tempo: Tempo = field(default_factory=Tempo)
    armed: Armed = field(init=False)

    def __post_init__(self) -> None:
        self.armed = Armed(self.clock)

    @property
    def model(self) -> FleetModel:
        return self.source.model
