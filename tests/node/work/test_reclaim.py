"""What goes, in which order, and what never does."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.domain.config import Retention
from node.domain.errors import DirectoryMissing, JobCancelled
from node.domain.pressure import Step
from node.domain.retention import Candidate, Preview, Tally
from node.store import archive, retention
from node.store.retention import Marked, Proof, RetentionReader, Terms
from node.store.session import Session
from node.work.reclaim import Reclaimer
from tests.simulate.holdings import half_gone, here, unaccounted
from tests.yards import DAY_S, FRAME_BYTES, TARGETS, TOTAL_BYTES, Yard, yard_in


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    with yard_in(tmp_path, monkeypatch) as made:
        yield made
        assert unaccounted(made.folder) == []
        assert half_gone(made.folder) == []


def sums(tallies: tuple[Tally, ...]) -> dict[str, int]:
    return {tally.rule: tally.count for tally in tallies}


# --- age -----------------------------------------------------------------------------------------------------------


def test_an_empty_node_has_nothing_to_give(yard: Yard) -> None:
    yard.free_bytes = 0
    assert yard.reclaimer.turn() == ()
    assert yard.reclaimer.step is Step.STOPPED
    assert yard.told("reclaimed") == []


def test_verified_frames_go_when_they_are_too_old_and_others_never(yard: Yard) -> None:
    old = yard.keep(3)
    alone = yard.keep(2, held_by=())
    yard.clock.advance(31 * DAY_S)
    young = yard.keep(2)
    assert sums(yard.reclaimer.turn(ages=True)) == {"frames_days": 3}
    assert here(yard.folder) == sorted(frame.id for frame in (*alone, *young))
    assert yard.rules() == dict.fromkeys((frame.id for frame in old), "frames_days")
    assert yard.told("reclaimed") == [
        {"what": "frame", "rule": "frames_days", "count": 3, "size_bytes": 3 * FRAME_BYTES}
    ]


def test_ages_are_looked_at_once_an_hour(yard: Yard) -> None:
    yard.reclaimer.turn()
    yard.keep()
    yard.clock.advance(31 * DAY_S)
    yard.set(retention={"frames_days": 0})
    assert sums(yard.reclaimer.turn()) == {"frames_days": 1}
    yard.keep()
    yard.clock.advance(3000)
    assert yard.reclaimer.turn() == ()
    yard.clock.advance(700)
    assert sums(yard.reclaimer.turn()) == {"frames_days": 1}


def test_a_frame_needs_as_many_receipts_as_the_document_says(yard: Yard) -> None:
    yard.set(retention={"frames_days": 0, "receipts_needed": 2})
    one, both = yard.keep(), yard.keep(held_by=("nas", "office"))
    yard.clock.advance(1)
    yard.reclaimer.turn(ages=True)
    assert here(yard.folder) == [one[0].id]
    assert set(yard.rules()) == {both[0].id}


def test_a_target_that_is_not_in_node_yml_any_more_holds_nothing(yard: Yard) -> None:
    yard.set(retention={"frames_days": 0})
    yard.keep(held_by=("burnt",))
    yard.free_bytes = 0
    assert yard.reclaimer.turn(ages=True) == ()


@pytest.mark.parametrize("years", [50, -50])
def test_a_clock_that_nobody_has_set_makes_nothing_old(yard: Yard, years: int) -> None:
    yard.keep(2)
    yard.clock.step(years * 365 * DAY_S)
    yard.clock.is_synced = False
    assert yard.reclaimer.turn(ages=True) == ()


def test_frames_of_the_future_are_not_old_and_undated_ones_are_of_no_age(yard: Yard) -> None:
    yard.keep(2)
    yard.clock.step(-10 * 365 * DAY_S)
    undated = yard.keep(clock_synced=False)
    yard.clock.step(5 * 365 * DAY_S)
    assert yard.reclaimer.turn(ages=True) == ()
    assert len(here(yard.folder)) == 3
    yard.free_bytes = TOTAL_BYTES // 50
    assert sums(yard.reclaimer.turn()) == {"room_frames": 3}
    assert undated[0].id in yard.rules()


def test_a_frame_that_came_back_from_the_archive_begins_anew(yard: Yard) -> None:
    (frame,) = yard.keep()
    yard.clock.advance(31 * DAY_S)
    at_s = yard.clock.now_us() // 1_000_000
    os.utime(yard.folder / frame.path, (at_s, at_s))
    assert yard.reclaimer.turn(ages=True) == ()
    yard.clock.advance(31 * DAY_S)
    assert sums(yard.reclaimer.turn(ages=True)) == {"frames_days": 1}


def test_frames_whose_video_is_still_to_be_made_stay_for_its_time(yard: Yard) -> None:
    yard.set(retention={"frames_days": 0}, alerts={"disk_reserve_bytes": 0, "video_limit_s": 3600})
    (frame,) = yard.keep()
    yard.store.journal.open_shoot(frame.shoots[0], yard.clock.now_us(), yard.clock.now_us())
    yard.clock.advance(3000)
    assert yard.reclaimer.turn(ages=True) == ()
    yard.clock.advance(1000)
    assert sums(yard.reclaimer.turn(ages=True)) == {"frames_days": 1}


def test_each_class_has_its_own_age(yard: Yard) -> None:
    first, second = yard.keep(2, held_by=())
    thumbnail, newest = yard.thumbnail(first), yard.thumbnail(second)
    aside = yard.keep(held_by=(), quarantined=True, flagged=True)[0]
    beside = yard.write(f"{aside.path}.json", b"{}")
    kept, pinned = yard.video(), yard.video(pinned=True)
    yard.clock.advance(60 * DAY_S)
    assert yard.reclaimer.turn(ages=True) == ()
    yard.set(retention={"thumbnails_days": 59, "videos_days": 59, "quarantined_days": 59})
    assert sums(yard.reclaimer.turn(ages=True)) == {"thumbnails_days": 1, "videos_days": 1, "quarantined_days": 1}
    gone = (thumbnail, yard.folder / kept.path, yard.folder / kept.poster, yard.folder / aside.path, beside)
    assert [path.exists() for path in gone] == [False] * 5
    assert newest.exists()
    assert (yard.folder / pinned.path).exists()
    assert yard.told("video_removed") == [{"video": kept.id, "camera": "main", "rule": "videos_days"}]
    assert {body["what"] for body in yard.told("reclaimed")} == {"thumbnail", "video", "quarantined"}


def test_what_an_unfinished_write_left_goes_when_nobody_has_touched_it_for_an_hour(yard: Yard) -> None:
    (frame,) = yard.keep()
    folder = Path(frame.path).parent
    left = [yard.write(f"{where}/.x.jpg.tmp", b"half") for where in (folder, "videos", "thumbs/main/2026-11-18")]
    yard.clock.advance(1800)
    fresh = yard.write("videos/.y.mp4.tmp", b"half")
    yard.clock.advance(1900)
    assert sums(yard.reclaimer.turn(ages=True)) == {"unfinished": 3}
    assert not any(path.exists() for path in left)
    assert fresh.exists()


# --- room ----------------------------------------------------------------------------------------------------------


def test_while_there_is_room_nothing_goes_for_it(yard: Yard) -> None:
    yard.keep(5)
    yard.free_bytes = TOTAL_BYTES // 10
    assert yard.reclaimer.turn() == ()


def test_when_room_is_short_it_goes_in_order_until_there_is_enough(yard: Yard) -> None:
    frames = yard.keep(10)
    thumbnails = [yard.thumbnail(frame) for frame in frames]
    saved, unsaved, pinned = yard.video(held=True), yard.video(), yard.video(pinned=True)
    yard.free_bytes = 99_999  # to 15 %: 50,001 to go, more than there is
    assert sums(yard.reclaimer.turn()) == {
        "room_thumbnails": 9, "room_frames": 10, "room_videos_archived": 1, "room_videos": 1,
    }  # fmt: skip
    assert [path.exists() for path in thumbnails] == [False] * 9 + [True]
    assert [(yard.folder / each.path).exists() for each in (saved, unsaved, pinned)] == [False, False, True]


def test_no_more_goes_than_is_needed_and_the_oldest_first(yard: Yard) -> None:
    frames = yard.keep(60)
    yard.set(retention={"reclaim_to_free_pct": 11.1})
    yard.free_bytes = 99_000  # to 11.1 %: 12,000 to go
    assert sums(yard.reclaimer.turn()) == {"room_frames": 12}
    assert here(yard.folder) == [frame.id for frame in frames[12:]]
    yard.free_bytes = 111_000
    assert yard.reclaimer.turn() == ()


def short_of(yard: Yard, size_bytes: int) -> None:
    """So much must go, by the step's own measure: a tenth more than 10 % has to be free before it is left."""
    yard.free_bytes = 0
    if yard.reclaimer.step is Step.OK:
        yard.reclaimer.turn()
    yard.free_bytes = 110_001 - size_bytes


