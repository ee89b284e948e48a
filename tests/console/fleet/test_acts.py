"""What may be done to nodes: the plan, its command line, and its sending to real servers."""

from __future__ import annotations

import asyncio
import dataclasses
import shlex
from collections.abc import Callable
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from console.fleet import acts
from console.fleet.acts import DEEDS, PATIENCE, SAID, Aim, Deed, Options, Outcome, Plan, perform, plan
from console.fleet.client import NodeClient
from console.fleet.inventory import Host
from console.fleet.view import FleetModel, Patience
from node.wire.errors import NodeUnreachable
from node.wire.routes import ROLES
from node.wire.work_records import JobRecord

JOB = "01ARZ3NDEKTSV4RRFFQ69G0001"
FRAME = {"id": "01ARZ3NDEKTSV4RRFF1A2B3C4D", "score": 93}


@pytest.fixture
def fleet(hand: Any, make_status: Callable[..., Any], make_camera: Callable[..., Any]) -> Callable[..., FleetModel]:
    def made(*hosts: Host | str, cameras: tuple[str, ...] = ("main",), **changes: Any) -> FleetModel:
        named = [Host(host, "127.0.0.1", 1, "http") if isinstance(host, str) else host for host in hosts]
        model = FleetModel(named, patience=Patience(failed=1), clock=hand.as_clock())
        for host in named:
            told = {"version": "0.3.0", "cameras": [make_camera(name) for name in cameras], **changes}
            model.heard(host.name, make_status(host.name, **told))
        return model

    return made


@pytest.fixture
def record(make_job: Callable[..., Any]) -> Callable[..., JobRecord]:
    return lambda **changes: JobRecord.model_validate(make_job(1, **changes))


def do(planned: Plan, *fakes: Any, pauses: list[float] | None = None) -> list[Outcome]:
    """With keys k1, k2 …"""
    numbers = count(1)
    waited = [] if pauses is None else pauses

    async def pause(seconds: float) -> None:
        waited.append(seconds)

    async def run() -> list[Outcome]:
        clients = {fake.name: NodeClient(fake.host, timeout_s=2.0) for fake in fakes}
        try:
            return [each async for each in perform(planned, clients.get, lambda: f"k{next(numbers)}", pause)]
        finally:
            for client in clients.values():
                await client.close()

    return asyncio.run(run())


# --- the table --------------------------------------------------------------------------------------------------------


def test_every_deed_stands_in_the_table_with_words_for_its_answer_and_how_it_is_undone() -> None:
    assert set(DEEDS) == set(Deed) == set(SAID)
    for deed, kind in DEEDS.items():
        assert kind.undo or kind.undo_said, deed
        assert kind.risk, deed


def test_what_is_held_is_resumed_and_a_cancel_is_not_undone() -> None:
    assert (DEEDS[Deed.HOLD].undo, DEEDS[Deed.RESUME].undo) == (Deed.RESUME, Deed.HOLD)
    assert DEEDS[Deed.REDRIVE].undo is Deed.CANCEL
    assert DEEDS[Deed.CANCEL].undo is None


def test_every_deed_goes_to_a_route_of_the_node() -> None:
    assert [kind.path for kind in DEEDS.values() if ("POST", kind.path) not in ROLES] == []


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_a_cameras_deed_without_a_camera_means_each_of_the_node(fleet: Any) -> None:
    model = fleet("kyoto", cameras=("north", "south"))
    planned = plan(Deed.RESTART, [Aim("kyoto"), Aim("kyoto", "south")], model)
    assert [step.path for step in planned.steps] == ["/v1/cameras/north/restart", "/v1/cameras/south/restart"]
    assert planned.refused == ()


def test_a_step_says_how_the_camera_is(fleet: Any, make_camera: Callable[..., Any]) -> None:
    since = "2027-01-15T07:00:00.000Z"
    sick = make_camera("main", state="recovering", recovery_rung="reopen", error_code="CAM-005", held=since)
    model = fleet("kyoto", cameras=())
    status = model.views["kyoto"].status
    model.heard("kyoto", type(status).model_validate({**status.model_dump(), "cameras": [sick]}))
    (step,) = plan(Deed.RESTART, [Aim("kyoto")], model).steps
    assert step.sentence == "kyoto: restart camera main (recovering, held, reopen, CAM-005)"


