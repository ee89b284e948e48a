"""The lines above and below a view, as cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from console.columns.table import Cell, Manner
from console.fleet.desk import Desk
from console.fleet.record import Recorder, Replay
from console.fleet.summary import oldest_s
from console.fleet.text import ago, clean
from console.fleet.view import LOOKS, FleetModel
from console.registry import Action, Resolver, shown_keys
from console.widgets.lines import Line
from console.widgets.paint import shortened
from node.wire.times import to_text

MINUTE_S = 60
GAP = 3
SIGNS = str.maketrans({"›": ">", "…": "~", "·": "-"})
NODES = " nodes"
SLOW = Cell("1 Hz  ", "dim")
"""How often is painted, where that is less often than usual."""
LEAST_SAID = 16
"""Cells of a notice that still say something."""
HELP = "help"
"""The word whose key is shown however narrow it is."""


def in_ascii(line: Line) -> Line:
    """The same with signs that every terminal has."""
    left, right = (
        tuple(Cell(cell.text.translate(SIGNS), cell.style) for cell in part) for part in (line.left, line.right)
    )
    return Line(left, right)


def headline(desk: Desk, width: int, manner: Manner, *, behind: bool = False) -> Line:
    """Counts by state, the oldest data, the mode and the time: as much of it as fits, the counts last to go."""
    forms = list(_forms(desk, manner))
    line = next((form for form in forms if _fits(form, width)), forms[-1])
    return _slowed(line, width) if behind else line


def _slowed(line: Line, width: int) -> Line:
    """It comes and goes: only the count of nodes, which the second line has too, makes room for it."""
    fewer = tuple(cell for cell in line.left if not cell.text.endswith(NODES))
    forms = (Line(left, (SLOW, *line.right)) for left in (line.left, fewer))
    return next((form for form in forms if _fits(form, width)), line)


def _fits(line: Line, width: int) -> bool:
    return _length(line.left) + 1 + _length(line.right) <= width


def _forms(desk: Desk, manner: Manner) -> Iterator[Line]:
    """From the fullest to the barest: the grave states are the last to lose their words."""
    model = desk.model
    mode, short = _mode(desk)
    time = Cell(f"  {_now(desk)}")
    words, signs = _counts(desk, manner)
    brand, nodes = (
        Cell(f"heliograph {clean(desk.title)}".strip() + " ", "brand"),
        Cell(f"   {len(model.views)}{NODES}", "dim"),
    )
    oldest, unacked = _oldest(model), _unacked(desk)
    yield Line((brand, *words, nodes, oldest), (*mode, *unacked, time))
    yield Line((brand, *words, oldest), (*mode, *unacked, time))
    yield Line((*words, oldest), (*mode, *unacked, time))
    yield Line((*words,), (*mode, *unacked, time))
    yield Line((*words,), (*mode, time))
    for worst in range(len(words), -1, -1):
        yield Line((*words[:worst], *signs[worst:]), short)
    yield Line((*signs,))


def _now(desk: Desk) -> str:
    """Of a recording with its day: it may be any."""
    now = to_text(desk.model.clock.utc_us())
    return f"{now[:10]} {now[11:19]}Z" if isinstance(desk.source, Replay) else f"{now[11:19]}Z"


def _unacked(desk: Desk) -> tuple[Cell, ...]:
    return (Cell(f"  {desk.alerts.unacked} unacked", "key"),) if desk.alerts.unacked else ()


def _mode(desk: Desk) -> tuple[tuple[Cell, ...], tuple[Cell, ...]]:
    """What may be done here, and whether it is written down: in full, and for narrow screens."""
    if isinstance(desk.source, Replay):
        played = f"REPLAY {_played(desk.source)}"
        return (Cell(played, "armed"),), (Cell(played.partition(",")[0], "armed"),)
    tape = _tape(desk.recorder)
    left_s = int(desk.armed.left_s)
    if not left_s:
        return (*tape, Cell("READ-ONLY", "mode")), (*tape, Cell("RO", "mode"))
    left = Cell(f"ARMED {left_s // MINUTE_S:02d}:{left_s % MINUTE_S:02d}", "armed")
    return (*tape, left), (*tape, left)


def _tape(recorder: Recorder | None) -> tuple[Cell, ...]:
    if recorder is None:
        return ()
    return Cell("REC STOPPED" if recorder.stopped else "REC", "armed"), Cell(" ")


def _played(tape: Replay) -> str:
    """How far, how fast, and whether it goes on."""
    whole_us = max(1, tape.end_us - tape.begin_us)
    done = f"{max(0, 100 * (tape.now_us - tape.begin_us) // whole_us)}%"
    how = "paused" if tape.paused else "ended" if tape.ended else f"{tape.speed:g}x"
    return f"{done} {how}" if not tape.paused or tape.speed == 1 else f"{done} {how}, {tape.speed:g}x"


def _length(cells: Sequence[Cell]) -> int:
    return sum(cell_len(cell.text) for cell in cells)


def _counts(desk: Desk, manner: Manner) -> tuple[list[Cell], list[Cell]]:
    """By state, with its word and without."""
    words, signs = [], []
    for word, count in desk.tally.counts().items():
        sign = LOOKS[word].ascii if manner.ascii else LOOKS[word].glyph
        words.append(Cell(f" {sign} {count} {word} ", word))
        signs.append(Cell(f" {sign}{count}", word))
    return words, signs


def _oldest(model: FleetModel) -> Cell:
    oldest = oldest_s(model)
    return Cell("   some not heard yet" if oldest is None else f"   oldest {ago(oldest)}", "dim")


@dataclass(frozen=True, slots=True)
class Crumb:
    """What the second line says: where one is, and what is shown of how much; `facts`: what there is in all."""

    path: tuple[str, ...] = ()
    filter: str = ""
    error: str = ""
    facts: str = ""
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
    said = answer or crumb.error
    if said:
        cells.append(Cell(f"   {said}", "crit"))
    elif notice:
        cells.append(Cell(f"   {notice}", "dim"))
    rights = [*_rights(crumb), ()]
    for right in rights:
        if _length((*cells, *right)) + bool(right) <= width:
            return Line(tuple(cells), right)
    room, barest = width - 1 - _length(rights[-2]), rights[-2]
    if room - _length(cells[:-1]) < LEAST_SAID:
        room, barest = width, ()
    return Line(shortened(cells, room), barest)


def _rights(crumb: Crumb) -> Iterator[tuple[Cell, ...]]:
    """From the fullest to the barest."""
    count = [] if crumb.shown is None else [Cell(f"{crumb.shown}/{crumb.total}", "dim")]
    marked = [Cell(f"   {crumb.marked} marked", "key")] if crumb.marked else []
    held = [Cell("held   ", "key")] if crumb.held else []
    order = [Cell(f"{crumb.order}   ", "dim")] if crumb.order else []
    view = [Cell(f"view {crumb.view}   ", "dim")] if crumb.view else []
    facts = [Cell(f"{crumb.facts}   ")] if crumb.facts else []
    yield (*held, *facts, *order, *view, *count, *marked)
    yield (*held, *facts, *order, *count, *marked)
    yield (*held, *facts, *count, *marked)
    yield (*held, *count, *marked)


def footline(known: Iterable[Action], resolver: Resolver, width: int, *, ascii_only: bool) -> Line:
    """The keys worth knowing here; after the first of two keys, what the second may be."""
    if resolver.pending:
        hints = [(after, action.id.replace("_", " ")) for after, action in resolver.after_pending()]
        cells = [Cell(f"{resolver.pending}… ", "key")]
    else:
        hints = [(shown_keys(action, ascii_only=ascii_only).split()[0], action.foot) for action in known if action.foot]
        hints.append((":q", "quit"))
        cells = []
    last = _hint(*hints.pop(next((at for at, hint in enumerate(hints) if hint[1] == HELP), -1)))
    for hint in hints:
        if _length((*cells, *_hint(*hint), *last)) <= width + GAP:
            cells += _hint(*hint)
    return Line((*cells, *last))


def _hint(key: str, word: str) -> tuple[Cell, ...]:
    return Cell(f"{key} ", "key"), Cell(word + " " * GAP, "dim")
