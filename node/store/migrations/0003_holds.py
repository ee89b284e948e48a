"""Cameras whose capture is held.  Only adds: the release before still starts on it, and captures all the same."""

from __future__ import annotations

from typing import Any

STATEMENTS = """
CREATE TABLE holds (
    id INTEGER PRIMARY KEY,
    camera TEXT NOT NULL,
    from_us INTEGER NOT NULL,
    until_us INTEGER,
    reason TEXT NOT NULL,
    who TEXT NOT NULL,
    ended_us INTEGER
) STRICT;
CREATE UNIQUE INDEX holds_one_open ON holds (camera) WHERE ended_us IS NULL
"""


def up(_migrator: Any, db: Any) -> None:  # noqa: ANN401 - the runner's types are untyped
    for statement in filter(str.strip, STATEMENTS.split(";")):
        db.execute_sql(statement)
