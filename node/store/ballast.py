"""A few megabytes that are given up when the disk is so full that not even rows can be written.

With them the rows of a reclaim find room, and a service can start again on a full disk.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from node.host import disk

NAME = "ballast"
SIZE = 4 * 1024 * 1024
_SHARE = 16  # of a small disk no more than that part
LOG = logging.getLogger(__name__)


class Ballast:
    """The one of a data directory.  Every process may give it up; it is made again by who makes room."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / NAME

    def take(self, space: disk.Space, reserve_bytes: int) -> bool:
        """It is there, whole, as long as so much stays free beside it; whether it was made just now.

        Raises DiskFull, DiskReadOnly, DirectoryMissing.
        """
        size = min(SIZE, space.total_bytes // _SHARE)
        if self._is_whole(size) or space.free_bytes - size < reserve_bytes:
            return False
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                os.posix_fallocate(descriptor, 0, size)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            self.give_up()
            raise disk.meaning(error, NAME) from error
        return True

    def _is_whole(self, size: int) -> bool:
        try:
            return self._path.stat().st_size >= size
        except OSError:
            return False

    def give_up(self) -> bool:
        """Whether there was any."""
        try:
            self._path.unlink()
        except OSError:  # it is gone already, or the disk takes no change at all
            return False
        LOG.warning("ballast was given up: the disk is full")
        return True
