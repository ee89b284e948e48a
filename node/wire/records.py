"""What the API's lists and objects hold.  Times are RFC 3339 UTC with ms; None = not known, or not asked for."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import Field

from node.wire.status import CameraStatus, ConfigState, Wire
from node.wire.work_records import Reclaimable

Item = TypeVar("Item")


class Page(Wire, Generic[Item]):
    """Some rows of a list; `next` is the cursor of the next page, None on the last one."""

    items: tuple[Item, ...]
    next: str | None = None


# --- health -----------------------------------------------------------------------------------------------------


class Live(Wire):
    state: Literal["ok"] = "ok"


class Ready(Wire):
    ready: bool
    reasons: tuple[str, ...] = ()


class ProbeRecord(Wire):
    """One thing that was looked at: how it is, how old the look is in seconds, what it cost in ms."""

    name: str
    state: Literal["ok", "warn", "crit", "unknown"]
    sentence: str = ""
    age_s: float | None = None
    took_ms: float | None = None


class DeepHealth(Wire):
    state: Literal["ok", "warn", "crit"]
    ready: bool
    reasons: tuple[str, ...] = ()
    probes: tuple[ProbeRecord, ...] = ()


# --- frames, slots, gaps, days, shoots ----------------------------------------------------------------------------


class ExposureRecord(Wire):
    """Seconds, linear gain, stops; None = left to the camera."""

    exposure_s: float | None = None
    gain: float | None = None
    ev_stops: float = 0.0


class StagesRecord(Wire):
    """When each stage ended; None = not reached."""

    due: str | None = None
    request: str | None = None
    captured: str | None = None
    read: str | None = None
    measured: str | None = None


class FrameRecord(Wire):
    """A kept original.  In lists only the fields asked for stand; `id` always does.

    `due` is None for a shot outside the schedule.  Score is 0..100, 100 = perfect; None = unjudged.
    """

    id: str
    node: str | None = None
    camera: str | None = None
    profile: str | None = None
    due: str | None = None
    schedules: tuple[str, ...] | None = None
    shoots: tuple[str, ...] | None = None
    captured: str | None = None
    clock_synced: bool | None = None
    path: str | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    requested: ExposureRecord | None = None
    actual: ExposureRecord | None = None
    settled: bool | None = None
    backend: str | None = None
    config_version: int | None = None
    integrity: str | None = None
    verdict: Literal["good", "bad", "unjudged"] | None = None
    score: int | None = Field(None, ge=0, le=100)
    reasons: tuple[str, ...] | None = None
    flagged: bool | None = None
    quarantined: bool | None = None
    recaptured: bool | None = None
    sun_elevation_deg: float | None = None
    stages: StagesRecord | None = None


class SlotRecord(Wire):
    """A moment that a schedule asked for: `frame` or `reason`, never both, never neither."""

    camera: str
    profile: str
    due: str
    frame: str | None = None
    reason: str | None = None
    sentence: str = ""
    fault: bool = False
    error_code: str = ""
    schedules: tuple[str, ...] = ()
    shoots: tuple[str, ...] = ()
    config_version: int = 0


class DayRecord(Wire):
    """Expected against actual on one site day.  `score` is the mean of the judged frames."""

    camera: str
    day: str
    due: int
    captured: int
    gaps: int
    score: float | None = None


class ShootRecord(Wire):
    """One occurrence of a schedule's window: open, captured, rendering, then done, degraded or failed.

    Degraded = more than half of its slots failed, held ones left out; `video` is the id of the video that it has.
    """

    shoot: str
    camera: str
    schedule: str
    profile: str
    date: str
    state: str
    start: str
    end: str
    due: int
    captured: int
    failed: int
    degraded: bool
    video: str | None = None


# --- cameras and quality ------------------------------------------------------------------------------------------


class CameraRecord(CameraStatus):
    """One camera with what it is made of."""

    enabled: bool = True
    backend: str = ""
    width: int | None = None
    height: int | None = None
    state_since: str | None = None
    last_gap: str | None = None
    settled_to: str | None = None
    worker_pid: int | None = None
    held_reason: str = ""
    held_by: str = ""


class Restarted(Wire):
    """The camera was reopened and a test shot proved it."""

    camera: CameraRecord


class HoldRecord(Wire):
    """A camera's hold after an order; `held` is since when, None = nothing holds it.

    `changed` is False where all was so before.  `held_until` is when it ends by itself, None = when it is resumed.
    """

    camera: str
    changed: bool
    held: str | None = None
    held_until: str | None = None
    reason: str = ""
    by: str = ""


class BandRecord(Wire):
    """What the judge remembers of one kind of light; cold = too few good frames to judge by."""

    band: str
    frames: int
    cold: bool


class JudgedRecord(Wire):
    """One frame's verdict."""

    frame: str
    captured: str
    verdict: Literal["good", "bad", "unjudged"]
    score: int | None = Field(None, ge=0, le=100)
    reasons: tuple[str, ...] = ()
    integrity: str = ""
    flagged: bool = False


