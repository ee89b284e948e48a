"""Files read and written so that they are proved: hashed in pieces, read past the page cache, landed whole."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from node.archive.base import Item
from node.domain.errors import DiskFull, FrameAltered, FrameMissing, HeliographError, ReceiptRefused
from node.host import disk

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


def hash_of(path: Path, took: Took) -> tuple[int, str]:
    """Size and SHA-256 of the bytes read.  Raises OSError."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces(path):
        digest.update(piece)
        size += len(piece)
        took(len(piece))
    return size, digest.hexdigest()


def make_folder(folder: Path) -> None:
    """With each new folder's parent synced.  Raises OSError."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        sync_folder(each.parent)


def sync_below(root: Path, path: Path) -> None:
    """The file, and every folder on the way down to it.  Raises OSError."""
    with path.open("rb") as there:
        os.fsync(there.fileno())
    for folder in path.parents:
        sync_folder(folder)
        if folder == root:
            return


def sync_folder(folder: Path) -> None:
    """Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def drop(path: Path) -> None:
    """Remove, as well as can be: whoever writes the name next writes over it."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def fault_here(item: Item) -> HeliographError | None:
    """What is wrong with the item's file on this node, by a look at kind and size: cheap."""
    try:
        there = item.path.stat()
    except FileNotFoundError:
        return FrameMissing(str(item.path))
    except OSError as error:
        return FrameAltered(f"{item.path}: {error.strerror}")
    if stat.S_ISREG(there.st_mode) and there.st_size == item.size_bytes:
        return None
    return FrameAltered(f"{item.path}: {there.st_size:,} bytes, kept {item.size_bytes:,}")


def altered_here(item: Item, took: Took) -> HeliographError | None:
    """The same by its hash: reads the file."""
    try:
        found = hash_of(item.path, took)
    except FileNotFoundError:
        return FrameMissing(str(item.path))
    except OSError as error:
        return FrameAltered(f"{item.path}: {error.strerror}")
    return None if found == (item.size_bytes, item.sha256) else FrameAltered(f"{item.path}: SHA-256 {found[1]}")


@contextmanager
def landing(item: Item, into: Path, took: Took) -> Iterator[Path]:
    """A file to fill; after the block it becomes `into` when its bytes are the item's, else it is gone.

    Raises ReceiptRefused, DiskFull, DiskReadOnly.
    """
    tmp = tmp_beside(into)
    try:
        with disk.failures_named(into):
            make_folder(into.parent)
        if disk.space(into.parent).free_bytes < item.size_bytes:
            raise DiskFull(f"{into.parent}: {item.size_bytes:,} bytes wanted")
        with disk.failures_named(into):
            yield tmp
            _land(item, tmp, into, took)
    finally:
        drop(tmp)


def _land(item: Item, tmp: Path, into: Path, took: Took) -> None:
    with tmp.open("rb") as written:
        os.fsync(written.fileno())
    found = hash_of(tmp, took)
    if found != (item.size_bytes, item.sha256):
        raise ReceiptRefused(f"{item.name}: {found[0]:,} bytes, SHA-256 {found[1]}")
    tmp.replace(into)
    sync_folder(into.parent)
