"""One list of rows: filtered, sorted, marked, with a cursor that belongs to a row and not to a line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from console.fleet.filter import Fields, FilterWrong, parse

Row = TypeVar("Row")
SLICES, SLICE_MOST = 8, 150
"""Ages grow by time alone: at each refresh one of so many parts of the rows is judged anew, or so many of them."""
DEEP = 2
DOWN = "-"


@dataclass(frozen=True, slots=True)
class Kind(Generic[Row]):
    """What a list is of.  `sorts` are values to order by (None comes last), `order` those at the start.

    A `-` before a name turns its order round.
    """

    name: str
    fields: Fields[Row]
    sorts: Mapping[str, Callable[[Row], Any]]
    order: tuple[str, ...]


class Listing(Generic[Row]):
    """`read` gives the row of a key as it is now, or None where there is none any more."""

    def __init__(self, kind: Kind[Row], read: Callable[[str], Row | None]) -> None:
        self.kind = kind
        self.read = read
        self.keys: tuple[str, ...] = ()
        self.total = 0
        self.cursor: str | None = None
        self.marks: set[str] = set()
        self.text = self.passing = self.error = ""
        self.order = kind.order
        self.only_marked = False
        self.held = False
        self._test = parse("", kind.fields)
        self._known: dict[str, list[Any] | None] = {}
        self._turn = 0
        self._again = True
        self._from: str | None = None

    # --- what is shown --------------------------------------------------------------------------------------------

    def filter_by(self, text: str) -> None:
        """Where it cannot be understood, `error` says why and the last good result stays."""
        self.text = text
        try:
            self._test, self.passing, self.error = parse(text, self.kind.fields), text, ""
        except FilterWrong as error:
            self.error = str(error)
            return
        self._forget()

    def fall_back(self, text: str) -> None:
        """To a filter that was understood; why the one that was given is not stays said."""
        why = self.error
        self.filter_by(text)
        self.error = why

    def forgive(self) -> None:
        """What was wrong is said no longer, and what is in force stands in its place."""
        self.text, self.error = self.passing, ""

    def sort_by(self, name: str) -> None:
        """First by this; what was first becomes second.  Raises KeyError for what is no column to sort by."""
        key = name.removeprefix(DOWN)
        self.kind.sorts[key]
        rest = [each for each in self.order if each.removeprefix(DOWN) != key]
        self.order = (name, *rest)[:DEEP]
        self._forget()

    def reverse(self) -> None:
        first, *rest = self.order
        self.order = (first.removeprefix(DOWN) if first.startswith(DOWN) else DOWN + first, *rest)
        self._forget()

    def show_marked(self, *, only: bool) -> None:
        self.only_marked, self._again = only, True

    def refresh(self, keys: Collection[str], changed: Iterable[str] = (), *, hold: bool = False) -> bool:
        """Judges those that changed or are new, and a part of the others; whether another list is shown now.

        With `hold` rows stay where they are, until a refresh without it; those that no longer exist go at once.
        """
        self.total = len(keys)
        self.marks.intersection_update(keys)
        self._judge(keys, changed)
        if not self._again:
            return False
        wanted = self._ordered(keys)
        kept = tuple(key for key in self.keys if key in self._known)
        self.held = hold and bool(kept) and kept != wanted
        self._again = self.held
        return self._show(kept if self.held else wanted)

    def _forget(self) -> None:
        self._known.clear()
        self._again = True

    def _judge(self, keys: Collection[str], changed: Iterable[str]) -> None:
        known, wanted = self._known, set(keys)
        gone = known.keys() - wanted
        again = {*changed, *(wanted - known.keys())}
        slices = max(SLICES, len(known) // SLICE_MOST)
        self._turn = (self._turn + 1) % slices
        again.update(islice(known, self._turn, None, slices))
        for key in [*again, *gone]:
            self._judge_one(key, None if key in gone else self.read(key))

    def _judge_one(self, key: str, row: Row | None) -> None:
        if row is None:
            self._again |= self._known.pop(key, False) is not False
            self.marks.discard(key)
            return
        values = self._values(row) if self._test(row) else None
        self._again |= self._known.get(key, False) != values
        self._known[key] = values

    def _values(self, row: Row) -> list[Any]:
        """To sort by: what is not known comes last, whichever way round."""
        found = []
        for name in self.order:
            value = self.kind.sorts[name.removeprefix(DOWN)](row)
            down = name.startswith(DOWN)
            found.append((value is None) is not down if value is None else down)
            found.append(value)
        return found

    def _ordered(self, keys: Collection[str]) -> tuple[str, ...]:
        known = self._known
        shown = [key for key in keys if known.get(key) is not None]
        if self.only_marked:
            shown = [key for key in shown if key in self.marks]
        for depth in range(len(self.order) - 1, -1, -1):
            down = self.order[depth].startswith(DOWN)
            shown.sort(key=lambda key, depth=depth: _sortable(known[key], depth), reverse=down)  # type: ignore[misc]
        return tuple(shown)

    def _show(self, wanted: tuple[str, ...]) -> bool:
        if wanted == self.keys:
            return False
        at = self.row
        self.keys = wanted
        if self.cursor not in wanted:
            self.cursor = wanted[min(at, len(wanted) - 1)] if wanted else None
        return True

    # --- the cursor -----------------------------------------------------------------------------------------------

    @property
    def row(self) -> int:
        """The line of the cursor, from 0."""
        return self.keys.index(self.cursor) if self.cursor in self.keys else 0

    def move(self, lines: int) -> None:
        """So many down; up where negative; no further than the ends."""
        if self.keys:
            self.cursor = self.keys[min(max(0, self.row + lines), len(self.keys) - 1)]

    def current(self) -> Row | None:
        return None if self.cursor is None else self.read(self.cursor)

    # --- marks ----------------------------------------------------------------------------------------------------

    def mark(self) -> None:
        """The row of the cursor, or no longer; a range begins here."""
        if self.cursor is not None:
            self.marks ^= {self.cursor}
            self._from = self.cursor

    def mark_range(self) -> None:
        """From the row that was last marked alone to the cursor."""
        if self._from in self.keys and self.cursor is not None:
            first, last = sorted((self.keys.index(self._from), self.row))
            self.marks.update(self.keys[first : last + 1])

    def mark_all(self) -> None:
        self.marks.update(self.keys)

    def mark_invert(self) -> None:
        self.marks ^= set(self.keys)

    def mark_none(self) -> None:
        self.marks.clear()
        self.show_marked(only=False)

    def chosen(self) -> list[str]:
        """What an action acts on: the marked rows, also those out of sight; without any, that of the cursor."""
        if self.marks:
            return sorted(self.marks)
        return [] if self.cursor is None else [self.cursor]


def _sortable(values: list[Any] | None, depth: int) -> tuple[bool, Any]:
    assert values is not None
    absent, value = values[2 * depth], values[2 * depth + 1]
    return (absent, value if value is not None else 0)
