"""One SQLite file: a writer thread, a few read-only connections; its owner checks and migrates it, others join."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import peewee

from node.domain.errors import (
    DatabaseBusy,
    DatabaseDamaged,
    DatabaseMissing,
    DiskError,
    DiskFull,
    DiskReadOnly,
)
from node.store import marks
from node.store.faults import named, refusals_named
from node.store.schema import check_ours, migrate, usable
from node.store.session import Result, Session, Work, name_of
from node.store.sharing import Share
from node.store.writer import Writer

NAME = "heliograph.db"
READERS = 4
SLOW_S = 0.1
CLOSE_S = 5.0
_OTHERS = 2  # the writer and the watch
_BUSY_S, _OPENING_BUSY_S = 0.05, 2.0
_PAGE_BYTES = 2048
_WAL_LIMIT_BYTES = 4 * 1024 * 1024
_LOG = logging.getLogger(__name__)

# Pages of 2 KB: a frame touches about a dozen trees, and each costs a page in the log; 4 KB pages wrote twice as much.
# Those of the file itself are given once: each time they would be written anew.
_FIRST_PRAGMAS = {"page_size": _PAGE_BYTES, "auto_vacuum": "incremental"}
_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "full",
    "foreign_keys": 1,
    "journal_size_limit": _WAL_LIMIT_BYTES,
    "wal_autocheckpoint": _WAL_LIMIT_BYTES // _PAGE_BYTES // 2,
    "cache_size": -2048,
    "temp_store": "memory",
}
_READ_PRAGMAS = {"query_only": 1, "cache_size": -1024, "temp_store": "memory"}


Observe = Callable[[str, float], None]
"""Is told of each write: the name of its transaction, and seconds."""


def ignore(_name: str, _seconds: float) -> None:
    """For those who measure nothing."""


class Database:
    """Safe from any thread.

    `clean` is False when the last process ended without closing it; `applied` names the migrations done just now.
    """

    def __init__(self, path: Path, observe: Observe = ignore, *, joined: bool = False) -> None:
        """Opens, checks and migrates.

        Raises DatabaseDamaged, SchemaNewer, DiskFull, DiskReadOnly, DatabaseBusy.
        """
        self.path = path
        self.clean = True
        self.applied: tuple[str, ...] = ()
        self._wal = path.with_name(path.name + "-wal")
        self._observe = observe
        self._made: list[Session] = []
        self._open_now, self._suspected = True, False
        self._share = Share(path.parent) if joined else None
        self._mark = marks.joined_name() if joined else marks.OWNER
        try:
            self._own = self._joined() if joined else self._owned()
            self._watch = self._reader()
        except BaseException:
            self._close_all()
            raise
        self._watching, self._making = threading.Lock(), threading.Lock()
        self._readers: queue.LifoQueue[Session] = queue.LifoQueue()
        self._writer = Writer(self._own, self._measured)

    @classmethod
    def join(cls, path: Path, observe: Observe = ignore) -> Database:
        """A database that another process owns: opened as it is, neither checked nor migrated.

        Raises DatabaseMissing where there is none, one of another schema or of another program, or where its owner is
        replacing it; DatabaseDamaged, DiskReadOnly, DatabaseBusy.
        """
        return cls(path, observe, joined=True)

    def write(self, work: Work[Result], *, urgent: bool = False, timeout_s: float = 2.0) -> Result:
        """Runs `work(session)` in one transaction on the writer thread and returns what it returned.

        `work` may run again where the lock was lost, so it keeps no state.  Raises what it raises, DatabaseBusy where
        nothing could be written within `timeout_s`, DatabaseDamaged, DiskFull, DiskReadOnly; DatabaseMissing where
        this process is `unwanted`.
        """
        if self.unwanted():
            raise DatabaseMissing("the service waits to put another file in its place")
        with self._suspecting():
            return self._writer.write(work, urgent=urgent, timeout_s=timeout_s)

    def read(self, work: Work[Result], *, timeout_s: float = 2.0) -> Result:
        """Runs `work(session)` on a read-only connection, in one snapshot.  `work` must not call `read` itself.

        Raises DatabaseBusy where no connection was free within `timeout_s`, DatabaseDamaged.
        """
        began = time.perf_counter()
        with self._suspecting(), self._borrowed(timeout_s) as session, named():
            session.execute("BEGIN")
            try:
                return work(session)
            finally:
                session.rollback()
                self._told(name_of(work), time.perf_counter() - began)

    def data_version(self) -> int:
        """Moves whenever anybody, this process or another, has committed something."""
        with self._watching, named():
            return int(self._watch.pragma("data_version"))

    def check(self) -> None:
        """SQLite's quick check; slow on a large file.  Raises DatabaseDamaged with what it found first."""
        self.read(_quick_check)

    def unwanted(self) -> bool:
        """Whether the owner waits for this process, which has joined, to close: it has to put another file here."""
        return self._share is not None and self._share.unwanted()

    def suspect(self) -> None:
        """Something speaks for damage: the owner's next start checks the whole file, and restores it if need be."""
        self.write(lambda session: marks.put(session, marks.SUSPECT))

    @property
    def waiting(self) -> int:
        """Writes that wait for the writer thread."""
        return self._writer.waiting

    @property
    def retries(self) -> int:
        """How often a write was tried again because another process held the lock."""
        return self._writer.retries

    def wal_bytes(self) -> int:
        """Size of the write-ahead log."""
        return self._wal.stat().st_size if self._wal.exists() else 0

    def close(self) -> None:
        """Finishes the writes that wait, then closes.  Idempotent."""
        if not self._writer.close(CLOSE_S):
            _LOG.error("the writer did not end within %g s", CLOSE_S)
        elif self._open_now:
            self._take_mark_away()
            self._close_all()

    def _take_mark_away(self) -> None:
        """A mark that stays costs a check at the next start, no more."""
        try:
            with named():
                _be_patient(self._own, _OPENING_BUSY_S)
                if self._suspected:
                    marks.put(self._own, marks.SUSPECT)
                marks.take_away(self._own, self._mark)
        except (DatabaseBusy, DatabaseDamaged, DiskError) as error:
            _LOG.warning("the database is left as if it had not been closed", extra={"error": str(error)})

    def _close_all(self) -> None:
        """The writing connection, made first, goes last: it takes the log into the file."""
        self._open_now = False
        for session in reversed(self._made):
            session.db.close()
        if self._share is not None:
            self._share.close()

    def _open(self, path: str, pragmas: Mapping[str, object], *, uri: bool = False) -> Session:
        """The first one is the writing connection."""
        busy_s = _BUSY_S if self._made else _OPENING_BUSY_S
        db = peewee.SqliteDatabase(
            path, pragmas=pragmas, timeout=busy_s, thread_safe=False, check_same_thread=False, uri=uri
        )
        with named():
            db.connect()
        session = Session(db)
        self._made.append(session)
        return session

    def _reader(self) -> Session:
        return self._open(f"{self.path.absolute().as_uri()}?mode=ro", _READ_PRAGMAS, uri=True)

    def _owned(self) -> Session:
        """The writing connection; the file is sound, of this release's schema, and marked as open."""
        logged = self.wal_bytes() > 0  # one that only looked on leaves an empty one
        filled = self.path.exists() and self.path.stat().st_size > 0
        with refusals_named():
            session = self._open(str(self.path), _PRAGMAS if filled else {**_FIRST_PRAGMAS, **_PRAGMAS})
            if session.pragma("journal_mode") != "wal":
                raise DiskReadOnly(f"{self.path.parent}: this file system cannot hold a write-ahead log")
            found = marks.read(session) if check_ours(session, self.path) else {}
            self.clean = marks.ended_clean(found, logged=logged)
            if not self.clean:
                _check(session, "integrity_check" if marks.SUSPECT in found else "quick_check")
        with named():
            self.applied = migrate(session, self.path)
            marks.own(session, found)
            _be_patient(session, _BUSY_S)
        return session

    def _joined(self) -> Session:
        """As `_owned`, for a file that is somebody else's to check."""
        if not self.path.exists() or not self.path.stat().st_size:
            raise DatabaseMissing(self.path.name)
        with refusals_named():
            session = self._open(f"{self.path.absolute().as_uri()}?mode=rw", _PRAGMAS, uri=True)
            if not usable(session):
                raise DatabaseMissing(f"{self.path.name} is not of this release's schema")
        self._put_mark(session)
        _be_patient(session, _BUSY_S)
        return session

    def _put_mark(self, session: Session) -> None:
        """On a full disk it has to go without: the process that makes room joins too."""
        try:
            with named():
                marks.put(session, self._mark)
        except (DiskFull, DatabaseBusy) as error:
            _LOG.warning("joined the database without a mark", extra={"error": str(error)})

    @contextmanager
    def _suspecting(self) -> Iterator[None]:
        try:
            yield
        except DatabaseDamaged:
            self._suspected = True
            raise

    @contextmanager
    def _borrowed(self, timeout_s: float) -> Iterator[Session]:
        reader = self._take(timeout_s)
        try:
            yield reader
        finally:
            self._readers.put(reader)

    def _take(self, timeout_s: float) -> Session:
        try:
            return self._readers.get_nowait()
        except queue.Empty:
            with self._making:
                if len(self._made) < _OTHERS + READERS:
                    return self._reader()
        try:
            return self._readers.get(timeout=timeout_s)
        except queue.Empty:
            raise DatabaseBusy(f"all {READERS} readers were busy for {timeout_s:g} s") from None

    def _measured(self, name: str, seconds: float) -> None:
        self._observe(name, seconds)
        self._told(name, seconds)

    def _told(self, name: str, seconds: float) -> None:
        if seconds > SLOW_S:
            _LOG.warning("slow query", extra={"query": name, "took_ms": round(seconds * 1000)})


def _be_patient(session: Session, seconds: float) -> None:
    """Whoever writes just now is waited for so long: at opening and closing longer than in between."""
    session.execute(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")


def _quick_check(session: Session) -> None:
    _check(session, "quick_check")


def _check(session: Session, how: str) -> None:
    found = session.pragma(f"{how}(1)")
    if found != "ok":
        raise DatabaseDamaged(str(found))
