"""What every writer of entries has in common: one entry is one transaction; after the commit every reader is told."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from node.clock import Clock
from node.domain.errors import DatabaseError, DiskError
from node.store import log
from node.store.database import Database
from node.store.session import Result, Session, Work


class Entries:
    """One for each process: journal, jobs and holdings write through it.

    Every method raises DatabaseBusy, DatabaseDamaged, DiskFull, DiskReadOnly.  What ran out of time was not written,
    unless the commit itself hung: so every entry can be repeated.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database, self.clock = database, clock
        self._told: list[Callable[[], object]] = []
        self._trouble, self._newest = "", database.read(log.newest_id)

    def on_commit(self, callback: Callable[[], object]) -> None:
        """Call it, in the thread that wrote, after each commit."""
        self._told.append(callback)

    @property
    def trouble(self) -> str:
        """The code of what kept the last write from being made; empty when it was made."""
        return self._trouble

    @property
    def last_event_id(self) -> int:
        """The newest event that this process knows to be committed."""
        return self._newest

    def write(self, work: Work[Result], *, urgent: bool = False) -> Result:
        """The entry's transaction; what `work` returned."""
        try:
            result, newest = self.database.write(_numbered(work), urgent=urgent)
        except (DatabaseError, DiskError) as error:
            self._trouble = error.code
            raise
        self._trouble, self._newest = "", max(self._newest, newest)
        for callback in self._told:
            callback()
        return result


def _numbered(work: Work[Result]) -> Work[tuple[Result, int]]:
    """The work, and the newest event after it; under the work's own name in the slow-query log."""

    @wraps(work)
    def both(session: Session) -> tuple[Result, int]:
        return work(session), log.newest_id(session)

    return both
