"""`heliograph push`: the plan in words and for programs, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from console.fleet.inventory import Host
from console.fleet.wanted import wanted
from node.wire.config import digest

GONE = Host("oslo", "127.0.0.1", 1, "http")
RUNS: dict[str, Any] = {"schedules": {"a": {"interval_s": 600}}}
WANTS: dict[str, Any] = {"schedules": {"a": {"interval_s": 300}}}


def config(document: dict[str, Any], version: int = 7, **more: Any) -> dict[str, Any]:
    said = {"version": version, "digest": digest(document), "state": "active", "document": document, "effective": {}}
    return {**said, **more}


def check(document: dict[str, Any], **more: Any) -> dict[str, Any]:
    slots = [f"2027-01-15T08:0{minute}:00.000Z" for minute in (0, 5)]
    camera = {"name": "main", "next_slots": slots, "frames_per_day": 288.0, "frames_per_day_now": 144.0}
    return {"valid": True, "digest": digest(document), "changed": [], "cameras": [camera], **more}


@pytest.fixture
def runs(start: Callable[..., Any]) -> Callable[..., Any]:
    """A node that runs that document and would run the one wanted."""

    def made(name: str = "kyoto", document: dict[str, Any] = RUNS, state: str = "active", **more: Any) -> Any:
        fake = start(name, config={"version": 7, "digest": digest(document), "state": state}, **more)
        fake.answers("GET /v1/config", config(document, state=state))
        fake.answers("POST /v1/config/validate", check(WANTS))
        return fake

    return made


def orders(fake: Any) -> list[str]:
    """All but what only asks."""
    return [path for path, _, _ in fake.orders if path != "/v1/config/validate"]


def invalid(faults: dict[str, str], answer: Any) -> Any:
    errors = [{"path": path, "message": message, "given": "seen"} for path, message in faults.items()]
    said = {"type": "about:blank", "title": "invalid", "status": 422, "code": "CFG-001", "errors": errors}
    return answer(said, 422)


def test_the_plan_tells_batches_changes_and_what_they_do(runs: Any, fleet: Any, run: Any) -> None:
    gone = {"what": "frame", "rule": "old", "count": 12, "size_bytes": 3_400_000}
    first, second, third = runs("kyoto"), runs("cusco"), runs("dakar", WANTS)
    first.answers("POST /v1/config/validate", check(WANTS, reclaim=[gone], reclaim_more=True))
    fleet(first, second, third, GONE, heliograph_config_10_fleet=WANTS)
    ran = run("push", "--dry-run")
    assert ran.code == 0, ran.err
    said = ran.out.splitlines()
    assert said[0] == "plan: push, 2 of 4 nodes in 2 batches"
    assert said[1:3] == ["  canary: cusco", "  rest: kyoto"]
    assert "    schedules.a.interval_s: 600 → 300" in said
    assert "    cusco main: 144 → 288 frames a day; next 01-15 08:00:00Z, 01-15 08:05:00Z" in said
    assert "    kyoto deletes 12 frame (3.4 MB, old)" in said
    assert "    kyoto deletes more than that: the node stopped counting" in said
    assert any(line.startswith("  oslo: unreachable: FLT-002") for line in said)
    assert said[said.index("unchanged: 1 node, it runs its document already") + 1] == "  dakar"
    assert [orders(each) for each in (first, second, third)] == [[], [], []]


def test_a_canary_of_the_inventory_goes_first(runs: Any, fleet: Any, run: Any) -> None:
    nodes = [runs("cusco"), runs("kyoto")]
    canary = Host("kyoto", "127.0.0.1", nodes[1].port, "http", groups=("canary", "fleet"))
    fleet(nodes[0], canary, heliograph_config_10_fleet=WANTS)
    batches = run("push", "--dry-run", "--json").json["plan"]["batches"]
    assert [(batch["name"], batch["nodes"]) for batch in batches] == [("canary", ["kyoto"]), ("rest", ["cusco"])]


def test_a_plan_can_be_read_by_a_program(runs: Any, fleet: Any, run: Any) -> None:
    fleet(runs(), GONE, heliograph_config_10_fleet=WANTS)
    nodes = {each["node"]: each for each in run("push", "--dry-run", "--json").json["plan"]["nodes"]}
    assert nodes["kyoto"]["standing"] == "change"
    assert (nodes["kyoto"]["version"], nodes["kyoto"]["digest"], nodes["kyoto"]["wanted"]) == (
        7, digest(RUNS), digest(WANTS),
    )  # fmt: skip
    assert nodes["kyoto"]["changes"] == [{"path": "schedules.a.interval_s", "old": "600", "new": "300"}]
    assert nodes["kyoto"]["check"]["cameras"][0]["frames_per_day"] == 288
    assert (nodes["oslo"]["standing"], nodes["oslo"]["code"]) == ("deferred", "FLT-002")


@pytest.mark.parametrize("words", [("kyoto",), ("group:hill",), ("/kyo/",)])
def test_only_the_nodes_meant_are_in_the_plan(words: tuple[str, ...], runs: Any, fleet: Any, run: Any) -> None:
    fake = runs()
    host = Host("kyoto", "127.0.0.1", fake.port, "http", groups=("hill",))
    fleet(host, runs("cusco"), heliograph_config_10_fleet=WANTS)
    assert [each["node"] for each in run("push", "--dry-run", "--json", *words).json["plan"]["nodes"]] == ["kyoto"]


def test_what_is_wrong_here_is_named_with_every_field_though_no_node_answers(fleet: Any, run: Any) -> None:
    fleet(GONE, heliograph_config_10_fleet={"site": {"latitude": 100}, "nope": 1, "x": "{{ lookup('a') }}"})
    ran = run("push", "--dry-run")
    assert ran.code == 78
    assert "FLT-031" in ran.err
    assert "oslo.heliograph_config_10_fleet.x: has a template that only Ansible can fill in" in ran.err
    fleet(GONE, heliograph_config_10_fleet={"site": {"latitude": 100}, "nope": 1})
    ran = run("push", "--dry-run")
    assert ran.code == 78
    assert "oslo.nope: there is no such field" in ran.err
    assert "oslo.site.latitude: " in ran.err


def test_what_a_node_finds_wrong_is_named_with_every_field(runs: Any, fleet: Any, run: Any, answer: Any) -> None:
    fake, faults = runs(), {"cameras.roof": "no camera of that name", "nope": "there is no such field"}
    fake.answers("POST /v1/config/validate", invalid(faults, answer))
    fleet(fake, heliograph_config_10_fleet=WANTS)
    ran = run("push", "--dry-run")
    assert ran.code == 78
    assert "  kyoto.cameras.roof: no camera of that name\n  kyoto.nope: there is no such field\n" in ran.err
    assert "seen" not in ran.err + ran.out
    assert "wrong: 1 node, it would not run the document" in ran.out


def test_a_node_too_old_for_a_field_is_said_to_be_that(runs: Any, fleet: Any, run: Any, answer: Any) -> None:
    old, new = runs("kyoto"), runs("cusco")
    old.answers("POST /v1/config/validate", invalid({"schedules.a.phase_s": "there is no such field"}, answer))
    fleet(old, new, heliograph_config_10_fleet=WANTS)
    ran = run("push", "--dry-run")
    assert ran.code == 0
    assert "too old: 1 node, its release does not know a field yet: left out\n  kyoto: schedules.a.phase_s" in ran.out
    assert "plan: push, 1 of 2 nodes in 1 batch" in ran.out


@pytest.mark.parametrize(
    ("document", "state", "standing"),
    [
        (WANTS, "active", "unchanged"),
        (WANTS, "probation", "proving"),
        (WANTS, "provisional", "unchanged"),
        (RUNS, "probation", "busy"),
        (RUNS, "provisional", "change"),
    ],
)
def test_what_runs_and_how_decides_what_is_done(
    document: dict[str, Any], state: str, standing: str, start: Any, fleet: Any, run: Any
) -> None:
    fake = start("kyoto")
    fake.answers("GET /v1/config", config(document, state=state))
    fake.answers("POST /v1/config/validate", check(WANTS))
    fleet(fake, heliograph_config_10_fleet=WANTS)
    assert run("push", "--dry-run", "--json").json["plan"]["nodes"][0]["standing"] == standing


def test_secrets_are_in_no_plan(runs: Any, fleet: Any, run: Any) -> None:
    fake = runs(document={"site": {"name": "old-hush"}})
    wants = {"site": {"name": "{{ vault_name }}"}, "weather": {"api_key": "new-hush"}}
    variables = {"heliograph_config_10_fleet": wants, "vault_name": "new-hush"}
    meant = wanted("kyoto", variables)
    fake.answers("POST /v1/config/validate", check(meant.document))  # type: ignore[union-attr, arg-type]
    fleet(fake, **variables)
    for words in ((), ("--json",)):
        ran = run("push", "--dry-run", *words)
        assert "hush" not in ran.out + ran.err
        assert "(secret)" in ran.out


@pytest.mark.parametrize(
    ("route", "status", "code"), [("GET /v1/config", 403, "FLT-004"), ("POST /v1/config/validate", 503, "FLT-010")]
)
def test_a_node_that_will_not_be_asked_is_deferred(
    route: str, status: int, code: str, runs: Any, fleet: Any, run: Any
) -> None:
    fake = runs()
    fake.refuses(route, status, "API-001")
    fleet(fake, runs("cusco", WANTS), heliograph_config_10_fleet=WANTS)
    said = {each["node"]: each for each in run("push", "--dry-run", "--json").json["plan"]["nodes"]}
    assert (said["kyoto"]["standing"], said["kyoto"]["code"]) == ("deferred", code)


def test_a_node_that_understands_another_document_gets_none(runs: Any, fleet: Any, run: Any) -> None:
    fake = runs()
    fake.answers("POST /v1/config/validate", check({"else": 1}))
    fleet(fake, heliograph_config_10_fleet=WANTS)
    assert "understands another document" in run("push", "--dry-run").out


def test_the_exit_status_says_that_nobody_could_be_asked(runs: Any, fleet: Any, run: Any) -> None:
    fleet(GONE, heliograph_config_10_fleet=WANTS)
    assert run("push", "--dry-run").code == 69
    fake = runs()
    fake.refuses("GET /v1/config", 403, "API-002")
    fleet(fake, heliograph_config_10_fleet=WANTS)
    assert run("push", "--dry-run").code == 77


@pytest.mark.parametrize(
    ("words", "code"), [(("nobody",), "FLT-011"), (("state:huh",), "CLI-001"), (("state:crit",), "FLT-011")]
)
def test_a_selector_that_means_nobody_is_refused(
    words: tuple[str, ...], code: str, runs: Any, fleet: Any, run: Any
) -> None:
    fleet(runs(), heliograph_config_10_fleet=WANTS)
    ran = run("push", "--dry-run", *words)
    assert ran.code == 64
    assert code in ran.err


def test_nodes_of_which_the_inventory_wants_nothing_are_left_alone(runs: Any, fleet: Any, run: Any) -> None:
    fleet(runs())
    ran = run("push", "--dry-run")
    assert ran.code == 64
    assert "no variable heliograph_config_* is about those nodes" in ran.err


def test_of_many_alike_only_some_are_told_each_by_itself(runs: Any, fleet: Any, run: Any) -> None:
    fleet(*(runs(f"cam-{number:02}") for number in range(25)), heliograph_config_10_fleet=WANTS)
    ran = run("push", "--dry-run")
    assert "  cam-00, cam-01, cam-02, cam-03, cam-04, cam-05, cam-06, cam-07 and 17 more:" in ran.out
    assert ran.out.count("frames a day") == 20
    assert "… and so on for 5 more" in ran.out
    assert len(json.loads(run("push", "--dry-run", "--json").out)["plan"]["nodes"]) == 25
