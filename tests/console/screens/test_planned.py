"""How the words of a plan are broken into lines."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from console.screens.planned import wrapped


@pytest.mark.parametrize(
    "text", ["", "one", "some words that go over several lines", "x" * 100, "a " + "漢字" * 40, "a  b\tc", "é" * 31]
)
@pytest.mark.parametrize("width", [10, 11, 30])
def test_lines_are_no_wider_than_there_is_room_and_lose_nothing(text: str, width: int) -> None:
    lines = list(wrapped(text, width))
    assert max(map(cell_len, lines)) <= width
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_words_stay_whole_where_they_fit() -> None:
    assert list(wrapped("some words that go over", 10)) == ["some words", "that go", "over"]