def went(yard: Yard) -> list[str]:
    """One frame after the other."""
    order: list[str] = []
    while True:
        short_of(yard, 1)
        if not yard.reclaimer.turn():
            return order
        order += yard.rules().keys() - set(order)


def test_thinning_takes_the_worst_and_the_ends_of_a_shoot_last(yard: Yard) -> None:
    yard.set(retention={"order": "thin", "reclaim_to_free_pct": 11})
    short_of(yard, 1)
    frames = [yard.keep(score=score)[0].id for score in (5, 70, 20, None, 20, 1)]
    first, best, middle, unscored, later, last = frames
    assert went(yard) == [middle, later, best, unscored, first, last]


def test_the_oldest_first_knows_no_ends(yard: Yard) -> None:
    yard.set(retention={"reclaim_to_free_pct": 11})
    short_of(yard, 1)
    frames = [yard.keep(score=score)[0].id for score in (5, 70, 20)]
    assert went(yard) == frames


def test_frames_that_a_video_waits_for_go_after_the_others(yard: Yard) -> None:
    yard.set(retention={"reclaim_to_free_pct": 11})
    short_of(yard, 1)
    waited = yard.keep(shoots=("main/night/2026-11-18/auto",))[0]
    yard.store.journal.open_shoot(waited.shoots[0], yard.clock.now_us(), yard.clock.now_us())
    others = [frame.id for frame in yard.keep(2)]
    assert went(yard) == [*others, waited.id]


