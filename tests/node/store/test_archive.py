from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from node.domain.errors import NotFound
from node.domain.frame import Frame
from node.store import archive, videos
from node.store.archive import Denied, ReceiptRow, TargetRow
from node.store.archive_reader import ArchiveReader, Span
from node.store.session import Session
from node.store.videos import LeftOut, Video
from tests.docks import COUNTED, KEPT
from tests.stores import Store, keep_many

SIZE = 2_000_000


def write(store: Store, work: Callable[[Session], Any]) -> Any:
    return store.database.write(work)


def fill(store: Store, target: str = "nas", table: Any = "frames", most: int = 500) -> int:
    write(store, lambda session: archive.know(session, target))
    return int(write(store, lambda session: archive.fill(session, target, table, most)))


def receipt(frame: Frame, target: str = "nas", **changes: Any) -> ReceiptRow:
    made = ReceiptRow(frame.id, target, "frame", f"north/{frame.path}", SIZE, frame.sha256, "read back", 1)
    return replace(made, **changes)


def keep(store: Store, *receipts: ReceiptRow) -> list[Denied]:
    denied: list[Denied] = write(store, lambda session: archive.keep_receipts(session, receipts[0].target, receipts))
    return denied


def video(store: Store, **changes: Any) -> Video:
    identity, now_us = store.clock.new_id(), store.clock.now_us()
    made = Video(
        identity, "main", "auto", None, "job", "", now_us, now_us + 1, f"videos/{identity}.mp4", "", 500, "6" * 64,
        16, 12, 25.0, 10, 0.4, "h264", "x264", "standard", LeftOut(), now_us,
    )  # fmt: skip
    made = replace(made, **changes)
    write(store, lambda session: videos.insert(session, made))
    return made


def unsent(store: Store, target: str = "nas") -> list[object]:
    return [item for (item,) in store.rows("SELECT item FROM outbox WHERE target = ? ORDER BY item", target)]


def sums_are_right(store: Store) -> bool:
    return store.rows(KEPT) == store.rows(COUNTED)


@pytest.fixture
def reader(store: Store) -> ArchiveReader:
    return ArchiveReader(store.database)


# --- what a target lacks --------------------------------------------------------------------------------------------


def test_new_frames_are_taken_up_in_batches_and_each_once(store: Store) -> None:
    frames = keep_many(store, 7)
    assert [fill(store, most=3) for _ in range(4)] == [3, 3, 1, 0]
    assert unsent(store) == [frame.id for frame in frames]
    assert store.rows("SELECT unsent, unsent_bytes FROM targets") == [(7, 7 * SIZE)]
    more = keep_many(store, 1)
    assert (fill(store), fill(store)) == (1, 0)
    assert unsent(store)[-1] == more[0].id
    assert sums_are_right(store)


def test_a_target_that_is_new_begins_with_the_first_frame(store: Store) -> None:
    frames = keep_many(store, 2)
    fill(store)
    assert fill(store, "office") == 2
    assert unsent(store, "office") == [frame.id for frame in frames]


def test_a_frame_is_sent_whether_its_clock_was_set_or_not(store: Store) -> None:
    frames = keep_many(store, 1, clock_synced=False)
    fill(store)
    assert unsent(store) == [frames[0].id]


def test_what_is_put_aside_gone_or_held_already_is_passed_over(store: Store) -> None:
    aside = keep_many(store, 1, quarantined=True)
    gone, held, last = keep_many(store, 3)
    write(store, lambda session: archive.mark_gone(session, gone.id, "rule", (), 1))
    write(store, lambda session: archive.know(session, "nas"))
    keep(store, receipt(held))
    assert fill(store) == len([*aside, gone, held, last])
    assert unsent(store) == [last.id]
    assert sums_are_right(store)


def test_videos_are_taken_up_by_a_cursor_of_their_own_but_not_those_removed(store: Store) -> None:
    keep_many(store, 1)
    kept = video(store)
    video(store, deleted_us=1)
    assert (fill(store), fill(store, table="videos"), fill(store, table="videos")) == (1, 2, 0)
    assert unsent(store)[-1] == kept.id
    assert store.rows("SELECT what, size_bytes FROM outbox WHERE item = ?", kept.id) == [("video", 500)]
    assert sums_are_right(store)


# --- receipts -------------------------------------------------------------------------------------------------------


def test_a_receipt_takes_the_place_of_the_outbox_row(store: Store) -> None:
    first, second = keep_many(store, 2)
    fill(store)
    assert keep(store, receipt(first)) == []
    assert unsent(store) == [second.id]
    assert store.rows("SELECT unsent, unsent_bytes, sent, sent_bytes FROM targets") == [(1, SIZE, 1, SIZE)]


def test_a_second_receipt_renews_the_first_and_counts_once(store: Store) -> None:
    (frame,) = keep_many(store, 1)
    fill(store)
    keep(store, receipt(frame), receipt(frame))
    keep(store, receipt(frame, how="sha256sum", verified_us=99))
    assert store.rows("SELECT how, verified_us FROM receipts") == [("sha256sum", 99)]
    assert sums_are_right(store)


