from __future__ import annotations

import sqlite3

import pytest

from node.clock import US
from node.domain.errors import NotFound
from node.domain.frame import GapReason, SlotKey
from node.store import ledger
from node.store.ledger import SlotFilter
from tests.stores import Store, gap_of, keep_many, slot_of

MINUTE_US = 60 * US


def test_a_slot_row_has_either_a_frame_or_a_reason(store: Store) -> None:
    both = "INSERT INTO slots VALUES ('main', 1, 'auto', ?, ?, '[]', '[]', '', 1, 1)"
    (frame,) = keep_many(store, 1)
    for values in ((frame.id, "late"), (None, None)):
        with pytest.raises(sqlite3.IntegrityError):
            store.database.write(lambda session, values=values: session.execute(both, values))


def test_a_slot_names_only_a_frame_that_has_its_row(store: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        store.database.write(
            lambda session: session.execute(
                "INSERT INTO slots VALUES ('main', 1, 'auto', 'nobody', NULL, '[]', '[]', '', 1, 1)"
            )
        )


def test_slots_of_all_cameras_page_by_due_time(store: Store) -> None:
    start_us = store.clock.now_us()
    keys = []
    for number in range(7):
        for camera in ("side", "main"):
            for profile in ("auto", "dark"):
                gap = gap_of(start_us + number * MINUTE_US, camera=camera, profile=profile)
                store.journal.gap(gap, [], day="2026-11-18")
                keys.append(gap.slot)
    expected = sorted(keys, key=lambda key: (key.due_us, key.camera, key.profile))
    for descending, wanted in ((False, expected), (True, expected[::-1])):
        found: list[SlotKey] = []
        while page := store.ledger.slots(
            SlotFilter(), limit=5, after=found[-1] if found else None, descending=descending
        ):
            found += [row.slot for row in page]
        assert found == wanted


def test_slots_and_gaps_filter(store: Store) -> None:
    frames = keep_many(store, 3)
    now_us = store.clock.now_us()
    reasons = [GapReason.LATE, GapReason.TIMEOUT, GapReason.LATE]
    for number, reason in enumerate(reasons, start=1):
        store.journal.gap(gap_of(now_us + number * MINUTE_US, reason), [], day="2026-11-18")
    slots = store.ledger.slots
    assert len(slots(SlotFilter(camera="main"))) == 6
    assert [row.reason for row in slots(SlotFilter(gaps=True), descending=False)] == ["late", "timeout", "late"]
    assert len(slots(SlotFilter(reason="late"))) == 2
    assert len(slots(SlotFilter(camera="main", reason="late"), limit=1)) == 1
    assert slots(SlotFilter(camera="side")) == []
    assert slots(SlotFilter(profile="dark")) == []
    span = SlotFilter(since_us=frames[1].due_us, until_us=now_us + MINUTE_US)
    assert [row.frame_id for row in slots(span, descending=False)] == [frame.id for frame in frames[1:]]


def test_the_settled_slots_of_a_span_exclude_its_start(store: Store) -> None:
    frames = keep_many(store, 3)
    first, last = frames[0].due_us or 0, frames[2].due_us or 0
    assert store.ledger.settled("main", first, last) == {slot_of(frame) for frame in frames[1:]}


def test_what_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        store.ledger.slot(SlotKey("main", "auto", 1))
    with pytest.raises(NotFound):
        store.ledger.shoot("main/default/2026-11-18/auto")


def test_shoots_page_from_the_newest(store: Store) -> None:
    start_us = store.clock.now_us()
    for number in range(5):
        shoot = f"main/default/2026-11-{18 + number}/auto"
        store.journal.open_shoot(shoot, start_us + number * MINUTE_US, start_us + (number + 1) * MINUTE_US)
    store.journal.open_shoot("side/default/2026-11-18/auto", start_us, start_us + MINUTE_US)
    store.journal.close_shoot("main/default/2026-11-18/auto")
    first = store.ledger.shoots(limit=2)
    assert [each.date for each in first] == ["2026-11-22", "2026-11-21"]
    rest = store.ledger.shoots(limit=9, after=first[-1])
    assert [(each.camera, each.date) for each in rest] == [
        ("main", "2026-11-20"), ("main", "2026-11-19"), ("side", "2026-11-18"), ("main", "2026-11-18"),
    ]  # fmt: skip
    assert [each.camera for each in store.ledger.shoots(camera="side")] == ["side"]
    assert [each.date for each in store.ledger.shoots(state="captured")] == ["2026-11-18"]


def test_counts_by_day_and_over_all(store: Store) -> None:
    keep_many(store, 2, interval_s=10, score=50)
    store.clock.advance(86_400)
    keep_many(store, 1, interval_s=10, score=80)
    keep_many(store, 1, interval_s=10, camera="side")
    store.journal.gap(gap_of(store.clock.now_us() + 1), [], day="2026-11-19")
    days = store.ledger.days(camera="main")
    assert [(each.day, each.due, each.captured, each.gaps, each.score_sum, each.score_n) for each in days] == [
        ("2026-11-18", 2, 2, 0, 100, 2), ("2026-11-19", 2, 1, 1, 80, 1),
    ]  # fmt: skip
    assert [each.camera for each in store.ledger.days(since="2026-11-19")] == ["main", "side"]
    assert store.ledger.days(until="2026-11-17") == []
    totals = {each.camera: (each.due, each.captured, each.gaps, each.score_n) for each in store.ledger.totals()}
    assert totals == {"main": (4, 3, 1, 3), "side": (1, 1, 0, 1)}


def closed_shoot(store: Store, *, asked: bool = False) -> str:
    frame = keep_many(store, 1)[0]
    store.journal.close_shoot(frame.shoots[0])
    if asked:
        store.database.write(lambda session: ledger.ask_video(session, frame.shoots[0]))
    return frame.shoots[0]


def moved(store: Store, shoot: str, *states: str) -> list[bool]:
    return [store.database.write(lambda session, to=state: ledger.move_shoot(session, shoot, to)) for state in states]


@pytest.mark.parametrize(
    ("states", "expected", "last"),
    [
        (("rendering", "done", "failed", "rendering", "captured"), [True, True, False, False, False], "done"),
        (("rendering", "failed", "failed", "rendering", "degraded"), [True, True, False, True, True], "degraded"),
        (("captured", "rendering", "captured", "failed"), [False, True, True, True], "failed"),
    ],
)
def test_a_shoot_moves_as_its_video_does(
    store: Store, states: tuple[str, ...], expected: list[bool], last: str
) -> None:
    shoot = closed_shoot(store)
    assert moved(store, shoot, *states) == expected
    assert store.ledger.shoot(shoot).state == last


def test_an_open_shoot_and_one_that_never_was_do_not_move(store: Store) -> None:
    frame = keep_many(store, 1)[0]
    assert moved(store, frame.shoots[0], *ledger.SHOOT_MOVES) == [False] * len(ledger.SHOOT_MOVES)
    assert moved(store, "main/default/1999-01-01/auto", "failed") == [False]


def test_a_shoot_without_its_video_is_late_past_its_limit(store: Store) -> None:
    shoot = closed_shoot(store, asked=True)
    end_us = store.ledger.shoot(shoot).end_us
    late = [store.ledger.late_shoots(end_us + age_s * US, 60) for age_s in (0, 59, 60)]
    assert [[each.shoot for each in found] for found in late] == [[], [], [shoot]]
    moved(store, shoot, "rendering")
    assert len(store.ledger.late_shoots(end_us + 60 * US, 60)) == 1
    moved(store, shoot, "done")
    assert store.ledger.late_shoots(end_us + 60 * US, 60) == []


def test_a_shoot_whose_video_nobody_asked_for_is_never_late(store: Store) -> None:
    shoot = closed_shoot(store)
    assert store.ledger.late_shoots(store.ledger.shoot(shoot).end_us + 10**15, 60) == []


def test_late_shoots_are_found_by_their_index(store: Store) -> None:
    sql = "SELECT shoot FROM shoots WHERE asked = 1 AND state IN ('captured', 'rendering') AND end_us <= 5"
    steps = " ".join(str(row[-1]) for row in store.rows(f"EXPLAIN QUERY PLAN {sql} ORDER BY end_us, shoot"))
    assert "shoots_waiting" in steps
