"""How full the disk is, in a step, a level, a sentence and in days."""

from __future__ import annotations

import pytest

from node.domain.config import AlertLimits
from node.domain.facts import DiskFacts, Learnt, NodeFacts
from node.domain.pressure import Step
from node.domain.room import at, disk_level, disk_step, full_in_days, reclaim_stopped

GB = 10**9
LIMITS = AlertLimits()


@pytest.mark.parametrize(
    ("free", "level"),
    [(50 * GB, "ok"), (10 * GB, "ok"), (9 * GB, "warn"), (5 * GB, "warn"), (4 * GB, "crit"), (0, "crit")],
)
def test_the_disk_has_three_levels(free: int, level: str) -> None:
    assert disk_level(DiskFacts(100 * GB, free), LIMITS) == level


def test_a_small_disk_is_full_where_only_the_reserve_is_left() -> None:
    assert disk_step(DiskFacts(200_000_000, 60_000_000), LIMITS) is Step.STOPPED
    assert disk_step(DiskFacts(0, 0), LIMITS) is Step.STOPPED


def test_a_step_that_was_judged_counts_more_than_the_figures() -> None:
    assert disk_step(DiskFacts(100 * GB, 10 * GB + 1, step="low"), LIMITS) is Step.LOW
    assert disk_level(DiskFacts(100 * GB, 10 * GB + 1, step="low"), LIMITS) == "warn"


def test_a_disk_whose_size_nobody_knows_has_no_step() -> None:
    assert disk_step(DiskFacts(error_code="DSK-004"), LIMITS) is None
    assert disk_level(DiskFacts(), LIMITS) is None
    assert full_in_days(DiskFacts(), LIMITS, 1.0) is None


def facts(disk: DiskFacts) -> NodeFacts:
    return NodeFacts(disk=Learnt(disk, 0))


@pytest.mark.parametrize(
    ("free", "said"),
    [
        (9 * GB, "what is archived is reclaimed"),
        (4 * GB, "no videos or thumbnails are made"),
        (2 * GB, "only every 4th slot is taken"),
        (0, "capture stops"),
    ],
)
def test_each_step_says_what_is_left_off(free: int, said: str) -> None:
    ((subject, sentence),) = at(*Step)(facts(DiskFacts(100 * GB, free)), LIMITS, 0)
    assert subject == "disk"
    assert sentence.endswith(f" MiB free; {said}.")


def test_a_stopped_class_is_named_once_with_its_first_item() -> None:
    stopped = ("frame/A", "frame/B", "video/C")
    found = list(reclaim_stopped(facts(DiskFacts(stopped=stopped)), LIMITS, 0))
    assert [subject for subject, _ in found] == ["frame", "video"]
    assert "frame A;" in found[0][1]


def test_the_disk_lasts_as_long_as_room_and_what_may_go_together() -> None:
    disk = DiskFacts(100 * GB, 11 * GB)
    assert full_in_days(disk, LIMITS, 2 * GB) == 5.0
    assert full_in_days(DiskFacts(100 * GB, 11 * GB, reclaimable_bytes=30 * GB), LIMITS, 2 * GB) == 20.0
    assert full_in_days(DiskFacts(100 * GB, GB // 2), LIMITS, GB) == 0.0
    assert full_in_days(disk, LIMITS, 0) is None
