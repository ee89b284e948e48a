"""The recovery ladder of a camera as tables: which failure starts it, which rung comes next, after what wait."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from node.domain.errors import (
    CameraAbsent,
    CameraBusy,
    CameraFault,
    CameraLost,
    CameraMismatch,
    CameraNoMemory,
    CameraTimeout,
    HeliographError,
    ReplayEmpty,
)


class Rung(StrEnum):
    """What is tried (closed).  `open` is the first opening after the service started."""

    OPEN = "open"
    REOPEN = "reopen"
    RESPAWN = "respawn"
    OFFLINE = "offline"


class Course(StrEnum):
    """What a failed shot leads to."""

    AT_ONCE = "at_once"
    COUNTED = "counted"


COURSES: dict[type[HeliographError], Course] = {
    # after these the open camera is dead: trying again on it would wait for ever or return an old picture
    CameraTimeout: Course.AT_ONCE,
    CameraFault: Course.AT_ONCE,
    CameraLost: Course.AT_ONCE,
    CameraAbsent: Course.AT_ONCE,
    CameraNoMemory: Course.AT_ONCE,
    # these come from a camera that still answers
    CameraBusy: Course.COUNTED,
    CameraMismatch: Course.COUNTED,
    ReplayEmpty: Course.COUNTED,
}


@dataclass(frozen=True, slots=True)
class Step:
    """One try: the rung, and the seconds waited before it."""

    rung: Rung
    wait_s: float


# the last step of each repeats for ever
OPENING = (
    Step(Rung.OPEN, 0.0),
    Step(Rung.OPEN, 5.0),
    Step(Rung.OPEN, 10.0),
    Step(Rung.OPEN, 20.0),
    Step(Rung.OFFLINE, 45.0),
)
RECOVERY = (
    Step(Rung.REOPEN, 0.0),
    Step(Rung.RESPAWN, 0.0),
    Step(Rung.RESPAWN, 2.0),
    Step(Rung.RESPAWN, 5.0),
    Step(Rung.RESPAWN, 10.0),
    Step(Rung.RESPAWN, 20.0),
    Step(Rung.OFFLINE, 45.0),
)
_FIRST_RESPAWN = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """Figures of the supervision.  Seconds, counts."""

    pipeline_depth: int = 4
    shortest_frame_s: float = 1 / 30
    answering_failures: int = 10
    doublings: int = 6
    open_s: float = 15.0
    close_s: float = 3.0
    ping_every_s: float | None = 30.0
    ping_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where on a ladder a camera stands; `repeats` counts the rounds on its last step."""

    ladder: tuple[Step, ...] = OPENING
    index: int = 0
    repeats: int = 0

    @property
    def step(self) -> Step:
        """The try that comes next."""
        return self.ladder[self.index]

    @property
    def attempt(self) -> int:
        """The how-manieth try of its rung that is, from 1."""
        same = sum(step.rung is self.step.rung for step in self.ladder[: self.index + 1])
        return same + self.repeats

    def climb(self) -> Place:
        """After a try that failed."""
        if self.index + 1 < len(self.ladder):
            return replace(self, index=self.index + 1)
        return replace(self, repeats=self.repeats + 1)

    def top(self) -> Place:
        """Offline: for a worker that does not even die."""
        if self.step.rung is Rung.OFFLINE:
            return self.climb()
        return replace(self, index=len(self.ladder) - 1, repeats=0)


def course(error: HeliographError) -> Course:
    """What a failed shot leads to; an error that is not in the table counts as a dead camera."""
    return COURSES.get(type(error), Course.AT_ONCE)


def start(*, worker_alive: bool, earlier: int) -> Place:
    """The first rung.  A worker that is gone cannot reopen; nor is it tried again where `earlier` ones did not help."""
    return Place(RECOVERY, 0 if worker_alive and earlier == 0 else _FIRST_RESPAWN)


def patience(limits: Limits, earlier: int) -> int:
    """Failures in a row that start recovery of a camera that answers: twice as many after each that did not help."""
    return limits.answering_failures << min(earlier, limits.doublings)


def worth_telling(place: Place) -> bool:
    """Whether a try is an event: all but the later rounds offline, which are told at 1, 2, 4, 8 … only."""
    count = place.attempt
    return place.step.rung is not Rung.OFFLINE or count & (count - 1) == 0


def shot_deadline_s(
    limits: Limits, settle_frames: int, requested_s: float | None, previous_s: float | None, margin_s: float
) -> float:
    """Seconds a shot may take: the frames in the pipeline, each as long as the longest exposure, and a margin."""
    longest = max(requested_s or 0.0, previous_s or 0.0, limits.shortest_frame_s)
    return (limits.pipeline_depth + settle_frames) * longest + margin_s
