"""A screen whose body is a list: moving, filtering, sorting and marking are the same on all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult

from console.columns.table import Cell, Table
from console.fleet.desk import Desk
from console.fleet.exporting import as_json
from console.fleet.listing import Listing
from console.fleet.record import Replay
from console.fleet.state import SavedView
from console.screens.base import Ask, Handler, View
from console.screens.chooser import Choice, Chooser
from console.screens.headline import Crumb
from console.screens.inspect import Inspect
from console.screens.saving import apply, saved_of, saving_handlers
from console.screens.taking import record, taking_handlers
from console.screens.tape import turn
from console.widgets.grid import RowGrid
from console.widgets.prompt import COMMAND, FILTER, Prompt

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
        self._before = ""
        """The filter in force when the prompt was opened."""
        self._saved: tuple[int, SavedView] | None = None
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
        return Cell(NOTHING if self.filters else "nothing here", "warn")

    @property
    def filters(self) -> bool:
        """Whether rows are kept back: a filter that is refused keeps none."""
        return bool(self.listing.passing) or self.listing.only_marked

    def subjects(self) -> Sequence[str]:
        return self.listing.chosen()

    def node_here(self) -> str:
        return (self.listing.cursor or "").partition("/")[0]

    def known(self, key: str) -> Mapping[str, Any]:
        """All that is known of that row, for a program; its cells where a list has nothing better."""
        return record(self, key)

    def inspected(self, key: str) -> tuple[str, str]:
        """What `v` shows: a title, and text of any length."""
        return key, as_json(self.known(key), indent=2)

    def twin(self, key: str) -> Sequence[str]:  # noqa: ARG002 - for lists whose rows have commands of their own
        """The words after `heliograph` that show that row without a screen."""
        return (self.NAME,)

    def panes(self) -> Mapping[str, str]:
        """What can be shown and hidden beside the columns, with what each is."""
        return {}

    @property
    def is_feed(self) -> bool:
        """Whether rows come in at the top: with the cursor there it stays on the newest."""
        return False

    def moved(self) -> None:
        """The cursor is on another row."""

    def pause_feed(self) -> None:
        """`p` where no recording is looked at."""
        self.reply("only events and recordings can be held")

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
            view=self.view_said(),
        )

    def update(self, changed: Iterable[str]) -> None:
        moving = self.desk.clock.monotonic() - self._moved_s < HOLD_S
        before = self.listing.row
        self.listing.refresh(self.keys(), self.changed_keys(changed), hold=moving)
        if self.is_feed:
            self._follow(before)
        self.grid.show()

    def _follow(self, before: int) -> None:
        """What comes in above must not push what is read off its place."""
        after = self.listing.row
        if before == 0 and after:
            self.listing.move(-after)
        elif after != before:
            self.grid.scroll_to(y=self.grid.scroll_offset.y + after - before, animate=False, force=True)

    def filtered(self, text: str, *, final: bool) -> None:
        self.listing.filter_by(text)
        if final and self.listing.error:
            self.listing.fall_back(self._before)
        if final:
            self._before = self.listing.passing
        self._moved_s = float("-inf")
        self.paint()

    def _ask_filter(self) -> None:
        self._before = self.listing.passing
        self.query_one(Prompt).ask(FILTER, self._before)

    def takes(self, event: events.Key) -> bool:
        """Whatever key comes next, what was wrong with a filter has been read; Esc clears that, and nothing else."""
        why, taken = self.listing.error, super().takes(event)
        if why and self.listing.error == why and not self.query_one(Prompt).display:
            self.listing.forgive()
            self.paint()
        return taken

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
            "filter": lambda _: self._ask_filter(),
            "back": lambda _: self._clear_or_go_back(),
            "mark": lambda _: self._mark(listing.mark, 1),
            "mark_range": lambda _: self._mark(listing.mark_range),
            "mark_all": lambda _: self._mark(listing.mark_all),
            "mark_invert": lambda _: self._mark(listing.mark_invert),
            "mark_none": lambda _: self._mark(listing.mark_none),
            "marked": lambda _: self._show_marked(),
            "sort": self._sort,
            "sort_reverse": lambda _: self._mark(listing.reverse),
            "columns": self._columns,
            "inspect": lambda _: self._inspect(),
            "pause": lambda _: self._pause(),
            **taking_handlers(self),
            **saving_handlers(self),
            **self.row_handlers(),
        }

    # --- saved views ----------------------------------------------------------------------------------------------

    def show_saved(self, number: int, saved: SavedView) -> None:
        """On the list that it is of, which comes to the front."""
        shown = self if saved.view == self.NAME else self.desktop.view(saved.view)
        if not isinstance(shown, RowsView):
            self.reply(f"view {number} is of {saved.view[:20]}, and there is no such list here")
            return
        if shown is not self:
            self.desktop.visit(saved.view)
        shown.take_saved(number, saved)

    def take_saved(self, number: int, saved: SavedView) -> None:
        self._saved = (number, saved)
        apply(self, saved)
        self.paint()

    def view_said(self) -> str:
        """Number and name of the saved view, as long as it is the one that is shown."""
        if self._saved is None:
            return ""
        number, saved = self._saved
        return f"{number}:{saved.name}" if saved_of(self, saved.name) == saved else ""

    def ask_command(self, text: str) -> None:
        self.query_one(Prompt).ask(COMMAND, text)

    # --- looking closer -------------------------------------------------------------------------------------------

    def _inspect(self) -> None:
        key = self.listing.cursor
        if key is None or self.read(key) is None:
            self.reply("nothing to look into")
            return
        self.app.push_screen(Inspect(*self.inspected(key)))

    def _pause(self) -> None:
        tape = self.desk.source
        if isinstance(tape, Replay):
            turn(self, tape)
        else:
            self.pause_feed()

    def _mark(self, change: Callable[[], object], rows: int = 0) -> None:
        change()
        self._moved_s = float("-inf")
        if rows:
            self.grid.move(rows)
        self.paint()

    def _show_marked(self) -> None:
        listing = self.listing
        if listing.marks or listing.only_marked:
            self._mark(lambda: listing.show_marked(only=not listing.only_marked))
        else:
            self.reply("nothing is marked; space marks the row")

    def _clear_or_go_back(self) -> None:
        """What was typed wrongly goes first, then a filter, then this view."""
        listing = self.listing
        if listing.error:
            listing.forgive()
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
            self.sort_by(*ask.words.replace(",", " ").split())
            return
        titles = {column.key: column.says for column in self.TABLE.columns}
        choices = [Choice(name, f"{name}: {titles.get(name, name)}") for name in self.TABLE.kind.sorts]
        self.choose(Chooser("sort by", choices), lambda choice: self.sort_by(choice.id))

    def sort_by(self, *names: str) -> None:
        unknown = [name for name in names if name.removeprefix("-") not in self.TABLE.kind.sorts]
        if unknown:
            self.reply(f"no column {unknown[0][:40]}; there is {', '.join(self.TABLE.kind.sorts)}")
            return
        for name in reversed(names):
            self.listing.sort_by(name)
        self._moved_s = float("-inf")
        self.paint()

    def hideable(self) -> Mapping[str, str]:
        """Columns and panes that need not be there."""
        return {column.key: column.says for column in self.TABLE.columns if column.drop} | dict(self.panes())

    def _columns(self, ask: Ask) -> None:
        """One of them is shown or hidden; in words, all that are to be turned round."""
        known, hidden = self.hideable(), set(self.grid.hidden)
        names = ask.words.replace(",", " ").split()
        unknown = [name for name in names if name not in known]
        if unknown:
            self.reply(f"no column {unknown[0][:40]}; there is {', '.join(known)}")
        elif names:
            self.hide(hidden ^ set(names))
        else:
            choices = [
                Choice(key, f"{key}: {says}", "hidden" if key in hidden else "shown") for key, says in known.items()
            ]
            self.choose(Chooser("show or hide a column", choices), lambda one: self.hide(hidden ^ {one.id}))

    def hide(self, hidden: Collection[str]) -> None:
        self.grid.hidden = frozenset(hidden)
        self.grid.lay_out()
        self.paint()

    @on(RowGrid.Moved)
    def _hold(self) -> None:
        self._moved_s = self.desk.clock.monotonic()
        self.moved()

    @on(RowGrid.Chosen)
    def _open(self) -> None:
        self.handlers()["open"](Ask(key="enter"))
