"""Another file in the database's place: made and brought up to date beside it, the old one put aside, never deleted."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from node.crashpoint import crash_point
from node.domain.errors import DatabaseDamaged
from node.domain.times import to_datetime
from node.host import disk
from node.host.files import sync
from node.store import marks
from node.store.backup import STAMP, bytes_of, newest_sound
from node.store.database import NAME, Database, Observe, ignore
from node.store.files import day_folders, room_for
from node.store.schema import BACKUPS
from node.store.session import Session
from node.store.sharing import LEAVE_S, alone

SCRATCH, UNPACKED = "restoring", "unpacked"
"""What a crash leaves in them goes at the next start; of another node's keys, too."""
_LOG = logging.getLogger(__name__)
_SIDES = ("", "-wal", "-shm")
_KEY = "restored"
_MARGIN_BYTES = 1 << 20
_VOID = """
UPDATE jobs SET state = 'queued', attempt = MAX(0, attempt - 1), owner = '', lease_boot = '', lease_until_ms = 0,
    started_us = NULL, progress = 0, said = '' WHERE state = 'leased'
"""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a database replaced (`aside`, empty = nothing was there) and was made from (`backup`, empty = nothing)."""

    aside: str
    backup: str


def open_sound(data_dir: Path, now_us: int, observe: Observe = ignore, *, check: bool = False) -> Database:
    """The database, for its owner; one that is damaged or gone is first replaced by the newest backup that verifies.

    Without any such backup by a new one.  Then `restored_from` says so, and frames are still to be looked for.  With
    `check` it is checked also after a clean end.  Raises DatabaseBusy where another process does not let go of it,
    SchemaNewer, DiskFull, DiskReadOnly.
    """
    path = data_dir / NAME
    for left in (SCRATCH, UNPACKED):
        shutil.rmtree(data_dir / left, ignore_errors=True)
    if path.exists() and path.stat().st_size:
        try:
            return _checked(Database(path, observe), wanted=check)
        except DatabaseDamaged as error:
            why = str(error)
    else:
        why = "it is not there"
    backup = newest_sound(data_dir / BACKUPS, now_us)
    with alone(data_dir, LEAVE_S):
        if path.exists() or backup is not None or any(day_folders(data_dir)):  # else it is the first start
            aside = f"{NAME}.damaged-{to_datetime(now_us).strftime(STAMP)}"
            restored = replace(data_dir, backup.path if backup else None, aside)
            _LOG.error("database is restored", extra={"error": why, **asdict(restored)})
        return Database(path, observe)


def replace(data_dir: Path, backup: Path | None, aside: str, says: str = "") -> Restored:
    """Puts a copy of the backup, or a new database, in the place of what is there; that lies under `aside` then.

    `says` is the backup's name where the file has another.  Nobody may have the database open.  A crash leaves the old
    file, or none, or the new one.  Raises DiskFull before anything is changed, DatabaseDamaged, DiskReadOnly.
    """
    path, scratch = data_dir / NAME, data_dir / SCRATCH
    there = any(path.with_name(NAME + side).exists() for side in _SIDES)
    restored = Restored(_free_name(data_dir, aside) if there else "", says or (backup.name if backup else ""))
    if backup is not None:
        room_for(data_dir, bytes_of(backup) + _MARGIN_BYTES)
    with disk.failures_named(scratch):
        fresh = _prepared(scratch, backup, restored)
        crash_point("restore_made")
        for side in _SIDES:  # the file before its log: one that is damaged must not be taken for whole without it
            if path.with_name(NAME + side).exists():
                path.with_name(NAME + side).rename(data_dir / (restored.aside + side))
        sync(data_dir)
        crash_point("restore_aside")
        fresh.rename(path)
        sync(data_dir)
        crash_point("restore_placed")
        shutil.rmtree(scratch)
    return restored


def restored_from(session: Session) -> Restored | None:
    """What is still to be told, and whose frames are still to be looked for; None where nothing is."""
    row = session.one("SELECT value FROM meta WHERE key = ?", (_KEY,))
    return None if row is None else Restored(**json.loads(row[0]))


def told(session: Session) -> None:
    """The frames have been looked for."""
    session.execute("DELETE FROM meta WHERE key = ?", (_KEY,))


def _checked(database: Database, *, wanted: bool) -> Database:
    try:
        if wanted:
            database.check()
    except BaseException:
        database.close()
        raise
    return database


def _prepared(scratch: Path, backup: Path | None, restored: Restored) -> Path:
    """A database of this release's schema, closed and synced, that says what it is."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    fresh = scratch / NAME
    if backup is not None:
        shutil.copyfile(backup, fresh)
    database = Database(fresh)
    try:
        database.write(_begins_anew(restored))
    finally:
        database.close()
    sync(fresh)
    return fresh


def _begins_anew(restored: Restored) -> Callable[[Session], object]:
    """Leases of the backup's time bind nobody, and are not counted as attempts."""

    def work(session: Session) -> None:
        session.execute(_VOID)
        marks.forget_joined(session)
        session.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (_KEY, json.dumps(asdict(restored))))

    return work


def _free_name(data_dir: Path, wanted: str) -> str:
    taken = (f"{wanted}-{number}" for number in range(2, 1000))
    return next(name for name in (wanted, *taken) if not (data_dir / name).exists())
