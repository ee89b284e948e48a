from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from node.clock import US
from node.domain.config import digest
from node.domain.errors import NothingToRollBack, ProbationRunning, UnknownVersion, VersionMoved
from node.journal import NODE
from node.store import configs
from node.store.configs import Proof, Running, Span, VersionBook
from node.store.database import NAME
from node.store.log import Actor, AuditReader
from tests.stores import Store, opened

ANNA = Actor("anna", "admin", "10.0.0.9", "r-7")
OWED = Proof(deadline_us=10**16, good_needed=3)


def document(name: str) -> dict[str, Any]:
    return {"site": {"name": name}}


def put(store: Store, name: str, proof: Proof | None = None) -> Running:
    """A document with that name, made from what runs, in force from now on."""
    store.clock.advance(60)
    running = VersionBook(store.database).current()
    return store.journal.put_config(document(name), running.version.version, ANNA, store.clock.now_us(), proof)


@pytest.fixture
def book(store: Store) -> VersionBook:
    store.journal.begin_book()
    return VersionBook(store.database)


def test_the_first_version_is_the_empty_document(store: Store) -> None:
    with pytest.raises(UnknownVersion):
        VersionBook(store.database).current()
    running = store.journal.begin_book()
    assert (running.version.version, running.version.document, running.version.origin) == (1, {}, "default")
    assert running.version.digest == digest({})
    assert (running.activation.state, running.activation.previous) == ("active", None)
    assert store.journal.begin_book() == running


def test_a_put_becomes_the_running_version_with_audit_and_event(store: Store, book: VersionBook) -> None:
    running = put(store, "a", OWED)
    assert running == book.current()
    assert (running.version.version, running.version.document, running.version.who) == (2, document("a"), "anna")
    activation = running.activation
    assert (activation.state, activation.previous, activation.deadline_us) == ("probation", 1, 10**16)
    assert (activation.good_needed, activation.good_seen, activation.starts) == (3, 0, 0)
    (event,) = store.events.after(0)
    assert event.body == {
        "version": 2, "digest": digest(document("a")), "previous": 1, "probation": True, "who": "anna",
    }  # fmt: skip
    (row,) = AuditReader(store.database).page()
    assert (row.who, row.action, row.target, row.request_id) == ("anna", "config put", "config/2", "r-7")
    assert (row.before_digest, row.after_digest) == (digest({}), digest(document("a")))


def test_a_put_made_from_another_version_is_refused_and_leaves_nothing(store: Store, book: VersionBook) -> None:
    put(store, "a")
    with pytest.raises(VersionMoved):
        store.journal.put_config(document("b"), 1, ANNA, store.clock.now_us(), None)
    assert [entry.version.version for entry in book.history()] == [2, 1]
    assert len(store.events.after(0)) == 1
    assert len(AuditReader(store.database).page()) == 1


def test_the_running_document_again_changes_nothing_whatever_version_it_was_made_from(
    store: Store, book: VersionBook
) -> None:
    running = put(store, "a", OWED)
    assert store.journal.put_config(document("a"), 1, ANNA, store.clock.now_us(), OWED) == running
    assert len(book.history()) == 2


def test_a_put_waits_for_the_end_of_a_probation(store: Store, book: VersionBook) -> None:
    put(store, "a", OWED)
    with pytest.raises(ProbationRunning):
        put(store, "b")
    with pytest.raises(ProbationRunning):
        store.journal.activate_config(1, 2, ANNA, store.clock.now_us(), None)
    assert [entry.version.version for entry in book.history()] == [2, 1]


def test_good_frames_and_starts_are_counted_and_confirm(store: Store, book: VersionBook) -> None:
    put(store, "a", OWED)
    assert store.journal.note_good({"main/auto": 2}, {"main/auto": 2}).good_seen == 1
    assert store.journal.note_good({"main/auto": 1}, {"main/auto": 1}).good_seen == 2
    assert store.journal.count_start().starts == 1
    assert store.journal.confirm_config(2).activation.state == "confirmed"
    again = store.journal.confirm_config(2)
    assert again == book.current()
    assert [row.kind for row in store.events.after(0)] == ["config_activated", "config_confirmed"]
    assert store.events.after(1)[0].body == {"version": 2, "digest": digest(document("a")), "good_frames": 2}
    assert store.journal.note_good({"main/auto": 0}, {"main/auto": 0}).owed == {"main/auto": 1}  # nothing owes any more


