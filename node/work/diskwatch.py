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

COUNT_EVERY_S = 600.0
_NOT_COUNTED = DiskFacts()


class DiskWatch:
    """For one thread.  `targets` are those of node.yml."""

    def __init__(self, held: Hold, database: Database, clock: Clock, targets: tuple[str, ...]) -> None:
        self._held, self._clock = held, clock
        self._reader, self._counting = RetentionReader(database), Counting(database, targets)
        self._counted, self._count_at_s = _NOT_COUNTED, float("-inf")
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
        stepped = DiskStepped(self._step.value, before.value, space.free_bytes) if self._step is not before else None
        return facts, stepped

    def count(self, receipts_needed: int) -> None:
        """One small look at what lies there, until the count is whole; again after ten minutes.

        Raises DatabaseBusy, DatabaseDamaged.
        """
        seen = tuple(name for name, stop in self._reader.stops().items() if not stop.count)
        self._counted = replace(self._counted, stopped=seen)
        if self._clock.monotonic() - self._count_at_s < COUNT_EVERY_S:
            return
        count = self._counting.look(receipts_needed)
        if count is not None:
            self._counted = replace(self._counted, reclaimable_bytes=count.verified_bytes, classes=_classes(count))
            self._count_at_s = self._clock.monotonic()


def _classes(count: Count) -> tuple[ClassFacts, ...]:
    return (
        ClassFacts("frames", count.frames, count.frames_bytes),
        ClassFacts("verified frames", count.verified, count.verified_bytes),
        ClassFacts("quarantined", count.quarantined, count.quarantined_bytes),
        ClassFacts("videos", count.videos, count.videos_bytes),
    )
