"""Events without a screen: the nodes' logs as far as their streams go back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from console.commands import events
from console.fleet.clock import Clock
from node.wire.stream import Goodbye, Reset, StreamEvent, event_block, goodbye_block, reset_block
from node.wire.times import to_text

Run = Callable[..., Any]


def tells(node: Any, number: int, kind: str, ago_s: int, **body: Any) -> None:
    at = to_text(Clock().utc_us() - ago_s * 1_000_000)
    node.events.put(event_block(StreamEvent(id=number, at=at, kind=kind, body=body)))


@pytest.fixture
def two(start: Run, fleet: Run) -> tuple[Any, Any]:
    kyoto, cusco = start("kyoto", last_event_id=3), start("cusco", last_event_id=1, site="dam-3")
    tells(kyoto, 1, "gap", 700, camera="main", reason="old")
    tells(kyoto, 2, "gap", 60, camera="main", reason="timeout")
    tells(kyoto, 3, "frame", 20, camera="main", verdict="go\x1bod")
    tells(cusco, 1, "camera_recovered", 30, camera="main", rung="reopen", down_s=2)
    fleet(kyoto, cusco)
    return kyoto, cusco


@pytest.mark.usefixtures("two")
def test_events_of_all_nodes_come_in_the_order_of_time(run: Run) -> None:
    it = run("events")
    assert (it.code, it.err) == (0, "")
    assert [line[22:] for line in it.out.splitlines()] == [
        "kyoto  main: gap: timeout",
        "cusco  main: recovered by reopen after 2 s",
        "kyoto  main: frame, go od",
    ]


@pytest.mark.usefixtures("two")
def test_they_are_chosen_by_node_kind_and_time(run: Run, two: tuple[Any, Any]) -> None:
    kyoto, _ = two
    assert run("events", "--node", "site:dam-3", "--since", "45s").out.count("\n") == 1
    assert all(path == "/v1/status" for path, _ in kyoto.asked), "who is not meant is not listened to"
    it = run("events", "--node", "kyoto", "--since", "1h", "--kind", "gap,tea", "--kind", "x", "--json").json
    assert [(one["node"], one["id"], one["body"]["reason"]) for one in it["events"]] == [
        ("kyoto", 1, "old"), ("kyoto", 2, "timeout"),
    ]  # fmt: skip
    assert (it["cut"], it["missing"]) == ([], [])


def test_what_was_left_out_is_said(start: Run, fleet: Run, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_OF_ONE_NODE", 2)
    node = start("kyoto", last_event_id=9)
    for number in (8, 9):
        tells(node, number, "gap", 10, camera="main")
    fleet(node)
    it = run("events")
    assert it.out.count("\n") == 2
    assert it.err == "kyoto: there were more, of which only the last 2 were read\n"
    assert node.asked[-1][1]["Last-Event-ID"] == "7"


def test_a_node_without_events_is_not_listened_to(start: Run, fleet: Run, run: Run) -> None:
    node = start("kyoto")
    fleet(node)
    assert (run("events").out, len(node.asked)) == ("no events\n", 1)


def test_a_log_that_begins_later_and_a_stream_that_ends_are_no_fault(start: Run, fleet: Run, run: Run) -> None:
    node = start("kyoto", last_event_id=500)
    node.events.put(reset_block(Reset(oldest=400, newest=500)))
    tells(node, 400, "gap", 10, camera="main", reason="first")
    node.events.put(goodbye_block(Goodbye(reason="stopping")))
    fleet(node)
    it = run("events")
    assert (it.code, it.out.count("first"), it.out.count("\n")) == (0, 1, 1)


def test_a_stream_that_never_comes_to_its_end_is_given_up(
    start: Run, fleet: Run, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "WITHIN_S", 0.2)
    node = start("kyoto", last_event_id=500)
    tells(node, 499, "gap", 10)
    fleet(node, start("cusco"))
    it = run("events")
    assert (it.code, it.err) == (1, "kyoto: FLT-002 node does not answer: its events took more than 0.2 s\n")


def test_nodes_that_cannot_be_asked_are_named(start: Run, fleet: Run, run: Run) -> None:
    gone = start("kyoto")
    gone.code = 401
    fleet(gone)
    it = run("events", "--json")
    assert it.code == 69
    assert "FLT-004" in it.json["missing"][0]["why"]


@pytest.mark.parametrize("words", [["--since", "0"], ["--since", "soon"], ["extra"], ["--node", "nobody"]])
def test_a_wrong_command_line_is_refused(start: Run, fleet: Run, run: Run, words: list[str]) -> None:
    fleet(start("kyoto"))
    assert run("events", *words).code == 64


@pytest.mark.usefixtures("two")
def test_a_selector_says_which_nodes_as_for_other_commands(run: Run) -> None:
    assert "kyoto" not in run("events", "cusco").out
    assert "kyoto" not in run("events", "SITE:dam-3").out
    assert run("events", "atlantis").code == 64
