from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.clock import US
from node.domain.errors import DatabaseBusy, KeyReused
from node.domain.events import ClockStepped, Event, FrameQuarantined, GapRecorded, GapsRecorded, restore
from node.domain.frame import GapReason
from node.jobs import Jobs
from node.journal import BULK, Journal
from node.store import log
from node.store.ledger import SlotFilter
from node.store.log import Actor, Answer, AuditReader, Change, Request
from node.store.session import Session
from tests.stores import Store, day, frame_of, gap_of, keep_many, kept_event, opened, slot_of

FIVE_US = 300 * US


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as made:
        yield made


def test_a_frame_its_slot_its_counts_and_its_event_come_in_one_entry(store: Store) -> None:
    frame = frame_of(store.clock, store.clock.now_us())
    kept = store.journal.keep(frame, slot_of(frame), [kept_event(frame)], day="2026-11-18", settled_to_us=frame.due_us)
    assert (kept.event_ids, kept.slot, kept.extra, kept.known) == ((1,), slot_of(frame), False, False)
    assert store.frames.get(frame.id) == frame
    assert store.ledger.slot(slot_of(frame)).frame_id == frame.id
    assert store.ledger.settled_to() == {"main": frame.due_us}
    (count,) = store.ledger.days()
    assert (count.day, count.due, count.captured, count.gaps, count.score_sum, count.score_n) == (
        "2026-11-18", 1, 1, 0, 90, 1,
    )  # fmt: skip
    (row,) = store.events.after(0)
    assert restore(row.kind, row.body) == kept_event(frame)
    assert (row.camera, row.frame, row.at_us) == ("main", frame.id, store.clock.now_us())
    assert (store.journal.last_event_id, store.journal.trouble) == (1, "")


def test_adopting_the_same_frame_twice_changes_nothing(store: Store) -> None:
    frame = frame_of(store.clock, store.clock.now_us())
    store.journal.keep(frame, slot_of(frame), [kept_event(frame)], day="2026-11-18")
    before = everything(store)
    again = store.journal.keep(frame, slot_of(frame), [kept_event(frame)], day="2026-11-18")
    assert (again.known, again.event_ids) == (True, ())
    assert everything(store) == before


def test_a_frame_for_a_settled_slot_is_kept_as_an_extra_one(store: Store) -> None:
    due_us = store.clock.now_us()
    store.journal.gap(gap_of(due_us), [], day="2026-11-18")
    frame = frame_of(store.clock, due_us)
    kept = store.journal.keep(frame, slot_of(frame), [kept_event(frame)], day="2026-11-18")
    assert (kept.extra, kept.slot, kept.event_ids) == (True, None, (1,))
    assert store.frames.get(frame.id) == replace(frame, due_us=None)
    assert store.ledger.slot(slot_of(frame)).reason == "timeout"
    (count,) = store.ledger.days()
    assert (count.due, count.captured, count.gaps, count.score_n) == (1, 0, 1, 1)


def test_a_commanded_frame_has_no_slot_and_is_not_due(store: Store) -> None:
    frame = frame_of(store.clock, None)
    kept = store.journal.keep(frame, None, [kept_event(frame)], day="2026-11-18")
    assert (kept.slot, kept.extra) == (None, False)
    assert store.ledger.slots(SlotFilter()) == []
    assert [(count.due, count.score_n) for count in store.ledger.days()] == [(0, 1)]


def test_a_quarantined_picture_and_the_gap_of_its_slot_come_in_one_entry(store: Store) -> None:
    due_us = store.clock.now_us()
    frame = frame_of(store.clock, due_us, quarantined=True, integrity="truncated", verdict="unjudged", score=None)
    event = FrameQuarantined(frame.id, "main", "auto", due_us, "truncated", frame.path)
    kept = store.journal.quarantine(
        frame, gap_of(due_us, GapReason.DAMAGED), [event], day="2026-11-18", settled_to_us=due_us
    )
    assert (kept.known, kept.extra, kept.event_ids) == (False, False, (1,))
    assert store.ledger.slot(slot_of(frame)).reason == "damaged"
    assert store.frames.latest("main") is None
    assert store.ledger.settled_to() == {"main": due_us}
    before = everything(store)
    assert store.journal.quarantine(frame, gap_of(due_us, GapReason.DAMAGED), [event], day="2026-11-18").known
    assert everything(store) == before


