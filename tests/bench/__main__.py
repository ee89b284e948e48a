"""`make bench`: every figure of this machine in one table, and as bench.json."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench import console, pipeline, push, render, service, terminal, transfer
from tests.bench.figure import Figure, cpu_ms, table, write_json


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--short", action="store_true", help="a tenth of the time; figures are rougher")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where the figures go")
    given = parser.parse_args()
    figures = []
    for figure in _all(short=given.short):
        print(f"... {figure.name}", file=sys.stderr)
        figures.append(figure)
    print(table(figures))
    write_json(figures, given.json)
    return 0


def _all(*, short: bool) -> Iterator[Figure]:
    yield Figure("calibration: a million additions", "CPU ms", statistics.median(cpu_ms(_fixed) for _ in range(9)))
    yield from pipeline.figures(rounds=5 if short else 25)
    yield from render.figures(12, 4, 1, ("Wood",)) if short else render.figures(12, 8, 3)
    yield from transfer.figures(rounds=3 if short else 9)
    yield from console.figures(short=short)
    yield from push.figures(short=short)
    yield from terminal.figures(short=short)
    yield from service.figures(seconds=10 if short else 120, requests=100 if short else 1000)


def _fixed() -> int:
    """The same work everywhere: CPU figures of two machines compare as multiples of it."""
    total = 0
    for number in range(1_000_000):
        total += number
    return total


if __name__ == "__main__":
    sys.exit(main())
