"""The data disk as the service sees it: room, the step of the ladder, what lies there, days until capture stops."""

from __future__ import annotations

import os
from dataclasses import replace

from node.clock import Clock
from node.domain.config import Document
from node.domain.errors import DiskError, DiskReadOnly
from node.domain.events import DiskStepped
from node.domain.facts import ClassFacts, DiskFacts
from node.domain.pressure import Step, step_of
from node.domain.room import full_in_days
from node.host import disk
from node.store.counting import Count, Counting
from node.store.database import Database
from node.store.files import Hold
from node.store.retention import RetentionReader

SMALL_COUNT_S = 1.0
COUNT_EVERY_S, LONG_COUNT_EVERY_S = 60.0, 600.0
"""From the begin of a count to that of the next: of a small one, and of one that costs more."""
LOOKS_S = 0.2
"""So long the looks of one call may take together; the one that goes beyond it is the last."""
_NOT_COUNTED = DiskFacts()


class DiskWatch:
    """For one thread.  `targets` are those of node.yml."""

    def __init__(self, held: Hold, database: Database, clock: Clock, targets: tuple[str, ...]) -> None:
        self._held, self._clock = held, clock
        self._reader, self._counting = RetentionReader(database), Counting(database, targets)
        self._counted, self._next_s = _NOT_COUNTED, float("-inf")
        self._began: tuple[int, float] | None = None
        self._cost_s, self._outdated = 0.0, False
        self._step = Step.OK

    def look(self, document: Document, bytes_per_day: float, refused: str) -> tuple[DiskFacts, DiskStepped | None]:
        """What is true now, and the event where the step has changed; `refused` is the code of a write that failed."""
        try:
            self._held.check()
            space = disk.space(self._held.data_dir)
        except DiskError as error:
            return DiskFacts(error_code=error.code), None
        before, limits = self._step, document.alerts
        self._step = step_of(space.total_bytes, space.free_bytes, limits, before)
        writable = os.access(self._held.data_dir, os.W_OK)
        facts = replace(
            self._counted,
            total_bytes=space.total_bytes,
            free_bytes=space.free_bytes,
            step=self._step.value,
            error_code=refused if writable else DiskReadOnly.code,
        )
        facts = replace(facts, full_in_days=full_in_days(facts, limits, bytes_per_day))
        if self._step is before:
            return facts, None
        self.recount()
        return facts, DiskStepped(self._step.value, before.value, space.free_bytes)

    def recount(self) -> None:
        """What was counted is no more so: count at the next look.  From any thread.

        A count that goes on ends first, so that a disk that changes all the time is counted at all.
        """
        self._outdated = True

    def count(self, receipts_needed: int) -> None:
        """A few small looks at what lies there, until the count is whole; then again after a while.

        Raises DatabaseBusy, DatabaseDamaged.
        """
        seen = tuple(name for name, stop in self._reader.stops().items() if not stop.count)
        self._counted = replace(self._counted, stopped=seen)
        now_s = self._clock.monotonic()
        if self._began is None:
            if now_s < self._next_s and not self._outdated:
                return
            self._outdated, self._cost_s = False, 0.0
            self._began = self._clock.now_us(), now_s
        count = self._looked(receipts_needed, now_s)
        if count is not None:
            self._settle(count, *self._began)

    def _looked(self, receipts_needed: int, since_s: float) -> Count | None:
        """The count where it is whole now."""
        while (count := self._counting.look(receipts_needed)) is None:
            if self._clock.monotonic() - since_s >= LOOKS_S:
                break
        self._cost_s += self._clock.monotonic() - since_s
        return count

    def _settle(self, count: Count, began_us: int, began_s: float) -> None:
        every_s = COUNT_EVERY_S if self._cost_s < SMALL_COUNT_S else LONG_COUNT_EVERY_S
        self._began, self._next_s = None, began_s + every_s
        self._counted = replace(
            self._counted, counted_us=began_us, reclaimable_bytes=count.verified_bytes, classes=_classes(count)
        )


def _classes(count: Count) -> tuple[ClassFacts, ...]:
    return (
        ClassFacts("frames", count.frames, count.frames_bytes),
        ClassFacts("verified frames", count.verified, count.verified_bytes),
        ClassFacts("quarantined", count.quarantined, count.quarantined_bytes),
        ClassFacts("videos", count.videos, count.videos_bytes),
    )
