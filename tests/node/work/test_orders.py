"""Work asked for by hand: what is checked, what is done, and the row that each order leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.domain.config import Document
from node.domain.errors import (
    DatabaseBusy,
    HeliographError,
    MoveIllegal,
    NoFrames,
    NotFound,
    PayloadInvalid,
    UnknownCamera,
    UnknownJob,
    UnknownKind,
    UnknownTarget,
)
from node.domain.job import JobState, Priority
from node.jobs import Jobs
from node.store.files import Hold
from node.store.log import Actor, AuditReader, AuditRow
from node.work.orders import Orders, Reach
from node.work.reclaim import Ground, Reclaimer
from tests.apis import dead_job, keep_video
from tests.stores import Store, opened

LENA = Actor("lena", "operator", "10.0.0.7", "shift-1")
SPAN = {"camera": "main", "from_us": 1, "to_us": 4_000_000_000_000_000}
PAST = {**SPAN, "to_us": 2}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as made:
        yield made


@pytest.fixture
def orders(store: Store) -> Orders:
    ground = Ground(Hold(store.folder, -1), store.journal, store.clock, Document, ("nas",))
    return Orders(Jobs(store.journal), store.journal, Reclaimer(ground), Reach(store.folder, ("main",), ("nas",)))


def rows(store: Store) -> list[AuditRow]:
    return AuditReader(store.database).page(limit=100)


def said(store: Store) -> list[tuple[str, str, str]]:
    return [(row.action, row.target, row.outcome) for row in rows(store)]


def test_what_is_asked_for_by_hand_goes_first_and_is_said_to_be_somebody_s(store: Store, orders: Orders) -> None:
    job = orders.ask("render", SPAN, LENA)
    assert (job.priority, job.who, job.new, job.key) == (Priority.MANUAL, "lena", True, "main/auto/1/4000000000000000")
    (row,) = rows(store)
    assert (row.who, row.role, row.client, row.request_id) == ("lena", "operator", "10.0.0.7", "shift-1")
    assert said(store) == [("render ask", "render/main/auto/1/4000000000000000", "done")]


@pytest.mark.parametrize(
    ("kind", "payload", "error", "code"),
    [
        ("render", {**SPAN, "camera": "gone"}, UnknownCamera, "CAM-009"),
        ("render", {"camera": "main", "shoot": "main/x/2026-11-18/auto"}, NotFound, "API-003"),
        ("render", PAST, NoFrames, "REN-001"),
        ("restore", {"target": "gone"}, UnknownTarget, "ARC-007"),
        ("verify-archive", {"target": "nas", "camera": "gone"}, UnknownCamera, "CAM-009"),
        ("thumbnail-repair", {"camera": "gone"}, UnknownCamera, "CAM-009"),
    ],
)
def test_what_is_about_nothing_here_is_refused_and_audited(
    store: Store, orders: Orders, kind: str, payload: dict[str, object], error: type[HeliographError], code: str
) -> None:
    with pytest.raises(error):
        orders.ask(kind, payload, LENA)
    assert store.rows("SELECT id FROM jobs") == []
    assert [outcome for _, _, outcome in said(store)] == [code]


def test_what_is_no_work_at_all_is_refused(store: Store, orders: Orders) -> None:
    with pytest.raises(UnknownKind):
        orders.ask("nap", {}, LENA)
    with pytest.raises(PayloadInvalid) as raised:
        orders.ask("render", {"camera": "UP", "fps": 0}, LENA)
    assert {fault.path for fault in raised.value.fields} >= {"camera", "fps"}
    assert store.rows("SELECT id FROM jobs") == []


def test_moves_of_jobs_leave_one_row_each_done_or_refused(store: Store, orders: Orders) -> None:
    job = dead_job(Jobs(store.journal))
    with pytest.raises(MoveIllegal):
        orders.cancel(job.id, LENA)
    with pytest.raises(UnknownJob):
        orders.redrive("nothing", LENA)
    assert orders.redrive(job.id, LENA).state is JobState.QUEUED
    assert orders.cancel(job.id, LENA).state is JobState.CANCELLED
    assert said(store)[::-1] == [
        ("job cancel", f"job/{job.id}", "JOB-004"),
        ("job redrive", "job/nothing", "JOB-003"),
        ("job redrive", f"job/{job.id}", "done"),
        ("job cancel", f"job/{job.id}", "done"),
    ]


def test_sending_to_a_target_again_is_the_transfer_that_waits(store: Store, orders: Orders) -> None:
    first, second = orders.send_now("nas", LENA), orders.send_now("nas", LENA)
    assert (first.kind, first.id, second.new) == ("transfer", second.id, False)
    with pytest.raises(UnknownTarget):
        orders.send_now("gone", LENA)
    assert [outcome for _, _, outcome in said(store)] == ["ARC-007", "done", "done"]


def test_a_video_s_files_go_after_its_row_and_only_its_own(store: Store, orders: Orders) -> None:
    video, other = keep_video(store), keep_video(store)
    gone = orders.remove_video(video.id, LENA)
    assert (gone.deleted_rule, gone.deleted_us) == ("by_hand", store.clock.now_us())
    assert [(store.folder / each.path).exists() for each in (video, other)] == [False, True]
    assert [(store.folder / each.poster).exists() for each in (video, other)] == [False, True]
    with pytest.raises(NotFound):
        orders.remove_video(video.id, LENA)


def test_a_video_s_change_and_its_row_are_one_entry(
    store: Store, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = keep_video(store)

    def fails(*_: object) -> int:
        raise DatabaseBusy("held")

    monkeypatch.setattr("node.store.log.record", fails)
    with pytest.raises(DatabaseBusy):
        orders.change_video(video.id, "new", None, LENA)
    assert store.rows("SELECT title FROM videos") == [("",)]


def test_an_order_stands_though_its_row_cannot_be_written(
    store: Store, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise DatabaseBusy("held")

    monkeypatch.setattr(store.journal, "audit", fails)
    assert orders.ask("backup", {}, LENA).new
    assert store.rows("SELECT kind FROM jobs") == [("backup",)]
