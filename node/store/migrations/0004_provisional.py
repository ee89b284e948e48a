"""Documents that run provisionally.  Only adds: the release before still starts on it, and calls them on probation."""

from __future__ import annotations

from typing import Any

STATEMENTS = """
ALTER TABLE activations ADD COLUMN provisional_us INTEGER;
ALTER TABLE activations ADD COLUMN unproved TEXT NOT NULL DEFAULT '{}'
"""


def up(_migrator: Any, db: Any) -> None:  # noqa: ANN401 - the runner's types are untyped
    for statement in filter(str.strip, STATEMENTS.split(";")):
        db.execute_sql(statement)
