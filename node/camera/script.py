"""Scripted faults of the synthetic camera, placed by the count of shots and failed openings over all its workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

AT_OPENING = ("absent", "crash")


@dataclass(frozen=True, slots=True)
class Fault:
    """As in node.yml: `kind` spoils `shots` shots after `after_shots` good ones, again each `every` (0 = once)."""

    kind: str
    after_shots: int = 0
    shots: int = 1
    every: int = 0

    def spoils(self, count: int) -> bool:
        """Whether the shot with that count (from 0) is one of its."""
        since = count - self.after_shots
        if since < 0:
            return False
        return (since % self.every if self.every else since) < self.shots


def read(given: Sequence[Mapping[str, Any]]) -> tuple[Fault, ...]:
    """The script of a camera's options."""
    return tuple(Fault(**entry) for entry in given)


def fault_at(script: Sequence[Fault], count: int, kinds: Sequence[str] | None = None) -> str | None:
    """The kind of the first fault that spoils this shot, of these kinds only where they are given."""
    for fault in script:
        if (kinds is None or fault.kind in kinds) and fault.spoils(count):
            return fault.kind
    return None
