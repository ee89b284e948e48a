"""A fleet on a screen whose terminal is a test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from console.app import FleetApp
from console.fleet.desk import Desk, Pace
from console.fleet.inventory import Host
from console.fleet.poller import Fleet
from console.fleet.state import Book
from console.fleet.view import Patience
from console.screens.base import View
from console.screens.rows import RowsView
from node.wire.errors import NodeUnreachable

Story = Callable[["Seen"], Awaitable[None]]


@pytest.fixture(autouse=True)
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """What went wrong within views, though they went on: a test that means it takes it out."""
    met: list[BaseException] = []
    real = View.broken

    def note(view: View, error: BaseException) -> None:
        met.append(error)
        real(view, error)

    monkeypatch.setattr(View, "broken", note)
    yield met
    assert met == []


class Quiet(Fleet):
    """A fleet that is told what to know."""

    async def run(self) -> None:
        await asyncio.Event().wait()


class Seen:
    """The screen as a person has it before them."""

    def __init__(self, app: FleetApp, pilot: Pilot[None], fleet: Fleet) -> None:
        self.app = app
        self.pilot = pilot
        self.model = fleet.model

    @property
    def screen(self) -> RowsView:
        """The list at the front, also below a dialog."""
        return next(one for one in reversed(self.app.screen_stack) if isinstance(one, RowsView))

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.settle()

    async def type(self, text: str) -> None:
        await self.press(*text)

    async def settle(self) -> None:
        self.screen.paint()
        await self.pilot.pause()

    def lines(self) -> list[str]:
        return ["".join(part.text for part in strip) for strip in self.app.screen._compositor.render_strips()]

    def text(self) -> str:
        return "\n".join(self.lines())

    def names(self) -> list[str]:
        return list(self.screen.listing.keys)

    def line_of(self, name: str) -> str:
        """Its row in the grid."""
        return next(line for line in self.lines()[3:] if f" {name} " in line)


@pytest.fixture
def look(
    hand: Any,
    make_status: Callable[..., Any],
    make_camera: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., None]:
    """Runs a story before a screen of that size: four nodes, one of each kind, and as many more as asked."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))  # what is copied lands there
    monkeypatch.delenv("TMUX", raising=False)

    def run(story: Story, size: tuple[int, int] = (120, 40), more: int = 0, only: str = "", **given: Any) -> None:
        names = ["reykjavik", "nairobi", "kyoto", "cusco", *(f"cam-{number:03d}" for number in range(more))]

        async def whole() -> None:
            hosts = [Host(name, "127.0.0.1", port, "http") for port, name in enumerate(names, 1)]
            fleet = Quiet(hosts, patience=Patience(poll_s=2), clock=hand.as_clock())
            for name in names:
                fleet.model.heard(name, make_status(name))
            lost = [make_camera("north"), make_camera("south", state="offline", quality=31)]
            fleet.model.heard("nairobi", make_status("nairobi", state="crit", reasons=["south is lost"], cameras=lost))
            fleet.model.heard("kyoto", make_status("kyoto", state="warn", reasons=["disk is filling"]))
            for _ in range(3):
                fleet.model.failed("cusco", NodeUnreachable("no route"))
            if only:
                fleet.model.set_hosts(host for host in hosts if host.name in only)
            desk = Desk(
                fleet,
                Book.open(tmp_path / "state", tmp_path / "inventory.yml", hand.as_clock()),
                title="demo",
                inventory=tmp_path / "inventory.yml",
                operator="mw",
                clock=hand.as_clock(),
                pace=Pace(lambda: 0.0),  # the machine may be busy
                **{"notice": "heliograph status -i x.yml", **given},
            )
            desk.alerts.refresh()
            app = FleetApp(desk)
            async with app.run_test(size=size) as pilot:
                seen = Seen(app, pilot, fleet)
                await seen.settle()
                await story(seen)

        asyncio.run(whole())

    return run
