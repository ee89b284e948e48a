"""Items' files on this node: proved by their hash, landed whole, synced all the way down."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.archive.base import Item
from node.domain.errors import DiskFull, FrameAltered, FrameMissing, HeliographError, ReceiptRefused
from node.host import disk
from node.host.files import Took, drop, hash_of, make_folder, sync, tmp_beside


def sync_below(root: Path, path: Path) -> None:
    """The file, and every folder on the way down to it.  Raises OSError."""
    sync(path)
    for folder in path.parents:
        sync(folder)
        if folder == root:
            return


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
    sync(tmp)
    found = hash_of(tmp, took)
    if found != (item.size_bytes, item.sha256):
        raise ReceiptRefused(f"{item.name}: {found[0]:,} bytes, SHA-256 {found[1]}")
    tmp.replace(into)
    sync(into.parent)