def test_a_failed_probation_brings_the_version_before_it_back(store: Store, book: VersionBook) -> None:
    put(store, "a")
    put(store, "b", OWED)
    running = store.journal.roll_back_config(3, "3 bad frames in a row", store.clock.now_us())
    assert running == book.current()
    assert (running.version.version, running.activation.state, running.activation.previous) == (2, "active", 1)
    failed = book.history()[0].activation
    assert failed is not None
    assert (failed.version, failed.state, failed.reason) == (3, "rolled_back", "3 bad frames in a row")
    event = store.events.after(2)[0]
    assert (event.kind, event.body["version"], event.body["to_version"]) == ("config_rolled_back", 3, 2)
    assert AuditReader(store.database).page()[0].who == NODE.who
    assert store.journal.roll_back_config(3, "again", store.clock.now_us()) == running
    assert store.journal.confirm_config(3) == running


def test_a_rolled_back_document_may_be_tried_again(store: Store, book: VersionBook) -> None:
    put(store, "a", OWED)
    store.journal.roll_back_config(2, "bad", store.clock.now_us())
    assert put(store, "a", OWED).version.version == 3
    store.journal.roll_back_config(3, "bad", store.clock.now_us())
    running = store.journal.activate_config(2, 1, ANNA, store.clock.now_us(), OWED)
    assert (running.version.version, running.activation.state, running.activation.previous) == (2, "probation", 1)


def test_an_operator_goes_back_to_an_earlier_version(store: Store, book: VersionBook) -> None:
    put(store, "a")
    put(store, "b")
    running = store.journal.activate_config(2, 3, ANNA, store.clock.now_us(), None)
    assert (running.version.version, running.version.document, running.activation.previous) == (2, document("a"), 3)
    with pytest.raises(VersionMoved):
        store.journal.activate_config(1, 3, ANNA, store.clock.now_us(), None)
    with pytest.raises(UnknownVersion):
        store.journal.activate_config(77, 2, ANNA, store.clock.now_us(), None)
    assert book.current() == running
    assert [entry.version.version for entry in book.history()] == [3, 2, 1]


def test_history_pages_by_version(store: Store, book: VersionBook) -> None:
    for number in range(5):
        put(store, str(number))
    assert [entry.version.version for entry in book.history(limit=2)] == [6, 5]
    rest = book.history(limit=9, before=5)
    assert [entry.version.version for entry in rest] == [4, 3, 2, 1]
    assert {entry.activation.state for entry in rest if entry.activation} == {"superseded"}
    assert book.get(4).document == document("2")
    with pytest.raises(UnknownVersion):
        book.get(99)


def test_the_timeline_gives_the_document_of_each_instant(store: Store, book: VersionBook) -> None:
    start_us = store.clock.now_us()
    put(store, "a")
    put(store, "b", OWED)
    store.clock.advance(60)
    store.journal.roll_back_config(3, "bad", store.clock.now_us())
    minute = 60 * US
    assert book.timeline(start_us - minute, start_us + 9 * minute) == [
        Span(start_us, 1, {}),
        Span(start_us + minute, 2, document("a")),
        Span(start_us + 2 * minute, 3, document("b")),
        Span(start_us + 3 * minute, 2, document("a")),
    ]
    middle = book.timeline(start_us + minute + 5, start_us + 2 * minute)
    assert [(span.from_us, span.version) for span in middle] == [(start_us + minute + 5, 2), (start_us + 2 * minute, 3)]
    assert [span.version for span in book.timeline(start_us + 5 * minute, start_us + 6 * minute)] == [2]


