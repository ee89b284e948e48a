"""What reaches a terminal: no more than is meant for it."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

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
