"""The palettes: whatever is said can be read, on every ground that it stands on, and without colour too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from textual.color import Color
from textual.theme import Theme

from console.app import FleetApp
from console.widgets.lines import Lines
from console.widgets.paint import STYLES
from console.widgets.pane import Pane
from console.widgets.themes import GREYS, THEMES

SEEN = 1.9
READABLE = 4.5
"""WCAG 2, level AA, for text of usual size."""
GROUNDS = ("background", "surface", "cursor")


def luminance(color: Color) -> float:
    parts = [part / 255 for part in color.rgb]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Color, other: Color) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_has_the_contrast_that_it_has() -> None:
    assert contrast(Color.parse("#000000"), Color.parse("#ffffff")) == pytest.approx(21)
    assert contrast(Color.parse("#767676"), Color.parse("#ffffff")) == pytest.approx(4.54, abs=0.01)


@pytest.fixture(params=["", "1"], ids=["colour", "no colour"])
def themes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Theme]:
    """With colours, and without."""
    if not request.param:
        monkeypatch.delenv("NO_COLOR", raising=False)
        return THEMES
    monkeypatch.setenv("NO_COLOR", request.param)
    return GREYS


@pytest.mark.parametrize("theme", THEMES)
def test_every_style_can_be_read_on_every_ground(
    theme: str, themes: Mapping[str, Theme], look: Callable[..., None]
) -> None:
    wrong: list[str] = []

    async def story(seen: Any) -> None:
        assert seen.app.theme in {each.name for each in themes.values()}
        seen.app.theme = themes[theme].name
        await seen.settle()
        variables = seen.app.get_css_variables()
        head = seen.screen.query_one("#head", Lines)
        for style in STYLES:
            found = head.get_component_styles(f"cell--{style}").color
            assert found.a == 1, f"{style} is see-through"
            for ground in GROUNDS:
                ratio = contrast(found, Color.parse(variables[ground]))
                if ratio < READABLE:
                    wrong.append(f"{style} on {ground}: {ratio:.2f}")

    look(story)
    assert wrong == []


@pytest.mark.parametrize("theme", THEMES)
def test_borders_can_be_seen(theme: str, themes: Mapping[str, Theme], look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        seen.app.theme = themes[theme].name
        await seen.settle()
        variables = seen.app.get_css_variables()
        assert contrast(Color.parse(variables["rule"]), Color.parse(variables["background"])) > SEEN
        await seen.press("enter")
        pane = seen.app.screen.query(Pane).first()
        assert pane.styles.border_top[1] == Color.parse(variables["rule"])

    look(story)


@pytest.mark.parametrize("theme", THEMES)
def test_without_colour_what_is_grave_stands_out(
    theme: str, look: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def story(seen: Any) -> None:
        seen.app.theme = GREYS[theme].name
        await seen.settle()
        head = seen.screen.query_one("#head", Lines)
        styles = {style: head.get_component_rich_style(f"cell--{style}", partial=True) for style in STYLES}
        assert styles["crit"].reverse
        assert styles["crit"].bold
        assert styles["unreachable"].underline
        assert styles["warn"].bold
        assert not any((styles["ok"].reverse, styles["ok"].bold, styles["ok"].underline))
        for style in STYLES:
            color = styles[style].color.get_truecolor()
            assert color.red == color.green == color.blue, style

    look(story)


@pytest.mark.parametrize("theme", THEMES)
def test_what_is_picked_is_the_brightest_of_the_choices(
    theme: str, themes: Mapping[str, Theme], look: Callable[..., None]
) -> None:
    async def story(seen: Any) -> None:
        seen.app.theme = themes[theme].name
        await seen.press(";")
        box = seen.app.screen.query_one("#choices", Lines)
        picked, plain = (box.render_line(y)._segments[1].style for y in (0, 1))
        assert picked.bold
        assert picked.color == plain.color
        assert picked.bgcolor != plain.bgcolor or picked.reverse

    look(story)


@pytest.mark.parametrize("theme", THEMES)
def test_state_and_age_are_no_matter_of_colour_alone(theme: str, look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        seen.app.theme = THEMES[theme].name
        await seen.settle()
        assert "◌ unreachable" in seen.line_of("cusco")
        assert "120/120?" in seen.line_of("cusco")

    look(story)


@pytest.mark.parametrize("theme", THEMES)
def test_the_screen_opens_in_the_theme_that_is_asked_for(theme: str, look: Callable[..., None]) -> None:
    async def story(seen: Any) -> None:
        app = FleetApp(seen.screen.desk, theme=theme)
        assert app.theme == f"heliograph-{theme}"
        assert app.current_theme.dark is (theme == "dark")

    look(story)


@pytest.mark.parametrize("theme", THEMES)
def test_the_console_starts_without_colour(
    theme: str, look: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def story(seen: Any) -> None:
        app = FleetApp(seen.screen.desk, theme=theme)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            assert app.theme == GREYS[theme].name
            assert app.screen.query_one("#head", Lines).size.width == 80

    look(story)


def test_all_palettes_have_the_same_colours() -> None:
    every = [*THEMES.values(), *GREYS.values()]
    assert len({frozenset(theme.variables) for theme in every}) == 1
