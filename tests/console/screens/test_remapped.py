"""Keys that an operator has chosen: they act, and every page that names keys names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from console.registry import remapped

CHOSEN = remapped({"mark": "n", "open": ("enter", "l"), "mark_all": "mm", "mark_none": "N", "help": "f1"})


def test_the_chosen_keys_act_and_the_old_ones_do_not(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.press("space")
        assert not seen.screen.listing.marks
        await seen.press("n")
        assert len(seen.screen.listing.marks) == 1
        await seen.press("m", "m")
        assert len(seen.screen.listing.marks) == 4
        await seen.press("U")
        assert len(seen.screen.listing.marks) == 4
        await seen.press("l")
        assert seen.app.screen.NAME == "node"
        await seen.press("f1")
        assert "Keys" in seen.text()

    look(story, keys=CHOSEN)


def test_footer_help_and_palette_name_the_chosen_keys(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        foot = seen.lines()[-1]
        assert "n mark" in foot
        assert "spc mark" not in foot
        assert "F1 help" in foot
        await seen.press("f1")
        assert any(" F1 " in line and "this help" in line for line in seen.lines())
        await seen.press("escape", ";")
        await seen.type("mark all")
        assert any("mark all that are shown" in line and "mm" in line for line in seen.lines())

    look(story, size=(200, 60), keys=CHOSEN)


def test_after_the_first_of_two_chosen_keys_it_says_what_may_follow(look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        await seen.press("m")
        assert "m mark all" in seen.lines()[-1]

    look(story, keys=CHOSEN)
