"""Text that came from elsewhere, and lengths of time, made fit to be read."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable

MINUTE_S, HOUR_S, DAY_S, YEAR_DAYS = 60, 3600, 86400, 366
SAID_CHARS = 400
ENDS = (".", "!", "?")


def clean(text: str, chars: int = SAID_CHARS) -> str:
    """Fit for a terminal: no control or formatting characters, one line, bounded."""
    head = text[:chars]
    if head.isprintable():  # almost always; it means just that
        return head
    return "".join(" " if unicodedata.category(char).startswith(("C", "Z")) else char for char in head)


def joined(sentences: Iterable[str]) -> str:
    """One after the other: what has no full stop is parted by a semicolon."""
    said = ""
    for sentence in filter(None, (each.strip() for each in sentences)):
        between = "" if not said else " " if said.endswith(ENDS) else "; "
        said += between + sentence
    return said


def ago(seconds: float | None) -> str:
    """A length of time in at most four characters: 7s, 54m, 3h, 12d."""
    if seconds is None or not _finite(seconds):
        return ""
    for unit, size, below in (("s", 1, 2 * MINUTE_S), ("m", MINUTE_S, 2 * HOUR_S), ("h", HOUR_S, 2 * DAY_S)):
        if seconds < below:
            return f"{max(0, int(seconds)) // size}{unit}"
    days = int(seconds) // DAY_S
    return f"{days}d" if days <= YEAR_DAYS else ">1y"


def lasting(seconds: float) -> str:
    """A length of time exactly, in the largest unit that needs no fraction: 4h, 90m, 45s."""
    unit, size = next(((u, s) for u, s in (("d", DAY_S), ("h", HOUR_S), ("m", MINUTE_S)) if seconds % s == 0), ("s", 1))
    return f"{seconds / size:.15g}{unit}"


def _finite(seconds: float) -> bool:
    try:
        return math.isfinite(seconds)
    except OverflowError:  # an integer that no float can be
        return True


def several(count: int, noun: str) -> str:
    """So many of them, in words: 1 row, 2 rows."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
