"""The columns of the fleet as one table: what a cell says, how wide it may be, and when it makes room."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from console.fleet.text import ago, clean
from console.fleet.view import (
    LOOKS,
    OLD_WORDS,
    FleetModel,
    NodeView,
    Word,
    cause,
    counts_today,
    dead_jobs,
    disk_used_pct,
    last_good_age_s,
    lowest_quality,
    open_jobs,
    unsent,
    worst_camera,
)

UNKNOWN, UNKNOWN_ASCII = "·", "."
SPARKS, SPARKS_ASCII = "▁▁▂▃▃▄▅▆▆▇", "0123456789"
FULL, EMPTY, FULL_ASCII, EMPTY_ASCII = "█", "░", "#", "-"
BAR_CELLS = 4
HIGHEST_SCORE = 100
LOW_QUALITY = 50
DISK_STYLES = {"ok": "plain", "warn": "warn", "crit": "crit"}


@dataclass(frozen=True, slots=True)
class Cell:
    """Text and the name of its style (one of the palette's)."""

    text: str
    style: str = "plain"


@dataclass(frozen=True, slots=True)
class Row:
    """What every cell of a row is made from."""

    view: NodeView
    word: Word
    now_s: float
    ascii: bool = False

    @property
    def old(self) -> bool:
        return self.word in OLD_WORDS

    @property
    def unknown(self) -> str:
        return UNKNOWN_ASCII if self.ascii else UNKNOWN


@dataclass(frozen=True, slots=True)
class Column:
    """`low`..`high` are cells on the screen; of the columns that do not fit, the highest `drop` goes first; 0 never.

    A `tail` column that is cut keeps its end: the newest.
    """

    key: str
    title: str
    low: int
    high: int
    drop: int
    cell: Callable[[Row], Cell]
    right: bool = False
    tail: bool = False


def row_of(model: FleetModel, name: str, *, ascii_only: bool = False) -> Row:
    return Row(model.views[name], model.word(name), model.clock.monotonic(), ascii_only)


def spark(digits: str, *, ascii_only: bool = False) -> str:
    """A day of quality, one character an hour: higher is better, a dot where no frame was judged."""
    levels, none = (SPARKS_ASCII, UNKNOWN_ASCII) if ascii_only else (SPARKS, UNKNOWN)
    return "".join(levels[int(digit)] if digit in SPARKS_ASCII else none for digit in digits[-24:])


def _dated(row: Row, text: str, style: str = "plain") -> Cell:
    """A value as the node said it, or, when that is long ago, with a question mark and dim."""
    if not text:
        return Cell(row.unknown, "dim")
    return Cell(f"{text}?", "dim") if row.old else Cell(text, style)


def _state(row: Row) -> Cell:
    look = LOOKS[row.word]
    return Cell(f"{look.ascii if row.ascii else look.glyph} {row.word}", row.word)


def _node(row: Row) -> Cell:
    return Cell(row.view.host.name, "dim" if row.old else "name")


def _last(row: Row) -> Cell:
    if row.view.status is not None and worst_camera(row.view.status) is None:
        return Cell("no cam", "dim")
    return _dated(row, ago(last_good_age_s(row.view, row.now_s)))


def _today(row: Row) -> Cell:
    if row.view.status is None:
        return _dated(row, "")
    due, captured, gaps = counts_today(row.view.status)
    return _dated(row, f"{captured}/{due}", "warn" if gaps else "plain")


def _quality(row: Row) -> Cell:
    quality = lowest_quality(row.view.status) if row.view.status is not None else None
    if quality is None or not 0 <= quality <= HIGHEST_SCORE:
        return _dated(row, "")
    return _dated(row, str(quality), "warn" if quality < LOW_QUALITY else "plain")


def _spark(row: Row) -> Cell:
    camera = worst_camera(row.view.status) if row.view.status is not None else None
    text = spark(camera.quality_24h if camera is not None else "", ascii_only=row.ascii)
    return Cell(text, "dim" if row.old else "spark")


def _disk(row: Row) -> Cell:
    status = row.view.status
    used = disk_used_pct(status) if status is not None else None
    if status is None or status.disk is None or used is None or not 0 <= used <= HIGHEST_SCORE:
        return _dated(row, "")
    filled = round(BAR_CELLS * used / HIGHEST_SCORE)
    full, empty = (FULL_ASCII, EMPTY_ASCII) if row.ascii else (FULL, EMPTY)
    bar = full * filled + empty * (BAR_CELLS - filled)
    return _dated(row, f"{bar} {int(used):2d}%", DISK_STYLES[status.disk.level])


def _jobs(row: Row) -> Cell:
    """What is due or runs, and after it, with an x, what has failed for good."""
    count = open_jobs(row.view.status) if row.view.status is not None else None
    dead = dead_jobs(row.view.status) if row.view.status is not None else None
    if count is None:
        return _dated(row, "")
    return _dated(row, f"{count} {dead}x", "warn") if dead else _dated(row, str(count))


def _unsent(row: Row) -> Cell:
    """Over all targets; an exclamation mark where one of them fails."""
    if row.view.status is None:
        return _dated(row, "")
    count = unsent(row.view.status)
    if count is None:
        return Cell("no arch", "dim")
    fails = any(target.breaker != "closed" for target in row.view.status.archive)
    return _dated(row, f"{count}!", "warn") if fails else _dated(row, str(count))


def _site(row: Row) -> Cell:
    return Cell(clean(row.view.status.site) if row.view.status is not None else "", "dim" if row.old else "plain")


def _seen(row: Row) -> Cell:
    if row.view.heard_s is None:
        return Cell(row.unknown, "dim")
    return Cell(ago(row.view.silence_s(row.now_s)), "dim")


def _cause(row: Row) -> Cell:
    return Cell(clean(cause(row.view, row.word, row.now_s)))


COLUMNS: tuple[Column, ...] = (
    Column("state", "STATE", 13, 13, 0, _state),
    Column("node", "NODE", 8, 28, 0, _node),
    Column("site", "SITE", 8, 16, 10, _site),
    Column("seen", "SEEN", 5, 5, 11, _seen, right=True),
    Column("last", "LAST", 6, 6, 1, _last, right=True),
    Column("today", "TODAY", 9, 12, 3, _today, right=True),
    Column("quality", "QUAL", 4, 4, 4, _quality, right=True),
    Column("spark", "24H", 12, 24, 7, _spark, tail=True),
    Column("disk", "DISK", 9, 9, 5, _disk),
    Column("jobs", "JOBS", 6, 6, 8, _jobs, right=True),
    Column("unsent", "UNSENT", 7, 7, 9, _unsent, right=True),
    Column("cause", "CAUSE", 20, 400, 2, _cause),
)
GROWTH = (("node", 28), ("cause", 34), ("site", 16), ("spark", 24), ("today", 12), ("cause", 400))
"""Who gets the room that is left, in this order, up to how many cells."""
MEANINGS: Mapping[str, str] = {
    "state": "the node's state, worst first",
    "node": "its name in the inventory",
    "site": "where it stands",
    "seen": "how long ago it answered",
    "last": "age of the worst camera's last good frame",
    "today": "captured of the slots due on the site's day",
    "quality": "worst camera's quality now, 100 = perfect",
    "spark": "its quality over 24 hours, one sign an hour",
    "disk": "data disk in use",
    "jobs": "jobs due or running; 2x = two are dead",
    "unsent": "unsent to the archive; ! = a target fails",
    "cause": "why it is so; 2/3 ok = cameras that are well",
}


def layout(width: int, longest_name: int) -> tuple[tuple[Column, int], ...]:
    """The columns that fit into so many cells, each with its width; one cell lies between two of them."""
    kept = list(COLUMNS)
    while _needed(kept) > width and any(column.drop for column in kept):
        kept.remove(max(kept, key=lambda column: column.drop))
    widths = {column.key: column.low for column in kept}
    limits = {column.key: column.high for column in kept} | {"node": max(8, min(28, longest_name))}
    spare = width - _needed(kept)
    for key, upto in GROWTH:
        if key in widths and spare > 0:
            more = max(0, min(spare, min(upto, limits[key]) - widths[key]))
            widths[key] += more
            spare -= more
    if spare < 0:
        widths["node"] = max(1, widths["node"] + spare)
    return tuple((column, widths[column.key]) for column in kept)


def _needed(columns: Sequence[Column]) -> int:
    return sum(column.low for column in columns) + len(columns) - 1


def is_utf8(encoding: str | None) -> bool:
    """Whether signs beyond ASCII may be shown there."""
    return (encoding or "").lower().replace("-", "") == "utf8"


def plain(model: FleetModel, names: Sequence[str], *, ascii_only: bool = False) -> list[str]:
    """The whole table as lines of text, as wide as they need to be."""
    table = [[column.title for column in COLUMNS]]
    table += [[column.cell(row_of(model, name, ascii_only=ascii_only)).text for column in COLUMNS] for name in names]
    widths = [max(len(line[index]) for line in table) for index in range(len(COLUMNS))]
    return ["  ".join(_padded(*one) for one in zip(COLUMNS, line, widths, strict=True)).rstrip() for line in table]


def _padded(column: Column, text: str, width: int) -> str:
    return text.rjust(width) if column.right else text.ljust(width)
