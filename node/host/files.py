"""Files that a power cut cannot take back, and what they hold: synced with their folders, read past the page cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

PIECE_BYTES = 1 << 20
TMP = ".tmp"
Took = Callable[[int], object]
"""Told of each piece: so many bytes."""


def tmp_beside(path: Path) -> Path:
    """Where a file is written before it takes its name."""
    return path.with_name(f".{path.name}{TMP}")


def pieces(path: Path) -> Iterator[memoryview]:
    """The bytes of a file as the medium holds them, as far as the kernel lets its cache be passed by.

    Each piece is gone when the next is asked for.  Raises OSError.
    """
    buffer = memoryview(bytearray(PIECE_BYTES))
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # drops clean pages: sync before
        while count := os.readv(descriptor, [buffer]):
            yield buffer[:count]
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def hash_of(path: Path, took: Took = bool) -> tuple[int, str]:
    """Size and SHA-256 of the bytes read.  Raises OSError."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces(path):
        digest.update(piece)
        size += len(piece)
        took(len(piece))
    return size, digest.hexdigest()


def make_folder(folder: Path) -> None:
    """With each new folder's parent synced, so that the whole way down survives a power cut.  Raises OSError."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        sync(each.parent)


def sync(path: Path) -> None:
    """What a file or a folder holds is on the disk.  Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def drop(path: Path) -> None:
    """Remove, as well as can be: the disk that refuses it keeps it for a sweep, or for who writes the name next."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
