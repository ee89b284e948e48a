"""In what order a fleet is changed: the one table for documents and playbooks."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

CANARY = "canary"
"""The inventory's group of those that go first; also the name of the first batch."""
SHARES: tuple[tuple[str, float], ...] = (("10 %", 0.10), ("25 %", 0.25), ("rest", 1.0))
"""The batches behind the canaries: how much of all nodes has been changed after each."""
SOAK_S = 30.0
"""So long the canaries are watched, once they have proved the change, before the others follow."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Nodes that are changed together.  `soak_s` passes after it, before the next one begins."""

    name: str
    nodes: tuple[str, ...]
    soak_s: float = 0.0


@dataclass(frozen=True, slots=True)
class BatchBegun:
    """From now on any node of it may have been changed."""

    batch: str
    number: int
    of: int
    nodes: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Soaking:
    """The batch has proved the change, and is watched for so long before others follow."""

    batch: str
    seconds: float


def batches(nodes: Iterable[str], canaries: Collection[str] = (), soak_s: float = SOAK_S) -> tuple[Batch, ...]:
    """All nodes in their order, each in one batch; without a canary among them the first one is it.

    No batch is empty, and the last one has no soak: there is nobody left to spare.
    """
    names = tuple(dict.fromkeys(nodes))
    first = tuple(name for name in names if name in canaries) or names[:1]
    others = [name for name in names if name not in set(first)]
    cut = [(CANARY, first)]
    begun = 0
    for called, share in SHARES:
        end = max(begun, min(len(others), math.ceil(share * len(names)) - len(first)))
        cut.append((called, tuple(others[begun:end])))
        begun = end
    filled = [(called, members) for called, members in cut if members]
    last = len(filled) - 1
    return tuple(
        Batch(called, members, soak_s if called == CANARY and place < last else 0.0)
        for place, (called, members) in enumerate(filled)
    )
