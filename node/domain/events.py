"""One frozen type per thing that can happen on a node.

Stream, log, metrics and board match on these.  `kind` is the published name; fields are the published body.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

REGISTRY: dict[str, type[Event]] = {}


@dataclass(frozen=True, slots=True)
class Event:
    """The base: no event is of this type itself."""

    kind: ClassVar[str] = ""
    level: ClassVar[str] = "info"

    def __init_subclass__(cls) -> None:
        # dataclass(slots=True) makes the class a second time under the same name
        known = REGISTRY.get(cls.kind)
        if known is not None and known.__qualname__ != cls.__qualname__:
            message = f"event kind {cls.kind!r} belongs to {known.__name__}"
            raise TypeError(message)
        if cls.kind:
            REGISTRY[cls.kind] = cls

    def body(self) -> dict[str, Any]:
        """The fields as JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ServiceStarted(Event):
    kind: ClassVar[str] = "service_started"
    version: str
    config_version: int
    config_digest: str
    clean: bool


@dataclass(frozen=True, slots=True)
class ServiceStopped(Event):
    kind: ClassVar[str] = "service_stopped"
    reason: str


@dataclass(frozen=True, slots=True)
class FrameKept(Event):
    kind: ClassVar[str] = "frame"
    frame: str
    camera: str
    profile: str
    due_us: int | None
    captured_us: int
    size_bytes: int
    verdict: str
    score: int | None
    reasons: tuple[str, ...]
    flagged: bool
    late_ms: int
    took_ms: int


@dataclass(frozen=True, slots=True)
class FrameQuarantined(Event):
    kind: ClassVar[str] = "quarantine"
    level: ClassVar[str] = "warning"
    frame: str
    camera: str
    profile: str
    due_us: int | None
    integrity: str
    path: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class GapRecorded(Event):
    kind: ClassVar[str] = "gap"
    level: ClassVar[str] = "warning"
    camera: str
    profile: str
    due_us: int
    reason: str
    error_code: str = ""


@dataclass(frozen=True, slots=True)
class GapsRecorded(Event):
    """Many gaps of one cause at once: the time that the process was down, or a step of the clock."""

    kind: ClassVar[str] = "gaps"
    level: ClassVar[str] = "warning"
    camera: str
    reason: str
    count: int
    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True)
class ShootOpened(Event):
    kind: ClassVar[str] = "shoot_opened"
    shoot: str
    camera: str
    schedule: str
    profile: str
    date: str


@dataclass(frozen=True, slots=True)
class ShootClosed(Event):
    kind: ClassVar[str] = "shoot_closed"
    shoot: str
    camera: str
    schedule: str
    profile: str
    date: str
    due: int
    captured: int
    failed: int
    degraded: bool


@dataclass(frozen=True, slots=True)
class RecoveryStep(Event):
    kind: ClassVar[str] = "recovery"
    level: ClassVar[str] = "warning"
    camera: str
    rung: str
    attempt: int
    error_code: str
    detail: str


@dataclass(frozen=True, slots=True)
class CameraRecovered(Event):
    kind: ClassVar[str] = "camera_recovered"
    camera: str
    rung: str
    down_s: float


@dataclass(frozen=True, slots=True)
class CameraHeld(Event):
    """Somebody holds the camera's capture, or gave a hold another reason or end."""

    kind: ClassVar[str] = "camera_held"
    camera: str
    reason: str
    who: str
    since_us: int
    until_us: int | None


@dataclass(frozen=True, slots=True)
class CameraResumed(Event):
    """Its slots are taken again: by somebody's word, or by itself at the end that was given."""

    kind: ClassVar[str] = "camera_resumed"
    camera: str
    who: str
    held_s: float


@dataclass(frozen=True, slots=True)
class ConfigActivated(Event):
    kind: ClassVar[str] = "config_activated"
    version: int
    digest: str
    previous: int
    probation: bool
    who: str


@dataclass(frozen=True, slots=True)
class ConfigProvisional(Event):
    kind: ClassVar[str] = "config_provisional"
    version: int
    digest: str
    good_frames: int
    unproved: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConfigConfirmed(Event):
    kind: ClassVar[str] = "config_confirmed"
    version: int
    digest: str
    good_frames: int


@dataclass(frozen=True, slots=True)
class ConfigRolledBack(Event):
    kind: ClassVar[str] = "config_rolled_back"
    level: ClassVar[str] = "error"
    version: int
    to_version: int
    digest: str
    reason: str


@dataclass(frozen=True, slots=True)
class AlertRaised(Event):
    kind: ClassVar[str] = "alert_raised"
    level: ClassVar[str] = "warning"
    alert: str
    severity: str
    subject: str
    sentence: str


@dataclass(frozen=True, slots=True)
class AlertCleared(Event):
    kind: ClassVar[str] = "alert_cleared"
    alert: str
    subject: str
    lasted_s: float


