"""The colours, dark and light: by style in the style sheet, by theme here."""

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
THEMES = {"dark": DARK, "light": LIGHT}
"""As the settings name them."""
