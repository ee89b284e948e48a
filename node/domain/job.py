"""Jobs: their states and legal moves, and one table of kinds with lane, payload, retries and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from node.domain.config import DAY_S, HOUR_S, Codec, Name, Section, Tier, faults_of
from node.domain.errors import PayloadInvalid, UnknownKind

Lane = Literal["work", "ship"]
LANES: tuple[Lane, ...] = ("work", "ship")
LANE_LOOPS: Mapping[Lane, tuple[str, str]] = {lane: (lane, f"{lane}-rounds") for lane in LANES}
"""The loops of a lane that give a pulse: its jobs, and what is looked at in between."""
LEASE_S, BEAT_S, STOP_S = 30.0, 10.0, 20.0
"""A lease's length beyond the kind's stall limit; the longest between two renewals; the time left at a stop."""

NODE_KEY = "node"
"""The key of a job that is about the whole node."""


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    LEASED = "leased"
    RETRY = "retry"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


MOVES: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.LEASED, JobState.CANCELLED}),
    # back to queued: given back uncharged at a stop, or postponed
    JobState.LEASED: frozenset({JobState.DONE, JobState.RETRY, JobState.DEAD, JobState.QUEUED, JobState.CANCELLED}),
    JobState.RETRY: frozenset({JobState.LEASED, JobState.QUEUED, JobState.CANCELLED}),
    JobState.DEAD: frozenset({JobState.QUEUED, JobState.CANCELLED}),  # redriven, discarded
    JobState.DONE: frozenset(),
    JobState.CANCELLED: frozenset(),
}
"""The legal moves; every other is refused."""

LIVE = (JobState.QUEUED, JobState.LEASED, JobState.RETRY)
"""Of one kind and key there is at most one job in these."""


class Priority(IntEnum):
    """Higher goes first; each AGEING_S that a job has waited since it came due counts as one more."""

    PER_CAPTURE = 0
    SCHEDULED = 10
    MILESTONE = 20
    MANUAL = 30


AGEING_S = 60
JITTER = 0.1


class Attempt(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    FAILED = "failed"
    LOST = "lost"  # its process died, or its lease ran out
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    GIVEN_BACK = "given_back"  # not charged


class RenderPayload(Section):
    """A video of one camera and profile: of a shoot, or of a span of time."""

    camera: Name
    profile: Name = "auto"
    shoot: str | None = Field(None, max_length=300, description="camera/schedule/date/profile; else from_us and to_us.")
    from_us: int | None = Field(None, ge=0, description="UTC microseconds, included.")
    to_us: int | None = Field(None, ge=0, description="UTC microseconds, not included.")
    title: str = Field("", max_length=120)
    tier: Tier | None = Field(None, description="Instead of the document's.")
    fps: float | None = Field(None, ge=1, le=120, description="Instead of the document's rate.")
    codec: Codec | None = Field(None, description="Instead of the document's.")

    @model_validator(mode="after")
    def _shoot_or_span(self) -> RenderPayload:
        span = (self.from_us is not None, self.to_us is not None)
        if (self.shoot is None) != all(span) or any(span) != all(span):
            message = "give a shoot, or from_us and to_us"
            raise ValueError(message)
        if self.from_us is not None and self.to_us is not None and self.from_us >= self.to_us:
            message = "from_us is not before to_us"
            raise ValueError(message)
        return self


class TransferPayload(Section):
    target: Name


class ThumbnailPayload(Section):
    camera: Name


class ThumbnailRepairPayload(Section):
    camera: Name
    everything: bool = Field(default=False, description="Make all anew, not only what is missing or broken.")


class VerifyArchivePayload(Section):
    """Read again at the target what the receipts say, and compare."""

    target: Name
    camera: Name | None = None
    from_us: int | None = Field(None, ge=0)
    to_us: int | None = Field(None, ge=0)


class RestorePayload(VerifyArchivePayload):
    """Bring reclaimed frames back from the target."""


class NoPayload(Section):
    """Nothing to say."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job.

    `delays_s[n - 1]` follows the n-th failed attempt; after the last, the job is dead.  Without a beat for `stall_s`,
    or after `hard_s` however it beats, the attempt counts as timed out.  A `derivative` waits while the disk is
    critical.  A `routine` one says nothing of its success.  A `makes_up` one, done, does what those of its key that
    died before it had to do: they are no dead letters any more.
    """

    lane: Lane
    payload: type[Section]
    delays_s: tuple[float, ...]
    stall_s: float = 120.0
    hard_s: float = 2 * HOUR_S
    derivative: bool = False
    routine: bool = False
    makes_up: bool = False


_MINUTE = 60.0
_SHORT = (30.0, 2 * _MINUTE, 5 * _MINUTE)
_LONG = (5 * _MINUTE, 15 * _MINUTE, 60 * _MINUTE)
_UP_TO_A_DAY = (*_LONG, *([60 * _MINUTE] * 23))

KINDS: Mapping[str, Kind] = {
    "render": Kind("work", RenderPayload, _LONG, hard_s=DAY_S, derivative=True),
    "thumbnail": Kind("work", ThumbnailPayload, _SHORT, derivative=True, routine=True, makes_up=True),
    "thumbnail-repair": Kind("work", ThumbnailRepairPayload, _SHORT, hard_s=DAY_S, derivative=True),
    "backup": Kind("work", NoPayload, _LONG, stall_s=HOUR_S, makes_up=True),
    "integrity-check": Kind("work", NoPayload, _LONG, stall_s=HOUR_S, makes_up=True),
    "upkeep": Kind("work", NoPayload, _SHORT, makes_up=True),
    "reconcile": Kind("work", NoPayload, _LONG, hard_s=DAY_S, makes_up=True),
    "transfer": Kind("ship", TransferPayload, _UP_TO_A_DAY, stall_s=10 * _MINUTE, routine=True, makes_up=True),
    "test-target": Kind("ship", TransferPayload, (), hard_s=10 * _MINUTE),
    "verify-archive": Kind("ship", VerifyArchivePayload, _LONG, stall_s=10 * _MINUTE, hard_s=7 * DAY_S),
    "restore": Kind("ship", RestorePayload, _LONG, stall_s=10 * _MINUTE, hard_s=7 * DAY_S),
}


def key_of(payload: Section) -> str:
    """What a job asked for by hand is about: of one kind and key, one is alive."""
    if isinstance(payload, RenderPayload):
        return payload.shoot or f"{payload.camera}/{payload.profile}/{payload.from_us}/{payload.to_us}"
    if isinstance(payload, VerifyArchivePayload):
        span = (payload.camera, payload.from_us, payload.to_us)
        said = "" if span == (None, None, None) else "".join(f"/{'' if part is None else part}" for part in span)
        return payload.target + said
    return str(getattr(payload, "target", None) or getattr(payload, "camera", None) or NODE_KEY)


def parse_payload(kind: str, given: Mapping[str, Any]) -> Section:
    """A validated payload.  Raises UnknownKind, PayloadInvalid with every wrong field's path."""
    if kind not in KINDS:
        raise UnknownKind(f"{kind[:40]!r}; there are {', '.join(KINDS)}")
    try:
        return KINDS[kind].payload.model_validate(given)
    except ValidationError as error:
        raise PayloadInvalid(fields=faults_of(error, given, "(payload)")) from None


def lease_ms(kind: str) -> int:
    """Milliseconds that a lease lasts without a beat: a job that may still be within its limits is never taken away."""
    return round(1000 * (LEASE_S + (KINDS[kind].stall_s if kind in KINDS else 0.0)))


def next_delay(kind: str, attempt: int, override: Sequence[float] | None = None, jitter: float = 0.0) -> float | None:
    """Seconds until the next attempt after the n-th has failed; None = that was the last.

    `override` stands instead of the kind's own delays; `jitter` from -1 to 1 moves the delay by up to 10 %.
    """
    own = KINDS[kind].delays_s if kind in KINDS else _LONG
    delays = own if override is None else override
    return delays[attempt - 1] * (1 + JITTER * jitter) if attempt <= len(delays) else None
