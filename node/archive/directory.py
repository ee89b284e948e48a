"""A folder on another file system, such as a USB disk or a mounted share, as archive target."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from node.archive.base import (
    MARKER,
    WORKSHOP,
    Beat,
    Item,
    Outcome,
    Receipt,
    Refused,
    Where,
    after_sending,
    check_marker,
    judged,
    marker_text,
)
from node.archive.files import landing, sync_below
from node.archive.progress import Pace, Progress
from node.crashpoint import crash_point
from node.domain.config import TargetPolicy
from node.domain.errors import (
    ArchiveError,
    DiskError,
    FrameAltered,
    FrameMissing,
    HeliographError,
    NotArchived,
    ReceiptRefused,
    SameDevice,
    TargetFull,
    TargetRefused,
    TargetUnavailable,
)
from node.domain.nodefile import DirectoryTarget
from node.host.disk import Space
from node.host.files import drop, hash_of, make_folder, pieces, sync, tmp_beside

HOW = "read back"
SYNC_BYTES = 16 << 20
UNFINISHED = ".unfinished"
"""In the node's workshop: a sender that was killed leaves this one file at most, and the next writes over it."""
OF_ONE_ITEM = (ReceiptRefused, NotArchived, FrameMissing, FrameAltered)
_MEANINGS: Mapping[int, type[ArchiveError]] = {
    errno.ENOSPC: TargetFull,
    errno.EDQUOT: TargetFull,
    errno.EFBIG: TargetFull,
    errno.EACCES: TargetRefused,
    errno.EPERM: TargetRefused,
    errno.EROFS: TargetRefused,
}  # all else (EIO, ENODEV, ESTALE, ENOENT ...) = it is not there, or not there any more
_OF_A_NAME: Mapping[int, type[ArchiveError]] = {
    **_MEANINGS,
    errno.EEXIST: ReceiptRefused,
    errno.EILSEQ: ReceiptRefused,
    errno.EINVAL: ReceiptRefused,
    errno.EISDIR: ReceiptRefused,
    errno.ENAMETOOLONG: ReceiptRefused,
    errno.ENOTDIR: ReceiptRefused,
}  # it cannot hold a file of this name; others it can


class DirectoryArchive:
    """Works below a handle of the folder that carried the marker, never on what a lost mount uncovers."""

    def __init__(self, name: str, endpoint: DirectoryTarget, policy: TargetPolicy, where: Where) -> None:
        self.name = name
        self._path, self._policy, self._where = Path(endpoint.path), policy, where

    def check(self) -> None:
        with self._marked():
            pass

    def put(self, items: Sequence[Item], beat: Beat) -> list[Outcome]:
        progress = Progress(beat, 2 * sum(item.size_bytes for item in items), f"to {self.name}")
        pace = Pace(self._where.clock, self._policy.limit_bytes_per_s)
        with self._marked() as root:
            return _each(items, progress, lambda item: self._put(root, item, progress, pace))

    def verify(self, items: Sequence[Item], beat: Beat) -> list[Outcome]:
        progress = Progress(beat, sum(item.size_bytes for item in items), f"reading {self.name}")
        with self._marked() as root:
            return _each(items, progress, lambda item: self._judged(item, self._found(root / item.name, progress)))

    def fetch(self, item: Item, into: Path, beat: Beat) -> None:
        progress = Progress(beat, 2 * item.size_bytes, f"from {self.name}")
        with self._marked() as root, landing(item, into, progress.took) as tmp, tmp.open("wb") as writing:
            for piece in _pieces_there(root, item):
                writing.write(piece)
                progress.took(len(piece))

    def init(self) -> None:
        with self._root() as root, _failures_named(self._path):
            if not (root / MARKER).exists():
                _write_marker(root, marker_text(self._where))

    def space(self) -> Space:
        with self._marked() as root, _failures_named(self._path):
            return _space(root)

    def close(self) -> None:
        """Nothing is held between two uses, so that the disk can be unmounted."""

    def _put(self, root: Path, item: Item, progress: Progress, pace: Pace) -> Outcome:
        path = root / item.name
        with _failures_named(item.name, _OF_A_NAME):
            if path.exists() and path.stat().st_size == item.size_bytes:
                sync_below(root, path)  # whoever wrote it may have ended before its own sync
                there = self._judged(item, self._found(path, progress))
                if isinstance(there, Receipt):
                    return there
            self._send(root, item, progress, pace)
        return after_sending(self._judged(item, self._found(path, progress)))

    def _judged(self, item: Item, found: tuple[int, str] | None) -> Outcome:
        return judged(item, found, HOW, self._where.clock.now_us())

    def _found(self, path: Path, progress: Progress) -> tuple[int, str] | None:
        """Size and hash of what lies there; None where nothing does."""
        with _failures_named(path.name, _OF_A_NAME):
            try:
                device = path.stat().st_dev
            except FileNotFoundError:
                return None
            self._check_device(device)
            return hash_of(path, progress.took)

    def _send(self, root: Path, item: Item, progress: Progress, pace: Pace) -> None:
        """Begins anew each time: half a file costs as much to read over a share, to see if it agrees, as to write."""
        free = _space(root).free_bytes
        if free < item.size_bytes:
            raise TargetFull(f"{self.name}: {free:,} bytes free, {item.size_bytes:,} wanted")
        path, tmp = root / item.name, root / WORKSHOP / self._where.node / UNFINISHED
        for folder in (path.parent, tmp.parent):
            make_folder(folder)
        try:
            _copy(item, tmp, progress, pace)
            crash_point("target_before_rename")
            tmp.replace(path)
            crash_point("target_after_rename")
        finally:
            drop(tmp)
        sync(path.parent)

    @contextmanager
    def _marked(self) -> Iterator[Path]:
        with self._root(check_marker) as root:
            yield root

    @contextmanager
    def _root(self, examine: Callable[[str | None], object] = bool) -> Iterator[Path]:
        """The folder, by a name that goes on meaning it while something else is mounted there, or nothing."""
        with _failures_named(self._path):
            handle = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            root = Path(f"/proc/self/fd/{handle}")
            with _failures_named(self._path):
                examine(_marker_in(root))
                self._check_device(os.fstat(handle).st_dev)
            yield root
        finally:
            os.close(handle)

    def _check_device(self, device: int) -> None:
        if device == self._where.data_dir.stat().st_dev:
            raise SameDevice(f"{self._path} and {self._where.data_dir}")


