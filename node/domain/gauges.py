"""Gauges: what is read off the board's facts at each scrape, one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from node.domain.facts import (
    BreakerWord,
    CameraFacts,
    CertificateFacts,
    ClockFacts,
    ConfigFacts,
    DatabaseFacts,
    DiskFacts,
    HealthFacts,
    HostFacts,
    IdentityFacts,
    LoopFacts,
    QueueFacts,
    ReleaseFacts,
    ReleaseWord,
    TargetFacts,
    WorkerFacts,
)
from node.domain.pressure import Step
from node.domain.times import US

BREAKERS: Mapping[BreakerWord, int] = {"closed": 0, "half_open": 1, "open": 2}
RELEASES: Mapping[ReleaseWord | None, int] = {
    "confirmed": 0,
    "trial": 1,
    "provisional": 2,
    "rolled_back": 3,
    "rollback_failed": 4,
}
STEPS: Mapping[str, int] = {step.value: number for number, step in enumerate(Step)}


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value read off each fact of one type, given the time of the scrape; None = not known: no sample.

    `label` names what the fact's own name becomes, where there are several facts of the type.
    """

    name: str
    sentence: str
    fact: type[Any]
    read: Callable[[Any, int], float | None]
    label: str = ""


def _age_s(at_us: int | None, now_us: int) -> float | None:
    return None if at_us is None else max(0.0, (now_us - at_us) / US)


GAUGES = (
    Gauge("uptime_seconds", "Since the service started.", IdentityFacts, lambda f, now: _age_s(f.started_us, now)),
    Gauge(
        "last_good_age_seconds",
        "Age of the camera's last good frame.",
        CameraFacts,
        lambda f, now: _age_s(f.last_good_us, now),
        "camera",
    ),
    Gauge(
        "interval_seconds",
        "Shortest interval asked for now; absent = expected idle.",
        CameraFacts,
        lambda f, _: f.interval_s,
        "camera",
    ),
    Gauge(
        "quality_score", "Score of the last judged frame, 100 = perfect.", CameraFacts, lambda f, _: f.quality, "camera"
    ),
    Gauge(
        "camera_ok", "1 = the camera is ok, 0 = it is not.", CameraFacts, lambda f, _: float(f.word == "ok"), "camera"
    ),
    Gauge(
        "camera_held",
        "1 = an operator holds the camera's capture.",
        CameraFacts,
        lambda f, _: float(f.held_us is not None),
        "camera",
    ),
    Gauge("slots_due_today", "Slots due on the site's current day.", CameraFacts, lambda f, _: f.due, "camera"),
    Gauge("slots_captured_today", "Slots captured on that day.", CameraFacts, lambda f, _: f.captured, "camera"),
    Gauge("slots_missed_today", "Gaps of that day.", CameraFacts, lambda f, _: f.gaps, "camera"),
    Gauge("disk_total_bytes", "Size of the data disk.", DiskFacts, lambda f, _: f.total_bytes),
    Gauge("disk_free_bytes", "Free on the data disk.", DiskFacts, lambda f, _: f.free_bytes),
    Gauge(
        "disk_full_days",
        "Days until capture stops for want of room, were nothing more archived.",
        DiskFacts,
        lambda f, _: f.full_in_days,
    ),
    Gauge(
        "disk_reclaimable_bytes", "Verified frames that may go for room.", DiskFacts, lambda f, _: f.reclaimable_bytes
    ),
    Gauge("memory_available_bytes", "What programs may still take.", HostFacts, lambda f, _: f.memory_available_bytes),
    Gauge("memory_pss_bytes", "PSS of the node's processes together.", HostFacts, lambda f, _: f.node_pss_bytes),
    Gauge("temperature_celsius", "Of the processor.", HostFacts, lambda f, _: f.temperature_c),
    Gauge("clock_synced", "1 = the wall clock may be believed.", ClockFacts, lambda f, _: float(f.synced)),
    Gauge(
        "certificate_seconds",
        "Until the node's certificate expires; absent = no TLS.",
        CertificateFacts,
        lambda f, now: (f.until_us - now) / US,
    ),
    Gauge("config_version", "Of the running document.", ConfigFacts, lambda f, _: f.version),
    Gauge("config_probation", "1 = on probation.", ConfigFacts, lambda f, _: float(f.probation_until_us is not None)),
    Gauge("config_provisional", "1 = it runs provisionally.", ConfigFacts, lambda f, _: float(f.provisional)),
    Gauge(
        "release_state",
        "Last release: 0 = confirmed, 1 = trial, 2 = provisional, 3 = rolled back, 4 = not even that; absent = none.",
        ReleaseFacts,
        lambda f, _: RELEASES.get(f.state),
    ),
    Gauge("writer_queue", "Writes that wait for the database's writer.", DatabaseFacts, lambda f, _: f.queue),
    Gauge("wal_bytes", "Size of the database's write-ahead log.", DatabaseFacts, lambda f, _: f.wal_bytes),
    Gauge("unrecorded_frames", "Entries that wait for the database.", DatabaseFacts, lambda f, _: f.unrecorded),
    Gauge("last_event_id", "Newest row of the event log.", DatabaseFacts, lambda f, _: f.last_event_id),
    Gauge("alerts_active", "Alerts that are raised now.", HealthFacts, lambda f, _: len(f.alerts)),
    Gauge("loop_failures_in_a_row", "Rounds that failed in a row.", LoopFacts, lambda f, _: f.failures, "loop"),
    Gauge("jobs_due", "Jobs that could begin now; an open breaker's are left out.", QueueFacts, lambda f, _: f.due),
    Gauge("jobs_running", "Jobs that run.", QueueFacts, lambda f, _: f.running),
    Gauge("jobs_stuck", "Jobs that run for too long.", QueueFacts, lambda f, _: f.stuck),
    Gauge("jobs_dead", "Dead letters.", QueueFacts, lambda f, _: f.dead),
    Gauge(
        "jobs_oldest_seconds",
        "How long the oldest job that is due has been so; absent = none is.",
        QueueFacts,
        lambda f, now: _age_s(f.oldest_us, now),
    ),
    Gauge(
        "worker_pulse_age_seconds",
        "Since the last pulse of a process beside the service; absent = it gives none.",
        WorkerFacts,
        lambda f, now: _age_s(f.pulse_us, now),
        "worker",
    ),
    Gauge("target_unsent", "Items that a target does not hold yet.", TargetFacts, lambda f, _: f.unsent, "target"),
    Gauge("target_unsent_bytes", "Their bytes.", TargetFacts, lambda f, _: f.unsent_bytes, "target"),
    Gauge(
        "target_oldest_seconds",
        "Age of the oldest of them; absent = it holds everything.",
        TargetFacts,
        lambda f, now: _age_s(f.oldest_us, now),
        "target",
    ),
    Gauge(
        "target_backlog_eta_seconds",
        "Until it holds everything at the pace of the last hour; absent = not known, or never.",
        TargetFacts,
        lambda f, _: f.backlog_eta_s,
        "target",
    ),
    Gauge(
        "target_breaker",
        "A target's breaker: 0 = closed, 1 = half open, 2 = open.",
        TargetFacts,
        lambda f, _: BREAKERS[f.breaker],
        "target",
    ),
    Gauge("target_failures_in_a_row", "Uses that failed in a row.", TargetFacts, lambda f, _: f.failures, "target"),
    Gauge(
        "disk_step",
        "Of the ladder: 0 = ok, 1 = low, 2 = critical, 3 = stretched, 4 = stopped.",
        DiskFacts,
        lambda f, _: STEPS.get(f.step),
    ),
)
