"""What a benchmark says: one figure, ours beside the peers' way or the limit."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """`peer` was measured in the same run; `limit` is what is to be reached: at most, or with `more`, at least.

    The limit is one of `ours`, or where there is a peer and `of_ratio`, of peer / ours.
    """

    name: str
    unit: str
    ours: float
    peer: float | None = None
    limit: float | None = None
    of_ratio: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.peer / self.ours if self.peer and self.ours else None

    @property
    def reached(self) -> bool | None:
        if self.limit is None:
            return None
        if self.of_ratio:
            return self.ratio is not None and self.ratio >= self.limit
        return self.ours <= self.limit


def cpu_ms(act: Callable[[], object]) -> float:
    """CPU milliseconds of this process, all threads, that one call takes."""
    began = time.process_time()
    act()
    return (time.process_time() - began) * 1000


def pairwise(ours: Callable[[], object], peer: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median CPU milliseconds of both, taken in turns so that a noisy machine disturbs both alike."""
    taken = [(cpu_ms(ours), cpu_ms(peer)) for _ in range(rounds)]
    return statistics.median(mine for mine, _ in taken), statistics.median(theirs for _, theirs in taken)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def table(figures: Iterable[Figure]) -> str:
    rows = [("figure", "ours", "peer", "ratio", "to reach", "")]
    rows += [_row(figure) for figure in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _row(figure: Figure) -> tuple[str, ...]:
    limit = "-"
    if figure.limit is not None:
        limit = f">= {figure.limit:g}x" if figure.of_ratio else f"<= {figure.limit:g}"
    said = {None: "", True: "reached", False: "MISSED"}[figure.reached]
    peer = "-" if figure.peer is None else f"{figure.peer:.1f}"
    ratio = "-" if figure.ratio is None else f"{figure.ratio:.2f}x"
    return f"{figure.name} [{figure.unit}]", f"{figure.ours:.1f}", peer, ratio, limit, f"{said}  {figure.note}".strip()


def write_json(figures: Iterable[Figure], path: Path) -> None:
    rows = [asdict(figure) | {"ratio": figure.ratio, "reached": figure.reached} for figure in figures]
    path.write_text(json.dumps(rows, indent=2) + "\n")
