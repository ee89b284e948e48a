from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from node.clock import US
from node.domain.errors import NotFound
from node.domain.frame import Frame
from node.store.database import NAME
from node.store.frames import FrameFilter, from_row, peek_mean_bytes, to_row
from node.store.session import Session
from tests.stores import Store, day, frame_of, keep_many, opened, slot_of

HOUR_US = 3600 * US


def ids(frames: list[Frame]) -> list[str]:
    return [frame.id for frame in frames]


def test_a_row_gives_back_the_frame_that_it_was_made_from(store: Store) -> None:
    frame = frame_of(store.clock, 7, reasons=("black", "stuck"), score=None, sun_elevation_deg=None, clock_synced=False)
    assert from_row(to_row(frame)) == frame
    store.journal.keep(frame, None, [], day="2026-11-18")
    assert store.frames.get(frame.id) == frame


def test_an_unknown_frame_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        store.frames.get("nobody")
    assert not store.frames.known("nobody")


def test_pages_by_id_meet_without_hole_or_double(store: Store) -> None:
    made = keep_many(store, 25)
    newest_first = store.frames.page(FrameFilter(), limit=10)
    pages = [newest_first]
    while pages[-1]:
        pages.append(store.frames.page(FrameFilter(), limit=10, after=pages[-1][-1].id))
    assert [frame for page in pages for frame in page] == made[::-1]
    oldest_first = store.frames.page(FrameFilter(), limit=5, after=made[9].id, descending=False)
    assert oldest_first == made[10:15]
    assert list(store.frames.every()) == made


def test_filters_combine(store: Store) -> None:
    good = keep_many(store, 6)
    bad = keep_many(store, 3, verdict="bad", score=10, flagged=True, reasons=("black",))
    side = keep_many(store, 2, camera="side", profile="night")
    page = store.frames.page
    assert ids(page(FrameFilter(verdict="bad"))) == ids(bad[::-1])
    assert ids(page(FrameFilter(verdict="good", camera="main"))) == ids(good[::-1])
    assert ids(page(FrameFilter(flagged=True), descending=False)) == ids(bad)
    assert ids(page(FrameFilter(flagged=False, profile="night"))) == ids(side[::-1])
    assert page(FrameFilter(camera="side", verdict="bad")) == []
    assert page(FrameFilter(quarantined=True)) == []
    middle = FrameFilter(since_us=good[2].captured_us, until_us=bad[1].captured_us)
    assert ids(page(middle, descending=False)) == ids(good[2:] + bad[:1])
    assert ids(page(FrameFilter(shoot=side[0].shoots[0]))) == ids(side[::-1])
    assert ids(page(FrameFilter(shoot=good[0].shoots[0], verdict="bad"), after=bad[2].id)) == ids(bad[1::-1])


def test_the_latest_frame_and_the_latest_good_one_of_a_camera(store: Store) -> None:
    (good,) = keep_many(store, 1)
    (bad,) = keep_many(store, 1, verdict="bad", score=5, flagged=True)
    quarantined = frame_of(store.clock, None, quarantined=True, flagged=True, verdict="unjudged", score=None)
    store.journal.quarantine(quarantined, None, [], day="2026-11-18")
    assert store.frames.latest("main") == bad
    assert store.frames.latest("main", good=True) == good
    assert store.frames.latest("other") is None


def test_what_nobody_was_asked_to_judge_is_good_and_what_a_judge_failed_on_is_not(store: Store) -> None:
    (by_choice,) = keep_many(store, 1, verdict="unjudged", score=None)
    keep_many(store, 1, verdict="unjudged", score=None, flagged=True)
    assert store.frames.latest("main", good=True) == by_choice


@pytest.mark.parametrize("good", [True, False])
def test_the_latest_is_found_without_passing_over_others(store: Store, *, good: bool) -> None:
    """A camera that has shown bad pictures for months must not cost a look at each of them every second."""
    keep_many(store, 1)
    keep_many(store, 300, verdict="bad", score=5, flagged=True)
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    def latest(session: Session) -> None:
        session.db.connection().set_progress_handler(count, 10)

    store.database.read(latest)
    assert store.frames.latest("main", good=good)
    assert steps < 20


def test_the_mean_size_is_of_the_newest_frames(store: Store) -> None:
    assert store.frames.mean_bytes() is None
    keep_many(store, 2, size_bytes=1000)
    keep_many(store, 2, size_bytes=3000)
    assert store.frames.mean_bytes(2) == 3000
    assert store.frames.mean_bytes() == 2000


def test_the_mean_size_may_be_looked_at_from_outside(tmp_path: Path) -> None:
    assert peek_mean_bytes(tmp_path / NAME) is None
    with opened(tmp_path) as store:
        assert peek_mean_bytes(tmp_path / NAME) is None
        keep_many(store, 2, size_bytes=1000)
        assert peek_mean_bytes(tmp_path / NAME) == store.frames.mean_bytes() == 1000


def test_hourly_means_come_from_judged_frames_that_are_not_in_quarantine(store: Store) -> None:
    first_us = store.clock.now_us() // HOUR_US * HOUR_US
    keep_many(store, 3, interval_s=600, score=80)
    keep_many(store, 1, interval_s=3600, score=40)
    keep_many(store, 1, score=None, verdict="unjudged")
    scores = store.ledger.hour_scores("main", first_us)
    assert sum(scores.values()) in (80 + 40, 80 + 80 + 40)
    assert scores[max(scores)] == 40
    assert all(at_us % HOUR_US == 0 for at_us in scores)
    assert store.ledger.hour_scores("main", store.clock.now_us() + HOUR_US) == {}


def test_rows_written_last_come_first_whatever_their_times(store: Store) -> None:
    (new,) = keep_many(store, 1)
    store.clock.step(-86_400)
    old = frame_of(store.clock, store.clock.now_us())
    store.journal.keep(old, slot_of(old), [], day=day(old.captured_us))
    assert store.frames.last_committed(1) == [old]
    assert store.frames.last_committed() == [old, new]
    assert store.frames.paths("main", old.captured_us, old.captured_us) == {old.path: old.id}


def test_a_frame_in_two_shoots_is_found_by_both(store: Store) -> None:
    shoots = ("main/dawn/2026-11-18/auto", "main/all/2026-11-18/auto")
    frame = replace(frame_of(store.clock, store.clock.now_us()), shoots=shoots, schedules=("all", "dawn"))
    store.journal.keep(frame, slot_of(frame), [], day="2026-11-18")
    for shoot in shoots:
        assert store.frames.page(FrameFilter(shoot=shoot)) == [frame]
        assert (store.ledger.shoot(shoot).due, store.ledger.shoot(shoot).captured) == (1, 1)
