"""Metrics: folded from events, read off the board, observed."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from node.board import Board
from node.domain import events, facts
from node.domain.frame import GapReason
from node.domain.gauges import BREAKERS, GAUGES, STEPS
from node.domain.job import KINDS
from node.domain.pressure import Step
from node.metrics import FOLDED, MOVES, PREFIX, TIMINGS, Metrics

NOW_US = 100_000_000
FRAME = events.FrameKept(
    frame="01F",
    camera="main",
    profile="auto",
    due_us=60_000_000,
    captured_us=60_400_000,
    size_bytes=1000,
    verdict="good",
    score=97,
    reasons=(),
    flagged=False,
    late_ms=20,
    took_ms=380,
)


def _samples(metrics: Metrics) -> dict[str, float]:
    lines = metrics.render().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def metrics(board: Board) -> Metrics:
    return Metrics(board.all, lambda: NOW_US, ["main", "side"], ["nas"], live={"streams_open": lambda: 3})


def test_what_never_happened_is_a_measured_zero(metrics: Metrics) -> None:
    found = _samples(metrics)
    assert found['heliograph_frames_total{camera="side",verdict="bad"}'] == 0
    assert found["heliograph_clock_steps_total"] == 0
    gaps = {name for name in found if name.startswith('heliograph_gaps_total{camera="main"')}
    assert len(gaps) == len(GapReason)
    ends = {name for name in found if name.startswith("heliograph_jobs_total{")}
    assert len(ends) == 3 * len(KINDS)
    assert found['heliograph_archived_bytes_total{target="nas"}'] == 0


def test_a_kept_frame_moves_count_bytes_latency_and_lateness(metrics: Metrics) -> None:
    metrics.fold(FRAME)
    found = _samples(metrics)
    assert found['heliograph_frames_total{camera="main",verdict="good"}'] == 1
    assert found['heliograph_frame_bytes_total{camera="main"}'] == 1000
    assert found['heliograph_capture_seconds_sum{camera="main"}'] == 0.38
    assert found['heliograph_lateness_seconds_bucket{camera="main",le="0.01"}'] == 0
    assert found['heliograph_lateness_seconds_bucket{camera="main",le="0.02"}'] == 1


def test_a_commanded_shot_has_no_lateness(metrics: Metrics) -> None:
    metrics.fold(replace(FRAME, due_us=None, late_ms=0))
    assert _samples(metrics)['heliograph_lateness_seconds_count{camera="main"}'] == 0


@pytest.mark.parametrize(
    ("event", "sample", "value"),
    [
        (events.GapRecorded("main", "auto", 1, "late"), 'gaps_total{camera="main",reason="late"}', 1),
        (events.GapRecorded("main", "auto", 1, "timeout", "CAM-005"), 'errors_total{code="CAM-005"}', 1),
        (
            events.GapsRecorded("main", "process_down", 12, 0, 9),
            'gaps_total{camera="main",reason="process_down"}',
            12,
        ),
        (
            events.FrameQuarantined("01F", "main", "auto", 1, "truncated", "quarantine/x"),
            'quarantined_total{camera="main",integrity="truncated"}',
            1,
        ),
        (
            events.RecoveryStep("main", "respawn", 1, "CAM-005", ""),
            'recovery_steps_total{camera="main",rung="respawn"}',
            1,
        ),
        (events.RecoveryStep("main", "reopen", 1, "CAM-004", ""), 'errors_total{code="CAM-004"}', 1),
        (events.CameraRecovered("main", "reopen", 7.5), 'camera_down_seconds_total{camera="main"}', 7.5),
        (events.CameraRecovered("main", "reopen", 7.5), 'recoveries_total{camera="main",rung="reopen"}', 1),
        (
            events.ShootClosed("s", "main", "day", "auto", "2026-11-20", 10, 2, 8, degraded=True),
            'shoots_total{camera="main",outcome="degraded"}',
            1,
        ),
        (
            events.ShootClosed("s", "main", "day", "auto", "2026-11-20", 10, 9, 1, degraded=False),
            'shoots_total{camera="main",outcome="captured"}',
            1,
        ),
        (events.ConfigActivated(2, "d", 1, probation=True, who="ops"), 'config_changes_total{change="activated"}', 1),
        (events.ConfigConfirmed(2, "d", 3), 'config_changes_total{change="confirmed"}', 1),
        (events.ConfigRolledBack(2, 1, "d", "no proof"), 'config_changes_total{change="rolled_back"}', 1),
        (events.AlertRaised("disk", "warn", "", "x"), 'alerts_total{alert="disk",severity="warn"}', 1),
        (events.ClockStepped(30.0), "clock_steps_total", 1),
        (events.LoopFailed("capture", "x", 1), 'loop_failures_total{loop="capture"}', 1),
        (events.JobMoved("01J", "backup", "node", "done", 1), 'jobs_total{kind="backup",state="done"}', 1),
        (events.JobMoved("01J", "render", "x", "cancelled", 0), 'jobs_total{kind="render",state="cancelled"}', 1),
        (events.JobMoved("01J", "render", "x", "retry", 1, "REN-004"), 'job_retries_total{kind="render"}', 1),
        (events.JobMoved("01J", "render", "x", "retry", 1, "REN-004"), 'errors_total{code="REN-004"}', 1),
        (events.JobDied("01J", "render", "x", 3, "REN-001", ""), 'jobs_total{kind="render",state="dead"}', 1),
        (events.JobDied("01J", "render", "x", 3, "REN-001", ""), 'errors_total{code="REN-001"}', 1),
        (events.VideoMade("01V", "main", "auto", "", 100, 0, 9, 12.5), 'videos_total{camera="main"}', 1),
        (events.VideoMade("01V", "main", "auto", "", 100, 0, 9, 12.5), 'render_seconds_sum{camera="main"}', 12.5),
        (
            events.VideoRemoved("01V", "main", "by_hand"),
            'videos_removed_total{camera="main",rule="by_hand"}',
            1,
        ),
        (events.ItemsArchived("nas", 3, 900, 1.5), 'archived_items_total{target="nas"}', 3),
        (events.ItemsArchived("nas", 3, 900, 1.5), 'archived_bytes_total{target="nas"}', 900),
        (events.ItemsArchived("nas", 3, 900, 1.5), 'archived_seconds_total{target="nas"}', 1.5),
        (events.ReceiptDenied("nas", "01F", "a", "b"), 'receipts_denied_total{target="nas"}', 1),
        (events.FramesRestored("nas", 2, 50), 'restored_bytes_total{target="nas"}', 50),
        (events.AccessRefused("10.0.0.1", "API-001", 4), 'access_refused_total{code="API-001"}', 4),
    ],
)
def test_each_event_moves_its_metric(metrics: Metrics, event: events.Event, sample: str, value: float) -> None:
    metrics.fold(event)
    assert _samples(metrics)[PREFIX + sample] == value


def test_a_job_that_waits_again_has_not_ended(metrics: Metrics) -> None:
    before = _samples(metrics)
    metrics.fold(events.JobMoved("01J", "render", "x", "queued", 0))
    assert _samples(metrics) == before
    metrics.fold(events.JobMoved("01J", "render", "x", "retry", 1, "REN-004"))
    assert not any('jobs_total{kind="render"' in name and value for name, value in _samples(metrics).items())


def test_an_event_without_a_metric_moves_nothing(metrics: Metrics) -> None:
    before = _samples(metrics)
    metrics.fold(events.ServiceStopped("sigterm"))
    assert _samples(metrics) == before


def test_every_folded_metric_is_moved_by_some_event_of_the_table() -> None:
    assert set(MOVES) <= set(events.REGISTRY.values())
    assert len({row.name for row in FOLDED}) == len(FOLDED)


def test_gauges_are_read_off_the_board_at_scrape(board: Board, metrics: Metrics) -> None:
    board.post("identity", facts.IdentityFacts("pi", "0.1", NOW_US - 5_000_000), 1)
    board.post("camera/main", facts.CameraFacts("main", word="ok", last_good_us=NOW_US - 30_500_000, quality=88), 1)
    board.post("camera/side", facts.CameraFacts("side", word="offline", gaps=4), 1)
    board.post("disk", facts.DiskFacts(1000, 400), 1)
    board.post("loop/capture", facts.LoopFacts("capture", 1.0, failures=2), 1)
    board.post("health", facts.HealthFacts(), 1)
    found = _samples(metrics)
    assert found["heliograph_uptime_seconds"] == 5
    assert found['heliograph_last_good_age_seconds{camera="main"}'] == 30.5
    assert found['heliograph_quality_score{camera="main"}'] == 88
    assert found['heliograph_camera_ok{camera="side"}'] == 0
    assert found['heliograph_slots_missed_today{camera="side"}'] == 4
    assert found["heliograph_disk_free_bytes"] == 400
    assert found['heliograph_loop_failures_in_a_row{loop="capture"}'] == 2
    assert found["heliograph_alerts_active"] == 0
    assert found["heliograph_streams_open"] == 3


def test_queue_workers_targets_and_the_disks_step_are_gauges(board: Board, metrics: Metrics) -> None:
    board.post("queue", facts.QueueFacts(due=4, running=1, stuck=1, dead=2, oldest_us=NOW_US - 9_000_000), 1)
    board.post("worker/work", facts.WorkerFacts("work", NOW_US - 3_000_000), 1)
    board.post("worker/ship", facts.WorkerFacts("ship"), 1)
    nas = facts.TargetFacts("nas", "half_open", 7, 700, oldest_us=NOW_US - 60_000_000, failures=5, backlog_eta_s=33.0)
    board.post("target/nas", nas, 1)
    board.post("target/usb", facts.TargetFacts("usb"), 1)
    board.post("disk", facts.DiskFacts(1000, 400, step="critical"), 1)
    found = {name.removeprefix(PREFIX): value for name, value in _samples(metrics).items()}
    depth = {name: value for name, value in found.items() if re.match("jobs_(due|running|stuck|dead|oldest)", name)}
    assert depth == {"jobs_due": 4, "jobs_running": 1, "jobs_stuck": 1, "jobs_dead": 2, "jobs_oldest_seconds": 9}
    pulses = {name: value for name, value in found.items() if name.startswith("worker_pulse")}
    assert pulses == {'worker_pulse_age_seconds{worker="work"}': 3}
    targets = {name: value for name, value in found.items() if name.startswith("target_")}
    assert targets == {
        'target_unsent{target="nas"}': 7, 'target_unsent_bytes{target="nas"}': 700,
        'target_oldest_seconds{target="nas"}': 60, 'target_backlog_eta_seconds{target="nas"}': 33,
        'target_breaker{target="nas"}': 1, 'target_failures_in_a_row{target="nas"}': 5,
        'target_unsent{target="usb"}': 0, 'target_unsent_bytes{target="usb"}': 0, 'target_breaker{target="usb"}': 0,
        'target_failures_in_a_row{target="usb"}': 0,
    }  # fmt: skip
    assert found["disk_step"] == 2


def test_the_numbers_of_words_are_those_that_the_gauges_say() -> None:
    said = {row.name: row.sentence for row in GAUGES}
    for word, number in BREAKERS.items():
        assert f"{number} = {word.replace('_', ' ')}" in said["target_breaker"]
    assert set(STEPS) == set(Step)
    for step, number in STEPS.items():
        assert f"{number} = {step}" in said["disk_step"]


def test_what_is_not_known_has_no_sample(board: Board, metrics: Metrics) -> None:
    board.post("camera/main", facts.CameraFacts("main"), 1)
    board.post("host", facts.HostFacts(), 1)
    board.post("disk", facts.DiskFacts(error_code="DSK-004"), 1)
    found = _samples(metrics)
    assert not any(name.startswith("heliograph_disk_") for name in found)
    assert 'heliograph_last_good_age_seconds{camera="main"}' not in found
    assert "heliograph_temperature_celsius" not in found


def test_a_last_good_frame_from_before_the_clock_was_set_back_is_not_younger_than_now(
    board: Board, metrics: Metrics
) -> None:
    board.post("camera/main", facts.CameraFacts("main", last_good_us=NOW_US + 9), 1)
    assert _samples(metrics)['heliograph_last_good_age_seconds{camera="main"}'] == 0


def test_every_gauge_reads_a_full_fact(board: Board, metrics: Metrics) -> None:
    board.post("identity", facts.IdentityFacts("pi", "0.1", 1), 1)
    board.post("config", facts.ConfigFacts(3, "d", probation_until_us=9), 1)
    board.post("clock", facts.ClockFacts(synced=True), 1)
    board.post("disk", facts.DiskFacts(1000, 400, full_in_days=3.5, reclaimable_bytes=5, step="ok"), 1)
    board.post("queue", facts.QueueFacts(oldest_us=1), 1)
    board.post("worker/work", facts.WorkerFacts("work", 1), 1)
    board.post("target/nas", facts.TargetFacts("nas", oldest_us=1, backlog_eta_s=1.0), 1)
    board.post("host", facts.HostFacts(1, 2, 45.5), 1)
    board.post("database", facts.DatabaseFacts(queue=2), 1)
    board.post("health", facts.HealthFacts(), 1)
    board.post("camera/main", facts.CameraFacts("main", interval_s=60, last_good_us=1, quality=9), 1)
    board.post("loop/facts", facts.LoopFacts("facts", 1.0), 1)
    board.post("release", facts.ReleaseFacts("confirmed", "2", "1", 1), 1)
    board.post("certificate", facts.CertificateFacts(1, NOW_US + 5_000_000), 1)
    assert _samples(metrics)["heliograph_certificate_seconds"] == 5
    names = {re.sub(r"\{.*", "", name) for name in _samples(metrics)}
    assert {PREFIX + row.name for row in GAUGES} <= names


def test_a_timing_is_observed_under_its_labels(metrics: Metrics) -> None:
    metrics.observe("api_seconds", 0.004, "/v1/status", "200")
    found = _samples(metrics)
    assert found['heliograph_api_seconds_count{route="/v1/status",status="200"}'] == 1
    assert found['heliograph_api_seconds_bucket{le="0.005",route="/v1/status",status="200"}'] == 1


def test_a_timing_that_is_not_in_the_table_is_refused(metrics: Metrics) -> None:
    with pytest.raises(KeyError):
        metrics.observe("unheard_of", 1.0)
    assert "api_seconds" in {row.name for row in TIMINGS}


def test_two_nodes_in_one_process_count_apart(board: Board, metrics: Metrics) -> None:
    other = Metrics(board.all, lambda: NOW_US, ["main"])
    metrics.fold(FRAME)
    sample = 'heliograph_frames_total{camera="main",verdict="good"}'
    assert (_samples(metrics)[sample], _samples(other)[sample]) == (1, 0)
    assert "heliograph_streams_open" not in _samples(other)
