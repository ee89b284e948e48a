"""The demo from start to end, with small programs as its nodes."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.app import FleetApp
from console.demo.grounds import PREFIX
from console.demo.places import Wish
from console.demo.show import Options, _sum, play
from console.fleet.inventory import Host
from console.fleet.poller import Fleet
from console.fleet.view import NodeView
from node.wire.errors import NodeNeverReady

NODES = Wish(nodes=2)


def run(options: Options, signal_when: str = "", number: int = 0) -> tuple[int, list[str]]:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if signal_when and signal_when in line:
            os.kill(os.getpid(), number)

    return asyncio.run(play(options, say)), said


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


def test_a_node_that_is_killed_on_the_way_is_summed_up_as_last_known(
    modes: dict[str, str], temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.demo.show.SETTLE_LOOKS", 2)
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "nairobi    ok" in line:
            (root,) = temporary.glob(f"{PREFIX}*")
            pid = int(re.findall(r'"pid": (\d+)', (root / "nairobi" / "ready.json").read_text())[0])
            os.kill(pid, signal.SIGKILL)

    assert asyncio.run(play(Options(NODES, for_s=1.5), say)) == 0
    assert said[-1].startswith("nairobi: 9 due = 7 frames + 2 gaps (last known: FLT-002")


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
    assert "● ok          nairobi" in shown[-1]
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
    assert _sum(NodeView(host, 0.0).heard(status, 0.0)) == "3 due is not 1 frame + 1 gap"
    assert _sum(NodeView(host, 0.0).failed(NodeNeverReady("x"))).startswith("never heard: FLT-005")