def test_bodies_carry_only_what_was_said(fleet: Any) -> None:
    def body(deed: Deed, **said: Any) -> Any:
        return plan(deed, [Aim("kyoto")], fleet("kyoto"), Options(**said)).steps[0].body

    assert body(Deed.HOLD, reason="ladder", for_s=600) == {"reason": "ladder", "for_s": 600}
    assert body(Deed.HOLD, reason="ladder") == {"reason": "ladder"}
    assert body(Deed.CAPTURE, profile="night") == {"profile": "night"}
    assert (body(Deed.CAPTURE), body(Deed.RESUME, reason="x", for_s=1)) == ({}, {})


@pytest.mark.parametrize(
    ("aim", "why"),
    [
        (Aim("atlantis"), "no such node in the inventory"),
        (Aim("kyoto", "roof"), "no camera 'roof' there: it has main"),
        (Aim("kyoto", "../../config/rollback"), "no camera '../../config/rollback' there: it has main"),
    ],
)
def test_an_aim_that_is_not_there_is_refused_with_why(fleet: Any, aim: Aim, why: str) -> None:
    planned = plan(Deed.CAPTURE, [aim], fleet("kyoto"))
    assert (planned.steps, planned.refused) == ((), ((aim, why),))


def test_a_node_without_cameras_or_of_names_that_are_none_is_refused(fleet: Any) -> None:
    for cameras in ((), ("../jobs",)):
        assert plan(Deed.CAPTURE, [Aim("kyoto")], fleet("kyoto", cameras=cameras)).refused[0][1] == "it has no camera"


def test_who_is_not_heard_is_refused_with_why(fleet: Any, hand: Any) -> None:
    model = fleet("kyoto", "oslo")
    model.set_hosts([*(view.host for view in model.views.values()), Host("new", "127.0.0.1", 2, "http")])
    hand.now_s += 35
    model.failed("oslo", NodeUnreachable("no route to host"))
    told = dict(plan(Deed.CAPTURE, [Aim("kyoto"), Aim("oslo"), Aim("new")], model).refused)
    assert told[Aim("kyoto")] == "stale: silent for 35s"
    assert told[Aim("oslo")] == "unreachable: FLT-002 no route to host"
    assert told[Aim("new")].startswith("waiting")


def test_an_older_release_is_told_by_its_version(fleet: Any) -> None:
    def refused(version: str) -> list[str]:
        return [why for _, why in plan(Deed.HOLD, [Aim("kyoto")], fleet("kyoto", version=version)).refused]

    assert refused("0.2.0") == ["its release 0.2.0 cannot do that yet"]
    assert refused("0.3.0") == refused("10.0.0.dev1") == refused("built by hand") == refused("") == []


@pytest.mark.parametrize(
    ("deed", "state", "why"),
    [
        (Deed.REDRIVE, "dead", ""),
        (Deed.REDRIVE, "leased", "it is leased: only dead jobs can be redriven"),
        (Deed.DISCARD, "done", "it is done: only dead jobs can be given up"),
        (Deed.CANCEL, "retry", ""),
        (Deed.CANCEL, "dead", "it is dead: only leased or queued or retry jobs can be cancelled"),
    ],
)
def test_the_state_of_a_job_decides_what_can_be_done(fleet: Any, record: Any, deed: Deed, state: str, why: str) -> None:
    jobs = {f"kyoto/{JOB}": record(state=state)}
    planned = plan(deed, [Aim("kyoto", job=JOB)], fleet("kyoto"), jobs=jobs)
    assert [each for _, each in planned.refused] == ([why] if why else [])


def test_a_job_that_is_not_known_here_is_left_to_the_node(fleet: Any) -> None:
    (step,) = plan(Deed.REDRIVE, [Aim("kyoto", job=JOB)], fleet("kyoto")).steps
    assert step.path == f"/v1/jobs/{JOB}/redrive"
    assert step.sentence == f"kyoto: let wait again job {JOB[-8:]}"


@pytest.mark.parametrize("job", ["", "../config", "01ARZ3NDEKTSV4RRFFQ69G0001/x", "x" * 10_000])
def test_what_is_no_id_of_a_job_never_gets_into_a_path(fleet: Any, job: str) -> None:
    planned = plan(Deed.CANCEL, [Aim("kyoto", job=job)], fleet("kyoto"))
    assert planned.steps == ()
    assert len(planned.refused[0][1]) < 500


def test_nothing_aimed_at_is_an_empty_plan(fleet: Any) -> None:
    assert plan(Deed.CAPTURE, [], fleet("kyoto")).steps == ()


