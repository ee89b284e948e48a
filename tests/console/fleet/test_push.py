"""A push goes batch by batch, believes only what nodes show, stops at the first failure, and can be gone on with."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from console.fleet import hold
from console.fleet.batches import BatchBegun, Soaking, batches
from console.fleet.clock import Clock
from console.fleet.hold import Holds, owner_of, run_id
from console.fleet.keep import Journal
from console.fleet.push import Ended, Event, How, Moved, Phase, Terms, Ways, push
from console.fleet.push_history import History, Past, last, read, resumed
from console.fleet.push_plan import NodePlan, PushPlan, Standing
from console.fleet.wanted import Wanted
from node.domain.lease import OWNER
from node.wire.config import digest
from node.wire.errors import (
    HeliographError,
    NodeRefused,
    NodesHeld,
    NodeUnreachable,
    NothingToResume,
    OrderRefused,
    StateNotSaved,
)
from node.wire.status import NodeStatus

OLD: dict[str, Any] = {"site": {"name": "old"}}
NEW: dict[str, Any] = {"site": {"name": "new"}}
ELSE: dict[str, Any] = {"site": {"name": "else"}}
OWNER_HERE = "push-20270115T080000Z-1f2e@ops1"
GONE = NodeUnreachable("Connection refused", sent=False)
LOST = NodeUnreachable("no answer within 35 s")
UNTIL = "2027-01-15T08:01:00.000Z"


@dataclass
class Peer:
    """A node as its client shows it.  `then` is what each status after the document shows, the last for good."""

    name: str
    make_status: Callable[..., NodeStatus]
    then: list[str] = field(default_factory=lambda: ["probation", "active"])
    put: list[HeliographError | None] = field(default_factory=list)
    lease: HeliographError | None = None
    version: int = 7
    runs: dict[str, Any] = field(default_factory=lambda: OLD)
    log: list[str] = field(default_factory=list)
    reason: str | None = None
    arrives: bool = True
    sent: bool = False
    quality: int = 90
    dead: int = 0

    async def status(self) -> NodeStatus:
        word = self._next() if self.sent else "active"
        if word == "gone":
            raise GONE
        if word == "back":
            self.runs = OLD
        if word == "other":
            self.runs = ELSE
        if word == "blurred":
            self.quality = 60
        if word == "dying":
            self.dead = 3
        state = word if word in {"probation", "provisional"} else "active"
        config = {"version": self.version, "digest": digest(self.runs), "state": state}
        if state == "probation":
            config["probation_until"] = UNTIL
        ready = word != "unready"
        cameras = [{"name": "main", "state": "ok", "quality": self.quality}]
        queue = {"dead": self.dead}
        said = self.make_status(self.name, ready=ready, cameras=cameras, queue=queue, reasons=["no camera"])
        return said.model_copy(update={"config": said.config.model_copy(update=config)})

    def said(self) -> list[str]:
        return [line.split(" ")[0] for line in self.log]

    def _next(self) -> str:
        return self.then.pop(0) if len(self.then) > 1 else self.then[0]

    async def fetch(self, path: str, kind: Any, query: Any = None) -> Any:
        assert path == "/v1/config/history"
        row = {"version": 8, "digest": digest(NEW), "created": "", "who": "", "origin": "put", "state": "rolled_back"}
        return kind.model_validate({"items": [row | {"reason": self.reason}] if self.reason is not None else []})

    async def send(self, method: str, path: str, kind: Any, body: Mapping[str, Any], headers: Any = None) -> Any:
        self.log.append(f"{method} {path} {json.dumps(body)} {json.dumps(headers or {})}")
        if path == "/v1/lease":
            if method == "PUT" and self.lease is not None:
                raise self.lease
            return kind.model_validate({})
        if path == "/v1/config/rollback":
            self.runs, self.then = OLD, ["active"]
            return kind.model_validate({"version": 7, "digest": digest(OLD), "previous": 8, "changed": True})
        self.sent, error = True, self.put.pop(0) if self.put else None
        if error is None or (error is LOST and self.arrives):
            self.runs, self.version = dict(body), self.version + 1
        if error is not None:
            raise error
        until = {"probation_until": UNTIL}
        return kind.model_validate({"version": 8, "digest": digest(NEW), "previous": 7, "changed": True, **until})


@dataclass
class Rig:
    """Some peers, a push over them, and what it said."""

    folder: Path
    peers: dict[str, Peer]
    hand: Any
    soak_s: float = 10.0
    canaries: tuple[str, ...] = ()
    standing: dict[str, Standing] = field(default_factory=dict)
    paused: list[float] = field(default_factory=list)
    stop_after: int | None = None
    terms: Terms = field(default_factory=Terms)
    run: str = "push-20270115T080000Z-1f2e"

    def plan(self) -> PushPlan:
        meant = {name: Wanted(name, NEW, digest(NEW)) for name in self.peers}
        nodes = {
            name: NodePlan(name, self.standing.get(name, Standing.CHANGE), "", digest(NEW), 7, digest(OLD))
            for name in self.peers
        }
        names = [name for name in nodes if nodes[name].standing in {Standing.CHANGE, Standing.PROVING}]
        return PushPlan(nodes, batches(names, self.canaries, self.soak_s), meant)

    def history(self) -> History:
        return History(self.folder, self.run)

    def goes(self, plan: PushPlan | None = None, *, begin: bool = True) -> list[Event]:
        return asyncio.run(self._goes(plan or self.plan(), begin))

    async def _goes(self, plan: PushPlan, begin: bool) -> list[Event]:
        history, got = self.history(), []
        client_of: Any = self.peers.get

        async def pause(seconds: float) -> None:
            self.paused.append(seconds)
            self.hand.now_s += seconds
            await asyncio.sleep(0)

        holds = Holds(plan.to_do, client_of, OWNER_HERE, "kim pushes 3 documents")
        ways = Ways(client_of, history.record, holds, self.terms, self.hand.as_clock(), pause)
        with history.held():
            if begin:
                history.begin(plan, {"owner": OWNER_HERE, "at_us": 1, "soak_s": self.soak_s})
            async with aclosing(push(plan, ways)) as events:
                async for event in events:
                    got.append(event)
                    if self.stop_after is not None and len(got) >= self.stop_after:
                        break
        return got

    def resumes(self, wants: dict[str, Any] | None = None) -> PushPlan:
        past = last(self.folder)
        whole = self.plan()
        left = {name: replace(whole.nodes[name], wanted=digest(wants or NEW)) for name in past.to_do()}
        for name, planned in left.items():
            if self.peers[name].runs == NEW:
                left[name] = replace(planned, standing=Standing.SAME, digest=digest(NEW))
        return asyncio.run(resumed(past, replace(whole, nodes=left), self.peers.get))  # type: ignore[arg-type]


@pytest.fixture
def rig(tmp_path: Path, hand: Any, make_status: Callable[..., NodeStatus]) -> Callable[..., Rig]:
    def made(*names: str, **more: Any) -> Rig:
        return Rig(tmp_path, {name: Peer(name, make_status) for name in names}, hand, **more)

    return made


def phases(events: Iterable[Event]) -> list[tuple[str, str]]:
    return [(each.node, str(each.phase)) for each in events if isinstance(each, Moved)]


def final(events: list[Event]) -> dict[str, str]:
    return {each.node: str(each.phase) for each in events if isinstance(each, Moved)}


def end(events: list[Event]) -> Ended:
    assert isinstance(events[-1], Ended)
    return events[-1]


NAMES = ("a", "b", "c", "d")


def test_a_good_document_goes_to_all_in_batches(rig: Callable[..., Rig]) -> None:
    made = rig(*NAMES)
    events = made.goes()
    begun = [(each.batch, each.nodes) for each in events if isinstance(each, BatchBegun)]
    assert begun == [("canary", ("a",)), ("rest", ("b", "c", "d"))]
    assert final(events) == dict.fromkeys(NAMES, "confirmed")
    assert [each for each in events if isinstance(each, Soaking)] == [Soaking("canary", 10.0)]
    assert 10.0 in made.paused
    assert end(events).how is How.DONE
    assert {(row.wanted, row.running, row.state, row.phase) for row in end(events).rows} == {
        (digest(NEW), digest(NEW), "active", "confirmed")
    }


def test_each_node_is_sent_its_document_once_for_the_version_that_was_read(rig: Callable[..., Rig]) -> None:
    made = rig("a")
    made.goes()
    (put,) = [line for line in made.peers["a"].log if "/v1/config" in line]
    assert put == (f'PUT /v1/config {json.dumps(NEW)} {{"If-Match": "\\"7\\"", "Heliograph-Lease": "{OWNER_HERE}"}}')


@pytest.mark.parametrize(
    ("then", "reason", "phase", "said"),
    [
        (["probation", "back"], "bad_frames", "rolled back", "bad_frames; runs the document of before again"),
        (["probation", "back"], None, "failed", "runs the document of before again"),
        (["probation", "other"], None, "failed", "runs another document"),
        (["probation", "other"], "operator", "rolled back", "operator"),
        (["unready"], None, "failed", "it is not ready: no camera; it was asked to go back, and runs the doc"),
        (["blurred"], None, "failed", "quality of main fell from 90 to 60"),
        (["dying"], None, "failed", "dead jobs rose from 0 to 3"),
        (["gone"], None, "unknown", "does not answer (FLT-002"),
        (["probation"], None, "unknown", "has not decided in its time"),
    ],
)
def test_what_the_canary_shows_stops_the_push_before_the_others(
    rig: Callable[..., Rig], then: list[str], reason: str | None, phase: str, said: str
) -> None:
    made = rig(*NAMES)
    made.peers["a"].then, made.peers["a"].reason = then, reason
    if then == ["probation"]:
        made.terms = Terms(limit_s=30, slack_s=1)
    events = made.goes()
    moved = [each for each in events if isinstance(each, Moved)][-1]
    assert (moved.node, str(moved.phase)) == ("a", phase)
    assert said in moved.said
    assert (end(events).how, end(events).why) == (How.STOPPED, f"a {phase}")
    assert [made.peers[name].said().count("PUT") for name in NAMES] == [2, 1, 1, 1]  # leases; one document
    assert {row.running for row in end(events).rows if row.node != "a"} == {digest(OLD)}


def test_a_node_that_goes_back_is_said_to_run_the_document_of_before(rig: Callable[..., Rig]) -> None:
    made = rig("a")
    made.peers["a"].then, made.peers["a"].reason = ["back"], "bad_frames"
    (row,) = end(made.goes()).rows
    assert (row.wanted, row.running, row.phase) == (digest(NEW), digest(OLD), "rolled back")


def test_provisional_is_no_confirmation_and_goes_on(rig: Callable[..., Rig]) -> None:
    made = rig("a", "b")
    for peer in made.peers.values():
        peer.then = ["provisional"]
    events = made.goes()
    assert final(events) == {"a": "provisional", "b": "provisional"}
    assert end(events).how is How.DONE
    assert {row.state for row in end(events).rows} == {"provisional"}
    assert "may still go back" in next(each.said for each in events if getattr(each, "phase", "") == "provisional")


def test_one_look_is_not_enough(rig: Callable[..., Rig]) -> None:
    made = rig("a")
    made.peers["a"].then, made.peers["a"].reason = ["active", "back"], "bad_frames"
    assert final(made.goes()) == {"a": "rolled back"}


def test_a_canary_that_falls_back_while_it_is_watched_stops_the_push(rig: Callable[..., Rig]) -> None:
    made = rig("a", "b")
    made.peers["a"].then, made.peers["a"].reason = ["active", "active", "back"], "bad_quality"
    events = made.goes()
    assert final(events) == {"a": "rolled back"}
    assert end(events).how is How.STOPPED


@pytest.mark.parametrize(
    ("error", "phase"),
    [
        (OrderRefused("CFG-005", "configuration has moved on"), "failed"),
        (OrderRefused("CFG-008", "a configuration is still on probation"), "failed"),
        (OrderRefused("CFG-001", "configuration document is invalid"), "failed"),
        (OrderRefused("CFG-011", "somebody else is changing this node"), "failed"),
        (NodeRefused("HTTP 403"), "failed"),
        (OrderRefused("API-012", "took too long"), "confirmed"),
        (OrderRefused("API-006", "too many requests"), "confirmed"),
        (LOST, "confirmed"),
    ],
)
def test_what_a_node_answers_to_a_document(rig: Callable[..., Rig], error: HeliographError, phase: str) -> None:
    made = rig("a", "b")
    made.peers["a"].put = [error]
    if phase == "confirmed" and "API-012" in str(error):
        made.peers["a"].runs = NEW
    events = made.goes()
    assert final(events)["a"] == phase
    assert ("b" in final(events)) is (phase == "confirmed")


def test_a_document_that_got_lost_is_not_sent_twice(rig: Callable[..., Rig]) -> None:
    made = rig("a")
    made.peers["a"].put, made.peers["a"].arrives, made.peers["a"].then = [LOST], False, ["active"]
    events = made.goes()
    assert final(events) == {"a": "failed"}
    assert sum("PUT /v1/config" in line for line in made.peers["a"].log) == 1


def test_a_node_that_is_gone_is_deferred_and_the_others_go_on(rig: Callable[..., Rig]) -> None:
    made = rig(*NAMES)
    made.peers["c"].put = [GONE]
    events = made.goes()
    assert final(events) == {"a": "confirmed", "b": "confirmed", "c": "deferred", "d": "confirmed"}
    assert end(events).how is How.DONE
    assert list(last(made.folder).to_do()) == ["c"]


def test_without_a_canary_that_can_be_reached_nobody_follows(rig: Callable[..., Rig]) -> None:
    made = rig("a", "b")
    made.peers["a"].put = [GONE]
    events = made.goes()
    assert final(events) == {"a": "deferred"}
    assert end(events).why == "no node of the batch canary could be reached"


def test_one_that_runs_it_on_probation_already_is_only_waited_for(rig: Callable[..., Rig]) -> None:
    made = rig("a", standing={"a": Standing.PROVING})
    made.peers["a"].runs, made.peers["a"].then, made.peers["a"].sent = NEW, ["probation", "probation", "active"], True
    assert final(made.goes()) == {"a": "confirmed"}
    assert not any("PUT /v1/config" in line for line in made.peers["a"].log)


def test_one_that_goes_back_from_what_it_was_proving_is_rolled_back(rig: Callable[..., Rig]) -> None:
    made = rig("a", standing={"a": Standing.PROVING})
    peer = made.peers["a"]
    peer.runs, peer.then, peer.reason = NEW, ["probation", "back"], "no_confirmation"
    peer.sent = True
    assert final(made.goes()) == {"a": "rolled back"}


# --- two control hosts ------------------------------------------------------------------------------------------------

HELD = OrderRefused("CFG-011", "held", "push-1@ops2 holds it until 08:05: kim pushes 3 documents")


def test_a_node_that_another_holds_lets_nothing_begin(rig: Callable[..., Rig]) -> None:
    made = rig(*NAMES)
    made.peers["c"].lease = HELD
    with pytest.raises(NodesHeld, match="c: push-1@ops2 holds it until 08:05: kim pushes 3 documents"):
        made.goes()
    assert not any("/v1/config" in line for peer in made.peers.values() for line in peer.log)
    assert [peer.said() for peer in made.peers.values()] == [
        ["PUT", "DELETE"], ["PUT", "DELETE"], ["PUT"], ["PUT", "DELETE"],
    ]  # fmt: skip
    with pytest.raises(NothingToResume, match="began nothing"):
        last(made.folder)


def test_nodes_are_let_go_at_the_end_however_it_comes(rig: Callable[..., Rig]) -> None:
    for stop_after in (None, 1, 2):
        made = rig("a", "b", stop_after=stop_after)
        made.goes()
        assert [peer.said()[-1] for peer in made.peers.values()] == ["DELETE", "DELETE"]


def test_a_node_too_old_for_a_lease_is_changed_without(rig: Callable[..., Rig]) -> None:
    made = rig("a")
    made.peers["a"].lease = OrderRefused("API-003", "no such resource")
    assert final(made.goes()) == {"a": "confirmed"}
    assert made.peers["a"].said() == ["PUT", "PUT"]


def test_a_lease_that_somebody_takes_away_ends_it_before_the_next_batch(
    rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "RENEWED_S", 0.0)
    made = rig("a", "b")

    def taken(status: Callable[..., Any]) -> Callable[..., Any]:
        async def asked() -> Any:
            made.peers["b"].lease = HELD
            return await status()

        return asked

    made.peers["a"].status = taken(made.peers["a"].status)  # type: ignore[method-assign]
    events = made.goes()
    assert final(events) == {"a": "confirmed"}
    assert end(events).why.startswith("b: push-1@ops2 holds it until")
    assert made.peers["b"].runs == OLD


def test_the_name_of_a_run_is_one_that_a_lease_takes() -> None:
    run = run_id("push", 1_800_000_000_000_000)
    assert re.fullmatch(r"push-20270115T080000Z-[0-9a-f]{4}", run)
    assert re.fullmatch(OWNER, owner_of(run))


# --- what is kept, and going on ---------------------------------------------------------------------------------------


def test_the_history_tells_the_whole_push_and_no_document(rig: Callable[..., Rig]) -> None:
    made = rig(*NAMES)
    made.goes()
    (path,) = (made.folder / "pushes").glob("*.jsonl")
    text = path.read_text()
    assert '"name"' not in text  # of the site, as the documents have it
    past = read(path)
    assert past.phases == dict.fromkeys(NAMES, Phase.CONFIRMED)
    assert (past.begun, past.how, past.owner) == ({"canary", "rest"}, How.DONE, OWNER_HERE)
    assert text.count('"event":"row"') == 4
    with pytest.raises(NothingToResume, match="has come to its end"):
        last(made.folder)


def test_what_may_change_nodes_is_on_the_disk_before_it_does(
    rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def append(_: Journal, entries: Iterable[Mapping[str, Any]], *, lasting: bool) -> None:
        synced.extend(str(entry["event"]) for entry in entries if lasting)

    monkeypatch.setattr(Journal, "append", append)
    rig("a", "b").goes()
    assert [each for each in synced if each not in {"node", "row"}] == ["run", "batch", "batch", "ended"]


@pytest.mark.parametrize("stop_after", range(1, 9))
def test_a_push_that_is_interrupted_anywhere_is_gone_on_with(rig: Callable[..., Rig], stop_after: int) -> None:
    made = rig(*NAMES, stop_after=stop_after)
    first = made.goes()
    assert not isinstance(first[-1], Ended)
    made.stop_after = None
    for peer in made.peers.values():
        peer.then = ["active"]  # those that were on probation have decided
    events = made.goes(made.resumes(), begin=False)
    assert end(events).how is How.DONE
    assert {peer.name for peer in made.peers.values() if peer.runs == NEW} == set(NAMES)
    assert [sum("PUT /v1/config" in line for line in peer.log) for peer in made.peers.values()] == [1, 1, 1, 1]


def test_what_was_left_keeps_its_batches(rig: Callable[..., Rig]) -> None:
    made = rig(*NAMES, stop_after=1)
    made.goes()
    assert [(each.name, each.nodes) for each in made.resumes().batches] in (
        [("canary", ("a",)), ("rest", ("b", "c", "d"))],
        [("rest", ("b", "c", "d"))],
    )


def test_a_node_that_went_back_meanwhile_ends_it(rig: Callable[..., Rig]) -> None:
    made = rig(*NAMES, stop_after=2)
    made.goes()
    made.peers["a"].runs, made.peers["a"].reason = OLD, "bad_frames"
    plan = made.resumes()
    assert [(each.node, each.why) for each in plan.standing(Standing.FAILED)] == [
        ("a", "rolled the document back: bad_frames")
    ]


def test_a_node_that_was_being_changed_and_is_silent_now_ends_it(rig: Callable[..., Rig]) -> None:
    made = rig(*NAMES, stop_after=2)
    made.goes()
    made.peers["a"].runs, made.standing = OLD, {"a": Standing.DEFERRED}
    assert [each.node for each in made.resumes().standing(Standing.FAILED)] == ["a"]


def test_a_push_that_failed_is_not_gone_on_with(rig: Callable[..., Rig]) -> None:
    made = rig(*NAMES)
    made.peers["a"].then = ["back"]
    made.goes()
    with pytest.raises(NothingToResume, match="was stopped by what failed: a failed"):
        last(made.folder)


@pytest.mark.parametrize("confirmed", [True, False])
def test_one_that_was_cut_off_is_asked_again_when_it_is_back(rig: Callable[..., Rig], confirmed: bool) -> None:
    made = rig("a", "b")
    made.peers["a"].then = ["gone"]
    assert end(made.goes()).how is How.STOPPED
    made.peers["a"].then = ["active"]
    if confirmed:
        assert end(made.goes(made.resumes(), begin=False)).how is How.DONE
        assert made.peers["b"].runs == NEW
        return
    made.peers["a"].runs, made.peers["a"].reason = OLD, "no_confirmation"
    assert [each.node for each in made.resumes().standing(Standing.FAILED)] == ["a"]


def test_another_document_in_the_inventory_ends_it(rig: Callable[..., Rig]) -> None:
    made = rig(*NAMES, stop_after=2)
    made.goes()
    with pytest.raises(NothingToResume, match="wants another document of"):
        made.resumes(ELSE)


def test_without_a_history_there_is_nothing_to_go_on_with(tmp_path: Path) -> None:
    with pytest.raises(NothingToResume, match="none is kept here"):
        last(tmp_path)
    (tmp_path / "pushes").mkdir()
    (tmp_path / "pushes" / "push-1.jsonl").write_text('{"torn')
    with pytest.raises(NothingToResume, match="has no beginning"):
        last(tmp_path)
    (tmp_path / "pushes" / "push-1.jsonl").write_text('\n{"format": 99, "event": "run"}\n')
    with pytest.raises(StateNotSaved, match="newer release"):
        last(tmp_path)


def test_one_process_at_a_time_goes_on_with_a_push(tmp_path: Path) -> None:
    again = pytest.raises(NodesHeld, match="another process goes on with push-1")
    with History(tmp_path, "push-1").held(), again, History(tmp_path, "push-1").held():
        raise AssertionError


def test_what_cannot_be_recorded_is_not_begun(rig: Callable[..., Rig]) -> None:
    made = rig("a")
    (made.folder / "pushes").write_text("in the way")
    with pytest.raises(StateNotSaved):
        made.goes()
    assert made.peers["a"].log == []


def test_only_the_newest_are_kept(tmp_path: Path, rig: Callable[..., Rig]) -> None:
    (tmp_path / "pushes").mkdir()
    for number in range(250):
        (tmp_path / "pushes" / f"push-2026{number:04}.jsonl").touch()
    rig("a").goes()
    names = sorted(path.name for path in (tmp_path / "pushes").glob("*.jsonl"))
    assert (len(names), names[-1]) == (200, "push-20270115T080000Z-1f2e.jsonl")


def test_what_it_says_is_known_by_its_time() -> None:
    past = Past("push-1", "o", 1, 0.0)
    assert (past.to_do(), past.how) == ({}, None)
    assert Clock().utc_us() > past.at_us