class QualityRecord(Wire):
    """One camera's pictures: what they are judged by, and the newest verdicts, newest first."""

    camera: str
    enabled: bool
    baseline: tuple[BandRecord, ...] = ()
    recent: tuple[JudgedRecord, ...] = ()
    verdicts: dict[str, int] = Field(default_factory=dict)
    reasons: dict[str, int] = Field(default_factory=dict)


# --- configuration ------------------------------------------------------------------------------------------------


class EffectiveValue(Wire):
    """A field's value in force, and whether the document or a default says so."""

    value: Any
    origin: Literal["document", "default"]


class ConfigRecord(Wire):
    """The running document as given, and every field in force by its dotted path."""

    version: int
    digest: str
    state: ConfigState
    probation_until: str | None = None
    document: dict[str, Any]
    unknown_fields: tuple[str, ...] = ()
    effective: dict[str, EffectiveValue] = Field(default_factory=dict)


class ConfigVersion(Wire):
    """One kept version.  `document` only where one version was asked for.

    `state` is that of its latest activation (active, probation, provisional, confirmed, rolled_back, superseded), None
    = never ran.
    """

    version: int
    digest: str
    created: str
    who: str
    origin: str
    running: bool = False
    state: str | None = None
    activated: str | None = None
    reason: str = ""
    document: dict[str, Any] | None = None


class CameraChange(Wire):
    """What a document would ask of one camera."""

    name: str
    next_slots: tuple[str, ...] = ()
    frames_per_day: float
    frames_per_day_now: float


class ConfigCheck(Wire):
    """A document that would be accepted, and what it would change.

    `reclaim` is what would be deleted under it, where it changes the section retention; with `reclaim_more` it is at
    least that.
    """

    valid: Literal[True] = True
    digest: str
    changed: tuple[str, ...] = ()
    cameras: tuple[CameraChange, ...] = ()
    reclaim: tuple[Reclaimable, ...] = ()
    reclaim_more: bool = False


class ConfigActivation(Wire):
    """The running version after a change; `changed` is False where that document was running already."""

    version: int
    digest: str
    previous: int
    changed: bool
    probation_until: str | None = None


class LeaseRecord(Wire):
    """Who may change this node's configuration and release now; all None = nobody holds the lease.

    `by` is who was known to the node when it was taken; `ttl_s` what was asked for last.
    """

    owner: str | None = None
    message: str | None = None
    by: str | None = None
    taken: str | None = None
    until: str | None = None
    ttl_s: int | None = None


# --- audit --------------------------------------------------------------------------------------------------------


class AuditRecord(Wire):
    """Who changed what, from where."""

    id: int
    at: str
    who: str
    role: str
    client: str
    action: str
    target: str
    before_digest: str = ""
    after_digest: str = ""
    request_id: str = ""
    outcome: str
    how: str = ""
    """What showed the name: `token` or `certificate`; empty = the node itself, a command, or an older release."""
