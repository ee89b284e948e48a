"""A grid of rows, drawn line by line; only cells that differ from what is on the screen are painted again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len
from textual import events
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.columns.table import Cell, Column, Manner, Table
from console.fleet.listing import Listing
from console.widgets.paint import COMPONENTS, fitted, strip_of

TITLE_LINES = 1
GUTTER_CELLS = 2
PATIENCE = 40
"""After so many paints a column gives back room that nothing shown needs."""
POINTER, POINTER_ASCII, MARK = "›", ">", "*"


@dataclass(frozen=True, slots=True)
class Painted:
    """One line as it is on the screen: gutter and cells, gaps included."""

    cells: tuple[Cell, ...]
    cursor: bool = False


class RowGrid(ScrollView, can_focus=True, inherit_bindings=False):
    """Draws a listing by a table of columns.  `empty` says why there are no rows."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(COMPONENTS)

    class Moved(Message):
        """The operator has moved the cursor."""

    class Chosen(Message):
        """A row was clicked twice."""

    def __init__(
        self,
        listing: Listing[Any],
        table: Table[Any],
        manner: Callable[[], Manner],
        empty: Callable[[], Cell],
        *,
        id: str = "grid",  # noqa: A002 - Textual's own name for it
    ) -> None:
        super().__init__(id=id)
        self.listing = listing
        self.table = table
        self.hidden: Collection[str] = ()
        self._manner = manner
        self._empty = empty
        self._columns: tuple[tuple[Column[Any], int], ...] = ()
        self._painted: dict[int, Painted] = {}
        self._shown: tuple[str, ...] = ()
        self._longest: dict[str, int] = {}
        self._wider = False
        self._now: dict[str, int] = {}
        self._slack = 0
        self._measured: frozenset[str] = frozenset()

    @property
    def page(self) -> int:
        """Rows on the screen."""
        return max(1, self.size.height - TITLE_LINES)

    @property
    def shown(self) -> tuple[str, ...]:
        """The keys of the rows that are on the screen now."""
        return self.listing.keys[self.scroll_offset.y :][: self.page]

    def show(self) -> None:
        """The listing as it is now."""
        keys = self.listing.keys
        if keys != self._shown:
            self._shown = keys
            self.virtual_size = Size(self.size.width, len(keys) + TITLE_LINES)
            self._fit_name()
        self._repaint()

    def move(self, rows: int) -> None:
        """So many rows down; up where negative; no further than the ends."""
        if not self.listing.keys:
            return
        self._slack = 0
        self.listing.move(rows)
        self._follow(self.listing.row)
        self._repaint()
        self.post_message(self.Moved())

    def lay_out(self) -> None:
        """Columns were chosen, or there is another width."""
        self._columns = self.table.layout(
            self.scrollable_content_region.width - GUTTER_CELLS, self._longest, self.hidden
        )
        self._painted.clear()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        if y not in self._painted:
            self._painted[y] = self._line(y)
        line = self._painted[y]
        return strip_of(self, line.cells, self.size.width, cursor=line.cursor)

    def on_resize(self) -> None:
        self.lay_out()
        self.virtual_size = Size(self.size.width, len(self._shown) + TITLE_LINES)
        self._follow(self.listing.row)

    def on_click(self, event: events.Click) -> None:
        row = self.scroll_offset.y + event.y - TITLE_LINES
        if event.y >= TITLE_LINES and row < len(self._shown):
            self.move(row - self.listing.row)
            if event.chain > 1:
                self.post_message(self.Chosen())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        self._painted.clear()
        super().watch_scroll_y(old_value, new_value)

    def _fit_name(self) -> None:
        """The column of names follows the longest one that was ever shown: columns do not jump to and fro."""
        column = next(one for one in self.table.columns if one.key == self.table.name)
        rows = (self.listing.read(key) for key in self._shown if key not in self._measured)
        names = (self._drawn(row, [column]) for row in rows if row is not None)
        longest = max((cell_len(name[0].text) for name in names if not isinstance(name, str)), default=0)
        self._measured = frozenset(self._shown)
        if longest > self._longest.get(column.key, 0):
            self._longest[column.key] = longest
            self.lay_out()

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
            return Painted(self._spaced(" " * GUTTER_CELLS, [self._title(*each) for each in self._columns]))
        index = self.scroll_offset.y + y - TITLE_LINES
        if not self._shown and index == 1:
            return Painted((Cell("  "), self._empty()))
        if index >= len(self._shown):
            return Painted(())
        return self._row(self._shown[index])

    def _title(self, column: Column[Any], width: int) -> Cell:
        first = self.listing.order[0]
        arrow = {column.key: "^", f"-{column.key}": "v"}.get(first, "")
        return Cell(fitted(column.title + arrow, width, right=column.right), "title")

    def _row(self, key: str) -> Painted:
        row, manner = self.listing.read(key), self._manner()
        if row is None:
            return Painted(())
        here = key == self.listing.cursor
        pointer = (POINTER_ASCII if manner.ascii else POINTER) if here else " "
        gutter = pointer + (MARK if key in self.listing.marks else " ")
        drawn = self._drawn(row, [column for column, _ in self._columns])
        if isinstance(drawn, str):
            return Painted((Cell(gutter), Cell(f"{drawn}: {key}", "crit")), cursor=here)
        cells = [self._fit(*place, cell, manner) for place, cell in zip(self._columns, drawn, strict=True)]
        return Painted(self._spaced(gutter, cells), cursor=here)

    def _drawn(self, row: object, columns: Sequence[Column[Any]]) -> list[Cell] | str:
        """The cells of a row, or why there are none: one that cannot be drawn leaves the others."""
        manner = self._manner()
        try:
            return [column.cell(row, manner) for column in columns]
        except Exception as error:  # noqa: BLE001 - the boundary of a row: it says so in its place
            return f"internal error: {type(error).__name__}"

    def _fit(self, column: Column[Any], width: int, cell: Cell, manner: Manner) -> Cell:
        if self.table.follows(column):
            self._measure(column.key, cell_len(cell.text))
        if column.tail:
            return Cell(cell.text[-width:].rjust(width), cell.style)
        return Cell(fitted(cell.text, width, right=column.right, cut=manner.cut), cell.style)

    def _measure(self, key: str, cells: int) -> None:
        self._now[key] = max(cells, self._now.get(key, 0))
        if cells > self._longest.get(key, 0):
            self._longest[key] = cells
            self._wider = True

    def _spaced(self, gutter: str, cells: Sequence[Cell]) -> tuple[Cell, ...]:
        spaced = [Cell(gutter)]
        for cell in cells:
            spaced += [cell, Cell(" ")]
        return tuple(spaced[:-1])

    def _tighten(self) -> None:
        """A column that has long had more room than it needs gives it back; not while the operator moves."""
        snug = [column.key for column in self.table.columns if column.snug]
        slack = {key: self._now.get(key, 0) for key in snug if self._now.get(key, 0) < self._longest.get(key, 0)}
        self._slack = self._slack + 1 if slack else 0
        if self._slack >= PATIENCE:
            self._slack = 0
            self._longest.update(slack)
            self.lay_out()

    def _repaint(self) -> None:
        self._now = {}
        self._paint_lines()
        if self._wider:  # what is shown now is longer than what was: as far as there is room, so are the columns
            self._wider = False
            self.lay_out()
            self._paint_lines()
        self._tighten()

    def _paint_lines(self) -> None:
        for y in range(self.size.height):
            before, now = self._painted.get(y), self._line(y)
            if before != now:
                self._painted[y] = now
                for region in self._differences(y, before, now):
                    self.refresh(region)

    def _differences(self, y: int, before: Painted | None, now: Painted) -> list[Region]:
        if before is None or before.cursor != now.cursor or len(before.cells) != len(now.cells):
            return [Region(0, y, self.size.width, 1)]
        widths = [GUTTER_CELLS]
        for _, width in self._columns:
            widths += [width, 1]
        regions, x = [], 0
        for old, new, width in zip(before.cells, now.cells, widths, strict=False):
            if old != new:
                regions.append(Region(x, y, width, 1))
            x += width
        return regions
