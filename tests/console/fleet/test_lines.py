"""One line per change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from console.fleet.inventory import Host
from console.fleet.lines import SAYINGS, Teller, saying
from console.fleet.text import ago, clean
from console.fleet.view import FleetModel, Patience
from node.wire.errors import NodeUnreachable
from node.wire.stream import StreamEvent

AT = "2027-01-15T08:00:03.000Z"


@pytest.fixture
def model(hand: Any) -> FleetModel:
    hosts = [Host("cam", "127.0.0.1", 1, "http"), Host("harbour", "127.0.0.1", 2, "http")]
    return FleetModel(hosts, patience=Patience(), clock=hand.as_clock())


def event(kind: str, **body: Any) -> StreamEvent:
    return StreamEvent(id=1, at=AT, kind=kind, body=body)


def test_a_state_is_told_when_it_changes_and_only_then(model: FleetModel, make_status: Callable[..., Any]) -> None:
    teller = Teller(model)
    assert teller.lines() == []
    model.heard("cam", make_status(state="warn", reasons=["disk\nis filling"]))
    assert teller.lines() == ["08:00:00Z  cam      warn: was waiting"]
    assert teller.lines() == []
    for _ in range(3):
        model.failed("cam", NodeUnreachable("no route"))
    assert teller.lines() == ["08:00:00Z  cam      unreachable: FLT-002 no route"]


def test_of_the_frames_only_each_cameras_first_and_the_bad_ones_are_told(model: FleetModel) -> None:
    teller = Teller(model)
    for camera, verdict in (("a", "good"), ("a", "good"), ("b", "good"), ("a", "bad")):
        model.happened("harbour", event("frame", camera=camera, verdict=verdict, score=90, reasons=["blur", "black"]))
    assert teller.lines() == [
        "08:00:03Z  harbour  a: first frame, quality 90",
        "08:00:03Z  harbour  b: first frame, quality 90",
        "08:00:03Z  harbour  a: bad picture: blur, black",
    ]


def test_events_come_in_order_and_each_once(model: FleetModel) -> None:
    teller = Teller(model)
    model.happened("cam", event("gap", camera="a", reason="timeout", error_code="CAM-005"))
    model.happened("harbour", event("camera_recovered", camera="a", rung="reopen", down_s=2.5))
    assert [line[11:] for line in teller.lines()] == [
        "cam      a: gap: timeout CAM-005",
        "harbour  a: recovered by reopen after 2.5 s",
    ]
    assert teller.lines() == []


@pytest.mark.parametrize("kind", SAYINGS)
def test_no_saying_minds_an_event_without_its_fields_or_with_hostile_ones(kind: str) -> None:
    hostile = {"x": ["\x1b[2J", "{0}", "a\nb"]}
    assert saying(event(kind)) is not None
    told = saying(event(kind, camera=hostile, reason=hostile, reasons=[hostile], sentence=hostile, version=hostile))
    assert told is not None
    assert told.isprintable()


def test_a_field_that_is_empty_leaves_no_gap() -> None:
    told = saying(event("quarantine", camera="main", integrity="intact", source="", path="quarantine/a.jpg"))
    assert told == "main: picture quarantined, intact: quarantine/a.jpg"


def test_a_kind_of_a_newer_release_is_no_line() -> None:
    assert saying(event("tea_time")) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""), (float("nan"), ""), (float("inf"), ""), (-3, "0s"), (0, "0s"), (7.9, "7s"), (119, "119s"),
        (120, "2m"), (7199, "119m"), (7200, "2h"), (172_799, "47h"), (172_800, "2d"), (31_622_400, "366d"),
        (1e12, ">1y"), (10**400, ">1y"),
    ],
)  # fmt: skip
def test_ages_are_short(seconds: float | None, text: str) -> None:
    assert ago(seconds) == text
    assert len(text) <= 4


def test_what_a_node_sent_cannot_move_the_cursor() -> None:
    assert clean("a\x1b[2Jb\r\n\u202ec\u200b\td") == "a [2Jb   c  d"
    assert len(clean("x" * 10_000)) == 400
