"""Backups and full checks of the database: the jobs that make them, and when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from node.domain.config import Document
from node.domain.errors import BackupUnusable, DatabaseDamaged
from node.domain.events import BackupMade
from node.domain.job import NODE_KEY
from node.domain.times import US, to_datetime, to_us
from node.domain.trigger import Cursor
from node.entries import Entries
from node.store import cursors, jobs
from node.store.backup import Backup, by_age, faults_in, make, name_at, prune, verified
from node.store.database import Database
from node.store.jobs import Asked
from node.store.schema import BACKUPS
from node.store.session import Session
from node.work.task import Done, Handler, Task

_DAY_US = 86_400 * US
_NAMED = 3
_CURSORS = "rhythm/"


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Once a night at that hour of the site, or only in the night of one weekday, Monday = 0."""

    at: time
    weekday: int | None = None


RHYTHMS: Mapping[str, Rhythm] = {
    "upkeep": Rhythm(time(2, 40)),
    "backup": Rhythm(time(3, 10)),
    "integrity-check": Rhythm(time(3, 40), weekday=6),
    "reconcile": Rhythm(time(4, 10), weekday=6),
}


def due(rhythm: Rhythm, now_us: int, last_us: int, zone: ZoneInfo) -> bool:
    """Whether the hour has come since the last time; also where that lies so far ahead that the clock was wrong."""
    return last_us < _last_hour_us(rhythm, now_us, zone) or last_us > now_us + _DAY_US


def _last_hour_us(rhythm: Rhythm, now_us: int, zone: ZoneInfo) -> int:
    day = to_datetime(now_us).astimezone(zone).date()
    while True:
        hour_us = to_us(datetime.combine(day, rhythm.at, zone))
        if hour_us <= now_us and rhythm.weekday in (None, day.weekday()):
            return hour_us
        day -= timedelta(days=1)


class BackupRounds:
    """Asks for what is due; in a process of its own loop.  A turn costs nothing but the sum, unless something is."""

    def __init__(self, entries: Entries, document: Callable[[], Document]) -> None:
        self._entries, self._document = entries, document
        self._last: dict[str, int] | None = None

    def turn(self) -> None:
        """Raises DatabaseBusy, DatabaseDamaged, DiskFull, DiskReadOnly."""
        now_us = self._entries.clock.now_us()
        if self._last is None:
            self._last = self._begun(now_us)
        zone = ZoneInfo(self._document().site.timezone)
        for kind, last_us in self._last.items():
            if due(RHYTHMS[kind], now_us, last_us, zone):
                self._ask(kind, now_us)
                self._last[kind] = now_us

    def _begun(self, now_us: int) -> dict[str, int]:
        """When each was asked for last; the first night of a new node is yet to come."""
        known = self._entries.database.read(lambda session: cursors.of(session, _CURSORS))
        new = [kind for kind in RHYTHMS if _CURSORS + kind not in known]
        if new:
            self._entries.write(lambda session: _begin(session, new, now_us))
        return {kind: now_us if kind in new else known[_CURSORS + kind].at_us for kind in RHYTHMS}

    def _ask(self, kind: str, now_us: int) -> None:
        identity = self._entries.clock.new_id()

        def work(session: Session) -> None:
            jobs.enqueue(session, Asked(kind, NODE_KEY, {}), identity, now_us)
            _put(session, kind, now_us)

        self._entries.write(work)


def _begin(session: Session, kinds: Iterable[str], now_us: int) -> None:
    for kind in kinds:
        _put(session, kind, now_us)


def _put(session: Session, kind: str, now_us: int) -> None:
    cursors.put(session, _CURSORS + kind, Cursor(0, now_us))


def handlers(entries: Entries, document: Callable[[], Document]) -> Mapping[str, Handler]:
    """What does jobs of these kinds."""
    return {"backup": partial(back_up, entries, document), "integrity-check": partial(check, entries.database)}


def back_up(entries: Entries, document: Callable[[], Document], task: Task) -> Done:
    """A verified backup; that of an attempt which died too late counts.  So many are kept as the document says.

    Raises DiskFull before anything is written, DatabaseDamaged, BackupUnusable.
    """
    database, limits = entries.database, document()
    folder = database.path.parent / BACKUPS
    made = _made_since(folder, task.job.created_us, entries.clock.now_us())
    if made is None:
        with _suspecting(database):
            made = make(database.path, entries.clock.now_us(), task.beat, limits.alerts.disk_reserve_bytes)
    removed = prune(folder, limits.retention.backups, made.path, entries.clock.now_us())
    event = BackupMade(f"{BACKUPS}/{made.path.name}", made.size_bytes, made.frames)
    result = {"path": event.path, "size_bytes": made.size_bytes, "frames": made.frames, "removed": len(removed)}
    return Done(result, lambda _session: [event])


def check(database: Database, task: Task) -> Done:
    """The full check.  Raises DatabaseDamaged; the service looks into that at its next start."""
    faults = faults_in(database.path, task.beat)
    if faults:
        database.suspect()
        raise DatabaseDamaged(f"{len(faults)} faults: {'; '.join(faults[:_NAMED])}")
    return Done({"faults": 0})


def _made_since(folder: Path, since_us: int, now_us: int) -> Backup | None:
    """A sound one of that time; a stamp is whole seconds, and one beyond now is a wrong clock's."""
    since, now = name_at(since_us + US - 1), name_at(now_us)
    for path in by_age(folder, now_us):
        if since <= path.name <= now:
            with suppress(BackupUnusable):
                return verified(path)
    return None


@contextmanager
def _suspecting(database: Database) -> Iterator[None]:
    """What cannot be read here is looked into by the service at its next start."""
    try:
        yield
    except DatabaseDamaged:
        database.suspect()
        raise
