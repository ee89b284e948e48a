"""SQLite's errors as the product's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import peewee

from node.domain.errors import DatabaseBusy, DatabaseDamaged, DiskFull, DiskReadOnly, HeliographError

SQLITE_ERRORS = (sqlite3.Error, peewee.PeeweeException)

# extended codes first: the primary code of each is IOERR, which says less
_EXTENDED: Mapping[int, type[HeliographError]] = {
    sqlite3.SQLITE_IOERR_SHMSIZE: DiskFull,  # the index of the write-ahead log found no room
    sqlite3.SQLITE_IOERR_CORRUPTFS: DatabaseDamaged,
    sqlite3.SQLITE_IOERR_SHORT_READ: DatabaseDamaged,
}
_PRIMARY: Mapping[int, type[HeliographError]] = {
    sqlite3.SQLITE_FULL: DiskFull,
    sqlite3.SQLITE_READONLY: DiskReadOnly,
    sqlite3.SQLITE_CANTOPEN: DiskReadOnly,
    sqlite3.SQLITE_PERM: DiskReadOnly,
    sqlite3.SQLITE_AUTH: DiskReadOnly,
    sqlite3.SQLITE_IOERR: DiskReadOnly,
    sqlite3.SQLITE_CORRUPT: DatabaseDamaged,
    sqlite3.SQLITE_NOTADB: DatabaseDamaged,
    sqlite3.SQLITE_BUSY: DatabaseBusy,
    sqlite3.SQLITE_LOCKED: DatabaseBusy,
    sqlite3.SQLITE_PROTOCOL: DatabaseBusy,
    sqlite3.SQLITE_INTERRUPT: DatabaseBusy,
}
_PRIMARY_BITS = 0xFF


def fault_of(error: Exception) -> HeliographError | None:
    """What an error of SQLite (or peewee's wrapping of one) means here; None where it is a mistake of ours."""
    cause = error if isinstance(error, sqlite3.Error) else error.__context__
    code = getattr(cause, "sqlite_errorcode", None)
    if code is None:
        return None
    kind = _EXTENDED.get(code) or _PRIMARY.get(code & _PRIMARY_BITS)
    return kind(f"{cause} ({getattr(cause, 'sqlite_errorname', code)})") if kind else None


@contextmanager
def named() -> Iterator[None]:
    """Inside, SQLite's errors come out as DatabaseBusy, DatabaseDamaged, DiskFull or DiskReadOnly."""
    try:
        yield
    except SQLITE_ERRORS as error:
        fault = fault_of(error)
        if fault is None:
            raise
        raise fault from error


@contextmanager
def refusals_named() -> Iterator[None]:
    """As `named`, where any other refusal speaks of damage too: a file format that is none, a table that is gone."""
    try:
        yield
    except SQLITE_ERRORS as error:
        raise (fault_of(error) or DatabaseDamaged(str(error))) from error
