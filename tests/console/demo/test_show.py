"""The demo from start to end, with small programs as its nodes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console import cli
from console.app import FleetApp
from console.commands import demo
from console.demo.grounds import PREFIX
from console.demo.places import Wish
from console.demo.show import Options, _sum, play
from console.fleet.inventory import Host
from console.fleet.poller import Fleet
from console.fleet.view import NodeView
from console.settings import ConsoleSettings
from node.wire.errors import NodeNeverReady
from tests.nodes import wait_for

NODES = Wish(nodes=2)


@pytest.fixture
def stop_node(temporary: Path) -> Callable[[str, int], None]:
    """Sends a signal to a node of the demo that runs."""

    def send(name: str, number: int) -> None:
        (ready,) = temporary.glob(f"{PREFIX}*/{name}/ready.json")
        os.kill(json.loads(ready.read_text())["pid"], number)

    return send


def run(options: Options, signal_when: str = "", number: int = 0) -> tuple[int, list[str]]:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if signal_when and signal_when in line:
            os.kill(os.getpid(), number)

    return asyncio.run(play(options, say)), said


def test_it_says_why_there_is_no_screen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def played(*_: object) -> int:
        return 0

    monkeypatch.setattr(demo, "play", played)
    monkeypatch.setattr(demo, "no_terminal", lambda: "standard error is none")
    assert cli.main(["demo"]) == 0
    assert capsys.readouterr().out == (
        "lines in place of the screen, there is no terminal to draw on: standard error is none\n"
    )


def test_it_ends_by_itself_and_sums_up_each_node(modes: dict[str, str], temporary: Path) -> None:
    status, said = run(Options(NODES, for_s=1.0))
    assert status == 0
    assert said[0].startswith("starting 2 nodes in ")
    assert sum("is ready after" in line for line in said) == 2
    assert any(line.startswith("in another terminal: heliograph status -i ") for line in said)
    assert any(re.fullmatch(r"\d\d:\d\d:\d\dZ  nairobi    ok: was waiting", line) for line in said)
    assert said[-2:] == ["reykjavik: 9 due = 7 frames + 2 gaps", "nairobi: 9 due = 7 frames + 2 gaps"]
    assert list(temporary.glob(f"{PREFIX}*")) == []


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("when", ["starting", "another terminal", "ok: was waiting"])
def test_a_signal_at_any_moment_leaves_nothing(
    modes: dict[str, str], temporary: Path, when: str, number: int, expected: int
) -> None:
    status, said = run(Options(NODES), when, number)
    assert status == expected
    assert list(temporary.glob(f"{PREFIX}*")) == []
    assert ("due" in said[-1]) == (number != signal.SIGHUP and when != "starting")


@pytest.mark.parametrize(
    ("mode", "why", "words"),
    [
        ("dies", "its process ended", ["  nairobi: CFG-001 configuration document is invalid"]),
        ("silent", "no word", []),
    ],
)
def test_a_node_that_never_becomes_ready_ends_the_demo_with_its_last_words(
    modes: dict[str, str], temporary: Path, mode: str, why: str, words: list[str]
) -> None:
    modes["nairobi"] = mode
    said: list[str] = []
    with pytest.raises(NodeNeverReady, match=f"nairobi, {why}") as caught:
        asyncio.run(play(Options(NODES, ready_limit_s=2.0), said.append))
    assert (caught.value.code, caught.value.exit) == ("FLT-005", 1)
    assert [line for line in said if line.startswith("  ")] == words
    assert list(temporary.glob(f"{PREFIX}*")) == []


def test_a_reader_that_goes_away_leaves_nothing(modes: dict[str, str], temporary: Path) -> None:
    def say(line: str) -> None:
        if "ready" in line:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        asyncio.run(play(Options(NODES), say))
    assert list(temporary.glob(f"{PREFIX}*")) == []


def test_a_reader_that_goes_away_while_the_fleet_is_followed_gets_no_traceback(
    modes: dict[str, str], temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()

    def say(line: str) -> None:
        print(line, flush=True)
        if "in another terminal" in line:
            os.close(reader)

    monkeypatch.setattr(demo, "say", say)
    with os.fdopen(writer, "w", closefd=False) as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert cli.main(["demo", "--nodes", "1", "--for", "30"]) == 0
    os.close(writer)
    assert capsys.readouterr().err == ""
    assert list(temporary.glob(f"{PREFIX}*")) == []


def test_a_node_that_is_killed_on_the_way_is_summed_up_as_last_known(
    modes: dict[str, str], temporary: Path, stop_node: Callable[[str, int], None]
) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "nairobi    ok" in line:
            stop_node("nairobi", signal.SIGKILL)

    assert asyncio.run(play(Options(NODES, for_s=1.5), say)) == 0
    assert said[-1].startswith("nairobi: 9 due = 7 frames + 2 gaps (last known: FLT-002")


@pytest.mark.parametrize(("how", "why"), [(signal.SIGKILL, "FLT-002"), (signal.SIGSTOP, "no answer in time")])
def test_a_node_that_does_not_answer_costs_the_ending_little(
    modes: dict[str, str], temporary: Path, stop_node: Callable[[str, int], None], how: int, why: str
) -> None:
    said: list[str] = []
    ended_s = 0.0

    def say(line: str) -> None:
        nonlocal ended_s
        said.append(line)
        if "nairobi    ok" in line:
            stop_node("nairobi", how)
            os.kill(os.getpid(), signal.SIGTERM)
            ended_s = time.monotonic()

    assert asyncio.run(play(Options(NODES), say)) == 143
    assert time.monotonic() - ended_s < 5.5
    assert said[-2] == "reykjavik: 9 due = 7 frames + 2 gaps"
    assert said[-1].startswith(f"nairobi: 9 due = 7 frames + 2 gaps (last known: {why}")
    assert list(temporary.glob(f"{PREFIX}*")) == []


def test_a_second_signal_ends_it_at_once_and_still_leaves_nothing(
    modes: dict[str, str], temporary: Path, monkeypatch: pytest.MonkeyPatch, alive: Callable[[int], bool]
) -> None:
    monkeypatch.setattr("console.demo.show.GRACE_S", 60.0)
    monkeypatch.setattr("console.demo.show.SETTLE_S", 60.0)
    modes["nairobi"] = "stubborn"
    workers: list[int] = []

    def say(line: str) -> None:
        if "ok: was waiting" in line:
            workers.extend(int(path.read_text()) for path in temporary.glob("*/nairobi/worker.pid"))
            os.kill(os.getpid(), signal.SIGINT)
        if line.startswith("nairobi: 9 due"):
            asyncio.get_running_loop().call_later(0.2, os.kill, os.getpid(), signal.SIGTERM)
            began.append(time.monotonic())

    began: list[float] = []
    assert asyncio.run(play(Options(NODES), say)) == 130
    assert time.monotonic() - began[0] < 20  # of the 120 s that one signal would have given
    assert list(temporary.glob(f"{PREFIX}*")) == []
    assert workers
    wait_for(lambda: not any(alive(pid) for pid in workers), "the workers go with their nodes", 5)


def test_a_second_signal_ends_the_last_look_too(
    modes: dict[str, str], temporary: Path, monkeypatch: pytest.MonkeyPatch, stop_node: Callable[[str, int], None]
) -> None:
    monkeypatch.setattr("console.demo.show.GRACE_S", 60.0)
    monkeypatch.setattr("console.demo.show.SETTLE_S", 60.0)
    began: list[float] = []

    def say(line: str) -> None:
        if "nairobi    ok" in line:
            stop_node("nairobi", signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGINT)
            asyncio.get_running_loop().call_later(0.5, os.kill, os.getpid(), signal.SIGINT)
            began.append(time.monotonic())

    assert asyncio.run(play(Options(NODES), say)) == 130
    assert time.monotonic() - began[0] < 20  # of the 60 s that one signal would have given
    assert list(temporary.glob(f"{PREFIX}*")) == []


def test_control_c_on_the_screen_ends_with_130_and_the_quit_command_with_0(
    modes: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for keys, expected in ((["ctrl+c"], 130), ([":", "q", "enter"], 0)):

        async def headless(app: FleetApp, keys: list[str] = keys) -> bool | None:
            async with app.run_test(size=(120, 40)) as pilot:
                await pilot.press(*keys)
            return app.return_value

        monkeypatch.setattr(FleetApp, "run_async", headless)
        status, said = run(Options(NODES, screen=True))
        assert status == expected
        assert "due" in said[-1]


def test_on_a_terminal_the_screen_is_shown_until_the_time_is_over(
    modes: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    async def headless(app: FleetApp) -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            while app._exit is False:
                await pilot.pause(0.1)
                strips = app.screen._compositor.render_strips()
                shown.append("\n".join("".join(part.text for part in strip) for strip in strips))

    monkeypatch.setattr(FleetApp, "run_async", headless)
    status, said = run(Options(NODES, for_s=2.0, screen=True))
    assert status == 0
    assert re.search(r"● ok +nairobi", shown[-1])
    assert "heliograph demo" in shown[-1]
    assert any("heliograph status -i" in text for text in shown)
    assert not any("was waiting" in line for line in said)


def test_a_poller_that_breaks_is_not_passed_over(modes: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(fleet: Fleet) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Fleet, "run", broken)
    with pytest.raises(ExceptionGroup):
        run(Options(NODES))


def test_a_sum_that_does_not_come_out_is_said_not_to(
    make_status: Callable[..., Any], make_camera: Callable[..., Any]
) -> None:
    host = Host("kyoto", "127.0.0.1", 1, "http")
    status = make_status("kyoto", cameras=[make_camera(due=3, captured=1, gaps=1)])
    heard = NodeView(host, 0.0).heard(status, 5.0)
    assert _sum(heard, 5.0) == "3 due = 1 frame + 1 gap + 1 still open"
    assert _sum(heard, 6.0) == "3 due = 1 frame + 1 gap + 1 still open (last known: no answer in time)"
    over = make_status("kyoto", cameras=[make_camera(due=1, captured=1, gaps=1)])
    assert _sum(NodeView(host, 0.0).heard(over, 5.0), 5.0) == "1 due is not 1 frame + 1 gap"
    assert _sum(NodeView(host, 0.0).failed(NodeNeverReady("x")), 0.0).startswith("never heard: FLT-005")
    assert _sum(NodeView(host, 0.0), 0.0) == "never heard: no answer in time"


def test_the_demo_looks_as_the_settings_say(modes: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[FleetApp] = []

    async def headless(app: FleetApp) -> bool:
        found.append(app)
        return False

    monkeypatch.setattr(FleetApp, "run_async", headless)
    settings = ConsoleSettings(theme="light", pictures="none", ascii="always", keys={"hold": "f2"})
    status, _ = run(Options(NODES, screen=True, settings=settings))
    assert status == 0
    desk = found[0].desk
    assert (found[0].theme, desk.pictures, desk.ascii) == ("heliograph-light", False, True)
    assert desk.keys == {"hold": ("f2",)}
