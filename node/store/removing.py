"""Files that may go and have no row: what unfinished writes left, and thumbnails; and how files are removed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from node.crashpoint import crash_point
from node.domain.errors import RequestInvalid
from node.domain.frame import ID_LENGTH, id_time_ms
from node.domain.retention import Candidate
from node.host import disk
from node.host.files import TMP, hash_of, sync
from node.store.files import day_folders
from node.store.thumbs import THUMBS
from node.store.videos import VIDEOS

PICTURES = "[!.]*"
LOG = logging.getLogger(__name__)


def found_at(path: Path) -> tuple[int, str] | None:
    """Size and SHA-256 of the file as it is read now; None where it is not there.  Raises DiskError."""
    try:
        return hash_of(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk.meaning(error, path.name) from error


def remove(paths: Iterable[Path]) -> int:
    """Unlinks them, and syncs their folders; how many were there.  What cannot be removed is logged and stays."""
    gone = [path for path in paths if _unlinked(path)]
    crash_point("reclaim_unlinked")
    for folder in {path.parent for path in gone}:
        with disk.failures_named(folder):
            sync(folder)
    return len(gone)


def _unlinked(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        LOG.warning("file was not removed", extra={"path": path.name, "error": str(error)})
        return False
    return True


# --- what unfinished writes left ------------------------------------------------------------------------------------


def leftovers(data_dir: Path, since: str) -> list[Candidate]:
    """Unfinished files among thumbnails and videos, and in the frames' folders of that site day or later."""
    folders = [*day_folders(data_dir, since), *_folders(data_dir / VIDEOS), *_folders(data_dir / THUMBS)]
    return [found for folder in folders for path in folder.glob(f".*{TMP}*") if (found := _leftover(data_dir, path))]


def _folders(top: Path) -> Iterator[Path]:
    yield top
    yield from (Path(path) for path, *_ in os.walk(top) if path != str(top))


def _leftover(data_dir: Path, path: Path) -> Candidate | None:
    try:
        found = path.stat()
    except OSError:  # its writer has finished it
        return None
    relative = path.relative_to(data_dir).as_posix()
    return Candidate("leftover", relative, relative, found.st_size, found.st_mtime_ns // 1000)


# --- thumbnails -----------------------------------------------------------------------------------------------------


def thumbnails(data_dir: Path, after: Candidate | None, limit: int) -> list[Candidate]:
    """At most so many in the order of their days, those beyond `after`; those of a camera's newest frame are marked."""
    folders = sorted((path.name, path.parent.name, path) for path in (data_dir / THUMBS).glob("*/*") if path.is_dir())
    newest = _newest(reversed(folders))
    beyond = _place(Path(after.path)) if after else ("", "", "")
    paths = (
        path
        for day, camera, folder in folders
        if (day, camera) >= beyond[:2]
        for path in sorted(folder.glob(PICTURES))
        if _place(path) > beyond
    )
    found = (_thumbnail(data_dir, path, newest) for path in paths)
    return list(islice((each for each in found if each is not None), limit))


def _place(path: Path) -> tuple[str, str, str]:
    """Day, camera, name: what thumbnails are sorted by."""
    return path.parent.name, path.parent.parent.name, path.name


def _newest(folders: Iterable[tuple[str, str, Path]]) -> dict[str, str]:
    """The id of the newest frame of each camera that has thumbnails."""
    found: dict[str, str] = {}
    for _, camera, folder in folders:
        names = [path.name[:ID_LENGTH] for path in folder.glob(PICTURES)] if camera not in found else []
        if names:
            found[camera] = max(names)
    return found


def _thumbnail(data_dir: Path, path: Path, newest: Mapping[str, str]) -> Candidate | None:
    """Its age is that of its frame; of its file, where its name is no frame's."""
    try:
        found = path.stat()
    except OSError:  # its frame went, or it is made anew just now
        return None
    try:
        at_us = id_time_ms(path.name[:ID_LENGTH]) * 1000
    except RequestInvalid:
        at_us = found.st_mtime_ns // 1000
    last = newest.get(path.parent.parent.name) == path.name[:ID_LENGTH]
    relative = path.relative_to(data_dir).as_posix()
    return Candidate("thumbnail", relative, relative, found.st_size, at_us, newest=last)
