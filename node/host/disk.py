"""Room on a disk, and what a failed write means."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from node.domain.errors import DirectoryMissing, DiskError, DiskFull, DiskReadOnly

_MEANINGS: dict[int, type[DiskError]] = {
    errno.ENOSPC: DiskFull,
    errno.EDQUOT: DiskFull,
    errno.EFBIG: DiskFull,
    errno.ENOENT: DirectoryMissing,
    errno.ENOTDIR: DirectoryMissing,
}  # all else that a write may answer (EROFS, EACCES, EPERM, EIO ...) = it cannot be written


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes of the file system; free = what this user may still take."""

    total_bytes: int
    free_bytes: int


def space(path: Path) -> Space:
    """Of the file system that holds `path`.  Raises DirectoryMissing, DiskReadOnly (cannot be entered)."""
    with failures_named(path):
        answer = os.statvfs(path)
    return Space(answer.f_blocks * answer.f_frsize, answer.f_bavail * answer.f_frsize)


def meaning(error: OSError, what: object) -> DiskError:
    """Our error for the operating system's one, met at `what`."""
    words = error.strerror or type(error).__name__
    return _MEANINGS.get(error.errno or 0, DiskReadOnly)(f"{what}: {words}")


@contextmanager
def failures_named(path: Path) -> Iterator[None]:
    """Inside, an OSError becomes a DiskError that names `path`."""
    try:
        yield
    except OSError as error:
        raise meaning(error, path) from error
