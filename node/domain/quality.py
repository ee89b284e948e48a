"""The judge's types and rules: measures and deviations in, a verdict with named reasons out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PERFECT = 100


class Integrity(StrEnum):
    """The certain answer about a file (closed)."""

    INTACT = "intact"
    EMPTY = "empty"
    WRONG_TYPE = "wrong_type"
    UNDECODABLE = "undecodable"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    TOO_SMALL = "too_small"


class Verdict(StrEnum):
    GOOD = "good"
    BAD = "bad"
    UNJUDGED = "unjudged"


@dataclass(frozen=True, slots=True)
class Reason:
    """One failed check: its code, what was measured, where the limit lay, and the score that it allows at most."""

    code: str
    measure: float
    limit: float
    score: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judge's whole answer.  `score` is 0..100, 100 = perfect; None when unjudged."""

    verdict: Verdict
    score: int | None
    reasons: tuple[Reason, ...] = ()
    baseline_frames: int = 0
    cold: bool = True
