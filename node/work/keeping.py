"""From a judged shot to a safe file and its entry: one camera's frames, quarantined pictures and gaps."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from node.camera.base import ExposurePlan, Shot
from node.clock import Clock
from node.crashpoint import crash_point
from node.domain.config import AlertLimits, Quality
from node.domain.errors import DatabaseError, DiskError
from node.domain.events import FrameQuarantined, GapRecorded
from node.domain.frame import Exposure, Frame, Gap, GapReason, StageTimes, short_id
from node.domain.pressure import FLOORS, Step
from node.domain.quality import Integrity, Verdict
from node.domain.schedule import Due
from node.domain.sidecar import to_sidecar
from node.domain.times import to_datetime
from node.host.disk import space
from node.imaging.exif import with_sidecar
from node.journal import Journal
from node.store.files import Hold, room_for, write_atomic
from node.work.judge import Assessed
from node.work.live import Segment
from node.work.rebuild import kept

TIMELAPSE = "default"
SIDECAR_BYTES = 4096
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """A shot with its judgement, not yet on disk.  `due` is None where no slot asked for it."""

    id: str
    shot: Shot
    assessed: Assessed
    profile: str
    plan: ExposurePlan
    quality: Quality
    segment: Segment
    due: Due | None
    stages: StageTimes
    sun_elevation_deg: float | None
    recaptured: bool = False

    @property
    def intact(self) -> bool:
        return self.assessed.integrity is Integrity.INTACT

    @property
    def good(self) -> bool:
        """Intact, and not found bad: a picture that nobody could judge speaks against no camera."""
        return self.intact and self.assessed.judgement.verdict is not Verdict.BAD

    @property
    def rank(self) -> tuple[bool, int]:
        """Of two shots of one slot the higher one is kept."""
        score = self.assessed.judgement.score
        return self.intact, -1 if score is None else score

    @property
    def took_us(self) -> int:
        """From the request to the judgement."""
        return self.stages.measured_us - self.stages.request_us


class Keeper:
    """One camera's.  Files first, then the entry; an entry that cannot be made in time is made later, under its id."""

    def __init__(self, node: str, camera: str, held: Hold, clock: Clock, journal: Journal) -> None:
        self._node, self._camera, self._held, self._clock, self.journal = node, camera, held, clock, journal
        self._data = held.data_dir
        self._waiting: deque[tuple[int, Callable[[], object]]] = deque()
        self.caught_up = False
        self.trouble = ""

    @property
    def waiting(self) -> int:
        """Entries that the database has not taken yet."""
        return len(self._waiting)

    def waiting_for(self) -> list[int]:
        """The instants that these entries are about, UTC microseconds."""
        return [due_us for due_us, _ in list(self._waiting)]  # a copy: other threads ask too

    def room(self, size_bytes: int, limits: AlertLimits) -> None:
        """Raises DiskFull where a frame of that size has no room above the floor of capture, DirectoryMissing."""
        self._held.check()
        floor = FLOORS[Step.STOPPED].free_bytes(space(self._data).total_bytes, limits)
        room_for(self._data, size_bytes + SIDECAR_BYTES, floor)

    def keep(self, taken: Taken) -> Frame:
        """An intact shot becomes a kept frame.  Raises DiskError: then nothing was kept."""
        frame, data = self._sealed(taken)
        write_atomic(self._data / frame.path, data)
        crash_point("file_written")
        due, day = taken.due, self._day(taken)
        event = kept(frame)
        settled = self.settled_to(frame.due_us)
        slot = due.slot if due else None
        self._enter(frame.due_us, lambda: self.journal.keep(frame, slot, [event], day=day, settled_to_us=settled))
        crash_point("frame_committed")
        return frame

    def quarantine(self, taken: Taken, *, explains: bool) -> Frame:
        """A picture that is not kept: bytes as they came, its sidecar beside it.  Raises DiskError.

        With `explains` its slot becomes a gap "damaged" in the same entry.
        """
        frame = self._aside(taken)
        path = self._data / frame.path
        sidecar = json.dumps(to_sidecar(frame), ensure_ascii=False).encode()
        write_atomic(path.with_name(path.name + ".json"), sidecar)
        write_atomic(path, taken.shot.jpeg)
        crash_point("quarantine_written")
        event = FrameQuarantined(
            frame.id, frame.camera, frame.profile, frame.due_us, frame.integrity, frame.path, taken.shot.source
        )
        gap = _gap(taken.segment, taken.due, GapReason.DAMAGED) if explains and taken.due else None
        events = [event] if gap is None else [event, _gap_event(gap)]
        day, settled = self._day(taken), self.settled_to(frame.due_us) if explains else None
        self._enter(frame.due_us, lambda: self.journal.quarantine(frame, gap, events, day=day, settled_to_us=settled))
        return frame

    def explain(self, segment: Segment, due: Due, reason: GapReason, error_code: str = "") -> None:
        """A due slot becomes a gap."""
        gap = _gap(segment, due, reason, error_code)
        day = segment.calendar.date_of(due.slot.due_us).isoformat()
        settled = self.settled_to(due.slot.due_us)
        self._enter(due.slot.due_us, lambda: self.journal.gap(gap, [_gap_event(gap)], day=day, settled_to_us=settled))

    def retry(self) -> None:
        """Make the entries that had to wait; those that still cannot be made go on waiting."""
        while self._waiting:
            _, entry = self._waiting[0]
            try:
                entry()
            except (DatabaseError, DiskError) as error:
                self.trouble = error.code
                return
            self._waiting.popleft()
        self.trouble = ""

    # --- inside -----------------------------------------------------------------------------------------------

    def _enter(self, due_us: int | None, entry: Callable[[], object]) -> None:
        """The file is safe already: a database that is late or full costs the entry time, not the frame."""
        try:
            entry()
        except (DatabaseError, DiskError) as error:
            LOG.warning("entry waits", extra={"error": str(error)})
            self.trouble = error.code
            self._waiting.append((due_us if due_us is not None else self._clock.now_us(), entry))

    def settled_to(self, due_us: int | None) -> int | None:
        """Up to just before this slot all is settled, unless the start's catching up or a waiting entry is behind."""
        if due_us is None or not self.caught_up:
            return None
        return min([due_us, *self.waiting_for()]) - 1

    def _day(self, taken: Taken) -> str:
        at_us = taken.due.slot.due_us if taken.due else taken.shot.captured_us
        return taken.segment.calendar.date_of(at_us).isoformat()

    def _sealed(self, taken: Taken) -> tuple[Frame, bytes]:
        """The frame and the very bytes of its file, whose hash it carries."""
        frame = self._described(taken)
        data = with_sidecar(taken.shot.jpeg, to_sidecar(frame))
        path = f"frames/{self._camera}/{TIMELAPSE}/{self._folder(taken, '%Y/%m/%d')}/{_name(frame)}.jpg"
        return replace(frame, path=path, size_bytes=len(data), sha256=_sha256(data)), data

    def _aside(self, taken: Taken) -> Frame:
        frame = replace(self._described(taken), quarantined=True, flagged=True)
        ending = "bin" if taken.assessed.integrity in (Integrity.EMPTY, Integrity.WRONG_TYPE) else "jpg"
        path = f"quarantine/{self._camera}/{self._folder(taken, '%Y-%m-%d')}/{_name(frame)}.{ending}"
        return replace(frame, path=path, size_bytes=len(taken.shot.jpeg), sha256=_sha256(taken.shot.jpeg))

    def _folder(self, taken: Taken, form: str) -> str:
        return taken.segment.calendar.date_of(taken.shot.captured_us).strftime(form)

    def _described(self, taken: Taken) -> Frame:
        """All but what the file itself will say."""
        shot, judged, due = taken.shot, taken.assessed.judgement, taken.due
        unjudged_by_choice = not taken.quality.enabled
        return Frame(
            id=taken.id,
            node=self._node,
            camera=self._camera,
            profile=taken.profile,
            due_us=due.slot.due_us if due else None,
            schedules=due.schedules if due else (),
            shoots=due.shoots if due else (),
            captured_us=shot.captured_us,
            clock_synced=self._clock.synced(),
            path="",
            size_bytes=0,
            sha256="",
            width=taken.assessed.width or shot.width,
            height=taken.assessed.height or shot.height,
            requested=Exposure(taken.plan.exposure_s, taken.plan.gain, taken.plan.ev_stops),
            actual=shot.actual,
            settled=shot.settled,
            backend=shot.backend,
            config_version=taken.segment.version,
            integrity=taken.assessed.integrity.value,
            verdict=judged.verdict.value,
            score=judged.score,
            reasons=tuple(reason.code for reason in judged.reasons),
            flagged=judged.verdict is not Verdict.GOOD and not unjudged_by_choice,
            quarantined=False,
            recaptured=taken.recaptured,
            sun_elevation_deg=taken.sun_elevation_deg,
            stages=taken.stages,
        )


def _name(frame: Frame) -> str:
    """`20261120T051600123Z_auto_1A2B3C4D`."""
    moment = to_datetime(frame.captured_us)
    return f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03}Z_{frame.profile}_{short_id(frame.id)}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _gap(segment: Segment, due: Due, reason: GapReason, error_code: str = "") -> Gap:
    return Gap(due.slot, due.schedules, due.shoots, reason, error_code, segment.version)


def _gap_event(gap: Gap) -> GapRecorded:
    return GapRecorded(gap.slot.camera, gap.slot.profile, gap.slot.due_us, gap.reason.value, gap.error_code)