@pytest.mark.parametrize("lie", [{"sha256": "6" * 64}, {"size_bytes": SIZE - 1}, {"item": "nobody"}])
def test_a_receipt_that_does_not_say_what_the_row_says_is_none(store: Store, lie: dict[str, Any]) -> None:
    liar, honest = keep_many(store, 2)
    fill(store)
    (denied,) = keep(store, receipt(liar, **lie), receipt(honest))
    assert denied.expected == ("" if "item" in lie else liar.sha256)
    assert store.rows("SELECT item FROM receipts") == [(honest.id,)]
    assert unsent(store) == [liar.id]
    assert sums_are_right(store)


def test_a_withdrawn_item_is_sent_again_only_where_it_is_still_here(store: Store) -> None:
    here, gone, other = keep_many(store, 3)
    film, removed = video(store), video(store)
    fill(store)
    rows = [
        replace(receipt(here, item=each.id, what="video"), size_bytes=500, sha256="6" * 64) for each in (film, removed)
    ]
    keep(store, receipt(here), receipt(gone), receipt(other), *rows)
    write(store, lambda session: archive.mark_gone(session, gone.id, "rule", (), 1))
    write(store, lambda session: archive.remove_video(session, removed.id, "rule", 1))
    items = [here.id, gone.id, film.id, removed.id, "nobody"]
    write(store, lambda session: archive.withdraw(session, "nas", items))
    assert store.rows("SELECT item FROM receipts") == [(other.id,)]
    assert unsent(store) == [here.id, film.id]
    assert sums_are_right(store)


def test_failures_put_an_item_off_for_longer_and_longer(store: Store) -> None:
    (frame,) = keep_many(store, 1)
    fill(store)
    found = []
    for _ in range(4):
        write(store, lambda session: archive.refuse(session, "nas", frame.id, "ARC-005", (300, 900), 1_000))
        found += store.rows("SELECT failures, error_code, again_us FROM outbox")
    wait_us = [240_001_000, 720_001_000, 720_001_000, 720_001_000]
    assert found == [(number + 1, "ARC-005", again_us) for number, again_us in enumerate(wait_us)]
    write(store, lambda session: archive.refuse(session, "nas", "nobody", "ARC-005", (), 1))
    write(store, lambda session: archive.hurry(session, "nas"))
    assert store.rows("SELECT again_us FROM outbox") == [(0,)]


# --- what goes, and comes back --------------------------------------------------------------------------------------


def test_what_goes_is_sent_to_nobody_and_its_receipts_are_remembered(store: Store, reader: ArchiveReader) -> None:
    frame, other = keep_many(store, 2)
    fill(store), fill(store, "office")
    keep(store, receipt(frame))
    assert write(store, lambda session: archive.mark_gone(session, frame.id, "frames_days", [receipt(frame)], 77))
    assert not write(store, lambda session: archive.mark_gone(session, frame.id, "again", (), 78))
    assert unsent(store, "office") == [other.id]
    found = reader.audit(frame.id)
    assert (found.deleted_us, found.deleted_rule, found.deleted_by) == (77, "frames_days", (receipt(frame),))
    assert sums_are_right(store)


def test_what_comes_back_is_sent_to_those_that_lack_it(store: Store) -> None:
    (frame,) = keep_many(store, 1)
    fill(store), fill(store, "office")
    keep(store, receipt(frame))
    write(store, lambda session: archive.mark_gone(session, frame.id, "rule", [receipt(frame)], 1))
    write(store, lambda session: archive.know(session, "new"))
    assert write(store, lambda session: archive.unmark_gone(session, frame.id))
    assert not write(store, lambda session: archive.unmark_gone(session, frame.id))
    assert (unsent(store), unsent(store, "office"), unsent(store, "new")) == ([], [frame.id], [])
    assert fill(store, "new") == 1
    assert sums_are_right(store)


def test_a_video_goes_once_and_is_sent_to_nobody(store: Store) -> None:
    film = video(store)
    fill(store, table="videos")
    assert write(store, lambda session: archive.remove_video(session, film.id, "by hand", 5)) == "main"
    assert write(store, lambda session: archive.remove_video(session, film.id, "again", 6)) is None
    assert write(store, lambda session: archive.remove_video(session, "nobody", "again", 6)) is None
    assert store.rows("SELECT deleted_us, deleted_rule FROM videos") == [(5, "by hand")]
    assert (unsent(store), sums_are_right(store)) == ([], True)


def test_a_video_that_another_replaced_is_sent_to_nobody(store: Store) -> None:
    film = video(store)
    fill(store, table="videos")
    write(store, lambda session: videos.retire(session, film.id, "replaced", 5))
    assert (unsent(store), sums_are_right(store)) == ([], True)


# --- read -----------------------------------------------------------------------------------------------------------


