from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.archive.base import Item, Outcome, Receipt, Refused
from node.domain.config import BreakerLimits
from node.domain.errors import (
    DatabaseBusy,
    FrameMissing,
    HeliographError,
    NotArchived,
    ReceiptRefused,
    TargetFull,
    TargetUnavailable,
)
from node.domain.frame import Frame
from node.holdings import Holdings, Patience
from node.store import archive
from node.store.database import NAME
from tests.docks import COUNTED, KEPT
from tests.stores import Store, keep_many, opened

SIZE = 2_000_000
LIMITS = BreakerLimits(failures=3, pause_s=60, successes=2)
TERMS = Patience(LIMITS, (300.0, 900.0))
AWAY = TargetUnavailable("cable")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as made:
        yield made


@pytest.fixture
def holdings(store: Store) -> Holdings:
    made = Holdings(store.journal)
    made.know("nas")
    return made


def item(frame: Frame) -> Item:
    return Item(frame.id, "frame", Path(frame.path), f"north/{frame.path}", frame.size_bytes, frame.sha256)


def receipt(frame: Frame, **lie: Any) -> Receipt:
    return replace(Receipt(item(frame), item(frame).name, frame.size_bytes, frame.sha256, "read back", 5), **lie)


def refused(frame: Frame, error: HeliographError, found: str = "") -> Refused:
    return Refused(item(frame), error, found)


def filled(store: Store, holdings: Holdings, count: int) -> list[Frame]:
    frames = keep_many(store, count)
    assert holdings.fill("nas", videos=True) == count
    return frames


def settle(holdings: Holdings, *outcomes: Outcome) -> Any:
    return holdings.settle("nas", outcomes, TERMS, 1.5)


def told(store: Store, *kinds: str) -> list[Any]:
    return [row.body for row in store.events.after(0, 1000, kinds)]


def state(store: Store) -> tuple[object, ...]:
    return store.rows("SELECT breaker, failures, successes, last_error_code FROM targets")[0]


# --- receipts -------------------------------------------------------------------------------------------------------


def test_receipts_their_sums_and_their_event_are_one_entry(store: Store, holdings: Holdings) -> None:
    frames = filled(store, holdings, 3)
    settled = settle(holdings, *(receipt(frame) for frame in frames[:2]))
    assert (settled.kept.count, settled.kept.size_bytes, settled.refused) == (2, 2 * SIZE, ())
    assert told(store, "archived") == [{"target": "nas", "count": 2, "size_bytes": 2 * SIZE, "took_s": 1.5}]
    assert store.rows(KEPT) == store.rows(COUNTED) == [("nas", 1, SIZE, 2, 2 * SIZE)]
    assert store.rows("SELECT last_ok_us FROM targets") == [(store.clock.now_us(),)]


@pytest.mark.parametrize("lie", [{"sha256": "6" * 64}, {"size_bytes": 1}])
def test_the_edge_is_not_believed_when_it_says_something_else_than_the_row(
    store: Store, holdings: Holdings, lie: dict[str, Any]
) -> None:
    liar, honest = filled(store, holdings, 2)
    settled = settle(holdings, receipt(liar, **lie), receipt(honest))
    assert [(each.item.id, each.error.code) for each in settled.refused] == [(liar.id, "ARC-005")]
    assert store.rows("SELECT item FROM receipts") == [(honest.id,)]
    assert store.rows("SELECT item, failures, error_code FROM outbox") == [(liar.id, 1, "ARC-005")]
    (denied,) = told(store, "receipt_denied")
    assert (denied["item"], denied["expected"]) == (liar.id, liar.sha256)
    assert str(next(iter(lie.values()))) in denied["found"]
    assert store.rows(KEPT) == store.rows(COUNTED)


def test_an_item_that_its_target_does_not_hold_is_told_of_and_put_off(store: Store, holdings: Holdings) -> None:
    (frame,) = filled(store, holdings, 1)
    settle(holdings, refused(frame, ReceiptRefused("x"), "nothing"))
    assert told(store, "receipt_denied") == [
        {"target": "nas", "item": frame.id, "expected": frame.sha256, "found": "nothing"}
    ]
    again_us = store.clock.now_us() + 240_000_000
    assert store.rows("SELECT failures, again_us FROM outbox") == [(1, again_us)]
    assert told(store, "archived") == []


def test_a_fault_of_ours_is_put_off_and_not_laid_at_the_targets_door(store: Store, holdings: Holdings) -> None:
    frames = filled(store, holdings, 5)
    settle(holdings, *(refused(frame, FrameMissing(frame.path)) for frame in frames))
    assert (state(store), told(store, "receipt_denied", "target")) == (("closed", 0, 0, ""), [])
    assert store.rows("SELECT DISTINCT error_code FROM outbox") == [("DSK-005",)]


def test_an_item_that_went_meanwhile_leaves_its_receipt_and_nothing_else(store: Store, holdings: Holdings) -> None:
    frame, other = filled(store, holdings, 2)
    store.database.write(lambda session: archive.mark_gone(session, frame.id, "rule", (), 1))
    settle(holdings, receipt(frame), refused(other, ReceiptRefused("x")))
    assert store.rows(KEPT) == store.rows(COUNTED) == [("nas", 1, SIZE, 1, SIZE)]


# --- the breaker ----------------------------------------------------------------------------------------------------


