"""The colours, dark and light, and none: by style in the style sheet, by theme here."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="heliograph-dark",
    primary="#6ca7c9",
    foreground="#e6e6e6",
    background="#101418",
    surface="#1a2027",
    panel="#232b34",
    dark=True,
    variables={
        "crit": "#ff7a7a", "lost": "#d6a2ff", "warn": "#ffb454", "ok": "#7fd88f", "idle": "#82aaff",
        "key": "#ffb454", "brand": "#ffd166", "spark": "#6ca7c9", "quiet": "#9aa5b1", "cursor": "#26313d",
        "armed": "#ff7a7a", "rule": "#4a5563",
    },
)  # fmt: skip
LIGHT = Theme(
    name="heliograph-light",
    primary="#1f5f8b",
    foreground="#1b1f24",
    background="#fbfaf7",
    surface="#efede7",
    panel="#e4e1d9",
    dark=False,
    variables={
        "crit": "#b00020", "lost": "#6a1fa0", "warn": "#7f4800", "ok": "#17612f", "idle": "#1d4f9c",
        "key": "#7f4800", "brand": "#6b4a00", "spark": "#1f5f8b", "quiet": "#565f6a", "cursor": "#dfe7ef",
        "armed": "#b00020", "rule": "#9aa0a6",
    },
)  # fmt: skip
DARK_GREY = Theme(
    name="heliograph-dark-grey",
    primary="#c8c8c8",
    foreground="#f2f2f2",
    background="#101010",
    surface="#1c1c1c",
    panel="#262626",
    dark=True,
    variables={
        **dict.fromkeys(("crit", "lost", "warn", "ok", "idle", "key", "brand", "spark", "armed"), "#f2f2f2"),
        "quiet": "#a8a8a8", "cursor": "#333333", "rule": "#5a5a5a",
    },
)  # fmt: skip
LIGHT_GREY = Theme(
    name="heliograph-light-grey",
    primary="#404040",
    foreground="#161616",
    background="#fafafa",
    surface="#ececec",
    panel="#e0e0e0",
    dark=False,
    variables={
        **dict.fromkeys(("crit", "lost", "warn", "ok", "idle", "key", "brand", "spark", "armed"), "#161616"),
        "quiet": "#565656", "cursor": "#d8d8d8", "rule": "#9a9a9a",
    },
)  # fmt: skip
THEMES = {"dark": DARK, "light": LIGHT}
"""As the settings name them."""
GREYS = {"dark": DARK_GREY, "light": LIGHT_GREY}
"""The same without colour: what is grave is bold, underlined or reversed by the style sheet."""
