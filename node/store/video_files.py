"""Files of videos: their names, what they are called until they are whole, and those that belong to nobody."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from node.domain.frame import short_id
from node.store.files import TMP, put_in_place
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
        return _tmp(self.data / self.video)

    @property
    def tmp_poster(self) -> Path:
        return _tmp(self.data / self.poster)

    def put_in_place(self) -> None:
        """Both temporary files, synced before, get their names.  Raises DiskFull, DiskReadOnly, DirectoryMissing."""
        put_in_place(self.tmp_poster, self.data / self.poster)
        put_in_place(self.tmp_video, self.data / self.video)


def files_of(data: Path, camera: str, words: tuple[str, str, str], job_id: str) -> VideoFiles:
    """`videos/<camera>/<date>_<schedule>_<profile>_<job's short id>`; words are date, schedule and profile."""
    stem = f"{VIDEOS}/{camera}/{'_'.join(words)}_{short_id(job_id)}"
    return VideoFiles(data, f"{stem}.mp4", f"{stem}.jpg")


def strays(data: Path, kept: Collection[str], live: Collection[str]) -> Iterator[Path]:
    """What a worker's earlier life left: unfinished files, and files of ours that no video and no live job has.

    `kept` are paths relative to the data directory, `live` ids of jobs.  To be asked while no render runs.
    """
    jobs = {short_id(job) for job in live}
    for path in sorted((data / VIDEOS).glob("*/*")):
        ours = _OURS.fullmatch(path.name)
        unfinished = path.name.startswith(".") and path.name.endswith(TMP)
        nobodys = ours and ours["job"] not in jobs and path.relative_to(data).as_posix() not in kept
        if path.is_file() and (unfinished or nobodys):
            yield path


def _tmp(path: Path) -> Path:
    return path.with_name(f".{path.name}{TMP}")
