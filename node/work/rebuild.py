"""Rows from files: adopts frames that have no row, names rows that have no file.  Never deletes a picture."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from node.clock import Clock
from node.domain.config import load_own
from node.domain.errors import DocumentInvalid, SidecarUnknown, UnknownVersion
from node.domain.events import DatabaseRestored, Event, FrameKept, FrameQuarantined, GapRecorded
from node.domain.frame import Frame, Gap, GapReason, SlotKey
from node.domain.sidecar import from_sidecar
from node.domain.times import to_datetime, to_us
from node.host.files import TMP
from node.imaging.exif import HEAD_BYTES, read_sidecar
from node.journal import Journal, Kept
from node.store import log
from node.store.configs import VersionBook
from node.store.database import Database
from node.store.files import day_folders, day_of, hold, sweep, written_by
from node.store.frames import FrameReader
from node.store.ledger import LedgerReader
from node.store.replace import open_sound, restored_from, told
from node.store.session import Session

NAME_TIME = "%Y%m%dT%H%M%S%f"
SIDECAR = ".json"
_MARGIN = timedelta(days=2)  # a site's date is at most a day from UTC's
_CHUNK = 1 << 20
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Foreign:
    """A file among the frames that cannot be adopted, and why.  Paths are relative to the data directory."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class Report:
    """What files and rows had to say about each other.

    `swept` unfinished files were removed.  `missing` rows have no file though no rule deleted it, `changed` ones a file
    of another size.  `aside` is where a damaged database lies now, `backup` what the new one was made from.
    """

    files: int = 0
    adopted: tuple[str, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    swept: int = 0
    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    aside: str = ""
    backup: str = ""


def rebuild(data_dir: Path, clock: Clock) -> Report:
    """Compare all files and rows, and make the rows that are missing; a damaged database is restored first.

    Holds the data directory.  Raises DirectoryHeld, DirectoryMissing, DatabaseBusy where another process has a damaged
    database open, DiskFull, DiskReadOnly, SchemaNewer.
    """
    with hold(data_dir):
        database = open_sound(data_dir, clock.now_us(), check=True)
        try:
            journal, reader = Journal(database, clock), FrameReader(database)
            found = _after_restoring(data_dir, journal, reader) or adopt(data_dir, journal, reader, "", announce=True)
            missing, changed = compare(data_dir, reader)
        finally:
            database.close()
    return replace(found, missing=missing, changed=changed)


def recover(data_dir: Path, journal: Journal, reader: FrameReader) -> Report:
    """At start: the rows of all frames that a restored database does not know; else what a crash left without one."""
    return _after_restoring(data_dir, journal, reader) or adopt_recent(data_dir, journal, reader)


def _after_restoring(data_dir: Path, journal: Journal, reader: FrameReader) -> Report | None:
    """Adopts and tells of it, once, however often this is interrupted; None where nothing was restored."""
    restored = journal.database.read(restored_from)
    if restored is None:
        return None
    found = adopt(data_dir, journal, reader, "", announce=False)
    event, now_us = DatabaseRestored(restored.aside, restored.backup, len(found.adopted)), journal.clock.now_us()

    def work(session: Session) -> None:
        told(session)
        log.append(session, [event], now_us)

    journal.write(work)
    return replace(found, aside=restored.aside, backup=restored.backup)


def adopt_recent(data_dir: Path, journal: Journal, reader: FrameReader) -> Report:
    """At start: what a crash left between a file and its row, in the folders around the rows written last.

    A frame whose clock was not set may say 1970: only where all do, they say where to look.
    """
    last = reader.last_committed()
    captured = [to_datetime(frame.captured_us) for frame in [each for each in last if each.clock_synced] or last]
    since = (min(captured) - _MARGIN).date().isoformat() if captured else ""
    return adopt(data_dir, journal, reader, since, announce=True)


@dataclass(frozen=True, slots=True)
class Care:
    """Beside a running service: files written after `until_s` (of the wall clock) are left to it.

    `beat` is called for each folder; whatever it raises ends the work between two of them.
    """

    until_s: float = math.inf
    beat: Callable[[], object] = lambda: None


ALONE = Care()


def adopt(
    data_dir: Path, journal: Journal, reader: FrameReader, since: str, *, announce: bool, care: Care = ALONE
) -> Report:
    """A row for each frame's file without one, of that site day (`yyyy-mm-dd`) or later; events with `announce`.

    Frames come before quarantined files, so that a slot's good picture has the slot.
    """
    swept, files = sweep(data_dir, since, care.until_s), 0
    adopted: list[str] = []
    foreign: list[Foreign] = []
    days = _Days(reader.database)
    for folder in day_folders(data_dir, since):
        care.beat()
        pictures = sorted(path for path in folder.iterdir() if _is_picture(path) and written_by(path, care.until_s))
        files += len(pictures)
        for path in _rowless(data_dir, pictures, reader):
            relative = path.relative_to(data_dir).as_posix()
            found = _frame_of(path, relative)
            if isinstance(found, Foreign):
                foreign.append(found)
            elif _enter(journal, found, days, announce=announce).known:
                foreign.append(Foreign(relative, f"a copy of frame {found.id}"))
            else:
                LOG.info("frame adopted", extra={"frame": found.id, "camera": found.camera, "path": relative})
                adopted.append(found.id)
    return Report(files, tuple(adopted), tuple(foreign), swept)


def compare(data_dir: Path, reader: FrameReader) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Paths of rows without a file, and of rows whose file has another size."""
    missing: list[str] = []
    changed: list[str] = []
    for frame in reader.every():
        path = data_dir / frame.path
        if not path.is_file():
            missing += [] if reader.reclaimed(frame.id) else [frame.path]
        elif path.stat().st_size != frame.size_bytes:
            changed.append(frame.path)
    return tuple(missing), tuple(changed)


def _rowless(data_dir: Path, pictures: list[Path], reader: FrameReader) -> Iterator[Path]:
    """Those of a folder that have no row.  Its rows are found by the time that a file's name carries."""
    if not pictures:
        return
    times = [at_us for path in pictures if (at_us := _name_time_us(path)) is not None]
    camera = pictures[0].relative_to(data_dir).parts[1]
    known = reader.paths(camera, min(times), max(times)) if times else {}
    yield from (path for path in pictures if path.relative_to(data_dir).as_posix() not in known)


def _name_time_us(path: Path) -> int | None:
    try:
        return to_us(datetime.strptime(path.name.split("Z_")[0], NAME_TIME).replace(tzinfo=UTC))
    except ValueError:
        return None


def _frame_of(path: Path, relative: str) -> Frame | Foreign:
    """The frame that a file says it is."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            digest = hashlib.sha256(head)
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
            size = file.tell()
    except OSError as error:
        return Foreign(relative, error.strerror or str(error))
    try:
        sidecar = _beside(path) or read_sidecar(head)
        if sidecar is None:
            return Foreign(relative, "it carries no sidecar")
        return from_sidecar(sidecar, relative, size, digest.hexdigest())
    except SidecarUnknown as error:
        return Foreign(relative, str(error))


def _is_picture(path: Path) -> bool:
    """A picture put aside stays as it came, so its sidecar lies beside it."""
    return path.suffix not in (SIDECAR, TMP) and path.is_file()


def _beside(path: Path) -> dict[str, Any] | None:
    beside = path.with_name(path.name + SIDECAR)
    if not beside.is_file():
        return None
    try:
        found = json.loads(beside.read_bytes())
    except (OSError, ValueError) as error:
        raise SidecarUnknown(f"{beside.name}: {error}") from None
    if not isinstance(found, dict):
        raise SidecarUnknown(f"{beside.name}: no object")
    return found


class _Days:
    """The site day that counts a frame: that of its slot, by the timezone of the document that asked for it."""

    def __init__(self, database: Database) -> None:
        self._book, self.ledger = VersionBook(database), LedgerReader(database)
        self._zones: dict[int, ZoneInfo | None] = {}

    def of(self, frame: Frame) -> str:
        """`yyyy-mm-dd`; the day of its folder where nothing asked for it, or that document is not known any more."""
        zone = self._zone(frame.config_version)
        if frame.due_us is None or zone is None:
            return day_of(frame.path)
        return to_datetime(frame.due_us).astimezone(zone).date().isoformat()

    def _zone(self, version: int) -> ZoneInfo | None:
        if version not in self._zones:
            self._zones[version] = self._look_up(version)
        return self._zones[version]

    def _look_up(self, version: int) -> ZoneInfo | None:
        try:
            document, _ = load_own(self._book.get(version).document)
        except (UnknownVersion, DocumentInvalid):
            return None
        return ZoneInfo(document.site.timezone)


def _enter(journal: Journal, frame: Frame, days: _Days, *, announce: bool) -> Kept:
    """The same entry that was not made when the frame was."""
    slot = None if frame.due_us is None else SlotKey(frame.camera, frame.profile, frame.due_us)
    day = days.of(frame)
    if not frame.quarantined:
        return journal.keep(frame, slot, [kept(frame)] if announce else [], day=day)
    gap = (
        None
        if slot is None or days.ledger.settled(slot.camera, slot.due_us - 1, slot.due_us)
        else _damaged(frame, slot)
    )
    return journal.quarantine(frame, gap, _put_aside(frame, gap) if announce else [], day=day)


def _damaged(frame: Frame, slot: SlotKey) -> Gap:
    return Gap(slot, frame.schedules, frame.shoots, GapReason.DAMAGED, config_version=frame.config_version)


def _put_aside(frame: Frame, gap: Gap | None) -> list[Event]:
    event = FrameQuarantined(frame.id, frame.camera, frame.profile, frame.due_us, frame.integrity, frame.path)
    if gap is None:
        return [event]
    return [event, GapRecorded(frame.camera, frame.profile, gap.slot.due_us, gap.reason.value, gap.error_code)]


def kept(frame: Frame) -> FrameKept:
    """What is told of a kept frame: how late it was asked for, and how long it took until it was read."""
    stages = frame.stages
    late_us = stages.request_us - stages.due_us if frame.due_us is not None else 0
    return FrameKept(
        frame=frame.id,
        camera=frame.camera,
        profile=frame.profile,
        due_us=frame.due_us,
        captured_us=frame.captured_us,
        size_bytes=frame.size_bytes,
        verdict=frame.verdict,
        score=frame.score,
        reasons=frame.reasons,
        flagged=frame.flagged,
        late_ms=round(late_us / 1000),
        took_ms=round((stages.read_us - stages.request_us) / 1000),
    )
