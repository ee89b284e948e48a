"""Copies of the database: made beside whoever writes, verified by opening them, so many kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import peewee

from node.crashpoint import crash_point
from node.domain.errors import BackupUnusable, DatabaseBusy, DatabaseDamaged, DiskError
from node.domain.times import to_datetime, to_us
from node.host import disk
from node.host.files import TMP, sync
from node.store.faults import SQLITE_ERRORS, named
from node.store.files import room_for
from node.store.schema import APPLICATION_ID, BACKUPS, SCHEMA
from node.store.session import Session

STAMP = "%Y%m%dT%H%M%SZ"
_PREFIX, _SUFFIX = "heliograph-", ".db"
_BEFORE_STEP = "heliograph-schema-*.db"
_MADE = "heliograph-[0-9]*T[0-9]*Z.db"
_OPERATIONS = 20_000  # of SQLite's machine, between two steps: about 2 ms on a desk, 20 ms on a small Pi
_BUSY_S = 2.0
_MOST_FINDINGS = 20

Step = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Backup:
    """A whole database in a file of its own; `frames` rows are in it."""

    path: Path
    size_bytes: int
    frames: int


def copy(source: Path, target: Path, step: Step) -> Backup:
    """A verified copy of the database under `target`, which may not be there yet; nothing is left where it fails.

    Reads one moment of it on a connection of its own: nobody's write waits.  `step` is called on the way and ends it
    by raising.  Raises what it raises, BackupUnusable where the copy is not what it should be, DatabaseDamaged,
    DatabaseBusy, DiskFull, DiskReadOnly.
    """
    try:
        with _beside(source, step) as session:
            before = _frames(session)
            session.execute("VACUUM INTO ?", (str(target),))
            after = _frames(session)
        made = _complete(verified(target, step), before, after)
        sync(target)
    except BaseException:
        _drop(target)
        raise
    return made


def _complete(made: Backup, before: int, after: int) -> Backup:
    if not min(before, after) <= made.frames <= max(before, after):
        raise BackupUnusable(f"{made.path.name} holds {made.frames} frames of {after}")
    return made


def make(database: Path, now_us: int, step: Step, reserve_bytes: int = 0) -> Backup:
    """A new backup in the folder of backups, under its name only when it is whole.

    Raises as `copy`, and DiskFull before anything is written where the room does not suffice.
    """
    folder = database.parent / BACKUPS
    with disk.failures_named(folder):
        folder.mkdir(exist_ok=True)
        for left in folder.glob(f"{_PREFIX}*{_SUFFIX}{TMP}*"):
            left.unlink()
    room_for(folder, bytes_of(database), reserve_bytes)
    target = folder / name_at(now_us)
    unfinished = target.with_name(target.name + TMP)
    made = copy(database, unfinished, step)
    crash_point("backup_written")
    with disk.failures_named(target):
        unfinished.rename(target)
        sync(folder)
    crash_point("backup_named")
    return Backup(target, made.size_bytes, made.frames)


def prune(folder: Path, keep: int, newest: Path, now_us: int) -> list[Path]:
    """Removes all but the `keep` newest and `newest` itself, whose stamp may be that of an unset clock."""
    gone = [path for path in by_age(folder, now_us)[keep:] if path != newest]
    for path in gone:
        path.unlink(missing_ok=True)
    return gone


def made_in(folder: Path) -> list[Path]:
    """The backups of a folder, newest first by their stamp."""
    return sorted(folder.glob(_MADE), reverse=True)


def by_age(folder: Path, now_us: int) -> list[Path]:
    """The same, but a stamp beyond now, that of a clock which was wrong, counts as older than any other."""
    now = name_at(now_us)
    return sorted(made_in(folder), key=lambda path: (path.name <= now, path.name), reverse=True)


def name_at(moment_us: int) -> str:
    """What a backup made then is called; the names' order is that of time."""
    return f"{_PREFIX}{to_datetime(moment_us).strftime(STAMP)}{_SUFFIX}"


def at_us(backup: Path) -> int:
    """When a backup was made, in whole seconds."""
    stamp = backup.name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    return to_us(datetime.strptime(stamp, STAMP).replace(tzinfo=UTC))


def newest_sound(folder: Path, now_us: int) -> Backup | None:
    """The newest backup that verifies; where none does, a copy made before a migration."""
    for path in (*by_age(folder, now_us), *sorted(folder.glob(_BEFORE_STEP), reverse=True)):
        try:
            return verified(path)
        except (BackupUnusable, DiskError):
            continue
    return None


def verified(path: Path, step: Step = bool) -> Backup:
    """What a file holds that is a whole database of ours, of no newer schema.  Raises BackupUnusable."""
    try:
        with _opened(f"{path.absolute().as_uri()}?mode=ro&immutable=1", step) as session:
            owner, version = int(session.pragma("application_id")), int(session.pragma("user_version"))
            if owner != APPLICATION_ID or not 0 < version <= SCHEMA:
                raise BackupUnusable(f"{path.name} is no database of ours that this release knows")
            found = session.pragma("quick_check(1)")
            if found != "ok":
                raise BackupUnusable(f"{path.name}: {found}")
            return Backup(path, path.stat().st_size, _frames(session))
    except (*SQLITE_ERRORS, OSError, DatabaseDamaged, DatabaseBusy, DiskError) as error:
        raise BackupUnusable(f"{path.name}: {error}") from error


def faults_in(database: Path, step: Step) -> list[str]:
    """What SQLite's full check of file and foreign keys finds, at most twenty sentences; empty = sound."""
    with _beside(database, step) as session:
        found = [str(text) for (text,) in session.rows(f"PRAGMA integrity_check({_MOST_FINDINGS})") if text != "ok"]
        lost = session.rows("PRAGMA foreign_key_check")
    return [*found, *(f"{table}: row {row} of {parent} is not there" for table, row, parent, _ in lost)][
        :_MOST_FINDINGS
    ]


def bytes_of(database: Path) -> int:
    """The file's size with its log's."""
    sides = (database, database.with_name(database.name + "-wal"))
    return sum(path.stat().st_size for path in sides if path.exists())


@contextmanager
def _beside(database: Path, step: Step) -> Iterator[Session]:
    with named(), _opened(f"{database.absolute().as_uri()}?mode=ro", step) as session:
        yield session


@contextmanager
def _opened(uri: str, step: Step) -> Iterator[Session]:
    """A connection of its own; what `step` raised in the middle of a statement is raised in its place."""
    raised: list[BaseException] = []

    def interrupts() -> bool:
        try:
            step()
        except BaseException as error:  # noqa: BLE001 - it ends the statement and is raised again below
            raised.append(error)
        return bool(raised)

    db = peewee.SqliteDatabase(uri, uri=True, timeout=_BUSY_S)
    db.connect()
    try:
        session = Session(db)
        session.watch(interrupts, _OPERATIONS)
        yield session
    except SQLITE_ERRORS:
        if raised:
            raise raised[0] from None
        raise
    finally:
        db.close()


def _frames(session: Session) -> int:
    row = session.one("SELECT COUNT(*) FROM frames")
    return int(row[0]) if row else 0


def _drop(path: Path) -> None:
    for left in (path, path.with_name(path.name + "-journal")):
        left.unlink(missing_ok=True)
