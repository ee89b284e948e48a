"""Makes thumbnails beside the frames: of what is new, and again where they are missing or broken."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.crashpoint import crash_point
from node.domain.config import Document
from node.domain.errors import PictureUnreadable
from node.domain.events import Event
from node.domain.job import Priority, ThumbnailPayload, ThumbnailRepairPayload
from node.domain.times import US
from node.domain.trigger import Cursor
from node.entries import Entries
from node.jobs import Jobs
from node.store import cursors, files, jobs, removing, thumbs
from node.store.database import Database
from node.store.session import Session
from node.store.thumbs import SIZES, THUMBS, Wanting, path_of
from node.work.task import Done, Task

KIND = "thumbnail"
BATCH = 200
"""Frames of one job."""
REST_S = 15.0
"""From one job of a camera to its next: a fast camera's frames go together."""
PASSED_OVER = ("damaged", "missing", "unreadable")
DEAD_S = 3600.0
"""So long a dead letter is left to whoever looks at it; then its camera is tried again."""
FAR = 5000
"""Rows after which a cursor is moved though its camera had none among them."""
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Darkroom:
    """What thumbnails are made with."""

    database: Database
    data: Path
    document: Callable[[], Document]


@dataclass(frozen=True, slots=True)
class _Batch:
    """The next frames of a camera, and the cursor after them."""

    frames: list[Wanting]
    cursor: Cursor


def cursor_of(camera: str) -> str:
    """The name of a camera's cursor."""
    return f"{THUMBS}/{camera}"


class Thumbnails:
    """The handlers of `thumbnail` (what is new) and `thumbnail-repair`.  Run again, they find what is there."""

    def __init__(self, darkroom: Darkroom) -> None:
        self._darkroom, self._data = darkroom, darkroom.data

    def make(self, task: Task) -> Done:
        """Of the camera's next frames; a damaged, missing or unreadable original is passed over and counted."""
        wanted = task.payload
        assert isinstance(wanted, ThumbnailPayload)
        keep = self._darkroom.document().thumbnails.keep
        if keep == "off":
            return Done({"kept": keep})
        batch = self._darkroom.database.read(lambda session: _batch(session, wanted.camera, latest=keep == "latest"))
        counts = self._each(batch.frames, len(batch.frames), task, self._unless_there)
        if keep == "latest" and sum(counts[name] for name in PASSED_OVER) < len(batch.frames):
            counts["removed"] = self._only(batch.frames[0], task)
        crash_point("thumbs_made")

        def rows(session: Session) -> Iterable[Event]:
            cursors.put(session, cursor_of(wanted.camera), batch.cursor)
            return ()

        return Done(dict(counts), rows)

    def repair(self, task: Task) -> Done:
        """Looks at every thumbnail of the camera and makes what is missing or broken; or all anew."""
        wanted = task.payload
        assert isinstance(wanted, ThumbnailRepairPayload)
        keep, database = self._darkroom.document().thumbnails.keep, self._darkroom.database
        if keep == "off":
            return Done({"kept": keep})
        act = self._made if wanted.everything else self._unless_sound
        if keep == "latest":
            newest = database.read(lambda session: thumbs.newest_wanting(session, wanted.camera))
            return Done(dict(self._each(newest, len(newest), task, act)))
        total = database.read(lambda session: thumbs.count_wanting(session, wanted.camera))
        return Done(dict(self._each(self._every(wanted.camera), total, task, act)))

    # --- one frame --------------------------------------------------------------------------------------------

    def _each(self, frames: Iterable[Wanting], total: int, task: Task, act: Callable[[Wanting], str]) -> Counter[str]:
        """What became of how many."""
        counts: Counter[str] = Counter()
        for number, frame in enumerate(frames):
            task.beat(number / total if total else None, f"{number} of {total} frames")
            counts[act(frame)] += 1
        return counts

    def _unless_there(self, frame: Wanting) -> str:
        there = all(path_of(self._data, frame, size).is_file() for size in SIZES)
        return "there" if there else self._made(frame)

    def _unless_sound(self, frame: Wanting) -> str:
        sound = all(_is_sound(path_of(self._data, frame, size)) for size in SIZES)
        return "sound" if sound else self._made(frame)

    def _made(self, frame: Wanting) -> str:
        # not before the first job: an idle process has no use for what this brings along
        from node.imaging.thumbnail import fitting  # noqa: PLC0415

        try:
            original = (self._data / frame.path).read_bytes()
            pictures = fitting(original, [(size.width, size.height, size.quality) for size in SIZES])
        except FileNotFoundError:
            return "missing"
        except OSError as error:  # a bad sector: of the others there is more to be had
            LOG.warning("original cannot be read", extra={"path": frame.path, "error": str(error)})
            return "unreadable"
        except PictureUnreadable:
            return "damaged"
        reserve = self._darkroom.document().alerts.disk_reserve_bytes
        files.room_for(self._data, sum(map(len, pictures)), reserve)
        for size, picture in zip(SIZES, pictures, strict=True):
            files.replace_atomic(path_of(self._data, frame, size), picture)
        return "made"

    # --- many -------------------------------------------------------------------------------------------------

    def _every(self, camera: str) -> Iterator[Wanting]:
        """All frames of the camera that may have thumbnails, read in batches."""
        batch = self._after(camera, 0)
        while batch:
            yield from batch
            batch = self._after(camera, batch[-1].seq)

    def _after(self, camera: str, seq: int) -> list[Wanting]:
        return self._darkroom.database.read(lambda session: thumbs.wanting(session, camera, seq, BATCH))

    def _only(self, newest: Wanting, task: Task) -> int:
        """Removes the camera's other thumbnails; how many."""
        own = {path_of(self._data, newest, size) for size in SIZES}
        others = [path for path in (self._data / THUMBS / newest.camera).glob("*/*.jpg") if path not in own]
        gone = 0
        for start in range(0, len(others), BATCH):
            task.beat(None, f"{start} of {len(others)} older ones removed")
            gone += removing.remove(others[start : start + BATCH])
        return gone


