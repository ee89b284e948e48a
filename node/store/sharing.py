"""Who else has the database open: whoever would replace its file waits until no other process has it.

A process that closes the last connection to a file unlinks the log by its name: that of the file put in its place.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from node.domain.errors import DatabaseBusy, DatabaseMissing
from node.host import disk

USERS, REPLACING = "lock-users", "lock-replacing"
LEAVE_S = 45.0
_LOOK_S = 0.05


class Share:
    """A part in the database, held until it is given up or the process ends.

    Raises DatabaseMissing where the file is being replaced, DirectoryMissing, DiskFull, DiskReadOnly.
    """

    def __init__(self, folder: Path) -> None:
        self._replacing = _open(folder / REPLACING)
        try:
            self._users = _open(folder / USERS)
        except BaseException:
            os.close(self._replacing)
            raise
        if not self._enter():
            self.close()
            raise DatabaseMissing("the service puts another file in its place just now")

    def unwanted(self) -> bool:
        """Whether somebody waits for this process to let go."""
        if not _lock(self._replacing, fcntl.LOCK_SH):
            return True
        fcntl.flock(self._replacing, fcntl.LOCK_UN)
        return False

    def close(self) -> None:
        os.close(self._users)
        os.close(self._replacing)

    def _enter(self) -> bool:
        """The users' lock is taken while nobody can begin to replace the file."""
        if not _lock(self._replacing, fcntl.LOCK_SH):
            return False
        taken = _lock(self._users, fcntl.LOCK_SH)
        fcntl.flock(self._replacing, fcntl.LOCK_UN)
        return taken


@contextmanager
def alone(folder: Path, wait_s: float) -> Iterator[None]:
    """Nobody else has the database open meanwhile.  With time to wait, those who have it are asked to let go.

    Raises DatabaseBusy where somebody still has it after `wait_s`.
    """
    with ExitStack() as held:
        users = held.enter_context(_opened(folder / USERS))
        if not _lock(users, fcntl.LOCK_EX):
            until = time.monotonic() + wait_s
            if wait_s:
                _lock_until(held.enter_context(_opened(folder / REPLACING)), until)
            _lock_until(users, until)
        yield


def _lock_until(descriptor: int, until: float) -> None:
    pause = threading.Event()
    while not _lock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > until:
            raise DatabaseBusy("another process does not let go of the database that is to be replaced")
        pause.wait(_LOOK_S)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = _open(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise disk.meaning(error, path.name) from error


def _lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
