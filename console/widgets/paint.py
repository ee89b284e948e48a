"""Cells to strips: the one place where a style's name becomes a colour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from console.columns.table import Cell
from console.fleet.view import Word

STYLES = (*Word, "plain", "dim", "name", "spark", "title", "brand", "key", "mode", "armed", "picked")
CURSOR = "cell--cursor"
COMPONENTS = frozenset({CURSOR, *(f"cell--{name}" for name in STYLES)})


def fitted(text: str, width: int, *, right: bool = False, cut: str = "…") -> str:
    """Exactly so many cells, whatever the width of its characters; what is cut off ends in `cut`."""
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


def strip_of(widget: Widget, cells: Iterable[Cell], width: int, *, cursor: bool = False) -> Strip:
    """The cells one after the other, padded or cut to the width."""
    base = widget.rich_style
    under = widget.get_component_rich_style(CURSOR, partial=True) if cursor else None
    segments = []
    for cell in cells:
        style = base + widget.get_component_rich_style(f"cell--{cell.style}", partial=True)
        segments.append(Segment(cell.text, style if under is None else style + under))
    end = base if under is None else base + under
    return Strip(segments).adjust_cell_length(width, end)
