"""A list over all nodes, with the one that the cursor is on told below where there is room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.app import ComposeResult

from console.columns.table import Cell
from console.fleet.desk import Desk
from console.screens.rows import NOTHING, RowsView
from console.widgets.lines import Line
from console.widgets.pane import Pane

PANEL_LINES = 6
PANEL_FROM_HEIGHT = 30
NARROW = 100


class GatheredView(RowsView):
    """Its rows come from a board, which says which of them have changed."""

    PANEL: ClassVar[str]

    def __init__(self, desk: Desk) -> None:
        self._fresh: set[str] = set()
        super().__init__(desk)

    def why_none(self) -> str:
        """There are no rows at all."""
        raise NotImplementedError

    def below(self) -> ComposeResult:
        yield Pane(id=self.PANEL)

    @property
    def panel(self) -> Pane:
        return self.query_one(f"#{self.PANEL}", Pane)

    def changed_keys(self, changed: Iterable[str]) -> Iterable[str]:  # noqa: ARG002 - the board says what has changed
        return self._fresh

    def empty(self) -> Cell:
        return Cell(NOTHING, "warn") if self.filters else Cell(self.why_none(), "dim")

    def notice(self) -> str:
        """On a narrow screen the list's own figures have the room; not that of troubles."""
        said = super().notice()
        return "" if said == self.desk.notice and self.size.width < NARROW else said

    @property
    def has_room(self) -> bool:
        return self.size.height >= PANEL_FROM_HEIGHT

    def tell(self, title: str, lines: Sequence[Line]) -> None:
        """In the panel, which keeps its height: the list above must not jump.  Without a title there is none."""
        self.panel.display = self.has_room and bool(title)
        whole = [*lines, *([Line()] * PANEL_LINES)][:PANEL_LINES]
        self.panel.tell(title, whole, ascii_only=self.desk.ascii)
