"""The lines above and below a view, as cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from console.columns.table import Cell, Manner
from console.fleet.desk import Desk
from console.fleet.summary import counts, oldest_s
from console.fleet.text import ago
from console.fleet.view import LOOKS, FleetModel
from console.registry import Resolver, Scope, known_on, shown_keys
from console.widgets.lines import Line
from node.wire.times import to_text

MINUTE_S = 60


def headline(desk: Desk, width: int, manner: Manner, *, behind: bool = False) -> Line:
    """Counts by state, the oldest data, the mode and the time: as much of it as fits, the counts last to go."""
    forms = list(_forms(desk, manner, behind=behind))
    fitting = (form for form in forms if _length(form.left) + 1 + _length(form.right) <= width)
    return next(fitting, forms[-1])


def _forms(desk: Desk, manner: Manner, *, behind: bool) -> Iterator[Line]:
    """From the fullest to the barest: the grave states are the last to lose their words."""
    model = desk.model
    mode, short = _mode(desk)
    time = Cell(f"  {to_text(model.clock.utc_us())[11:19]}Z")
    words, signs = _counts(model, manner)
    brand, nodes = Cell(f"heliograph {desk.title}".strip() + " ", "brand"), Cell(f"   {len(model.views)} nodes", "dim")
    oldest = _oldest(model, behind=behind)
    yield Line((brand, *words, nodes, oldest), (mode, time))
    yield Line((brand, *words, oldest), (mode, time))
    yield Line((*words, oldest), (mode, time))
    yield Line((*words,), (mode, time))
    for worst in range(len(words), -1, -1):
        yield Line((*words[:worst], *signs[worst:]), (short,))
    yield Line((*signs,))


def _mode(desk: Desk) -> tuple[Cell, Cell]:
    """Whether actions may change nodes, and how long still: in full, and for narrow screens."""
    left_s = int(desk.armed.left_s)
    if not left_s:
        return Cell("READ-ONLY", "mode"), Cell("RO", "mode")
    left = f"{left_s // MINUTE_S:02d}:{left_s % MINUTE_S:02d}"
    return Cell(f"ARMED {left}", "armed"), Cell(f"ARMED {left}", "armed")


def _length(cells: Sequence[Cell]) -> int:
    return sum(cell_len(cell.text) for cell in cells)


def _counts(model: FleetModel, manner: Manner) -> tuple[list[Cell], list[Cell]]:
    """By state, with its word and without."""
    words, signs = [], []
    for word, count in counts(model).items():
        sign = LOOKS[word].ascii if manner.ascii else LOOKS[word].glyph
        words.append(Cell(f" {sign} {count} {word} ", word))
        signs.append(Cell(f" {sign}{count}", word))
    return words, signs


def _oldest(model: FleetModel, *, behind: bool) -> Cell:
    oldest = oldest_s(model)
    said = "   some not heard yet" if oldest is None else f"   oldest {ago(oldest)}"
    return Cell(said + ("   painting at 1 Hz" if behind else ""), "dim")


@dataclass(frozen=True, slots=True)
class Crumb:
    """What the second line says: where one is, and what is shown of how much."""

    path: tuple[str, ...] = ()
    filter: str = ""
    error: str = ""
    order: str = ""
    view: str = ""
    shown: int | None = None
    total: int = 0
    marked: int = 0
    held: bool = False


def breadcrumb(crumb: Crumb, answer: str, notice: str, width: int) -> Line:
    """Where one is, what is filtered and sorted, and what went wrong with it."""
    cells = [Cell(" › ".join(crumb.path), "title")]
    if crumb.filter:
        cells.append(Cell(f"   / {crumb.filter}", "key"))
    said = crumb.error or answer
    if said:
        cells.append(Cell(f"   {said}", "crit"))
    elif notice:
        cells.append(Cell(f"   {notice}", "dim"))
    for right in _rights(crumb):
        if _length((*cells, *right)) < width:
            return Line(tuple(cells), right)
    return Line(tuple(cells))


def _rights(crumb: Crumb) -> Iterator[tuple[Cell, ...]]:
    """From the fullest to the barest."""
    count = [] if crumb.shown is None else [Cell(f"{crumb.shown}/{crumb.total}", "dim")]
    marked = [Cell(f"   {crumb.marked} marked", "key")] if crumb.marked else []
    held = [Cell("held   ", "key")] if crumb.held else []
    order = [Cell(f"{crumb.order}   ", "dim")] if crumb.order else []
    view = [Cell(f"view {crumb.view}   ", "dim")] if crumb.view else []
    yield (*held, *order, *view, *count, *marked)
    yield (*held, *order, *count, *marked)
    yield (*held, *count, *marked)


def footline(scopes: Iterable[Scope], resolver: Resolver, width: int, *, ascii_only: bool) -> Line:
    """The keys worth knowing here; after the first of two keys, what the second may be."""
    if resolver.pending:
        hints = [(after, action.id.replace("_", " ")) for after, action in resolver.after_pending()]
        cells = [Cell(f"{resolver.pending}… ", "key")]
    else:
        hints = [
            (shown_keys(action, ascii_only=ascii_only).split()[0], action.foot)
            for action in known_on(scopes)
            if action.foot
        ]
        hints.append((":q", "quit"))
        cells = []
    for key, word in hints:
        more = [Cell(f"{key} ", "key"), Cell(f"{word}   ", "dim")]
        if _length((*cells, *more)) <= width + 3:
            cells += more
    return Line(tuple(cells))
