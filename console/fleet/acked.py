"""Acknowledgements in the log of commands: as lines that do the same when they are run, from anywhere."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic_core import to_json

from console.fleet.state import Book, CommandEntry

LOGGED_AT_ONCE = 90
"""So many keys fit into one line of the log."""
LOGGED_BYTES = 30_000
"""So long may they be in it: a longer line would not be read again."""


@dataclass(frozen=True, slots=True)
class Acked:
    """What was done to alerts: `before` and `after` are the words of the command around their keys."""

    before: Sequence[str]
    keys: Sequence[str]
    after: Sequence[str]
    then: str
    """What they are now, after their number."""


def logged_ack(book: Book, at_us: int, who: str, done: Acked, *, saved: bool) -> None:
    """In as many lines as it takes, each with a part of the alerts."""
    unsaved = "" if saved else ", not saved"
    for keys in _portions(done.keys):
        line = shlex.join(["heliograph", *done.before, *keys, *done.after, *book.options])
        book.log(CommandEntry(at_us, who, line, f"{len(keys)} {done.then}{unsaved}"))


def _portions(keys: Sequence[str]) -> Iterator[list[str]]:
    portion, room = list[str](), LOGGED_BYTES
    for key in keys:
        size = len(to_json(shlex.quote(key)))
        if portion and (len(portion) == LOGGED_AT_ONCE or size > room):
            yield portion
            portion, room = [], LOGGED_BYTES
        portion.append(key)
        room -= size
    if portion:
        yield portion
