"""What speaks for trouble beside capture."""

from __future__ import annotations

from typing import Any

import pytest

from node.domain.config import AlertLimits
from node.domain.facts import ArchiveFacts, IdentityFacts, Learnt, NodeFacts, QueueFacts, TargetFacts, WorkerFacts
from node.domain.health import conditions
from node.domain.times import US

NOW = 1_795_000_000 * US
LIMITS = AlertLimits()


def learnt(value: Any) -> Learnt[Any]:
    return Learnt(value, NOW)


def found(up_s: float = 3600.0, **facts: Any) -> list[tuple[str, str, str]]:
    identity = learnt(IdentityFacts("north", "1", NOW - round(up_s * US)))
    told = conditions(NodeFacts(identity=identity, **facts), LIMITS, NOW)
    return [(each.code, each.severity, each.subject) for each in told]


def queue(**values: Any) -> dict[str, Any]:
    return {"queue": learnt(QueueFacts(**values))}


def target(**values: Any) -> dict[str, Any]:
    return {"targets": (learnt(TargetFacts("nas", **values)),)}


def worker(age_s: float | None, promise_s: float = 10.0) -> dict[str, Any]:
    pulse_us = None if age_s is None else NOW - round(age_s * US)
    return {"workers": (learnt(WorkerFacts("work", pulse_us, promise_s)),)}


def test_an_idle_queue_and_a_target_that_holds_everything_are_no_conditions() -> None:
    assert found(**queue(), **target(), **worker(3)) == []


@pytest.mark.parametrize(("age_s", "silent"), [(None, True), (19.0, False), (21.0, True)])
def test_a_worker_is_silent_when_its_promise_is_over_or_it_never_was(age_s: float | None, silent: bool) -> None:
    assert found(**worker(age_s)) == ([("worker_silent", "warn", "work")] if silent else [])


def test_a_worker_has_time_to_start() -> None:
    assert found(29, **worker(None)) == []
    assert found(31, **worker(None)) == [("worker_silent", "warn", "work")]


def test_a_long_job_keeps_its_worker_from_being_silent_as_long_as_it_promised() -> None:
    assert found(**worker(115, promise_s=120)) == []


@pytest.mark.parametrize(
    ("due", "told"),
    [(9, []), (10, [("queue_deep", "warn", "queue")]), (24, [("queue_deep", "warn", "queue")]),
     (25, [("queue_flooded", "crit", "queue")])],
)  # fmt: skip
def test_depth_warns_and_then_is_critical(due: int, told: list[Any]) -> None:
    assert found(**queue(due=due)) == told


def test_dead_letters_stuck_jobs_and_late_videos_are_told() -> None:
    told = found(**queue(dead=2, stuck=1, late_shoots=("main/day/2026-11-20/auto",)))
    assert told == [
        ("dead_letters", "warn", "queue"),
        ("video_late", "warn", "main/day/2026-11-20/auto"),
        ("job_stuck", "warn", "queue"),
    ]


@pytest.mark.parametrize("breaker", ["open", "half_open"])
def test_a_target_whose_breaker_is_not_closed_fails(breaker: Any) -> None:
    assert found(**target(breaker=breaker, error_code="ARC-001")) == [("target_failing", "warn", "nas")]


@pytest.mark.parametrize(
    ("failures", "ago_s", "told"), [(2, 60, False), (3, 60, True), (4, 86_399, True), (4, 86_400, False)]
)
def test_a_target_that_fails_three_times_in_a_row_within_a_day_is_told(failures: int, ago_s: int, told: bool) -> None:
    facts = target(failures=failures, last_failed_us=NOW - ago_s * US, error_code="ARC-001")
    assert found(**facts) == ([("target_failing", "warn", "nas")] if told else [])


def test_a_backlog_that_outgrows_the_link_is_told_where_the_target_is_well() -> None:
    assert found(**target(outgrown=True, unsent_bytes=10**10)) == [("backlog_grows", "warn", "nas")]
    assert found(**target(outgrown=True, breaker="open")) == [("target_failing", "warn", "nas")]


def test_frames_that_no_target_holds_any_more_are_critical() -> None:
    assert found(archive=learnt(ArchiveFacts())) == []
    assert found(archive=learnt(ArchiveFacts(360))) == [("frames_held_nowhere", "crit", "archive")]


def test_what_waits_for_too_long_is_told() -> None:
    limit_us = round(LIMITS.unsent_warn_s * US)
    assert found(**target(unsent=3, oldest_us=NOW - limit_us)) == []
    assert found(**target(unsent=3, oldest_us=NOW - limit_us - US)) == [("unsent_for_long", "warn", "nas")]
