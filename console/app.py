"""The console's application: composes the screens, goes from one to another, starts the source of news."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from rich.console import RenderableType
from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.worker import Worker

from console.fleet.desk import Desk
from console.fleet.record import Replay
from console.screens.acting import acting_handlers
from console.screens.alerts import AlertsScreen
from console.screens.base import Handler, View
from console.screens.events import EventsScreen
from console.screens.fleet import FleetScreen
from console.screens.jobs import JobsScreen, job_handlers
from console.screens.node.screen import NodeScreen
from console.screens.rows import RowsView
from console.screens.session import session_handlers
from console.screens.shell import shell_handlers
from console.screens.tape import tape_handlers
from console.widgets.driver import Terminal
from console.widgets.spans import narrowed
from console.widgets.themes import GREYS, THEMES

VIEWS: tuple[type[View], ...] = (
    FleetScreen,
    NodeScreen,
    JobsScreen,
    AlertsScreen,
    EventsScreen,
)
HOME = FleetScreen.NAME
MORE: tuple[Callable[[View], Mapping[str, Handler]], ...] = (
    tape_handlers,
    shell_handlers,
    session_handlers,
    acting_handlers,
    job_handlers,
)
"""What every screen does alike; each gives its handlers for a screen."""


@dataclass(slots=True)
class Stage:
    """The screens of one desk, and the way that was taken through them."""

    desk: Desk
    views: dict[str, View]
    trail: list[str] = field(default_factory=lambda: [HOME])
    last: str = HOME
    work: Worker[None] | None = None


class FleetApp(App[bool]):
    """Shows a fleet until `:q`, Ctrl-C, or `stop` is set.  The result is True where it was Ctrl-C.

    A recording that is opened lies above it with a desk and screens of its own; the fleet goes on meanwhile.
    """

    CSS_PATH = "console.tcss"
    TITLE = "heliograph"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "interrupt", "interrupt", show=False, priority=True)]

    def __init__(self, desk: Desk, *, stop: asyncio.Event | None = None, theme: str = "dark") -> None:
        super().__init__(driver_class=Terminal)
        self.desk = desk
        self._stop = stop
        self._stages: list[Stage] = []
        self.set_class(desk.ascii, "ascii")
        themes = GREYS if self.no_color else THEMES
        for each in themes.values():
            self.register_theme(each)
        self.theme = themes[theme].name

    def on_mount(self) -> None:
        if self.desk.book is not None:
            self.desk.book.read_snapshot(self.desk.model)
        self._raise(self.desk)
        if self._stop is not None:
            self.run_worker(self._exit_at(self._stop), name="stop")

    # --- stages ---------------------------------------------------------------------------------------------------

    @property
    def _stage(self) -> Stage:
        return self._stages[-1]

    def _raise(self, desk: Desk) -> None:
        stage = Stage(desk, {view.NAME: view(desk) for view in VIEWS})
        self._stages.append(stage)
        for name, view in stage.views.items():  # installed: a screen that is left stays as it is
            self.install_screen(view, f"{len(self._stages)}/{name}")
        self.push_screen(stage.views[HOME])
        stage.work = self.run_worker(desk.run(), name="desk")

    def replay(self, path: Path) -> None:
        """Opens a recording above all else.  Raises RecordingUnusable."""
        below = self._stage.desk
        desk = Desk(
            Replay(path),
            title=path.stem,
            ascii=below.ascii,
            times=below.times,
            operator=below.operator,
            keys=below.keys,
        )
        self._raise(desk)

    def leave(self) -> None:
        """Out of a recording; out of the console where there is none."""
        if len(self._stages) == 1:
            self.exit()
            return
        stage = self._stages.pop()
        if stage.work is not None:
            stage.work.cancel()
        self.pop_screen()
        for view in stage.views.values():
            self.uninstall_screen(view)
            if view.is_attached:
                view.remove()

    # --- views ----------------------------------------------------------------------------------------------------

    def view(self, name: str) -> View | None:
        """That view of what is looked at now."""
        return self._stage.views.get(name)

    def visit(self, view: str, *, node: str = "", text: str | None = None) -> None:
        """Shows that view; what it was opened from is where Esc leads back to."""
        stage, shown = self._stage, self._stage.views[view]
        shown.aim(node)
        if isinstance(shown, RowsView) and text is not None:
            shown.listing.show_marked(only=shown.listing.only_marked and bool(text))
            shown.listing.filter_by(text)
        if stage.trail[-1] != view:
            stage.last = stage.trail[-1]
            way = stage.trail[: stage.trail.index(view)] if view in stage.trail else stage.trail
            stage.trail = [*way, view]
            self.switch_screen(shown)
        shown.paint()

    def back(self) -> None:
        """Up; at the top of a recording, out of it."""
        stage = self._stage
        if len(stage.trail) > 1:
            stage.last = stage.trail.pop()
            self.switch_screen(stage.views[stage.trail[-1]])
        elif len(self._stages) > 1:
            self.leave()

    def previous_view(self) -> None:
        self.visit(self._stage.last)

    def more_handlers(self, view: View) -> Mapping[str, Handler]:
        return {name: handler for handlers in MORE for name, handler in handlers(view).items()}

    # --- keys -----------------------------------------------------------------------------------------------------

    async def on_event(self, event: events.Event) -> None:
        """A view gets its keys here, one after the other.

        By way of the focus, those of one burst would all go to what was there before the first of them.
        """
        screen = self.screen_stack[-1] if self.screen_stack else None
        if isinstance(event, events.Key) and isinstance(screen, View) and screen.takes(event):
            return
        await super().on_event(event)

    # --- painting -------------------------------------------------------------------------------------------------

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        super()._display(screen, narrowed(renderable))

    # --- the end --------------------------------------------------------------------------------------------------

    def action_interrupt(self) -> None:
        self.exit(result=True)

    async def _exit_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.exit()
