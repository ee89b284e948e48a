"""What one node has told since the console began to listen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from console.columns.events import EVENT_TABLE
from console.fleet.event_rows import EventLine, Feed, as_known
from console.screens.node.tab import ABSENT, ListTab
from console.widgets.lines import Line
from console.widgets.pane import Framing, note

AWAY = frozenset({"node", "site"})


class EventsTab(ListTab):
    """Newest first; `p` holds them."""

    NAME = "events"
    TABLE = replace(EVENT_TABLE, columns=tuple(one for one in EVENT_TABLE.columns if one.key not in AWAY), name="level")

    def again(self) -> None:
        super().again()
        self.feed = Feed(self.desk.model, self.node)

    def read(self, key: str) -> EventLine | None:
        return self.feed.lines.get(key)

    def keys(self) -> Collection[str]:
        self.feed.take()
        return self.feed.lines

    def why_empty(self, framing: Framing) -> list[Line]:
        return note(ABSENT if self.view is None else "nothing since this console began to listen", framing)

    def known(self, key: str) -> Mapping[str, Any]:
        return as_known(self.feed.lines[key])

    def pause(self) -> None:
        self.feed.paused = not self.feed.paused
        self.host.reply("the feed is held; p lets it go on" if self.feed.paused else "the feed goes on")
