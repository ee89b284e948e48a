from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node.domain.config import AlertLimits
from node.domain.events import AlertCleared, AlertRaised
from node.domain.facts import (
    AccessFacts,
    ArchiveFacts,
    CameraFacts,
    CertificateFacts,
    ClockFacts,
    ConfigFacts,
    DatabaseFacts,
    DiskFacts,
    HealthFacts,
    HostFacts,
    IdentityFacts,
    Learnt,
    LoopFacts,
    NodeFacts,
    QueueFacts,
    ReleaseFacts,
    TargetFacts,
    WorkerFacts,
)
from node.domain.health import (
    DAY_US,
    RULES,
    US,
    Held,
    camera_state,
    conditions,
    fold,
    not_ready,
    probes,
    stale_after_s,
    step,
)

NOW = 1_795_000_000 * US
LIMITS = AlertLimits()
GB = 1_000_000_000
WELL = CameraFacts("main", "ok", interval_s=60, expected_since_us=NOW - 3600 * US, last_good_us=NOW - 30 * US)


def learnt(value: Any, age_s: float = 0.0) -> Learnt[Any]:
    return Learnt(value, NOW - round(age_s * US))


def node(**changes: Any) -> NodeFacts:
    facts = NodeFacts(
        identity=learnt(IdentityFacts("north", "1.0", NOW - 7200 * US)),
        config=learnt(ConfigFacts(3, "d" * 64)),
        clock=learnt(ClockFacts(synced=True)),
        disk=learnt(DiskFacts(100 * GB, 50 * GB)),
        host=learnt(HostFacts(temperature_c=50.0)),
        database=learnt(DatabaseFacts()),
        cameras=(learnt(WELL),),
        loops=(learnt(LoopFacts("capture/main", 60.0), 59.0),),
    )
    return replace(facts, **changes)


def found(facts: NodeFacts, now_us: int = NOW, limits: AlertLimits = LIMITS) -> list[tuple[str, str]]:
    return [(each.code, each.subject) for each in conditions(facts, limits, now_us)]


def camera(**changes: Any) -> NodeFacts:
    return node(cameras=(learnt(replace(WELL, **changes)),))


def test_a_node_that_is_well_has_no_conditions_and_is_ready() -> None:
    assert found(node()) == []
    assert not_ready(node(), LIMITS, NOW) == ()
    assert fold(node(), NOW).state == "ok"


def test_nothing_learnt_is_not_sick_but_not_ready_either() -> None:
    assert found(NodeFacts()) == []
    reasons = " ".join(not_ready(NodeFacts(), LIMITS, NOW))
    for part in ("config", "disk", "database", "loops", "cameras"):
        assert part in reasons


def test_a_certificate_that_is_far_from_its_end_or_counts_only_later_is_no_condition() -> None:
    assert found(node(certificate=learnt(CertificateFacts(NOW + DAY_US, NOW + 21 * DAY_US)))) == []


