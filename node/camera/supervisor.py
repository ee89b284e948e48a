"""Supervision of one camera: a deadline for every request, and the recovery ladder when one fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from node.camera.base import CameraConfig, Capabilities, ExposurePlan, Shot, ShotSpec
from node.camera.link import Link
from node.clock import Clock
from node.domain import recovery
from node.domain.errors import (
    CameraAbsent,
    CameraError,
    CameraFault,
    CameraMismatch,
    CameraOffline,
    HeliographError,
)
from node.domain.events import CameraRecovered, RecoveryStep
from node.domain.recovery import Course, Limits, Place, Rung

Word = Literal["ok", "warming", "recovering", "offline"]
Happening = RecoveryStep | CameraRecovered


@dataclass(frozen=True, slots=True)
class CameraState:
    """A camera as it is now."""

    word: Word
    since_us: int
    rung: str | None = None
    attempt: int = 0
    failures: int = 0
    error_code: str | None = None
    worker_pid: int | None = None
    capabilities: Capabilities | None = None


class Supervisor:
    """One camera.  All calls come from one thread; `state` may be read, and `abort` called, from any.

    `busy` is told before each request how many seconds it may take.  The thread that makes the first request must
    outlive the worker: the kernel ends the worker with that thread.
    """

    def __init__(
        self,
        config: CameraConfig,
        clock: Clock,
        link: Callable[[], Link],
        *,
        limits: Limits | None = None,
        busy: Callable[[float], object] = lambda _seconds: None,
    ) -> None:
        self._config = config
        self._wanted = config
        self._clock = clock
        self._make_link = link
        self._limits = limits or Limits()
        self._tell_busy = busy
        self._aborted = False
        self._link: Link | None = None
        self._place: Place | None = Place()
        self._due_s = clock.monotonic()
        self._last_contact_s = self._due_s
        self._down_since_s = self._due_s
        self._trouble: HeliographError | None = None
        self._refused: CameraMismatch | None = None
        self._asked = 0
        self._failures = 0
        self._earlier = 0
        self._previous_s: float | None = None
        self._plan = ExposurePlan()
        self._happenings: list[Happening] = []
        self._state = CameraState("warming", clock.now_us())

    @property
    def state(self) -> CameraState:
        return self._state

    @property
    def refused(self) -> CameraMismatch | None:
        """Why the camera cannot do the settings wanted; None when it can.

        Until other settings are wanted every shot raises this: pictures of the settings before must not prove the new
        ones.  The camera itself stays open with those before.
        """
        return self._refused

    def take_steps(self) -> list[Happening]:
        """What happened since the last call, for the journal."""
        happenings, self._happenings = self._happenings, []
        return happenings

    def configure(self, config: CameraConfig) -> None:
        """Want other settings; they are applied by the next `tend` or `shoot`."""
        self._wanted, self._refused = config, None
        self._publish()

    def next_attempt_s(self) -> float | None:
        """Monotonic time at which `tend` has something to do; None = never, as things stand."""
        if self._place is not None:
            return self._due_s
        if self._wanted != self._config:
            return self._clock.monotonic()
        every = self._limits.ping_every_s
        return None if every is None else self._last_contact_s + every

    def tend(self) -> None:
        """Do what is due: the next try of the recovery, new settings, a ping.  Bounded, never raises a camera error."""
        due = self.next_attempt_s()
        if due is None or due > self._clock.monotonic():
            return
        if self._place is not None:
            self._try_next(self._place)
        elif self._wanted != self._config:
            self._adopt()
        else:
            self._ping()

    def shoot(self, spec: ShotSpec) -> Shot:
        """One shot.  Raises CameraError; a failed shot moves the ladder, never is it tried again on the open camera."""
        self._make_ready()
        self._plan = spec.plan
        try:
            return self._take(spec)
        except HeliographError as error:
            self._failed(error)
            raise _as_camera_error(error) from error

    def restart(self) -> Shot:
        """By hand: reopen and prove it by a shot.  Raises CameraError; then the recovery goes on by itself."""
        if self._place is None:
            self._down_since_s = self._clock.monotonic()
        place = recovery.start(worker_alive=self._link_alive(), earlier=0)
        shot = self._try_next(place)
        if shot is None:
            raise _as_camera_error(self._trouble or CameraFault())
        return shot

    def note_good_picture(self) -> None:
        """The caller found the last picture good."""
        self._failures = self._earlier = 0
        self._publish()

    def note_bad_picture(self) -> None:
        """The caller found the last picture bad: enough of them in a row start recovery."""
        self._count(CameraFault("bad pictures, one after the other"))

    def close(self) -> None:
        """Release the camera and end the worker, within the limits."""
        link, self._link = self._link, None
        if link is None:
            return
        if link.alive:
            try:
                link.close(self._limits.close_s)
            except HeliographError as error:
                self._trouble = error
        link.kill()

    def abort(self) -> None:
        """From any thread, for good: the request under way fails at once, and no worker is started any more."""
        self._aborted = True
        link = self._link
        if link is not None:
            link.abort()

    # --- requests -------------------------------------------------------------------------------------------

    def _make_ready(self) -> None:
        """Raises CameraError unless the camera is open with the wanted settings."""
        if self._place is None and self._wanted != self._config:
            self._adopt()
        if self._refused is not None:
            raise self._refused
        if self._place is None:
            return
        if self._due_s > self._clock.monotonic():
            raise CameraOffline(str(self._trouble or ""))
        self.tend()
        if self._place is not None:
            raise _as_camera_error(self._trouble or CameraFault())

    def _take(self, spec: ShotSpec) -> Shot:
        link = self._required_link()
        self._asked += 1
        self._last_contact_s = self._clock.monotonic()
        shot = link.shoot(spec, self._busy(self._shot_deadline_s(spec)))
        self._previous_s = shot.actual.exposure_s
        self._last_contact_s = self._clock.monotonic()
        self._publish()
        return shot

    def _shot_deadline_s(self, spec: ShotSpec) -> float:
        config = self._config
        return recovery.shot_deadline_s(
            self._limits, config.settle_frames, spec.plan.exposure_s, self._previous_s, config.shot_margin_s
        )

    def _open(self) -> None:
        link = self._required_link()
        config = replace(self._config, shots_before=self._asked)
        # the backend's own patience, where it has one, comes on top of the worker's start
        patience_s = self._limits.open_s + float(config.options.get("open_timeout_s", 0.0))
        try:
            capabilities = link.open(config, self._busy(patience_s))
        except HeliographError:
            self._asked += 1
            raise
        self._last_contact_s = self._clock.monotonic()
        self._previous_s = None
        self._publish(capabilities=capabilities)

    def _ping(self) -> None:
        try:
            health = self._required_link().ping(self._busy(self._limits.ping_s))
            if not health.open:
                raise CameraFault(f"camera is not open any more: {health.detail}")
        except HeliographError as error:
            self._failed(error)
            return
        self._last_contact_s = self._clock.monotonic()
        self._publish()

    def _busy(self, deadline_s: float) -> float:
        self._tell_busy(deadline_s)
        return deadline_s

    def _required_link(self) -> Link:
        if self._link is None:
            self._link = self._make_link()
        if self._aborted:
            self._link.abort()  # it came when this link was not there yet
        return self._link

    def _link_alive(self) -> bool:
        return self._link is not None and self._link.alive

    # --- settings -------------------------------------------------------------------------------------------

    def _adopt(self) -> None:
        before, self._config = self._config, self._wanted
        if replace(before, shot_margin_s=self._config.shot_margin_s) == self._config:
            return
        try:
            self._open()
        except CameraMismatch as error:
            self._refused, self._wanted, self._config = error, before, before
            self._reopen_after_refusal()
        except HeliographError as error:
            self._start_recovery(error)

    def _reopen_after_refusal(self) -> None:
        try:
            self._open()
        except HeliographError as error:
            self._start_recovery(error)

    # --- the ladder -----------------------------------------------------------------------------------------

    def _failed(self, error: HeliographError) -> None:
        if recovery.course(error) is Course.AT_ONCE or not self._link_alive():
            self._failures += 1
            self._start_recovery(error)
        else:
            self._count(error)

    def _count(self, error: HeliographError) -> None:
        self._failures += 1
        if self._place is None and self._failures >= recovery.patience(self._limits, self._earlier):
            self._start_recovery(error)
            self._earlier += 1
            self._failures = 0
        self._publish()

    def _start_recovery(self, error: HeliographError) -> None:
        self._down_since_s = self._clock.monotonic()
        self._go(recovery.start(worker_alive=self._link_alive(), earlier=self._earlier), error)

    def _go(self, place: Place, error: HeliographError) -> None:
        self._place, self._trouble = place, error
        self._due_s = self._clock.monotonic() + place.step.wait_s
        self._publish()

    def _try_next(self, place: Place) -> Shot | None:
        first = place.ladder is recovery.OPENING and place.index == 0
        self._tell(place, first=first)
        self._place = place
        self._config = self._wanted
        self._publish()
        try:
            shot = self._climb_to(place, prove=not first)
        except TimeoutError as error:
            self._go(place.top(), CameraFault(str(error)))
        except HeliographError as error:
            self._go(place.climb(), error)
        else:
            self._recovered(place, first=first)
            return shot
        return None

    def _climb_to(self, place: Place, *, prove: bool) -> Shot | None:
        """Raises HeliographError when the try failed, TimeoutError when the old worker does not die."""
        if place.step.rung is not Rung.REOPEN and self._link is not None:
            if not self._link.kill():
                raise TimeoutError(f"worker {self._link.pid} survives SIGKILL; it is stuck in its driver")
            self._link = None
        self._open()
        return self._take(ShotSpec(self._clock.now_us(), self._plan)) if prove else None

    def _recovered(self, place: Place, *, first: bool) -> None:
        down_s = self._clock.monotonic() - self._down_since_s
        self._place = self._trouble = None
        self._failures = 0
        if not first:
            self._happenings.append(CameraRecovered(self._config.name, place.step.rung.value, round(down_s, 3)))
        self._publish()

    def _tell(self, place: Place, *, first: bool) -> None:
        if first or not recovery.worth_telling(place):
            return
        error = self._trouble
        code, detail = (error.code, error.detail) if error else ("", "by hand")
        step = RecoveryStep(self._config.name, place.step.rung.value, place.attempt, code, detail)
        self._happenings.append(step)

    def _publish(self, *, capabilities: Capabilities | None = None) -> None:
        word = self._word()
        trouble = self._trouble or self._refused
        place = self._place
        before = self._state
        self._state = CameraState(
            word=word,
            since_us=before.since_us if word == before.word else self._clock.now_us(),
            rung=place.step.rung.value if place else None,
            attempt=place.attempt if place else 0,
            failures=self._failures,
            error_code=trouble.code if trouble else None,
            worker_pid=self._link.pid if self._link else None,
            capabilities=capabilities or before.capabilities,
        )

    def _word(self) -> Word:
        if self._place is None:
            return "ok"
        if self._place.step.rung is Rung.OFFLINE:
            return "offline"
        return "warming" if self._place.step.rung is Rung.OPEN else "recovering"


def _as_camera_error(error: HeliographError) -> CameraError:
    """What a shot may raise: a missing replay folder, say, is a camera that is not there."""
    return error if isinstance(error, CameraError) else CameraAbsent(str(error))
