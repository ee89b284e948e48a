"""What may be said of a node, given what was heard of it and when."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.fleet import view
from console.fleet.inventory import Host
from console.fleet.view import (
    EVENTS_KEPT,
    GAP_TOLD_S,
    LOOKS,
    NODE_KEPT,
    FleetModel,
    NodeView,
    Patience,
    Word,
    cause,
    counts_today,
    dead_jobs,
    disk_used_pct,
    last_good_age_s,
    lowest_quality,
    open_jobs,
    unsent,
    word,
    worst_camera,
)
from node.wire.errors import HeliographError, NodeAnswerWrong, NodeRefused, NodeUnreachable
from node.wire.status import NodeStatus
from node.wire.stream import StreamEvent

OLDEST = Path(__file__).parents[2] / "contract" / "status-0.1.0.json"
HOST = Host("reykjavik", "127.0.0.1", 1, "http")
PATIENCE = Patience(poll_s=10)
NEW = NodeView(HOST, since_s=0.0)


def after(view: NodeView, error: HeliographError, times: int) -> NodeView:
    for _ in range(times):
        view = view.failed(error)
    return view


@pytest.mark.parametrize(
    ("silent_s", "expected"), [(0, Word.OK), (30, Word.OK), (30.1, Word.STALE), (45, Word.STALE), (45.1, "unreachable")]
)
def test_silence_makes_stale_and_then_unreachable(
    make_status: Callable[..., Any], silent_s: float, expected: str
) -> None:
    assert word(NEW.heard(make_status(), 100.0), 100.0 + silent_s, PATIENCE) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [(NodeUnreachable(), Word.UNREACHABLE), (NodeRefused(), Word.REFUSED), (NodeAnswerWrong(), Word.GARBLED)],
)
def test_three_failed_polls_are_told_apart_by_how_they_failed(
    make_status: Callable[..., Any], error: HeliographError, expected: Word
) -> None:
    heard = NEW.heard(make_status(), 1.0)
    assert word(after(heard, error, 2), 2.0, PATIENCE) is Word.OK
    assert word(after(heard, error, 3), 2.0, PATIENCE) is expected


def test_one_answer_ends_a_run_of_failures(make_status: Callable[..., Any]) -> None:
    view = after(NEW, NodeUnreachable(), 9).heard(make_status(), 5.0)
    assert (word(view, 5.0, PATIENCE), view.error) == (Word.OK, None)


def test_a_node_that_was_never_heard_waits_and_then_is_unreachable() -> None:
    assert word(NEW, 10.0, PATIENCE) is Word.WAITING
    assert word(NEW, 46.0, PATIENCE) is Word.UNREACHABLE


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"state": "warn"}, Word.WARN),
        ({"state": "crit"}, Word.CRIT),
        ({"cameras": [{"name": "a", "state": "idle"}, {"name": "b", "state": "disabled"}]}, Word.IDLE),
        ({"cameras": [{"name": "a", "state": "idle"}, {"name": "b", "state": "ok"}]}, Word.OK),
        ({"cameras": []}, Word.OK),
        (
            {
                "cameras": [
                    {"name": "a", "state": "ok", "held": "2027-01-15T07:00:00.000Z"},
                    {"name": "b", "state": "idle"},
                ]
            },
            Word.IDLE,
        ),
        ({"cameras": [{"name": "a", "state": "ok", "held": ""}]}, Word.IDLE),
        (
            {
                "cameras": [
                    {"name": "a", "state": "ok", "held": "2027-01-15T07:00:00.000Z"},
                    {"name": "b", "state": "ok"},
                ]
            },
            Word.OK,
        ),
        ({"cameras": [{"name": "a", "state": "ok", "held": "2027-01-15T07:00:00.000Z"}], "state": "warn"}, Word.WARN),
    ],
)
def test_a_fresh_node_is_what_it_says(make_status: Callable[..., Any], changes: dict[str, Any], expected: Word) -> None:
    assert word(NEW.heard(make_status(**changes), 1.0), 1.0, PATIENCE) is expected


def test_critical_stands_above_all_and_idle_below() -> None:
    order = list(LOOKS)
    assert order[0] is Word.CRIT
    assert order[-2:] == [Word.OK, Word.IDLE]
    assert order.index(Word.UNREACHABLE) < order.index(Word.WARN) < order.index(Word.STALE) < order.index(Word.OK)


def test_every_word_has_a_glyph_and_an_ascii_sign_of_its_own() -> None:
    assert set(LOOKS) == set(Word)
    assert len({look.glyph for look in LOOKS.values()}) == len({look.ascii for look in LOOKS.values()}) == len(Word)
    assert all(look.ascii.isascii() for look in LOOKS.values())


def test_the_worst_camera_is_the_one_to_look_at(
    make_status: Callable[..., Any], make_camera: Callable[..., Any]
) -> None:
    old, new = make_camera("old", last_good_age_s=90.0), make_camera("new", last_good_age_s=5.0)
    never, lost = make_camera("never", last_good_age_s=None), make_camera("lost", state="offline", last_good_age_s=1.0)
    names = [worst_camera(make_status(cameras=cameras)) for cameras in ([new, old], [new, never, old], [never, lost])]
    assert [camera.name for camera in names if camera] == ["old", "never", "lost"]
    assert worst_camera(make_status(cameras=[])) is None


def test_the_age_of_the_last_good_frame_goes_on_growing(make_status: Callable[..., Any]) -> None:
    assert last_good_age_s(NEW.heard(make_status(), 100.0), 103.5) == 10.5
    assert last_good_age_s(NEW, 5.0) is None
    assert last_good_age_s(NEW.heard(make_status(cameras=[]), 1.0), 1.0) is None


def test_counts_are_of_all_cameras_and_quality_is_the_lowest(
    make_status: Callable[..., Any], make_camera: Callable[..., Any]
) -> None:
    status = make_status(cameras=[make_camera("a", gaps=2, captured=118), make_camera("b", quality=None)])
    assert (counts_today(status), lowest_quality(status)) == ((240, 238, 2), 91)
    assert lowest_quality(make_status(cameras=[])) is None


def test_the_disk_is_given_as_used_or_not_at_all(make_status: Callable[..., Any]) -> None:
    assert disk_used_pct(make_status()) == pytest.approx(55.0)
    assert disk_used_pct(make_status(disk=None)) is None
    assert disk_used_pct(make_status(disk={"total_bytes": 0, "free_bytes": 0, "level": "ok"})) is None


def test_the_cause_is_the_nodes_reason_while_it_is_fresh(
    make_status: Callable[..., Any], make_camera: Callable[..., Any]
) -> None:
    def of(view: NodeView) -> str:
        return cause(view, word(view, 1.0, PATIENCE), 1.0)

    alert = {"code": "disk", "severity": "warn", "subject": "disk", "since": "x", "sentence": "disk is filling"}
    lost = [make_camera("a"), make_camera("b", state="offline")]
    assert of(NEW) == "no answer yet"
    assert of(NEW.heard(make_status(), 1.0)) == ""
    assert of(NEW.heard(make_status(reasons=["one", "two"]), 1.0)) == "one; two"
    assert of(NEW.heard(make_status(reasons=["One is so.", "Two", "", "three!"]), 1.0)) == "One is so. Two; three!"
    assert of(NEW.heard(make_status(alerts=[alert]), 1.0)) == "disk is filling"
    assert of(NEW.heard(make_status(cameras=lost, reasons=["b is offline"]), 1.0)) == "1/2 ok: b is offline"
    assert of(NEW.heard(make_status(), 1.0).failed(NodeUnreachable("slow"))) == ""


def test_a_gap_that_came_while_one_looked_is_told_for_a_while(
    make_status: Callable[..., Any], make_camera: Callable[..., Any]
) -> None:
    def gaps(count: int, **changes: Any) -> Any:
        return make_status(cameras=[make_camera(gaps=count, last_gap_reason="timeout")], **changes)

    def of(view: NodeView, now_s: float) -> str:
        return cause(view, Word.OK, now_s)

    old = NEW.heard(gaps(3), 10.0)
    assert of(old, 10.0) == "", "when it came is not known"
    new = old.heard(gaps(4), 20.0).heard(gaps(4), 30.0)
    assert of(new, 32.0) == "gap: timeout 12s ago"
    assert word(new, 32.0, PATIENCE) is Word.OK
    assert of(new.heard(gaps(4, reasons=["rain"]), 31.0), 32.0) == "rain"
    assert of(new, 20.0 + GAP_TOLD_S + 1) == ""
    assert of(new.heard(gaps(0), 40.0), 41.0) == "gap: timeout 21s ago", "a new day begins to count anew"


def test_the_camera_of_a_gap_is_named_where_there_are_several(
    make_status: Callable[..., Any], make_camera: Callable[..., Any]
) -> None:
    cameras = [make_camera("north"), make_camera("south", gaps=1, last_gap_reason="damaged")]
    view = NEW.heard(make_status(cameras=[make_camera("north"), make_camera("south")]), 1.0)
    assert cause(view.heard(make_status(cameras=cameras), 2.0), Word.OK, 2.0) == "2/2 ok: south gap: damaged 0s ago"


def test_the_cause_of_an_idle_node_is_when_it_goes_on(
    make_status: Callable[..., Any], make_camera: Callable[..., Any]
) -> None:
    def of(next_slot: str | None) -> str:
        view = NEW.heard(make_status(cameras=[make_camera(state="idle", next_slot=next_slot)]), 1.0)
        return cause(view, Word.IDLE, 1.0)

    assert of("2027-01-15T18:00:00.000Z") == "next 18:00Z"
    assert of("2027-01-16T05:30:00.000Z") == "next 01-16 05:30Z"
    assert of(None) == ""


def test_the_cause_of_a_held_node_is_that_it_is_held_and_how_long(
    make_status: Callable[..., Any], make_camera: Callable[..., Any]
) -> None:
    def of(*cameras: dict[str, Any], **changes: Any) -> str:
        view = NEW.heard(make_status(cameras=list(cameras), **changes), 1.0)
        return cause(view, word(view, 1.0, PATIENCE), 1.0)

    since = "2027-01-15T07:00:00.000Z"
    ending = make_camera(held=since, held_until="2027-01-15T18:00:00.000Z")
    assert of(ending) == "held until 18:00Z"
    assert of(make_camera(held=since)) == "held"
    assert of(make_camera("b", held=since), ending) == "2/2 ok: main held until 18:00Z"
    assert of(make_camera("b"), ending) == "2/2 ok: main held until 18:00Z"
    assert of(ending, reasons=["rain"], state="warn") == "rain"


def test_an_older_node_is_shown_as_older_and_a_newer_one_is_understood() -> None:
    old = json.loads(OLDEST.read_text())
    new = {**old, "version": "9.0.0", "weather": {"rain": 3}, "cameras": [{**old["cameras"][0], "lens": [1, 2]}]}
    for said, version in ((old, "0.1.0"), (new, "9.0.0")):
        view = NEW.heard(NodeStatus.model_validate(said), 1.0)
        assert view.status is not None
        assert (word(view, 1.0, PATIENCE), view.status.version) == (Word.CRIT, version)


def test_what_an_older_node_does_not_know_is_not_known(make_status: Callable[..., Any]) -> None:
    bare = make_status(disk=None)
    assert (open_jobs(bare), dead_jobs(bare), unsent(bare), disk_used_pct(bare)) == (None, None, None, None)
    assert word(NEW.heard(bare, 1.0), 1.0, PATIENCE) is Word.OK


def test_the_cause_of_silence_is_what_the_console_met(make_status: Callable[..., Any]) -> None:
    heard = NEW.heard(make_status(reasons=["old news"]), 1.0)
    assert cause(heard.failed(NodeUnreachable("no route")), Word.UNREACHABLE, 9.0) == "FLT-002 no route"
    assert cause(NEW.failed(NodeUnreachable()), Word.WAITING, 9.0) == "FLT-002 node does not answer"
    assert cause(heard, Word.STALE, 36.0) == "silent for 35s"


OTHER = Host("nairobi", "127.0.0.1", 2, "http")


def model_of(hand: Any, *hosts: Host) -> FleetModel:
    return FleetModel(hosts, patience=PATIENCE, clock=hand.as_clock())


def test_each_reader_learns_what_changed_since_it_looked(hand: Any, make_status: Callable[..., Any]) -> None:
    model = model_of(hand, HOST, OTHER)
    assert set(model.changed_since(0)) == {"reykjavik", "nairobi"}
    early = model.revision
    model.heard("reykjavik", make_status())
    late = model.revision
    model.failed("nairobi", NodeUnreachable())
    model.happened("nairobi", StreamEvent(id=1, at="", kind="gap"))
    assert model.changed_since(early) == ["nairobi", "reykjavik"]
    assert model.changed_since(late) == ["nairobi"]
    assert model.changed_since(model.revision) == []


def test_nodes_come_change_and_go(hand: Any, make_status: Callable[..., Any]) -> None:
    model = model_of(hand, HOST, OTHER)
    model.heard("reykjavik", make_status())
    before = model.revision
    moved = Host("reykjavik", "127.0.0.1", 9, "http")
    model.set_hosts([moved, Host("cusco", "127.0.0.1", 3, "http")])
    assert set(model.changed_since(before)) == {"nairobi", "reykjavik", "cusco"}
    assert sorted(model.views) == ["cusco", "reykjavik"]
    assert (model.views["reykjavik"].host, model.word("reykjavik")) == (moved, Word.OK)


def test_the_same_nodes_again_are_no_change(hand: Any) -> None:
    model = model_of(hand, HOST, OTHER)
    before = model.revision
    model.set_hosts([OTHER, HOST])
    assert model.revision == before


def test_a_late_answer_of_a_node_that_left_brings_it_not_back(hand: Any, make_status: Callable[..., Any]) -> None:
    model = model_of(hand, HOST)
    model.set_hosts([])
    model.heard("reykjavik", make_status())
    model.failed("reykjavik", NodeUnreachable())
    model.happened("reykjavik", StreamEvent(id=1, at="", kind="gap"))
    assert (model.views, model.told) == ({}, 0)


def test_names_that_come_and_go_do_not_pile_up(hand: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "GONE_KEPT", 3)
    model = model_of(hand)
    for number in range(20):
        model.set_hosts([HOST, Host(f"cam-{number}", "127.0.0.1", 1, "http")])
    assert set(model.changed_since(0)) == {"reykjavik", "cam-16", "cam-17", "cam-18", "cam-19"}


def test_what_an_earlier_console_heard_is_never_green(hand: Any, make_status: Callable[..., Any]) -> None:
    model = model_of(hand, HOST)
    hand.now_s += 5
    model.restore("reykjavik", make_status(), model.clock.utc_us() - 3_000_000)
    assert model.word("reykjavik") is Word.STALE
    assert model.views["reykjavik"].silence_s(hand.now_s) == 3.0
    model.failed("reykjavik", NodeUnreachable())
    assert model.word("reykjavik") is Word.STALE
    model.heard("reykjavik", make_status())
    assert model.word("reykjavik") is Word.OK


def test_an_old_memory_is_unreachable_once_the_node_does_not_answer(hand: Any, make_status: Callable[..., Any]) -> None:
    model = model_of(hand, HOST)
    model.restore("reykjavik", make_status(), model.clock.utc_us() - 86_400_000_000)
    assert (model.word("reykjavik"), model.views["reykjavik"].silence_s(hand.now_s)) == (Word.STALE, 86_400.0)
    model.failed("reykjavik", NodeUnreachable())
    assert model.word("reykjavik") is Word.UNREACHABLE


def test_a_memory_yields_to_what_was_heard_and_to_the_inventory(hand: Any, make_status: Callable[..., Any]) -> None:
    model = model_of(hand, HOST)
    model.heard("reykjavik", make_status(state="crit"))
    model.restore("reykjavik", make_status(), model.clock.utc_us())
    model.restore("gone", make_status("gone"), model.clock.utc_us())
    assert (model.word("reykjavik"), list(model.views)) == (Word.CRIT, ["reykjavik"])


def test_a_memory_from_a_clock_ahead_is_as_old_as_now(hand: Any, make_status: Callable[..., Any]) -> None:
    model = model_of(hand, HOST)
    model.restore("reykjavik", make_status(), model.clock.utc_us() + 60_000_000)
    assert model.views["reykjavik"].silence_s(hand.now_s) == 0.0


def test_gaps_that_came_while_no_console_ran_are_not_told_as_new(
    hand: Any, make_status: Callable[..., Any], make_camera: Callable[..., Any]
) -> None:
    model = model_of(hand, HOST)
    model.restore("reykjavik", make_status(), model.clock.utc_us())
    model.heard("reykjavik", make_status(cameras=[make_camera(gaps=7, last_gap_reason="timeout")]))
    assert model.views["reykjavik"].gap is None


def test_old_events_are_forgotten_but_counted(hand: Any) -> None:
    model = FleetModel([HOST], patience=PATIENCE, clock=hand.as_clock())
    for number in range(EVENTS_KEPT + 5):
        model.happened("reykjavik", StreamEvent(id=number, at="", kind="gap"))
    assert (len(model.happenings), model.told) == (EVENTS_KEPT, EVENTS_KEPT + 5)


def test_a_node_that_talks_without_end_drowns_no_other(hand: Any) -> None:
    noisy, quiet = Host("noisy", "127.0.0.1", 1), Host("quiet", "127.0.0.1", 2)
    model = FleetModel([noisy, quiet], patience=PATIENCE, clock=hand.as_clock())
    for number in range(NODE_KEPT):
        model.happened("quiet", StreamEvent(id=number, at="", kind="gap"))
    for number in range(3 * EVENTS_KEPT):
        model.happened("noisy", StreamEvent(id=number, at="", kind="gap"))
    kept = Counter(one.node for one in model.happenings)
    assert kept == {"quiet": NODE_KEPT, "noisy": EVENTS_KEPT - NODE_KEPT}
    assert [one.event.id for one in model.fresh(model.told - 2)] == [3 * EVENTS_KEPT - 2, 3 * EVENTS_KEPT - 1]
    model.happened("quiet", StreamEvent(id=7, at="", kind="gap"))
    assert Counter(one.node for one in model.happenings)["quiet"] == NODE_KEPT + 1


def test_what_is_fresh_comes_once_also_where_some_of_it_is_gone(hand: Any) -> None:
    hosts = [Host(f"cam-{number}", "127.0.0.1", number) for number in range(1, 40)]
    model = FleetModel(hosts, patience=PATIENCE, clock=hand.as_clock())
    for host in hosts:
        for number in range(40):
            model.happened(host.name, StreamEvent(id=number, at="", kind="gap"))
    told = model.told
    for number in range(500):
        model.happened("cam-1", StreamEvent(id=number, at="", kind="job"))
    fresh = model.fresh(told)
    assert {one.event.kind for one in fresh} == {"job"}
    assert len({one.number for one in fresh}) == len(fresh) >= NODE_KEPT
    model.happenings.clear()
    assert model.fresh(0) == []
