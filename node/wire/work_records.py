"""What the API says of jobs, videos, the archive and the disk.  Times are RFC 3339 UTC with ms; None = not known."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from node.wire.status import BreakerState, State, Wire

JobState = Literal["queued", "leased", "retry", "done", "dead", "cancelled"]


# --- jobs ---------------------------------------------------------------------------------------------------------


class AttemptRecord(Wire):
    """One attempt at a job, and how it ended."""

    attempt: int
    started: str
    ended: str
    outcome: str
    error_code: str = ""
    error: str = ""


class JobRecord(Wire):
    """One job.  `payload`, `result` and `attempts` stand only where one job was asked for.

    `due` is when it may begin next; `new` is False where an action found it waiting already.
    """

    id: str
    kind: str
    key: str
    state: JobState
    priority: int
    who: str
    created: str
    due: str
    attempt: int = 0
    started: str | None = None
    finished: str | None = None
    cancel_asked: bool = False
    progress: float = Field(0.0, ge=0, le=1)
    said: str = ""
    error_code: str = ""
    error: str = ""
    payload: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    attempts: tuple[AttemptRecord, ...] | None = None
    new: bool | None = None


class RunningJob(JobRecord):
    """A job that runs; `age_s` since this attempt began."""

    age_s: float


class QueueRecord(Wire):
    """The queue.  `due` counts by kind what could begin now, `done_last_hour` what ended well.

    `oldest` is when the first of those that could begin came due.  `held` names the targets whose open breaker keeps
    their transfers back; those are not counted as due.  `silent` names the processes that should do jobs and give no
    pulse.
    """

    due: dict[str, int] = Field(default_factory=dict)
    oldest: str | None = None
    running: tuple[RunningJob, ...] = ()
    stuck: int = 0
    dead: int = 0
    done_last_hour: dict[str, int] = Field(default_factory=dict)
    held: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


class JobsMoved(Wire):
    """How many dead letters were redriven or discarded."""

    count: int


# --- videos -------------------------------------------------------------------------------------------------------


class LeftOutRecord(Wire):
    """A frame that is not in the video, and why."""

    frame: str
    why: str


class VideoRecord(Wire):
    """One verified video.  `left_out` names frames only where one video was asked for; `deleted` = its file is gone."""

    id: str
    camera: str
    profile: str
    shoot: str | None = None
    job: str
    title: str = ""
    start: str
    end: str
    size_bytes: int
    sha256: str
    width: int
    height: int
    fps: float
    frames: int
    duration_s: float
    codec: str
    encoder: str
    tier: str
    created: str
    pinned: bool = False
    left_out_count: int = 0
    left_out: tuple[LeftOutRecord, ...] | None = None
    deleted: str | None = None
    deleted_rule: str = ""


# --- archive ------------------------------------------------------------------------------------------------------


class TargetRecord(Wire):
    """One archive target of node.yml, how it is used, and how it stands.

    `failing` of the `unsent` items were tried in vain; what is not taken up yet is counted by the mean size of frames.
    `backlog_eta_s` is until it holds everything at the pace of the last hour; None = not known, or never.
    """

    name: str
    kind: str
    enabled: bool
    videos: bool = True
    order: str = ""
    breaker: BreakerState = "closed"
    failures: int = 0
    opened: str | None = None
    unsent: int = 0
    unsent_bytes: int = 0
    oldest_unsent: str | None = None
    backlog_eta_s: float | None = None
    failing: int = 0
    sent: int = 0
    sent_bytes: int = 0
    last_ok: str | None = None
    last_failed: str | None = None
    error_code: str | None = None
    error: str = ""


class ReceiptRecord(Wire):
    """A target holds it: hash and size as read there, how and when."""

    target: str
    name: str
    size_bytes: int
    sha256: str
    how: str
    verified: str


class ArchiveRecord(Wire):
    """Where a frame is.  `deleted` is when its file here went, by which rule; None = it is here.

    `receipts` are those of today, `deleted_by` those for which it could go.
    """

    frame: str
    captured: str
    size_bytes: int
    sha256: str
    receipts: tuple[ReceiptRecord, ...] = ()
    deleted: str | None = None
    deleted_rule: str = ""
    deleted_by: tuple[ReceiptRecord, ...] = ()


# --- disk ---------------------------------------------------------------------------------------------------------


class DiskClass(Wire):
    """What the files of one class take."""

    name: str
    count: int
    size_bytes: int


class Reclaimable(Wire):
    """What one rule would delete of one class."""

    what: str
    rule: str
    count: int
    size_bytes: int


class DiskRecord(Wire):
    """The data disk: its room, its step of the ladder, what lies on it, and what may go.

    `classes` and `reclaimable_bytes` are of the last whole count, empty and None before it; `counted` is when that
    began.  `stopped` names what keeps a class from being reclaimed, as class/id: file, row and receipts did not agree.
    """

    total_bytes: int | None = None
    free_bytes: int | None = None
    level: State | None = None
    step: str = ""
    full_in_days: float | None = None
    error_code: str = ""
    classes: tuple[DiskClass, ...] = ()
    reclaimable_bytes: int | None = None
    counted: str | None = None
    stopped: tuple[str, ...] = ()


class ReclaimPreview(Wire):
    """What would go now, by class and rule: nothing has.

    With `more`, counting ended after a few seconds: it is at least that.
    """

    reclaim: tuple[Reclaimable, ...] = ()
    count: int = 0
    size_bytes: int = 0
    more: bool = False


class BackupRecord(Wire):
    """One backup on this node's disk."""

    name: str
    created: str
    size_bytes: int
