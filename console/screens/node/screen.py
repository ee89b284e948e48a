"""One node on one screen: a header, five tabs, and the nodes before and after it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.widget import Widget
from textual.widgets import ContentSwitcher
from textual.worker import Worker

from console.columns.table import Cell, Table
from console.fleet.client import NodeClient
from console.fleet.desk import Desk
from console.fleet.summary import worst_first
from console.fleet.view import OLD_WORDS
from console.screens.base import Ask, Handler
from console.screens.headline import Crumb
from console.screens.inspect import Inspect
from console.screens.node.config import ConfigTab
from console.screens.node.events import EventsTab
from console.screens.node.frames import FramesTab
from console.screens.node.jobs import JobsTab
from console.screens.node.overview import SummaryTab
from console.screens.node.summary import identity
from console.screens.node.tab import ABSENT, ListTab, Question, Tab
from console.screens.node.tabline import TabLine
from console.screens.rows import RowsView
from console.widgets.grid import RowGrid
from console.widgets.lines import Line, Lines
from console.widgets.picture import Kept

TABS: tuple[type[Tab], ...] = (SummaryTab, JobsTab, FramesTab, EventsTab, ConfigTab)
NAMES = tuple(tab.NAME for tab in TABS)
GROUP = "questions"
W = TypeVar("W", bound=Widget)


class NodeScreen(RowsView):
    """What it shows belongs to one node; the tab stays when another node comes."""

    NAME = "node"
    AUTO_FOCUS = ""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.node = ""
        self.kept = Kept()
        self._tab = SummaryTab.NAME
        self._tabs: dict[str, Tab] = {tab.NAME: tab(self) for tab in TABS}
        super().__init__(desk)
        self._take_listing()

    # --- its tabs -------------------------------------------------------------------------------------------------

    @property
    def sub(self) -> str:
        return self._tab

    @property
    def tab(self) -> Tab:
        return self._tabs[self._tab]

    @property
    def list_tab(self) -> ListTab:
        """The tab with the list that keys act on; on the summary, where none do, any."""
        tab = self.tab
        chosen = tab if isinstance(tab, ListTab) else self._tabs[FramesTab.NAME]
        assert isinstance(chosen, ListTab)
        return chosen

    @property
    def TABLE(self) -> Table[Any]:  # type: ignore[override]  # noqa: N802 - of the tab, where other lists have one
        return self.list_tab.TABLE

    @property
    def grid(self) -> RowGrid:
        return self.query_one(f"#{self.list_tab.grid_id}", RowGrid)

    @property
    def is_feed(self) -> bool:
        return isinstance(self.tab, EventsTab)

    def show_tab(self, name: str) -> None:
        self.tab.closed()
        self._tab = name
        self._take_listing()
        self.rescope()
        if self.is_mounted:
            self.query_one(ContentSwitcher).current = f"tab-{name}"
            self.refocus()
            # what was hidden has no size before the next layout
            self.call_after_refresh(self.paint)

    def _take_listing(self) -> None:
        self.listing = self.list_tab.listing

    def refocus(self) -> None:
        self.set_focus(self.grid if isinstance(self.tab, ListTab) else None)

    def follow(self) -> None:
        """The cursor was put on another row."""
        self.grid.move(0)
        self.paint()

    # --- whom it is about -----------------------------------------------------------------------------------------

    def aim(self, node: str) -> None:
        """At its summary; without a name, at what was looked at before, as it was left."""
        if node:
            self._look_at(node)
            self.show_tab(SummaryTab.NAME)
        elif not self.node:
            self._look_at(next(iter(worst_first(self.model)), ""))

    def _look_at(self, node: str) -> None:
        if node == self.node:
            return
        self.node = node
        self.workers.cancel_group(self, GROUP)
        for tab in self._tabs.values():
            tab.again()
        if self.is_mounted:
            self.query_one("#panes", VerticalScroll).scroll_home(animate=False)

    def get(self, where: str, kind: type[W]) -> W:
        return self.query_one(where, kind)

    def client(self) -> NodeClient | None:
        return self.desk.source.client(self.node) if self.node in self.model.views else None

    def _neighbour(self, step: int) -> None:
        """In the order in which the list of nodes showed them."""
        order = self._order()
        if len(order) < 2:  # noqa: PLR2004 - itself
            self.reply("there is no other node")
            return
        at = order.index(self.node) + step if self.node in order else 0
        self._look_at(order[at % len(order)])
        self.paint()

    def _order(self) -> Sequence[str]:
        fleet = self.desktop.view("nodes")
        shown = [name for name in fleet.listing.keys if name in self.model.views] if isinstance(fleet, RowsView) else []
        return shown if self.node in shown else worst_first(self.model)

    def subjects(self) -> Sequence[str]:
        return self.tab.subjects() if self.node in self.model.views else ()

    def node_here(self) -> str:
        return self.node

    # --- the screen -----------------------------------------------------------------------------------------------

    def body(self) -> ComposeResult:
        yield Lines(id="identity")
        yield TabLine(NAMES)
        with ContentSwitcher(initial=f"tab-{self._tab}"):
            for name, tab in self._tabs.items():
                with Container(id=f"tab-{name}"):
                    yield from tab.body()

    def path(self) -> tuple[str, ...]:
        return ("fleet", "nodes", self.node)

    def crumb(self) -> Crumb:
        return super().crumb() if isinstance(self.tab, ListTab) else Crumb(path=self.path())

    def read(self, key: str) -> Any:  # noqa: ANN401 - the rows of each list have their own type
        return self.list_tab.read(key)

    def keys(self) -> Collection[str]:
        return self.list_tab.keys()

    def changed_keys(self, changed: Iterable[str]) -> Iterable[str]:  # noqa: ARG002 - all are of one node
        return self.keys()

    def update(self, changed: Iterable[str]) -> None:
        self.desk.source.attend([self.node])
        self._ask()
        self.query_one("#identity", Lines).show([self._identity()])
        self.query_one(TabLine).show_tabs(self._tab, self.manner())
        if isinstance(self.tab, ListTab):
            super().update(changed)
        self.tab.paint()

    def _identity(self) -> Line:
        summary = self._tabs[SummaryTab.NAME]
        assert isinstance(summary, SummaryTab)
        facts = summary.facts()
        if facts is None:
            return Line((Cell(f" {ABSENT}: - goes back, [ ] to others", "warn"),))
        return identity(facts, self.manner(), self.size.width)

    # --- asking ---------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """What the tab wants to know and nobody has asked for lately."""
        client, now_s = self.client(), self.model.clock.monotonic()
        for question in self.tab.questions() if client is not None else ():
            if question[0].due(now_s):
                assert client is not None
                self._begin(client, question)

    def _begin(self, client: NodeClient, question: Question) -> None:
        # a function, not its coroutine: what is cancelled before its turn would complain that nobody awaited it
        _: Worker[None] = self.run_worker(partial(self._answered_by, client, question), group=GROUP)

    async def _answered_by(self, client: NodeClient, question: Question) -> None:
        asked, ask = question
        await asked.ask(lambda: ask(client), self.model.clock.monotonic)
        if self.is_current and self.query(TabLine):  # not while the screen is being taken down
            self.paint()

    def _ask_again(self, more: str = "") -> None:
        self.desk.source.ask_now(self.node)
        self.tab.ask_again()
        self.paint()
        why = f"{self.model.word(self.node)}: " if more else ""
        self.reply(f"{why}asking {self.node} again{more}")

    def _lost(self) -> bool:
        known = self.node in self.model.views
        return known and self.model.word(self.node) in OLD_WORDS and self.client() is not None

    def _troubled(self) -> bool:
        return self._lost() or (self.client() is not None and self.tab.troubled())

    # --- its actions ----------------------------------------------------------------------------------------------

    def own_handlers(self) -> Mapping[str, Handler]:
        rows = super().own_handlers() if isinstance(self.tab, ListTab) else dict(self._scrolling())
        acting = self.desktop.more_handlers(self)
        tries = {
            name: self._or_again(acting[name], self._lost, "; it acts once it is heard")
            for name in ("restart", "redrive")
            if name in acting
        }
        return {
            **rows,
            "open": self._or_again(lambda _: self._open_row(), self._troubled),
            "back": lambda _: self._close_or_back(),
            "tab": lambda ask: self.show_tab(NAMES[int(ask.key) - 1]) if ask.key else self._next_tab(),
            "previous_item": lambda _: self._neighbour(-1),
            "next_item": lambda _: self._neighbour(1),
            "inspect": lambda _: self._look_into(),
            "reconnect": lambda _: self._ask_again(),
            "save_view": lambda _: self.reply("views are saved of the lists over all nodes: g n, g j, g a, g e"),
            **tries,
            **self.tab.handlers(),
        }

    def row_handlers(self) -> Mapping[str, Handler]:
        return {}

    def _scrolling(self) -> Iterator[tuple[str, Handler]]:
        """On the summary the panes move, there is no row."""
        panes = self.query_one("#panes", VerticalScroll)
        page = max(1, panes.size.height - 1)
        steps = {"down": 1, "up": -1, "page_down": page, "page_up": -page}
        for name, lines in steps.items():
            yield name, partial(self._scroll, lines)
        yield "first", lambda _: panes.scroll_home(animate=False)
        yield "last", lambda _: panes.scroll_end(animate=False)

    def _scroll(self, lines: int, _: Ask) -> None:
        self.query_one("#panes", VerticalScroll).scroll_relative(y=lines, animate=False)

    def _or_again(self, otherwise: Handler, instead: Callable[[], bool], more: str = "") -> Handler:
        """The same key asks again, where what it stands for cannot be done or would show what is already known."""
        return lambda ask: self._ask_again(more) if instead() else otherwise(ask)

    def _next_tab(self) -> None:
        self.show_tab(NAMES[(NAMES.index(self._tab) + 1) % len(NAMES)])

    def _open_row(self) -> None:
        if not self.tab.opened():
            self._look_into()
        else:
            self.call_after_refresh(self.paint)

    def _close_or_back(self) -> None:
        if self.tab.closed():
            self.call_after_refresh(self.paint)
        elif isinstance(self.tab, ListTab):
            self._clear_or_go_back()
        else:
            self.desktop.back()

    def pause_feed(self) -> None:
        self.tab.pause()

    def known(self, key: str) -> Mapping[str, Any]:
        return self.list_tab.known(key)

    def twin(self, key: str) -> Sequence[str]:
        return self.list_tab.twin(key)

    def _look_into(self) -> None:
        """Its row, or on the summary the status as it came."""
        if isinstance(self.tab, ListTab):
            self._inspect()
            return
        view = self.model.views.get(self.node)
        if view is None or view.status is None:
            self.reply("nothing is known of it yet")
            return
        raw = json.dumps(json.loads(view.status.model_dump_json()), ensure_ascii=False, indent=2)
        self.app.push_screen(Inspect(f"status of {self.node}", raw))

    @on(TabLine.Taken)
    def _clicked(self, message: TabLine.Taken) -> None:
        self.show_tab(message.name)