def test_the_command_does_the_same_and_survives_a_shell(fleet: Any) -> None:
    said = Options(reason="lens; rm -rf ~ 'quoted'", for_s=90, inventory="/tmp/my fleet.yml")
    planned = plan(Deed.HOLD, [Aim("kyoto", "main"), Aim("oslo"), Aim("atlantis")], fleet("kyoto", "oslo"), said)
    assert shlex.split(planned.command) == [
        "heliograph", "hold", "kyoto/main", "oslo", "--for=90s", f"--reason={said.reason}",
        "--inventory=/tmp/my fleet.yml",
    ]  # fmt: skip


def test_the_command_of_a_plan_of_refusals_names_what_was_meant(fleet: Any) -> None:
    planned = plan(Deed.RESTART, [Aim("atlantis")], fleet("kyoto"), Options(reason="is of no use here"))
    assert planned.command == "heliograph camera restart atlantis"


# --- sending ----------------------------------------------------------------------------------------------------------

ANSWERS: list[tuple[Deed, str, dict[str, Any], str]] = [
    (Deed.RESTART, "cameras/main/restart", {"camera": {"name": "main", "state": "ok"}},
     "restarted, a test shot proved it"),
    (Deed.CAPTURE, "cameras/main/capture", FRAME, "frame 1A2B3C4D kept, quality 93"),
    (Deed.CAPTURE, "cameras/main/capture", {**FRAME, "score": None, "verdict": "bad"}, "frame 1A2B3C4D kept, bad"),
    (Deed.HOLD, "cameras/main/hold", {"camera": "main", "changed": True}, "capture is held until it is resumed"),
    (Deed.HOLD, "cameras/main/hold", {"camera": "main", "changed": True, "held_until": "2027-01-15T09:00:00.000Z"},
     "capture is held until 2027-01-15T09:00:00.000Z"),
    (Deed.RESUME, "cameras/main/resume", {"camera": "main", "changed": True}, "capture goes on"),
    (Deed.RESUME, "cameras/main/resume", {"camera": "main", "changed": False}, "it was not held"),
]  # fmt: skip


@pytest.mark.parametrize(("deed", "path", "answer", "said"), ANSWERS)
def test_what_a_camera_did_is_said_in_words(
    start_node: Any, fleet: Any, deed: Deed, path: str, answer: dict[str, Any], said: str
) -> None:
    fake = start_node("kyoto")
    fake.answers(f"POST /v1/{path}", answer)
    planned = plan(deed, [Aim("kyoto")], fleet(fake.host), Options(reason="ladder"))
    assert do(planned, fake) == [Outcome(Aim("kyoto", "main"), ok=True, said=said)]
    assert [(path, key) for path, key, _ in fake.orders] == [(f"/v1/{path}", "k1")]


@pytest.mark.parametrize(
    ("deed", "state", "said"),
    [
        (Deed.REDRIVE, "queued", "waits again, with new attempts"),
        (Deed.CANCEL, "cancelled", "cancelled"),
        (Deed.CANCEL, "leased", "cancel asked; it may run on until its next step"),
        (Deed.CANCEL, "done", "it is done by now"),
        (Deed.DISCARD, "cancelled", "given up"),
    ],
)
def test_what_became_of_a_job_is_said_in_words(
    start_node: Any, fleet: Any, make_job: Callable[..., Any], deed: Deed, state: str, said: str
) -> None:
    fake = start_node("kyoto")
    fake.answers(f"POST /v1/jobs/{JOB}/{deed}", make_job(1, state=state))
    (outcome,) = do(plan(deed, [Aim("kyoto", job=JOB)], fleet(fake.host)), fake)
    assert (outcome.ok, outcome.said) == (True, said)


def capture(fleet: Any, *fakes: Any) -> Plan:
    return plan(Deed.CAPTURE, [Aim(fake.name) for fake in fakes], fleet(*(fake.host for fake in fakes)))


def test_a_lost_answer_is_asked_for_once_more_under_the_same_key(start_node: Any, fleet: Any, answer: Any) -> None:
    fake = start_node("kyoto")
    fake.answers("POST /v1/cameras/main/capture", answer({}, lost=True), FRAME)
    assert [each.ok for each in do(capture(fleet, fake), fake)] == [True]
    assert [key for _, key, _ in fake.orders] == ["k1", "k1"]


def test_an_answer_lost_twice_may_have_been_done(start_node: Any, fleet: Any, answer: Any) -> None:
    fake = start_node("kyoto")
    fake.answers("POST /v1/cameras/north/capture", answer({}, lost=True))
    planned = plan(Deed.CAPTURE, [Aim("kyoto")], fleet(fake.host, cameras=("north", "south")))
    first, second = do(planned, fake)
    assert (first.ok, first.unknown, first.failed) == (False, True, False)
    assert first.said.startswith("no answer; it may have been done: ")
    assert (second.failed, second.said) == (True, "not asked: no answer to the one before")