def _batch(session: Session, camera: str, *, latest: bool) -> _Batch:
    """Nothing left behind the cursor: the next look begins at the end of the table."""
    cursor, newest = cursors.get(session, cursor_of(camera)) or Cursor(), cursors.newest_seq(session)
    if latest:
        return _Batch(thumbs.newest_wanting(session, camera), Cursor(newest))
    found = thumbs.wanting(session, camera, cursor.seq, BATCH)
    return _Batch(found, Cursor(found[-1].seq if len(found) == BATCH else max(newest, cursor.seq)))


def _is_sound(path: Path) -> bool:
    from node.imaging.decode import check  # noqa: PLC0415 - as above

    try:
        return check(path.read_bytes()).pixels is not None
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class _Need:
    """What one look found of a camera.  No frame of it is new up to the row `clear_to`; `far` = the cursor lags.

    `died_us` is when the job died that lies there as a dead letter.
    """

    camera: str
    wants: bool
    clear_to: int
    far: bool = False
    died_us: int | None = None


class ThumbRounds:
    """Asks for the thumbnails of frames that have none yet.  Used by one thread."""

    def __init__(self, entries: Entries, cameras: Sequence[str], document: Callable[[], Document]) -> None:
        self._entries, self._database, self._clock = entries, entries.database, entries.clock
        self._jobs, self._cameras, self._document = Jobs(entries), tuple(cameras), document
        self._clear: dict[str, int] = {}
        self._asked_s: dict[str, float] = {}
        self._moved = -1

    def turn(self) -> int:
        """One look; how many jobs were asked for.  Raises DatabaseBusy, DatabaseDamaged, DiskFull, DiskReadOnly."""
        if self._document().thumbnails.keep == "off":
            return 0
        moved = self._database.data_version()
        if moved == self._moved:
            return 0
        needs = self._database.read(lambda session: [self._look(session, camera) for camera in self._cameras])
        wanting = [need for need in needs if need.wants]
        asked = [need for need in wanting if self._rested(need)]
        for need in needs:
            self._note(need)
        for need in asked:
            self._ask(need)
        self._moved = moved if asked == wanting else -1
        return len(asked)

    def _ask(self, need: _Need) -> None:
        """What died is tried again as it is: a disk that stays full makes one dead letter, not one each hour."""
        if need.died_us is None:
            self._jobs.enqueue(KIND, need.camera, {"camera": need.camera}, priority=Priority.PER_CAPTURE)
        else:
            self._jobs.try_again(KIND, need.camera)
        self._asked_s[need.camera] = self._clock.monotonic()

    def _look(self, session: Session, camera: str) -> _Need:
        cursor, newest = cursors.get(session, cursor_of(camera)) or Cursor(), cursors.newest_seq(session)
        since = max(cursor.seq, self._clear.get(camera, 0))
        if not thumbs.any_beyond(session, camera, since, newest):
            return _Need(camera, wants=False, clear_to=newest, far=newest - cursor.seq > FAR)
        letter = jobs.newest_dead(session, KIND, camera)
        died_us = None if letter is None else letter.finished_us
        return _Need(camera, wants=jobs.live(session, KIND, camera) is None, clear_to=since, died_us=died_us)

    def _note(self, need: _Need) -> None:
        """Rows known to hold nothing new are not looked at again, at a start neither."""
        self._clear[need.camera] = need.clear_to
        if need.far:
            self._entries.write(lambda session: cursors.put(session, cursor_of(need.camera), Cursor(need.clear_to)))

    def _rested(self, need: _Need) -> bool:
        if need.died_us is not None and 0 <= self._clock.now_us() - need.died_us < DEAD_S * US:
            return False
        asked_s = self._asked_s.get(need.camera)
        return asked_s is None or self._clock.monotonic() - asked_s >= REST_S
