"""The ladder as a disk fills: what the node leaves off at each step, and by how much it must have got better first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from node.domain.config import AlertLimits

LEAVE_AT = 1.1  # a step is left only where so much more is free than where it began
TAKEN_OF = 4
"""Of so many slots of a camera and profile one is taken while the interval is stretched."""


class Step(StrEnum):
    """Each does what those before it do, too."""

    OK = "ok"
    LOW = "low"
    CRITICAL = "critical"
    STRETCHED = "stretched"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Floor:
    """Where a step begins: below that share of a free percentage, or below so many times the reserve."""

    of_warn: float
    of_crit: float
    of_reserve: float

    def free_bytes(self, total_bytes: int, limits: AlertLimits) -> int:
        """Less free than this, and the step is taken."""
        percent = self.of_warn * limits.disk_warn_free_pct + self.of_crit * limits.disk_crit_free_pct
        return round(max(total_bytes * percent / 100, self.of_reserve * limits.disk_reserve_bytes))


# the reserve's multiples keep the steps apart on a disk so small that the reserve is more than those shares of it
FLOORS: Mapping[Step, Floor] = {
    Step.LOW: Floor(of_warn=1, of_crit=0, of_reserve=2),
    Step.CRITICAL: Floor(of_warn=0, of_crit=1, of_reserve=1.5),
    Step.STRETCHED: Floor(of_warn=0, of_crit=1 / 2, of_reserve=1.25),
    Step.STOPPED: Floor(of_warn=0, of_crit=1 / 5, of_reserve=1),
}
DOES: Mapping[Step, str] = {
    Step.OK: "nothing is left off",
    Step.LOW: "what is archived is reclaimed",
    Step.CRITICAL: "no videos or thumbnails are made",
    Step.STRETCHED: f"only every {TAKEN_OF}th slot is taken",
    Step.STOPPED: "capture stops",
}
_ORDER = tuple(Step)


def reached(step: Step, floor: Step) -> bool:
    """Whether the ladder stands at `floor` or beyond."""
    return _ORDER.index(step) >= _ORDER.index(floor)


def step_of(total_bytes: int, free_bytes: int, limits: AlertLimits, before: Step = Step.OK) -> Step:
    """The step for so much room, after `before`.  Down the ladder at once; back only where it is worth it."""
    taken = (step for step in FLOORS if _holds(step, total_bytes, free_bytes, limits, before))
    return max(taken, key=_ORDER.index, default=Step.OK)


def _holds(step: Step, total_bytes: int, free_bytes: int, limits: AlertLimits, before: Step) -> bool:
    floor = FLOORS[step].free_bytes(total_bytes, limits)
    if reached(before, step):
        return free_bytes <= floor * LEAVE_AT and floor > 0
    return free_bytes < floor


def spares(step: Step, nth: int) -> bool:
    """Whether the n-th slot (from 0) of a camera and profile since the interval was stretched is left out."""
    return step is Step.STRETCHED and nth % TAKEN_OF != 0


def need_bytes(total_bytes: int, free_bytes: int, limits: AlertLimits, reclaim_to_pct: float) -> int:
    """What must go until so much is free that the lowest step is left, too; 0 = nothing must."""
    left = calm_bytes(total_bytes, limits)
    return max(0, round(max(total_bytes * reclaim_to_pct / 100, left)) - free_bytes)


def calm_bytes(total_bytes: int, limits: AlertLimits) -> int:
    """With so much free no step is taken, and whichever was taken is left."""
    return round(FLOORS[Step.LOW].free_bytes(total_bytes, limits) * LEAVE_AT) + 1
