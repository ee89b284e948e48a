"""The whole node in one object: GET /v1/status, at most 4 KB with four cameras and eight alerts.

Published fields keep name and meaning; a new field has a default; readers ignore what they do not know.
Times are RFC 3339 UTC with ms; None = not known yet, which is not zero.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

State = Literal["ok", "warn", "crit"]
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


class ClockStatus(Wire):
    now: str
    synced: bool


class ConfigStatus(Wire):
    version: int
    digest: str
    state: Literal["active", "probation"]
    probation_until: str | None = None
    unknown_fields: int = 0


class DiskStatus(Wire):
    total_bytes: int
    free_bytes: int
    level: State
    full_in_days: float | None = None


class HostStatus(Wire):
    memory_available_bytes: int | None = None
    node_pss_bytes: int | None = None
    temperature_c: float | None = None


class NodeStatus(Wire):
    node: str
    site: str = ""
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
    host: HostStatus = HostStatus()
    alerts: tuple[Alert, ...] = ()
    alerts_total: int = 0
    last_event_id: int = 0
    ledger_settled_to: str | None = None
