"""`heliograph push`: the plan in words and for programs, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.commands import push as command
from console.fleet.inventory import Host
from console.fleet.push import Terms
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


@pytest.fixture
def takes(runs: Callable[..., Any], answer: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A node that is sent the document, and then shows these states of it."""
    monkeypatch.setattr(command, "TERMS", Terms(again_s=0.01, look_s=0.01, limit_s=5, slack_s=1))

    def made(name: str = "kyoto", *states: str, **more: Any) -> Any:
        fake = runs(name, **more)
        before = json.loads(fake.body)
        shown = [
            before | {"config": {"version": 8, "digest": digest(RUNS if state == "back" else WANTS),
                                 "state": "active" if state == "back" else state}}
            for state in states or ("probation", "active")
        ]  # fmt: skip
        fake.answers("GET /v1/status", before, before, *shown)
        fake.answers("PUT /v1/lease", {})
        fake.answers("DELETE /v1/lease", {})
        fake.answers("PUT /v1/config", {"version": 8, "digest": digest(WANTS), "previous": 7, "changed": True})
        row = {"version": 8, "digest": digest(WANTS), "created": "", "who": "", "origin": "put"}
        fake.answers("GET /v1/config/history", {"items": [row | {"state": "rolled_back", "reason": "bad_frames"}]})
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


# --- doing it ---------------------------------------------------------------------------------------------------------

SENT = ["/v1/lease", "/v1/config", "/v1/lease"]


def test_all_nodes_run_it_in_the_end(takes: Any, fleet: Any, run: Any) -> None:
    fakes = [takes("kyoto"), takes("cusco")]
    fleet(*fakes, heliograph_config_10_fleet=WANTS)
    ran = run("push", "/./", "--yes", "--soak", "0")
    assert ran.code == 0, ran.err
    said = ran.out.splitlines()
    happened = said[said.index("batch 1 of 2, canary: 1 node") :]
    assert [line for line in happened if "cusco" in line or "batch" in line] == [
        "batch 1 of 2, canary: 1 node", "  cusco: sent: version 8", f"  cusco: confirmed: runs {digest(WANTS)[:8]}",
        "batch 2 of 2, rest: 1 node",
    ]  # fmt: skip
    assert said[-2:] == ["done", "  2 confirmed"]
    assert [orders(fake) for fake in fakes] == [SENT, SENT]
    asked = dict(fakes[0].asked[[path for path, _ in fakes[0].asked].index("/v1/config", 4)][1])
    assert asked["If-Match"] == '"7"'
    assert asked["Heliograph-Lease"].startswith("push-")


def test_what_happens_can_be_read_by_a_program_line_by_line(takes: Any, fleet: Any, run: Any) -> None:
    fleet(takes("kyoto", "probation", "back"), runs_gone := GONE, heliograph_config_10_fleet=WANTS)
    ran = run("push", "/./", "--yes", "--json")
    assert ran.code == 1
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert set(lines[0]) == {"plan"}
    assert [line["event"] for line in lines[1:]] == ["batch", "moved", "moved", "ended"]
    assert (lines[-1]["how"], lines[-1]["why"]) == ("stopped", "kyoto rolled back")
    rows = {row["node"]: row for row in lines[-1]["rows"]}
    assert (rows["kyoto"]["running"], rows["kyoto"]["phase"]) == (digest(RUNS), "rolled back")
    assert (rows[runs_gone.name]["running"], rows[runs_gone.name]["phase"]) == ("", "deferred")


def test_a_failure_is_told_with_what_each_node_runs(takes: Any, runs: Any, fleet: Any, run: Any) -> None:
    fleet(takes("cusco", "back"), runs("kyoto"), heliograph_config_10_fleet=WANTS)
    ran = run("push", "/./", "--yes")
    assert ran.code == 1
    assert "stopped: cusco rolled back" in ran.out
    assert "  cusco: rolled back: bad_frames; runs the document of before again" in ran.out
    assert f"  cusco: rolled back: wanted {digest(WANTS)[:8]}, runs {digest(RUNS)[:8]} (active)" in ran.out
    assert f"  kyoto: change: wanted {digest(WANTS)[:8]}, runs {digest(RUNS)[:8]} (active)" in ran.out


@pytest.mark.parametrize(
    ("names", "typed", "code"),
    [
        (("kyoto",), "y\n", 0), (("kyoto",), "\n", 77), (("kyoto",), None, 77), (("kyoto", "cusco"), "2\n", 0),
        (("kyoto", "cusco"), "y\n", 77),
    ],
)  # fmt: skip
def test_it_is_confirmed_by_hand(
    names: tuple[str, ...], typed: str | None, code: int, takes: Any, fleet: Any, run: Any
) -> None:
    fakes = [takes(name) for name in names]
    fleet(*fakes, heliograph_config_10_fleet=WANTS)
    ran = run("push", *names, "--soak", "0", typed=typed)
    assert ran.code == code
    assert [orders(fake) for fake in fakes] == [SENT if code == 0 else []] * len(fakes)


