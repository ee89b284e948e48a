"""The grid of nodes, drawn line by line; only cells that differ from what is on the screen are painted again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.columns import Cell, Column, layout, row_of
from console.fleet.view import FleetModel
from console.widgets.paint import COMPONENTS, fitted, strip_of

TITLE_LINES = 1
POINTER, POINTER_ASCII = "›", ">"
NOTHING = "nothing passes this filter; / and Enter on an empty line clears it"


@dataclass(frozen=True, slots=True)
class Painted:
    """One line as it is on the screen: gutter and cells, gaps included."""

    cells: tuple[Cell, ...]
    cursor: bool = False


class NodeGrid(ScrollView, can_focus=True, inherit_bindings=False):
    """One row a node.  The cursor belongs to a node, not to a row: a new order takes it along."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(COMPONENTS)

    class Moved(Message):
        """The operator has moved the cursor."""

    def __init__(self, model: FleetModel, *, ascii_only: bool = False, id: str = "grid") -> None:  # noqa: A002 - as above
        super().__init__(id=id)
        self._model = model
        self._ascii = ascii_only
        self._longest = max((len(name) for name in model.views), default=0)
        self._names: tuple[str, ...] = ()
        self._columns: tuple[tuple[Column, int], ...] = ()
        self._painted: dict[int, Painted] = {}
        self.cursor: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return self._names

    def show(self, names: Sequence[str]) -> None:
        """These nodes in this order, as they are now."""
        if tuple(names) != self._names:
            at = self._row()
            self._names = tuple(names)
            if self.cursor not in self._names:
                self.cursor = self._names[min(at, len(names) - 1)] if names else None
            self.virtual_size = Size(self.size.width, len(names) + TITLE_LINES)
        self._repaint()

    def move(self, rows: int) -> None:
        """So many rows down; up where negative; no further than the ends."""
        if not self._names:
            return
        row = min(max(0, self._row() + rows), len(self._names) - 1)
        self.cursor = self._names[row]
        self._follow(row)
        self._repaint()
        self.post_message(self.Moved())

    @property
    def page(self) -> int:
        """Rows on the screen."""
        return max(1, self.size.height - TITLE_LINES)

    def render_line(self, y: int) -> Strip:
        if y not in self._painted:
            self._painted[y] = self._line(y)
        line = self._painted[y]
        return strip_of(self, line.cells, self.size.width, cursor=line.cursor)

    def on_resize(self) -> None:
        self._columns = layout(self.size.width - 1, self._longest)
        self.virtual_size = Size(self.size.width, len(self._names) + TITLE_LINES)
        self._painted.clear()
        self._follow(self._row())
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        row = self.scroll_offset.y + event.y - TITLE_LINES
        if event.y >= TITLE_LINES and row < len(self._names):
            self.move(row - self._row())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        self._painted.clear()
        super().watch_scroll_y(old_value, new_value)

    def _row(self) -> int:
        return self._names.index(self.cursor) if self.cursor in self._names else 0

    def _follow(self, row: int) -> None:
        """Scroll no more than it takes to have that row on the screen."""
        top = self.scroll_offset.y
        wanted = min(max(top, row - self.page + 1), row)
        if wanted != top:
            self.scroll_to(y=wanted, animate=False, force=True)
        # screen readers and terminal magnifiers follow the real cursor
        self.app.cursor_position = self.region.offset + Offset(0, row - wanted + TITLE_LINES)

    def _line(self, y: int) -> Painted:
        if y < TITLE_LINES:
            titles = [Cell(fitted(one.title, width, right=one.right), "title") for one, width in self._columns]
            return Painted(self._spaced(" ", titles))
        index = self.scroll_offset.y + y - TITLE_LINES
        if not self._names and index == 1 and self._model.views:
            return Painted((Cell(f" {NOTHING}", "warn"),))
        if index >= len(self._names):
            return Painted(())
        name = self._names[index]
        row = row_of(self._model, name, ascii_only=self._ascii)
        cells = [self._fit(column, width, column.cell(row)) for column, width in self._columns]
        here = name == self.cursor
        pointer = (POINTER_ASCII if self._ascii else POINTER) if here else " "
        return Painted(self._spaced(pointer, cells), cursor=here)

    def _fit(self, column: Column, width: int, cell: Cell) -> Cell:
        if column.tail:
            return Cell(cell.text[-width:].rjust(width), cell.style)
        return Cell(fitted(cell.text, width, right=column.right, cut="~" if self._ascii else "…"), cell.style)

    def _spaced(self, gutter: str, cells: Sequence[Cell]) -> tuple[Cell, ...]:
        spaced = [Cell(gutter)]
        for cell in cells:
            spaced += [cell, Cell(" ")]
        return tuple(spaced[:-1])

    def _repaint(self) -> None:
        for y in range(self.size.height):
            before, now = self._painted.get(y), self._line(y)
            if before != now:
                self._painted[y] = now
                for region in self._differences(y, before, now):
                    self.refresh(region)

    def _differences(self, y: int, before: Painted | None, now: Painted) -> list[Region]:
        if before is None or before.cursor != now.cursor or len(before.cells) != len(now.cells):
            return [Region(0, y, self.size.width, 1)]
        widths = [1]
        for _, width in self._columns:
            widths += [width, 1]
        regions, x = [], 0
        for old, new, width in zip(before.cells, now.cells, widths, strict=False):
            if old != new:
                regions.append(Region(x, y, width, 1))
            x += width
        return regions
