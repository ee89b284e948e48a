from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.domain.errors import DirectoryHeld, DirectoryMissing, DiskFull, DiskReadOnly
from node.store import files
from node.store.files import day_folders, day_of, hold, replace_atomic, room_for, sweep, write_atomic

FRAME = "frames/main/default/2026/11/20/20261120T051600123Z_auto_ABCDEFGH.jpg"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; the tests run as root."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def read_only(small_disk: Path) -> Path:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    return small_disk


def test_a_file_is_there_whole_with_its_folders_and_nothing_else(tmp_path: Path) -> None:
    write_atomic(tmp_path / FRAME, b"picture" * 1000)
    assert (tmp_path / FRAME).read_bytes() == b"picture" * 1000
    assert [path.name for path in (tmp_path / FRAME).parent.iterdir()] == [Path(FRAME).name]


def test_a_frame_never_takes_the_place_of_another(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"first")
    with pytest.raises(FileExistsError):
        write_atomic(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    replace_atomic(tmp_path / "a", b"third")
    assert (tmp_path / "a").read_bytes() == b"third"


def test_file_folder_and_every_new_folder_are_synced_in_that_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()).removeprefix(str(tmp_path)))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomic(tmp_path / "frames/main/x.jpg", b"1")
    assert synced == ["", "/frames", "/frames/main/.x.jpg.tmp", "/frames/main"]


def test_a_full_disk_is_said_and_leaves_nothing_behind(small_disk: Path) -> None:
    with pytest.raises(DiskFull, match=r"x\.jpg: No space left"):
        write_atomic(small_disk / "frames/main/x.jpg", bytes(2_000_000))
    assert list((small_disk / "frames/main").iterdir()) == []
    write_atomic(small_disk / "frames/main/x.jpg", b"room again")


def test_a_read_only_disk_is_said(read_only: Path) -> None:
    with pytest.raises(DiskReadOnly, match="Read-only file system"):
        write_atomic(read_only / "frames/x.jpg", b"1")
    with pytest.raises(DiskReadOnly, match="Read-only file system"), hold(read_only):
        pass


def test_room_is_asked_for_before_anything_is_written(small_disk: Path) -> None:
    room_for(small_disk / "frames/not/there/yet", 500_000, 100_000)
    with pytest.raises(DiskFull, match="500,000 wanted beside a reserve of 600,000"):
        room_for(small_disk, 500_000, 600_000)


def test_room_that_cannot_be_asked_for_is_an_error_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "statvfs", fail)
    with pytest.raises(DiskReadOnly, match="Input/output error"):
        room_for(tmp_path, 1)


def test_a_folder_in_the_way_of_a_file_s_is_said_as_the_disk_s_other_users_say_it(tmp_path: Path) -> None:
    (tmp_path / "frames").write_bytes(b"no folder")
    with pytest.raises(DirectoryMissing, match=r"x\.jpg: Not a directory"):
        write_atomic(tmp_path / "frames/main/x.jpg", b"1")


def test_leftovers_of_interrupted_writes_go_and_nothing_else_does(tmp_path: Path) -> None:
    old = tmp_path / "frames/main/default/2026/11/17/.a.jpg.tmp"
    new = tmp_path / "frames/main/default/2026/11/20/.b.jpg.tmp"
    put_aside = tmp_path / "quarantine/main/2026-11-20/.c.jpg.tmp"
    kept = tmp_path / FRAME
    for path in (old, new, put_aside, kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    assert sweep(tmp_path, "2026-11-18") == 2
    assert (old.exists(), new.exists(), put_aside.exists(), kept.exists()) == (True, False, False, True)
    assert sweep(tmp_path) == 1
    assert sweep(tmp_path) == 0


def test_day_folders_are_those_of_frames_then_of_quarantine(tmp_path: Path) -> None:
    names = [
        "frames/main/default/2026/11/19", "frames/main/default/2026/11/20", "frames/side/default/2025/01/02",
        "quarantine/main/2026-11-20",
    ]  # fmt: skip
    for name in (*names, "frames/main/default/notes", "thumbs/main"):
        (tmp_path / name).mkdir(parents=True)
    assert [path.relative_to(tmp_path).as_posix() for path in day_folders(tmp_path)] == names
    since = [path.relative_to(tmp_path).as_posix() for path in day_folders(tmp_path, "2026-11-20")]
    assert since == [names[1], names[3]]
    assert list(day_folders(tmp_path / "nothing")) == []


def test_a_path_tells_its_site_day() -> None:
    assert day_of(FRAME) == "2026-11-20"
    assert day_of("quarantine/main/2026-11-20/x.jpg") == "2026-11-20"


HOLDS = """
import sys
from pathlib import Path
from node.store.files import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_who_holds_the_data_directory(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DirectoryHeld, match=f"held by pid {holder.pid}: .*python.* -c") as caught, hold(tmp_path):
            pass
        assert str(tmp_path) in caught.value.detail
        holder.kill()
    with hold(tmp_path):
        assert (tmp_path / "lock").read_text().startswith(f"pid {os.getpid()}: ")


def test_the_lock_is_free_after_use(tmp_path: Path) -> None:
    for _ in range(2):
        with hold(tmp_path):
            pass
    with (tmp_path / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_data_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(DirectoryMissing, match=path.name), hold(path):
            pass


def test_a_lock_that_cannot_be_written_is_an_error_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "pwrite", full)
    with pytest.raises(DiskFull), hold(tmp_path):
        pass
