"""What a document on probation has shown, and what that proves: pure rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from node.domain.config import Quality

BAD_IN_A_ROW = 3
CLEARLY = 12.0
"""Points of score by which pictures are clearly worse."""
PAIRS, ATTEMPTS = 2, 4
REMEMBERED = 10

Way = tuple[str, str]
"""A camera and one of the profiles that it takes: each proves itself, or half of a shoot could be black."""


class Shown(Enum):
    """What a fresh shot shows of the document that it was taken under."""

    GOOD = auto()  # a slot's picture, judged by what is usual under this light
    DARK = auto()  # as good as a night lets one see: a proof only where no slot ever comes by day
    PLAUSIBLE = auto()  # nothing speaks against it, and nothing for it: no slot's, or without a history to judge by
    BAD = auto()
    NOTHING = auto()  # nobody could judge it
    REFUSED = auto()  # the camera cannot do what the document asks for: no later shot will be better


FINE = (Shown.GOOD, Shown.DARK, Shown.PLAUSIBLE)


@dataclass(frozen=True, slots=True)
class Seen:
    """A fresh shot: what it shows, its score (None = not judged), and the light that it was taken in."""

    shown: Shown
    score: int | None = None
    light: str = ""


@dataclass(slots=True)
class Trial:
    """What a version on probation has shown so far, by camera and profile.

    `owed` = pictures still wanted that are good or plausible; `unproved` = those that are good beyond doubt.  Without
    doubts it is confirmed; with some left it runs on provisionally until its slots come in a light that shows it.
    `deadline_s` is monotonic: a step of the wall clock neither ends nor prolongs it.
    """

    version: int
    deadline_us: int
    deadline_s: float
    owed: dict[Way, int]
    unproved: dict[Way, int]
    quality: Quality
    light: Mapping[str, float]
    by_night: frozenset[Way] = frozenset()
    provisional: bool = False
    failure: str = ""
    bad_in_a_row: dict[Way, int] = field(default_factory=dict)
    proof_s: dict[Way, float] = field(default_factory=dict)
    below: dict[Way, list[float]] = field(default_factory=dict)
    """Of the last pictures: how far below the camera's usual score of that light."""
    pairs: dict[Way, list[float | None]] = field(default_factory=dict)
    """How much better the version before did at the same moment; None = that could not be tried."""
    due_s: dict[Way, float] = field(default_factory=dict)
    """While provisional: until when a way has to show a fine picture, monotonic; infinite = nothing of it comes."""

    def take(self, way: Way, shown: Shown) -> bool:
        """One fresh shot taken that way, judged; whether it counts for the document."""
        if way not in self.owed or shown is Shown.NOTHING:
            return False
        if shown in FINE:
            self._fine(way, shown)
            return True
        self.bad_in_a_row[way] = self.bad_in_a_row.get(way, 0) + 1
        wanted = self.owed[way] or self.unproved[way]
        if shown is Shown.REFUSED:
            self.failure = "camera_refused"
        elif wanted and self.bad_in_a_row[way] >= BAD_IN_A_ROW:
            self.failure = "bad_frames"
        return False

    def _fine(self, way: Way, shown: Shown) -> None:
        self.bad_in_a_row[way] = 0
        self.owed[way] = max(0, self.owed[way] - 1)
        if shown is Shown.GOOD or (shown is Shown.DARK and way in self.by_night):
            self.unproved[way] = max(0, self.unproved[way] - 1)

    def note_below(self, way: Way, points: float) -> None:
        """By how much a picture that counts is below what is usual."""
        self.below[way] = [*self.below.get(way, ()), points][-REMEMBERED:]

    def compared(self, way: Way, better: float | None) -> None:
        """What one pair of shots says, by the version before and by this one: weather spoils both, a document one."""
        tried = [*self.pairs.get(way, ()), better]
        self.pairs[way] = tried
        told = [each for each in tried if each is not None]
        if len(told) >= PAIRS and min(told) >= CLEARLY:
            self.failure = "bad_quality"

    @property
    def suspected(self) -> tuple[Way, ...]:
        """What is clearly below its usual score, and has not been compared with the version before."""
        return tuple(way for way, points in self.below.items() if _mean(points) >= CLEARLY and self._untold(way))

    def _untold(self, way: Way) -> bool:
        """One pair that shows no difference is enough: then it is not the document."""
        tried = self.pairs.get(way, [])
        told = [each for each in tried if each is not None]
        return len(tried) < ATTEMPTS and len(told) < PAIRS and all(each >= CLEARLY for each in told)

    def begin_again(self) -> None:
        """What was seen so far says nothing about another light."""
        self.bad_in_a_row.clear()
        self.below.clear()
        self.pairs.clear()

    @property
    def done(self) -> bool:
        """Nothing speaks against it."""
        return not any(self.owed.values())

    @property
    def proved(self) -> bool:
        return self.done and not any(self.unproved.values())

    @property
    def doubted(self) -> tuple[Way, ...]:
        """What is not proved yet."""
        return tuple(way for way, count in self.unproved.items() if count)

    def late(self, now_s: float) -> bool:
        """Whether its time is over: that of the probation, or of a way whose slots have come and show nothing fine."""
        if not self.provisional:
            return now_s >= self.deadline_s
        return any(now_s >= self.due_s.get(way, math.inf) for way in self.doubted)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
