"""Room on a disk, and failures by their true name."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from node.domain.errors import DirectoryMissing, DiskError, DiskFull, DiskReadOnly
from node.host import disk


def test_space_is_what_the_system_says(tmp_path: Path) -> None:
    room, told = disk.space(tmp_path), os.statvfs(tmp_path)
    assert room.total_bytes == told.f_blocks * told.f_frsize
    assert 0 < room.free_bytes <= room.total_bytes


def test_space_below_a_folder_that_is_not_there_names_it(tmp_path: Path) -> None:
    with pytest.raises(DirectoryMissing, match="absent"):
        disk.space(tmp_path / "absent")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EROFS, DiskReadOnly),
        (errno.EACCES, DiskReadOnly),
        (errno.EPERM, DiskReadOnly),
        (errno.EIO, DiskReadOnly),
        (errno.ENOENT, DirectoryMissing),
        (errno.ENOTDIR, DirectoryMissing),
    ],
)
def test_each_failure_of_a_write_has_its_meaning(number: int, expected: type[DiskError]) -> None:
    found = disk.meaning(OSError(number, os.strerror(number)), Path("frames/a.jpg"))
    assert type(found) is expected
    assert "frames/a.jpg" in str(found)
    assert os.strerror(number) in str(found)


def test_an_error_without_number_is_still_named() -> None:
    assert "OSError" in str(disk.meaning(OSError(), Path("x")))


def test_a_real_failure_inside_becomes_ours(tmp_path: Path) -> None:
    with pytest.raises(DirectoryMissing) as caught, disk.failures_named(tmp_path):
        (tmp_path / "absent" / "file").write_bytes(b"x")
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_a_full_device_says_so() -> None:
    with pytest.raises(DiskFull), disk.failures_named(Path("/dev/full")), Path("/dev/full").open("wb", 0) as full:
        full.write(b"x")


def test_what_is_no_disk_error_passes_through() -> None:
    with pytest.raises(ValueError, match="other"), disk.failures_named(Path("x")):
        raise ValueError("other")
