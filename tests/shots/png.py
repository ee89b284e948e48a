"""A screenshot of Textual as a PNG: its web font is replaced by one that is here."""

from __future__ import annotations

import re

import cairosvg

FONT = "DejaVu Sans Mono"
FACES = re.compile(r"@font-face\s*\{[^}]*\}")
NAMED = re.compile(r"font-family:\s*Fira Code\b[^;}]*;\s*font-size:\s*20px")
CELL_PX, LETTER_EM = 12.2, 0.60205
SIZE_PX = CELL_PX / LETTER_EM
"""At which a letter of that font is as wide as a cell of the picture, which cairosvg does not see to."""
SCALE = 15 / CELL_PX
"""Makes that whole pixels, to which cairo rounds the width of a letter."""


def png_of(svg: str) -> bytes:
    plain, count = NAMED.subn(f"font-family: {FONT}, monospace; font-size: {SIZE_PX:.4f}px", FACES.sub("", svg))
    assert count, "Textual names its font in another way now"
    return bytes(cairosvg.svg2png(bytestring=plain.encode(), scale=SCALE))
