"""The columns of a list of events."""

from __future__ import annotations

from dataclasses import dataclass

from console.columns.table import Cell, Column, Manner, Table, said
from console.fleet.event_rows import EVENTS, EventLine
from console.fleet.text import clean

LEVEL_CHARS = 8


@dataclass(frozen=True, slots=True)
class LevelLook:
    """How a level is shown without any colour, and the palette's name of its style."""

    glyph: str
    ascii: str
    style: str


LEVEL_LOOKS = {
    "error": LevelLook("✖", "X", "crit"),
    "warning": LevelLook("▲", "!", "warn"),
    "info": LevelLook("○", "i", "plain"),
    "debug": LevelLook("◦", ".", "dim"),
}
OTHER = LevelLook("?", "?", "dim")
"""A later release may know more levels."""


def _time(row: EventLine, manner: Manner) -> Cell:
    return Cell(manner.time(row.event.at, row.zone) or manner.unknown, "dim")


def _level(row: EventLine, manner: Manner) -> Cell:
    look = LEVEL_LOOKS.get(row.event.level, OTHER)
    return Cell(f"{look.ascii if manner.ascii else look.glyph} {clean(row.event.level)[:LEVEL_CHARS]}", look.style)


def _node(row: EventLine, _manner: Manner) -> Cell:
    return Cell(row.node, "name")


def _site(row: EventLine, _manner: Manner) -> Cell:
    return said(row.site)


def _kind(row: EventLine, _manner: Manner) -> Cell:
    return Cell(row.kind, "dim")


def _words(row: EventLine, _manner: Manner) -> Cell:
    return Cell(row.words)


EVENT_TABLE: Table[EventLine] = Table(
    kind=EVENTS,
    columns=(
        Column("time", "TIME", 12, 12, 0, _time, "when, by the node's clock; t changes how it is shown", right=True),
        Column("level", "LEVEL", 9, 10, 0, _level, "how grave it is"),
        Column("node", "NODE", 8, 28, 0, _node, "who told it"),
        Column("site", "SITE", 12, 16, 3, _site, "where that stands"),
        Column("kind", "KIND", 12, 18, 2, _kind, "which event it is"),
        Column("words", "WHAT HAPPENED", 40, 400, 0, _words, "in a few words"),
    ),
    growth=(("kind", 18), ("words", 60), ("site", 16), ("words", 400)),
    name="node",
)