@dataclass(frozen=True, slots=True)
class ClockStepped(Event):
    kind: ClassVar[str] = "clock_stepped"
    level: ClassVar[str] = "warning"
    by_s: float


@dataclass(frozen=True, slots=True)
class JobMoved(Event):
    """A job came to an end or to a stop; routine successes are not told of."""

    kind: ClassVar[str] = "job"
    job: str
    job_kind: str
    key: str
    state: str
    attempt: int
    error_code: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class JobDied(Event):
    """The last attempt failed; a dead letter is left."""

    kind: ClassVar[str] = "job_dead"
    level: ClassVar[str] = "error"
    job: str
    job_kind: str
    key: str
    attempt: int
    error_code: str
    error: str
    shoot: str = ""


@dataclass(frozen=True, slots=True)
class VideoMade(Event):
    kind: ClassVar[str] = "video"
    video: str
    camera: str
    profile: str
    shoot: str
    frames: int
    left_out: int
    size_bytes: int
    took_s: float


@dataclass(frozen=True, slots=True)
class VideoRemoved(Event):
    kind: ClassVar[str] = "video_removed"
    video: str
    camera: str
    rule: str


@dataclass(frozen=True, slots=True)
class ShootMoved(Event):
    """rendering, done, degraded or failed; captured again where its render was cancelled."""

    kind: ClassVar[str] = "shoot_moved"
    shoot: str
    camera: str
    state: str
    video: str = ""


@dataclass(frozen=True, slots=True)
class ItemsArchived(Event):
    """Frames and videos for which a target gave receipts."""

    kind: ClassVar[str] = "archived"
    target: str
    count: int
    size_bytes: int
    took_s: float


@dataclass(frozen=True, slots=True)
class ReceiptDenied(Event):
    """A target does not hold what it took."""

    kind: ClassVar[str] = "receipt_denied"
    level: ClassVar[str] = "error"
    target: str
    item: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class TargetMoved(Event):
    """A target's breaker: closed, open or half_open."""

    kind: ClassVar[str] = "target"
    level: ClassVar[str] = "warning"
    target: str
    state: str
    failures: int
    error_code: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class FramesReclaimed(Event):
    """Files deleted by a rule."""

    kind: ClassVar[str] = "reclaimed"
    what: str
    rule: str
    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class FramesRestored(Event):
    """Frames that had been reclaimed were brought back from a target."""

    kind: ClassVar[str] = "restored"
    target: str
    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ReclaimStopped(Event):
    """A file, its row and its receipt did not agree: nothing more of that class is deleted."""

    kind: ClassVar[str] = "reclaim_stopped"
    level: ClassVar[str] = "error"
    what: str
    item: str
    why: str


@dataclass(frozen=True, slots=True)
class DiskStepped(Event):
    """A step of the ladder as the disk fills, or back."""

    kind: ClassVar[str] = "disk_step"
    level: ClassVar[str] = "warning"
    step: str
    before: str
    free_bytes: int


@dataclass(frozen=True, slots=True)
class BackupMade(Event):
    kind: ClassVar[str] = "backup"
    path: str
    size_bytes: int
    frames: int


@dataclass(frozen=True, slots=True)
class DatabaseRestored(Event):
    """A damaged database was put aside; this one is the newest good backup, with rows made from the frames since."""

    kind: ClassVar[str] = "database_restored"
    level: ClassVar[str] = "error"
    aside: str
    backup: str
    adopted: int


@dataclass(frozen=True, slots=True)
class FilesReconciled(Event):
    kind: ClassVar[str] = "reconciled"
    orphan_files: int
    orphan_rows: int
    repaired: int


@dataclass(frozen=True, slots=True)
class LoopFailed(Event):
    """An unexpected failure inside a loop; the loop goes on."""

    kind: ClassVar[str] = "loop_failed"
    level: ClassVar[str] = "error"
    loop: str
    error: str
    failures: int


@dataclass(frozen=True, slots=True)
class AccessRefused(Event):
    kind: ClassVar[str] = "access_refused"
    level: ClassVar[str] = "warning"
    client: str
    code: str
    count: int


@dataclass(frozen=True, slots=True)
class TlsReloaded(Event):
    """New connections get the certificate that counts until then."""

    kind: ClassVar[str] = "tls_reloaded"
    until_us: int


@dataclass(frozen=True, slots=True)
class TlsRefused(Event):
    """The TLS files on disk cannot be used; those of before stay in force."""

    kind: ClassVar[str] = "tls_refused"
    level: ClassVar[str] = "error"
    error_code: str
    error: str


def restore(kind: str, body: dict[str, Any]) -> Event | None:
    """The event that a log row holds; None for a kind that this release does not know."""
    known = REGISTRY.get(kind)
    if known is None:
        return None
    names = {field.name for field in fields(known)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in body.items() if name in names}
    return known(**values)