def test_a_node_that_was_never_connected_to_has_done_nothing(fleet: Any) -> None:
    host = Host("kyoto", "127.0.0.1", 1, "http")
    (outcome,) = do(plan(Deed.CAPTURE, [Aim("kyoto")], fleet(host)), SimpleNamespace(name="kyoto", host=host))
    assert (outcome.failed, outcome.code, outcome.said) == (True, "FLT-002", "Connection refused")


def test_whoever_is_shut_out_after_a_lost_answer_does_not_know_either(
    start_node: Any, fleet: Any, answer: Any, make_problem: Any
) -> None:
    fake = start_node("kyoto")
    fake.answers("POST /v1/cameras/main/capture", answer({}, lost=True), make_problem(403, "API-002"))
    (outcome,) = do(capture(fleet, fake), fake)
    assert (outcome.unknown, outcome.code) == (True, "FLT-004")


def test_the_nodes_own_no_after_a_lost_answer_is_no(
    start_node: Any, fleet: Any, answer: Any, make_problem: Any
) -> None:
    fake = start_node("kyoto")
    no = make_problem(503, "CAM-008", "camera is offline")
    fake.answers("POST /v1/cameras/main/capture", answer({}, lost=True), no)
    (outcome,) = do(capture(fleet, fake), fake)
    assert (outcome.failed, outcome.code) == (True, "CAM-008")


def test_an_answer_lost_twice_is_no_answer(start_node: Any, fleet: Any, answer: Any) -> None:
    fake = start_node("kyoto")
    fake.answers("POST /v1/cameras/main/capture", answer({}, lost=True))
    (outcome,) = do(capture(fleet, fake), fake)
    assert (outcome.ok, outcome.code, len(fake.orders)) == (False, "FLT-002", 2)


def test_an_order_that_goes_on_is_asked_after_until_it_has_ended(
    start_node: Any, fleet: Any, make_problem: Any
) -> None:
    fake, pauses = start_node("kyoto"), list[float]()
    busy = make_problem(409, "API-011", "idempotency key was used", "that action is still being done")
    fake.answers("POST /v1/cameras/main/capture", make_problem(503, "API-018", "goes on"), busy, busy, FRAME)
    assert [each.ok for each in do(capture(fleet, fake), fake, pauses=pauses)] == [True]
    assert {key for _, key, _ in fake.orders} == {"k1"}
    assert tuple(pauses) == PATIENCE[:3]


def test_a_lost_order_that_is_still_being_done_is_waited_for(
    start_node: Any, fleet: Any, make_problem: Any, answer: Any
) -> None:
    fake = start_node("kyoto")
    lost, busy = answer({}, lost=True), make_problem(409, "API-011", "key was used")
    fake.answers("POST /v1/cameras/main/capture", lost, busy, FRAME)
    assert [each.ok for each in do(capture(fleet, fake), fake)] == [True]
    assert {key for _, key, _ in fake.orders} == {"k1"}


def test_an_order_that_goes_on_for_ever_is_left_with_the_nodes_own_words(
    start_node: Any, fleet: Any, make_problem: Any
) -> None:
    fake, pauses = start_node("kyoto"), list[float]()
    fake.answers("POST /v1/cameras/main/capture", make_problem(503, "API-018", "action takes long and goes on"))
    (outcome,) = do(capture(fleet, fake), fake, pauses=pauses)
    assert (outcome.ok, outcome.said, outcome.code) == (False, "action takes long and goes on", "API-018")
    assert outcome.unknown
    assert tuple(pauses) == PATIENCE


def test_a_key_of_somebody_else_is_not_waited_for(start_node: Any, fleet: Any) -> None:
    fake, pauses = start_node("kyoto"), list[float]()
    fake.refuses("POST /v1/cameras/main/capture", 409, "API-011", "key was used")
    (outcome,) = do(capture(fleet, fake), fake, pauses=pauses)
    assert (outcome.code, outcome.failed) == ("API-011", True)
    assert pauses == []


def test_the_nodes_own_no_is_told_in_its_words_cleaned(start_node: Any, fleet: Any) -> None:
    fake = start_node("kyoto")
    fake.refuses("POST /v1/cameras/main/capture", 503, "CAM-008", "camera is offline", "\x1b[2Jno\nlink")
    (outcome,) = do(capture(fleet, fake), fake)
    assert (outcome.code, outcome.said) == ("CAM-008", "camera is offline:  [2Jno link")