def test_a_frame_without_a_receipt_stays_however_full_it_gets(yard: Yard) -> None:
    yard.set(retention={"without_target": "overwrite_oldest", "frames_days": 0})
    yard.keep(5, held_by=())
    yard.clock.advance(400 * DAY_S)
    yard.free_bytes = 0
    assert yard.reclaimer.turn(ages=True) == ()


def test_a_node_without_a_target_overwrites_only_where_it_is_told_to(yard: Yard) -> None:
    yard.reclaimer = Reclaimer(replace(yard.reclaimer.ground, targets=()))
    frames = yard.keep(3, held_by=())
    yard.free_bytes = 0
    assert yard.reclaimer.turn() == ()
    yard.set(retention={"without_target": "overwrite_oldest"})
    assert sums(yard.reclaimer.turn()) == {"without_target": 3}
    assert yard.rules() == dict.fromkeys((frame.id for frame in frames), "without_target")
    ((action, target),) = yard.store.rows("SELECT action, target FROM audit")
    assert action == "reclaimed by without_target"
    assert target == f"frames/{frames[0].id}..{frames[-1].id} (3)"


def test_a_node_whose_targets_are_all_switched_off_overwrites_nothing(yard: Yard) -> None:
    yard.keep(3, held_by=())
    yard.free_bytes = 0
    off = {name: {"enabled": False} for name in TARGETS}
    yard.set(archive={"targets": off}, retention={"without_target": "overwrite_oldest"})
    assert yard.reclaimer.turn() == ()
    assert yard.reclaimer.preview() == Preview()


