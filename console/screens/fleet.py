"""The fleet on one screen: worst first, filtered in place."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping

from textual import events
from textual.app import ComposeResult

from console.columns.nodes import NODE_TABLE
from console.columns.table import Cell
from console.fleet.desk import Desk
from console.fleet.lines import Teller
from console.fleet.nodes import NodeRow, row_of
from console.screens.base import Handler
from console.screens.rows import RowsView
from console.widgets.lines import Line, Lines

NEWS_LINES = 6
NEWS_FROM_HEIGHT = 30


class FleetScreen(RowsView):
    """All nodes, and under them what has happened."""

    NAME = "nodes"
    TABLE = NODE_TABLE

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._teller = Teller(desk.model)
        self._news: deque[str] = deque(maxlen=NEWS_LINES)

    def below(self) -> ComposeResult:
        yield Lines(id="news")

    def read(self, key: str) -> NodeRow | None:
        return row_of(self.model, key)

    def keys(self) -> Collection[str]:
        return self.model.views

    def row_handlers(self) -> Mapping[str, Handler]:
        return {}

    def on_resize(self, event: events.Resize) -> None:
        self.query_one("#news").display = event.size.height >= NEWS_FROM_HEIGHT
        super().on_resize(event)

    def update(self, changed: Iterable[str]) -> None:
        super().update(changed)
        self.desk.source.attend(self.grid.shown)
        self._news.extend(self._teller.lines())
        self.query_one("#news", Lines).show([Line((Cell(line),)) for line in self._news])
