"""Room on the data disk: how far the ladder is, and what speaks for trouble with it.

Findings are subject and sentence, for the table of `domain.health`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from node.domain.config import AlertLimits
from node.domain.facts import DiskFacts, NodeFacts
from node.domain.pressure import DOES, FLOORS, Step, step_of

Finding = tuple[str, str]
Level = Literal["ok", "warn", "crit"]

_LEVELS: Mapping[Step, Level] = {Step.OK: "ok", Step.LOW: "warn"}  # all beyond is critical


def disk_step(disk: DiskFacts, limits: AlertLimits) -> Step | None:
    """Where the data disk stands on the ladder; None = not known."""
    if disk.total_bytes is None or disk.free_bytes is None:
        return None
    return Step(disk.step) if disk.step else step_of(disk.total_bytes, disk.free_bytes, limits)


def disk_level(disk: DiskFacts, limits: AlertLimits) -> Level | None:
    """How full the data disk is; None = not known."""
    step = disk_step(disk, limits)
    return None if step is None else _LEVELS.get(step, "crit")


def at(*steps: Step) -> Callable[[NodeFacts, AlertLimits, int], Iterator[Finding]]:
    """The disk stands at one of these steps."""

    def find(facts: NodeFacts, limits: AlertLimits, _now_us: int) -> Iterator[Finding]:
        disk = facts.disk.value if facts.disk else DiskFacts()
        step = disk_step(disk, limits)
        if disk.free_bytes is not None and step in steps:
            yield "disk", f"The data disk has {disk.free_bytes / 2**20:,.0f} MiB free; {DOES[step]}."

    return find


def reclaim_stopped(facts: NodeFacts, _limits: AlertLimits, _now_us: int) -> Iterator[Finding]:
    """A class of files of which nothing more is deleted."""
    found: dict[str, str] = {}
    for name in facts.disk.value.stopped if facts.disk else ():
        what, _, item = name.partition("/")
        found.setdefault(what, item)
    for what, item in found.items():
        yield what, f"File, row and receipts do not agree for {what} {item}; no more of its class are reclaimed."


def full_in_days(disk: DiskFacts, limits: AlertLimits, bytes_per_day: float) -> float | None:
    """Days until capture stops, were nothing more archived from now on; None where nothing is asked for."""
    if not bytes_per_day or disk.total_bytes is None or disk.free_bytes is None:
        return None
    floor = FLOORS[Step.STOPPED].free_bytes(disk.total_bytes, limits)
    return round(max(0, disk.free_bytes + (disk.reclaimable_bytes or 0) - floor) / bytes_per_day, 2)
