"""Saying that one knows of alerts: why, and until when."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from console.columns.table import Cell
from console.fleet.acked import Acked, logged_ack
from console.fleet.alerts import AlertRow
from console.fleet.desk import Desk, Undo
from console.fleet.state import Ack, Made
from console.fleet.text import clean, several
from console.widgets.lines import Line, Lines
from console.widgets.paint import titled
from node.wire.times import US, to_text

MOST_REASON_CHARS = 200
UNDO_DEEP = 20
NOBODY = "no alert here to acknowledge"
RECORDING = "a recording can only be looked at"
OVER = "they are over by now: nothing to acknowledge"
WHY = "a reason is needed, for whoever comes after you"
KEYS = "Enter acknowledges, Tab changes until when, Esc closes"
REASON, UNTIL = "ack reason", "ack until"


@dataclass(frozen=True, slots=True)
class Expiry:
    """`word` as `heliograph ack --for` takes it; None seconds = until it is over."""

    word: str
    seconds: int | None


EXPIRIES = (Expiry("30m", 1800), Expiry("8h", 28_800), Expiry("2d", 172_800), Expiry("until recovery", None))
USUAL = 1


@dataclass(frozen=True, slots=True)
class Known:
    """What was entered."""

    reason: str
    expiry: Expiry


class Stage(Protocol):
    """What is asked of a screen from which it is done."""

    desk: Desk

    @property
    def app(self) -> App[Any]:
        """The application."""

    def reply(self, text: str) -> None:
        """Says it in place."""


def alerts_of(desk: Desk, nodes: Collection[str]) -> list[AlertRow]:
    """What fires on these nodes."""
    wanted = frozenset(nodes)
    return [row for row in desk.alerts.rows() if row.node in wanted]


def acknowledge(stage: Stage, rows: Sequence[AlertRow]) -> None:
    """Asks for reason and expiry, and keeps them.  Those that somebody knows of are left, unless all are known."""
    rows = [row for row in rows if row.ack is None] or list(rows)
    if stage.desk.book is None or not rows:
        stage.reply(NOBODY if stage.desk.live else RECORDING)
        return

    def answered(known: Known | None) -> None:
        if known is not None:
            _keep(stage, [row.key for row in rows], known)
        elif stage.desk.drafts.get(REASON):
            stage.reply("not acknowledged; a goes on where you were")

    stage.app.push_screen(AckDialog(stage.desk, rows), answered)


def _keep(stage: Stage, keys: Sequence[str], known: Known) -> None:
    desk, book = stage.desk, stage.desk.book
    assert book is not None
    desk.alerts.refresh()
    firing = {row.key for row in desk.alerts.rows()}
    keys = [key for key in keys if key in firing]
    if not keys:
        stage.reply(OVER)
        return
    now_us, seconds = desk.clock.utc_us(), known.expiry.seconds
    until_us = None if seconds is None else now_us + seconds * US
    made = [Made(Ack(key, desk.operator, known.reason, now_us, until_us), book.acks.get(key)) for key in keys]
    saved = book.acknowledge(*(one.ack for one in made))
    desk.alerts.refresh()
    desk.drafts.clear()
    desk.undo.append(Undo(f"acknowledgement of {_listed(keys)}", acks=tuple(made)))
    del desk.undo[:-UNDO_DEEP]
    ends = ("--for", known.expiry.word) if seconds is not None else ()
    done = Acked(("ack",), keys, ("--reason", known.reason, *ends), "known")
    logged_ack(book, now_us, desk.operator, done, saved=saved)
    until = "until over" if until_us is None else f"until {to_text(until_us)[5:16].replace('T', ' ')}Z at most"
    lost = "" if saved else f"NOT SAVED: {book.trouble}; in memory only: "
    stage.reply(f"{lost}acknowledged {several(len(keys), 'alert')} {until}; u takes it back")


def _listed(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    return f"{clean(keys[0])}{more}"


class AckDialog(ModalScreen[Known | None]):
    """What is typed stays for the next time, until it is sent."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "close", show=False),
        Binding("tab,down", "turn(1)", "later", show=False),
        Binding("shift+tab,up", "turn(-1)", "sooner", show=False),
    ]

    def __init__(self, desk: Desk, rows: Sequence[AlertRow]) -> None:
        super().__init__()
        self._desk, self._rows = desk, tuple(rows)
        words = [expiry.word for expiry in EXPIRIES]
        before = desk.drafts.get(UNTIL, "")
        self._at = words.index(before) if before in words else USUAL
        self._wrong = ""

    def compose(self) -> ComposeResult:
        nodes = len({row.node for row in self._rows})
        where = self._rows[0].node if nodes == 1 else f"{nodes} nodes"
        with Vertical(id="acking") as box:
            box.border_title = titled(f"acknowledge {several(len(self._rows), 'alert')} of {where}")
            yield Lines(id="acked")
            with Horizontal(classes="entry"):
                yield Static("reason", markup=False)
                yield Input(self._desk.drafts.get(REASON, ""), id="reason", compact=True,
                            max_length=MOST_REASON_CHARS, select_on_focus=False)  # fmt: skip
            yield Lines(id="until")

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self.call_after_refresh(self._show)

    def on_resize(self, _event: events.Resize) -> None:
        self.call_after_refresh(self._show)

    def action_give_up(self) -> None:
        self.dismiss(None)

    def action_turn(self, step: int) -> None:
        self._at = (self._at + step) % len(EXPIRIES)
        self._desk.drafts[UNTIL] = EXPIRIES[self._at].word
        self._show()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._desk.drafts[REASON] = event.value
        self._wrong = ""
        self._show()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        reason = clean(event.value).strip()
        if reason:
            self.dismiss(Known(reason, EXPIRIES[self._at]))
            return
        self._wrong = WHY
        self._show()

    def _show(self) -> None:
        self.query_one("#acked", Lines).show(list(self._about()))
        last = Line((Cell(self._wrong, "crit"),)) if self._wrong else Line((Cell(KEYS, "dim"),))
        self.query_one("#until", Lines).show([Line(tuple(self._expiries())), self._who(), last])

    def _about(self) -> Iterator[Line]:
        """The first of them, and how many more."""
        row, more = self._rows[0], len(self._rows) - 1
        yield Line((Cell(f"{row.node}  ", "name"), Cell(row.sentence)))
        yield Line((Cell(f"and {more} more" if more else "", "dim"),))

    def _expiries(self) -> Iterator[Cell]:
        yield Cell("until    ")
        for number, expiry in enumerate(EXPIRIES):
            here = number == self._at
            yield Cell(f"[{expiry.word}]" if here else f" {expiry.word} ", "key" if here else "dim")
            yield Cell(" ")

    def _who(self) -> Line:
        expiry = EXPIRIES[self._at]
        ends = "ends when an alert is over"
        if expiry.seconds is not None:
            ends += (
                f", at the latest {to_text(self._desk.clock.utc_us() + expiry.seconds * US)[5:16].replace('T', ' ')}Z"
            )
        return Line((Cell(f"by       {clean(self._desk.operator) or '?'}; {ends}", "dim"),))
