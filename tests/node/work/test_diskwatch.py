"""What the service says of its disk: step and event, figures by class, how long it lasts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.domain.errors import DatabaseBusy
from node.domain.events import DiskStepped
from node.domain.facts import ClassFacts, DiskFacts
from node.host.disk import Space
from node.work.diskwatch import DiskWatch
from tests.yards import FRAME_BYTES, TARGETS, TOTAL_BYTES, Yard, yard_in


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    with yard_in(tmp_path, monkeypatch) as made:
        monkeypatch.setattr("node.work.diskwatch.disk.space", lambda _: Space(TOTAL_BYTES, made.free_bytes or 0))
        yield made


def watch_of(yard: Yard) -> DiskWatch:
    return DiskWatch(yard.reclaimer.ground.held, yard.store.database, yard.clock, TARGETS)


def test_each_change_of_the_step_is_an_event_and_staying_is_none(yard: Yard) -> None:
    watch, told = watch_of(yard), []
    for free in (500_000, 99_999, 109_000, 4_000, 8_000, 500_000):
        yard.free_bytes = free
        facts, event = watch.look(yard.document, 0.0, "")
        told.append((facts.step, event))
    assert told == [
        ("ok", None),
        ("low", DiskStepped("low", "ok", 99_999)),
        ("low", None),
        ("stopped", DiskStepped("stopped", "low", 4_000)),
        ("stopped", None),
        ("ok", DiskStepped("ok", "stopped", 500_000)),
    ]


def test_what_lies_there_is_counted_by_class(yard: Yard) -> None:
    yard.keep(3)
    yard.keep(2, held_by=())
    yard.receipt(yard.keep(held_by=())[0], "nas", sha256="0" * 64)
    yard.keep(held_by=(), quarantined=True, flagged=True)
    video = yard.video()
    yard.set(retention={"frames_days": 0})
    yard.keep()
    yard.clock.advance(1)
    yard.reclaimer.turn(ages=True)
    watch = watch_of(yard)
    watch.count(1)
    watch.count(1)
    facts, _ = watch.look(yard.document, 1000.0, "")
    assert facts.classes == (
        ClassFacts("frames", 3, 3 * FRAME_BYTES),
        ClassFacts("verified frames", 0, 0),
        ClassFacts("quarantined", 1, FRAME_BYTES),
        ClassFacts("videos", 1, video.size_bytes),
    )
    assert facts.reclaimable_bytes == 0


@pytest.mark.parametrize("every_s", [60, 600])
def test_until_a_count_is_whole_nothing_is_said_and_then_it_is_not_done_again_for_a_while(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, every_s: int
) -> None:
    monkeypatch.setattr("node.store.counting.ROWS", 2)
    monkeypatch.setattr("node.work.diskwatch.LOOKS_S", 0)
    monkeypatch.setattr("node.work.diskwatch.SMALL_COUNT_S", 1 if every_s == 60 else 0)
    yard.keep(5)
    watch = watch_of(yard)
    seen = []
    for _ in range(5):
        watch.count(1)
        seen.append(watch.look(yard.document, 0.0, "")[0].reclaimable_bytes)
    assert seen == [None, None, *[5 * FRAME_BYTES] * 3]
    yard.plant("UPDATE frames SET quarantined = 1")
    yard.clock.advance(every_s - 1)
    for _ in range(5):
        watch.count(1)
    assert watch.look(yard.document, 0.0, "")[0].reclaimable_bytes == 5 * FRAME_BYTES
    yard.clock.advance(1)
    for _ in range(5):
        watch.count(1)
    assert watch.look(yard.document, 0.0, "")[0].reclaimable_bytes == 0


def counted_frames(watch: DiskWatch, yard: Yard) -> int | None:
    facts = watch.look(yard.document, 0.0, "")[0]
    return facts.classes[0].count if facts.classes else None


def test_a_count_says_when_it_began_and_before_the_first_whole_one_there_is_no_figure(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.store.counting.ROWS", 2)
    monkeypatch.setattr("node.work.diskwatch.LOOKS_S", 0)
    yard.keep(3)
    watch, began_us = watch_of(yard), yard.clock.now_us()
    watch.count(1)
    facts, _ = watch.look(yard.document, 0.0, "")
    assert (facts.counted_us, facts.reclaimable_bytes, facts.classes) == (None, None, ())
    yard.clock.advance(10)
    watch.count(1)
    facts, _ = watch.look(yard.document, 0.0, "")
    assert (facts.counted_us, facts.reclaimable_bytes) == (began_us, 3 * FRAME_BYTES)


def test_a_count_of_several_looks_is_whole_at_once_where_they_are_short(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.store.counting.ROWS", 2)
    yard.keep(7)
    watch = watch_of(yard)
    watch.count(1)
    assert counted_frames(watch, yard) == 7


def test_after_a_reclaim_and_a_change_of_the_step_it_counts_at_once(yard: Yard) -> None:
    frame, *_ = yard.keep(3)
    watch = watch_of(yard)
    watch.count(1)
    yard.plant("UPDATE frames SET quarantined = 1 WHERE id = ?", frame.id)
    watch.count(1)
    assert counted_frames(watch, yard) == 3
    watch.recount()
    watch.count(1)
    assert counted_frames(watch, yard) == 2
    yard.plant("UPDATE frames SET quarantined = 1")
    watch.count(1)
    assert counted_frames(watch, yard) == 2
    yard.free_bytes = 0
    watch.look(yard.document, 0.0, "")
    watch.count(1)
    assert counted_frames(watch, yard) == 0


def test_what_changes_during_a_count_is_counted_after_it_and_does_not_keep_it_from_its_end(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.store.counting.ROWS", 2)
    monkeypatch.setattr("node.work.diskwatch.LOOKS_S", 0)
    yard.keep(3)
    watch, seen = watch_of(yard), []
    for _ in range(4):
        watch.count(1)
        watch.recount()
        seen.append(counted_frames(watch, yard))
        yard.plant("UPDATE frames SET quarantined = 1")
    assert seen == [None, 2, 2, 0]


def test_a_camera_that_is_faster_than_the_looks_does_not_keep_the_count_from_its_end(yard: Yard) -> None:
    watch, seen = watch_of(yard), []
    for _ in range(2):
        yard.keep(1)  # takes a minute
        watch.count(1)
        seen.append(counted_frames(watch, yard))
    assert seen == [1, 2]


def test_the_forecast_counts_what_may_go(yard: Yard) -> None:
    yard.keep(4)
    watch = watch_of(yard)
    yard.free_bytes = 110_000  # 10,000 are the floor of capture
    assert watch.look(yard.document, 50_000.0, "")[0].full_in_days == 2.0
    for _ in range(2):
        watch.count(1)
    assert watch.look(yard.document, 50_000.0, "")[0].full_in_days == 2.08
    assert watch.look(yard.document, 0.0, "")[0].full_in_days is None


def test_a_stopped_class_is_named_until_somebody_has_seen_it(yard: Yard) -> None:
    (frame,) = yard.keep()
    (yard.folder / frame.path).write_bytes(b"changed")
    yard.free_bytes = 0
    yard.reclaimer.turn()
    watch = watch_of(yard)
    watch.count(1)
    assert watch.look(yard.document, 0.0, "")[0].stopped == (f"frame/{frame.id}",)
    yard.reclaimer.go_on()
    watch.count(1)
    assert watch.look(yard.document, 0.0, "")[0].stopped == ()


def test_a_folder_that_is_gone_has_no_size_and_keeps_its_step(yard: Yard) -> None:
    watch = watch_of(yard)
    yard.free_bytes = 0
    watch.look(yard.document, 0.0, "")
    (yard.folder / "lock-work").rename(yard.folder / "elsewhere")
    assert watch.look(yard.document, 0.0, "") == (DiskFacts(error_code="DSK-004"), None)
    (yard.folder / "elsewhere").rename(yard.folder / "lock-work")
    facts, event = watch.look(yard.document, 0.0, "DSK-002")
    assert (facts.step, facts.error_code, event) == ("stopped", "DSK-002", None)


def test_a_database_that_does_not_answer_costs_the_count_alone(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = watch_of(yard)

    def busy(*_: object) -> None:
        raise DatabaseBusy

    with monkeypatch.context() as patch:
        patch.setattr(yard.store.database, "read", busy)
        with pytest.raises(DatabaseBusy):
            watch.count(1)
        assert watch.look(yard.document, 0.0, "")[0].free_bytes == TOTAL_BYTES
