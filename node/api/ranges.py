"""One range of bytes (RFC 9110, 14.1.2).  Several ranges at once are answered with the whole, as the RFC allows."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes start .. end, both included."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start + 1


def span_of(header: str, size: int) -> Span | None:
    """The range asked for; None = send the whole.  Raises ValueError where no byte of it is there."""
    match = _ONE.fullmatch(header.strip().lower().replace(" ", ""))
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        span = Span(max(0, size - int(last)), size - 1)
        empty = int(last) == 0
    else:
        span = Span(int(first), min(int(last), size - 1) if last else size - 1)
        if last and int(last) < int(first):
            return None  # not a range at all: to be ignored
        empty = span.start >= size
    if empty:
        message = f"{header} of {size} bytes"
        raise ValueError(message)
    return span
