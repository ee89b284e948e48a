"""Which cameras are held, since when and why: at most one open row a camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from node.domain.hold import CameraHold
from node.store.database import Database
from node.store.query import select
from node.store.session import Session

_NAMES = ", ".join(field.name for field in fields(CameraHold))
_INSERT = "INSERT INTO holds (camera, from_us, until_us, reason, who) VALUES (?, ?, ?, ?, ?)"
# a clock that was set back: it is held since now at the latest
_CHANGE = "UPDATE holds SET from_us = MIN(from_us, ?), until_us = ?, reason = ?, who = ? WHERE id = ?"
_OPEN = select(_NAMES, "holds WHERE camera = ? AND ended_us IS NULL")
_OF_CAMERA = select(_NAMES, "holds WHERE camera = ? ORDER BY id")
_ONE = select(_NAMES, "holds WHERE id = ?")
_EVERY = select(_NAMES, "holds ORDER BY id")
_FORGET = "DELETE FROM holds WHERE ended_us < ? AND id NOT IN (SELECT MAX(id) FROM holds GROUP BY camera)"


def find_open(session: Session, camera: str) -> CameraHold | None:
    """The hold of that camera that nobody has ended; its time may be over."""
    row = session.one(_OPEN, (camera,))
    return None if row is None else _hold(row)


def begin(session: Session, hold: CameraHold) -> CameraHold:
    """A new one; its id is given here."""
    values = (hold.camera, hold.from_us, hold.until_us, hold.reason, hold.who)
    return _read(session, session.execute(_INSERT, values).lastrowid)


def change(session: Session, hold: CameraHold, wanted: CameraHold) -> CameraHold:
    """Another end and reason; held it stays since it was."""
    session.execute(_CHANGE, (wanted.from_us, wanted.until_us, wanted.reason, wanted.who, hold.id))
    return _read(session, hold.id)


def end(session: Session, hold: CameraHold, ended_us: int) -> None:
    """It is over."""
    session.execute("UPDATE holds SET ended_us = ? WHERE id = ?", (ended_us, hold.id))


def forget(session: Session, before_us: int) -> int:
    """Drops those that ended before then, but for each camera's newest; how many went."""
    gone: int = session.execute(_FORGET, (before_us,)).rowcount
    return gone


def of_camera(session: Session, camera: str) -> tuple[CameraHold, ...]:
    """That camera's, oldest first."""
    return tuple(_hold(row) for row in session.rows(_OF_CAMERA, (camera,)))


def every(database: Database) -> list[CameraHold]:
    """Oldest first.  Raises DatabaseBusy and DatabaseDamaged."""
    return [_hold(row) for row in database.read(lambda session: session.rows(_EVERY))]


def _read(session: Session, identity: object) -> CameraHold:
    return _hold(session.rows(_ONE, (identity,))[0])


def _hold(row: Sequence[Any]) -> CameraHold:
    return CameraHold(*row)
