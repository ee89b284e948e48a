"""Megabytes that are given up when nothing else has room; on a real small disk."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.domain.errors import DiskFull
from node.host import disk
from node.host.disk import Space
from node.store.ballast import NAME, SIZE, Ballast

MB = 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB; the tests run as root."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_it_takes_its_room_for_real_and_gives_it_back(small_disk: Path) -> None:
    ballast, before = Ballast(small_disk), disk.space(small_disk)
    assert ballast.take(before, MB)
    assert before.free_bytes - disk.space(small_disk).free_bytes == MB  # a sixteenth of a small disk
    assert not ballast.take(disk.space(small_disk), MB)
    assert ballast.give_up()
    assert not ballast.give_up()
    assert disk.space(small_disk).free_bytes == before.free_bytes


def test_it_is_not_taken_from_what_is_needed(small_disk: Path) -> None:
    free = disk.space(small_disk).free_bytes
    assert not Ballast(small_disk).take(disk.space(small_disk), free)
    assert not (small_disk / NAME).exists()


def test_a_disk_that_fills_up_meanwhile_keeps_no_half_of_it(small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(16 * MB - 8192))
    with pytest.raises(DiskFull):
        Ballast(small_disk).take(Space(16 * MB, 16 * MB), 0)
    assert not (small_disk / NAME).exists()


def test_on_a_large_disk_it_is_a_few_megabytes(tmp_path: Path) -> None:
    Ballast(tmp_path).take(Space(2**40, 2**40), 0)
    assert (tmp_path / NAME).stat().st_size == SIZE


def test_a_ballast_that_was_cut_short_is_made_whole(small_disk: Path) -> None:
    (small_disk / NAME).write_bytes(b"half")
    assert Ballast(small_disk).take(disk.space(small_disk), MB)
    assert (small_disk / NAME).stat().st_size == MB
