"""All alerts of the fleet on one screen, grouped by what they have in common."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from console.columns.alerts import ALERT_TABLE, noted, table_of
from console.columns.table import Cell
from console.fleet.alert_rows import EVERY, GroupLine, Groups, as_known, counted, left, nodes_of
from console.fleet.alerts import AlertRow
from console.fleet.desk import Desk
from console.fleet.text import several
from console.screens.acking import acknowledge
from console.screens.base import Ask, Handler
from console.screens.gathered import PANEL_LINES, GatheredView
from console.screens.headline import Crumb
from console.widgets.lines import Line

MOST_NAMED = 5
"""Nodes in a command."""


class AlertsScreen(GatheredView):
    """Groups, and under them the alerts of the one that the cursor is on."""

    NAME = "alerts"
    TABLE = ALERT_TABLE
    PANEL = "members"

    def __init__(self, desk: Desk) -> None:
        self._groups = Groups(desk.model, desk.alerts)
        super().__init__(desk)

    # --- its rows -------------------------------------------------------------------------------------------------

    def read(self, key: str) -> GroupLine | None:
        group = self._groups.groups.get(key)
        return None if group is None else GroupLine(group, self.model.clock.utc_us())

    def keys(self) -> Collection[str]:
        return self._groups.groups

    def update(self, changed: Iterable[str]) -> None:
        self.desk.alerts.refresh()
        self._fresh = self._groups.take()
        super().update(changed)
        self._show_members()

    def why_none(self) -> str:
        unheard = sum(view.status is None for view in self.model.views.values())
        return "nothing fires" + (f"; {several(unheard, 'node')} not heard yet" if unheard else "")

    def crumb(self) -> Crumb:
        counts = counted(self.desk.alerts.rows(), self.model.clock.utc_us())
        soon = f" ({counts.soon} end <1h)" if counts.soon else ""
        return replace(
            super().crumb(), facts=f"firing {counts.firing}  acked {counts.acked}{soon}  by {self._groups.by}"
        )

    # --- the one under the cursor ---------------------------------------------------------------------------------

    def _show_members(self) -> None:
        line = self.listing.current()
        if line is None:
            self.tell("", [])
            return
        title = f"{line.value}: {several(len(line.group.rows), 'alert')} of {several(len(line.group.nodes), 'node')}"
        self.tell(title, list(self._members(line)))

    def _members(self, line: GroupLine) -> Iterator[Line]:
        group = line.group
        if group.note:
            yield Line((Cell("shared: ", "dim"), Cell(noted(group.note, self.manner()), "key")))
        room = PANEL_LINES - bool(group.note)
        more = len(group.rows) - room
        shown = group.rows[: room - 1] if more > 0 else group.rows
        longest = max(len(row.node) for row in shown)
        for row in shown:
            yield Line((Cell(f"{row.node:<{longest}}  ", "name"), Cell(_said(row, line.now_us))))
        if more > 0:
            yield Line((Cell(f"and {more + 1} more: v lists all", "dim"),))

    # --- what is done with them -----------------------------------------------------------------------------------

    def subjects(self) -> Sequence[str]:
        return sorted({row.node for row in self._chosen()})

    def node_here(self) -> str:
        line = self.listing.current()
        return "" if line is None else line.group.nodes[0]

    def known(self, key: str) -> Mapping[str, Any]:
        line = self.read(key)
        return {} if line is None else as_known(line)

    def twin(self, key: str) -> Sequence[str]:
        """By the names of its nodes; of many, by the filter that finds them."""
        line = self.read(key)
        if line is None:
            return (self.NAME,)
        names = line.group.nodes
        return (self.NAME, *(names if len(names) <= MOST_NAMED else (nodes_of(line.group, self._groups.by),)))

    def row_handlers(self) -> Mapping[str, Handler]:
        return {
            "open": lambda _: self._open_nodes(),
            "ack": lambda _: acknowledge(self, self._chosen()),
            "group": self._group,
        }

    def _chosen(self) -> list[AlertRow]:
        """The alerts of the marked groups, or of the one that the cursor is on."""
        groups = (self._groups.groups.get(key) for key in self.listing.chosen())
        return [row for group in groups if group is not None for row in group.rows]

    def _open_nodes(self) -> None:
        line = self.listing.current()
        if line is None:
            return
        if len(line.group.nodes) == 1:
            self.desktop.visit("node", node=line.group.nodes[0])
        else:
            self.desktop.visit("nodes", text=nodes_of(line.group, self._groups.by))

    def _group(self, ask: Ask) -> None:
        """The next way, or the one that was named."""
        ways = dict(zip(EVERY, (*EVERY[1:], EVERY[0]), strict=True))
        wanted = {str(way): way for way in EVERY}.get(ask.words, None if ask.words else ways[self._groups.by])
        if wanted is None:
            self.reply(f"{ask.words[:20]} is none of {', '.join(EVERY)}")
            return
        self._groups.by = wanted
        self.listing.mark_none()  # what was marked is no row any more
        self.grid.table = table_of(wanted)
        self.grid.lay_out()
        self.paint()


def _said(row: AlertRow, now_us: int) -> str:
    old = " (as last heard)" if row.stale else ""
    ack = "" if row.ack is None else f"  {row.ack.by} knows, {left(row.ack, now_us)}: {row.ack.reason}"
    return row.sentence + old + ack
