"""The lines above and below the grid, as cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from console.columns import Cell
from console.fleet.summary import counts, oldest_s
from console.fleet.text import ago
from console.fleet.view import LOOKS, FleetModel
from console.screens.keys import FOOT_COMMANDS, KEYS
from console.widgets.lines import Line
from node.wire.times import to_text


def headline(model: FleetModel, title: str, width: int, *, ascii_only: bool = False) -> Line:
    """Counts by state, the oldest data, the mode and the time: as much of it as fits, the counts last to go."""
    forms = list(_forms(model, title, ascii_only=ascii_only))
    fitting = (form for form in forms if _length(form.left) + 1 + _length(form.right) <= width)
    return next(fitting, forms[-1])


def _forms(model: FleetModel, title: str, *, ascii_only: bool) -> Iterator[Line]:
    """From the fullest to the barest: the grave states are the last to lose their words."""
    mode, time = Cell("READ-ONLY", "mode"), Cell(f"  {to_text(model.clock.utc_us())[11:19]}Z")
    words, signs = _counts(model, ascii_only=ascii_only)
    brand, nodes = Cell(f"heliograph {title}".strip() + " ", "brand"), Cell(f"   {len(model.views)} nodes", "dim")
    oldest = _oldest(model)
    yield Line((brand, *words, nodes, oldest), (mode, time))
    yield Line((brand, *words, oldest), (mode, time))
    yield Line((*words, oldest), (mode, time))
    yield Line((*words,), (mode, time))
    for worst in range(len(words), -1, -1):
        yield Line((*words[:worst], *signs[worst:]), (mode,))
    yield Line((*signs,))


def _length(cells: Sequence[Cell]) -> int:
    return sum(cell_len(cell.text) for cell in cells)


def _counts(model: FleetModel, *, ascii_only: bool) -> tuple[list[Cell], list[Cell]]:
    """By state, with its word and without."""
    words, signs = [], []
    for word, count in counts(model).items():
        sign = LOOKS[word].ascii if ascii_only else LOOKS[word].glyph
        words.append(Cell(f" {sign} {count} {word} ", word))
        signs.append(Cell(f" {sign}{count}", word))
    return words, signs


def _oldest(model: FleetModel) -> Cell:
    oldest = oldest_s(model)
    return Cell("   some not heard yet" if oldest is None else f"   oldest {ago(oldest)}", "dim")


@dataclass(frozen=True, slots=True)
class Listing:
    """What the second line says of the rows below it."""

    filter: str = ""
    error: str = ""
    shown: int = 0
    total: int = 0
    held: bool = False


def breadcrumb(listing: Listing, notice: str, width: int) -> Line:
    """Where one is, what is filtered and sorted, and what went wrong with it."""
    cells = [Cell("fleet", "title")]
    if listing.filter:
        cells.append(Cell(f"   / {listing.filter}", "key"))
    if listing.error:
        cells.append(Cell(f"   {listing.error}", "crit"))
    elif notice:
        cells.append(Cell(f"   {notice}", "dim"))
    shown = Cell(f"{listing.shown}/{listing.total}", "dim")
    order = Cell("held   " if listing.held else "worst first   ", "dim")
    fits = _length((*cells, order, shown)) < width
    return Line(tuple(cells), (order, shown) if listing.held or fits else (shown,))


def footline() -> Line:
    """The keys worth knowing, from the one table."""
    hints: Sequence[tuple[str, str]] = [(key.shown, key.foot) for key in KEYS if key.foot]
    hints = [*hints, *((command, "quit") for command in FOOT_COMMANDS)]
    cells = []
    for key, word in hints:
        cells += [Cell(f"{key} ", "key"), Cell(f"{word}   ", "dim")]
    return Line(tuple(cells))
