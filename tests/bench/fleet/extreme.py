"""Whatever a record may legally hold, at its limit: the largest numbers, the ends of the calendar, escape sequences."""

from __future__ import annotations

import random
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

INTEGERS = (2**63 - 1, -(2**63), 0)
FLOATS = (1.7e308, -1.7e308, 5e-324, float("nan"), float("inf"))
ESCAPES = (
    "\x1b[2J\x1b[31mred",
    "\x1b]0;title\x07",
    "a\r\nb\x00",
    "\u202egnp",
    "[b]bold[/b]",
    "{braces}",
    "x" * 300,
    "",
)
TIMES = (
    "0001-01-01T00:00:00+12:00",
    "9999-12-31T23:59:59-12:00",
    "9999-12-31T23:59:59.999999-23:59",
    "9998-12-31T23:59:59Z",
    "\x1b[5m2027-01-15T08:00:00Z",
)
FRAME = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
B = TypeVar("B", bound=BaseModel)


@dataclass(slots=True)
class Extreme:
    """Makes such answers; `set` holds what must be well for the rest to be read at all, by field."""

    dice: random.Random
    set: Mapping[str, Any] = field(default_factory=dict)
    many: int = 3

    def of(self, kind: type[BaseModel]) -> dict[str, Any]:
        """As JSON-ready values."""
        return {name: self._field(name, info) for name, info in kind.model_fields.items()}

    def _field(self, name: str, info: FieldInfo) -> Any:
        if name in self.set:
            return self.set[name]
        limits = (getattr(one, end, None) for one in info.metadata for end in ("ge", "le"))
        bounds = [limit for limit in limits if limit is not None]
        return self.dice.choice(bounds) if bounds else self._value(info.annotation)

    def _value(self, kind: Any) -> Any:
        origin = get_origin(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return self.of(kind)
        if kind in PLAIN:
            return PLAIN[kind](self.dice)
        return BUILT[origin](self, get_args(kind)) if origin in BUILT else self.dice.choice(ESCAPES)

    def several(self, kind: Any) -> list[Any]:
        return [self._value(kind) for _ in range(self.many)]


PLAIN: dict[Any, Callable[[random.Random], Any]] = {
    str: lambda dice: dice.choice((*ESCAPES, *TIMES)),
    int: lambda dice: dice.choice(INTEGERS),
    float: lambda dice: dice.choice(FLOATS),
    bool: lambda dice: dice.choice((True, False)),
}
BUILT: dict[Any, Callable[[Extreme, tuple[Any, ...]], Any]] = {
    Literal: lambda it, words: it.dice.choice(words),
    Union: lambda it, kinds: it._value(next(kind for kind in kinds if kind is not type(None))),
    types.UnionType: lambda it, kinds: it._value(next(kind for kind in kinds if kind is not type(None))),
    tuple: lambda it, kinds: it.several(kinds[0]),
    list: lambda it, kinds: it.several(kinds[0]),
    dict: lambda it, kinds: {f"{name}\x1b[7m": it._value(kinds[1]) for name in ("one", "two.three")},
}
