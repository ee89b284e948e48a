"""The fleet on one screen: worst first, filtered in place."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal

from console.columns.nodes import NODE_TABLE
from console.columns.table import Cell
from console.fleet.desk import Desk
from console.fleet.lines import Teller
from console.fleet.nodes import NodeRow, row_of
from console.fleet.stir import Stir
from console.fleet.summary import node_as_json
from console.screens.acking import acknowledge, alerts_of
from console.screens.base import Handler
from console.screens.rows import RowsView
from console.widgets.inspector import described
from console.widgets.lines import Line, Lines
from console.widgets.paint import shortened

NEWS_LINES = 6
NEWS_FROM_HEIGHT = 30
INSPECTOR = "inspector"
INSPECTOR_FROM_WIDTH = 120
SHARE, LEAST, MOST = 0.3, 36, 56
"""Of the width; in cells."""


class FleetScreen(RowsView):
    """All nodes, and under them what has happened."""

    NAME = "nodes"
    TABLE = NODE_TABLE

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._teller = Teller(desk.model)
        self._news: deque[str] = deque(maxlen=NEWS_LINES)
        self._stir = Stir(desk.model)

    def beside(self) -> ComposeResult:
        with Horizontal(id="beside"):
            yield from super().beside()
            yield Lines(id=INSPECTOR)

    def below(self) -> ComposeResult:
        yield Lines(id="news")

    def panes(self) -> Mapping[str, str]:
        return {INSPECTOR: "what is known of the node under the cursor, on the right of a wide screen"}

    def hide(self, hidden: Collection[str]) -> None:
        super().hide(hidden)
        self._arrange(self.size.width, self.size.height)

    def read(self, key: str) -> NodeRow | None:
        return row_of(self.model, key)

    def keys(self) -> Collection[str]:
        return self.model.views

    def changed_keys(self, changed: Iterable[str]) -> Iterable[str]:  # noqa: ARG002 - it knows of silence too
        return self._stir.take()

    def known(self, key: str) -> Mapping[str, Any]:
        return node_as_json(self.model, key)

    def twin(self, key: str) -> Sequence[str]:
        return ("status", key)

    def row_handlers(self) -> Mapping[str, Handler]:
        return {
            "open": lambda _: self._open_node(),
            "ack": lambda _: acknowledge(self, alerts_of(self.desk, self.listing.chosen())),
        }

    def _open_node(self) -> None:
        if self.listing.cursor is not None:
            self.desktop.visit("node", node=self.listing.cursor)

    def on_resize(self, event: events.Resize) -> None:
        self._arrange(event.size.width, event.size.height)
        super().on_resize(event)

    def _arrange(self, width: int, height: int) -> None:
        """Panes only where the list keeps room enough."""
        self.query_one("#news").display = height >= NEWS_FROM_HEIGHT
        inspector = self.query_one(f"#{INSPECTOR}", Lines)
        inspector.display = width >= INSPECTOR_FROM_WIDTH and INSPECTOR not in self.grid.hidden
        inspector.styles.width = min(MOST, max(LEAST, round(width * SHARE)))

    def update(self, changed: Iterable[str]) -> None:
        super().update(changed)
        self.desk.source.attend(self.grid.shown)
        self._news.extend(self._teller.lines())
        self._show_news()
        self.moved()

    def _show_news(self) -> None:
        width, cut = self.size.width, self.manner().cut
        lines = [Line(shortened((Cell(line),), width, cut=cut)) for line in self._news]
        self.query_one("#news", Lines).show(lines)

    def moved(self) -> None:
        inspector, key = self.query_one(f"#{INSPECTOR}", Lines), self.listing.cursor
        row = self.read(key) if key is not None else None
        if inspector.display and inspector.size.width:
            alerts = self.desk.alerts.of(row.name) if row is not None else ()
            inspector.show(described(row, alerts, self.manner(), inspector.size.width) if row is not None else ())