@pytest.mark.parametrize(
    ("days", "sentence"),
    [(-1, "The node's certificate has expired."), (2, "The node's certificate expires in 2 days.")],
)
def test_a_certificate_says_how_long_it_still_counts(days: int, sentence: str) -> None:
    facts = node(certificate=learnt(CertificateFacts(0, NOW + days * DAY_US)))
    assert [each.sentence for each in conditions(facts, LIMITS, NOW)] == [sentence]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (node(database=learnt(DatabaseFacts(error_code="DB-001"))), "database_fault"),
        (node(database=learnt(DatabaseFacts(unrecorded=2))), "frames_unrecorded"),
        (node(disk=learnt(DiskFacts(100 * GB, 50 * GB, error_code="DSK-002"))), "disk_unwritable"),
        (node(disk=learnt(DiskFacts(100 * GB, GB // 2))), "disk_full"),
        (node(disk=learnt(DiskFacts(100 * GB, 4 * GB))), "disk_critical"),
        (node(disk=learnt(DiskFacts(100 * GB, 50 * GB, stopped=("frame/01X", "frame/02X")))), "reclaim_stopped"),
        (node(disk=learnt(DiskFacts(100 * GB, 9 * GB))), "disk_low"),
        (node(loops=(learnt(LoopFacts("capture/main", 60.0), 65.0),)), "loop_silent"),
        (node(loops=(learnt(LoopFacts("capture/main", 60.0, failures=2, error="OSError: gone")),)), "loop_failing"),
        (camera(word="offline", error_code="CAM-002"), "camera_offline"),
        (camera(word="recovering"), "camera_recovering"),
        (camera(last_good_us=NOW - 301 * US), "no_good_frame"),
        (node(workers=(learnt(WorkerFacts("work")),)), "worker_silent"),
        (node(targets=(learnt(TargetFacts("nas", "open")),)), "target_failing"),
        (node(targets=(learnt(TargetFacts("nas", oldest_us=NOW - 7 * 3600 * US)),)), "unsent_for_long"),
        (node(targets=(learnt(TargetFacts("nas", outgrown=True)),)), "backlog_grows"),
        (node(archive=learnt(ArchiveFacts(1))), "frames_held_nowhere"),
        (node(queue=learnt(QueueFacts(dead=1))), "dead_letters"),
        (node(queue=learnt(QueueFacts(late_shoots=("main/day/2026-11-20/auto",)))), "video_late"),
        (node(queue=learnt(QueueFacts(stuck=1))), "job_stuck"),
        (node(queue=learnt(QueueFacts(due=10))), "queue_deep"),
        (node(queue=learnt(QueueFacts(due=25))), "queue_flooded"),
        (node(host=learnt(HostFacts(temperature_c=75.0))), "temperature_high"),
        (node(clock=learnt(ClockFacts(synced=False))), "clock_unsynced"),
        (node(access=learnt(AccessFacts(((NOW, 10),), "10.0.0.9", "SEC-005"))), "access_refused"),
        (node(release=learnt(ReleaseFacts("rolled_back", "1.1", "1.0", NOW))), "release_rolled_back"),
        (node(release=learnt(ReleaseFacts("rollback_failed", "1.1", "1.0", NOW))), "release_rollback_failed"),
        (node(certificate=learnt(CertificateFacts(0, NOW + 21 * DAY_US - US))), "certificate_expires"),
        (node(certificate=learnt(CertificateFacts(0, NOW + 3 * DAY_US))), "certificate_expires"),
        (node(certificate=learnt(CertificateFacts(0, NOW + 3 * DAY_US - US))), "certificate_ending"),
        (node(certificate=learnt(CertificateFacts(0, NOW - US))), "certificate_ending"),
        (node(config=learnt(ConfigFacts(3, "d", unknown_fields=("site.moon",)))), "config_unknown_fields"),
    ],
)
def test_each_condition_is_found_alone_with_a_sentence(facts: NodeFacts, code: str) -> None:
    (condition,) = conditions(facts, LIMITS, NOW)
    assert condition.code == code
    assert condition.sentence.endswith(".")
    assert condition.severity == next(rule.severity for rule in RULES if rule.code == code)


def test_every_rule_of_the_table_is_tried_above() -> None:
    tried = test_each_condition_is_found_alone_with_a_sentence.pytestmark[0].args[1]
    assert {code for _, code in tried} == {rule.code for rule in RULES}
    assert len({rule.code for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(
    "facts",
    [
        camera(interval_s=None, expected_since_us=None, last_good_us=NOW - 10 * 3600 * US),
        camera(enabled=False, word="offline", last_good_us=None),
        camera(word="warming", last_good_us=None, expected_since_us=NOW - 10 * US),
        node(config=learnt(ConfigFacts(3, "d", probation_until_us=NOW + US))),
        node(host=learnt(HostFacts())),
        node(host=None, clock=None),
    ],
    ids=["night", "disabled", "warming", "probation", "no thermometer", "no host"],
)
def test_what_is_expected_is_not_sick(facts: NodeFacts) -> None:
    assert found(facts) == []


def test_a_disk_whose_size_nobody_knows_is_not_called_full() -> None:
    lost = node(disk=learnt(DiskFacts(error_code="DSK-004")))
    assert [found.code for found in conditions(lost, LIMITS, NOW)] == ["disk_unwritable"]


def test_a_frame_may_be_old_in_intervals_or_in_minutes_whichever_is_longer() -> None:
    assert stale_after_s(60, LIMITS) == 300
    assert stale_after_s(3600, LIMITS) == 9000
    assert found(camera(interval_s=3600, expected_since_us=NOW - 9 * 3600 * US, last_good_us=NOW - 8999 * US)) == []


def test_staleness_is_measured_from_the_window_not_from_the_evening_before() -> None:
    fresh = camera(last_good_us=NOW - 12 * 3600 * US, expected_since_us=NOW - 299 * US)
    assert found(fresh) == []
    late = camera(last_good_us=NOW - 12 * 3600 * US, expected_since_us=NOW - 301 * US)
    assert found(late) == [("no_good_frame", "main")]


def test_a_camera_that_never_gave_a_good_frame_is_measured_from_the_start() -> None:
    young = node(
        identity=learnt(IdentityFacts("north", "1.0", NOW - 100 * US)), cameras=camera(last_good_us=None).cameras
    )
    assert found(young) == []
    assert found(camera(last_good_us=None)) == [("no_good_frame", "main")]
    assert found(replace(camera(last_good_us=None), identity=None)) == []


def test_a_silent_loop_is_found_within_its_interval_and_ten_seconds() -> None:
    pulse = node(loops=(learnt(LoopFacts("capture/main", 60.0)),))
    held: tuple[Held, ...] = ()
    raised_s = None
    for second in range(90):
        now_us = NOW + second * US
        stepped = step(held, conditions(pulse, LIMITS, now_us), now_us, LIMITS.hold_down_s)
        held = stepped.held
        if any(alert.code == "loop_silent" for alert in stepped.alerts):
            raised_s = raised_s or second
    assert raised_s is not None
    assert 60 < raised_s <= 70


def test_a_pulse_from_the_future_is_a_silent_loop() -> None:
    assert found(node(loops=(learnt(LoopFacts("capture/main", 60.0), -3600),))) == [("loop_silent", "capture/main")]


def test_a_condition_becomes_an_alert_only_when_it_lasts() -> None:
    hot = conditions(node(host=learnt(HostFacts(temperature_c=80.0))), LIMITS, NOW)
    first = step((), hot, NOW, 5.0)
    assert (first.alerts, first.events) == ((), ())
    second = step(first.held, hot, NOW + 4 * US, 5.0)
    assert (second.alerts, second.events) == ((), ())
    third = step(second.held, hot, NOW + 5 * US, 5.0)
    assert third.events == (AlertRaised("temperature_high", "warn", "host", "The processor is at 80 °C."),)
    assert [(alert.code, alert.since_us) for alert in third.alerts] == [("temperature_high", NOW)]
    fourth = step(third.held, hot, NOW + 6 * US, 5.0)
    assert fourth.events == ()
    fifth = step(fourth.held, (), NOW + 65 * US, 5.0)
    assert fifth.events == (AlertCleared("temperature_high", "host", 65.0),)
    assert fifth.held == ()


def test_flapping_never_becomes_an_alert_nor_a_clearance() -> None:
    hot = conditions(node(host=learnt(HostFacts(temperature_c=80.0))), LIMITS, NOW)
    held: tuple[Held, ...] = ()
    for second in range(60):
        stepped = step(held, hot if second % 4 else (), NOW + second * US, 5.0)
        held = stepped.held
        assert stepped.events == ()


def test_without_hold_down_an_alert_is_raised_at_once() -> None:
    hot = conditions(node(host=learnt(HostFacts(temperature_c=80.0))), LIMITS, NOW)
    assert len(step((), hot, NOW, 0.0).events) == 1


def test_a_clock_that_goes_back_holds_no_alert_down() -> None:
    hot = conditions(node(host=learnt(HostFacts(temperature_c=80.0))), LIMITS, NOW)
    back = step(step((), hot, NOW, 5.0).held, hot, NOW - 3600 * US, 5.0)
    assert back.held[0].since_us == NOW - 3600 * US
    assert step(back.held, hot, NOW - 3595 * US, 5.0).alerts


def test_an_alert_whose_severity_follows_from_its_sentence_keeps_its_since() -> None:
    offline = conditions(camera(word="offline"), LIMITS, NOW)
    again = conditions(camera(word="offline", error_code="CAM-005"), LIMITS, NOW)
    raised = step((), offline, NOW, 0.0)
    later = step(raised.held, again, NOW + US, 0.0)
    assert later.events == ()
    assert later.alerts[0].since_us == NOW
    assert "CAM-005" in later.alerts[0].sentence


def test_alerts_are_gravest_first_and_the_state_is_the_gravest() -> None:
    facts = node(
        host=learnt(HostFacts(temperature_c=80.0)),
        cameras=(learnt(replace(WELL, name="b", word="offline")), learnt(replace(WELL, name="a", word="offline"))),
    )
    alerts = step((), conditions(facts, LIMITS, NOW), NOW, 0.0).alerts
    assert [(alert.code, alert.subject) for alert in alerts] == [
        ("camera_offline", "a"), ("camera_offline", "b"), ("temperature_high", "host"),
    ]  # fmt: skip
    health = fold(replace(facts, health=learnt(HealthFacts(alerts))), NOW)
    assert (health.state, len(health.alerts), health.reasons[0]) == ("crit", 3, alerts[0].sentence)
    warned = fold(replace(facts, health=learnt(HealthFacts(alerts[2:]))), NOW)
    assert warned.state == "warn"


def test_the_judging_loop_cannot_hide_its_own_silence() -> None:
    silent = node(loops=(learnt(LoopFacts("facts", 1.0), 12.0),))
    health = fold(silent, NOW)
    assert (health.state, health.alerts[0].code, health.alerts[0].since_us) == ("crit", "loop_silent", NOW - 12 * US)
    raised = step((), conditions(silent, LIMITS, NOW), NOW, 0.0).alerts
    assert len(fold(replace(silent, health=learnt(HealthFacts(raised))), NOW).alerts) == 1


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "ok"),
        ({"word": "warming"}, "warming"),
        ({"interval_s": None}, "idle"),
        ({"interval_s": None, "word": "warming"}, "idle"),
        ({"interval_s": None, "word": "offline"}, "offline"),
        ({"word": "recovering"}, "recovering"),
        ({"enabled": False, "word": "offline"}, "disabled"),
    ],
)
def test_a_camera_is_one_word(changes: dict, state: str) -> None:
    assert camera_state(replace(WELL, **changes)) == state


@pytest.mark.parametrize(
    ("facts", "part"),
    [
        (camera(word="offline"), "main is offline"),
        (camera(word="warming"), "main is warming"),
        (node(disk=learnt(DiskFacts(100 * GB, GB // 2))), "capture stops"),
        (node(database=learnt(DatabaseFacts(error_code="DB-001"))), "DB-001"),
        (node(loops=(learnt(LoopFacts("facts", 1.0), 60.0),)), "facts loop"),
    ],
)
def test_a_node_that_cannot_work_says_why_it_is_not_ready(facts: NodeFacts, part: str) -> None:
    (reason,) = not_ready(facts, LIMITS, NOW)
    assert part in reason


def test_one_camera_of_two_is_enough_to_be_ready() -> None:
    two = node(cameras=(learnt(WELL), learnt(replace(WELL, name="side", word="offline"))))
    assert not_ready(two, LIMITS, NOW) == ()
    assert not_ready(camera(enabled=False, word="offline"), LIMITS, NOW) == ()


def test_every_probe_has_its_age_its_cost_and_its_word() -> None:
    facts = node(
        disk=replace(learnt(DiskFacts(100 * GB, 9 * GB), 3.0), took_ms=0.4),
        host=None,
        cameras=(learnt(replace(WELL, word="offline")),),
    )
    by_name = {probe.name: probe for probe in probes(facts, LIMITS, NOW)}
    assert list(by_name) == ["config", "clock", "disk", "host", "database", "camera/main", "loop/capture/main"]
    disk = by_name["disk"]
    assert (disk.state, disk.age_s, disk.took_ms) == ("warn", 3.0, 0.4)
    assert (by_name["host"].state, by_name["host"].age_s) == ("unknown", None)
    assert by_name["camera/main"].state == "crit"
    assert (by_name["loop/capture/main"].state, by_name["loop/capture/main"].age_s) == ("ok", 59.0)
    assert by_name["clock"].took_ms is None


@pytest.mark.parametrize("state", ["trial", "provisional", "confirmed", None])
def test_a_release_that_was_not_rolled_back_is_no_condition(state: Any) -> None:
    assert conditions(node(release=learnt(ReleaseFacts(state, "1.1", "1.0", NOW))), LIMITS, NOW) == ()


def test_a_rollback_is_told_of_with_its_reason_until_another_release_runs() -> None:
    back = learnt(ReleaseFacts("rolled_back", "1.1", "1.0", NOW, reason="no good frames"))
    (found,) = conditions(node(release=back), LIMITS, NOW)
    assert found.sentence == "Release 1.1 was rolled back to 1.0 (no good frames)."
    later = node(release=back, identity=learnt(IdentityFacts("north", "1.2", NOW)))
    assert conditions(later, LIMITS, NOW) == ()