def test_a_release_without_the_route_is_said_to_be_older(start_node: Any, fleet: Any) -> None:
    fake = start_node("kyoto")
    (outcome,) = do(plan(Deed.HOLD, [Aim("kyoto")], fleet(fake.host), Options(reason="ladder")), fake)
    assert (outcome.ok, outcome.said, outcome.code) == (False, acts.UNKNOWN_ORDER, "API-003")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"<html>", b"[" * 90_000, {"id": 7}, {"score": 400, "id": "x"}, b" " * 10_000_000]
)
def test_an_answer_that_makes_no_sense_is_no_success(start_node: Any, fleet: Any, answer: Any, body: Any) -> None:
    fake = start_node("kyoto")
    fake.answers("POST /v1/cameras/main/capture", answer(body, 201))
    (outcome,) = do(capture(fleet, fake), fake)
    assert (outcome.ok, outcome.unknown, outcome.code) == (False, True, "FLT-003")


def test_one_nodes_trouble_is_its_own_and_it_is_asked_no_more(start_node: Any, fleet: Any) -> None:
    sick, well = start_node("oslo"), start_node("kyoto")
    well.answers("POST /v1/cameras/north/capture", FRAME)
    well.answers("POST /v1/cameras/south/capture", FRAME)
    sick.refuses("POST /v1/cameras/north/capture", 403, "API-002")
    model = fleet(sick.host, well.host, cameras=("north", "south"))
    outcomes = do(plan(Deed.CAPTURE, [Aim("oslo"), Aim("kyoto")], model), sick, well)
    assert {str(each.aim): each.ok for each in outcomes} == {
        "oslo/north": False, "oslo/south": False, "kyoto/north": True, "kyoto/south": True,
    }  # fmt: skip
    assert len(sick.orders) == 1
    assert next(each.said for each in outcomes if each.aim == Aim("oslo", "south")).startswith("not asked: ")


def test_with_nobody_to_ask_each_step_says_so(fleet: Any) -> None:
    outcomes = do(plan(Deed.CAPTURE, [Aim("kyoto"), Aim("oslo")], fleet("kyoto", "oslo")))
    assert [(each.ok, each.said) for each in outcomes] == [(False, "there is nobody to ask")] * 2


def test_an_empty_plan_has_no_outcomes(fleet: Any) -> None:
    assert do(plan(Deed.CAPTURE, [], fleet("kyoto"))) == []


def test_a_few_nodes_are_acted_on_at_once_and_each_does_one_thing_after_the_other(fleet: Any) -> None:
    under_way, most = dict[str, int](), 0

    class Slow(NodeClient):
        async def order(self, path: str, body: Any, key: str) -> dict[str, Any]:
            nonlocal most
            under_way[self.host.name] = under_way.get(self.host.name, 0) + 1
            most = max(most, len(under_way))
            assert under_way[self.host.name] == 1
            await asyncio.sleep(0)
            del under_way[self.host.name]
            return FRAME

    model = fleet(*(f"cam-{number:02}" for number in range(40)), cameras=("north", "south"))
    planned = plan(Deed.CAPTURE, [Aim(name) for name in model.views], model)

    async def run() -> list[Outcome]:
        return [each async for each in perform(planned, lambda name: Slow(model.views[name].host), lambda: "key")]

    assert len(asyncio.run(run())) == 80
    assert most == acts.AT_ONCE


def test_who_stops_listening_ends_what_is_under_way(fleet: Any) -> None:
    ended = []

    class Endless(NodeClient):
        async def order(self, path: str, body: Any, key: str) -> dict[str, Any]:
            if self.host.name == "kyoto":
                return FRAME
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(self.host.name)
            return {}

    model = fleet("kyoto", "oslo")

    async def run() -> None:
        outcomes = perform(
            plan(Deed.CAPTURE, [Aim("kyoto"), Aim("oslo")], model),
            lambda name: Endless(model.views[name].host),
            lambda: "key",
        )
        assert (await anext(outcomes)).ok
        await outcomes.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())
    assert ended == ["oslo"]


def test_no_token_gets_into_a_plan_or_an_outcome(start_node: Any, fleet: Any, token_file: Any) -> None:
    fake = start_node("kyoto")
    fake.refuses("POST /v1/cameras/main/capture", 401, "API-001")
    host = dataclasses.replace(fake.host, token_file=str(token_file))
    planned = capture(lambda *_: fleet(host), fake)
    assert "s3cret" not in repr((planned, do(planned, fake)))
