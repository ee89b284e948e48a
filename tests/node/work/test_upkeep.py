"""The job that keeps house: room, forgotten jobs, free pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.domain.job import JobState, Priority
from node.domain.times import US
from node.jobs import Jobs
from node.store.jobs import JobReader
from node.store.retention import Marked
from node.work.remover import Remover
from tests.simulate.holdings import here, unaccounted
from tests.yards import DAY_S, FRAME_BYTES, Yard, do, yard_in


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    with yard_in(tmp_path, monkeypatch) as made:
        yield made
        assert unaccounted(made.folder) == []


def test_all_that_is_too_old_goes_in_one_job_however_many_turns_that_takes(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.work.stock.CHUNK", 2)
    real = Remover.remove

    def slow(remover: Remover, *given: Any) -> Marked:
        yard.clock.advance(31)
        return real(remover, *given)

    monkeypatch.setattr(Remover, "remove", slow)
    yard.keep(9)
    yard.clock.advance(31 * DAY_S)
    job = do(yard, "upkeep")
    assert job.state is JobState.DONE
    (sum_,) = job.result["reclaimed"]
    assert sum_ == {"what": "frame", "rule": "frames_days", "count": 9, "size_bytes": 9 * FRAME_BYTES}
    assert here(yard.folder) == []


def test_a_second_run_changes_nothing(yard: Yard) -> None:
    yard.keep(2)
    do(yard, "upkeep")
    assert do(yard, "upkeep").result["reclaimed"] == []


def test_jobs_that_are_over_are_forgotten_after_their_days_and_dead_ones_stay(yard: Yard) -> None:
    jobs = Jobs(yard.store.journal)
    over, dead = jobs.enqueue("upkeep", "a", {}), jobs.enqueue("upkeep", "b", {})
    yard.plant("UPDATE jobs SET state = 'done', finished_us = ? WHERE id = ?", yard.clock.now_us(), over.id)
    yard.plant("UPDATE jobs SET state = 'dead', finished_us = ? WHERE id = ?", yard.clock.now_us(), dead.id)
    yard.clock.advance(15 * DAY_S)
    assert do(yard, "upkeep").result["jobs_forgotten"] == 1
    known = yard.store.rows("SELECT id FROM jobs")
    assert (over.id,) not in known
    assert (dead.id,) in known


def test_free_pages_go_back_to_the_disk_in_small_steps(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.work.upkeep.VACUUM_PAGES", 10)
    yard.plant("CREATE TABLE ballast AS SELECT zeroblob(400000) AS x")
    yard.plant("DROP TABLE ballast")
    (before,) = yard.store.rows("PRAGMA page_count")
    freed = do(yard, "upkeep").result["pages_freed"]
    (after,) = yard.store.rows("PRAGMA page_count")
    assert freed > 190
    assert before[0] - after[0] >= 190
    assert yard.store.rows("PRAGMA freelist_count")[0][0] < 10


def test_asked_for_by_hand_it_lets_a_stopped_class_go_on_and_at_night_it_does_not(yard: Yard) -> None:
    frames = yard.keep(2)
    original = (yard.folder / frames[0].path).read_bytes()
    yard.write(frames[0].path, b"changed")
    yard.clock.advance(31 * DAY_S)
    assert do(yard, "upkeep").result["reclaimed"] == []
    assert do(yard, "upkeep").result["stops_seen"] == 0
    by_hand = do(yard, "upkeep", Priority.MANUAL).result
    assert by_hand["stops_seen"] == 1
    assert by_hand["reclaimed"][0]["count"] == 1
    yard.write(frames[0].path, original)


def test_a_job_that_was_cancelled_half_way_has_deleted_what_it_said(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard.keep(3)
    yard.clock.advance(31 * DAY_S)
    jobs = Jobs(yard.store.journal)
    real = yard.reclaimer.turn

    def turn(beat: object, **how: bool) -> object:
        yard.plant("UPDATE jobs SET cancel_asked = 1")
        yard.clock.advance(2)
        return real(beat, **how)

    monkeypatch.setattr(yard.reclaimer, "turn", turn)
    job = do(yard, "upkeep")
    assert job.state is JobState.CANCELLED
    assert len(here(yard.folder)) == 3
    assert JobReader(yard.store.database).get(job.id).finished_us is not None
    assert jobs.forget(yard.clock.now_us() + US) == 1
