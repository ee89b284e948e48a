"""One line per change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from string import Formatter
from typing import Any

import pytest

from console.fleet.inventory import Host
from console.fleet.lines import CAMERAS_KEPT, ROUTINE, SAYINGS, Teller, saying
from console.fleet.text import ago, clean
from console.fleet.view import FleetModel, Patience
from node.domain.events import REGISTRY, FrameKept
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


def test_refused_attempts_are_told_with_their_number() -> None:
    told = event("access_refused", client="10.0.0.9", code="SEC-005", count=11)
    assert saying(told) == "11 attempts of 10.0.0.9 refused: SEC-005"


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


def test_every_kind_of_event_that_a_node_tells_has_its_words() -> None:
    assert set(REGISTRY) == {*SAYINGS, *ROUTINE} - {"first_frame", "bad_frame"}
    for kind, words in {**SAYINGS, **ROUTINE}.items():
        names = {name for _, name, _, _ in Formatter().parse(words) if name}
        body = {field.name for field in fields(REGISTRY.get(kind, FrameKept))}
        assert names <= body, kind


def test_a_hold_is_told_with_who_and_why() -> None:
    held = event("camera_held", camera="north", reason="lens is cleaned", who="mw")
    assert saying(held) == "north: capture held by mw: lens is cleaned"
    assert saying(event("camera_resumed", camera="north", who="mw", held_s=60)) == "north: capture resumed by mw"


def test_names_of_cameras_without_end_are_not_kept(
    model: FleetModel, make_status: Callable[..., Any], make_camera: Callable[..., Any]
) -> None:
    teller = Teller(model)
    cameras = [make_camera(f"real-{number}") for number in range(CAMERAS_KEPT + 4)]
    model.heard("cam", make_status("reykjavik", cameras=cameras))
    for number in range(200):
        model.happened("cam", event("frame", camera=f"made-up-{number}" * 99, verdict="good"))
    teller.lines()
    assert len(teller._cameras["cam"]) == CAMERAS_KEPT
    for camera in cameras * 2:
        model.happened("cam", event("frame", camera=camera["name"], verdict="good", score=90))
    assert len([line for line in teller.lines() if "first frame" in line]) == len(cameras)
    assert len(teller._cameras["cam"]) == len(cameras)
    model.set_hosts([])
    teller.lines()
    assert teller._cameras == {}
