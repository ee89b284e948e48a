"""The tabs of a detail in one line; a click takes one."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message

from console.columns.table import Cell, Manner
from console.widgets.lines import Line, Lines

HERE, HERE_ASCII = "›", ">"
HINT = "[ node before   ] next node"


class TabLine(Lines):
    """The one that is open has a sign before it, and is reversed."""

    class Taken(Message):
        """A tab was clicked."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(id="tabs")
        self._names = tuple(names)

    def show_tabs(self, current: str, manner: Manner) -> None:
        here = HERE_ASCII if manner.ascii else HERE
        cells = [
            Cell(f"{here if name == current else ' '}{text} ", "mode" if name == current else "plain")
            for name, text in self._texts()
        ]
        width = sum(len(cell.text) for cell in cells)
        hint = (Cell(HINT, "dim"),) if width + len(HINT) < self.size.width else ()
        self.show([Line(tuple(cells), hint)])

    def _texts(self) -> list[tuple[str, str]]:
        return [(name, f"{number} {name}") for number, name in enumerate(self._names, 1)]

    def on_click(self, event: events.Click) -> None:
        x = 0
        for name, text in self._texts():
            x += len(text) + 2
            if event.x < x:
                self.post_message(self.Taken(name))
                return
