"""What is taken along from a list: rows to the clipboard, and to files."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol

from textual.app import App
from textual.worker import Worker

from console.columns.table import Column, Manner, Table
from console.fleet import copying
from console.fleet.copying import homely
from console.fleet.desk import Desk
from console.fleet.exporting import FORMS, NotExported, Record, Value, as_json, export
from console.fleet.listing import Listing
from console.fleet.record import Replay
from console.fleet.text import several
from console.fleet.times import Times
from console.fleet.watch import aside
from console.screens.base import Ask, Handler
from console.screens.chooser import Choice, Chooser
from console.widgets.grid import RowGrid
from node.wire.times import to_text

NOTHING = "nothing to take along"
WHOLE = 1
"""Decimals of a number in a file."""


class Listed(Protocol):
    """What is asked of a list."""

    desk: Desk
    listing: Listing[Any]
    TABLE: ClassVar[Table[Any]]
    NAME: ClassVar[str]

    @property
    def app(self) -> App[Any]:
        """The application."""

    @property
    def grid(self) -> RowGrid:
        """What draws it."""

    def manner(self) -> Manner:
        """How things are written."""

    def known(self, key: str) -> Mapping[str, Any]:
        """All that is known of that row."""

    def twin(self, key: str) -> Sequence[str]:
        """The words after `heliograph` that show that row."""

    def reply(self, text: str) -> None:
        """Says it in place."""

    def choose(self, chooser: Chooser, then: Callable[[Choice], object]) -> None:
        """Lets pick one."""


def taking_handlers(view: Listed) -> Mapping[str, Handler]:
    return {
        "copy_row": lambda ask: _copy(view, ask.words or "row"),
        "copy_json": lambda _: _copy(view, "json"),
        "copy_command": lambda _: _copy(view, "command"),
        "export": lambda ask: _export(view, ask),
    }


# --- what is meant ----------------------------------------------------------------------------------------------------


def _chosen(view: Listed) -> list[str]:
    """The marked rows in the order of the list, then those out of sight; without any, that of the cursor."""
    chosen = view.listing.chosen()
    order = {key: place for place, key in enumerate(view.listing.keys)}
    return sorted(
        (key for key in chosen if view.listing.read(key) is not None), key=lambda key: order.get(key, len(order))
    )


def _columns(view: Listed) -> list[Column[Any]]:
    return [column for column in view.TABLE.columns if column.key not in view.grid.hidden]


def record(view: Listed, key: str) -> Record:
    """A row as values: numbers where the list has them, else its cells without ornament."""
    row, manner = view.listing.read(key), Manner(ascii=True, times=Times.UTC, now_us=view.manner().now_us)
    return {column.key: _value(view.TABLE, column, row, manner) for column in _columns(view)} if row is not None else {}


def _value(table: Table[Any], column: Column[Any], row: Any, manner: Manner) -> Value:  # noqa: ANN401 - any list's row
    field = table.kind.fields.table.get(column.key)
    if field is not None and field.number is not None:
        number = field.number(row)
        return None if number is None else round(number, WHOLE)
    if field is not None and field.text is not None:
        return field.text(row)
    text = column.cell(row, manner).text
    return None if text == manner.unknown else text


# --- copying ----------------------------------------------------------------------------------------------------------


def _row(view: Listed, key: str) -> str:
    row, manner = view.listing.read(key), view.manner()
    cells = (column.cell(row, manner).text.strip() for column in _columns(view))
    return "  ".join(filter(None, cells))


def _json(view: Listed, key: str) -> str:
    return as_json(view.known(key))


def _command(view: Listed, key: str) -> str:
    """Of a recording there is no command for one row: it is opened again."""
    source, inventory = view.desk.source, view.desk.inventory
    if isinstance(source, Replay):
        return shlex.join(["heliograph", "console", "--replay", str(source.path)])
    return shlex.join(["heliograph", *view.twin(key), *(["-i", str(inventory)] if inventory is not None else [])])


FORMS_OF_COPY: Mapping[str, Callable[[Listed, str], str]] = {"row": _row, "json": _json, "command": _command}


def _copy(view: Listed, form: str) -> None:
    write, keys = FORMS_OF_COPY.get(form), _chosen(view)
    if write is None or not keys:
        view.reply(NOTHING if write else f"{form[:20]} is none of {', '.join(FORMS_OF_COPY)}")
        return
    lines = dict.fromkeys(write(view, key) for key in keys)
    work = partial(_copied, view, "\n".join(lines), several(len(keys), "row"))
    _: Worker[None] = view.app.run_worker(work, group="copy", exclusive=True)


async def _copied(view: Listed, text: str, what: str) -> None:
    view.reply(f"copied {what}: {await copying.copy(text, view.app.copy_to_clipboard)}")


# --- exporting --------------------------------------------------------------------------------------------------------


def _export(view: Listed, ask: Ask) -> None:
    if ask.words:
        _begin(view, ask.words, over=ask.forced)
        return
    choices = [Choice(name, name) for name in _names(view)]
    view.choose(
        Chooser("write what is shown to a new file here", choices), lambda one: _begin(view, one.id, over=False)
    )


def _names(view: Listed) -> Iterator[str]:
    at = to_text(view.manner().now_us)[:19].replace(":", "-")
    return (f"{view.NAME.replace('/', '-')}-{at}Z{ending}" for ending in FORMS)


def _begin(view: Listed, name: str, *, over: bool) -> None:
    keys = _chosen(view) if view.listing.marks else view.listing.keys
    records = [one for key in keys if (one := record(view, key))]
    path = Path(name)
    with suppress(RuntimeError):  # ~nobody is a name like any other
        path = path.expanduser()
    columns = [column.key for column in _columns(view)]
    act, what = partial(export, path, columns, records, over=over), f"{several(len(records), 'row')} to {homely(path)}"
    _: Worker[None] = view.app.run_worker(partial(_exported, view, act, what), group="export", exclusive=False)


async def _exported(view: Listed, act: Callable[[], None], what: str) -> None:
    try:
        await aside(act)
    except NotExported as error:
        view.reply(str(error))
    else:
        view.reply(f"exported {what}")
