"""The console's application: composes the screens, goes from one to another, starts the source of news."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from console.fleet.desk import Desk
from console.screens.base import View
from console.screens.fleet import FleetScreen
from console.screens.rows import RowsView

VIEWS: tuple[type[View], ...] = (FleetScreen,)
HOME = FleetScreen.NAME


class FleetApp(App[bool]):
    """Shows a fleet until `:q`, Ctrl-C, or `stop` is set.  The result is True where it was Ctrl-C."""

    CSS_PATH = "console.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "interrupt", "interrupt", show=False, priority=True)]

    def __init__(self, desk: Desk, *, stop: asyncio.Event | None = None) -> None:
        super().__init__()
        self.desk = desk
        self._stop = stop
        self._views: dict[str, View] = {}
        self._trail: list[str] = []
        self._last = HOME

    def on_mount(self) -> None:
        self._views = {view.NAME: view(self.desk) for view in VIEWS}
        self.push_screen(self._views[HOME])
        self._trail = [HOME]
        self.run_worker(self.desk.run(), name="desk")
        if self._stop is not None:
            self.run_worker(self._exit_at(self._stop), name="stop")

    def visit(self, view: str, *, node: str = "", text: str | None = None) -> None:
        """Shows that view; what it was opened from is where Esc leads back to."""
        shown = self._views[view]
        shown.aim(node)
        if isinstance(shown, RowsView) and text is not None:
            shown.listing.filter_by(text)
        if self._trail[-1] != view:
            self._last = self._trail[-1]
            self._trail = [*(self._trail[: self._trail.index(view)] if view in self._trail else self._trail), view]
            self.switch_screen(shown)
        shown.paint()

    def back(self) -> None:
        if len(self._trail) > 1:
            self._last = self._trail.pop()
            self.switch_screen(self._views[self._trail[-1]])

    def previous_view(self) -> None:
        self.visit(self._last)

    def action_interrupt(self) -> None:
        self.exit(result=True)

    async def _exit_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.exit()
