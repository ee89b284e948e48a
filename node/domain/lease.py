"""The lease on a node: who may change its configuration or its release now; everybody else waits and is told for whom.

It lasts by the monotonic clock of the boot that it was taken or renewed under, so that a step of the wall clock
neither ends nor prolongs it; under a later boot by the wall clock, and never longer than it was asked for.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from node.domain.errors import LeaseHeld
from node.domain.times import US, to_text

OWNER = r"^[A-Za-z0-9][A-Za-z0-9._@:-]{0,99}$"
OWNER_WORDS = "must be of letters, digits and . _ @ : -, at most 100 of them, the first a letter or digit"
SHORTEST_S, LONGEST_S, USUAL_S = 10, 3600, 300
MESSAGE_CHARS = 200
LAST_US = 253_402_300_799 * US
"""The end of the year 9999."""
SAME_US = 2 * US
"""An end that is shown moves with the wall clock, not with each look."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, as a lease reckons: UTC microseconds, the boot, and its monotonic seconds."""

    now_us: int
    boot: str
    now_s: float


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants it: owner, what for in a sentence, by whose name, and for how many seconds."""

    owner: str
    message: str
    by: str
    ttl_s: int


@dataclass(frozen=True, slots=True)
class Lease:
    """As it lies in the file.  `until_s` is monotonic under `boot`; `until_us` is what the wall clock says of it."""

    owner: str
    message: str
    by: str
    taken_us: int
    until_us: int
    boot: str
    until_s: float
    ttl_s: int

    def left_s(self, now: Moment) -> float:
        """Seconds that it lasts still; 0 = it is over."""
        same_boot = now.boot == self.boot
        left_s = self.until_s - now.now_s if same_boot else (self.until_us - now.now_us) / US
        return min(max(0.0, left_s), float(self.ttl_s))

    def as_of(self, now: Moment) -> Lease | None:
        """Said for this boot and this wall clock; None where it is over."""
        left_s = self.left_s(now)
        if not left_s:
            return None
        until_us = now.now_us + round(left_s * US)
        shown_us = self.until_us if abs(until_us - self.until_us) < SAME_US else until_us
        return replace(self, until_us=shown_us, boot=now.boot, until_s=now.now_s + left_s)


def taken(before: Lease | None, wish: Wish, now: Moment) -> Lease:
    """It is the owner's from now on, for so long.  Raises LeaseHeld where it is another's."""
    held = before.as_of(now) if before else None
    refuse_others(held, wish.owner)
    return Lease(
        owner=wish.owner,
        message=wish.message,
        by=wish.by,
        taken_us=held.taken_us if held else now.now_us,
        until_us=now.now_us + wish.ttl_s * US,
        boot=now.boot,
        until_s=now.now_s + wish.ttl_s,
        ttl_s=wish.ttl_s,
    )


def refuse_others(held: Lease | None, owner: str) -> None:
    """Raises LeaseHeld unless nobody holds it, or this owner does."""
    if held is not None and held.owner != owner:
        until = to_text(held.until_us)
        raise LeaseHeld(
            f"{held.owner} holds it until {until}: {held.message}",
            holder={"owner": held.owner, "message": held.message, "until": until},
        )


def to_json(lease: Lease) -> bytes:
    return json.dumps(asdict(lease), ensure_ascii=False, indent=1).encode()


def from_json(data: bytes) -> Lease | None:
    """None where it is no lease: what cannot be read binds nobody."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return _lease(said) if isinstance(said, Mapping) else None


def _lease(said: Mapping[str, Any]) -> Lease | None:
    """Fields that this release does not know are passed over."""
    values: dict[str, Any] = {field.name: said.get(field.name) for field in fields(Lease)}
    if not all(_fits(name, value) for name, value in values.items()):
        return None
    return Lease(**values) if re.fullmatch(OWNER, values["owner"]) else None


_TEXTS = ("owner", "message", "by", "boot")
_RANGES: Mapping[str, tuple[int, int]] = {
    "ttl_s": (SHORTEST_S, LONGEST_S),
    "taken_us": (0, LAST_US),
    "until_us": (0, LAST_US),
}


def _fits(name: str, value: object) -> bool:
    if name in _TEXTS:
        return isinstance(value, str) and len(value) <= MESSAGE_CHARS
    if name == "until_s":
        return isinstance(value, int | float) and math.isfinite(value)
    low, high = _RANGES[name]
    return isinstance(value, int) and low <= value <= high