def _each(items: Sequence[Item], progress: Progress, act: Callable[[Item], Outcome]) -> list[Outcome]:
    """After what fails the target, the rest is not tried.  Also an item without bytes is progress."""
    outcomes: list[Outcome] = []
    failed: HeliographError | None = None
    for item in items:
        if failed is not None:
            outcomes.append(Refused(item, failed))
            continue
        progress.took(0)
        try:
            outcomes.append(act(item))
        except (ArchiveError, DiskError) as error:
            outcomes.append(Refused(item, error))
            failed = None if isinstance(error, OF_ONE_ITEM) else error
    return outcomes


def _copy(item: Item, tmp: Path, progress: Progress, pace: Pace) -> None:
    """Hashed on the way: what is not the frame that was kept never takes its name there.

    Synced on the way, too: a sync of all of a large file would look like a target that hangs.
    """
    digest, unsynced = hashlib.sha256(), 0
    with tmp.open("wb") as writing:
        for piece in _pieces_here(item):
            digest.update(piece)
            writing.write(piece)
            unsynced += len(piece)
            if unsynced >= SYNC_BYTES:
                writing.flush()
                os.fdatasync(writing.fileno())
                unsynced = 0
            crash_point("target_half_written")
            progress.took(len(piece))
            pace.took(len(piece), progress)
        writing.flush()
        os.fsync(writing.fileno())
    if digest.hexdigest() != item.sha256:
        raise FrameAltered(f"{item.path}: SHA-256 {digest.hexdigest()}")


def _pieces_here(item: Item) -> Iterator[memoryview]:
    try:
        yield from pieces(item.path)
    except FileNotFoundError as error:
        raise FrameMissing(str(item.path)) from error
    except OSError as error:
        raise FrameAltered(f"{item.path}: {error.strerror}") from error


def _pieces_there(root: Path, item: Item) -> Iterator[memoryview]:
    with _failures_named(item.name, _OF_A_NAME):
        try:
            yield from pieces(root / item.name)
        except FileNotFoundError as error:
            raise NotArchived(item.name) from error


def _space(root: Path) -> Space:
    answer = os.statvfs(root)
    return Space(answer.f_blocks * answer.f_frsize, answer.f_bavail * answer.f_frsize)


def _marker_in(root: Path) -> str | None:
    try:
        return (root / MARKER).read_text(errors="replace")
    except FileNotFoundError:
        return None


def _write_marker(root: Path, text: str) -> None:
    tmp = tmp_beside(root / MARKER)
    try:
        with tmp.open("w") as writing:
            writing.write(text)
            writing.flush()
            os.fsync(writing.fileno())
        tmp.replace(root / MARKER)
    finally:
        drop(tmp)
    sync(root)


@contextmanager
def _failures_named(what: object, meanings: Mapping[int, type[ArchiveError]] = _MEANINGS) -> Iterator[None]:
    """Inside, an OSError becomes an ArchiveError that names `what`."""
    try:
        yield
    except OSError as error:
        words = error.strerror or type(error).__name__
        raise meanings.get(error.errno or 0, TargetUnavailable)(f"{what}: {words}") from error
