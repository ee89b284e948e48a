"""The columns of a node's running configuration."""

from __future__ import annotations

from console.columns.table import Cell, Column, Manner, Table
from console.fleet.document_rows import SETTINGS, Setting

STYLES = {"document": "name", "default": "plain", "unknown": "warn", "": "title"}
ORIGINS = {"document": "dim", "default": "dim", "unknown": "warn"}


def _number(row: Setting, _manner: Manner) -> Cell:
    return Cell(str(row.number + 1), "dim")


def _text(row: Setting, _manner: Manner) -> Cell:
    return Cell(row.text, STYLES.get(row.origin, "plain"))


def _origin(row: Setting, _manner: Manner) -> Cell:
    return Cell(row.origin, ORIGINS.get(row.origin, "dim"))


def _path(row: Setting, _manner: Manner) -> Cell:
    return Cell(row.path, "dim")


SETTING_TABLE: Table[Setting] = Table(
    kind=SETTINGS,
    columns=(
        Column("line", "LINE", 5, 5, 2, _number, "of the document as it is in force", right=True),
        Column("setting", "SETTING", 30, 400, 0, _text, "as YAML; bold where the document itself says so"),
        Column("origin", "ORIGIN", 8, 8, 0, _origin, "document = it says so; default = it does not"),
        Column("path", "PATH", 24, 60, 1, _path, "to filter by, and to name the field by"),
    ),
    growth=(("setting", 44), ("path", 40), ("setting", 400)),
    name="origin",
)
