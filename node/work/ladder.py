"""What a camera's loop leaves off as the disk fills: by the step that the facts loop has found last."""

from __future__ import annotations

from collections import Counter

from node.board import Board
from node.clock import US, Clock
from node.domain.errors import DiskFull
from node.domain.facts import DISK
from node.domain.pressure import Step, spares

STALE_US = 60 * US
"""The facts loop looks every ten seconds: what it said so long ago, or will say, holds nothing up any more."""


class Ladder:
    """One camera's; used by its loop alone.  A write without room is refused all the same."""

    def __init__(self, board: Board, clock: Clock) -> None:
        self._board, self._clock = board, clock
        self._met: Counter[str] = Counter()

    def check(self) -> None:
        """Raises DiskFull while capture is stopped: a little room that came back is not worth a start yet."""
        if self._step() is Step.STOPPED:
            raise DiskFull("capture waits until there is room again")

    def spares(self, profile: str) -> bool:
        """Whether this slot of the profile is left out; asked once for each."""
        step = self._step()
        if step is not Step.STRETCHED:
            self._met.clear()
            return False
        self._met[profile] += 1
        return spares(step, self._met[profile] - 1)

    def _step(self) -> Step:
        fact = self._board.read(DISK)
        if fact is None or abs(self._clock.now_us() - fact.at_us) > STALE_US:
            return Step.OK
        return Step(fact.value.step or Step.OK)