def test_failures_in_a_row_open_it_and_successes_close_it_each_move_told_once(store: Store, holdings: Holdings) -> None:
    states = [holdings.used("nas", error, LIMITS).breaker for error in (AWAY, AWAY, None, AWAY, AWAY, AWAY, AWAY)]
    assert states == ["closed", "closed", "closed", "closed", "closed", "open", "open"]
    assert store.rows("SELECT opened_us, last_failed_us FROM targets") == [(store.clock.now_us(),) * 2]
    assert [holdings.used("nas", None, LIMITS).breaker for _ in range(3)] == ["half_open", "closed", "closed"]
    moves = [(each["state"], each["failures"], each["error_code"]) for each in told(store, "target")]
    assert moves == [("open", 3, "ARC-001"), ("half_open", 4, ""), ("closed", 0, "")]
    assert state(store) == ("closed", 0, 0, "")


def test_each_item_of_a_batch_counts_in_its_turn(store: Store, holdings: Holdings) -> None:
    frames = filled(store, holdings, 6)
    lies = [refused(frame, ReceiptRefused("x")) for frame in frames]
    settle(holdings, lies[0], lies[1], receipt(frames[2]), lies[3], lies[4])
    assert state(store) == ("closed", 2, 0, "ARC-005")
    settle(holdings, lies[5], lies[0])
    assert state(store)[0] == "open"
    settle(holdings, receipt(frames[0]), receipt(frames[1]))
    assert [each["state"] for each in told(store, "target")] == ["open", "half_open", "closed"]


def test_what_a_target_failed_of_is_kept_until_it_goes_well(store: Store, holdings: Holdings) -> None:
    row = holdings.used("nas", TargetFull("0 bytes free" * 100), LIMITS)
    assert (row.last_error_code, row.last_error[:12], len(row.last_error)) == ("ARC-004", "0 bytes free", 300)
    store.clock.advance(1)
    row = holdings.used("nas", None, LIMITS)
    assert (row.last_error_code, row.last_error, row.last_ok_us) == ("", "", store.clock.now_us())
    assert row.last_failed_us == store.clock.now_us() - 1_000_000


def test_a_hurry_makes_all_due_and_lets_an_open_target_be_tried(store: Store, holdings: Holdings) -> None:
    (frame,) = filled(store, holdings, 1)
    settle(holdings, refused(frame, ReceiptRefused("x")))
    holdings.hurry("nas")
    assert store.rows("SELECT again_us FROM outbox") == [(0,)]
    assert (state(store)[0], told(store, "target")) == ("closed", [])
    for _ in range(2):
        holdings.used("nas", AWAY, LIMITS)
    holdings.hurry("nas")
    assert (state(store)[0], [each["state"] for each in told(store, "target")]) == ("half_open", ["open", "half_open"])
    assert holdings.used("nas", AWAY, LIMITS).breaker == "open"


def test_a_target_that_was_never_used_is_there_without_a_row(store: Store, holdings: Holdings) -> None:
    holdings.hurry("never")
    assert store.rows("SELECT name FROM targets") == [("nas",)]


# --- reading again, and bringing back -------------------------------------------------------------------------------


def test_what_is_read_again_is_proved_anew_or_has_no_receipt_any_more(store: Store, holdings: Holdings) -> None:
    frames = filled(store, holdings, 4)
    settle(holdings, *map(receipt, frames))
    store.database.write(lambda session: archive.mark_gone(session, frames[3].id, "rule", (), 1))
    lost = [refused(frames[2], NotArchived("x"), "nothing"), refused(frames[3], ReceiptRefused("x"), "other")]
    lie = receipt(frames[1], sha256="6" * 64)
    settled = holdings.reread("nas", [receipt(frames[0], at_us=99), lie, *lost])
    assert (settled.kept.count, len(settled.refused)) == (1, 3)
    assert store.rows("SELECT item, verified_us FROM receipts") == [(frames[0].id, 99)]
    assert store.rows("SELECT item, failures FROM outbox") == [(frames[1].id, 0), (frames[2].id, 0)]
    assert [each["item"] for each in told(store, "receipt_denied")] == [frame.id for frame in frames[1:]]
    assert store.rows(KEPT) == store.rows(COUNTED)


def test_frames_that_are_back_are_told_of_once(store: Store, holdings: Holdings) -> None:
    frames = filled(store, holdings, 3)
    for frame in frames[:2]:
        store.database.write(lambda session, frame=frame: archive.mark_gone(session, frame.id, "rule", (), 1))
    wanted = [(frame.id, SIZE) for frame in frames]
    assert (holdings.restored("nas", wanted), holdings.restored("nas", wanted)) == (2, 0)
    assert told(store, "restored") == [{"target": "nas", "count": 2, "size_bytes": 2 * SIZE}]
    assert store.rows("SELECT COUNT(*) FROM frames_gone") == [(0,)]
    assert store.rows(KEPT) == store.rows(COUNTED) == [("nas", 3, 3 * SIZE, 0, 0)]


def test_a_video_that_nobody_knows_cannot_be_removed(store: Store, holdings: Holdings) -> None:
    assert not holdings.remove_video("nobody", "by hand")
    assert told(store, "video_removed") == []


# --- all or nothing -------------------------------------------------------------------------------------------------


def test_what_could_not_be_written_has_changed_nothing_and_can_be_repeated(store: Store, holdings: Holdings) -> None:
    frames = filled(store, holdings, 2)
    keep_many(store, 1)
    before = store.rows(KEPT), store.events.newest()
    other = sqlite3.connect(store.folder / NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseBusy):
        settle(holdings, *map(receipt, frames))
    other.close()
    assert (store.rows(KEPT), store.events.newest()) == before
    settle(holdings, *map(receipt, frames))
    holdings.fill("nas", videos=True)
    assert store.rows(KEPT) == store.rows(COUNTED) == [("nas", 1, SIZE, 2, 2 * SIZE)]
