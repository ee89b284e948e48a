"""Help, made from the tables that it explains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from console.columns import COLUMNS, MEANINGS
from console.fleet.filter import FIELDS
from console.fleet.view import LOOKS, Word
from console.screens.keys import COMMANDS, KEYS

STATES: dict[Word, str] = {
    Word.CRIT: "the node says that something is broken",
    Word.UNREACHABLE: "it does not answer; its last values stay, with a ?",
    Word.REFUSED: "it answers, but not to this console's token",
    Word.GARBLED: "something answers, but not as a node does",
    Word.WARN: "the node says that something wants looking at",
    Word.STALE: "it has missed polls; what is shown is old",
    Word.WAITING: "it has not answered yet",
    Word.OK: "all is well, frames come as they should",
    Word.IDLE: "all is well, and no frame is due now",
}
FILTERS = (
    ("word", "anywhere in the node's text fields"),
    ("/regex/", "the same, as a pattern; !/regex/ for the rest"),
    ("field:a,b", "one of them; field:!a for the rest"),
    ("field>10", "also < >= <= =; age takes s m h d"),
)


def help_text(*, ascii_only: bool = False) -> Content:
    """The whole help."""
    return Content("\n").join(_lines(ascii_only=ascii_only))


def _lines(*, ascii_only: bool) -> Iterator[Content]:
    signs = {word: look.ascii if ascii_only else look.glyph for word, look in LOOKS.items()}
    yield from _section("Keys", [(key.shown, key.says) for key in KEYS])
    yield from _section("Commands", [(f":{name}", says) for name, (_, says) in COMMANDS.items()])
    yield from _section("Filter: terms joined by blanks, all must hold", FILTERS)
    yield from _section("Fields", [(name, field.says) for name, field in FIELDS.items()])
    yield from _section("States, worst first", [(f"{signs[word]} {word}", says) for word, says in STATES.items()])
    yield from _section("Columns", [(column.title, MEANINGS[column.key]) for column in COLUMNS])


def _section(title: str, rows: Sequence[tuple[str, str]]) -> Iterator[Content]:
    yield Content.styled(title, "bold")
    yield from (Content(f"  {left:<13} {right}") for left, right in rows)
    yield Content("")


class HelpScreen(ModalScreen[None]):
    """Over the grid; Esc, ? or q close it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "close"),
        Binding("j", "scroll_by(1)", "down", show=False),
        Binding("k", "scroll_by(-1)", "up", show=False),
    ]

    def __init__(self, *, ascii_only: bool = False) -> None:
        super().__init__()
        self._ascii = ascii_only

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            yield Static(help_text(ascii_only=self._ascii))

    def action_scroll_by(self, lines: int) -> None:
        self.query_one("#help").scroll_relative(y=lines, animate=False)
