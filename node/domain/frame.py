"""Frames, slots and the closed table of reasons for a gap."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from node.domain.errors import RequestInvalid

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TIME_CHARS, _RANDOM_BYTES = 10, 10
ID_LENGTH = 26


def make_id(unix_ms: int, entropy: bytes) -> str:
    """A 26-character, time-ordered id (ULID: 48 bits of Unix ms, 80 random bits, Crockford base 32)."""
    if len(entropy) != _RANDOM_BYTES:
        message = f"an id takes {_RANDOM_BYTES} random bytes, not {len(entropy)}"
        raise ValueError(message)
    number = (max(0, unix_ms) & (1 << 48) - 1) << 80 | int.from_bytes(entropy)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def id_time_ms(identity: str) -> int:
    """The Unix ms inside an id.  Raises RequestInvalid where it is none."""
    if len(identity) != ID_LENGTH or any(char not in _CROCKFORD for char in identity):
        raise RequestInvalid(f"{identity[:40]!r} is not an id of {ID_LENGTH} characters")
    number = 0
    for char in identity[:_TIME_CHARS]:
        number = number << 5 | _CROCKFORD.index(char)
    return number


def short_id(identity: str) -> str:
    """How an id is shown and what a file name carries: its last eight characters."""
    return identity[-8:]


@dataclass(frozen=True, slots=True, order=True)
class SlotKey:
    """A moment that a schedule asked for: one kept frame or one gap, never both, never neither."""

    camera: str
    profile: str
    due_us: int


class GapReason(StrEnum):
    """Why a due slot has no frame (closed)."""

    BUSY = "busy"
    LATE = "late"
    TIMEOUT = "timeout"
    CAMERA_FAULT = "camera_fault"
    CAMERA_OFFLINE = "camera_offline"
    DAMAGED = "damaged"
    DISK_FULL = "disk_full"
    SPARED = "spared"
    HELD = "held"
    STORAGE_FAULT = "storage_fault"
    PROCESS_DOWN = "process_down"
    CLOCK_STEP = "clock_step"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class GapMeaning:
    """A reason in words, and whether somebody should mend something."""

    sentence: str
    fault: bool


GAP_REASONS: dict[GapReason, GapMeaning] = {
    GapReason.BUSY: GapMeaning("The camera was still busy with an earlier shot.", fault=False),
    GapReason.LATE: GapMeaning("The node reached the slot too late to start it; slots are never shifted.", fault=True),
    GapReason.TIMEOUT: GapMeaning("The camera did not deliver within the shot's deadline.", fault=True),
    GapReason.CAMERA_FAULT: GapMeaning("The camera refused or failed the shot.", fault=True),
    GapReason.CAMERA_OFFLINE: GapMeaning("The camera was not open: starting, or being recovered.", fault=True),
    GapReason.DAMAGED: GapMeaning("Only a damaged picture came; it lies in quarantine.", fault=True),
    GapReason.DISK_FULL: GapMeaning("The data disk had no room for the frame.", fault=True),
    GapReason.SPARED: GapMeaning("The data disk is so full that only some of the slots are taken.", fault=True),
    GapReason.HELD: GapMeaning("An operator held the camera's capture.", fault=False),
    GapReason.STORAGE_FAULT: GapMeaning("The frame could not be written.", fault=True),
    GapReason.PROCESS_DOWN: GapMeaning("The service was not running.", fault=True),
    GapReason.CLOCK_STEP: GapMeaning("The clock was set forward over the slot.", fault=False),
    GapReason.INTERNAL: GapMeaning("An unexpected error; its code is in the log.", fault=True),
}


@dataclass(frozen=True, slots=True)
class Exposure:
    """What was asked of the sensor, or what it did.  Seconds, linear gain, stops; None = left to the camera."""

    exposure_s: float | None = None
    gain: float | None = None
    ev_stops: float = 0.0


@dataclass(frozen=True, slots=True)
class StageTimes:
    """When each stage of a frame's journey ended, in UTC microseconds; 0 = not reached.

    Only what is known before the file is sealed stands here, so that the sidecar can repeat it; the commit's time is
    that of the frame's event.
    """

    due_us: int = 0
    request_us: int = 0
    captured_us: int = 0
    read_us: int = 0
    measured_us: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """A kept original: everything that its row holds, and what its sidecar repeats.

    `due_us` is None for a commanded shot or an extra one.  `path` is relative to the data directory, POSIX style.
    `reasons` are the quality judge's; `verdict` is good, bad or unjudged.  `flagged` frames stay out of videos.
    """

    id: str
    node: str
    camera: str
    profile: str
    due_us: int | None
    schedules: tuple[str, ...]
    shoots: tuple[str, ...]
    captured_us: int
    clock_synced: bool
    path: str
    size_bytes: int
    sha256: str
    width: int
    height: int
    requested: Exposure
    actual: Exposure
    settled: bool
    backend: str
    config_version: int
    integrity: str
    verdict: str
    score: int | None
    reasons: tuple[str, ...]
    flagged: bool
    quarantined: bool
    recaptured: bool
    sun_elevation_deg: float | None
    stages: StageTimes


@dataclass(frozen=True, slots=True)
class Gap:
    """A due slot that has no frame, and why."""

    slot: SlotKey
    schedules: tuple[str, ...]
    shoots: tuple[str, ...]
    reason: GapReason
    error_code: str = ""
    config_version: int = 0
