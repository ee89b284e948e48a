"""Nodes that say the utmost that they legally may, and worse: every screen and tab shows it and lives."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from console.app import FleetApp
from console.fleet.desk import Desk, Pace
from console.fleet.inventory import Host
from console.fleet.poller import Fleet
from console.fleet.state import Book
from console.fleet.view import Patience
from console.screens.base import View
from console.screens.node.screen import GROUP, NAMES
from tests.bench.fleet.certificate import LOOPBACK
from tests.bench.fleet.hostile import Hostile

MOST = 3
SIZES = [(80, 24), (200, 60)]
PLACES = "njae"
LIST_KEYS = (["t"], ["t"], ["t"], ["i"], ["s", "down", "enter"], ["s", "down", "down", "enter"], ["v"])
NODES = ("most-0", "most-1", "curses")
TAB_KEYS = ("t", "t", "enter", "escape", "v", "escape")
Story = Callable[["Ground"], Awaitable[None]]


class Ground:
    """A live fleet of such nodes on a screen."""

    def __init__(self, app: FleetApp, pilot: Pilot[None], fleet: Fleet) -> None:
        self.app, self.pilot, self.fleet = app, pilot, fleet
        self.looks = 0

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await self.pilot.pause(0.01)

    def answered(self) -> bool:
        """Nothing of the node's is still asked for."""
        return not any(one.is_running for one in self.app.workers if one.group == GROUP)

    async def press(self, *keys: str) -> None:
        """And nothing that steers a terminal is in what is drawn."""
        await self.pilot.press(*keys)
        await self.pilot.pause()
        for screen in self.app.screen_stack:
            if isinstance(screen, View) and screen.is_current:
                screen.paint()
        await self.pilot.pause()
        for strip in self.app.screen._compositor.render_strips():
            for part in strip:
                bad = [char for char in part.text if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
                assert not bad, (keys, part.text)
        self.looks += 1


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))

    def run(story: Story, size: tuple[int, int]) -> int:
        async def whole() -> int:
            hostile = Hostile()
            manners = {**{f"most-{number}": "most" for number in range(MOST)}, "beyond": "beyond", "curses": "curses"}
            ports = {name: await hostile.start(name, manner) for name, manner in manners.items()}
            fleet = Fleet([Host(name, LOOPBACK, port, "http") for name, port in ports.items()],
                          patience=Patience(poll_s=1))  # fmt: skip
            book = Book.open(tmp_path / "state", tmp_path / "inventory.yml", fleet.model.clock)
            app = FleetApp(Desk(fleet, book, pace=Pace(lambda: 0.0)))
            try:
                async with app.run_test(size=size) as pilot:
                    seen = Ground(app, pilot, fleet)
                    views = fleet.model.views.values()
                    await seen.until(lambda: all(view.heard_s or view.error for view in views))
                    assert [name for name, view in fleet.model.views.items() if view.status is None] == [
                        "beyond",
                        "curses",
                    ]
                    await seen.until(lambda: fleet.model.told >= MOST)
                    await story(seen)
                    assert app.is_running
                    return seen.looks
            finally:
                await asyncio.gather(*(client.close() for name in ports if (client := fleet.client(name))))
                hostile.close()
                await asyncio.gather(*hostile._visits, return_exceptions=True)

        return asyncio.run(whole())

    return run


@pytest.mark.parametrize("size", SIZES)
def test_every_list_is_drawn_and_sorted(ground: Callable[..., int], size: tuple[int, int]) -> None:
    async def story(seen: Ground) -> None:
        for place in PLACES:
            await seen.press("g", place)
            for keys in LIST_KEYS:
                await seen.press(*keys)
            await seen.press("escape")

    assert ground(story, size) == len(PLACES) * (len(LIST_KEYS) + 2)


@pytest.mark.parametrize("size", SIZES)
def test_every_tab_of_every_such_node_is_drawn(ground: Callable[..., int], size: tuple[int, int]) -> None:
    async def story(seen: Ground) -> None:
        for name in NODES:
            seen.app.visit("node", node=name)
            for number in range(1, len(NAMES) + 1):
                await seen.press(str(number))
                await seen.until(seen.answered)
                for key in TAB_KEYS:
                    await seen.press(key)
                seen.app.visit("node", node=name)

    assert ground(story, size) == len(NODES) * len(NAMES) * (len(TAB_KEYS) + 1)
