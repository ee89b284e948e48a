"""Files of the data directory: atomic writes, room, leftovers, the lock, and where frames lie."""

from __future__ import annotations

import errno
import fcntl
import math
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

from node.crashpoint import crash_point
from node.domain.errors import DirectoryHeld, DirectoryMissing, DiskFull, HeliographError
from node.host import disk
from node.host.files import TMP, drop, make_folder, sync, tmp_beside

FRAMES, QUARANTINE, LOCK = "frames", "quarantine", "lock"
STILL = "lock-frames"


def room_for(folder: Path, size_bytes: int, reserve_bytes: int = 0) -> None:
    """Raises DiskFull unless `size_bytes` fit and `reserve_bytes` stay free; asked before anything is written."""
    free = disk.space(_existing(folder)).free_bytes
    if free < size_bytes + reserve_bytes:
        raise DiskFull(f"{free:,} bytes free, {size_bytes:,} wanted beside a reserve of {reserve_bytes:,}")


def write_atomic(path: Path, data: bytes) -> None:
    """A file that is there whole, or not at all, also after a power cut.  Never replaces one: FileExistsError.

    Raises DiskFull, DiskReadOnly, DirectoryMissing.
    """
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    replace_atomic(path, data)


def replace_atomic(path: Path, data: bytes) -> None:
    """As write_atomic, but an older file of that name gives way in one step."""
    tmp = tmp_beside(path)
    try:
        make_folder(path.parent)
        _write_through(tmp, data)
        crash_point("before_rename")
        tmp.rename(path)
        crash_point("after_rename")
        sync(path.parent)
    except OSError as error:
        drop(tmp)
        raise disk.meaning(error, path.name) from error


def put_in_place(tmp: Path, path: Path) -> None:
    """A file that is written and synced gets its name, in one step, where an older one may have had it.

    Raises DiskFull, DiskReadOnly, DirectoryMissing.
    """
    with disk.failures_named(path):
        tmp.rename(path)
        crash_point("after_rename")
        sync(path.parent)


def sweep(data_dir: Path, since: str = "", until_s: float = math.inf) -> int:
    """Remove what interrupted writes left in the frames' folders of that site day (`yyyy-mm-dd`) or later: a count.

    Beside a running service, only what nobody has written to after `until_s` (of the wall clock).
    """
    found = (path for folder in day_folders(data_dir, since) for path in folder.glob(f".*{TMP}"))
    left = [path for path in found if written_by(path, until_s)]
    for path in left:
        drop(path)
    return len(left)


def written_by(path: Path, until_s: float) -> bool:
    """Whether it is there and was written to last by then, seconds of the wall clock."""
    try:
        return path.stat().st_mtime <= until_s
    except OSError:  # whoever wrote it has finished meanwhile
        return False


def day_folders(data_dir: Path, since: str = "") -> Iterator[Path]:
    """Folders of frames and of quarantined files, one for each camera and site day from `since` on, sorted."""
    patterns = {FRAMES: "*/*/[0-9]*/[0-9]*/[0-9]*", QUARANTINE: "*/[0-9]*"}
    for top, pattern in patterns.items():
        for folder in sorted((data_dir / top).glob(pattern)):
            if folder.is_dir() and _day(folder) >= since:
                yield folder


def day_of(path: str) -> str:
    """The site day, `yyyy-mm-dd`, of a frame's path inside the data directory."""
    return _day(PurePath(path).parent)


def _day(folder: PurePath) -> str:
    return folder.name if "-" in folder.name else "-".join(folder.parts[-3:])


@dataclass(frozen=True, slots=True)
class Hold:
    """A data directory that this process alone works in."""

    data_dir: Path
    descriptor: int
    lock: str = LOCK

    def check(self) -> None:
        """Raises DirectoryMissing where the directory is no longer the one that was locked: moved, or unmounted."""
        try:
            same = os.path.samestat((self.data_dir / self.lock).stat(), os.fstat(self.descriptor))
        except OSError as error:
            raise DirectoryMissing(f"{self.data_dir}: {error.strerror}; it was there at the start") from error
        if not same:
            raise DirectoryMissing(f"{self.data_dir} is not the folder that was there at the start")


@contextmanager
def hold(data_dir: Path, lock: str = LOCK, refusal: type[HeliographError] = DirectoryHeld) -> Iterator[Hold]:
    """Makes sure that no other process works in the data directory meanwhile; `lock` names another part of the work.

    The lock goes with the process, however it ends.  Raises the refusal (pid and command of the holder),
    DirectoryMissing, DiskReadOnly.
    """
    descriptor = _open_lock(data_dir / lock)
    try:
        _lock(descriptor, refusal)
        yield Hold(data_dir, descriptor, lock)
    finally:
        os.close(descriptor)


@contextmanager
def frames_still(data_dir: Path) -> Iterator[None]:
    """No other process deletes frames, or brings deleted ones back, meanwhile; waits until that is so.

    What deletes holds it from the mark in the rows to the last unlink; what restores, from the rename to the rows.
    Raises DirectoryMissing, DiskReadOnly.
    """
    descriptor = _open_lock(data_dir / STILL)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DirectoryMissing(str(path.parent)) from error
    except OSError as error:
        raise disk.meaning(error, path.parent) from error


def _lock(descriptor: int, refusal: type[HeliographError]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 4096, 0).decode(errors="replace").strip()
        raise refusal(f"held by {holder or 'another process'}") from None
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()}: {_command()}\n".encode(), 0)
    except OSError as error:
        raise disk.meaning(error, LOCK) from error


def _command() -> str:
    words = Path("/proc/self/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    return shlex.join(word.decode(errors="replace") for word in words)[:1000]


def _existing(folder: Path) -> Path:
    return next((each for each in (folder, *folder.parents) if each.exists()), folder)


def _write_through(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
