from __future__ import annotations

from dataclasses import replace

import pytest

from node.api.status import ALERTS, SharedStatus, node_status, spark
from node.board import Board
from node.domain.config import AlertLimits, Document
from node.domain.facts import (
    DISK,
    HEALTH,
    Alert,
    CameraFacts,
    ConfigFacts,
    DiskFacts,
    HealthFacts,
    Learnt,
    NodeFacts,
    camera_key,
    gather,
)
from node.wire.status import NodeStatus
from tests.apis import Served, post_facts
from tests.clocks import JumpClock

LIMITS = AlertLimits()


def status_of(board: Board, clock: JumpClock) -> NodeStatus:
    return node_status(gather(board.all().values()), LIMITS, clock.now_us())


@pytest.fixture
def clock() -> JumpClock:
    return JumpClock()


@pytest.fixture
def board(clock: JumpClock) -> Board:
    made = Board()
    post_facts(made, clock)
    return made


def test_a_disk_that_cannot_be_asked_has_no_size_and_is_not_said_to_be_full(board: Board, clock: JumpClock) -> None:
    board.post(DISK, DiskFacts(error_code="DSK-004"), clock.now_us())
    status = status_of(board, clock)
    assert (status.disk, status.ready) == (None, False)


def test_the_board_becomes_the_whole_node_in_one_object(board: Board, clock: JumpClock) -> None:
    status = status_of(board, clock)
    assert (status.node, status.site, status.state, status.ready, status.reasons) == (
        "north",
        "North field",
        "ok",
        True,
        (),
    )
    assert [camera.name for camera in status.cameras] == ["main", "side"]
    main = status.cameras[0]
    assert (main.state, main.due, main.captured, main.gaps, main.quality) == ("ok", 10, 9, 1, 93)
    assert (main.last_good_age_s, main.quality_24h, main.error_code) == (0.0, "9.9", None)
    assert status.disk is not None
    assert (status.disk.level, status.host.temperature_c, status.last_event_id) == ("ok", 51.5, 7)
    assert status.ledger_settled_to == status.clock.now


def test_nothing_learnt_yet_is_said_as_not_known(clock: JumpClock) -> None:
    status = node_status(NodeFacts(), LIMITS, clock.now_us())
    assert (status.ready, status.cameras, status.disk, status.ledger_settled_to) == (False, (), None, None)
    assert (status.config.version, status.clock.synced, status.host.node_pss_bytes) == (0, False, None)


def test_the_ledger_is_settled_as_far_as_the_slowest_camera(board: Board, clock: JumpClock) -> None:
    fact = board.read(camera_key("side"))
    assert fact is not None
    board.post(
        camera_key("side"), replace(fact.value, settled_to_us=fact.value.settled_to_us - 60_000_000), clock.now_us()
    )
    assert status_of(board, clock).ledger_settled_to == "2026-11-18T11:05:40.000Z"
    board.post(camera_key("side"), replace(fact.value, settled_to_us=None), clock.now_us())
    assert status_of(board, clock).ledger_settled_to is None
    board.post(camera_key("side"), replace(fact.value, settled_to_us=None, enabled=False), clock.now_us())
    assert status_of(board, clock).ledger_settled_to is not None


def test_probation_shows_until_when(board: Board, clock: JumpClock) -> None:
    board.post(
        "config", ConfigFacts(4, "d", probation_until_us=clock.now_us(), unknown_fields=("a", "b")), clock.now_us()
    )
    config = status_of(board, clock).config
    assert (config.state, config.unknown_fields) == ("probation", 2)
    assert config.probation_until is not None
    assert status_of(board, clock).state == "ok"


def test_more_alerts_than_fit_are_counted(board: Board, clock: JumpClock) -> None:
    many = tuple(Alert("camera_offline", "crit", f"c{number:02}", clock.now_us(), "x" * 500) for number in range(12))
    board.post(HEALTH, HealthFacts(many), clock.now_us())
    status = status_of(board, clock)
    assert (len(status.alerts), status.alerts_total, status.state) == (ALERTS, 12, "crit")
    assert all(len(alert.sentence) <= 120 for alert in status.alerts)


def test_the_spark_has_one_digit_an_hour_of_the_last_day() -> None:
    assert spark((0.0, 9.9, 10.0, 55.0, 90.0, 100.0, None)) == "001599."
    assert len(spark((50.0,) * 30)) == 24
    assert spark(()) == ""


def test_a_burst_costs_one_evaluation(board: Board, clock: JumpClock) -> None:
    asked: list[int] = []

    def document() -> Document:
        asked.append(1)
        return Document()

    shared = SharedStatus(board, clock, document)
    first = shared.current()
    clock.advance(0.2)
    assert shared.current() is first
    clock.advance(0.1)
    assert shared.current() is not first
    assert len(asked) == 2


def test_time_alone_makes_no_new_etag_but_anything_else_does(board: Board, clock: JumpClock) -> None:
    shared = SharedStatus(board, clock, Document)
    first = shared.current()
    clock.advance(1)
    second = shared.current()
    assert second.etag == first.etag
    assert second.body != first.body
    board.post(camera_key("main"), CameraFacts("main", "recovering"), clock.now_us())
    clock.advance(1)
    assert shared.current().etag != first.etag


def test_a_client_that_has_it_gets_a_304(api: Served) -> None:
    first = api.get("/v1/status", "viewer")
    assert first.headers["etag"].startswith('W/"')
    again = api.get("/v1/status", "viewer", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert NodeStatus.model_validate_json(first.content).node == "north"


def test_status_asks_nothing_of_the_database(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(type(api.store.database), "read", fails)
    monkeypatch.setattr(type(api.store.database), "write", fails)
    assert api.get("/v1/status").status_code == 200
    assert api.get("/v1/cameras").status_code == 200
    assert api.get("/health/deep").status_code == 200


def test_facts_of_the_health_loop_are_shown_with_their_since(board: Board, clock: JumpClock) -> None:
    since_us = clock.now_us() - 90_000_000
    board.post(HEALTH, HealthFacts((Alert("disk_low", "warn", "disk", since_us, "Low."),)), clock.now_us())
    (alert,) = status_of(board, clock).alerts
    assert (alert.code, alert.since) == ("disk_low", "2026-11-18T11:05:10.000Z")
    assert gather([Learnt(HealthFacts(), 1)]).health is not None
