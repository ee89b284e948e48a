"""Lines of cells: header, footer, news.  Repainted only where a line has changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from console.columns.table import Cell
from console.widgets.paint import COMPONENTS, strip_of

NOTHING = (" ", "")
CLOSE = 12
"""To go on so many columns further costs a terminal as much as to write them."""


@dataclass(frozen=True, slots=True)
class Line:
    """What stands on the left and what on the right; the right one wins where both do not fit."""

    left: tuple[Cell, ...] = ()
    right: tuple[Cell, ...] = ()


class Lines(Widget):
    """As many lines as it is high."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(COMPONENTS)

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._lines: tuple[Line, ...] = ()

    def show(self, lines: Sequence[Line]) -> None:
        before, self._lines = self._lines, tuple(lines)
        for y in range(max(len(before), len(self._lines))):
            if before[y : y + 1] != self._lines[y : y + 1]:
                self._repaint(y, _line(before, y), _line(self._lines, y))

    def _repaint(self, y: int, before: Line, now: Line) -> None:
        """Only the columns that differ; all of them where that is something without a width."""
        width = self.size.width
        columns = zip(_columns(before, width), _columns(now, width), strict=False)
        differ = [x for x, (old, new) in enumerate(columns) if old != new]
        for begin, end in _runs(differ or range(width)):
            self.refresh(Region(begin, y, end - begin, 1))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        line = _line(self._lines, y)
        right, room = _room(line, width)
        left = strip_of(self, line.left, room)
        if not right:
            return left
        return Strip.join([left, strip_of(self, (Cell(" "), *line.right), width - room)])


def _line(lines: Sequence[Line], y: int) -> Line:
    return lines[y] if y < len(lines) else Line()


def _room(line: Line, width: int) -> tuple[int, int]:
    """Cells of the right part, and those that the left one has."""
    right = sum(cell_len(cell.text) for cell in line.right)
    return right, max(0, width - right - (1 if right else 0))


def _columns(line: Line, width: int) -> list[tuple[str, str]]:
    """What stands in each cell of the screen, with its style; a wide character stands in both of its own."""
    _, room = _room(line, width)
    left = list(_spread(line.left))[:room]
    right = list(_spread(line.right))
    return (left + [NOTHING] * (width - len(left) - len(right)) + right)[:width]


def _spread(cells: Sequence[Cell]) -> Iterator[tuple[str, str]]:
    for cell in cells:
        for char in cell.text:
            yield from [(char, cell.style)] * cell_len(char)


def _runs(columns: Sequence[int]) -> Iterator[tuple[int, int]]:
    """From where to where; columns that lie close together in one."""
    begin = end = columns[0] if columns else 0
    for x in columns:
        if x - end > CLOSE:
            yield begin, end
            begin = x
        end = x + 1
    if columns:
        yield begin, end
