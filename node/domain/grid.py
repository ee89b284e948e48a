"""Slots lie on the UTC grid: instants at whole intervals since 1970, shifted by a phase.  Arithmetic on such grids."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from node.domain.times import US


@dataclass(frozen=True, slots=True)
class Grid:
    """Every instant `phase_us` + k × `interval_us`; 0 <= phase < interval."""

    interval_us: int
    phase_us: int

    def first(self, at_us: int) -> int:
        """The first instant of the grid at or after `at_us`."""
        return at_us + (self.phase_us - at_us) % self.interval_us

    def count(self, start_us: int, end_us: int) -> int:
        """How many instants lie in [start, end)."""
        first = self.first(start_us)
        return 0 if first >= end_us else (end_us - 1 - first) // self.interval_us + 1

    def meet(self, other: Grid) -> Grid | None:
        """The instants that both have (Chinese remainder theorem); None where they never meet."""
        common = gcd(self.interval_us, other.interval_us)
        apart, rest = divmod(other.phase_us - self.phase_us, common)
        if rest:
            return None
        theirs = other.interval_us // common
        steps = apart * pow(self.interval_us // common, -1, theirs) % theirs
        together = self.interval_us * theirs
        return Grid(together, (self.phase_us + self.interval_us * steps) % together)


def grid_of(interval_s: int, phase_s: int | str, node_id: str) -> Grid:
    """The grid of a schedule; `auto` takes a phase from the node's name, the same on every start."""
    if isinstance(phase_s, str):
        phase_s = int.from_bytes(hashlib.sha256(node_id.encode()).digest()[:8])
    return Grid(interval_s * US, phase_s % interval_s * US)


def count_union(grids: Sequence[Grid], start_us: int, end_us: int) -> int:
    """How many different instants of [start, end) lie on any of the grids (inclusion and exclusion)."""
    if not grids:
        return 0
    first, rest = grids[0], grids[1:]
    shared = {both for other in rest if (both := first.meet(other)) is not None and both.count(start_us, end_us)}
    alone = first.count(start_us, end_us) - count_union(tuple(shared), start_us, end_us)
    return alone + count_union(rest, start_us, end_us)
