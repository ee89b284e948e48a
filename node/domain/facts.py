"""What is known about a node: the frozen facts that loops post on the board and that `domain.health` judges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

Value = TypeVar("Value")

Severity = Literal["warn", "crit"]
CameraWord = Literal["ok", "warming", "recovering", "offline"]
ReleaseWord = Literal["trial", "provisional", "confirmed", "rolled_back", "rollback_failed"]
BreakerWord = Literal["closed", "open", "half_open"]

IDENTITY, CONFIG, CLOCK, DISK, HOST, DATABASE, HEALTH, QUEUE, ARCHIVE, CERTIFICATE, ACCESS, LEASE, RELEASE = (
    "identity", "config", "clock", "disk", "host", "database", "health", "queue", "archive", "certificate", "access",
    "lease", "release",
)  # fmt: skip


def camera_key(name: str) -> str:
    """The board's name for a camera's facts."""
    return f"camera/{name}"


def quality_key(name: str) -> str:
    """The board's name for what a camera is judged by."""
    return f"quality/{name}"


def target_key(name: str) -> str:
    """The board's name for an archive target's facts."""
    return f"target/{name}"


def worker_key(name: str) -> str:
    """The board's name for the pulse of a process beside the service: `work` or `ship`."""
    return f"worker/{name}"


def loop_key(name: str) -> str:
    """The board's name for a loop's pulse."""
    return f"loop/{name}"


@dataclass(frozen=True, slots=True)
class IdentityFacts:
    """Who this is; posted once by the service."""

    node: str
    version: str
    started_us: int


@dataclass(frozen=True, slots=True)
class ConfigFacts:
    """The running document.  `probation_until_us` is None unless it is on probation that ends by then.

    `provisional`: nothing speaks against it, and it is judged when its slots come in a light that shows it.
    """

    version: int
    digest: str
    site: str = ""
    timezone: str = ""
    probation_until_us: int | None = None
    good_needed: int = 0
    good_seen: int = 0
    unknown_fields: tuple[str, ...] = ()
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class ClockFacts:
    synced: bool


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """When the certificate that new connections get counts; posted when it is read."""

    from_us: int
    until_us: int


@dataclass(frozen=True, slots=True)
class AccessFacts:
    """Attempts refused in the last minutes: each minute's begin and count.  Whose was the last, and why."""

    minutes: tuple[tuple[int, int], ...]
    client: str
    code: str


@dataclass(frozen=True, slots=True)
class LeaseFacts:
    """Who may change the node now; an empty owner = nobody holds the lease."""

    owner: str = ""
    message: str = ""
    until_us: int = 0


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """The last change of the node's software: from `previous` to `version`.  `until_us` is the end of its trial.

    Without a state there was none, or nothing can be read of it.
    """

    state: ReleaseWord | None = None
    version: str = ""
    previous: str = ""
    since_us: int = 0
    until_us: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """Files of one class that lie on the disk."""

    name: str
    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """The data disk; sizes are None where it cannot be asked.

    `error_code` is set while the data directory cannot be written (DSK-002) or is not there (DSK-004).  `step` is the
    ladder's, empty where it was not judged yet.  `classes` and `reclaimable_bytes`, verified frames that may go for
    room, are those of the last whole count, which began at `counted_us`; None and empty before it.  `full_in_days` is
    until capture stops where nothing more is archived.  `stopped` names what keeps a class from being reclaimed, as
    `<class>/<id>`.
    """

    total_bytes: int | None = None
    free_bytes: int | None = None
    full_in_days: float | None = None
    error_code: str = ""
    step: str = ""
    reclaimable_bytes: int | None = None
    classes: tuple[ClassFacts, ...] = ()
    stopped: tuple[str, ...] = ()
    counted_us: int | None = None


@dataclass(frozen=True, slots=True)
class HostFacts:
    """None = this machine does not say."""

    memory_available_bytes: int | None = None
    node_pss_bytes: int | None = None
    temperature_c: float | None = None


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """`error_code` is set while writes fail; `unrecorded` entries wait (frames among them are on disk)."""

    error_code: str = ""
    unrecorded: int = 0
    queue: int = 0
    wal_bytes: int = 0
    last_event_id: int = 0


