"""Text of any length over a view: what is known of something, as it came."""

from __future__ import annotations

import unicodedata
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static
from textual.worker import Worker

from console.fleet import copying
from console.widgets.paint import titled

MOST_CHARS = 200_000
"""More than that no person reads, and laying it out would hold the screen up."""
NARROWEST, WIDEST_TITLE, FRAME = 56, 100, 6
SCROLLS = "{above} above, {below} below: j k scroll, y copies, Esc closes"
CLOSES = "y copies, Esc closes"


class Inspect(ModalScreen[None]):
    """Scrolls; y copies all of it, Esc closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,v", "dismiss", "close", show=False),
        Binding("j,down", "scroll_by(1)", "down", show=False),
        Binding("k,up", "scroll_by(-1)", "up", show=False),
        Binding("pagedown,space", "page(1)", "a page down", show=False),
        Binding("pageup", "page(-1)", "a page up", show=False),
        Binding("g,home", "end(-1)", "first line", show=False),
        Binding("G,end", "end(1)", "last line", show=False),
        Binding("y", "copy", "copy", show=False),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, "\n".join(map(_readable, text.split("\n")))

    def compose(self) -> ComposeResult:
        cut = self._text[:MOST_CHARS]
        more = f"\n… {len(self._text) - len(cut):,} more characters: y copies all" if len(self._text) > len(cut) else ""
        with VerticalScroll(id="inspect") as box:
            box.border_title = titled(self._title)
            box.styles.min_width = min(WIDEST_TITLE, max(NARROWEST, cell_len(self._title) + FRAME))
            yield Static(Content(cut + more), id="inspected")

    def on_mount(self) -> None:
        for moved in ("scroll_y", "virtual_size"):
            self.watch(self._box, moved, self._sign)

    def on_resize(self, _event: events.Resize) -> None:
        self.call_after_refresh(self._sign)

    @property
    def _box(self) -> VerticalScroll:
        return self.query_one("#inspect", VerticalScroll)

    def action_scroll_by(self, lines: int) -> None:
        self._box.scroll_relative(y=lines, animate=False, immediate=True)

    def action_page(self, pages: int) -> None:
        self.action_scroll_by(pages * max(1, self._box.size.height - 1))

    def action_end(self, way: int) -> None:
        self._box.scroll_to(y=self._box.max_scroll_y if way > 0 else 0, animate=False, immediate=True)

    def action_copy(self) -> None:
        _: Worker[None] = self.run_worker(self._copy, group="copy", exclusive=True)

    async def _copy(self) -> None:
        where = await copying.copy(self._text, self.app.copy_to_clipboard)
        self._box.border_subtitle = titled(f"copied: {where}")

    def _sign(self) -> None:
        box = self._box
        above, hidden = round(box.scroll_y), box.max_scroll_y
        box.border_subtitle = SCROLLS.format(below=hidden - above, above=above) if hidden else CLOSES


def _readable(line: str) -> str:
    """Nothing that acts on a terminal, here or where it is pasted."""
    if line.isprintable():
        return line
    return "".join(" " if unicodedata.category(char).startswith("C") else char for char in line)
