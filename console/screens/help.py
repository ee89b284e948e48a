"""Help, made from the tables that it explains."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from console.columns.alerts import ALERT_TABLE
from console.columns.document import SETTING_TABLE
from console.columns.events import EVENT_TABLE
from console.columns.frames import FRAME_TABLE
from console.columns.jobs import JOB_TABLE
from console.columns.nodes import NODE_TABLE
from console.columns.table import Table
from console.fleet.view import LOOKS, Word
from console.registry import NO_KEYS, Keys, Risk, Scope, known_on, shown_keys

STATES: dict[Word, str] = {
    Word.CRIT: "the node says that something is broken",
    Word.UNREACHABLE: "silent; its last values stay, with a ?",
    Word.UNTRUSTED: "its certificate is not this node's own",
    Word.REFUSED: "it answers, but refuses this console",
    Word.GARBLED: "something answers, but not as a node does",
    Word.UNASKED: "a file of this console's keys is no use",
    Word.WARN: "the node says: this wants looking at",
    Word.STALE: "it has missed polls; what is shown is old",
    Word.WAITING: "it has not answered yet",
    Word.OK: "all is well, frames come as they should",
    Word.IDLE: "all is well, and no frame is due now",
}
FILTERS = (
    ("word", "anywhere in the row's text fields"),
    ("/regex/", "as a pattern; !/regex/ for the rest"),
    ("field:a,b", "one of them; field:!a for the rest"),
    ("field>10", "also < >= <= =; times take s m h d"),
)
TABLES: dict[Scope, Table[Any]] = {
    Scope.FLEET: NODE_TABLE,
    Scope.JOBS: JOB_TABLE,
    Scope.ALERTS: ALERT_TABLE,
    Scope.EVENTS: EVENT_TABLE,
    Scope.FRAMES: FRAME_TABLE,
    Scope.CONFIG: SETTING_TABLE,
}
"""Whose columns and fields are explained where."""
ARMED, ARMED_ASCII = "…", "~"
AROUND = 9
"""Cells beside the text: border, padding, the gap between two columns, the scroll bar."""
TWO_FROM_WIDTH, LEAST_WORDS = 100, 12
"""Two columns, if need be with broken sentences; cells that those have in any case."""
CLOSES, SCROLLS = "Esc closes", "{below} lines below, {above} above: j k scroll, Esc closes"


def help_text(
    scopes: Sequence[Scope], remapped: Keys = NO_KEYS, *, ascii_only: bool = False, width: int = 0
) -> tuple[Content, Content]:
    """The whole help of a screen as two columns, each at most so wide; 0 = as wide as they need to be."""
    actions, armed = list(known_on(scopes, remapped)), ARMED_ASCII if ascii_only else ARMED
    keys = [
        (shown_keys(one, ascii_only=ascii_only), one.says + (f" {armed}" if one.risk is Risk.NODE else ""))
        for one in actions
        if one.keys
    ]
    commands = [(f":{one.command}", one.says) for one in actions if one.command]
    signs = {word: look.ascii if ascii_only else look.glyph for word, look in LOOKS.items()}
    note = f"{armed} changes a node: armed by :unlock, after a plan"
    left = [*_section("Keys", keys, width), *_hung("  ", note, width), Content("")]
    right = [*_section("Commands", commands, width)]
    for table in (TABLES[scope] for scope in scopes if scope in TABLES):
        left += _section("Columns", [(one.title, one.says) for one in table.columns], width)
        right += _section("Filter: terms joined by blanks, all must hold", FILTERS, width)
        right += _section("Fields", [(name, field.says) for name, field in table.kind.fields.table.items()], width)
    states = [(f"{signs[word]} {word}", says) for word, says in STATES.items()]
    right += _section("States, worst first", states, width)
    return Content("\n").join(left), Content("\n").join(right)


def _section(title: str, rows: Sequence[tuple[str, str]], width: int) -> Iterator[Content]:
    widest = max(len(name) for name, _ in rows)
    yield Content.styled(title, "bold")
    for name, says in rows:
        yield from _hung(f"  {name:<{widest}} ", says, width)
    yield Content("")


def _hung(head: str, says: str, width: int) -> Iterator[Content]:
    """Words beside their head, in as many lines as it takes."""
    lines = textwrap.wrap(says, max(LEAST_WORDS, width - len(head)), break_on_hyphens=False) if width else [says]
    for number, line in enumerate(lines):
        yield Content(" " * len(head) + line if number else head + line)


class HelpScreen(ModalScreen[None]):
    """Over the grid; Esc, ? or q close it.  Its lower edge says how much of it is out of sight."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "close"),
        Binding("j", "scroll_by(1)", "down", show=False),
        Binding("k", "scroll_by(-1)", "up", show=False),
        Binding("g", "end(-1)", "first line", show=False),
        Binding("G", "end(1)", "last line", show=False),
    ]

    def __init__(self, scopes: Sequence[Scope], keys: Keys = NO_KEYS, *, ascii_only: bool = False) -> None:
        super().__init__()
        self._made = partial(help_text, tuple(scopes), keys, ascii_only=ascii_only)
        self._text = self._made()

    def compose(self) -> ComposeResult:
        left, right = self._text
        with VerticalScroll(id="help"), Horizontal(id="columns"):
            yield Static(left, classes="column")
            yield Static(right, classes="column second")

    def on_mount(self) -> None:
        box = self.query_one("#help")
        for moved in ("scroll_y", "virtual_size"):
            self.watch(box, moved, self._sign)

    def on_resize(self, event: events.Resize) -> None:
        width = event.size.width
        self.set_class(width < TWO_FROM_WIDTH, "narrow")
        for column, text in zip(self.query(".column").results(Static), self._fitted(width), strict=True):
            column.update(text)
        self.call_after_refresh(self._sign)

    def _fitted(self, width: int) -> tuple[Content, Content]:
        """Beside each other, below each other where that is too narrow; sentences broken only where they must be."""
        left, right = (max(map(cell_len, text.plain.splitlines())) for text in self._text)
        if width < TWO_FROM_WIDTH:
            return self._made(width=max(1, width - AROUND))
        room = width - AROUND
        if left + right <= room:
            return self._text
        share = min(left, max(room // 2, room - right))
        return self._made(width=share)[0], self._made(width=room - share)[1]

    def action_scroll_by(self, lines: int) -> None:
        self.query_one("#help").scroll_relative(y=lines, animate=False, immediate=True)

    def action_end(self, way: int) -> None:
        box = self.query_one("#help")
        box.scroll_to(y=box.max_scroll_y if way > 0 else 0, animate=False, immediate=True)

    def _sign(self) -> None:
        if not self.query("#help"):  # closed meanwhile
            return
        box = self.query_one("#help")
        above, all_hidden = round(box.scroll_y), box.max_scroll_y
        box.border_subtitle = SCROLLS.format(below=all_hidden - above, above=above) if all_hidden else CLOSES
