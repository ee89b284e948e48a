"""What every screen does for the session itself: its log, and asking nodes again at once."""

from __future__ import annotations

from collections.abc import Mapping

from console.fleet.state import CommandEntry
from console.screens.base import Handler, View
from console.screens.inspect import Inspect
from node.wire.times import to_text

MOST_ENTRIES = 500
NAMED = 3


def session_handlers(view: View) -> Mapping[str, Handler]:
    return {"log": lambda _: _log(view), "reconnect": lambda _: _reconnect(view)}


def _log(view: View) -> None:
    book = view.desk.book
    if book is None:
        view.reply("a recording has no log of commands")
        return
    entries = book.commands(MOST_ENTRIES)
    text = "\n".join(_line(entry) for entry in entries) or "nothing has been done yet"
    view.app.push_screen(Inspect("what this console has done, newest first", text))


def _line(entry: CommandEntry) -> str:
    return f"{to_text(entry.at_us)[:19]}Z  {entry.who}  {entry.command}\n    {entry.outcome}"


def _reconnect(view: View) -> None:
    names = list(dict.fromkeys(subject.partition("/")[0] for subject in view.subjects()))
    if not view.desk.live or not names:
        view.reply("no node here" if view.desk.live else "a recording has nobody to ask")
        return
    for name in names:
        view.desk.source.ask_now(name)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    view.reply(f"asking {', '.join(names[:NAMED])}{more} again now")
