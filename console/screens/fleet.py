"""The fleet on one screen, read-only: worst first, filtered in place."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from textual import events, on
from textual.app import ComposeResult
from textual.screen import Screen

from console.columns import Cell
from console.fleet.filter import FilterWrong, Test, apply, parse
from console.fleet.lines import Teller
from console.fleet.summary import worst_first
from console.fleet.view import FleetModel
from console.screens.headline import Listing, breadcrumb, footline, headline
from console.screens.help import HelpScreen
from console.screens.keys import COMMANDS, Resolver
from console.widgets.grid import NodeGrid
from console.widgets.lines import Line, Lines
from console.widgets.prompt import COMMAND, FILTER, Prompt

PAINT_S, AGES_S = 0.25, 1.0
HOLD_S = 2.0
"""While the operator moves, the order stays for so long."""
ANSWER_S = 6.0
"""What a command answers stands for so long, or until the next key."""
NEWS_LINES = 6
NEWS_FROM_HEIGHT = 30


class FleetScreen(Screen[None]):
    """Header, grid, news, prompt, footer.  One timer paints; everything else only changes what it paints."""

    AUTO_FOCUS = "#grid"

    def __init__(self, model: FleetModel, *, title: str, notice: str = "", ascii_only: bool = False) -> None:
        super().__init__()
        self._model = model
        self._title = title
        self._notice = notice
        self._ascii = ascii_only
        self._keys = Resolver()
        self._teller = Teller(model)
        self._news: deque[str] = deque(maxlen=NEWS_LINES)
        self._filter = self._passing = self._error = self._answer = ""
        self._test: Test = parse("")
        self._seen = 0
        self._moved_s = self._painted_s = self._answered_s = -HOLD_S

    def compose(self) -> ComposeResult:
        yield Lines(id="head")
        yield Lines(id="crumb")
        yield NodeGrid(self._model, ascii_only=self._ascii)
        yield Lines(id="news")
        yield Prompt()
        yield Lines(id="foot")

    @property
    def grid(self) -> NodeGrid:
        return self.query_one(NodeGrid)

    def actions(self) -> dict[str, Callable[[], object]]:
        """What the keys and commands of the table do."""
        grid, prompt, everything = self.grid, self.query_one(Prompt), len(self._model.views)
        return {
            "down": lambda: grid.move(1),
            "up": lambda: grid.move(-1),
            "first": lambda: grid.move(-everything),
            "last": lambda: grid.move(everything),
            "page_down": lambda: grid.move(grid.page),
            "page_up": lambda: grid.move(-grid.page),
            "filter": lambda: prompt.ask(FILTER, self._filter),
            "command": lambda: prompt.ask(COMMAND),
            "help": lambda: self.app.push_screen(HelpScreen(ascii_only=self._ascii)),
            "close": lambda: self._refilter(self._passing),
            "quit": self.app.exit,
        }

    def on_mount(self) -> None:
        self.set_interval(PAINT_S, self._tick)
        self.call_after_refresh(self.paint)

    def on_resize(self, event: events.Resize) -> None:
        self.query_one("#news").display = event.size.height >= NEWS_FROM_HEIGHT
        self.call_after_refresh(self.paint)

    def on_key(self, event: events.Key) -> None:
        prompt = self.query_one(Prompt)
        if prompt.display:
            typed = event.character if event.is_printable and event.character else ""
            prompt.overtaken(typed)
            if typed:
                event.stop()
            return  # other keys are the prompt's bindings
        self._reply("")
        action = self._keys.feed(event.character if event.is_printable and event.character else event.key)
        if action is not None:
            event.stop()
            self.actions()[action]()

    def _tick(self) -> None:
        """Something was learnt, or ages have grown by a second."""
        if self._model.revision != self._seen or self._model.clock.monotonic() - self._painted_s >= AGES_S:
            self.paint()

    def paint(self) -> None:
        """What the model says now, in place."""
        self._seen = self._model.revision
        self._painted_s = self._model.clock.monotonic()
        names = apply(self._model, worst_first(self._model), self._test)
        held = self._held(names)
        self.grid.show(self.grid.names if held else names)
        if self._painted_s - self._answered_s >= ANSWER_S:
            self._answer = ""
        listing = Listing(self._filter, self._error or self._answer, len(self.grid.names), len(self._model.views), held)
        self._line("#head", headline(self._model, self._title, self.size.width, ascii_only=self._ascii))
        self._line("#crumb", breadcrumb(listing, self._notice, self.size.width))
        self._line("#foot", footline())
        self._news.extend(self._teller.lines())
        self.query_one("#news", Lines).show([Line((Cell(line),)) for line in self._news])

    def _held(self, names: list[str]) -> bool:
        moving = self._model.clock.monotonic() - self._moved_s < HOLD_S
        return moving and set(names) == set(self.grid.names) and names != list(self.grid.names)

    def _line(self, where: str, line: Line) -> None:
        self.query_one(where, Lines).show([line])

    def _reply(self, text: str) -> None:
        if text != self._answer:
            self._answer, self._answered_s = text, self._model.clock.monotonic()
            self.paint()

    @on(NodeGrid.Moved)
    def _hold(self) -> None:
        self._moved_s = self._model.clock.monotonic()

    @on(Prompt.Typed)
    def _typing(self, message: Prompt.Typed) -> None:
        if message.sign == FILTER:
            self._refilter(message.text)

    @on(Prompt.Closed)
    def _answered(self, message: Prompt.Closed) -> None:
        self.grid.focus()
        if message.sign == FILTER:
            self._refilter(message.text)
        elif message.entered and message.text:
            self._run(message.text)

    def _refilter(self, text: str) -> None:
        self._filter = text
        try:
            self._test, self._error, self._passing = parse(text), "", text
        except FilterWrong as error:
            self._error = str(error)  # the last good result stays
        self.paint()

    def _run(self, command: str) -> None:
        known = COMMANDS.get(command)
        if known is None:
            self._reply(f":{command[:30]} is no command; there is :{', :'.join(COMMANDS)}")
            return
        self.actions()[known[0]]()
