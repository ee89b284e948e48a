"""A folder of secrets: whole files that are nobody else's, and one process at a time."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from node.wire.errors import AuthorityUnusable

FILE, FOLDER = 0o600, 0o700
OTHERS, OTHERS_WRITE = 0o077, 0o022
LOCK = "lock"
LEFT_BY_A_CRASH = ".tmp"
LARGEST_BYTES = 1024 * 1024


@contextmanager
def failing_in_words() -> Iterator[None]:
    """What the operating system refuses becomes AuthorityUnusable."""
    try:
        yield
    except OSError as error:
        raise AuthorityUnusable(f"{error.filename or 'a file'}: {error.strerror}") from None


def made(folder: Path) -> None:
    """It and those above it.  Raises AuthorityUnusable."""
    with failing_in_words():
        if not folder.is_dir():
            folder.mkdir(FOLDER, parents=True, exist_ok=True)
            _settle(folder.parent)


@contextmanager
def held(folder: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Nobody else works in it meanwhile; what a crash has left there is gone.  Raises AuthorityUnusable."""
    with failing_in_words():
        _refuse_open(folder, OTHERS_WRITE, FOLDER)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE)
    try:
        with failing_in_words():
            _lock(handle, folder, tell)
            for left in folder.rglob(f"*{LEFT_BY_A_CRASH}"):
                left.unlink()
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path, tell: Callable[[str], None]) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        tell(f"another command is at work in {folder}: waiting for it")
        fcntl.flock(handle, fcntl.LOCK_EX)


def secret(path: Path) -> bytes | None:
    """None where there is none; raises AuthorityUnusable where others than its owner may read it."""
    with failing_in_words(), suppress(FileNotFoundError):
        _refuse_open(path, OTHERS, FILE)
        return path.read_bytes()
    return None


def text(path: Path) -> str:
    """Empty where there is none.  Raises AuthorityUnusable."""
    with failing_in_words(), suppress(FileNotFoundError), path.open("rb") as file:
        return file.read(LARGEST_BYTES).decode(errors="replace")
    return ""


def place(path: Path, data: bytes | str) -> None:
    """In place of what was there, whole or not at all, and on the disk.  Raises AuthorityUnusable."""
    with failing_in_words():
        staged = path.with_name(f".{path.name}{LEFT_BY_A_CRASH}")
        handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE)
        with os.fdopen(handle, "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
        _settle(path.parent)


def moved(path: Path, to: Path) -> None:
    """In place of what was there.  Raises AuthorityUnusable."""
    with failing_in_words():
        path.replace(to)
        _settle(to.parent)


def gone(path: Path) -> None:
    """Raises AuthorityUnusable."""
    with failing_in_words():
        path.unlink(missing_ok=True)
        _settle(path.parent)


def settle(folder: Path) -> None:
    """New names in it are on the disk.  Raises AuthorityUnusable."""
    with failing_in_words():
        _settle(folder)


def _settle(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refuse_open(path: Path, forbidden: int, wanted: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & forbidden:
        raise AuthorityUnusable(f"{path} is open to others (mode {mode:04o}): chmod {wanted:04o} {path}")
