"""The parts of a rollout that are rules: lines that are read, nodes that are judged, playbooks that will not end."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from console.fleet import rollout_child
from console.fleet.rollout_child import Call, Child, environment, words
from console.fleet.rollout_events import Counts, Health, Noticed, Reader, Recapped, TaskBegun, Worked
from console.fleet.rollout_gate import Look, judge
from node.wire.errors import PlaybookUnusable, ProgramMissing

WELL = Health(answers=True, ready=True, version="0.4.0", digest="aa", quality={"main": 90}, config="active")


def line(**said: Any) -> bytes:
    return json.dumps({"t": "", "event": "ok", "host": "alpha", "task": "T", "play": "P", "msg": "", **said}).encode()


def test_tasks_are_counted_by_node() -> None:
    reader = Reader(["alpha", "bravo"])
    for what in ("ok", "changed", "skipped", "retry", "item", "ignored", "failed"):
        reader.read(line(event=what))
    assert reader.counts["alpha"] == Counts(ok=2, changed=1, failed=1, skipped=1)
    assert reader.counts["bravo"] == Counts()
    assert reader.failed == {"alpha": "T: "}


def test_what_is_under_way_is_known() -> None:
    reader = Reader(["alpha", "bravo", "charlie"])
    assert isinstance(reader.read(line(event="task", host=None)), TaskBegun)
    reader.read(line(event="unreachable", msg="no route"))
    told = reader.read(line(event="recap", host="bravo", rc=0))
    assert told == Recapped("bravo", good=True, counts=Counts())
    assert reader.open() == ("charlie",)
    assert reader.unreachable == {"alpha": "no route"}


@pytest.mark.parametrize(
    "said",
    [
        b"[]", b"1", b"null", b"", b"   ", b'{"event": "ok"}', b'{"event": "ok", "host": "evil"}',
        b'{"event": {}, "host": 1}', b'{"event": "recap", "host": "evil", "rc": 0}',
        b'{"event": "play", "host": "alpha"}', b'{"host": ["alpha"]}',
    ],
)  # fmt: skip
def test_lines_that_mean_nothing_here_are_passed_over(said: bytes) -> None:
    reader = Reader(["alpha"])
    assert reader.read(said) is None
    assert reader.open() == ("alpha",)


def test_what_is_no_line_of_ours_is_shown_as_text() -> None:
    assert Reader([]).read(b"\xff\x1b[31m Traceback\n") == Noticed("\ufffd [31m Traceback ")
    assert Reader([]).read(line(event="no_hosts", host=None, msg="no host matches")) == Noticed("no host matches")
    assert Reader([]).read(line(event="warning", host="evil", msg="odd")) == Noticed("odd")


def test_a_diff_keeps_its_lines_and_nothing_else() -> None:
    told = Reader(["alpha"], ["hidden"]).read(line(event="changed", diff="--- a\n+x\x1b[31m hidden\n" + "y\n" * 9_999))
    assert isinstance(told, Worked)
    assert told.diff.startswith("--- a\n+x [31m ***\ny\n")
    assert len(told.diff) < 9_000


@pytest.mark.parametrize(
    ("now", "look"),
    [
        (WELL, Look.WELL),
        (Health(why="refused"), Look.WAIT),
        (Health(answers=True, ready=False), Look.WAIT),
        (Health(answers=True, ready=True, config="probation"), Look.TRIAL),
        (Health(answers=True, ready=True, release="trial"), Look.TRIAL),
        (Health(answers=True, ready=False, release="rolled_back"), Look.BAD),
        (Health(answers=True, ready=True, release="rollback_failed"), Look.BAD),
        (Health(answers=True, ready=True, dead=1), Look.BAD),
        (Health(answers=True, ready=True, quality={"main": 74}), Look.BAD),
        (Health(answers=True, ready=True, quality={"main": 75}), Look.WELL),
        (Health(answers=True, ready=True, release="provisional"), Look.PROVISIONAL),
        (Health(answers=True, ready=True, release="confirmed"), Look.WELL),
        (Health(answers=True, ready=True, config="provisional", digest="bb"), Look.PROVISIONAL),
        (Health(answers=True, ready=True, config="provisional", digest="aa"), Look.WELL),
    ],
)
def test_a_node_is_judged_by_what_it_was(now: Health, look: Look) -> None:
    assert judge(WELL, now)[0] is look


def test_what_was_ill_before_is_not_this_change_s_fault() -> None:
    ill = Health(answers=True, ready=False, dead=3, release="rolled_back", since="then", quality={"main": 20})
    assert judge(ill, ill)[0] is Look.WELL
    assert judge(Health(), Health(why="refused")) == (Look.WELL, "does not answer (refused), nor did it before")


# --- the child --------------------------------------------------------------------------------------------------------

STUBBORN = """#!{python}
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN if "term" in {how!r} else signal.SIG_DFL)
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
print('{{"event": "task", "play": "p", "task": "' + str(child.pid) + '"}}', flush=True)
print("[ERROR]: it is stubborn\\nOrigin: secret.yml", file=sys.stderr, flush=True)
time.sleep(600)
"""


@pytest.fixture
def stubborn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def made(how: str) -> Call:
        path = tmp_path / "ansible-playbook"
        path.write_text(STUBBORN.format(python=sys.executable, how=how))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(rollout_child, "program", lambda: str(path))
        return Call(tmp_path / "x.yml", tmp_path, None, ("alpha",))

    return made


def is_there(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


async def ended(call: Call, hurry: asyncio.Event) -> tuple[int, int, str]:
    child = await Child.start(call)
    first = json.loads(await anext(child.lines()))
    await asyncio.sleep(0.1)
    await child.stop(hurry, ((signal.SIGINT, 0.3), (signal.SIGTERM, 0.3)))
    rc = await child.wait()
    await child.close()
    return int(first["task"]), rc, child.last_words


def test_a_playbook_that_hears_no_signal_is_killed_with_all_it_has_started(stubborn: Any) -> None:
    pid, rc, said = asyncio.run(ended(stubborn("int term"), asyncio.Event()))
    assert rc == -signal.SIGKILL
    assert said == "it is stubborn"
    assert not is_there(pid)


def test_a_second_wish_goes_on_to_the_next_signal_at_once(stubborn: Any) -> None:
    async def hurried() -> float:
        child = await Child.start(stubborn("int term"))
        pid = int(json.loads(await anext(child.lines()))["task"])
        hurry = asyncio.Event()
        asyncio.get_running_loop().call_later(0.2, hurry.set)
        asyncio.get_running_loop().call_later(0.4, hurry.set)
        begun = time.monotonic()
        await child.stop(hurry, ((signal.SIGINT, 60.0), (signal.SIGTERM, 60.0)))
        await child.close()
        assert not is_there(pid)
        return time.monotonic() - begun

    assert asyncio.run(hurried()) < 20


def test_ten_thousand_nodes_are_no_longer_a_command_line_than_one() -> None:
    few, many = (Call(Path("/x.yml"), Path("/"), Path("hosts"), ("alpha",) * count) for count in (1, 10_000))
    assert words(few, 7) == words(many, 7)
    assert "@/dev/fd/7" in words(many, 7)


def test_a_list_of_hosts_stays_one_and_a_path_becomes_whole() -> None:
    def named(inventory: Path | None) -> list[str]:
        given = words(Call(Path("/x.yml"), Path("/"), inventory, ()), 7)
        return given[given.index("-i") + 1 :][:1] if "-i" in given else []

    assert named(Path("alpha,")) == ["alpha,"]
    assert named(Path("hosts")) == [str(Path.cwd() / "hosts")]
    assert named(None) == []


def test_secrets_stand_in_the_environment_alone() -> None:
    call = Call(Path("/x.yml"), Path("/"), None, (), {"word": "open"}, {"my_token": "hidden"}, owner="run@here")
    assert "hidden" not in repr(call) + repr(words(call, 7))
    given = environment(call, 9)
    assert given["HELIOGRAPH_SECRET_my_token"] == "hidden"
    assert (given["HELIOGRAPH_LEASE_OWNER"], given["HELIOGRAPH_LIFELINE"]) == ("run@here", "9")


def test_what_cannot_be_started_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Call(tmp_path / "x.yml", tmp_path, None, ())
    monkeypatch.setattr(rollout_child, "program", lambda: str(tmp_path))
    with pytest.raises(PlaybookUnusable, match="could not be started: Permission denied"):
        asyncio.run(Child.start(call))
    monkeypatch.undo()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProgramMissing, match="install heliograph"):
        rollout_child.program()
