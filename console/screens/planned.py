"""A plan before it is done, the question whether to, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import ClassVar
from uuid import uuid4

from rich.cells import cell_len, set_cell_size
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static
from textual.worker import Worker

from console.columns.table import Cell
from console.fleet import copying
from console.fleet.acts import DEEDS, Aim, Deed, Options, Plan, command, perform
from console.fleet.client import NodeClient
from console.fleet.desk import PAINT_S, Desk, Undo
from console.fleet.orders import Fate, Order, counted, hold_time, logged, undoing
from console.fleet.state import CommandEntry
from console.fleet.text import clean, several
from console.widgets.lines import Line, Lines

LONGEST_REASON = 200
RAN_OUT = "armed mode has run out: nothing was sent"
NOTHING = "nothing of it can be done"
LONGEST_CHARS = 400_000
UNDO_DEEP = 50
BORDERS, INDENT, WHEEL_LINES, MINUTE_S = 2, 4, 3, 60
PARTS = 2
"""Its lines of text: what is planned, and the question."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that is typed for a deed."""

    name: str
    says: str


ENTRIES: dict[Deed, tuple[Entry, ...]] = {
    Deed.HOLD: (
        Entry("reason", "what for, in a few words: they stand in gaps and audit"),
        Entry("for", "how long: 30m, 2h, 1d; empty = until it is resumed"),
    ),
    Deed.CAPTURE: (Entry("profile", "Tab: a profile of the document; empty = auto"),),
}
COUNT = "count"


Make = Callable[[Sequence[Aim], Options], Plan]
"""The plan for those aims, as the fleet is now."""


class Phase(Enum):
    """Where it is."""

    ASKING = auto()
    SENDING = auto()
    OVER = auto()


def wrapped(text: str, width: int) -> Iterator[str]:
    """In lines of at most so many cells, broken at blanks where there are some."""
    line = ""
    for word in text.split():
        if line and cell_len(line) + 1 + cell_len(word) > width:
            yield line
            line = ""
        line = f"{line} {word}" if line else word
        while cell_len(line) > width > 1:
            head = set_cell_size(line, width).rstrip()
            yield head
            line = line[len(head) :]
    yield line


