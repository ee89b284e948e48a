"""What is sent to the terminal: no more than what has changed, and enough for the same screen."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from rich.cells import cell_len
from textual._compositor import ChopsUpdate

from console.app import FleetApp
from console.columns.table import Cell
from console.widgets.lines import Line, Lines
from console.widgets.spans import narrowed

PIECE = re.compile(r"\x1b\[(?:(\d+);(\d+)H|[\d;]*m)|([^\x1b]+)")


def spread(text: str) -> list[str]:
    """One for each cell: of a wide character the second is empty."""
    return [part for char in text for part in (char, *[""] * (cell_len(char) - 1))]


class Paper:
    """A terminal as far as it knows where to go and what to write there."""

    def __init__(self, lines: list[str]) -> None:
        self.rows = [spread(line) for line in lines]
        self.sent = 0

    def write(self, text: str) -> None:
        self.sent += len(text)
        x = y = 0
        for row, column, words in PIECE.findall(text):
            x, y = (int(column) - 1, int(row) - 1) if row else (x, y)
            cells = spread(words)
            self.rows[y][x : x + len(cells)] = cells
            x += len(cells)

    def lines(self) -> list[str]:
        return ["".join(row) for row in self.rows]


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Paper]:
    """From now on, what is sent for that screen is written there too."""

    def lay(seen: Any) -> Paper:
        sheet = Paper(seen.lines())

        def display(app: FleetApp, _: object, update: Any) -> None:
            update = narrowed(update)
            if isinstance(update, ChopsUpdate):
                sheet.write(update.render_segments(app.console))
            elif update is not None:
                sheet.rows = Paper(seen.lines()).rows

        monkeypatch.setattr(FleetApp, "_display", display)
        return sheet

    return lay


def test_changes_make_the_same_screen_as_a_whole_painting(
    look: Callable[..., None], paper: Callable[[Any], Paper], hand: Any, make_status: Callable[..., Any]
) -> None:
    async def story(seen: Any) -> None:
        sheet = paper(seen)
        for number, keys in enumerate(("j", "j", "k", " ", "A", "S", "G", "k", "t", "N")):
            hand.now_s += 1.5
            seen.model.heard(f"cam-{number:03d}", make_status(f"cam-{number:03d}", state="warn", reasons=["日本 full"]))
            await seen.press(keys)
            assert sheet.lines() == seen.lines()

    look(story, more=60)


def test_a_second_costs_no_more_than_what_it_changes(
    look: Callable[..., None], paper: Callable[[Any], Paper], hand: Any
) -> None:
    async def story(seen: Any) -> None:
        await seen.settle()
        sheet = paper(seen)
        hand.now_s += 1
        await seen.settle()
        assert sheet.lines() == seen.lines()
        rows = len(seen.screen.grid.shown)
        assert 0 < sheet.sent < 300 + 40 * rows  # the time, the oldest age, and of each row its own

    look(story, more=60)


@pytest.mark.parametrize(
    ("before", "now", "sent"),
    [
        (Line((Cell("one"),)), Line((Cell("one"),)), ""),
        (Line((Cell("one"),)), Line((Cell("ore"),)), "r"),
        (Line((Cell("one"),)), Line(), "   "),
        (Line((Cell("a日b"),)), Line((Cell("a本b"),)), "本"),
        (Line((Cell("x"),), (Cell("07"),)), Line((Cell("y"),), (Cell("08"),)), "y8"),
        (Line((Cell("one"),)), Line((Cell("one", "crit"),)), "one"),
    ],
)
def test_of_a_line_only_the_columns_that_differ_are_sent(
    look: Callable[..., None], paper: Callable[[Any], Paper], before: Line, now: Line, sent: str
) -> None:
    async def story(seen: Any) -> None:
        lines = seen.screen.query_one("#foot", Lines)
        lines.show([before])
        await seen.pilot.pause()
        sheet = paper(seen)
        wrote: list[str] = []
        sheet.write = wrote.append  # type: ignore[method-assign]
        lines.show([now])
        await seen.pilot.pause()
        words = "".join(part for _, _, part in PIECE.findall("".join(wrote)))
        assert words == sent

    look(story)