def test_finishing_old_deletions_keeps_no_turn_waiting(yard: Yard) -> None:
    frames = yard.keep(3)
    for frame in frames:
        yard.plant("INSERT INTO frames_gone VALUES (?, 1, 'frames_days', '[]')", frame.id)
        (yard.folder / frame.path).unlink()
    turns: list[bool] = []

    def beat(_said: str) -> None:
        other = threading.Thread(target=yard.reclaimer.turn, daemon=True)
        other.start()
        other.join(5.0)
        turns.append(not other.is_alive())

    yard.reclaimer.turn()
    yard.reclaimer.finish(0, beat)
    assert turns == [True]


def test_more_than_a_page_goes_in_one_turn(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.work.stock.PAGE", 7)
    monkeypatch.setattr("node.work.stock.CHUNK", 3)
    frames = yard.keep(40)
    for frame in frames:
        yard.thumbnail(frame)
    yard.free_bytes = 0
    yard.set(retention={"order": "thin"})
    assert sums(yard.reclaimer.preview().tallies) == {"room_thumbnails": 39, "room_frames": 38, "room_ends": 2}
    yard.set()
    assert sums(yard.reclaimer.turn()) == {"room_thumbnails": 39, "room_frames": 40}
    told = [(body["what"], body["count"]) for body in yard.told("reclaimed")]
    assert sum(count for what, count in told if what == "frame") == 40
    assert [count for what, count in told if what == "thumbnail"] == [39]


def test_a_turn_ends_in_time_and_the_next_one_goes_on(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.work.stock.CHUNK", 1)
    yard.keep(9)
    yard.clock.advance(31 * DAY_S)
    assert sums(yard.reclaimer.turn(lambda _: yard.clock.advance(11))) == {"frames_days": 3}
    assert sums(yard.reclaimer.turn(lambda _: yard.clock.advance(11))) == {"frames_days": 3}
    assert sums(yard.reclaimer.turn()) == {"frames_days": 3}
    assert yard.reclaimer.turn() == ()


def test_a_turn_that_is_told_to_end_has_done_what_it_said(yard: Yard) -> None:
    yard.keep(3)
    yard.free_bytes = 0

    def cancelled(_said: str) -> None:
        raise JobCancelled

    with pytest.raises(JobCancelled):
        yard.reclaimer.turn(cancelled)
    assert len(here(yard.folder)) == 3


def test_a_data_folder_that_vanished_is_left_alone(yard: Yard) -> None:
    yard.keep(3)
    yard.free_bytes = 0
    (yard.folder / "lock-work").rename(yard.folder / "elsewhere")
    with pytest.raises(DirectoryMissing):
        yard.reclaimer.turn()
    (yard.folder / "elsewhere").rename(yard.folder / "lock-work")
    assert len(here(yard.folder)) == 3


# --- proof right before --------------------------------------------------------------------------------------------


def stopped(yard: Yard) -> list[tuple[str, str]]:
    return [(body["what"], body["item"]) for body in yard.told("reclaim_stopped")]


def test_a_file_that_changed_stops_its_class_and_nothing_of_the_batch_goes(yard: Yard) -> None:
    frames = yard.keep(3)
    thumbnails = [yard.thumbnail(frame) for frame in frames]
    original = (yard.folder / frames[1].path).read_bytes()
    (yard.folder / frames[1].path).write_bytes(b"x" + original[1:])
    yard.free_bytes = 0
    assert sums(yard.reclaimer.turn()) == {"room_thumbnails": 2}
    assert stopped(yard) == [("frame", frames[1].id)]
    assert len(here(yard.folder)) == 3
    assert yard.reclaimer.turn() == ()
    assert len(stopped(yard)) == 1, "it is told of once"
    assert thumbnails[2].exists()
    (yard.folder / frames[1].path).write_bytes(original)


@pytest.mark.parametrize("lie", [{"sha256": "0" * 64}, {"size_bytes": 1}])
def test_a_receipt_that_lies_is_none_and_beside_a_true_one_it_stops(yard: Yard, lie: dict[str, object]) -> None:
    only = yard.keep(held_by=())[0]
    yard.receipt(only, "nas", **lie)
    yard.free_bytes = 0
    assert yard.reclaimer.turn() == ()
    assert stopped(yard) == []
    both = yard.keep(held_by=("office",))[0]
    yard.receipt(both, "nas", **lie)
    assert yard.reclaimer.turn() == ()
    assert stopped(yard) == [("frame", both.id)]


def test_a_row_that_changed_since_the_choice_stops_too(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = yard.keep(2)
    yard.free_bytes = 0
    between(monkeypatch, lambda: yard.plant("UPDATE frames SET path = 'elsewhere.jpg' WHERE id = ?", frames[0].id))
    assert yard.reclaimer.turn() == ()
    assert stopped(yard) == [("frame", frames[0].id)]
    yard.plant("UPDATE frames SET path = ? WHERE id = ?", frames[0].path, frames[0].id)


def test_a_receipt_that_is_withdrawn_since_the_choice_keeps_its_frame(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = yard.keep(2)
    yard.free_bytes = 0
    between(monkeypatch, lambda: yard.plant("DELETE FROM receipts WHERE item = ?", frames[0].id))
    assert sums(yard.reclaimer.turn()) == {"room_frames": 1}
    assert here(yard.folder) == [frames[0].id]
    assert stopped(yard) == []


def test_a_video_that_is_pinned_since_the_choice_stays(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    video, real = yard.video(), retention.mark_videos

    def pinned_first(session: Session, *rest: Any) -> Marked:
        session.execute("UPDATE videos SET pinned = 1")
        return real(session, *rest)

    monkeypatch.setattr("node.store.retention.mark_videos", pinned_first)
    yard.free_bytes = 0
    assert yard.reclaimer.turn() == ()
    assert (yard.folder / video.path).exists()


def between(patch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Once, after a file was read and before anything is marked."""
    done: list[bool] = []

    def point(name: str) -> None:
        if name == "reclaim_proved" and not done:
            done.append(True)
            act()

    patch.setattr("node.work.remover.crash_point", point)


def test_a_stopped_class_goes_on_after_a_day_or_when_a_person_has_seen_it_without_the_item(yard: Yard) -> None:
    frames = yard.keep(3)
    path = yard.folder / frames[0].path
    original = path.read_bytes()
    path.write_bytes(b"changed")
    yard.free_bytes = 0
    yard.reclaimer.turn()
    assert yard.reclaimer.preview() == Preview()
    assert yard.reclaimer.go_on() == 1
    assert yard.reclaimer.go_on() == 0
    assert sums(yard.reclaimer.turn()) == {"room_frames": 2}
    (again,) = yard.keep()
    (yard.folder / again.path).write_bytes(b"changed")
    (later,) = yard.keep()
    yard.reclaimer.turn()
    yard.clock.advance(DAY_S + 1)
    assert sums(yard.reclaimer.turn()) == {"room_frames": 1}
    assert here(yard.folder) == [frames[0].id, again.id]
    path.write_bytes(original)
    (yard.folder / again.path).write_bytes((again.id.encode() * FRAME_BYTES)[:FRAME_BYTES])
    assert later.id in yard.rules()


def test_a_stop_outlasts_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with yard_in(tmp_path, monkeypatch) as yard:
        frames, clock = yard.keep(2), yard.clock
        (yard.folder / frames[0].path).write_bytes(b"changed")
        yard.free_bytes = 0
        yard.reclaimer.turn()
    with yard_in(tmp_path, monkeypatch, clock) as yard:
        yard.free_bytes = 0
        assert yard.reclaimer.turn() == ()


def test_a_file_that_is_missing_keeps_nothing_else_from_going(yard: Yard) -> None:
    frames = yard.keep(3)
    data = (yard.folder / frames[0].path).read_bytes()
    (yard.folder / frames[0].path).unlink()
    yard.free_bytes = 0
    assert sums(yard.reclaimer.turn()) == {"room_frames": 2}
    yard.write(frames[0].path, data)


def test_a_planted_deletion_before_the_proof_is_seen_by_the_independent_count(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = yard.keep(3)
    files = {frame.path: (yard.folder / frame.path).read_bytes() for frame in frames}
    yard.free_bytes = 0

    def trusting(session: Session, proofs: Sequence[Proof], terms: Terms, at_us: int) -> Marked:
        for proof in proofs:
            archive.mark_gone(session, proof.candidate.item, terms.rule.name, (), at_us)
        return Marked(tuple(proof.candidate for proof in proofs))

    with monkeypatch.context() as patch:
        patch.setattr("node.store.retention.mark_frames", trusting)
        between(patch, lambda: yard.plant("DELETE FROM receipts WHERE item = ?", frames[1].id))
        yard.reclaimer.turn()
    assert unaccounted(yard.folder) == [
        f"frame {frames[1].id} went by room_frames with 0 receipts that say what its row says"
    ]
    yard.plant("DELETE FROM frames_gone")
    for path, data in files.items():
        yard.write(path, data)


# --- preview --------------------------------------------------------------------------------------------------------


def test_a_preview_says_what_would_go_and_nothing_does(yard: Yard) -> None:
    yard.keep(4)
    yard.clock.advance(20 * DAY_S)
    yard.keep(2)
    yard.video()
    assert yard.reclaimer.preview() == Preview()
    lower = Retention(frames_days=10)
    assert yard.reclaimer.preview(lower) == Preview((Tally("frame", "frames_days", 4, 4 * FRAME_BYTES),))
    yard.free_bytes = 90_000
    assert sums(yard.reclaimer.preview(lower).tallies) == {"frames_days": 4, "room_frames": 2, "room_videos": 1}
    assert len(here(yard.folder)) == 6
    assert yard.told("reclaimed") == []
    yard.set(retention={"frames_days": 10})
    promised = yard.reclaimer.preview()
    assert yard.reclaimer.turn(ages=True) == promised.tallies


@pytest.mark.parametrize("chosen", [True, False])
def test_a_preview_ends_in_its_time_and_says_so(yard: Yard, monkeypatch: pytest.MonkeyPatch, chosen: bool) -> None:
    yard.keep(12)
    thinnest, pages = RetentionReader.thinnest, []

    def slow(*given: Any) -> Sequence[Candidate]:
        pages.append(thinnest(*given))
        yard.clock.advance(1)
        return pages[-1]

    monkeypatch.setattr("node.work.stock.PAGE", 2)
    monkeypatch.setattr(RetentionReader, "thinnest", slow)
    yard.free_bytes = 0
    if not chosen:
        monkeypatch.setattr("node.work.stock.choose", lambda *_: ())
    preview = yard.reclaimer.preview(Retention(order="thin"))
    assert preview.more
    assert [tally.rule for tally in preview.tallies] == (["room_frames"] if chosen else [])
    assert len(pages) < 6
    monkeypatch.undo()
    assert len(here(yard.folder)) == 12


def test_thinning_goes_on_where_it_was_and_still_meets_what_got_receipts_since(yard: Yard) -> None:
    yard.set(retention={"order": "thin"})
    late = yard.keep(held_by=(), score=1)[0]
    frames = [yard.keep(score=score)[0].id for score in (50, 10, 30, 20, 40)]
    yard.reclaimer.preview()
    yard.free_bytes = 0
    yard.reclaimer.turn()
    assert set(yard.rules()) == set(frames)
    yard.receipt(late, "nas")
    assert yard.reclaimer.turn() == ()
    yard.clock.advance(61)
    yard.reclaimer.turn()
    assert set(yard.rules()) == {*frames, late.id}