class PlanScreen(ModalScreen[None]):
    """No is the default; one node is confirmed by `y`, more by their number.  Then it tells what became of each."""

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "close", show=False),
        Binding("enter,n", "decline", "no", show=False),
        Binding("y", "agree", "yes", show=False),
        Binding("down,j", "scroll_lines(1)", "down", show=False),
        Binding("up,k", "scroll_lines(-1)", "up", show=False),
        Binding("pagedown,space", "scroll_lines(10)", "a page down", show=False),
        Binding("pageup", "scroll_lines(-10)", "a page up", show=False),
    ]

    def __init__(self, desk: Desk, deed: Deed, aims: Sequence[Aim], make: Make) -> None:
        super().__init__()
        self._desk, self._deed, self._make = desk, deed, make
        self._plan = make(aims, self._options())
        cannot = {aim for aim, _ in self._plan.refused}
        self._aims = [aim for aim in aims if aim not in cannot] or list(aims)
        self._phase = Phase.ASKING if self._plan.steps else Phase.OVER
        self._said = "" if self._plan.steps else NOTHING
        self._command = self._plan.command
        self._copied = "y copies this"
        self._orders = {step.aim: Order(step) for step in self._plan.steps}
        self._begun: set[str] = set()
        self._wrapped: dict[tuple[tuple[str, str], int], tuple[Line, ...]] = {}
        self._top = 0

    # --- what it looks like ---------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        with Vertical(id="planned") as box:
            box.border_title = f"plan: {DEEDS[self._deed].twin}"
            yield Lines(id="told")
            if self._phase is Phase.ASKING:
                yield from self._entries()
            yield Lines(id="question")

    def _entries(self) -> ComposeResult:
        entries = list(ENTRIES.get(self._deed, ()))
        if self._many:
            entries.append(Entry(COUNT, f"type {len(self._plan.nodes)}, the number of nodes, to do it; nothing = no"))
        for entry in entries:
            with Horizontal(classes="entry"):
                yield Static(entry.name, markup=False)
                yield Input(id=entry.name, compact=True, placeholder=entry.says, max_length=LONGEST_REASON)

    @property
    def _many(self) -> bool:
        return len(self._plan.nodes) > 1

    def on_mount(self) -> None:
        self.set_interval(PAINT_S, self._tick)
        inputs = list(self.query(Input))
        if inputs and (self._deed is Deed.HOLD or self._many):
            self.set_focus(self.query_one(f"#{COUNT}") if self._deed is not Deed.HOLD else inputs[0])
        self.call_after_refresh(self._show)

    def on_resize(self, _event: events.Resize) -> None:
        self.call_after_refresh(self._show)

    def _tick(self) -> None:
        """Armed mode may run out while the plan is read; outcomes of thousands of orders are shown together."""
        if self._phase is Phase.ASKING and not self._desk.armed.left_s:
            self._over(RAN_OUT)
        elif self._phase is not Phase.OVER:
            self._show()

    def on_mouse_scroll_down(self) -> None:
        self.action_scroll_lines(WHEEL_LINES)

    def on_mouse_scroll_up(self) -> None:
        self.action_scroll_lines(-WHEEL_LINES)

    def _close_entries(self, phase: Phase, said: str) -> None:
        self._phase, self._said = phase, said
        for row in self.query(".entry"):
            row.display = False
        self.set_focus(None)

    def _show(self) -> None:
        if len(self.query(Lines)) < PARTS:  # not there yet, or no longer: the console ends while orders are under way
            return
        box, told, question = self.query_one("#planned"), self.query_one("#told", Lines), self._question()
        width = max(10, box.content_region.width or self.size.width - BORDERS - 2)
        asked = [Line((Cell(line, "title"),)) for line in wrapped(question, width)]
        entries = sum(row.display for row in self.query(".entry"))
        room = max(1, self.size.height - BORDERS - entries - len(asked))
        lines = list(self._lines(width))
        told.styles.height = min(room, len(lines))
        self.query_one("#question").styles.height = len(asked)
        self._top = min(self._top, max(0, len(lines) - room))
        told.show(lines[self._top : self._top + room])
        self.query_one("#question", Lines).show(asked)
        box.border_subtitle = self._edge(len(lines) - room - self._top)

    def _edge(self, below: int) -> str:
        left_s = int(self._desk.armed.left_s)
        armed = f"ARMED {left_s // MINUTE_S:02d}:{left_s % MINUTE_S:02d}" if self._phase is Phase.ASKING else ""
        more = f"{max(0, below)} lines below, {self._top} above" if below > 0 or self._top else ""
        return "   ".join(filter(None, (armed, more)))

    def _lines(self, width: int) -> Iterator[Line]:
        for paragraph in self._paragraphs():
            if (paragraph, width) not in self._wrapped:
                self._wrapped[paragraph, width] = tuple(_in_lines(*paragraph, width))
            yield from self._wrapped[paragraph, width]

    def _paragraphs(self) -> Iterator[tuple[str, str]]:
        """Each with its style."""
        kind = DEEDS[self._deed]
        if self._phase is Phase.ASKING:
            yield f"costs: {kind.risk}", "dim"
            yield f"undo: {undoing(kind)}", "dim"
        for aim, why in self._plan.refused:
            yield f"{self._sign(Fate.FAILED)} {aim}: cannot: {why}", "warn"
        for order in self._listed():
            style = order.fate.value[2] if order.fate is not Fate.WAITING else "plain"
            yield f"{self._sign(order.fate)} {order.line()}", style
        yield f"same as: {self._command}", "dim"

    def _listed(self) -> list[Order]:
        """In the order of the plan; once it is over, what went wrong first."""
        ranks = list(Fate)
        return sorted(
            self._orders.values(), key=lambda order: ranks.index(order.fate) if self._phase is Phase.OVER else 0
        )

    def _sign(self, fate: Fate) -> str:
        return fate.value[1] if self._desk.ascii else fate.value[0]

    def _question(self) -> str:
        steps, nodes = several(len(self._orders), "order"), several(len(self._plan.nodes), "node")
        cannot = f", {len(self._plan.refused)} cannot" if self._plan.refused else ""
        if self._phase is Phase.SENDING:
            return f"{counted(self._orders.values())} of {steps}; Esc stops here"
        if self._phase is Phase.OVER:
            return f"{self._said}; {self._copied}, Esc closes"
        yes = f"type {len(self._plan.nodes)} and Enter" if self._many else "y"
        asked = f"{steps} to {nodes}{cannot}. {yes} = do it; Enter alone or Esc = no"
        return f"{self._said}: {asked}" if self._said else asked

    # --- keys -----------------------------------------------------------------------------------------------------

    def on_key(self, event: events.Key) -> None:
        """Fast typing comes in one piece: a key may be on its way before there is an entry."""
        if isinstance(self.focused, Input) and event.is_printable and event.character:
            self.focused.insert_text_at_cursor(event.character)
            event.stop()

    def action_scroll_lines(self, lines: int) -> None:
        self._top = max(0, self._top + lines)
        self._show()

    def action_leave(self) -> None:
        """While orders are under way it only stops; what it has come to stays to be read."""
        if self._phase is Phase.SENDING:
            self.workers.cancel_node(self)
        else:
            self.dismiss(None)

    def action_decline(self) -> None:
        if self._phase is Phase.ASKING:
            self.dismiss(None)

    def action_agree(self) -> None:
        if self._phase is Phase.OVER:
            _: Worker[None] = self.run_worker(self._copy)
        elif self._phase is Phase.ASKING and not self._many:
            self._go()

    async def _copy(self) -> None:
        where = await copying.copy("\n".join(self.text()), self.app.copy_to_clipboard)
        self._copied = f"copied: {where}"
        self._show()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        """What is shown is what would be sent, as its command too."""
        event.stop()
        if event.input.id != COUNT and self._phase is Phase.ASKING:
            self._command = command(self._deed, self._aims, self._half_filled())
            self._say("")

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input.id == COUNT:
            self._counted_right(event.value.strip())
        elif self._fit():
            inputs = list(self.query(Input))
            after = inputs[inputs.index(event.input) + 1 :]
            self.set_focus(after[0] if after else None)

    def _counted_right(self, typed: str) -> None:
        if not typed:
            self.dismiss(None)
        elif typed == str(len(self._plan.nodes)):
            self._go()
        else:
            self.query_one(f"#{COUNT}", Input).value = ""
            self._say(f"{typed[:10]} is not the number of nodes")

    def _say(self, text: str) -> None:
        self._said = text
        self._show()

    # --- doing it -------------------------------------------------------------------------------------------------

    def _options(self, reason: str = "", for_s: int | None = None, profile: str = "") -> Options:
        inventory = str(self._desk.inventory or "")
        return Options(reason=reason, for_s=for_s, profile=profile, inventory=inventory)

    def _typed_in(self, name: str) -> str:
        return next((clean(each.value).strip() for each in self.query(Input) if each.id == name), "")

    def _half_filled(self) -> Options:
        """What was typed so far."""
        with suppress(ValueError):
            return self._options(self._typed_in("reason"), hold_time(self._typed_in("for")), self._typed_in("profile"))
        return self._options(self._typed_in("reason"))

    def _wrong(self) -> tuple[str, str]:
        """Which entry will not do, and why."""
        try:
            hold_time(self._typed_in("for"))
        except ValueError as error:
            return "for", str(error)
        missing = self._deed is Deed.HOLD and not self._typed_in("reason")
        return ("reason", "a reason is needed") if missing else ("", "")

    def _fit(self) -> bool:
        """Whether what was typed will do; else it is said why not, and the cursor stands there."""
        name, why = self._wrong()
        if name:
            self.set_focus(self.query_one(f"#{name}"))
            self._say(why)
        return not name

    def _go(self) -> None:
        """Sends what was shown, with what was typed; a node that was lost meanwhile is left out, and it is said."""
        if not self._fit():
            return
        if not self._desk.armed.left_s:
            self._over(RAN_OUT)
            return
        planned = self._make(list(self._orders), self._half_filled())
        self._plan = replace(planned, refused=(*self._plan.refused, *planned.refused))
        self._orders = {step.aim: Order(step) for step in planned.steps}
        if not self._orders:
            self._over(NOTHING)
            return
        self._close_entries(Phase.SENDING, "")
        _: Worker[None] = self.run_worker(self._send)

    def _over(self, said: str) -> None:
        self._close_entries(Phase.OVER, said)
        self._show()

    def _client(self, node: str) -> NodeClient | None:
        self._begun.add(node)
        return self._desk.source.client(node)

    async def _send(self) -> None:
        try:
            async with aclosing(perform(self._plan, self._client, lambda: uuid4().hex)) as outcomes:
                async for outcome in outcomes:
                    self._orders[outcome.aim].settle(outcome)
                    self._desk.source.ask_now(outcome.aim.node)
        finally:
            self._end()

    def _end(self) -> None:
        """All have been told of, or somebody would not wait: what is not known then may still happen."""
        waiting = [order for order in self._orders.values() if order.fate is Fate.WAITING]
        for order in waiting:
            order.give_up(sent=order.step.aim.node in self._begun)
            self._begun.discard(order.step.aim.node)  # on a node one goes after the other
        unknown = sum(order.fate is Fate.UNKNOWN for order in waiting)
        whose = "its" if unknown == 1 else "their"
        stopped = f"stopped here: {several(unknown, 'order')} may still be on {whose} way; " if waiting else ""
        self._phase, self._said, self._top = Phase.OVER, stopped + counted(self._orders.values()) + self._later(), 0
        self._remember()
        self._log()
        self._show()

    def _done(self) -> tuple[Aim, ...]:
        return tuple(aim for aim, order in self._orders.items() if order.fate is Fate.DONE)

    def _later(self) -> str:
        return "; u takes it back" if self._deed is Deed.HOLD and self._done() else ""

    def _remember(self) -> None:
        """A hold can be taken back; what is resumed needs it no longer."""
        done = self._done()
        if self._deed is Deed.HOLD and done:
            self._desk.undo.append(Undo(f"hold of {', '.join(map(str, done[:3]))}", held=done))
        if self._deed is Deed.RESUME:
            self._desk.undo[:] = [undo for undo in self._desk.undo if not undo.held or set(undo.held) - set(done)]
        del self._desk.undo[:-UNDO_DEEP]

    def _log(self) -> None:
        if self._desk.book is None:
            return
        at_us, who = self._desk.clock.utc_us(), self._desk.operator
        for line, outcome in logged(self._deed, list(self._orders.values()), self._plan.options):
            self._desk.book.log(CommandEntry(at_us, who, line, outcome))

    def text(self) -> list[str]:
        """All of it, to be taken along."""
        return [
            self._said,
            *(f"{aim}: cannot: {why}" for aim, why in self._plan.refused),
            *(f"{order.fate.name.lower()} {order.line()}" for order in self._listed()),
            self._command,
        ]


def _in_lines(text: str, style: str, width: int) -> Iterator[Line]:
    """The first one in full, the others set in."""
    first, *rest = wrapped(clean(text, LONGEST_CHARS), width)
    yield Line((Cell(first, style),))
    for line in wrapped(" ".join(rest), width - INDENT) if rest else ():
        yield Line((Cell(" " * INDENT + line, style),))
