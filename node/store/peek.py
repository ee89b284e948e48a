"""A look into the database beside a service that may be running: nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import peewee

from node.store.faults import named
from node.store.session import Session

Seen = TypeVar("Seen")
PEEK_S = 2.0


def peeked(path: Path, look: Callable[[Session], Seen]) -> Seen | None:
    """What `look` finds on a read-only connection; None where there is no database yet.

    Raises DatabaseDamaged, DatabaseBusy, and what `look` raises.
    """
    if not path.exists():
        return None
    db = peewee.SqliteDatabase(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=PEEK_S)
    with named():
        db.connect()
        try:
            return look(Session(db))
        finally:
            db.close()
