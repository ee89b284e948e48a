"""What `run` sees of the work beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.board import Board
from node.clock import US
from node.domain.config import Document, parse_document
from node.domain.errors import TargetUnavailable
from node.domain.facts import ARCHIVE, QUEUE, target_key, worker_key
from node.holdings import Holdings
from node.host import pulse
from node.host.pulse import Pulse
from node.jobs import Jobs
from node.store import archive
from node.store.archive import ReceiptRow
from node.store.session import Session
from node.work.beside import Beside
from tests.stores import Store, keep_many, opened


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as made:
        yield made


def beside(store: Store, *targets: str, document: Document | None = None) -> Beside:
    return Beside(store.database, Board(), store.clock, store.folder, targets, lambda: document or Document())


def value(seen: Beside, name: str) -> Any:
    fact = seen.board.read(name)
    return None if fact is None else fact.value


def felt(store: Store, loop: str, age_s: float, promise_s: float = 10.0, job: str = "") -> None:
    said = Pulse(os.getpid(), store.clock.monotonic() - age_s, promise_s, job)
    pulse.write(store.folder, loop, said)


def test_a_process_that_gave_no_pulse_has_none(store: Store) -> None:
    seen = beside(store)
    seen.look_at_workers(store.clock.now_us())
    assert value(seen, worker_key("work")).pulse_us is None
    assert value(seen, worker_key("ship")) is None, "without targets nobody has to send"


def test_a_process_is_as_fresh_as_its_most_overdue_loop(store: Store) -> None:
    seen, now_us = beside(store, "nas"), store.clock.now_us()
    felt(store, "ship", 1, job="01J")
    felt(store, "ship-rounds", 90, promise_s=60)
    seen.look_at_workers(now_us)
    ship = value(seen, worker_key("ship"))
    assert (ship.pulse_us, ship.promise_s, ship.pid, ship.job) == (now_us - 90 * US, 60, os.getpid(), "01J")


def test_a_process_whose_loop_of_jobs_has_ended_is_silent_though_its_rounds_go_on(store: Store) -> None:
    seen = beside(store)
    felt(store, "work-rounds", 1)
    seen.look_at_workers(store.clock.now_us())
    assert value(seen, worker_key("work")).pulse_us is None


def test_the_queue_is_counted_without_what_an_open_breaker_holds(store: Store) -> None:
    jobs, now_us = Jobs(store.journal), store.clock.now_us()
    jobs.enqueue("backup", "node", {})
    jobs.enqueue("transfer", "nas", {"target": "nas"})
    document = parse_document({"archive": {"targets": {"nas": {"breaker": {"failures": 1}}}}})
    seen = beside(store, "nas", document=document)
    seen.look_at_queue(now_us)
    assert (value(seen, QUEUE).due, value(seen, QUEUE).running) == (2, 0)
    holdings = Holdings(store.journal)
    holdings.know("nas")
    holdings.used("nas", TargetUnavailable("gone"), document.archive.policy("nas").breaker)
    seen.look_at_queue(now_us)
    assert value(seen, QUEUE).due == 1
    seen.look_at_targets(now_us)
    nas = value(seen, target_key("nas"))
    assert (nas.breaker, nas.error_code, nas.last_failed_us) == ("open", TargetUnavailable.code, now_us)


def test_what_a_target_lacks_counts_from_the_frame_on_before_anybody_has_looked(store: Store) -> None:
    frames = keep_many(store, 3)
    seen = beside(store, "nas")
    seen.look_at_targets(store.clock.now_us())
    nas = value(seen, target_key("nas"))
    assert (nas.unsent, nas.oldest_us) == (3, frames[0].captured_us)


def test_failures_in_a_row_are_told_though_the_breaker_is_still_closed(store: Store) -> None:
    seen, holdings = beside(store, "nas"), Holdings(store.journal)
    holdings.know("nas")
    for _ in range(3):
        holdings.used("nas", TargetUnavailable("gone"), Document().archive.policy("nas").breaker)
    seen.look_at_targets(store.clock.now_us())
    assert (value(seen, target_key("nas")).breaker, value(seen, target_key("nas")).failures) == ("closed", 3)


def test_frames_that_no_target_holds_any_more_are_counted(store: Store) -> None:
    frames = keep_many(store, 3)
    rows = [
        ReceiptRow(each.id, "nas", "frame", each.path, each.size_bytes, each.sha256, "read back", 1) for each in frames
    ]

    def work(session: Session) -> None:
        archive.know(session, "nas")
        archive.keep_receipts(session, "nas", rows)
        for row, rule in zip(rows, ("frames_days", "room_frames", "without_target"), strict=True):
            archive.mark_gone(session, row.item, rule, [row], 1)

    seen = beside(store, "nas")

    def counted() -> int:
        seen.look_at_archive(store.clock.now_us())
        return int(value(seen, ARCHIVE).held_nowhere)

    store.database.write(work)
    assert counted() == 0
    store.database.write(lambda session: archive.withdraw(session, "nas", [row.item for row in rows]))
    assert counted() == 2, "one went though nobody held it, and was meant to"
    store.database.write(lambda session: archive.keep_receipts(session, "nas", rows[:1]))
    assert counted() == 1
    store.database.write(lambda session: archive.unmark_gone(session, rows[1].item))
    assert counted() == 0


def stands(store: Store, sent_bytes: int, unsent_bytes: int) -> None:
    sql = (
        "INSERT INTO targets (name, sent_bytes, unsent_bytes) VALUES ('nas', ?, ?)"
        " ON CONFLICT DO UPDATE SET sent_bytes = excluded.sent_bytes, unsent_bytes = excluded.unsent_bytes"
    )
    store.database.write(lambda session: session.execute(sql, (sent_bytes, unsent_bytes)))


def test_the_pace_of_the_last_hour_tells_when_a_target_holds_everything_or_that_it_never_will(store: Store) -> None:
    seen = beside(store, "nas")

    def look() -> tuple[float | None, bool]:
        seen.look_at_targets(store.clock.now_us())
        nas = value(seen, target_key("nas"))
        return nas.backlog_eta_s, nas.outgrown

    stands(store, 0, 9000)
    assert look() == (None, False)
    store.clock.advance(1800)
    stands(store, 4000, 6000)
    assert look() == (3600, False)
    for hours in range(1, 4):
        store.clock.advance(3600)
        stands(store, 4000 + 1000 * hours, 6000 + 2000 * hours)
    assert look() == (None, True)


def test_each_look_has_its_time(store: Store) -> None:
    looks = beside(store).looks()
    assert set(looks) == {"workers", "queue", "targets", "archive"}
    for name, (every_s, look) in looks.items():
        assert 0 < every_s <= (60 if name == "archive" else 5)
        look(store.clock.now_us())
