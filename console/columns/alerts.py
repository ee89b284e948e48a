"""The columns of a list of alerts in groups."""

from __future__ import annotations

from dataclasses import replace

from console.columns.table import Cell, Column, Manner, Table, said
from console.fleet.alert_rows import ALERTS, GroupLine, left
from console.fleet.alerts import By
from console.fleet.text import ago, clean
from console.fleet.times import Times, shown
from console.fleet.view import LOOKS, Word
from node.wire.times import to_text

BETWEEN = " · "
WORDS = {"crit": Word.CRIT, "warn": Word.WARN}


def _severity(row: GroupLine, manner: Manner) -> Cell:
    word = WORDS[row.group.severity]
    look = LOOKS[word]
    style = "dim" if row.stale else "plain" if row.group.acked is not None else word
    return Cell(f"{look.ascii if manner.ascii else look.glyph} {word}", style)


def _value(row: GroupLine, _manner: Manner) -> Cell:
    return said(row.value, "dim" if row.stale else "name")


def _nodes(row: GroupLine, _manner: Manner) -> Cell:
    return Cell(str(len(row.group.nodes)))


def _first(row: GroupLine, manner: Manner) -> Cell:
    """Of the day, always in UTC: how long ago it is stands beside it."""
    return Cell(shown(to_text(row.group.first_us), Times.UTC, manner.now_us) or manner.unknown, "dim")


def _for(row: GroupLine, _manner: Manner) -> Cell:
    return Cell(f"{ago(row.for_s)}?", "dim") if row.stale else Cell(ago(row.for_s))


def _ack(row: GroupLine, manner: Manner) -> Cell:
    """Who knows of all of them and how long still; else how many are known."""
    ack = row.group.acked
    if ack is not None:
        return Cell(f"{clean(ack.by)}, {left(ack, row.now_us)}")
    return Cell(f"{row.acked} of {len(row.group.rows)}") if row.acked else Cell(manner.unknown, "dim")


def _note(row: GroupLine, manner: Manner) -> Cell:
    """What they share; where that is nothing, why it was acknowledged."""
    ack = row.group.acked
    return said(noted(row.note or (ack.reason if ack is not None else ""), manner))


def noted(note: str, manner: Manner) -> str:
    """Without the point between its parts where that is no ASCII."""
    return note.replace(BETWEEN, ", ") if manner.ascii else note


ALERT_TABLE: Table[GroupLine] = Table(
    kind=ALERTS,
    columns=(
        Column("severity", "STATE", 6, 6, 0, _severity, "how grave, worst first"),
        Column("cause", "CAUSE", 10, 40, 0, _value, "what fires; o groups by node or site instead"),
        Column("nodes", "NODES", 5, 5, 1, _nodes, "on how many nodes", right=True),
        Column("first", "FIRST", 9, 12, 5, _first, "since when the first of them, in UTC", right=True, snug=True),
        Column("for", "FOR", 5, 5, 2, _for, "for how long; ? = as last heard", right=True),
        Column("ack", "ACK", 4, 22, 3, _ack, "who knows of it, and how long that holds still", snug=True),
        Column("note", "NOTE", 18, 400, 4, _note, "what these nodes share and others do not, or the sentence"),
    ),
    growth=(("note", 400),),
    name="cause",
    eager="note",
)


def table_of(by: By) -> Table[GroupLine]:
    """Its second column is named after what the alerts are grouped by."""
    columns = tuple(
        replace(column, title=by.upper()) if column.key == ALERT_TABLE.name else column
        for column in ALERT_TABLE.columns
    )
    return replace(ALERT_TABLE, columns=columns)