def test_without_a_selector_nothing_is_changed(takes: Any, fleet: Any, run: Any) -> None:
    fake = takes()
    fleet(fake, heliograph_config_10_fleet=WANTS)
    ran = run("push", "--yes")
    assert (ran.code, orders(fake)) == (64, [])
    assert "FLT-011" in ran.err


def test_with_one_wrong_document_nothing_is_sent_to_anybody(
    takes: Any, runs: Any, fleet: Any, run: Any, answer: Any
) -> None:
    good, bad = takes("cusco"), runs("kyoto")
    bad.answers("POST /v1/config/validate", invalid({"cameras.roof": "no camera of that name"}, answer))
    fleet(good, bad, heliograph_config_10_fleet=WANTS)
    assert run("push", "/./", "--yes").code == 78
    assert orders(good) == []


def test_a_node_that_another_run_holds_is_left_alone(runs: Any, fleet: Any, run: Any) -> None:
    lease = {"owner": "push-1@ops2", "message": "kim pushes 3 documents", "until": "2027-01-15T08:05:00.000Z"}
    fake = runs(lease=lease)
    fleet(fake, heliograph_config_10_fleet=WANTS)
    ran = run("push", "/./", "--yes")
    assert (ran.code, orders(fake)) == (75, [])
    assert "kyoto: push-1@ops2 holds it until 2027-01-15T08:05:00.000Z: kim pushes 3 documents" in ran.out


def test_a_node_that_another_run_takes_first_ends_it_before_anything_is_sent(takes: Any, fleet: Any, run: Any) -> None:
    fake = takes()
    fake.refuses("PUT /v1/lease", 409, "CFG-011", "held", "push-1@ops2 holds it")
    fleet(fake, heliograph_config_10_fleet=WANTS)
    ran = run("push", "/./", "--yes")
    assert (ran.code, orders(fake)) == (75, ["/v1/lease"])
    assert "FLT-033 another run holds nodes: kyoto: push-1@ops2 holds it" in ran.err


def test_provisional_is_told_as_that(takes: Any, fleet: Any, run: Any) -> None:
    fleet(takes("kyoto", "provisional"), heliograph_config_10_fleet=WANTS)
    ran = run("push", "/./", "--yes")
    assert ran.code == 0
    assert "kyoto: provisional: nothing speaks for it yet" in ran.out
    assert "confirmed" not in ran.out
    assert ran.out.endswith("done\n  1 provisional\n")


def test_nothing_to_be_done_is_done(runs: Any, fleet: Any, run: Any) -> None:
    fleet(runs(document=WANTS), heliograph_config_10_fleet=WANTS)
    ran = run("push", "/./")
    assert (ran.code, "1 node, it runs its document already" in ran.out) == (0, True)


def test_without_a_push_before_there_is_nothing_to_resume(runs: Any, fleet: Any, run: Any) -> None:
    fleet(runs(), heliograph_config_10_fleet=WANTS)
    assert run("push", "--resume").code == 64
    assert "it takes no SELECTOR" in run("push", "--resume", "kyoto").err


def test_what_was_deferred_is_taken_up_by_resume(takes: Any, fleet: Any, run: Any, monkeypatch: Any) -> None:
    first = takes("cusco")
    fleet(first, GONE, heliograph_config_10_fleet=WANTS)
    assert run("push", "/./", "--yes").code == 1
    back = takes("oslo")
    fleet(first, back, heliograph_config_10_fleet=WANTS)
    ran = run("push", "--resume", "--yes")
    assert ran.code == 0, ran.err
    assert "batch 1 of 1, deferred: 1 node" in ran.out
    assert (orders(first), orders(back)) == ([*SENT, "/v1/lease", "/v1/lease"], SENT)  # both are let go in the end
    assert run("push", "--resume").code == 64


def test_secrets_are_in_no_history_and_nothing_said(takes: Any, fleet: Any, run: Any, tmp_path: Path) -> None:
    fake = takes("kyoto", "back")
    variables = {"heliograph_config_10_fleet": {"site": {"name": "{{ vault_name }}"}}, "vault_name": "hush"}
    fake.answers("POST /v1/config/validate", check({"site": {"name": "hush"}}))
    fleet(fake, **variables)
    ran = run("push", "/./", "--yes", "--state", str(tmp_path / "state"))
    kept = "".join(path.read_text() for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert "site.name" in kept
    assert "hush" not in ran.out + ran.err + kept


def test_a_state_that_cannot_be_written_ends_it_before_anything_is_sent(
    takes: Any, fleet: Any, run: Any, tmp_path: Path
) -> None:
    fake = takes()
    fleet(fake, heliograph_config_10_fleet=WANTS)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "pushes").write_text("in the way")
    ran = run("push", "/./", "--yes", "--state", str(tmp_path / "state"))
    assert (ran.code, orders(fake)) == (69, [])
    assert "FLT-016" in ran.err


@pytest.mark.parametrize("given", ["-1s", "25h", "soon", "0.0s"])
def test_a_soak_is_a_length_of_time(given: str, runs: Any, fleet: Any, run: Any) -> None:
    fleet(runs(), heliograph_config_10_fleet=WANTS)
    assert run("push", "/./", f"--soak={given}").code == 64