@dataclass(frozen=True, slots=True)
class LoopFacts:
    """A loop's pulse.  It promises the next one within `interval_s`, the deadline of what it waits for included.

    `failures` is how many rounds have failed in a row.
    """

    name: str
    interval_s: float
    failures: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """Jobs: due now (those behind an open breaker left out), running, running for too long, dead letters.

    `oldest_us` is when the oldest of the due ones came due; None = none is due.  `late_shoots` should have their
    video by now: a few of them.
    """

    due: int = 0
    running: int = 0
    stuck: int = 0
    dead: int = 0
    oldest_us: int | None = None
    late_shoots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ArchiveFacts:
    """All targets together: how many frames were deleted because of receipts, and have none any more."""

    held_nowhere: int = 0


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """One archive target: its breaker, and what it does not hold yet.  `oldest_us` None = it holds everything.

    `failures` of it came in a row.  `backlog_eta_s` is until it holds everything, None = not known, or never at the
    pace of the last hour; `outgrown`: what comes is more than what goes.
    """

    name: str
    breaker: BreakerWord = "closed"
    unsent: int = 0
    unsent_bytes: int = 0
    oldest_us: int | None = None
    error_code: str = ""
    last_ok_us: int | None = None
    last_failed_us: int | None = None
    failures: int = 0
    backlog_eta_s: float | None = None
    outgrown: bool = False


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """A process beside the service: when it last gave its pulse, and what it does; None = it never did, or ended.

    The next one comes within `promise_s`; `job` is the id of the job that it works on.
    """

    name: str
    pulse_us: int | None = None
    promise_s: float = 0.0
    pid: int | None = None
    job: str = ""


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """One camera.  Counts are of the site's current day.

    `interval_s` is the shortest interval asked for now, None = expected idle; `expected_since_us` is when it began to
    be asked for without a break (the window's start), None = idle.  `quality_24h` is the mean score of each of the
    last 24 hours, oldest first, None = no judged frame.  `held_us` is since when an operator holds its capture, None =
    nobody does: then it is expected idle until the first slot after `held_until_us`, None = until it is resumed.
    """

    name: str
    word: CameraWord = "warming"
    word_since_us: int = 0
    enabled: bool = True
    backend: str = ""
    width: int | None = None
    height: int | None = None
    interval_s: int | None = None
    expected_since_us: int | None = None
    next_due_us: int | None = None
    last_good_us: int | None = None
    last_frame_id: str | None = None
    due: int = 0
    captured: int = 0
    gaps: int = 0
    last_gap_reason: str | None = None
    last_gap_us: int | None = None
    quality: int | None = None
    quality_24h: tuple[float | None, ...] = ()
    settled_to_us: int | None = None
    recovery_rung: str | None = None
    recovery_attempt: int = 0
    error_code: str = ""
    worker_pid: int | None = None
    held_us: int | None = None
    held_until_us: int | None = None
    held_reason: str = ""
    held_by: str = ""


@dataclass(frozen=True, slots=True)
class BandFacts:
    """How many good frames the judge remembers of one kind of picture: profile, light, size."""

    band: str
    frames: int


@dataclass(frozen=True, slots=True)
class QualityFacts:
    """What one camera is judged by."""

    name: str
    bands: tuple[BandFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition that has lasted: since when, and what it says now."""

    code: str
    severity: Severity
    subject: str
    since_us: int
    sentence: str


@dataclass(frozen=True, slots=True)
class HealthFacts:
    """What the judging loop found last: the alerts that are raised, gravest first."""

    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True)
class Learnt(Generic[Value]):
    """A fact with the UTC microseconds at which it was learnt, and what the look cost; None = not measured."""

    value: Value
    at_us: int
    took_ms: float | None = None


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """All that the board knows, by kind; None and empty = not learnt yet."""

    identity: Learnt[IdentityFacts] | None = None
    config: Learnt[ConfigFacts] | None = None
    clock: Learnt[ClockFacts] | None = None
    disk: Learnt[DiskFacts] | None = None
    host: Learnt[HostFacts] | None = None
    database: Learnt[DatabaseFacts] | None = None
    health: Learnt[HealthFacts] | None = None
    queue: Learnt[QueueFacts] | None = None
    archive: Learnt[ArchiveFacts] | None = None
    certificate: Learnt[CertificateFacts] | None = None
    access: Learnt[AccessFacts] | None = None
    lease: Learnt[LeaseFacts] | None = None
    release: Learnt[ReleaseFacts] | None = None
    cameras: tuple[Learnt[CameraFacts], ...] = ()
    loops: tuple[Learnt[LoopFacts], ...] = ()
    targets: tuple[Learnt[TargetFacts], ...] = ()
    workers: tuple[Learnt[WorkerFacts], ...] = ()


_SINGLE: Mapping[type, str] = {
    IdentityFacts: "identity",
    ConfigFacts: "config",
    ClockFacts: "clock",
    DiskFacts: "disk",
    HostFacts: "host",
    DatabaseFacts: "database",
    HealthFacts: "health",
    QueueFacts: "queue",
    ArchiveFacts: "archive",
    CertificateFacts: "certificate",
    AccessFacts: "access",
    LeaseFacts: "lease",
    ReleaseFacts: "release",
}
_SEVERAL: Mapping[type, str] = {
    CameraFacts: "cameras",
    LoopFacts: "loops",
    TargetFacts: "targets",
    WorkerFacts: "workers",
}


def gather(facts: Iterable[Learnt[Any]]) -> NodeFacts:
    """The board's facts, sorted by kind, of one kind by name; kinds that are not named here are passed over."""
    single: dict[str, Any] = {}
    several: dict[str, list[Learnt[Any]]] = {name: [] for name in _SEVERAL.values()}
    for fact in facts:
        kind = type(fact.value)
        if kind in _SINGLE:
            single[_SINGLE[kind]] = fact
        elif kind in _SEVERAL:
            several[_SEVERAL[kind]].append(fact)
    named: dict[str, Any] = {
        name: tuple(sorted(found, key=lambda fact: str(fact.value.name))) for name, found in several.items()
    }
    return NodeFacts(**single, **named)
