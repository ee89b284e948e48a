"""What differs between two documents, field by field, fit to be shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from console.fleet.text import clean

HIDDEN = "(secret)"
ABSENT = "-"
"""Stands for a field that is not there."""
VALUE_CHARS = 120


@dataclass(frozen=True, slots=True)
class Change:
    """A field's dotted path, and its value before and after, as JSON; `-` = not there."""

    path: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.path}: {self.old} → {self.new}"


class _Absent:
    """Of a field that is not there; a field may be null."""


NOTHING = _Absent()


def changes(
    before: Mapping[str, object], after: Mapping[str, object], hides: Callable[[str], bool]
) -> tuple[Change, ...]:
    """In the order of their paths.  Of what is hidden only that it differs is told."""
    return tuple(
        Change(clean(path), _shown(old, hidden=hides(path)), _shown(new, hidden=hides(path)))
        for path, old, new in _differing(before, after, "")
    )


def _differing(before: object, after: object, path: str) -> Iterator[tuple[str, object, object]]:
    old, new = _fields(before, after), _fields(after, before)
    if old is None or new is None:
        if before != after:
            yield path, before, after
        return
    for name in sorted({*old, *new}, key=str):
        within = f"{path}.{name}" if path else str(name)
        yield from _differing(old.get(name, NOTHING), new.get(name, NOTHING), within)


def _fields(value: object, other: object) -> Mapping[str, object] | None:
    """Its fields; those of nothing beside a mapping that has some are none."""
    if isinstance(value, Mapping):
        return value if value or isinstance(other, Mapping) else None
    return {} if value is NOTHING and isinstance(other, Mapping) and other else None


def _shown(value: object, *, hidden: bool) -> str:
    if value is NOTHING:
        return ABSENT
    if hidden:
        return HIDDEN
    text = json.dumps(value, ensure_ascii=False)
    return clean(text if len(text) <= VALUE_CHARS else f"{text[: VALUE_CHARS - 1]}…")
