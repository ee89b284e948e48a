"""Lines of cells: header, footer, news.  Repainted only where a line has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from console.columns.table import Cell
from console.widgets.paint import COMPONENTS, strip_of


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
                self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        line = self._lines[y] if y < len(self._lines) else Line()
        right = sum(cell_len(cell.text) for cell in line.right)
        room = max(0, width - right - (1 if right else 0))
        left = strip_of(self, line.left, room)
        if not right:
            return left
        return Strip.join([left, strip_of(self, (Cell(" "), *line.right), width - room)])
