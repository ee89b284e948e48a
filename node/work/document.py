"""The document in force, as a process beside the service sees it: read again when the database has moved."""

from __future__ import annotations

import threading

from node.domain.config import Document, load_own
from node.domain.errors import DatabaseError, DatabaseMissing, UnknownVersion
from node.store.configs import Version, VersionBook
from node.store.database import Database


class RunningDocument:
    """Callable from any thread.  While the database cannot be read, what was in force stays.

    Raises DatabaseError until it has been read once: the defaults are nobody's wishes.
    """

    def __init__(self, database: Database) -> None:
        self._database, self._book = database, VersionBook(database)
        self._lock = threading.Lock()
        self._moved, self._version = -1, -1
        self._document: Document | None = None

    def __call__(self) -> Document:
        with self._lock:
            try:
                return self._look()
            except DatabaseError:
                if self._document is None:
                    raise
                return self._document

    def _look(self) -> Document:
        moved = self._database.data_version()
        if self._document is not None and moved == self._moved:
            return self._document
        running = self._running()
        if self._document is None or running.version != self._version:
            self._document, self._version = load_own(running.document)[0], running.version
        self._moved = moved
        return self._document

    def _running(self) -> Version:
        try:
            return self._book.current().version
        except UnknownVersion as error:  # the service has made the database, and not yet its first document
            raise DatabaseMissing(error.detail) from error