def test_a_quarantined_picture_may_have_no_gap(store: Store) -> None:
    frame = frame_of(store.clock, None, quarantined=True, score=None)
    assert not store.journal.quarantine(frame, None, [], day="2026-11-18").extra
    assert store.ledger.days() == []


def test_a_gap_is_recorded_once(store: Store) -> None:
    due_us = store.clock.now_us()
    event = GapRecorded("main", "auto", due_us, "timeout", "CAM-005")
    assert store.journal.gap(gap_of(due_us), [event], day="2026-11-18", settled_to_us=due_us).event_ids == (1,)
    again = store.journal.gap(gap_of(due_us, GapReason.LATE), [event], day="2026-11-18")
    assert (again.known, again.event_ids) == (True, ())
    row = store.ledger.slot(gap_of(due_us).slot)
    assert (row.reason, row.error_code, row.frame_id, row.shoots) == (
        "timeout", "CAM-005", None, ("main/default/2026-11-18/auto",),
    )  # fmt: skip
    assert [(count.due, count.gaps) for count in store.ledger.days()] == [(1, 1)]


def test_many_gaps_fill_what_is_open_and_complete_the_ledger(store: Store) -> None:
    first_us = store.clock.now_us()
    dues = [first_us + number * 60 * US for number in range(2 * BULK + 50)]
    frame = frame_of(store.clock, dues[3])
    store.journal.keep(frame, slot_of(frame), [], day=day(dues[3]))
    gaps = [gap_of(due, GapReason.PROCESS_DOWN) for due in dues]
    assert store.journal.gaps(gaps, day_of=day, settled_to_us=dues[-1]) == len(gaps) - 1
    assert store.journal.gaps(gaps, day_of=day, settled_to_us=dues[-1]) == 0
    assert [restore(row.kind, row.body) for row in store.events.after(0)] == [
        GapsRecorded("main", "process_down", BULK - 1, dues[0], dues[BULK - 1]),
        GapsRecorded("main", "process_down", BULK, dues[BULK], dues[2 * BULK - 1]),
        GapsRecorded("main", "process_down", 50, dues[2 * BULK], dues[-1]),
    ]
    assert store.ledger.settled_to() == {"main": dues[-1]}
    assert store.ledger.settled("main", dues[0] - 1, dues[-1]) == {gap.slot for gap in gaps}
    counts = store.ledger.days()
    assert sum(count.due for count in counts) == len(gaps)
    assert sum(count.gaps for count in counts) == len(gaps) - 1
    assert {count.day: count.due for count in counts} == {
        text: sum(day(due) == text for due in dues) for text in {*map(day, dues)}
    }