def test_a_backlog_counts_what_was_taken_up_and_what_was_not_yet(store: Store, reader: ArchiveReader) -> None:
    frames = keep_many(store, 3)
    fresh = reader.backlog("nas")
    assert (fresh.count, fresh.size_bytes, fresh.oldest_us) == (3, 3 * SIZE, frames[0].captured_us)
    fill(store)
    assert reader.backlog("nas") == fresh
    keep_many(store, 2)
    keep(store, receipt(frames[0]))
    write(store, lambda session: archive.refuse(session, "nas", frames[1].id, "ARC-005", (300,), 1))
    later = reader.backlog("nas")
    assert (later.count, later.size_bytes, later.oldest_us) == (4, 4 * SIZE, frames[1].captured_us)
    assert (later.failing, [each.error_code for each in reader.failing("nas")]) == (1, ["ARC-005"])
    assert reader.target("nas").unsent == 2


def test_nothing_at_all_is_a_backlog_of_nothing(store: Store, reader: ArchiveReader) -> None:
    backlog = reader.backlog("nas")
    assert (backlog.count, backlog.size_bytes, backlog.oldest_us, backlog.failing) == (0, 0, None, 0)
    assert reader.target("nas") == TargetRow("nas")
    assert reader.receipts("nobody") == ()
    with pytest.raises(NotFound):
        reader.audit("nobody")


def test_the_audit_names_every_target_that_holds_a_frame(store: Store, reader: ArchiveReader) -> None:
    (frame,) = keep_many(store, 1)
    fill(store), fill(store, "office")
    held = (receipt(frame), receipt(frame, "office", how="sha256sum", verified_us=8))
    for each in held:
        keep(store, each)
    found = reader.audit(frame.id)
    assert found.receipts == reader.receipts(frame.id) == held
    assert (found.captured_us, found.sha256, found.deleted_us, found.deleted_rule) == (
        *(frame.captured_us, frame.sha256),
        *(None, ""),
    )


@pytest.mark.parametrize("newest", [False, True])
def test_a_batch_comes_from_one_end_and_leaves_out_what_is_put_off(
    store: Store, reader: ArchiveReader, newest: bool
) -> None:
    frames = keep_many(store, 4)
    fill(store)
    put_off = frames[-1 if newest else 0]
    write(store, lambda session: archive.refuse(session, "nas", put_off.id, "DSK-005", (300,), 1_000_000))
    wanted = [frame.id for frame in (frames[::-1] if newest else frames)]
    assert [each.item for each in reader.batch("nas", 1_000_000, 2, newest=newest)] == wanted[1:3]
    late = reader.batch("nas", 300_000_000, 9, newest=newest)
    assert ([each.item for each in late], late[0].failures) == (wanted, 1)
    # a clock that was wrong by years put it off
    write(store, lambda session: session.execute("UPDATE outbox SET again_us = 9e17 WHERE failures > 0"))
    assert len(reader.batch("nas", 300_000_000, 9, newest=newest)) == 4


def test_receipts_and_reclaimed_frames_are_found_by_camera_and_time(store: Store, reader: ArchiveReader) -> None:
    main, side = keep_many(store, 3), keep_many(store, 3, camera="side")
    fill(store)
    keep(store, *map(receipt, [*main, *side]))
    for frame in (*main, *side):
        write(store, lambda session, frame=frame: archive.mark_gone(session, frame.id, "rule", (), 1))
    spans = {
        Span(): 6,
        Span(camera="side"): 3,
        Span(from_us=main[1].captured_us): 5,
        Span(to_us=main[1].captured_us): 1,
        Span("main", main[1].captured_us, side[2].captured_us): 2,
        Span("other"): 0,
    }
    for span, count in spans.items():
        held = [each for page in reader.held("nas", span, (9, 9)) for each in page]
        gone = [each for page in reader.gone("nas", span) for each in page]
        assert len(held) == len(gone) == count
        assert (reader.count_held("nas", span, (9, 9)), reader.count_gone("nas", span)) == (count, count)
        assert all(each.gone and each.path == f"{each.receipt.name}".removeprefix("north/") for each in held)
    assert {each.name for page in reader.gone("office", Span()) for each in page} == {None}


def test_what_was_proved_in_that_time_is_not_read_again(store: Store, reader: ArchiveReader) -> None:
    frames = keep_many(store, 3)
    fill(store)
    keep(store, *(receipt(frame, verified_us=at_us) for frame, at_us in zip(frames, (10, 20, 30), strict=True)))
    assert [each.receipt.verified_us for page in reader.held("nas", Span(), (20, 25)) for each in page] == [10, 30]


def test_many_receipts_are_read_page_by_page_and_each_once(store: Store, reader: ArchiveReader) -> None:
    frames = keep_many(store, 2 * archive.CHUNK + 1)
    fill(store)
    for start in range(0, len(frames), archive.CHUNK):
        keep(store, *map(receipt, frames[start : start + archive.CHUNK]))
    pages = list(reader.held("nas", Span(), (9, 9)))
    assert [len(page) for page in pages] == [archive.CHUNK, archive.CHUNK, 1]
    assert [each.receipt.item for page in pages for each in page] == [frame.id for frame in frames]
