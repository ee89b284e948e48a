"""Cells to strips: the one place where a style's name becomes a colour."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.segment import Segment
from textual.content import Content
from textual.strip import Strip
from textual.widget import Widget

from console.columns.table import Cell
from console.fleet.view import Word

STYLES = (*Word, "plain", "dim", "name", "spark", "title", "brand", "key", "mode", "armed", "picked")
PIECES = re.compile(r"\s+|\S+")
CURSOR = "cell--cursor"
NO_BREAK = "\N{NO-BREAK SPACE}"
COMPONENTS = frozenset({CURSOR, *(f"cell--{name}" for name in STYLES)})


def tame(text: str) -> str:
    """Without what would steer a terminal, and as wide: whoever drew it may have forgotten where it came from."""
    if text.isprintable():  # almost always
        return text
    return "".join(char if char.isprintable() or char == NO_BREAK else " " * cell_len(char) for char in text)


def titled(text: str) -> Content:
    """For the border of a box: text from anywhere, no markup."""
    return Content(tame(text))


def fitted(text: str, width: int, *, right: bool = False, cut: str = "…") -> str:
    """Exactly so many cells, whatever the width of its characters; what is cut off ends in `cut`."""
    text = tame(text)
    size = cell_len(text)
    if size > width:
        return set_cell_size(text, max(0, width - 1)) + cut[: max(0, width)]
    return " " * (width - size) + text if right else text + " " * (width - size)


def shortened(cells: Iterable[Cell], width: int, *, cut: str = "…") -> tuple[Cell, ...]:
    """As many of the cells as fit; what is cut off ends in `cut`."""
    fitting, left = [], max(0, width)
    for cell in cells:
        size = cell_len(cell.text)
        fitting.append(cell if size <= left else replace(cell, text=fitted(cell.text, left, cut=cut)))
        left = max(0, left - size)
    return tuple(cell for cell in fitting if cell.text)


def flowed(cells: Iterable[Cell], width: int, *, hang: int = 0) -> list[tuple[Cell, ...]]:
    """In as many lines as it takes, broken at blanks; all but the first stand `hang` cells in."""
    hang = min(hang, width // 2)
    lines: list[list[Cell]] = [[]]
    left = width
    for cell, piece in _pieces(cells, width - hang):
        size = cell_len(piece)
        if size > left:
            lines.append([Cell(" " * hang)] if hang else [])
            left = width - hang
        if piece.isspace() and len(lines) > 1 and left == width - hang:
            continue  # where a line was broken
        lines[-1].append(replace(cell, text=piece))
        left -= size
    return [tuple(line) for line in lines]


def _pieces(cells: Iterable[Cell], width: int) -> Iterator[tuple[Cell, str]]:
    """Words and blanks, none longer than a line."""
    for cell in cells:
        for piece in PIECES.findall(cell.text):
            for part in chop_cells(piece, max(2, width)):
                yield cell, part


def strip_of(widget: Widget, cells: Iterable[Cell], width: int, *, cursor: bool = False) -> Strip:
    """The cells one after the other, padded or cut to the width."""
    base = widget.rich_style
    under = widget.get_component_rich_style(CURSOR, partial=True) if cursor else None
    segments = []
    for cell in cells:
        style = base + widget.get_component_rich_style(f"cell--{cell.style}", partial=True)
        segments.append(Segment(tame(cell.text), style if under is None else style + under))
    end = base if under is None else base + under
    return Strip(segments).adjust_cell_length(width, end)
