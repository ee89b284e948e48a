"""What reaches a terminal: no more than is meant for it."""

from __future__ import annotations

import asyncio

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult

from console.columns.table import Cell
from console.screens.chooser import Choice, Chooser
from console.widgets.lines import Line, Lines
from console.widgets.paint import fitted, tame, titled

HOSTILE = ("\x1b[2J", "\x1b]0;title\x07", "a\r\nb", "\x9b31m", "\u202eevil", "\x00", "\ud800", "\u2028")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_would_steer_a_terminal_is_left_out_and_the_width_stays(text: str) -> None:
    assert tame(text).isprintable()
    assert cell_len(tame(text)) == sum(map(cell_len, text))
    assert fitted(text, 12).isprintable()
    assert cell_len(fitted(text, 12)) == 12
    assert titled(f"[b]{text}").plain.isprintable()


@pytest.mark.parametrize("text", ["", "plain", "› … ● █", "日本", "a\u00a0b"])
def test_all_else_is_left_as_it_is(text: str) -> None:
    assert tame(text) == text


class Page(App[None]):
    """What was drawn without a thought of where it came from."""

    def compose(self) -> ComposeResult:
        yield Lines(id="raw")


@pytest.mark.parametrize("text", HOSTILE)
def test_no_strip_holds_what_would_steer_a_terminal(text: str) -> None:
    async def whole() -> None:
        page = Page()
        async with page.run_test(size=(40, 3)) as pilot:
            lines = page.query_one(Lines)
            lines.show([Line((Cell(text), Cell("left")), (Cell(f"right{text}"),))])
            await pilot.pause()
            page.push_screen(Chooser(f"of {text}", [Choice("id", text, text)]))
            await pilot.pause()
            strips = [lines.render_line(0), *page.screen._compositor.render_strips()]
            assert all(part.text.isprintable() for strip in strips for part in strip)
            assert strips[0].cell_length == lines.size.width

    asyncio.run(whole())