def test_after_a_clock_went_back_the_later_activation_decides(store: Store, book: VersionBook) -> None:
    start_us = store.clock.now_us()
    put(store, "a")
    store.clock.step(-45)
    running = VersionBook(store.database).current()
    store.journal.put_config(document("b"), running.version.version, ANNA, store.clock.now_us(), None)
    spans = book.timeline(start_us, start_us + 600 * US)
    assert [(span.from_us - start_us, span.version) for span in spans] == [(0, 1), (15 * US, 3)]


def test_old_versions_go_but_none_that_is_needed(store: Store, book: VersionBook) -> None:
    for number in range(10):
        put(store, str(number))
    needed_from_us = store.clock.now_us() - 6 * 60 * US
    assert store.journal.prune_configs(2, needed_from_us) == 4
    assert [entry.version.version for entry in book.history()] == [11, 10, 9, 8, 7, 6, 5]
    assert [span.version for span in book.timeline(needed_from_us, store.clock.now_us())] == [5, 6, 7, 8, 9, 10, 11]
    assert store.journal.prune_configs(2, store.clock.now_us()) == 5
    assert [entry.version.version for entry in book.history()] == [11, 10]
    assert store.journal.prune_configs(2, store.clock.now_us()) == 0
    assert book.current().activation.previous == 10


def test_the_table_refuses_a_second_current_version(store: Store, book: VersionBook) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="activations_one_current"):
        store.database.write(
            lambda session: session.execute(
                "INSERT INTO activations (version, from_us, state) VALUES (1, 5, 'confirmed')"
            )
        )
    assert book.current().version.version == 1


def test_nothing_on_probation_cannot_be_rolled_back_inside_an_entry(store: Store, book: VersionBook) -> None:
    for act in (configs.confirm, lambda session: configs.roll_back(session, 0, "x")):
        with pytest.raises(NothingToRollBack):
            store.database.write(act)


def test_a_probation_outlives_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.journal.begin_book()
        put(store, "a", OWED)
        store.journal.note_good({"main/auto": 2}, {"main/auto": 2})
        store.journal.note_good({"main/auto": 1}, {"main/auto": 1})
        clock = store.clock
    with opened(tmp_path, clock) as store:
        running = store.journal.begin_book()
        assert (running.version.version, running.activation.state, running.activation.good_seen) == (2, "probation", 2)
        assert store.journal.count_start().starts == 1


def test_what_runs_may_be_looked_at_from_outside(tmp_path: Path) -> None:
    assert configs.peek(tmp_path / NAME) is None
    with opened(tmp_path) as store:
        store.journal.begin_book()
        put(store, "a")
        beside = configs.peek(tmp_path / NAME)
    afterwards = configs.peek(tmp_path / NAME)
    assert beside == afterwards
    assert beside is not None
    assert beside.document == document("a")


def test_what_runs_provisionally_is_said_once_and_survives_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.journal.begin_book()
        put(store, "a", OWED)
        store.journal.count_start()
        running = store.journal.make_provisional(2, {"main/auto": 3, "main/night": 0})
        assert (running.activation.state, running.activation.word) == ("probation", "provisional")
        assert store.journal.make_provisional(2, {}) == running
        assert store.journal.make_provisional(1, {}) == running
        (told,) = [row.body for row in store.events.after(0) if row.kind == "config_provisional"]
        assert (told["version"], told["unproved"]) == (2, ["main/auto"])
        clock = store.clock
    with opened(tmp_path, clock) as store:
        activation = store.journal.begin_book().activation
        assert (activation.provisional, activation.unproved) == (True, {"main/auto": 3, "main/night": 0})
        assert activation.starts == 0  # counted anew


def test_another_document_may_take_its_place_and_goes_back_to_what_was_proved(store: Store, book: VersionBook) -> None:
    put(store, "a", OWED)
    store.journal.make_provisional(2, {"main/auto": 3})
    running = put(store, "b", OWED)
    assert (running.version.version, running.activation.previous) == (3, 1)
    gone = book.history()[1].activation
    assert gone is not None
    assert (gone.word, gone.reason) == ("superseded", "not_proved")
    assert store.journal.roll_back_config(3, "bad", store.clock.now_us()).version.version == 1
