"""Rows that say who has the database open: a life that ended without taking its row away has ended unclean.

The owner's row alone tells of a crash of the service.  A row of a process that joined tells of a power cut: a crash of
that process, in the same boot, harms no database.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from node.clock import boot_id
from node.store.session import Session

OWNER, JOINED, SUSPECT = "open", "open-", "suspect"
_NUMBERS = itertools.count(1)
_PUT = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


def joined_name() -> str:
    """A row's key for one more database that this process joins."""
    return f"{JOINED}{os.getpid()}-{next(_NUMBERS)}"


def read(session: Session) -> dict[str, str]:
    """The rows: each one's key, and the boot in which it was made."""
    keys = f"key IN ('{OWNER}', '{SUSPECT}') OR key GLOB '{JOINED}*'"
    return dict(session.rows(f"SELECT key, value FROM meta WHERE {keys}"))  # noqa: S608 - words of our own


def ended_clean(found: dict[str, str], *, logged: bool) -> bool:
    """Whether nothing has to be checked; `logged`: a write-ahead log lay there.

    A log that nobody's row explains was left by a release that makes no rows, or by a process that could make none.
    """
    if OWNER in found or SUSPECT in found:
        return False
    return all(boot == boot_id() for boot in found.values()) and (not logged or bool(found))


def own(session: Session, found: dict[str, str]) -> None:
    """The owner's row, in place of those that nobody will take away any more."""
    gone = [(key,) for key, boot in found.items() if boot != boot_id() or not _lives(key)]
    session.execute("BEGIN IMMEDIATE")
    try:
        session.many("DELETE FROM meta WHERE key = ?", gone)
        put(session, OWNER)
        session.execute("COMMIT")
    finally:
        session.rollback()


def put(session: Session, key: str) -> None:
    """One row; SUSPECT wants a full check at the owner's next start."""
    session.execute(_PUT, (key, boot_id()))


def take_away(session: Session, key: str) -> None:
    """At a clean end."""
    session.execute("DELETE FROM meta WHERE key = ?", (key,))


def forget_joined(session: Session) -> None:
    """In a copy nobody has joined."""
    session.execute(f"DELETE FROM meta WHERE key GLOB '{JOINED}*'")  # noqa: S608 - a word of our own


def _lives(key: str) -> bool:
    pid = key.removeprefix(JOINED).partition("-")[0]
    return Path("/proc", pid).exists()
