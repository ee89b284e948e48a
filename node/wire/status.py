"""The whole node in one object: GET /v1/status, at most 4 KB with four cameras, eight alerts and four targets.

Published fields keep name and meaning; a new field has a default; readers ignore what they do not know.
Times are RFC 3339 UTC with ms; None = not known yet, which is not zero.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

State = Literal["ok", "warn", "crit"]
BreakerState = Literal["closed", "open", "half_open"]
ConfigState = Literal["active", "probation", "provisional"]
"""Provisional: nothing speaks against it; it is judged when its slots come in a light that shows it."""
CameraState = Literal["ok", "idle", "warming", "recovering", "offline", "disabled"]


class Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Alert(Wire):
    """A condition that somebody should look at."""

    code: str
    severity: Literal["warn", "crit"]
    subject: str
    since: str
    sentence: str


class CameraStatus(Wire):
    """One camera.  Ages are seconds at the time of the status; counts are of the site's current day."""

    name: str
    state: CameraState
    last_good: str | None = None
    last_good_age_s: float | None = None
    last_frame_id: str | None = None
    next_slot: str | None = None
    interval_s: int | None = None
    due: int = 0
    captured: int = 0
    gaps: int = 0
    last_gap_reason: str | None = None
    quality: int | None = None
    quality_24h: str = ""
    """One digit an hour, oldest first: mean score divided by ten (9 = 90 and above), `.` where no frame was judged."""
    recovery_rung: str | None = None
    recovery_attempt: int = 0
    error_code: str | None = None
    held: str | None = None
    """Since when an operator holds its capture.  It and the next are left out of a status where nobody does."""
    held_until: str | None = None
    """When that ends by itself; None = when somebody resumes it."""


class ClockStatus(Wire):
    now: str
    synced: bool


class ConfigStatus(Wire):
    version: int
    digest: str
    state: ConfigState
    probation_until: str | None = None
    unknown_fields: int = 0


class DiskStatus(Wire):
    total_bytes: int
    free_bytes: int
    level: State
    full_in_days: float | None = None
    step: str = ""
    """Of the ladder as it fills; empty = an older node, or not judged yet."""
    reclaimable_bytes: int | None = None
    """Of the last whole count: GET /v1/disk says when that was."""


class HostStatus(Wire):
    memory_available_bytes: int | None = None
    node_pss_bytes: int | None = None
    temperature_c: float | None = None


class QueueStatus(Wire):
    """Jobs.  `due` leaves out what an open breaker holds; `oldest_s` is how long the oldest of them has been due."""

    due: int = 0
    running: int = 0
    stuck: int = 0
    dead: int = 0
    oldest_s: float | None = None


class WorkersStatus(Wire):
    """Seconds since the last pulse of each process beside the service; None = it does not run."""

    work: float | None = None
    ship: float | None = None


class TargetStatus(Wire):
    """One archive target, and what it does not hold yet; `oldest_s` None = it holds everything.

    What is as it should be is not sent: a target that is well is its name.
    """

    name: str
    breaker: BreakerState = "closed"
    unsent: int = 0
    unsent_bytes: int = 0
    oldest_s: float | None = None
    error_code: str | None = None


class LeaseStatus(Wire):
    """Who may change this node's configuration and release now, what for, and until when."""

    owner: str
    message: str = ""
    until: str


class ReleaseStatus(Wire):
    """The last change of this node's software, from `previous` to `version`, as the host's keeper says it."""

    state: Literal["trial", "provisional", "confirmed", "rolled_back", "rollback_failed"]
    version: str
    previous: str = ""
    since: str
    until: str | None = None
    """The end of its trial."""
    reason: str = ""


class NodeStatus(Wire):
    node: str
    site: str = ""
    timezone: str = ""
    """IANA name of the site's; empty = an older node, or not known yet."""
    version: str
    state: State
    reasons: tuple[str, ...] = ()
    ready: bool
    started: str
    uptime_s: float
    clock: ClockStatus
    config: ConfigStatus
    cameras: tuple[CameraStatus, ...]
    disk: DiskStatus | None = None
    queue: QueueStatus | None = None
    workers: WorkersStatus | None = None
    archive: tuple[TargetStatus, ...] = ()
    host: HostStatus = HostStatus()
    alerts: tuple[Alert, ...] = ()
    alerts_total: int = 0
    last_event_id: int = 0
    ledger_settled_to: str | None = None
    certificate_not_after: str | None = None
    """Of the node's own certificate; None, or left out = no TLS, or an older node."""
    lease: LeaseStatus | None = None
    """Left out = nobody holds it, or an older node."""
    release: ReleaseStatus | None = None
    """Left out = it was never changed by a release, or an older node."""
