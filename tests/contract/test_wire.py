"""Worked examples of what goes over the wire, read by both sides as any release may have sent them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.fleet.client import parse_event
from node.api.events import published
from node.api.status import ALERTS, FULL_CAMERAS, LIMIT_BYTES, SharedStatus
from node.board import Board
from node.domain.config import Document
from node.domain.events import FrameKept, restore
from node.domain.facts import (
    CERTIFICATE,
    DISK,
    HEALTH,
    LEASE,
    QUEUE,
    RELEASE,
    Alert,
    CameraFacts,
    CertificateFacts,
    DiskFacts,
    HealthFacts,
    LeaseFacts,
    QueueFacts,
    ReleaseFacts,
    TargetFacts,
    WorkerFacts,
    camera_key,
    target_key,
    worker_key,
)
from node.domain.health import RULES
from node.store.log import EventRow
from node.wire.status import NodeStatus
from node.wire.stream import event_block
from tests.apis import GB, post_facts
from tests.clocks import JumpClock

HERE = Path(__file__).parent
CAMERAS = ("north", "east", "south", "west")
TARGETS = (
    TargetFacts("nas", "open", 4711, 9_422_000_000, error_code="ARC-001"),
    TargetFacts("office"),
    TargetFacts("store"),
    TargetFacts("usb"),
)
DAY_US = 86_400_000_000
REFRESH = "a published field changed its name or form: see node/wire; to accept, write what was made into the example"


def full(
    names: tuple[str, ...] = CAMERAS,
    sentence: str = "Camera {0} has given no good frame, though one was due.",
    targets: tuple[TargetFacts, ...] = TARGETS,
    trouble: Mapping[str, Any] | None = None,
    more: Mapping[str, object] | None = None,
) -> bytes:
    """A status with four cameras in trouble, eight alerts and four targets, as a node makes it."""
    clock, board = JumpClock(), Board()
    post_facts(board, clock, names)
    now_us = clock.now_us()
    for name in names:
        fact = board.read(camera_key(name))
        assert fact is not None
        board.post(camera_key(name), replace(fact.value, **{**TROUBLE, **(trouble or {})}), now_us)
    for target in targets:
        board.post(
            target_key(target.name), replace(target, oldest_us=now_us - DAY_US if target.unsent else None), now_us
        )
    board.post(QUEUE, QueueFacts(due=31, running=2, stuck=1, dead=4, oldest_us=now_us - 5_000_000), now_us)
    board.post(worker_key("work"), WorkerFacts("work", now_us - 4_000_000, 10.0, 4711), now_us)
    board.post(worker_key("ship"), WorkerFacts("ship"), now_us)
    board.post(DISK, DiskFacts(64 * GB, 3 * GB, 2.5, step="low", reclaimable_bytes=2 * GB), now_us)
    board.post(CERTIFICATE, CertificateFacts(now_us - DAY_US, now_us + 200 * DAY_US), now_us)
    for name, fact in (more or {}).items():
        board.post(name, fact, now_us)
    codes = ("camera_offline", "no_good_frame")
    alerts = [Alert(code, "crit", name, now_us, sentence.format(name)) for code in codes for name in names]
    board.post(HEALTH, HealthFacts(tuple(alerts)), now_us)
    return SharedStatus(board, clock, Document).current().body


TROUBLE = {
    "word": "recovering", "last_frame_id": "01M7Q5EJ30BZPEPSQZS1QKHPAJ", "due": 1440, "captured": 1399, "gaps": 41,
    "last_gap_reason": "camera_offline", "quality_24h": (91.0,) * 24, "recovery_rung": "respawn",
    "recovery_attempt": 12, "error_code": "CAM-005",
}  # fmt: skip


def test_a_status_with_four_cameras_eight_alerts_and_four_targets_is_the_example_and_fits() -> None:
    made = full()
    assert json.loads(made) == json.loads((HERE / "status.json").read_text()), REFRESH
    status = NodeStatus.model_validate_json(made)
    assert (len(status.cameras), len(status.alerts), len(status.archive)) == (FULL_CAMERAS, ALERTS, len(TARGETS))
    assert len(made) <= LIMIT_BYTES


def test_the_longest_names_and_sentences_still_fit_and_every_alert_is_counted() -> None:
    names = tuple(letter * 63 for letter in "abcd")
    made = full(names, "\u00e4" * 200)
    status = NodeStatus.model_validate_json(made)
    assert len(made) <= LIMIT_BYTES
    assert (status.alerts_total, status.state) == (8, "crit")
    assert status.alerts
    assert len(status.reasons) == 1


def test_four_targets_in_trouble_fit_too_and_every_alert_is_named() -> None:
    made = full(targets=tuple(replace(TARGETS[0], name=target.name) for target in TARGETS))
    status = NodeStatus.model_validate_json(made)
    assert len(made) <= LIMIT_BYTES
    assert [target.unsent for target in status.archive] == [4711] * 4
    assert len(status.alerts) == ALERTS


def test_of_a_target_that_is_well_only_the_name_is_sent_and_read_as_well() -> None:
    made = full()
    assert json.loads(made)["archive"][1:] == [{"name": name} for name in ("office", "store", "usb")]
    office = NodeStatus.model_validate_json(made).archive[1]
    assert (office.breaker, office.unsent, office.unsent_bytes, office.oldest_s) == ("closed", 0, 0, None)


def test_four_cameras_that_are_held_fit_too_and_every_alert_is_named() -> None:
    made = full(trouble={"held_us": 1_795_000_000_000_000, "held_until_us": 1_795_000_600_000_000})
    status = NodeStatus.model_validate_json(made)
    assert len(made) <= LIMIT_BYTES
    assert [(each.held, each.held_until) for each in status.cameras] == [
        ("2026-11-18T11:06:40.000Z", "2026-11-18T11:16:40.000Z")
    ] * 4
    assert len(status.alerts) == ALERTS


def test_of_a_camera_that_nobody_holds_nothing_is_said_and_one_without_an_end_has_none() -> None:
    assert not {"held", "held_until"} & set(json.loads(full())["cameras"][0])
    camera = json.loads(full(trouble={"held_us": 1_795_000_000_000_000}))["cameras"][0]
    assert (camera["held"], "held_until" in camera) == ("2026-11-18T11:06:40.000Z", False)


def test_a_lease_fits_too_and_where_nobody_holds_it_nothing_is_said() -> None:
    assert "lease" not in json.loads(full())
    for owner, message in (
        ("push-20261120T180000Z-1f2e@ops1", "Ann pushes the winter exposure"),
        ("x" * 100, "y" * 200),
    ):
        made = full(more={LEASE: LeaseFacts(owner, message, 1_795_000_600_000_000)})
        status = NodeStatus.model_validate_json(made)
        assert len(made) <= LIMIT_BYTES
        assert status.lease is not None
        assert (status.lease.owner, status.lease.until) == (owner, "2026-11-18T11:16:40.000Z")
        assert len(status.alerts) == ALERTS


def test_a_release_that_was_rolled_back_while_somebody_holds_the_lease_fits_too() -> None:
    assert "release" not in json.loads(full())
    changed = ReleaseFacts("rolled_back", "0.5.0", "0.4.0", 1_795_000_000_000_000, 1_795_000_180_000_000, "x" * 200)
    made = full(
        more={
            RELEASE: changed,
            LEASE: LeaseFacts("rollout-20261120T180000Z-1f2e@ops1", "y" * 200, 1_795_000_600_000_000),
        }
    )
    status = NodeStatus.model_validate_json(made)
    assert len(made) <= LIMIT_BYTES
    assert status.release is not None
    assert (status.release.state, status.release.version, status.release.previous) == ("rolled_back", "0.5.0", "0.4.0")
    assert (status.release.since, status.release.until) == ("2026-11-18T11:06:40.000Z", "2026-11-18T11:09:40.000Z")
    assert len(status.alerts) == ALERTS


def test_the_status_of_the_first_release_is_still_read() -> None:
    status = NodeStatus.model_validate_json((HERE / "status-0.1.0.json").read_text())
    assert {(camera.held, camera.held_until) for camera in status.cameras} == {(None, None)}
    assert (status.queue, status.workers, status.archive) == (None, None, ())
    assert status.disk is not None
    assert (status.disk.step, status.disk.reclaimable_bytes) == ("", None)


def test_the_status_of_the_second_release_is_still_read() -> None:
    status = NodeStatus.model_validate_json((HERE / "status-0.2.0.json").read_text())
    assert status.version == "0.2.0"
    assert {(camera.held, camera.held_until) for camera in status.cameras} == {(None, None)}
    assert (status.timezone, len(status.archive)) == ("", len(TARGETS))


def test_the_status_of_the_third_release_is_still_read() -> None:
    status = NodeStatus.model_validate_json((HERE / "status-0.3.0.json").read_text())
    assert status.version == "0.3.0"
    assert (status.certificate_not_after, len(status.archive)) == (None, len(TARGETS))


def test_the_status_of_the_fourth_release_is_still_read() -> None:
    status = NodeStatus.model_validate_json((HERE / "status-0.4.0.json").read_text())
    assert status.version == "0.4.0"
    assert (status.lease, status.release, len(status.archive)) == (None, None, len(TARGETS))


def test_a_node_without_tls_says_nothing_of_a_certificate() -> None:
    clock, board = JumpClock(), Board()
    post_facts(board, clock)
    assert "certificate_not_after" not in json.loads(SharedStatus(board, clock, Document).current().body)
    assert json.loads(full())["certificate_not_after"] == "2027-06-06T11:06:40.000Z"


def test_sixteen_cameras_have_sixteen_shares() -> None:
    names = tuple(f"camera-{number:02}" for number in range(16))
    made = full(names)
    assert len(NodeStatus.model_validate_json(made).cameras) == 16
    assert len(made) <= 4 * LIMIT_BYTES


def test_the_console_reads_the_example_of_a_status() -> None:
    status = NodeStatus.model_validate_json((HERE / "status.json").read_text())
    assert [camera.name for camera in status.cameras] == sorted(CAMERAS)
    assert status.state == "crit"


def test_a_newer_nodes_status_is_read_without_what_is_not_known() -> None:
    newer = json.loads((HERE / "status.json").read_text())
    newer |= {"moon": "full"}
    newer["cameras"][0]["tilt_deg"] = 3
    assert NodeStatus.model_validate(newer) == NodeStatus.model_validate_json((HERE / "status.json").read_text())


def test_an_event_on_the_stream_is_the_example_and_the_console_reads_it() -> None:
    example = (HERE / "event.sse").read_bytes()
    body = FrameKept(
        "01M7Q5EJ30BZPEPSQZS1QKHPAJ", "north", "auto", 1_795_000_000_000_000, 1_795_000_000_123_000, 2_000_000,
        "bad", 20, ("black",), flagged=True, late_ms=4, took_ms=310,
    ).body()  # fmt: skip
    row = EventRow(4711, 1_795_000_000_456_000, "frame", "info", json.loads(json.dumps(body)), "north", None)
    assert event_block(published(row)) == example, REFRESH
    fields = dict(line.split(": ", 1) for line in example.decode().splitlines() if line)
    heard = parse_event(fields)
    assert heard is not None
    assert (heard.id, heard.kind, heard.at) == (4711, "frame", "2026-11-18T11:06:40.456Z")
    assert heard.body["captured"] == "2026-11-18T11:06:40.123Z"


def test_the_log_row_of_the_example_is_an_event_again() -> None:
    row = json.loads((HERE / "journal_entry.json").read_text())
    event = restore(row["kind"], row["body"])
    assert isinstance(event, FrameKept)
    assert event.body() == {**row["body"], "reasons": tuple(row["body"]["reasons"])}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_codes_and_meanings_of_alerts_are_bounded(rule: object) -> None:
    assert len(rule.code) <= 24  # type: ignore[attr-defined]
    assert len(rule.meaning) <= 80  # type: ignore[attr-defined]


def test_a_camera_that_was_only_heard_of_has_a_status() -> None:
    clock, board = JumpClock(), Board()
    board.post(camera_key("new"), CameraFacts("new"), clock.now_us())
    (camera,) = NodeStatus.model_validate_json(SharedStatus(board, clock, Document).current().body).cameras
    assert (camera.state, camera.last_good_age_s, camera.quality) == ("idle", None, None)
