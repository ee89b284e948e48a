"""Commands that act on cameras: selection, plan, question, outcomes, exit status."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from console import cli
from console.commands import acting
from console.fleet.acts import Outcome, Plan
from console.fleet.inventory import Host

GONE = Host("oslo", "127.0.0.1", 1, "http")
FRAME = {"id": "01ARZ3NDEKTSV4RRFF1A2B3C4D", "score": 93}


@pytest.fixture
def ready(start: Callable[..., Any], fleet: Callable[..., None]) -> Callable[..., Any]:
    """A node that captures when it is asked to, and the inventory of it and others."""

    def made(name: str = "kyoto", others: tuple[Any, ...] = (), cameras: tuple[str, ...] = ("main",)) -> Any:
        fake = start(name, cameras)
        for camera in cameras:
            fake.answers(f"POST /v1/cameras/{camera}/capture", FRAME)
        fleet(fake, *others)
        return fake

    return made


def test_a_frame_is_taken_and_said(ready: Any, run: Any) -> None:
    fake = ready()
    ran = run("capture", "kyoto", "--profile", "night", "--yes")
    assert ran.code == 0
    assert "kyoto/main: frame 1A2B3C4D kept, quality 93" in ran.out
    assert "1 done, 0 failed, 0 not begun" in ran.out
    assert [(path, body) for path, _, body in fake.orders] == [("/v1/cameras/main/capture", {"profile": "night"})]
    assert fake.orders[0][1]


def test_the_plan_alone_is_printed_and_nothing_is_sent(ready: Any, run: Any) -> None:
    fake = ready(others=(GONE,))
    ran = run("capture", "kyoto", "oslo", "--dry-run")
    assert (ran.code, fake.orders) == (0, [])
    assert "plan: capture, 1 step on 1 node" in ran.out
    assert "oslo: cannot: unreachable: FLT-002 Connection refused" in ran.out
    assert "same as: heliograph capture kyoto" in ran.out


def test_a_plan_can_be_read_by_a_program(ready: Any, run: Any) -> None:
    ready(others=(GONE,))
    said = run("capture", "kyoto", "oslo", "--dry-run", "--json").json
    assert said["plan"]["steps"][0]["path"] == "/v1/cameras/main/capture"
    assert [(each["node"], each["why"][:11]) for each in said["plan"]["refused"]] == [("oslo", "unreachable")]
    assert said["outcomes"] == []


def test_outcomes_can_be_read_by_a_program(ready: Any, run: Any) -> None:
    ready()
    ran = run("capture", "kyoto", "--yes", "--json")
    (outcome,) = ran.json["outcomes"]
    assert outcome == {
        "node": "kyoto", "camera": "main", "job": "", "ok": True, "unknown": False,
        "said": "frame 1A2B3C4D kept, quality 93", "code": "",
    }  # fmt: skip


def test_without_a_terminal_nothing_is_done_unless_it_was_confirmed(ready: Any, run: Any) -> None:
    fake = ready()
    ran = run("capture", "kyoto")
    assert (ran.code, fake.orders) == (77, [])
    assert "FLT-012" in ran.err
    assert "--yes" in ran.err


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("YES\n", 0), ("\n", 77), ("", 77), ("n\n", 77), ("1\n", 77)])
def test_one_node_is_a_question_with_no_as_its_answer(ready: Any, run: Any, typed: str, code: int) -> None:
    fake = ready()
    ran = run("capture", "kyoto", typed=typed)
    assert "go on? [y/N]" in ran.err
    assert (ran.code, len(fake.orders)) == (code, int(code == 0))


@pytest.mark.parametrize(("typed", "code"), [("2\n", 0), ("y\n", 77), ("1\n", 77), ("", 77)])
def test_for_several_nodes_their_number_is_to_be_typed(start: Any, ready: Any, run: Any, typed: str, code: int) -> None:
    other = start("cusco")
    other.answers("POST /v1/cameras/main/capture", FRAME)
    ready(others=(other,))
    ran = run("capture", "kyoto", "cusco", "--json", typed=typed)
    assert ran.code == code
    assert "type 2, the number of nodes" in ran.err
    assert "plan: capture, 2 steps on 2 nodes" in ran.err  # on the screen, not in the JSON
    assert len(other.orders) == int(code == 0)


def test_one_camera_of_a_node_is_named_behind_a_slash(ready: Any, run: Any) -> None:
    fake = ready(cameras=("north", "south"))
    run("capture", "kyoto/south", "--yes")
    assert [path for path, _, _ in fake.orders] == ["/v1/cameras/south/capture"]


def test_a_filter_selects(start: Any, ready: Any, run: Any) -> None:
    ready(others=(start("cusco", state="crit"),))
    assert run("capture", "state:ok", "--dry-run", "--json").json["plan"]["steps"][0]["node"] == "kyoto"
    assert len(run("capture", "/./", "--dry-run", "--json").json["plan"]["steps"]) == 2
    assert len(run("capture", "kyoto", "cusco", "state:crit", "--dry-run", "--json").json["plan"]["steps"]) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no node was named"),
        (["kyot"], "no node 'kyot' in the inventory"),  # never taken for part of a name
        (["gaps>99"], "no node fits gaps>99"),
        (["kyoto", "state:crit"], "no node fits kyoto state:crit"),
    ],
)
def test_to_select_nothing_is_an_error_with_a_hint(ready: Any, run: Any, words: list[str], said: str) -> None:
    fake = ready()
    ran = run("capture", *words, "--yes")
    assert (ran.code, fake.orders) == (64, [])
    assert f"FLT-011 nothing is selected: {said}" in ran.err
    assert "hint: " in ran.err


@pytest.mark.parametrize("term", ["moon>3", "gaps>many", "/(/", "/open", "state:splendid"])
def test_a_filter_that_makes_no_sense_is_said_to_make_none(ready: Any, run: Any, term: str) -> None:
    ready()
    ran = run("capture", term, "--yes")
    assert ran.code == 64
    assert "CLI-001" in ran.err


def test_nodes_that_were_not_named_are_not_asked(start: Any, ready: Any, run: Any) -> None:
    other = start("cusco")
    ready(others=(other,))
    run("capture", "kyoto", "--yes")
    assert other.asked == []


def test_some_failures_are_a_fault(ready: Any, run: Any) -> None:
    ready(others=(GONE,))
    assert run("capture", "kyoto", "oslo", "--yes").code == 1


def test_to_reach_none_is_unavailable(fleet: Any, run: Any) -> None:
    fleet(GONE)
    ran = run("capture", "oslo", "--yes")
    assert ran.code == 69
    assert "oslo: cannot: unreachable" in ran.out


def test_a_node_that_says_no_is_a_fault_with_its_words(ready: Any, run: Any) -> None:
    fake = ready()
    fake.refuses("POST /v1/cameras/main/capture", 503, "CAM-008", "camera is offline")
    ran = run("capture", "kyoto", "--yes")
    assert ran.code == 1
    assert "kyoto/main: failed: CAM-008 camera is offline" in ran.out


def test_a_node_that_does_not_say_what_became_of_it_may_have_done_it(ready: Any, run: Any, answer: Any) -> None:
    ready().answers("POST /v1/cameras/main/capture", answer({}, lost=True))
    ran = run("capture", "kyoto", "--yes")
    assert ran.code == 1
    assert "kyoto/main: FLT-002 no answer; it may have been done: " in ran.out
    assert "0 done, 0 failed, 1 may have been done, 0 not begun" in ran.out
    (outcome,) = run("capture", "kyoto", "--yes", "--json").json["outcomes"]
    assert (outcome["ok"], outcome["unknown"]) == (False, True)


def test_a_token_that_may_not_is_refused(ready: Any, run: Any) -> None:
    ready().refuses("POST /v1/cameras/main/capture", 403, "API-002", "this role may not do that")
    assert run("capture", "kyoto", "--yes").code == 77


def test_what_the_plan_cannot_do_is_refused(ready: Any, run: Any) -> None:
    ready()
    ran = run("capture", "kyoto/roof", "--yes")
    assert ran.code == 77
    assert "kyoto/roof: cannot: no camera 'roof' there: it has main" in ran.out


def test_a_camera_is_restarted_held_and_resumed(start: Any, fleet: Any, run: Any) -> None:
    fake = start()
    fleet(fake)
    fake.answers("POST /v1/cameras/main/restart", {"camera": {"name": "main", "state": "ok"}})
    for order in ("hold", "resume"):
        fake.answers(f"POST /v1/cameras/main/{order}", {"camera": "main", "changed": True})
    assert "restarted, a test shot proved it" in run("camera", "restart", "kyoto", "--yes").out
    assert "capture is held" in run("hold", "kyoto", "--reason", "lens", "--for", "1.5m", "--yes").out
    assert "capture goes on" in run("resume", "kyoto", "--yes").out
    assert [body for _, _, body in fake.orders] == [{}, {"reason": "lens", "for_s": 90}, {}]


def test_to_hold_needs_a_reason_and_a_time_that_is_one(ready: Any, run: Any) -> None:
    ready()
    assert run("hold", "kyoto", "--yes").code == 64
    assert run("hold", "kyoto", "--reason", "x", "--for", "soon", "--yes").code == 64


def test_an_older_release_is_said_to_be_older(start: Any, fleet: Any, run: Any) -> None:
    fleet(start(version="0.1.0"))
    ran = run("hold", "kyoto", "--reason", "x", "--yes")
    assert ran.code == 77
    assert "its release 0.1.0 cannot do that yet" in ran.out


def test_the_command_of_a_plan_runs_as_it_is_printed(
    start: Any, inventory: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    fake = start()
    fake.answers("POST /v1/cameras/main/hold", {"camera": "main", "changed": True})
    path = inventory(fake)
    assert cli.main(["hold", "kyoto", "--reason", "it's; $HOME", "-i", path, "--dry-run"]) == 0
    line = capsys.readouterr().out.split("same as: ")[1].strip()
    assert cli.main([*shlex.split(line)[1:], "--yes"]) == 0
    assert fake.orders[0][2] == {"reason": "it's; $HOME"}


def test_ctrl_c_says_how_far_it_came(ready: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(plan: Plan, *_: Any) -> AsyncIterator[Outcome]:
        yield Outcome(plan.steps[0].aim, ok=True, said="done")
        raise KeyboardInterrupt

    ready(cameras=("north", "south"))
    monkeypatch.setattr(acting, "perform", interrupted)
    ran = run("capture", "kyoto", "--yes")
    assert (ran.code, ran.err) == (130, "stopped here after 1 of 2: what was sent may go on\n")


def test_what_a_node_says_never_reaches_the_terminal_raw(ready: Any, run: Any) -> None:
    fake = ready()
    fake.refuses("POST /v1/cameras/main/capture", 409, "X\x1b[2J", "\x1b]0;title\x07", "a\nb")
    ran = run("capture", "kyoto", "--yes")
    assert "\x1b" not in ran.out + ran.err


def test_a_token_is_never_printed(ready: Any, run: Any, fleet: Any, token_file: Any) -> None:
    fake = ready()
    fleet(Host("kyoto", "127.0.0.1", fake.port, "http", token_file=str(token_file)))
    for form in ([], ["--json"]):
        ran = run("capture", "kyoto", "--yes", *form)
        assert "s3cret" not in ran.out + ran.err
    assert fake.asked[-1][1]["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize("words", [
    ("--reason", ""), ("--reason", "  "), ("--reason", "x" * 201),
    ("--reason", "lens", "--for", "99999d"), ("--reason", "lens", "--for", "0.5s"),
])  # fmt: skip
def test_what_no_node_would_take_is_refused_before_any_plan(ready: Any, run: Any, words: tuple[str, ...]) -> None:
    fake = ready()
    ran = run("hold", "kyoto", *words, "--yes")
    assert (ran.code, ran.out, fake.orders) == (64, "", [])
    assert "1 to 200 characters" in ran.err or "from 1s to 366d" in ran.err


def test_a_time_is_said_as_it_was_typed(ready: Any, run: Any) -> None:
    ready()
    out = run("hold", "kyoto", "--reason", "crane", "--for", "4h", "--dry-run").out
    assert "for 4h\n" in out
    assert "--for=4h" in out
