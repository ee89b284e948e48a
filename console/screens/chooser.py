"""One of several, found by typing a few of its letters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from console.columns.table import Cell
from console.widgets.lines import Line, Lines
from console.widgets.paint import titled

MOST_LINES = 16


@dataclass(frozen=True, slots=True)
class Choice:
    """`hint` stands on the right: a key, a state."""

    id: str
    text: str
    hint: str = ""


def matching(choices: Iterable[Choice], typed: str) -> list[Choice]:
    """Those in which every word that was typed occurs; where a text begins with it, first."""
    words = typed.lower().split()
    found = [each for each in choices if all(word in f"{each.id} {each.text}".lower() for word in words)]
    return sorted(found, key=lambda each: not (words and each.id.lower().startswith(words[0])))


class Chooser(ModalScreen[Choice | None]):
    """Arrows move, Enter takes, Esc takes nothing.  With `several`, Enter takes turns until Esc."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "close", show=False),
        Binding("up", "move(-1)", "up", show=False),
        Binding("down", "move(1)", "down", show=False),
        Binding("tab,shift+tab", "stay", "stay", show=False),
    ]

    def __init__(self, title: str, choices: Sequence[Choice], *, empty: str = "nothing matches") -> None:
        super().__init__()
        self._title, self._choices, self._empty = title, tuple(choices), empty
        self._found = list(choices)
        self._text = ""
        self._at = self._top = 0

    def compose(self) -> ComposeResult:
        with Vertical(id="chooser") as box:
            box.border_title = titled(self._title)
            yield Input(id="chosen", compact=True, placeholder="type to find, Enter takes, Esc closes")
            yield Lines(id="choices")

    def on_mount(self) -> None:
        self.query_one("#choices").styles.height = min(MOST_LINES, max(1, len(self._choices)))
        self.set_focus(self.query_one(Input))
        self.call_after_refresh(self._show)

    def on_key(self, event: events.Key) -> None:
        """Fast typing comes in one piece: a key may be on its way before there is a line to type into."""
        for line in self.query(Input):
            if event.key == "enter":
                self._take(line.value)
                event.stop()
            elif event.is_printable and event.character:
                line.insert_text_at_cursor(event.character)
                event.stop()

    def on_resize(self, _event: events.Resize) -> None:
        self.call_after_refresh(self._show)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._find(event.value)

    def _find(self, text: str) -> None:
        if text != self._text:
            self._text = text
            self._found, self._at, self._top = matching(self._choices, text), 0, 0
            self._show()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self._take(event.value)

    def _take(self, text: str) -> None:
        self._find(text)  # Enter may overtake the news of what was typed
        if self._found:
            self.dismiss(self._found[self._at])

    def action_give_up(self) -> None:
        self.dismiss(None)

    def action_stay(self) -> None:
        """Its keys are its own."""

    def action_move(self, lines: int) -> None:
        self._at = min(max(0, self._at + lines), max(0, len(self._found) - 1))
        self._show()

    def _show(self) -> None:
        box = self.query_one("#choices", Lines)
        room = max(1, box.size.height)
        self._top = min(max(self._top, self._at - room + 1), self._at)
        shown = self._found[self._top : self._top + room]
        lines = [self._line(each, here=self._top + number == self._at) for number, each in enumerate(shown)]
        box.show(lines or [Line((Cell(self._empty, "dim"),))])

    def _line(self, choice: Choice, *, here: bool) -> Line:
        pointer = Cell("> " if here else "  ", "key")
        return Line((pointer, Cell(choice.text, "picked" if here else "plain")), (Cell(choice.hint, "key"),))
