"""The console's application: composes the screens, starts the pollers."""

from __future__ import annotations

import asyncio
import sys
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from console.columns import is_utf8
from console.fleet.poller import Fleet
from console.screens.fleet import FleetScreen


class FleetApp(App[bool]):
    """Shows a fleet until `:q`, Ctrl-C, or `stop` is set.  The result is True where it was Ctrl-C."""

    CSS_PATH = "console.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "interrupt", "interrupt", show=False, priority=True)]

    def __init__(self, fleet: Fleet, *, title: str = "", notice: str = "", stop: asyncio.Event | None = None) -> None:
        super().__init__()
        self._fleet = fleet
        self._heading = title
        self._notice = notice
        self._stop = stop

    def on_mount(self) -> None:
        ascii_only = not is_utf8(sys.__stdout__.encoding if sys.__stdout__ is not None else None)
        self.push_screen(
            FleetScreen(self._fleet.model, title=self._heading, notice=self._notice, ascii_only=ascii_only)
        )
        self.run_worker(self._fleet.run(), name="pollers")
        if self._stop is not None:
            self.run_worker(self._exit_at(self._stop), name="stop")

    def action_interrupt(self) -> None:
        self.exit(result=True)

    async def _exit_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.exit()