def test_gaps_and_what_is_told_of_them_are_there_together_or_not_at_all(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches that were written stay, with their events; the rest is entered by the next try, and told of once."""
    first_us, told = store.clock.now_us(), []
    gaps = [gap_of(first_us + number * 60 * US, GapReason.PROCESS_DOWN) for number in range(2 * BULK)]
    store.journal.on_commit(lambda: told.append(store.events.newest()))
    real = log.append

    def fails_later(session: Session, events: Iterable[Event], at_us: int) -> tuple[int, ...]:
        if told:
            raise DatabaseBusy("held")
        return real(session, events, at_us)

    with monkeypatch.context() as patched:
        patched.setattr(log, "append", fails_later)
        with pytest.raises(DatabaseBusy):
            store.journal.gaps(gaps, day_of=day, settled_to_us=gaps[-1].slot.due_us)
    assert (told, store.journal.trouble) == ([1], "DB-001")
    assert [row.body["count"] for row in store.events.after(0)] == [BULK]
    assert (len(store.rows("SELECT * FROM slots")), store.ledger.settled_to()) == (BULK, {})
    assert store.journal.gaps(gaps, day_of=day, settled_to_us=gaps[-1].slot.due_us) == BULK
    assert [row.body["count"] for row in store.events.after(0)] == [BULK, BULK]
    assert store.ledger.settled_to() == {"main": gaps[-1].slot.due_us}


def test_the_ledger_never_goes_back(store: Store) -> None:
    store.journal.settle("main", 2_000)
    store.journal.settle("main", 1_000)
    store.journal.settle("side", 500)
    assert store.ledger.settled_to() == {"main": 2_000, "side": 500}


def test_a_shoot_opens_once_counts_and_closes_once(store: Store) -> None:
    frames = keep_many(store, 2)
    shoot, start_us = frames[0].shoots[0], frames[0].due_us or 0
    assert store.journal.open_shoot(shoot, start_us - FIVE_US, start_us + FIVE_US)
    assert not store.journal.open_shoot(shoot, start_us - FIVE_US, start_us + FIVE_US)
    for number in range(3):
        store.journal.gap(gap_of(store.clock.now_us() + number + 1), [], day="2026-11-18")
    assert [each.shoot for each in store.ledger.open_shoots()] == [shoot]
    assert store.ledger.open_shoots(ended_by_us=start_us) == []
    done = store.journal.close_shoot(shoot)
    assert done == store.ledger.shoot(shoot)
    assert done is not None
    assert (done.due, done.captured, done.failed, done.degraded, done.state) == (5, 2, 3, True, "captured")
    assert (done.camera, done.schedule, done.profile, done.date) == ("main", "default", "auto", "2026-11-18")
    assert (done.start_us, done.end_us) == (start_us - FIVE_US, start_us + FIVE_US)
    assert store.journal.close_shoot(shoot) is None
    assert [row.kind for row in store.events.after(0)] == ["frame", "frame", "shoot_opened", "shoot_closed"]
    assert store.ledger.open_shoots() == []


def test_a_shoot_that_ends_asks_for_its_video_once(store: Store) -> None:
    (frame,) = keep_many(store, 1)
    shoot = frame.shoots[0]
    assert store.journal.close_shoot(shoot, video=True) is not None
    assert store.journal.close_shoot(shoot, video=True) is None
    asked = store.rows("SELECT kind, key, state, priority, who, payload FROM jobs")
    payload = f'{{"camera":"main","profile":"auto","shoot":"{shoot}"}}'
    assert asked == [("render", shoot, "queued", 10, "window", payload)]
    assert store.rows("SELECT asked FROM shoots") == [(1,)]


def test_a_video_asked_for_by_hand_before_the_end_is_the_shoots_own(store: Store) -> None:
    (frame,) = keep_many(store, 1)
    shoot = frame.shoots[0]
    job = Jobs(store.journal).enqueue("render", shoot, {"camera": "main", "shoot": shoot}, who="somebody")
    store.journal.close_shoot(shoot, video=True)
    assert store.rows("SELECT id, who FROM jobs") == [(job.id, "somebody")]


def test_a_late_gap_still_counts_in_a_closed_shoot(store: Store) -> None:
    (frame,) = keep_many(store, 1)
    store.journal.close_shoot(frame.shoots[0])
    store.journal.gap(gap_of(store.clock.now_us() + 1), [], day="2026-11-18")
    shoot = store.ledger.shoot(frame.shoots[0])
    assert (shoot.due, shoot.failed, shoot.state) == (2, 1, "captured")


def test_event_ids_have_no_holes_though_entries_fail(store: Store) -> None:
    store.journal.note([ClockStepped(1.0), ClockStepped(2.0)])
    frame = frame_of(store.clock, store.clock.now_us(), score=200)  # a score that the table refuses
    with pytest.raises(Exception, match="CHECK constraint failed"):
        store.journal.keep(frame, slot_of(frame), [ClockStepped(3.0)], day="2026-11-18")
    assert store.journal.note([ClockStepped(4.0)]) == (3,)
    assert [row.id for row in store.events.after(0)] == [1, 2, 3]


def test_readers_are_told_after_the_commit(store: Store) -> None:
    seen = []
    store.journal.on_commit(lambda: seen.append(store.events.newest()))
    store.journal.note([ClockStepped(1.0)])
    store.journal.note([ClockStepped(1.0)])
    assert seen == [1, 2]


def test_trouble_names_the_code_until_a_write_is_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise DatabaseBusy("held")

    with monkeypatch.context() as patched:
        patched.setattr(store.database, "write", busy)
        with pytest.raises(DatabaseBusy):
            store.journal.note([ClockStepped(1.0)])
        assert store.journal.trouble == "DB-001"
    store.journal.note([ClockStepped(1.0)])
    assert store.journal.trouble == ""


def test_a_new_journal_knows_the_newest_event(store: Store) -> None:
    store.journal.note([ClockStepped(1.0), ClockStepped(2.0)])
    assert Journal(store.database, store.clock).last_event_id == 2


def test_old_events_are_trimmed_in_batches_and_the_newest_stays(store: Store) -> None:
    for _ in range(30):
        store.clock.advance(60)
        store.journal.note([ClockStepped(1.0)] * 100)
    middle_us = store.clock.now_us() - 20 * 60 * US
    assert store.journal.trim_events(middle_us, 10_000) == 900
    assert (store.events.oldest(), store.events.newest()) == (901, 3000)
    assert store.journal.trim_events(0, 100) == 2000
    assert store.journal.trim_events(store.clock.now_us() + 1, 100) == 99
    assert (store.events.oldest(), store.events.newest()) == (3000, 3000)
    assert store.journal.note([ClockStepped(1.0)]) == (3001,)


def test_the_audit_pages_from_the_newest(store: Store) -> None:
    actor = Actor("anna", "operator", "127.0.0.1", "r-1")
    for number in range(5):
        store.journal.audit(actor, Change("capture", f"camera/{number}"))
    reader = AuditReader(store.database)
    first = reader.page(limit=2)
    assert [row.target for row in first] == ["camera/4", "camera/3"]
    assert [row.target for row in reader.page(limit=9, after=first[-1].id)] == ["camera/2", "camera/1", "camera/0"]
    row = first[0]
    assert (row.who, row.role, row.client, row.request_id, row.outcome) == (
        "anna",
        "operator",
        "127.0.0.1",
        "r-1",
        "done",
    )


def test_a_key_answers_a_repeated_request_and_refuses_another_one(store: Store) -> None:
    request = Request("k-1", "POST /v1/cameras/main/capture", "digest")
    assert store.journal.claim_key(request) is None
    assert store.journal.claim_key(request) == Answer(None, None)
    store.journal.answer_key(request, Answer(201, "{}"))
    assert store.journal.claim_key(request) == Answer(201, "{}")
    with pytest.raises(KeyReused):
        store.journal.claim_key(replace(request, digest="other"))
    assert store.journal.claim_key(replace(request, route="POST /v1/config/rollback")) is None


def test_a_key_is_free_again_after_a_failure_a_restart_or_a_day(store: Store) -> None:
    request = Request("k-1", "route", "digest")
    store.journal.claim_key(request)
    store.journal.release_key(request)
    assert store.journal.claim_key(request) is None
    assert store.journal.release_unanswered() == 1
    assert store.journal.claim_key(request) is None
    store.journal.answer_key(request, Answer(200, ""))
    assert store.journal.release_unanswered() == 0
    store.clock.advance(24 * 3600 + 1)
    assert store.journal.claim_key(request) is None


def everything(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables."""
    names = [name for (name,) in store.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {str(name): store.rows(f"SELECT * FROM {name}") for name in names}


def test_a_first_ledger_begins_with_the_first_document_and_a_later_camera_s_now(store: Store) -> None:
    began_us = store.clock.now_us()
    store.journal.begin_book()
    store.clock.advance(5)
    store.journal.begin_ledgers(("main", "side"))
    store.clock.advance(5)
    store.journal.begin_ledgers(("main", "side", "new"))
    assert store.ledger.settled_to() == {"main": began_us, "side": began_us, "new": store.clock.now_us()}
