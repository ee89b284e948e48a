"""Small parts of SQL text: a WHERE from conditions that may be absent, and the order of a page by key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from node.domain.frame import make_id

PAGE = 100
_LOWEST, _HIGHEST = b"\x00" * 10, b"\xff" * 10


@dataclass(frozen=True, slots=True)
class Where:
    """Conditions joined by AND, with their values."""

    text: str
    values: tuple[object, ...]


def where(conditions: Iterable[tuple[str, object]]) -> Where:
    """Those conditions whose value is not None.  A tuple gives several values."""
    present = [(text, value) for text, value in conditions if value is not None]
    values = [each for _, value in present for each in (value if isinstance(value, tuple) else (value,))]
    text = " AND ".join(text for text, _ in present)
    return Where(f"WHERE {text}" if text else "", tuple(values))


def beyond(columns: Sequence[str], *, descending: bool) -> str:
    """The condition of a page that goes on after a key: `(a, b) < (?, ?)`."""
    marks = ", ".join("?" for _ in columns)
    return f"({', '.join(columns)}) {'<' if descending else '>'} ({marks})"


def order(columns: Sequence[str], *, descending: bool) -> str:
    """ORDER BY in that direction."""
    return "ORDER BY " + ", ".join(f"{column} {'DESC' if descending else 'ASC'}" for column in columns)


def select(columns: str, rest: str) -> str:
    """SELECT columns FROM rest.  Both are text of this package; values are always bound."""
    return f"SELECT {columns} FROM {rest}"  # noqa: S608 - the one place where such text is joined


def first_id(at_us: int) -> str:
    """The lowest id of that instant."""
    return make_id(at_us // 1000, _LOWEST)


def last_id(at_us: int) -> str:
    """The highest id of that instant."""
    return make_id(at_us // 1000, _HIGHEST)
