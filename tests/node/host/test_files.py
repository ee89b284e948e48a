from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from node.host.files import PIECE_BYTES, drop, hash_of, make_folder, sync, tmp_beside


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, 2 * PIECE_BYTES + 3])
def test_a_files_size_and_hash_are_those_of_its_bytes(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "a").write_bytes(data)
    told: list[int] = []
    assert hash_of(tmp_path / "a", told.append) == (size, hashlib.sha256(data).hexdigest())
    assert sum(told) == size
    assert max(told, default=0) <= PIECE_BYTES


def test_what_is_not_there_is_told_apart_from_what_is_empty(tmp_path: Path) -> None:
    for look in (hash_of, sync):
        with pytest.raises(FileNotFoundError):
            look(tmp_path / "gone")


def test_each_new_folders_parent_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    make_folder(tmp_path / "a" / "b" / "c")
    assert synced == [tmp_path.name, "a", "b"]
    synced.clear()
    make_folder(tmp_path / "a" / "b" / "c")
    assert synced == []


def test_what_cannot_be_removed_stays_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    drop(tmp_path / "folder")
    drop(tmp_path / "gone")
    assert (tmp_path / "folder").is_dir()


def test_an_unfinished_file_is_hidden_beside_the_finished_one(tmp_path: Path) -> None:
    assert tmp_beside(tmp_path / "a.jpg") == tmp_path / ".a.jpg.tmp"
