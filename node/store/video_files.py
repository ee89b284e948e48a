"""Files of videos: their names, what they are called until they are whole, and those that belong to nobody."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from node.domain.frame import short_id
from node.host.files import TMP, tmp_beside
from node.store.files import put_in_place
from node.store.videos import VIDEOS

_OURS = re.compile(r"\d{4}-\d{2}-\d{2}_.+_(?P<job>[0-9A-Z]{8})\.(mp4|jpg)")


@dataclass(frozen=True, slots=True)
class VideoFiles:
    """A video and its poster, relative to the data directory; a job that runs again replaces its own."""

    data: Path
    video: str
    poster: str

    @property
    def tmp_video(self) -> Path:
        return tmp_beside(self.data / self.video)

    @property
    def tmp_poster(self) -> Path:
        return tmp_beside(self.data / self.poster)

    def put_in_place(self) -> None:
        """Both temporary files, synced before, get their names.  Raises DiskFull, DiskReadOnly, DirectoryMissing."""
        put_in_place(self.tmp_poster, self.data / self.poster)
        put_in_place(self.tmp_video, self.data / self.video)


def files_of(data: Path, camera: str, words: tuple[str, str, str], job_id: str) -> VideoFiles:
    """`videos/<camera>/<date>_<schedule>_<profile>_<job's short id>`; words are date, schedule and profile."""
    stem = f"{VIDEOS}/{camera}/{'_'.join(words)}_{short_id(job_id)}"
    return VideoFiles(data, f"{stem}.mp4", f"{stem}.jpg")


@dataclass(frozen=True, slots=True)
class Traces:
    """What the rows say of files that are to go, though a crash kept somebody from deleting them.

    `removed` are paths of videos that were removed, relative to the data directory; `ended` holds for render jobs that
    died or were cancelled, by their short id, when the job was asked for and when it ended.
    """

    kept: Collection[str]
    removed: Collection[str]
    ended: Mapping[str, tuple[int, int]]


def strays(data: Path, traces: Traces) -> Iterator[Path]:
    """What a worker's earlier life left: unfinished files, and files that rows say were given up.

    A whole file of which the rows know nothing stays: they may be a backup's, older than the video.  To be asked while
    no render runs.
    """
    for path in sorted((data / VIDEOS).glob("*/*")):
        name = path.relative_to(data).as_posix()
        unfinished = path.name.startswith(".") and path.name.endswith(TMP)
        given_up = name not in traces.kept and (name in traces.removed or _of_ended(path, traces.ended))
        if (unfinished or given_up) and path.is_file():
            yield path


def _of_ended(path: Path, ended: Mapping[str, tuple[int, int]]) -> bool:
    """Written by an attempt of a job that made no video: one of a later life is newer than what its row tells."""
    ours = _OURS.fullmatch(path.name)
    span = ended.get(ours["job"]) if ours else None
    return span is not None and span[0] <= path.stat().st_mtime_ns // 1000 <= span[1]
