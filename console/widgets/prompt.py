"""One line to type into: a filter after `/`, a command after `:`."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static
from textual.widgets.input import Selection

FILTER, COMMAND = "/", ":"
EXAMPLES = {FILTER: "state:!ok disk>80 /regex/", COMMAND: "q"}


class Prompt(Horizontal):
    """Hidden until it asks.  Enter gives what was typed, Esc gives back what stood there before."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "close", show=False),
        Binding("tab,shift+tab", "stay", "stay", show=False),
    ]

    class Typed(Message):
        """Something changed in it, while it is open."""

        def __init__(self, sign: str, text: str) -> None:
            super().__init__()
            self.sign = sign
            self.text = text

    class Closed(Message):
        """It is hidden again; `entered` where Enter closed it.  No kind of Typed, or it would be taken for one too."""

        def __init__(self, sign: str, text: str, *, entered: bool) -> None:
            super().__init__()
            self.sign = sign
            self.text = text
            self.entered = entered

    def __init__(self) -> None:
        super().__init__(id="prompt")
        self._sign = ""
        self._before = ""

    def compose(self) -> ComposeResult:
        yield Static(id="sign", markup=False)
        yield Input(id="typed", compact=True, select_on_focus=False)

    def ask(self, sign: str, text: str = "") -> None:
        self._sign, self._before = sign, text
        self.query_one("#sign", Static).update(sign)
        typed = self.query_one(Input)
        typed.placeholder = EXAMPLES[sign]
        typed.value = text
        # an old filter is there to be replaced by the first key, or edited after an arrow; a command goes on at its end
        typed.selection = Selection(0 if sign == FILTER else len(text), len(text))
        self.display = True
        # at once: Widget.focus() waits for a turn of the loop, and a fast typist's next keys would go elsewhere
        self.screen.set_focus(typed)

    def overtaken(self, character: str = "") -> None:
        """A key on its way to another widget: fast typing comes in one piece, and a click takes the focus away."""
        typed = self.query_one(Input)
        if not typed.has_focus:
            self.screen.set_focus(typed)
        if character:
            typed.replace(character, *typed.selection)

    def action_stay(self) -> None:
        """While it is open, the keys are its own."""

    def action_give_up(self) -> None:
        self._close(self._before, entered=False)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._sign:
            self.post_message(self.Typed(self._sign, event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._close(event.value, entered=True)

    def _close(self, text: str, *, entered: bool) -> None:
        sign, self._sign = self._sign, ""
        self.display = False
        self.post_message(self.Closed(sign, text.strip(), entered=entered))
