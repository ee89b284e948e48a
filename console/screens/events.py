"""What happens on all nodes, as it comes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from console.columns.events import EVENT_TABLE
from console.columns.table import Cell
from console.fleet.desk import Desk
from console.fleet.event_rows import EventLine, Feed, as_known
from console.fleet.view import RANK
from console.screens.base import Handler
from console.screens.headline import Crumb
from console.screens.rows import RowsView

LISTEN_ANEW_S = 5.0


class EventsScreen(RowsView):
    """Newest first.  With the cursor on the newest it stays on the newest; elsewhere the rows stay where they are."""

    NAME = "events"
    TABLE = EVENT_TABLE

    def __init__(self, desk: Desk) -> None:
        self.feed = Feed(desk.model)
        self._listened_s = float("-inf")
        super().__init__(desk)

    # --- its rows -------------------------------------------------------------------------------------------------

    def read(self, key: str) -> EventLine | None:
        return self.feed.lines.get(key)

    def keys(self) -> Collection[str]:
        return self.feed.lines

    def changed_keys(self, changed: Iterable[str]) -> Iterable[str]:  # noqa: ARG002 - what has happened does not change
        return ()

    def update(self, changed: Iterable[str]) -> None:
        self._listen()
        self.feed.take()
        super().update(changed)

    @property
    def is_feed(self) -> bool:
        return True

    def _listen(self) -> None:
        """To all nodes, as far as there is room: the worst first."""
        now_s = self.desk.clock.monotonic()
        if now_s - self._listened_s >= LISTEN_ANEW_S:
            self._listened_s = now_s
            self.desk.source.attend(sorted(self.model.views, key=lambda name: (RANK[self.model.word(name)], name)))

    def resumed(self) -> None:
        self._listened_s = float("-inf")

    def notice(self) -> str:
        """That the feed is held has the room."""
        said = super().notice()
        return "" if said == self.desk.notice and self.feed.paused else said

    def empty(self) -> Cell:
        if self.filters:
            return super().empty()
        return Cell("nothing has happened since this console began to listen", "dim")

    def crumb(self) -> Crumb:
        held = f"paused, {self.feed.waiting} waiting" if self.feed.paused else ""
        return replace(super().crumb(), facts=held)

    # --- what is done with them -----------------------------------------------------------------------------------

    def node_here(self) -> str:
        line = self.listing.current()
        return "" if line is None else line.node

    def subjects(self) -> list[str]:
        lines = (self.read(key) for key in self.listing.chosen())
        return sorted({line.node for line in lines if line is not None})

    def known(self, key: str) -> Mapping[str, Any]:
        line = self.read(key)
        return {} if line is None else as_known(line)

    def pause_feed(self) -> None:
        self.feed.paused = not self.feed.paused
        self.reply("the feed is held; p lets it go on" if self.feed.paused else "the feed goes on")
        self.paint()

    def row_handlers(self) -> Mapping[str, Handler]:
        return {"open": lambda _: self._open_node()}

    def _open_node(self) -> None:
        if node := self.node_here():
            self.desktop.visit("node", node=node)
