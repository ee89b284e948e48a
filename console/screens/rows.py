"""A screen whose body is a list: moving, filtering, sorting and marking are the same on all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult

from console.columns.table import Cell, Table
from console.fleet.desk import Desk
from console.fleet.listing import Listing
from console.screens.base import Ask, Handler, View
from console.screens.chooser import Choice, Chooser
from console.screens.headline import Crumb
from console.widgets.grid import RowGrid
from console.widgets.prompt import FILTER, Prompt

HOLD_S = 2.0
"""While the operator moves, the order stays for so long."""
NOTHING = "nothing passes this filter; / and Enter on an empty line clears it"


class RowsView(View):
    """Subclasses give the table, the keys that there are, and what opens."""

    AUTO_FOCUS = "#grid"
    TABLE: ClassVar[Table[Any]]

    def __init__(self, desk: Desk) -> None:
        self.listing = Listing[Any](self.TABLE.kind, self.read)
        self._moved_s = float("-inf")
        super().__init__(desk)

    # --- for subclasses -------------------------------------------------------------------------------------------

    def read(self, key: str) -> Any:  # noqa: ANN401 - the rows of each list have their own type
        """The row of that key, or None."""
        raise NotImplementedError

    def keys(self) -> Collection[str]:
        """All there are."""
        raise NotImplementedError

    def changed_keys(self, changed: Iterable[str]) -> Iterable[str]:
        """Of rows that have to be looked at again where these nodes have changed."""
        return changed

    def empty(self) -> Cell:
        """Why there are no rows."""
        return Cell(NOTHING if self.listing.text else "nothing here", "warn")

    def below(self) -> ComposeResult:
        """Widgets under the grid."""
        yield from ()

    def beside(self) -> ComposeResult:
        """The grid, and what stands at its side."""
        yield self._grid()

    def path(self) -> tuple[str, ...]:
        return ("fleet", self.NAME)

    def row_handlers(self) -> Mapping[str, Handler]:
        """What only this list does."""
        raise NotImplementedError

    # --- the screen -----------------------------------------------------------------------------------------------

    def _grid(self) -> RowGrid:
        return RowGrid(self.listing, self.TABLE, self.manner, self.empty)

    def body(self) -> ComposeResult:
        yield from self.beside()
        yield from self.below()

    @property
    def grid(self) -> RowGrid:
        return self.query_one(RowGrid)

    def refocus(self) -> None:
        self.grid.focus()

    def crumb(self) -> Crumb:
        listing = self.listing
        return Crumb(
            path=self.path(),
            filter=listing.text,
            error=listing.error,
            order=f"sort {' '.join(listing.order)}",
            shown=len(listing.keys),
            total=listing.total,
            marked=len(listing.marks),
            held=listing.held,
        )

    def update(self, changed: Iterable[str]) -> None:
        moving = self.desk.clock.monotonic() - self._moved_s < HOLD_S
        self.listing.refresh(self.keys(), self.changed_keys(changed), hold=moving)
        self.grid.show()

    def filtered(self, text: str, *, final: bool) -> None:
        self.listing.filter_by(text if not final or not self.listing.error else self.listing.passing)
        self._moved_s = float("-inf")
        self.paint()

    # --- its actions ----------------------------------------------------------------------------------------------

    def own_handlers(self) -> Mapping[str, Handler]:
        listing, grid = self.listing, self.grid
        return {
            "down": lambda _: grid.move(1),
            "up": lambda _: grid.move(-1),
            "first": lambda _: grid.move(-len(listing.keys)),
            "last": lambda _: grid.move(len(listing.keys)),
            "page_down": lambda _: grid.move(grid.page),
            "page_up": lambda _: grid.move(-grid.page),
            "filter": lambda _: self.query_one(Prompt).ask(FILTER, listing.text),
            "back": lambda _: self._clear_or_go_back(),
            "mark": lambda _: self._mark(listing.mark, 1),
            "mark_range": lambda _: self._mark(listing.mark_range),
            "mark_all": lambda _: self._mark(listing.mark_all),
            "mark_invert": lambda _: self._mark(listing.mark_invert),
            "mark_none": lambda _: self._mark(listing.mark_none),
            "marked": lambda _: self._mark(lambda: listing.show_marked(only=not listing.only_marked)),
            "sort": self._sort,
            "sort_reverse": lambda _: self._mark(listing.reverse),
            "columns": self._columns,
            **self.row_handlers(),
        }

    def _mark(self, change: Callable[[], object], rows: int = 0) -> None:
        change()
        self._moved_s = float("-inf")
        if rows:
            self.grid.move(rows)
        self.paint()

    def _clear_or_go_back(self) -> None:
        """What was typed wrongly goes first, then a filter, then this view."""
        listing = self.listing
        if listing.error:
            listing.filter_by(listing.passing)
        elif listing.only_marked:
            listing.show_marked(only=False)
        elif listing.text:
            listing.filter_by("")
        else:
            self.desktop.back()
            return
        self.paint()

    def _sort(self, ask: Ask) -> None:
        if ask.words:
            self._sort_by(*ask.words.replace(",", " ").split())
            return
        titles = {column.key: column.says for column in self.TABLE.columns}
        choices = [Choice(name, f"{name}: {titles.get(name, name)}") for name in self.TABLE.kind.sorts]
        self.choose(Chooser("sort by", choices), lambda choice: self._sort_by(choice.id))

    def _sort_by(self, *names: str) -> None:
        try:
            for name in reversed(names):
                self.listing.sort_by(name)
        except KeyError as error:
            self.reply(f"no column {error}; there is {', '.join(self.TABLE.kind.sorts)}")
            return
        self._moved_s = float("-inf")
        self.paint()

    def _columns(self, ask: Ask) -> None:
        """One of them is shown or hidden; in words, all that are to be hidden."""
        known = [column.key for column in self.TABLE.columns if column.drop]
        if ask.words:
            names = [name for name in ask.words.replace(",", " ").split() if name in known]
            self._hide(set(self.grid.hidden) ^ set(names))
            return
        choices = [
            Choice(column.key, f"{column.key}: {column.says}", "hidden" if column.key in self.grid.hidden else "shown")
            for column in self.TABLE.columns
            if column.drop
        ]
        self.choose(Chooser("show or hide a column", choices), lambda one: self._hide(set(self.grid.hidden) ^ {one.id}))

    def _hide(self, hidden: set[str]) -> None:
        self.grid.hidden = hidden
        self.grid.lay_out()
        self.paint()

    @on(RowGrid.Moved)
    def _hold(self) -> None:
        self._moved_s = self.desk.clock.monotonic()

    @on(RowGrid.Chosen)
    def _open(self) -> None:
        self.handlers()["open"](Ask(key="enter"))
