"""A box with a title, and the five looks of what a node was asked for: asking, empty, stale, refused, failed."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from rich.cells import cell_len

from console.columns.table import Cell, Manner
from console.fleet.asking import Asked, Stage, is_older, trouble_stage
from console.fleet.text import ago, clean
from console.fleet.view import LOOKS, Word
from console.widgets.lines import Line, Lines
from console.widgets.paint import titled
from node.wire.errors import HeliographError, NodeAnswerWrong, OrderRefused

T = TypeVar("T")
BORDER_LINES = 2
LABEL = 9
"""Cells of the word before a value."""


TROUBLES = {Stage.REFUSED: ("refused", "warn"), Stage.FAILED: ("failed", "crit")}
"""What is no answer: its word and its style."""
SIGNS = {
    "empty": LOOKS[Word.IDLE],
    "stale": LOOKS[Word.STALE],
    "refused": LOOKS[Word.REFUSED],
    "failed": LOOKS[Word.CRIT],
}


@dataclass(frozen=True, slots=True)
class Framing:
    """How a pane is written: signs, width in cells, the time, and which key asks again."""

    manner: Manner
    width: int
    now_s: float
    again: str = ""


class Pane(Lines):
    """As high as what it says."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._height = 0

    def tell(self, title: str, lines: Sequence[Line], *, ascii_only: bool = False) -> None:
        """Its title is text from anywhere: no markup."""
        content = titled(title)
        if self._border_title != content:
            self.border_title = content
        if self.has_class("ascii") != ascii_only:
            self.set_class(ascii_only, "ascii")
        self.show(lines)
        height = max(1, len(lines)) + BORDER_LINES
        if self._height != height:
            self._height = height
            self.styles.height = height


def told(asked: Asked[T], draw: Callable[[T], list[Line]], empty: str, framing: Framing) -> list[Line]:
    """What was answered, or why it was not, in one of the five looks."""
    stage = asked.stage(framing.now_s)
    if asked.value is None:
        return asking(framing) if asked.error is None else trouble(asked.error, framing)
    try:
        lines = draw(asked.value) or note(f"{_sign('empty', framing)} {empty}", framing, Word.IDLE)
    except Exception as error:  # noqa: BLE001 - the boundary of a pane: it says what was wrong, the others stay
        return trouble(NodeAnswerWrong(f"unexpected {type(error).__name__}"), framing)
    if stage is not Stage.STALE:
        return lines
    old = Line((Cell(f"{_sign(Word.STALE, framing)} {ago(asked.age_s(framing.now_s))} old?", "stale"),))
    why = [] if asked.error is None else note(_short(asked.error), framing, "warn")
    return [old, *why, *map(faded, lines)]


def asking(framing: Framing) -> list[Line]:
    return [Line((Cell("asking..." if framing.manner.ascii else "asking…", "dim"),))]


def note(text: str, framing: Framing, style: str = "dim") -> list[Line]:
    """Words, wrapped."""
    return [Line((Cell(line, style),)) for line in wrapped(text, framing.width)]


def trouble(error: HeliographError, framing: Framing) -> list[Line]:
    """Its code, what it says, what helps, and how to ask again; the node's own where it has said no."""
    if is_older(error):
        return note("this node's release does not tell it", framing)
    advice = error.advice if isinstance(error, OrderRefused) else error.hint
    word, style = TROUBLES[trouble_stage(error)]
    said = note(f"{_sign(word, framing)} {word}: {_short(error)}", framing, style)
    return [*said, *note(clean(advice), framing), *note(framing.again, framing)]


def _sign(word: str, framing: Framing) -> str:
    look = SIGNS[word]
    return look.ascii if framing.manner.ascii else look.glyph


def _short(error: HeliographError) -> str:
    return clean(error.detail if isinstance(error, OrderRefused) else str(error))


def faded(line: Line) -> Line:
    return Line(tuple(replace(cell, style="dim") for cell in line.left), tuple(line.right))


def wrapped(text: str, width: int) -> list[str]:
    """Broken at blanks; what is longer than a line is broken anywhere."""
    return textwrap.wrap(text, max(8, width), break_on_hyphens=False)


def pairs(label: str, text: str, framing: Framing, style: str = "plain") -> list[Line]:
    """A word and what it is, in as many lines as it takes."""
    return after(Cell(f"{label:<{LABEL}} ", "dim"), text, framing, style)


def after(head: Cell, text: str, framing: Framing, style: str = "plain") -> list[Line]:
    """Words that hang beside their head."""
    room = framing.width - cell_len(head.text)
    parts = wrapped(text, room) or [""]
    blank = Cell(" " * cell_len(head.text))
    return [Line((blank if number else head, Cell(part, style))) for number, part in enumerate(parts)]


def length(cells: Sequence[Cell]) -> int:
    return sum(cell_len(cell.text) for cell in cells)
