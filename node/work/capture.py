"""One camera's loop: every due slot ends as a kept frame or as a gap with a reason.

The journey of a frame, in order: due, room, shot, judgement (and at most one recapture), file, entry, memory.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from node.board import Board
from node.camera.base import CameraConfig, ExposurePlan, ShotSpec
from node.camera.supervisor import CameraState, Supervisor
from node.clock import US, Clock
from node.crashpoint import crash_point
from node.domain.config import Quality
from node.domain.errors import (
    CameraBusy,
    CameraError,
    CameraFault,
    CameraMismatch,
    CameraOffline,
    CameraTimeout,
    DiskError,
    DiskFull,
    HeliographError,
    InternalError,
)
from node.domain.events import LoopFailed
from node.domain.facts import LoopFacts, QualityFacts, loop_key, quality_key
from node.domain.frame import Frame, GapReason, StageTimes
from node.domain.quality import Integrity, Verdict, is_day, speaks_against, went_dark
from node.domain.schedule import Due
from node.imaging.baseline import light
from node.journal import Journal
from node.store.ledger import LedgerReader
from node.work.agenda import Agenda, Asked
from node.work.holds import Holds
from node.work.judge import Judge
from node.work.keeping import Keeper, Taken
from node.work.ladder import Ladder
from node.work.live import Live, Segment
from node.work.proof import Seen, Shown

Answer = TypeVar("Answer")

BREAKER_FAILURES = 5
BREAKER_PAUSE_S, PAUSE_S = 60.0, 1.0
LONGEST_WAIT_S = 60.0
AFTER_SHOT_S = 10.0  # for judgement, file and entry
RECAPTURE_MARGIN = 1.5
LOOK_AHEAD_US = 2 * 86400 * US
CATCH_UP_BATCH, CATCH_UP_ROOM_S = 500, 0.2
CATCH_UP_LITTLE, CATCH_UP_TURNS = 20, 10
TOO_DARK = 0.05  # mean luminance; where the sun's place is not known, such a picture shows nothing
TYPICAL_BYTES = 4 * 1024 * 1024
LOG = logging.getLogger(__name__)

REASONS: tuple[tuple[type[HeliographError], GapReason], ...] = (
    (CameraTimeout, GapReason.TIMEOUT),
    (CameraBusy, GapReason.BUSY),
    (CameraOffline, GapReason.CAMERA_OFFLINE),
    (CameraError, GapReason.CAMERA_FAULT),
    (DiskFull, GapReason.DISK_FULL),
    (DiskError, GapReason.STORAGE_FAULT),
    (HeliographError, GapReason.INTERNAL),
)


@dataclass(frozen=True, slots=True)
class Shared:
    """What every camera's loop shares.  `judged` hears of each fresh shot: camera, profile, version, what it showed.

    `compared` hears by how many points the version `before_trial` did better at the same moment.  `quality_of` gives
    what the pictures of a document are judged by: on probation that is not its own word; and `usual_light` the mean
    luminance (0..1) of the camera's pictures before such a document.
    """

    clock: Clock
    journal: Journal
    board: Board
    live: Live
    judged: Callable[[str, str, int, Seen], None]
    compared: Callable[[str, str, int, float | None], None]
    before_trial: Callable[[], Segment | None]
    quality_of: Callable[[Segment], Quality]
    usual_light: Callable[[str, Segment], float | None]
    holds: Holds


@dataclass(frozen=True, slots=True)
class Equipment:
    """What one camera's loop works with.  `supervise` makes the supervisor, which tells how long it may be busy."""

    supervise: Callable[[Callable[[float], object]], Supervisor]
    judge: Judge
    keeper: Keeper
    config_of: Callable[[Segment], CameraConfig]


@dataclass(frozen=True, slots=True)
class _Request:
    """Something asked from another thread, done between two captures."""

    act: Callable[[], Any]
    answer: Future[Any]


