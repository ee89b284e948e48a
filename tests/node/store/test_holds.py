"""Holds in the book: one entry each with its event and its audit row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.clock import US
from node.domain.hold import CameraHold
from node.journal import Held
from node.store import holds
from node.store.log import Actor, AuditReader
from tests.stores import Store, opened

LENA, OTTO = Actor("lena", "operator", "10.0.0.7", "r-1"), Actor("otto", "admin")
MINUTE = 60 * US


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as made:
        yield made


def hold(
    store: Store, reason: str = "storm", minutes: int | None = None, actor: Actor = LENA, camera: str = "main"
) -> Held:
    now_us = store.clock.now_us()
    until_us = None if minutes is None else now_us + minutes * MINUTE
    return store.journal.hold(CameraHold(0, camera, now_us, until_us, reason, actor.who), actor)


def told(store: Store) -> list[tuple[str, str]]:
    return [(row.kind, row.body["who"]) for row in store.events.after(0)]


def audited(store: Store) -> list[tuple[str, str, str, str]]:
    rows = AuditReader(store.database).page()
    return [(row.who, row.action, row.target, row.outcome) for row in reversed(rows)]


def test_a_hold_is_a_row_an_event_and_an_audit_row(store: Store) -> None:
    now_us = store.clock.now_us()
    made = hold(store, minutes=10)
    assert made.changed
    assert made.hold == CameraHold(1, "main", now_us, now_us + 10 * MINUTE, "storm", "lena")
    assert made.known == (made.hold,) == tuple(holds.every(store.database))
    (event,) = store.events.after(0)
    assert (event.kind, event.level, event.camera) == ("camera_held", "info", "main")
    assert event.body == {
        "camera": "main", "reason": "storm", "who": "lena", "since_us": now_us, "until_us": now_us + 10 * MINUTE,
    }  # fmt: skip
    assert audited(store) == [("lena", "camera hold", "camera/main", "done")]


def test_held_again_it_gets_the_new_reason_and_end_and_stays_held_since_it_was(store: Store) -> None:
    first = hold(store, minutes=10)
    store.clock.advance(60)
    second = hold(store, "still storm", actor=OTTO)
    assert first.hold is not None
    assert second.hold == CameraHold(1, "main", first.hold.from_us, None, "still storm", "otto")
    assert second.changed
    same = hold(store, "still storm", actor=LENA)
    assert (same.changed, same.hold) == (False, second.hold)
    assert told(store) == [("camera_held", "lena"), ("camera_held", "otto")]
    assert len(audited(store)) == 3


def test_resumed_it_says_how_long_it_was_held_and_again_changes_nothing(store: Store) -> None:
    hold(store)
    store.clock.advance(90)
    done = store.journal.resume("main", OTTO)
    assert (done.changed, done.hold, done.known[0].ended_us) == (True, None, store.clock.now_us())
    assert store.events.after(1)[0].body == {"camera": "main", "who": "otto", "held_s": 90.0}
    again = store.journal.resume("main", OTTO)
    assert (again.changed, again.hold, again.known) == (False, None, done.known)
    never = store.journal.resume("side", OTTO)
    assert (never.changed, never.hold, never.known) == (False, None, ())
    assert told(store) == [("camera_held", "lena"), ("camera_resumed", "otto")]


def test_one_whose_time_is_over_ends_as_of_then_once_and_by_the_node(store: Store) -> None:
    made = hold(store, minutes=1)
    assert made.hold is not None
    assert not store.journal.end_hold("main").changed
    store.clock.advance(3600)
    done = store.journal.end_hold("main")
    assert (done.changed, done.hold, done.known[0].ended_us) == (True, None, made.hold.until_us)
    assert not store.journal.end_hold("main").changed
    assert told(store) == [("camera_held", "lena"), ("camera_resumed", "node")]
    assert store.events.after(1)[0].body["held_s"] == 60.0
    assert audited(store)[1:] == [("node", "camera resume", "camera/main", "done")]


def test_an_order_after_its_time_finds_it_ended(store: Store) -> None:
    hold(store, minutes=1)
    store.clock.advance(3600)
    assert not store.journal.resume("main", OTTO).changed
    hold(store, minutes=1)
    store.clock.advance(3600)
    anew = hold(store, "again")
    assert anew.hold is not None
    assert (anew.changed, anew.hold.from_us, len(anew.known)) == (True, store.clock.now_us(), 3)
    kinds = [kind for kind, _ in told(store)]
    assert kinds == ["camera_held", "camera_resumed", "camera_held", "camera_resumed", "camera_held"]


def test_cameras_are_held_each_by_itself_and_only_once_at_a_time(store: Store) -> None:
    hold(store)
    hold(store, camera="side")
    store.journal.resume("main", OTTO)
    assert [each.camera for each in holds.every(store.database) if each.ended_us is None] == ["side"]
    with pytest.raises(sqlite3.IntegrityError):
        store.database.write(lambda session: holds.begin(session, CameraHold(0, "side", 1, None, "twice", "lena")))


def test_a_clock_that_was_set_back_makes_it_held_since_then(store: Store) -> None:
    hold(store)
    store.clock.step(-3600)
    made = hold(store, "other")
    assert made.hold is not None
    assert made.hold.from_us == store.clock.now_us()


def test_old_ones_are_forgotten_but_for_each_cameras_newest(store: Store) -> None:
    for camera in ("main", "main", "side"):
        hold(store, camera=camera)
        store.clock.advance(60)
        store.journal.resume(camera, OTTO)
        store.clock.advance(60)
    assert store.journal.forget_holds(store.clock.now_us()) == 1
    assert store.journal.forget_holds(store.clock.now_us()) == 0
    assert [each.camera for each in holds.every(store.database)] == ["main", "side"]


def test_texts_are_kept_as_they_are(store: Store) -> None:
    reason = "Gr\u00fc\u00dfe'; DROP TABLE holds; -- \U0001f327"
    hold(store, reason)
    assert holds.every(store.database)[0].reason == reason
