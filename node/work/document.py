"""The document in force, as a process beside the service sees it: read again when the database has moved."""

from __future__ import annotations

import threading

from node.domain.config import Document, load_own
from node.domain.errors import DatabaseError
from node.store.configs import VersionBook
from node.store.database import Database


class RunningDocument:
    """Callable from any thread.  While the database cannot be read, what was in force stays."""

    def __init__(self, database: Database) -> None:
        self._database, self._book = database, VersionBook(database)
        self._lock = threading.Lock()
        self._moved, self._version, self._document = -1, -1, Document()

    def __call__(self) -> Document:
        with self._lock:
            try:
                self._look()
            except DatabaseError:
                return self._document
            return self._document

    def _look(self) -> None:
        moved = self._database.data_version()
        if moved == self._moved:
            return
        running = self._book.current().version
        if running.version != self._version:
            self._document, self._version = load_own(running.document)[0], running.version
        self._moved = moved
