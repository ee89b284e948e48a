"""Files against rows, both ways: what has a rule is mended, all that does not fit is named; no original is deleted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from node.domain.events import FilesReconciled
from node.domain.frame import ID_LENGTH
from node.domain.times import US
from node.host.files import TMP
from node.store import removing, retention
from node.store.archive import CHUNK
from node.store.files import day_folders, frames_still, written_by
from node.store.frames import FrameReader
from node.store.retention import Here, RetentionReader
from node.store.thumbs import THUMBS
from node.store.videos import VIDEOS, VideoReader
from node.work.rebuild import Care, adopt
from node.work.reclaim import Ground, Reclaimer
from node.work.task import Done, Task

SETTLED_S = 3600.0
"""Beside a running service only files are compared that nobody has written to for so long."""
NAMED = 100
LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Found:
    """What does not fit: files without a row, rows without a file, of these those lost for good; how many were mended.

    A file of a frame that counts as gone is one without a row, too.
    """

    files: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    repaired: int = 0

    def note(self, which: list[str], said: str, paths: Collection[str], *, repaired: bool) -> None:
        """In the log, in the result, in the sums."""
        for path in paths:
            LOG.warning(said, extra={"path": path, "repaired": repaired})
        which += paths
        self.repaired += len(paths) if repaired else 0

    def result(self) -> dict[str, object]:
        """Counts, and the first of each by name."""
        counts = {"orphan_files": len(self.files), "orphan_rows": len(self.rows), "repaired": self.repaired}
        return {**counts, "files": self.files[:NAMED], "rows": self.rows[:NAMED], "lost": self.lost[:NAMED]}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One run: the ground, the job's beat, and up to when a file has to be written to be looked at."""

    ground: Ground
    beat: Callable[[str], object]
    until_s: float
    found: Found = field(default_factory=Found)

    @property
    def data(self) -> Path:
        return self.ground.held.data_dir

    def settled(self, paths: Iterator[Path]) -> Iterator[str]:
        """Those that nobody works on, relative to the data directory."""
        yield from (path.relative_to(self.data).as_posix() for path in paths if written_by(path, self.until_s))


def reconcile(reclaimer: Reclaimer, task: Task) -> Done:
    """The job.  Raises DatabaseError and DiskError; what was mended by then stays mended."""
    ground = reclaimer.ground
    ground.held.check()
    run = Comparison(ground, partial(task.beat, None), ground.clock.now_us() / US - SETTLED_S)
    finished = reclaimer.finish(0, run.beat)
    run.found.note(run.found.files, "deletion was finished", finished.went, repaired=True)
    run.found.note(run.found.files, "file of a reclaimed frame is here", finished.stay, repaired=False)
    for step in (_adopt, _find_missing, _look_at_videos, _look_at_thumbnails):
        step(run)
    found = run.found
    return Done(found.result(), lambda _: [FilesReconciled(len(found.files), len(found.rows), found.repaired)])


def _adopt(run: Comparison) -> None:
    """Leftovers go, frames without a row get theirs, what is no frame is named."""
    journal, found = run.ground.journal, run.found
    left = list(run.settled(path for folder in day_folders(run.data) for path in folder.glob(f".*{TMP}")))
    found.note(found.files, "unfinished file was removed", left, repaired=True)
    care = Care(run.until_s, partial(run.beat, "files without a row"))
    report = adopt(run.data, journal, FrameReader(journal.database), "", announce=True, care=care)
    found.note(found.files, "frame was adopted", report.adopted, repaired=True)
    found.note(found.files, "file is no frame", [each.path for each in report.foreign], repaired=False)


def _find_missing(run: Comparison) -> None:
    """Frames whose files are not here: what a target holds counts as gone, so that it can be brought back."""
    reader, seq = RetentionReader(run.ground.journal.database), 0
    while page := reader.here(seq):
        run.beat("rows without a file")
        with frames_still(run.data):  # else a file that is just brought back, or just deleted, seems to be missing
            missing = [each for each in page if not (run.data / each.path).exists()]
            _mark(run, [each for each in reader.here(seq) if each in missing] if missing else [])
        seq = page[-1].seq


def _mark(run: Comparison, missing: list[Here]) -> None:
    found, held = run.found, [each for each in missing if each.held]
    lost = [each.path for each in missing if not each.held]
    now_us = run.ground.clock.now_us()
    for start in range(0, len(held), CHUNK):
        run.ground.journal.write(partial(retention.mark_missing, lost=held[start : start + CHUNK], at_us=now_us))
    found.note(found.rows, "file is missing; a target holds it", [each.path for each in held], repaired=True)
    found.note(found.rows, "file is missing and nowhere else", lost, repaired=False)
    found.lost += lost


def _look_at_videos(run: Comparison) -> None:
    """Of a video that was removed the files go; one that no row knows is named and stays."""
    found, database = run.found, run.ground.journal.database
    wanted = VideoReader(database).files()
    removed = {path for pair in RetentionReader(database).removed_videos() for path in pair} - wanted
    here = set(run.settled(path for path in (run.data / VIDEOS).rglob("[!.]*") if path.is_file()))
    gone = sorted(here & removed)
    removing.remove(run.data / path for path in gone)
    found.note(found.files, "deletion was finished", gone, repaired=True)
    found.note(found.files, "video without a row", sorted(here - wanted - removed), repaired=False)
    missing = sorted(path for path in wanted if not (run.data / path).exists())
    found.note(found.rows, "video's file is missing", missing, repaired=False)


def _look_at_thumbnails(run: Comparison) -> None:
    """Those of frames that no row knows go: they can be made again."""
    reader = RetentionReader(run.ground.journal.database)
    for folder in sorted((run.data / THUMBS).glob("*/*")):
        run.beat("thumbnails")
        names = list(run.settled(folder.glob(removing.PICTURES)))
        known = reader.known({Path(name).name[:ID_LENGTH] for name in names}) if names else set()
        gone = [name for name in names if Path(name).name[:ID_LENGTH] not in known]
        removing.remove(run.data / path for path in gone)
        run.found.note(run.found.files, "thumbnail of no frame was removed", gone, repaired=True)
