"""The grid alone, a thousand rows of which every cell changes each second; beside it Textual's own table.

`python -m tests.bench.grid ours|peer` takes the whole terminal; `j` and `k` move, `p` begins to note how late the loop
is, `q` ends it and leaves that in the file that is named second.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from itertools import cycle
from pathlib import Path
from typing import ClassVar

from rich.console import RenderableType
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import DataTable

from console.columns.table import Cell, Column, Manner, Table
from console.fleet.filter import Fields
from console.fleet.listing import Kind, Listing
from console.widgets.grid import RowGrid
from console.widgets.spans import narrowed
from tests.bench.fleet.watcher import probe

ROWS, COLUMNS, TURNS = 1000, 8, 5
EVERY_S = 1.0
WIDTH = 10
KEYS = [f"cam-{number:04d}" for number in range(ROWS)]
HAND = "›"


class Numbers:
    """What the cells say: all else every second.  They are made before, so that making them costs neither way."""

    def __init__(self) -> None:
        dice = random.Random(1)
        self._turns = cycle(
            [{key: [key, *(f"{dice.random():.6f}" for _ in range(COLUMNS - 1))] for key in KEYS} for _ in range(TURNS)]
        )
        self.cells: dict[str, list[str]] = {}
        self.change()

    def change(self) -> None:
        self.cells = next(self._turns)


def _column(index: int) -> Column[list[str]]:
    return Column(f"c{index}", f"C{index}", WIDTH, WIDTH, 0, lambda row, _: Cell(row[index], STYLES[index % 3]), "")


STYLES = ("plain", "ok", "warn")
KIND: Kind[list[str]] = Kind("numbers", Fields({}, iter), {"c0": lambda row: row[0]}, ("c0",))
TABLE = Table(KIND, tuple(_column(index) for index in range(COLUMNS)), (), "c0")


class Ours(RowGrid):
    """The console's grid."""

    def __init__(self, numbers: Numbers) -> None:
        super().__init__(Listing(KIND, numbers.cells.get), TABLE, Manner, lambda: Cell(""))
        self._numbers = numbers

    def on_mount(self) -> None:
        self.listing.read = self._numbers.cells.get
        self.renew()

    def renew(self) -> None:
        self.listing.read = self._numbers.cells.get
        self.listing.refresh(KEYS, KEYS)
        self.show()


class Peer(DataTable[str]):
    """As its documentation has it; never with `update_width`, that takes a minute."""

    def __init__(self, numbers: Numbers) -> None:
        super().__init__(cursor_type="row", cell_padding=0, zebra_stripes=False)
        self._numbers = numbers

    def on_mount(self) -> None:
        self.add_column(" ", width=1)
        for index in range(COLUMNS):
            self.add_column(f"C{index}", width=WIDTH)
        for cells in self._numbers.cells.values():
            self.add_row(" ", *cells)
        self.update_cell_at(Coordinate(0, 0), HAND)

    def renew(self) -> None:
        for row, cells in enumerate(self._numbers.cells.values()):
            for column, text in enumerate(cells, 1):
                self.update_cell_at(Coordinate(row, column), text)

    def move(self, rows: int) -> None:
        self.update_cell_at(self.cursor_coordinate._replace(column=0), " ")
        self.move_cursor(row=self.cursor_row + rows)
        self.update_cell_at(self.cursor_coordinate._replace(column=0), HAND)


WAYS: dict[str, type[Ours | Peer]] = {"ours": Ours, "peer": Peer}


class Alone(App[None]):
    """Nothing but the grid."""

    CSS = "#grid, DataTable { height: 1fr; width: 1fr; }" + "".join(
        f"RowGrid > .cell--{name} {{ color: {colour}; }}"
        for name, colour in {"ok": "green", "warn": "yellow", "title": "blue"}.items()
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "move(1)", priority=True),
        Binding("k", "move(-1)", priority=True),
        Binding("p", "probe", priority=True),
        Binding("q", "end", priority=True),
    ]

    def __init__(self, way: str, told: Path) -> None:
        super().__init__()
        self.told = told
        self._numbers = Numbers()
        self._shown = WAYS[way](self._numbers)
        self._late_ms: list[float] = []
        self._timer: Timer | None = None

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        ours = isinstance(self._shown, Ours)
        super()._display(screen, narrowed(renderable) if ours else renderable)

    def compose(self) -> ComposeResult:
        yield self._shown

    def on_mount(self) -> None:
        self._timer = self.set_interval(EVERY_S, self._change)

    def _change(self) -> None:
        self._numbers.change()
        self._shown.renew()

    def action_move(self, rows: int) -> None:
        self._shown.move(rows)

    def action_probe(self) -> None:
        self.run_worker(probe(self._late_ms))

    def action_end(self) -> None:
        self.told.write_text(json.dumps(self._late_ms))
        self.exit()


if __name__ == "__main__":
    asyncio.run(Alone(sys.argv[1], Path(sys.argv[2])).run_async())
