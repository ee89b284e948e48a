"""`heliograph rollout` as a process: asked, paused, aborted, killed and gone on with; and what it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from console.fleet.keep import Journal
from console.fleet.rollout_history import find, holder, running
from tests.console.playing import Ground, wait_for

PROGRAM = [sys.executable, "-m", "console.cli", "rollout"]
NAMES = ("alpha", "bravo", "charlie")
SECRET = "Xk29-never-shown"
PATIENCE_S = 90


@pytest.fixture
def ground(tmp_path: Path, start_node: Callable[..., Any]) -> Iterator[Ground]:
    made = Ground(tmp_path)
    made.ports = {name: start_node(name).port for name in NAMES}
    made.has(*NAMES)
    yield made
    left = made.left()
    made.end_left()
    assert left == []


def options(ground: Ground) -> list[str]:
    return ["-i", str(ground.inventory), "--state", str(ground.state), "--fleet", str(ground.folder)]


def rollout(ground: Ground, *words: str, asked: str = "") -> subprocess.CompletedProcess[str]:
    command = [*PROGRAM, *words, *options(ground)]
    return subprocess.run(command, input=asked, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


class Going:
    """One that goes on in a process of its own."""

    def __init__(self, ground: Ground, *words: str) -> None:
        self.ground = ground
        command = [*PROGRAM, *(words or ("mixed", *NAMES, "--yes", "--soak", "0")), *options(ground)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        ground.begun.append(self.process)

    def until(self, **said: Any) -> None:
        """An entry of its history says this."""
        wait_for(lambda: any(said.items() <= entry.items() for entry in entries(self.ground)), str(said), PATIENCE_S)

    def until_it_hangs(self, batch: int = 2) -> None:
        """In that batch the last task but one is under way, and whom it is not for has told so."""
        self.until(event="batch", number=batch)
        hangs = {"event": "task", "task": "It hangs"}
        wait_for(lambda: sum(hangs.items() <= entry.items() for entry in entries(self.ground)) == batch, "it hangs")

    def ends(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err


def entries(ground: Ground) -> list[dict[str, Any]]:
    paths = sorted((ground.state / "rollouts").glob("*.jsonl"))
    return Journal(paths[-1]).fresh() if paths else []


def hangs(ground: Ground, *names: str) -> None:
    ground.does = dict.fromkeys(names or ("bravo",), "hang")
    ground.has(*NAMES)


def heals(ground: Ground) -> None:
    ground.does = {}
    ground.has(*NAMES)


# --- the plan, and what is refused ------------------------------------------------------------------------------------


def test_the_plan_alone_asks_ansible_nothing(ground: Ground) -> None:
    ground.has(*NAMES, "delta")
    done = rollout(ground, "mixed", "--dry-run")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "plan: rollout of mixed, 3 of 4 nodes in 2 batches",
        "  canary: alpha, then watched for 30 s",
        "  rest: bravo, charlie",
        "deferred: 1 node, it cannot be reached now: left for another rollout",
        "  delta: does not answer (Connection refused)",
    ]
    assert entries(ground) == []


def test_check_ends_after_what_would_change_and_changes_nothing(ground: Ground) -> None:
    done = rollout(ground, "mixed", "alpha", "bravo", "--check", "-e", "word=new", "-e", f"my_token={SECRET}")
    assert done.returncode == 0
    assert "  with word=new, my_token=***" in done.stdout
    assert "check mode: it would change something on 2 of 2 nodes\n  alpha:\n    A file is there\n" in done.stdout
    assert "      +*** new" in done.stdout
    assert SECRET not in done.stdout + done.stderr
    assert ground.changed() == []
    assert entries(ground) == []


def test_where_check_mode_fails_nothing_is_begun(ground: Ground) -> None:
    ground.does = {"charlie": "foreseen"}
    ground.has(*NAMES)
    done = rollout(ground, "mixed", *NAMES, "--yes")
    assert done.returncode == 1
    assert "  charlie: it would fail: It would fail: it is foreseen" in done.stdout
    assert ground.changed() == []


def test_without_a_terminal_it_does_not_begin_unasked(ground: Ground) -> None:
    done = rollout(ground, "mixed", "alpha", asked="y\n")
    assert done.returncode == 77
    assert ground.changed() == []


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("gone", "alpha"), 78, "FLT-034 playbook cannot be run here: no playbook 'gone'"),
        (("../hosts", "alpha"), 78, "FLT-034"),
        (("mixed",), 64, "no node was named"),
        (("mixed", "oslo"), 64, "no node 'oslo' in the inventory"),
        ((), 64, "PLAYBOOK is missing"),
        (("mixed", "alpha", "-e", "word"), 64, "VAR=VALUE"),
        (("mixed", "alpha", "-e", f"-x={SECRET}"), 64, "VAR=VALUE"),
        (("mixed", "--list"), 64, "--list takes neither PLAYBOOK nor SELECTOR"),
        (("--show", "last"), 64, "FLT-035 there is no such rollout for that: none is kept here"),
        (("--abort", "last"), 64, "none is kept here"),
        (("--resume",), 64, "none is kept here"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    ground: Ground, words: tuple[str, ...], status: int, said: str
) -> None:
    done = rollout(ground, *words)
    assert done.returncode == status
    assert said in done.stderr
    assert SECRET not in done.stderr
    assert entries(ground) == []


def test_no_rollout_is_a_list_of_none(ground: Ground) -> None:
    done = rollout(ground, "--list")
    assert (done.returncode, done.stdout) == (0, "")
    assert rollout(ground, "--list", "--json").stdout == "[]\n"


# --- it runs ----------------------------------------------------------------------------------------------------------


def test_it_is_told_for_programs_kept_and_shown_without_secrets(ground: Ground) -> None:
    given = ("mixed", *NAMES, "--yes", "--soak", "0", "--json", "-e", f"my_token={SECRET}")
    done = rollout(ground, *given)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert [next(iter(line)) for line in lines[:2]] == ["plan", "check"]
    assert {line["event"] for line in lines[2:]} == {"batch", "task", "worked", "recapped", "judged", "ended"}
    assert [row["phase"] for row in lines[-1]["rows"]] == ["done"] * 3
    run = entries(ground)[0]["run"]
    [listed] = json.loads(rollout(ground, "--list", "--json").stdout)
    assert (listed["run"], listed["state"], listed["nodes"]) == (run, "done", 3)
    shown = rollout(ground, "--show", run[-4:])
    assert f"{run}: mixed, done" in shown.stdout
    assert "  alpha (canary): done: ready 0.1.0 00000000 quality 91\n    now: ready 0.1.0" in shown.stdout
    kept = b"".join(path.read_bytes() for path in ground.state.rglob("*") if path.is_file())
    assert SECRET not in done.stdout + done.stderr + shown.stdout + kept.decode()
    again = rollout(ground, "--resume", run)
    assert (again.returncode, "has come to its end" in again.stderr) == (64, True)
    assert "does not run now: it is done" in rollout(ground, "--abort", run).stderr


def test_one_that_was_stopped_by_a_failure_is_not_gone_on_with(ground: Ground) -> None:
    ground.does = {"alpha": "fail"}
    ground.has(*NAMES)
    done = rollout(ground, "mixed", *NAMES, "--yes")
    assert done.returncode == 1
    assert "stopped: alpha failed" in done.stdout
    heals(ground)
    again = rollout(ground, "--resume")
    assert again.returncode == 64
    assert "was stopped by what failed (alpha failed): mend it, begin anew" in again.stderr
    assert ground.changed() == ["alpha"]


def test_another_process_aborts_it_and_a_second_one_does_not_begin_beside_it(ground: Ground) -> None:
    hangs(ground)
    going = Going(ground)
    going.until_it_hangs()
    beside = rollout(ground, "mixed", "alpha", "--yes")
    assert beside.returncode == 75
    assert "goes on here" in beside.stderr
    assert rollout(ground, "--abort", "last").returncode == 0
    status, out, err = going.ends()
    assert status == 1, err
    assert "stopped here: aborted by " in out
    assert "tasks may still run on 1 node: bravo; each is asked now" in out
    assert "  bravo: unknown: a task was under way when the playbook was ended, and may go on there; still runs" in out
    assert "  charlie: unknown: the playbook was ended before it was through here; still runs" in out
    assert ground.left() == []
    heals(ground)
    again = rollout(ground, "--resume", "--yes")
    assert again.returncode == 0, again.stderr
    assert "plan: rollout of mixed, 2 of 2 nodes in 1 batch" in again.stdout
    assert [ground.runs(name) for name in NAMES] == [1, 1, 1]


def test_ctrl_c_aborts_it_in_order(ground: Ground) -> None:
    hangs(ground, "alpha")
    going = Going(ground)
    going.until_it_hangs(batch=1)
    going.process.send_signal(signal.SIGINT)
    status, out, _ = going.ends()
    assert status == 130
    assert "aborted: aborted by Ctrl-C" in out
    assert "  charlie: not begun: ready 0.1.0" in out
    assert ground.left() == []


def test_a_pause_and_a_resume_come_from_another_process(ground: Ground) -> None:
    ground.does = {"alpha": "wait"}
    ground.has(*NAMES)
    going = Going(ground)
    going.until(event="task", task="It waits")
    assert "is asked to hold" in rollout(ground, "--pause", "last").stdout
    (ground.folder / "marks" / ".go").touch()
    going.until(event="paused")
    assert json.loads(rollout(ground, "--list", "--json").stdout)[0]["state"] == "paused"
    assert ground.changed() == ["alpha"]
    assert "is asked to go on" in rollout(ground, "--resume").stdout
    status, out, err = going.ends()
    assert (status, "lets it go on" in out) == (0, True), err


@pytest.mark.parametrize(
    "point",
    [{"event": "run"}, {"event": "batch", "number": 1}, {"event": "judged", "node": "alpha"},
     {"event": "batch", "number": 2}, {}],
    ids=["begun", "in the first batch", "between two", "as the second begins", "in a task that hangs"],
)  # fmt: skip
def test_killed_at_any_point_it_is_shown_as_interrupted_and_gone_on_with(ground: Ground, point: dict[str, Any]) -> None:
    hangs(ground, "bravo", "charlie")  # both: what still speaks would end by the pipe that nobody reads
    going = Going(ground, "mixed", *NAMES, "--yes", "--soak", "0", "-e", f"my_token={SECRET}")
    if point:
        going.until(**point)
    else:
        going.until_it_hangs()
    going.process.send_signal(signal.SIGKILL)
    going.ends()
    wait_for(lambda: not ground.left(), "nobody watches the playbook, so it ends", 40)
    past = json.loads(rollout(ground, "--list", "--json").stdout)[0]
    assert past["state"] == "interrupted"
    heals(ground)
    shown = rollout(ground, "--show", "last").stdout
    assert "bravo (rest): " in shown
    assert shown.count("now: ready 0.1.0") == 3
    assert "was interrupted" in rollout(ground, "mixed", "alpha", "--dry-run").stderr
    assert "give again what is not kept: -e my_token=…" in rollout(ground, "--resume", "--yes").stderr
    done = rollout(ground, "--resume", "--yes", "-e", f"my_token={SECRET}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [ground.runs(name) for name in NAMES] == [1, 1, 1]
    assert json.loads(rollout(ground, "--list", "--json").stdout)[0]["state"] == "done"


def test_what_is_gone_on_with_lets_in_who_was_silent_and_named_and_nobody_else(ground: Ground) -> None:
    ground.ports.pop("charlie")
    ground.does = {"alpha": "fail"}
    ground.has("alpha", "charlie", "delta")
    rollout(ground, "mixed", "alpha", "charlie", "--yes")
    past = find(ground.state, "last")
    assert (past.named, past.to_do()) == ({"charlie"}, {"alpha": "canary", "charlie": "rest"})


def test_whose_it_is_can_be_asked_where_nothing_was_ever_kept(tmp_path: Path) -> None:
    assert holder(tmp_path) == running(tmp_path) == ""
