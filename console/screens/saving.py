"""Saved views: a list's filter, order and columns under a digit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, Protocol

from console.fleet.desk import Desk
from console.fleet.listing import Listing
from console.fleet.state import VIEW_NUMBERS, SavedView
from console.screens.base import Ask, Handler
from console.screens.chooser import Choice, Chooser
from console.widgets.grid import RowGrid

HIDDEN = "-"
"""Before a column's name: it is not shown.  One that a later release brings is."""
NO_BOOK = "a recording has no saved views"
USAGE = ":save 3 triage (1 to 9, and a name)"
MOST_NAME_CHARS = 30


class Kept(Protocol):
    """What is asked of a list."""

    desk: Desk
    listing: Listing[Any]
    NAME: ClassVar[str]

    @property
    def grid(self) -> RowGrid:
        """What draws it."""

    def hideable(self) -> Mapping[str, str]:
        """Columns and panes that need not be there."""

    def sort_by(self, *names: str) -> None:
        """The first before the second."""

    def hide(self, hidden: Collection[str]) -> None:
        """Which columns are not shown."""

    def show_saved(self, number: int, saved: SavedView) -> None:
        """On the list that it is of."""

    def ask_command(self, text: str) -> None:
        """Opens the command line with that on it."""

    def reply(self, text: str) -> None:
        """Says it in place."""

    def choose(self, chooser: Chooser, then: Callable[[Choice], object]) -> None:
        """Lets pick one."""


def saving_handlers(view: Kept) -> Mapping[str, Handler]:
    return {"view": lambda ask: _open(view, ask), "save_view": lambda ask: _save(view, ask.words)}


def _open(view: Kept, ask: Ask) -> None:
    book = view.desk.book
    if book is None:
        view.reply(NO_BOOK)
        return
    if not ask.key:  # not by a digit: which one?
        view.choose(
            Chooser("saved views", _choices(view), empty="none yet; W saves one"),
            lambda one: _open(view, Ask(key=one.id)),
        )
        return
    number = int(ask.key)
    if number not in book.views:
        view.reply(f"no view {number} yet; W saves this one")
        return
    view.show_saved(number, book.views[number])


def _choices(view: Kept) -> list[Choice]:
    views = view.desk.book.views if view.desk.book is not None else {}
    return [Choice(str(number), _described(number, views.get(number))) for number in VIEW_NUMBERS]


def _described(number: int, saved: SavedView | None) -> str:
    if saved is None:
        return f"{number} -"
    return f"{number} {saved.name}: {saved.view} {saved.filter}  sort {saved.sort}".rstrip()


def apply(view: Kept, saved: SavedView) -> None:
    """As far as this release knows what it says: an unknown filter says so in place, an unknown column is left out."""
    view.listing.filter_by(saved.filter)
    hidden = {name.removeprefix(HIDDEN) for name in saved.columns if name.startswith(HIDDEN)}
    view.hide(hidden & view.hideable().keys())
    view.sort_by(*saved.sort.split())


def saved_of(view: Kept, name: str) -> SavedView:
    """What is shown, to be saved."""
    columns = tuple(f"{HIDDEN}{key}" for key in sorted(view.grid.hidden))
    return SavedView(name, view.NAME, view.listing.passing, " ".join(view.listing.order), columns)


def _save(view: Kept, words: str) -> None:
    if view.desk.book is None:
        view.reply(NO_BOOK)
    elif words:
        _save_as(view, *words.partition(" ")[::2])
    else:
        chooser = Chooser("save this view as", _choices(view))
        view.choose(chooser, lambda one: view.ask_command(f"save {one.id} "))


def _save_as(view: Kept, digit: str, name: str) -> None:
    book, name = view.desk.book, name.strip()[:MOST_NAME_CHARS]
    if book is None or digit not in map(str, VIEW_NUMBERS) or not name:
        view.reply(USAGE)
        return
    before = book.views.get(int(digit))
    kept = book.save_view(int(digit), saved_of(view, name))
    instead = f" in place of {before.name}" if before is not None and before.name != name else ""
    view.reply(f"saved as view {digit}:{name}{instead}" + ("" if kept else "; only until the console ends"))
    view.show_saved(int(digit), book.views[int(digit)])
