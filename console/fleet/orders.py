"""What becomes of the orders of a plan, and what is kept of it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from console.fleet.acts import DEEDS, Deed, Kind, Options, Outcome, Step, command
from console.fleet.text import clean

LENGTH = re.compile(r"([0-9]{1,6})([smhd]?)")
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
LOGGED_AT_ONCE = 300
"""Orders in one entry of the command log: more make a further entry, so that each can be run as it stands."""


class Fate(Enum):
    """What became of an order: its sign, in ASCII, and its style; in the order in which they are listed at the end."""

    FAILED = ("✖", "x", "crit")
    UNKNOWN = ("?", "?", "warn")
    UNSENT = ("◌", "o", "dim")
    WAITING = ("·", ".", "dim")
    DONE = ("●", "+", "ok")


@dataclass(slots=True)
class Order:
    """One step, and what became of it."""

    step: Step
    fate: Fate = Fate.WAITING
    said: str = ""

    def settle(self, outcome: Outcome) -> None:
        self.fate = Fate.DONE if outcome.ok else Fate.UNKNOWN if outcome.unknown else Fate.FAILED
        failed = "failed:" if outcome.failed else ""
        self.said = outcome.said if outcome.ok else " ".join(filter(None, (failed, outcome.code, outcome.said)))

    def give_up(self, *, sent: bool) -> None:
        """Nobody waits for it any longer."""
        self.fate = Fate.UNKNOWN if sent else Fate.UNSENT
        self.said = "may still be on its way" if sent else "not sent"

    def line(self) -> str:
        return f"{self.step.aim}: {self.said}" if self.said else self.step.sentence


def counted(orders: Iterable[Order]) -> str:
    """How many came to what."""
    fates = Counter(order.fate for order in orders)
    more = {Fate.FAILED: "failed", Fate.UNKNOWN: "unknown", Fate.UNSENT: "not sent"}
    return ", ".join(
        [f"{fates[Fate.DONE]} done", *(f"{fates[fate]} {word}" for fate, word in more.items() if fates[fate])]
    )


def logged(deed: Deed, orders: Sequence[Order], options: Options) -> Iterator[tuple[str, str]]:
    """The commands that do the same, and what became of them."""
    for first in range(0, len(orders), LOGGED_AT_ONCE):
        some = orders[first : first + LOGGED_AT_ONCE]
        line = command(deed, [order.step.aim for order in some], options)
        yield line, clean("; ".join([counted(some), *(order.line() for order in some)]))


def undoing(kind: Kind) -> str:
    return f"heliograph {DEEDS[kind.undo].twin}" if kind.undo else kind.undo_said


def hold_time(text: str) -> int | None:
    """Seconds; none where nothing was typed.  Raises ValueError."""
    match = LENGTH.fullmatch(text.strip())
    if not text.strip():
        return None
    if match is None or not int(match[1]):
        raise ValueError(f"{text.strip()[:20]!r} is no length of time: 30m, 2h, 1d")
    return math.ceil(int(match[1]) * SECONDS[match[2]])