class CaptureLoop:
    """One camera.  `turn` is one round: do what was asked, settle what is due, tend the camera, wait."""

    def __init__(self, camera: str, equipment: Equipment, shared: Shared) -> None:
        self.camera, self.name = camera, f"capture/{camera}"
        self._judge = equipment.judge
        self._keeper, self._config_of = equipment.keeper, equipment.config_of
        self._clock, self._journal, self._board = shared.clock, shared.journal, shared.board
        self._ladder = Ladder(shared.board, shared.clock)
        self._live, self._judged, self._quality_of = shared.live, shared.judged, shared.quality_of
        self._compared, self._before_trial = shared.compared, shared.before_trial
        self._usual_light, self._holds = shared.usual_light, shared.holds
        self.light: tuple[int, float] | None = None
        self._refused_code = ""
        self._supervisor = equipment.supervise(lambda seconds: self._pulse(seconds + AFTER_SHOT_S))
        self._wake = threading.Event()
        self._requests: queue.SimpleQueue[_Request] = queue.SimpleQueue()
        self._agenda = Agenda(camera, self._clock, self._live, self._keeper, shared.holds)
        self._version = -1
        self._failures = self._turns_behind = 0
        self._failure = ""
        self._stop, self._ended = threading.Event(), False

    # --- from other threads -----------------------------------------------------------------------------------

    def ask(self, act: Callable[[], Answer]) -> Future[Answer]:
        """Have the loop's own thread do something between two captures."""
        answer: Future[Answer] = Future()
        self._requests.put(_Request(act, answer))
        self.wake()
        if self._ended:
            self._refuse_requests()
        return answer

    def wake(self) -> None:
        """Look again: something changed."""
        self._wake.set()

    @property
    def camera_state(self) -> CameraState:
        return self._supervisor.state

    @property
    def settled_us(self) -> int:
        """Every slot due until then has been dealt with."""
        return self._agenda.settled_us

    @property
    def complete_us(self) -> int:
        """The ledger on disk has every slot due until then."""
        return self._agenda.complete_us

    @property
    def refused_code(self) -> str:
        """The code of what kept the last frame from being written; empty = nothing did."""
        return self._refused_code

    @property
    def unrecorded(self) -> int:
        """Entries that wait for the database."""
        return self._keeper.waiting

    @property
    def trouble(self) -> str:
        """The code of what keeps entries from being made; empty = nothing does."""
        return self._keeper.trouble

    # --- asked for --------------------------------------------------------------------------------------------

    def shoot_now(self, profile: str) -> Frame:
        """One commanded shot, kept without a slot.  Raises CameraError (also for a damaged picture), DiskError."""
        segment = self._live.current
        self._keeper.room(TYPICAL_BYTES, segment.document.alerts)
        taken = self._take(segment, profile, None)
        if not taken.intact:
            frame = self._keeper.quarantine(taken, explains=False)
            raise CameraFault(f"the picture is {frame.integrity}; it lies in quarantine as {frame.id}")
        return self._keep(taken)

    def restart(self) -> None:
        """Reopen the camera and prove it by a test shot.  Raises CameraError."""
        self._supervisor.restart()
        self._record_steps()

    def prove(self, profile: str) -> None:
        """A proof shot: judged for the document on probation, not kept."""
        segment = self._live.current
        try:
            taken = self._take(segment, profile, None)
            seen = Seen(self._proven(taken))
        except CameraError as error:
            LOG.warning("proof shot failed", extra={"camera": self.camera, "code": error.code})
            seen = Seen(shown_by(error))
        self._judged(self.camera, profile, segment.version, seen)

    def compare(self, profile: str) -> None:
        """Two shots of one moment, not kept: under the version before the trial's, then under the trial's."""
        segment, before = self._live.current, self._before_trial()
        if before is None:
            return
        try:
            judged = [self._take(each, profile, None).assessed.judgement for each in (before, segment)]
            scores = [None if each.cold else each.score for each in judged]  # without a history both would be good
        except CameraError as error:
            LOG.warning("comparison failed", extra={"camera": self.camera, "code": error.code})
            scores = []
        told = [score for score in scores if score is not None]
        better = float(told[0] - told[1]) if len(told) == len((before, segment)) else None
        self._compared(self.camera, profile, segment.version, better)

    def _proven(self, taken: Taken) -> Shown:
        """A profile may be meant for another light than there is now: then only what cannot be right speaks."""
        if not taken.intact:
            return Shown.BAD
        segment, now_us = taken.segment, self._clock.now_us()
        coming = segment.calendar.due(self.camera, now_us, now_us + LOOK_AHEAD_US)
        due_us = next((due.slot.due_us for due in coming if due.slot.profile == taken.profile), now_us)
        then_deg = segment.sun.elevation_deg(due_us) if segment.sun else None
        shown = self._shown(taken)
        if shown is not Shown.BAD:
            return Shown.NOTHING if shown is Shown.NOTHING else Shown.PLAUSIBLE
        codes = [reason.code for reason in taken.assessed.judgement.reasons]
        codes += ["black"] if self._went_dark(taken) else []
        return Shown.BAD if speaks_against(codes, taken.sun_elevation_deg, then_deg) else Shown.PLAUSIBLE

    # --- the loop ---------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Turn until stopped; then release the camera."""
        self._stop = stop
        try:
            while not stop.is_set():
                self.guarded_turn()
        finally:
            self._ended = True
            self._refuse_requests()
            self.close()

    def close(self) -> None:
        """Release the camera, keep what was learnt."""
        self._supervisor.close()
        self._save_baseline()

    def guarded_turn(self) -> None:
        """The loop's boundary: whatever a turn raises ends here, and after five in a row the loop pauses."""
        try:
            self.turn()
        except Exception as error:
            self._failures += 1
            self._failure = f"{type(error).__name__}: {error}"
            LOG.exception("loop failed", extra={"loop": self.name})
            self._tell(LoopFailed(self.name, self._failure, self._failures))
            pause_s = BREAKER_PAUSE_S if self._failures >= BREAKER_FAILURES else PAUSE_S
            self._pulse(pause_s)
            self._rest(pause_s)
        else:
            self._failures, self._failure = 0, ""

    def turn(self) -> None:
        """Everything that is due by now, then wait for what comes next."""
        self._wake.clear()
        self._agenda.notice_clock()
        self._adopt(self._live.current)
        self._serve_requests()
        self._settle_due()
        self._agenda.close_shoots()
        self._tend()
        self._keeper.retry()
        wait_s = self._wait_s()
        if self._agenda.behind:
            wait_s = self._catch_up(wait_s)
        self._pulse(wait_s)
        self._rest(wait_s)

    def _rest(self, seconds: float) -> None:
        if not self._stop.is_set():  # the wake that came with it may have been cleared by this turn
            self._clock.wait(self._wake, seconds)

    def _catch_up(self, wait_s: float) -> float:
        """A batch when no slot is near, and a small one now and then where one always is; what is left to wait."""
        self._turns_behind += 1
        if wait_s >= CATCH_UP_ROOM_S:
            self._agenda.catch_up(CATCH_UP_BATCH)
            return 0.0
        if self._turns_behind % CATCH_UP_TURNS == 0:
            self._agenda.catch_up(CATCH_UP_LITTLE)
        return wait_s

    def resume(self, ledger: LedgerReader) -> None:
        """At start: go on where the last life of the service ended."""
        self._agenda.resume(ledger)
        self._post_quality()

    def _adopt(self, segment: Segment) -> None:
        """Between two captures: the camera's settings of that document."""
        if segment.version != self._version:
            self._version = segment.version
            self._supervisor.configure(self._config_of(segment))

    def _serve_requests(self) -> None:
        while not self._requests.empty():
            request = self._requests.get()
            if not request.answer.set_running_or_notify_cancel():
                continue
            try:
                request.answer.set_result(request.act())
            except HeliographError as error:
                request.answer.set_exception(error)
            finally:
                if not request.answer.done():
                    request.answer.set_exception(InternalError("the request failed unexpectedly"))
                self._record_steps()

    def _refuse_requests(self) -> None:
        with suppress(queue.Empty):
            while request := self._requests.get_nowait():
                if request.answer.set_running_or_notify_cancel():
                    request.answer.set_exception(CameraOffline("the service is stopping"))

    def _tend(self) -> None:
        at_s = self._supervisor.next_attempt_s()
        if at_s is not None and at_s <= self._clock.monotonic() and not self._stop.is_set():
            self._supervisor.tend()
            self._agenda.tended()
        self._record_steps()

    def _record_steps(self) -> None:
        steps = self._supervisor.take_steps()
        if steps:
            self._tell(*steps)

    def _tell(self, *events: Any) -> None:  # noqa: ANN401 - any of the domain's events
        try:
            self._journal.note(events)
        except HeliographError as error:  # as likely as not, the database is what failed
            LOG.warning("event was not recorded", extra={"error": str(error)})

    def _pulse(self, promise_s: float) -> None:
        """The next pulse comes within that time."""
        facts = LoopFacts(self.name, promise_s, self._failures, self._failure)
        self._board.post(loop_key(self.name), facts, self._clock.now_us())

    def _wait_s(self) -> float:
        """Seconds until the next slot, the end of a shoot, or the next try of a recovery."""
        now_us, now_s = self._clock.now_us(), self._clock.monotonic()
        next_us, closing_us = self._agenda.next_us(), self._agenda.closing_us()
        waits = [] if next_us is None else [(next_us - now_us) / US]
        if closing_us is not None:  # one that is past could not be closed just now
            waits.append((closing_us - now_us) / US if closing_us > now_us else PAUSE_S)
        attempt_s = self._supervisor.next_attempt_s()
        waits += [] if attempt_s is None else [attempt_s - now_s]
        waits += [PAUSE_S] if self._keeper.waiting else []
        return max(0.0, min(waits, default=LONGEST_WAIT_S))

    # --- slots ------------------------------------------------------------------------------------------------

    def _settle_due(self) -> None:
        """In the order of their instants: those that may still start are met, the others are explained together."""
        slots, until_us = self._agenda.due_by_now()
        missed: list[Asked] = []
        for segment, due in slots:
            self._agenda.open_shoots_of(segment, due)
            if not self._agenda.in_time(due):
                missed.append((segment, due))
                continue
            self._explain(missed)
            missed = []
            self._meet(segment, due)
        self._explain(missed)
        self._agenda.settle(until_us)

    def _explain(self, missed: Sequence[Asked]) -> None:
        self._agenda.explain(missed, camera_ok=self._supervisor.state.word == "ok")

    def _meet(self, segment: Segment, due: Due) -> None:
        """One slot in time: a kept frame, or a gap that says why not."""
        try:
            left_out = self._left_out(due)
            if left_out is None:
                seen = self._capture(segment, due)
            else:
                self._keeper.explain(segment, due, left_out)
                seen = Seen(Shown.NOTHING)
            self._refused_code = ""
        except HeliographError as error:
            if isinstance(error, DiskError):
                self._refused_code = error.code
            self._keeper.explain(segment, due, reason_of(error), error.code)
            seen = Seen(shown_by(error))
        finally:
            self._record_steps()
        # only now: what nobody foresaw leaves the slot to the next turn, which takes it again or explains it
        self._agenda.met(due)
        self._judged(self.camera, due.slot.profile, segment.version, seen)

    def _left_out(self, due: Due) -> GapReason | None:
        """Why a slot in time is not even tried."""
        if self._holds.stop(self.camera, due.slot.due_us):
            return GapReason.HELD
        return GapReason.SPARED if self._ladder.spares(due.slot.profile) else None

    def _went_dark(self, taken: Taken) -> bool:
        """Against the pictures before the document that is on probation, if one is."""
        usual, mean = self._usual_light(self.camera, taken.segment), taken.assessed.measures.get("mean")
        return usual is not None and mean is not None and went_dark(mean, usual, taken.quality.limits)

    def _shown(self, taken: Taken) -> Shown:
        """A picture that the judge failed on shows nothing; where judging is off, an intact one is good."""
        if not taken.good or self._went_dark(taken):
            return Shown.BAD
        if taken.assessed.judgement.verdict is Verdict.UNJUDGED:
            return Shown.NOTHING if taken.quality.enabled else Shown.GOOD
        return _weight(taken)

    def _capture(self, segment: Segment, due: Due) -> Seen:
        """The frame's journey.  Raises CameraError, DiskError: then there is neither frame nor gap yet."""
        self._ladder.check()
        self._keeper.room(TYPICAL_BYTES, segment.document.alerts)
        taken, other = self._take_once_or_twice(segment, due)
        self._note_picture(taken)
        if taken.intact:
            self._keep(taken)
        else:
            self._keeper.quarantine(taken, explains=True)
        if other is not None:
            self._put_aside(other)
        return Seen(self._shown(taken), taken.assessed.judgement.score, light(taken.sun_elevation_deg))

    def _keep(self, taken: Taken) -> Frame:
        frame = self._keeper.keep(taken)
        self._judge.learn(taken.assessed)
        if taken.good and "mean" in taken.assessed.measures:
            self.light = (taken.shot.captured_us, taken.assessed.measures["mean"])
        self._post_quality()
        return frame

    def _put_aside(self, taken: Taken) -> None:
        """The worse of two shots: the slot has its outcome already, whatever becomes of this one."""
        try:
            self._keeper.quarantine(taken, explains=False)
        except DiskError as error:
            LOG.warning("picture was not put aside", extra={"camera": self.camera, "error": str(error)})

    def _post_quality(self) -> None:
        remembered = QualityFacts(self.camera, self._judge.bands())
        self._board.post(quality_key(self.camera), remembered, self._clock.now_us())

    # --- shots ------------------------------------------------------------------------------------------------

    def _take_once_or_twice(self, segment: Segment, due: Due) -> tuple[Taken, Taken | None]:
        """The better of the shot and its one recapture, and the other one, which is put aside, never thrown away."""
        first = self._take(segment, due.slot.profile, due)
        if first.good or not self._may_recapture(segment, due, first):
            return first, None
        try:
            second = replace(self._take(segment, due.slot.profile, due), recaptured=True)
        except CameraError as error:
            LOG.warning("recapture failed", extra={"camera": self.camera, "code": error.code})
            return first, None
        return (second, first) if second.rank >= first.rank else (first, second)

    def _may_recapture(self, segment: Segment, due: Due, first: Taken) -> bool:
        """Only where it ends before the next slot, and not of a file that will be the same again."""
        if not segment.document.camera(self.camera).recapture:
            return False
        upcoming = self._live.next_due(self.camera, due.slot.due_us)
        ends_us = self._clock.now_us() + first.took_us * RECAPTURE_MARGIN
        return upcoming is None or ends_us < upcoming.slot.due_us

    def _take(self, segment: Segment, profile: str, due: Due | None) -> Taken:
        """A shot and its judgement.  Raises CameraError."""
        self._adopt(segment)
        asked, quality = segment.document.profile(profile), self._quality_of(segment)
        plan = ExposurePlan(asked.mode, asked.exposure_s, asked.gain, asked.ev_stops)
        identity, request_us = self._clock.new_id(), self._clock.now_us()
        crash_point("before_shot")
        shot = self._supervisor.shoot(ShotSpec(due.slot.due_us if due else request_us, plan))
        crash_point("shot_taken")
        read_us = self._clock.now_us()
        elevation = segment.sun.elevation_deg(shot.captured_us) if segment.sun else None
        luma = (shot.luma, shot.luma_width, shot.luma_height) if shot.luma else None
        assessed = self._judge.assess(shot.jpeg, profile, elevation, quality, luma)
        for error in assessed.errors:
            LOG.error("judge failed", extra={"camera": self.camera, "frame": identity, "error": str(error)})
        stages = StageTimes(due.slot.due_us if due else 0, request_us, shot.captured_us, read_us, self._clock.now_us())
        return Taken(identity, shot, assessed, profile, plan, quality, segment, due, stages, elevation)

    def _note_picture(self, taken: Taken) -> None:
        if taken.good:
            self._supervisor.note_good_picture()
        elif taken.assessed.integrity is not Integrity.WRONG_TYPE:
            self._supervisor.note_bad_picture()

    def _save_baseline(self) -> None:
        try:
            self._judge.save()
        except DiskError as error:
            LOG.warning("baseline was not saved", extra={"camera": self.camera, "error": str(error)})


def _weight(taken: Taken) -> Shown:
    """How much a good picture proves: not much without a history to compare with, and not much by night."""
    if taken.assessed.judgement.cold:
        return Shown.PLAUSIBLE
    day = is_day(taken.sun_elevation_deg, taken.quality.limits)
    dark = taken.assessed.measures.get("mean", 1.0) < TOO_DARK if day is None else not day
    return Shown.DARK if dark else Shown.GOOD


def shown_by(error: HeliographError) -> Shown:
    """What a shot that failed shows of the document."""
    return Shown.REFUSED if isinstance(error, CameraMismatch) else Shown.BAD


def reason_of(error: HeliographError) -> GapReason:
    """Why a slot has no frame, when that error stopped it."""
    return next(reason for kind, reason in REASONS if isinstance(error, kind))
