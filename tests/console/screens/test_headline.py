"""The first and second line: what goes first where there is little room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from console.screens.headline import Crumb, breadcrumb
from console.widgets.lines import Line

CRUMB = Crumb(path=("fleet", "nodes"), order="sort state node", shown=6, total=6)
HINT = "heliograph status -i /tmp/heliograph-demo-zgrxqvwx/inventory.yml"


def texts(line: Line) -> tuple[str, str]:
    left, right = ("".join(cell.text for cell in part) for part in (line.left, line.right))
    return left, right


def test_a_notice_stands_whole_where_there_is_room() -> None:
    assert texts(breadcrumb(CRUMB, "", HINT, 120)) == (f"fleet › nodes   {HINT}", "sort state node   6/6")
    assert texts(breadcrumb(CRUMB, "", HINT, 90)) == (f"fleet › nodes   {HINT}", "6/6")


def test_a_long_notice_is_cut_and_says_so_and_leaves_the_count() -> None:
    left, right = texts(breadcrumb(CRUMB, "", "the disk of the state folder is full; " * 9, 80))
    assert (len(left), left[-1], right) == (76, "…", "6/6")
    left, right = texts(breadcrumb(CRUMB, "what was typed cannot be understood " * 9, "", 80))
    assert (len(left), left[-1], right) == (76, "…", "6/6")


@pytest.mark.parametrize("width", range(1, 140))
def test_it_is_never_wider_than_the_screen(width: int) -> None:
    for notice in ("", HINT, "漢" * 99):
        left, right = texts(breadcrumb(CRUMB, "", notice, width))
        cells = len(left) + left.count("漢") + (len(right) + 1 if right else 0)
        assert cells <= width


@pytest.mark.parametrize("width", [80, 120, 200])
def test_painting_seldom_says_so_and_pushes_nothing_out(width: int, look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        usual = seen.lines()[0]
        pace = seen.app.desk.pace
        pace.tick()
        pace._late_s = 0.0
        await seen.settle()
        slow = seen.lines()[0]
        assert "1 Hz" in slow or width == 80
        assert slow.replace("1 Hz", "").split() in (usual.split(), usual.replace("4 nodes", "").split())

    look(story, size=(width, 24))


def test_what_happened_is_cut_with_a_sign(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        seen.screen._news.append("08:00:00Z  kyoto  " + "alert " * 40)
        seen.screen._show_news()
        await seen.pilot.pause()
        assert any(line.rstrip().endswith("…") and "kyoto" in line for line in seen.lines()[-9:])

    look(story)
