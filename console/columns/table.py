"""Cells, columns, and which of them fit."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from console.fleet.listing import Kind
from console.fleet.text import ago, clean
from console.fleet.times import Times, shown

Row = TypeVar("Row")
UNKNOWN, UNKNOWN_ASCII = "·", "."
CUT, CUT_ASCII = "…", "~"
SPARKS, SPARKS_ASCII = "▁▁▂▃▃▄▅▆▆▇", "0123456789"
FULL, EMPTY, FULL_ASCII, EMPTY_ASCII = "█", "░", "#", "-"
HIGHEST_SCORE = 100
HOURS = 24
MINOR = 10
"""Columns with so high a `drop` are also dropped where that lets what is eager be read whole."""
MOST_WISHED, LEAST = 60, 3
"""Cells."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Text and the name of its style (one of the palette's)."""

    text: str
    style: str = "plain"


@dataclass(frozen=True, slots=True)
class Manner:
    """How things are written: with which signs, and times as what; `now_us` is UTC in microseconds."""

    ascii: bool = False
    times: Times = Times.AGO
    now_us: int = 0

    @property
    def unknown(self) -> str:
        return UNKNOWN_ASCII if self.ascii else UNKNOWN

    @property
    def cut(self) -> str:
        return CUT_ASCII if self.ascii else CUT

    def spark(self, digits: str) -> str:
        """A day of quality, one character an hour: higher is better, a dot where no frame was judged."""
        levels = SPARKS_ASCII if self.ascii else SPARKS
        return "".join(levels[int(digit)] if digit in SPARKS_ASCII else self.unknown for digit in digits[-HOURS:])

    def bar(self, percent: float, cells: int) -> str:
        """So much of it full."""
        full, empty = (FULL_ASCII, EMPTY_ASCII) if self.ascii else (FULL, EMPTY)
        filled = round(cells * max(0.0, min(float(HIGHEST_SCORE), percent)) / HIGHEST_SCORE)
        return full * filled + empty * (cells - filled)

    def time(self, at: str | None, zone: str = "") -> str:
        """An RFC 3339 time as the operator wants it; empty where there is none."""
        return shown(at, self.times, self.now_us, zone)


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """`low`..`high` are cells on the screen; of the columns that do not fit, the highest `drop` goes first; 0 never.

    A `tail` column that is cut keeps its end: the newest.  A `snug` one is as wide as the longest that was shown in it.
    """

    key: str
    title: str
    low: int
    high: int
    drop: int
    cell: Callable[[Row, Manner], Cell]
    says: str
    right: bool = False
    tail: bool = False
    snug: bool = False


@dataclass(frozen=True, slots=True)
class Table(Generic[Row]):
    """The columns of a list.  `growth`: who gets the room that is left, in this order, up to how many cells.

    `eager` is the column whose longest cell has room before anything else grows, and before the minor columns.
    """

    kind: Kind[Row]
    columns: tuple[Column[Row], ...]
    growth: tuple[tuple[str, int], ...]
    name: str
    """The column that names the row: it is no wider than the longest name."""
    eager: str = ""

    def follows(self, column: Column[Row]) -> bool:
        """Whether its width depends on what is shown in it."""
        return column.snug or column.key in {self.name, self.eager}

    def layout(
        self, width: int, longest: Mapping[str, int], hidden: Collection[str] = ()
    ) -> tuple[tuple[Column[Row], int], ...]:
        """The columns that fit into so many cells, each with its width; one cell lies between two of them.

        `longest`: of the columns that follow what is shown, the cells of the longest.
        """
        kept = [column for column in self.columns if column.key not in hidden or not column.drop]
        lows = {column.key: self._low(column, longest) for column in kept}
        wish = min(MOST_WISHED, longest.get(self.eager, 0))
        while _needed(kept, lows) > width and any(column.drop for column in kept):
            kept.remove(max(kept, key=lambda column: column.drop))
        wished = {**lows, self.eager: max(wish, lows.get(self.eager, 0))}
        while _needed(kept, wished) > width and any(column.drop >= MINOR for column in kept):
            kept.remove(max(kept, key=lambda column: column.drop))
        widths = self._grown(kept, lows, ((self.eager, wish), *self.growth), width - _needed(kept, lows))
        return tuple((column, widths[column.key]) for column in kept)

    def _low(self, column: Column[Row], longest: Mapping[str, int]) -> int:
        fitted = column.snug or column.key == self.name
        return max(column.low, min(column.high, longest.get(column.key, 0))) if fitted else column.low

    def _grown(
        self, kept: Sequence[Column[Row]], lows: Mapping[str, int], growth: Iterable[tuple[str, int]], spare: int
    ) -> dict[str, int]:
        """What is left goes round; where there is not enough, the name is the last to give way."""
        widths = {column.key: lows[column.key] for column in kept}
        for key, upto in growth:
            if key in widths and spare > 0:
                more = max(0, min(spare, upto - widths[key]))
                widths[key] += more
                spare -= more
        for key in sorted(widths, key=lambda key: key == self.name):
            less = min(max(0, -spare), max(0, widths[key] - LEAST))
            widths[key] -= less
            spare += less
        return widths


def _needed(columns: Sequence[Column[Row]], lows: Mapping[str, int]) -> int:
    return sum(lows[column.key] for column in columns) + len(columns) - 1


def is_utf8(encoding: str | None) -> bool:
    """Whether signs beyond ASCII may be shown there.  Python itself writes UTF-8 where LC_ALL says C."""
    return os.environ.get("LC_ALL") not in {"C", "POSIX"} and (encoding or "").lower().replace("-", "") == "utf8"


def plain(table: Table[Row], rows: Iterable[Row], manner: Manner) -> list[str]:
    """The whole table as lines of text, as wide as they need to be."""
    lines = [[column.title for column in table.columns]]
    lines += [[column.cell(row, manner).text for column in table.columns] for row in rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(table.columns))]
    rows_of_cells = (zip(table.columns, line, widths, strict=True) for line in lines)
    return ["  ".join(_padded(*cell) for cell in cells).rstrip() for cells in rows_of_cells]


def _padded(column: Column[Row], text: str, width: int) -> str:
    return text.rjust(width) if column.right else text.ljust(width)


def said(text: str, style: str = "plain") -> Cell:
    """Words that came from elsewhere."""
    return Cell(clean(text), style)


def aged(seconds: float | None, manner: Manner) -> Cell:
    return Cell(ago(seconds) or manner.unknown, "dim")
