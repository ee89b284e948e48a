"""One camera's ledger while it runs: which slots are due by now, which were missed and why, which shoots are open."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from node.clock import US, Clock
from node.domain.errors import DatabaseError, DiskError
from node.domain.frame import Gap, GapReason, SlotKey
from node.domain.schedule import Due, Occurrence
from node.store.ledger import LedgerReader
from node.work.holds import Holds
from node.work.keeping import Keeper
from node.work.live import Live, Segment

LOG = logging.getLogger(__name__)
Asked = tuple[Segment, Due]

CLOCK_STEP_S = 2.0
MOST_AT_ONCE = 500
FEW = 3


@dataclass(slots=True)
class Marks:
    """Instants up to which something kept the loop from its slots, in UTC microseconds."""

    shot_us: int = 0
    tended_us: int = 0
    stepped_us: int = 0


class Agenda:
    """Used by the camera's loop alone, but for `settled_us` and `complete_us`."""

    def __init__(self, camera: str, clock: Clock, live: Live, keeper: Keeper, holds: Holds) -> None:
        self._camera, self._clock, self._journal = camera, clock, keeper.journal
        self._live, self._keeper, self._holds = live, keeper, holds
        self.settled_us = self._resumed_us = clock.now_us()
        self._offset_us = self._clock_offset()
        self._marks = Marks()
        self._met: set[SlotKey] = set()
        self._open_shoots: dict[str, int] = {}
        self._backlog: Iterator[Asked] | None = None
        self._batch: list[Asked] = []
        self._settled: Callable[[str, int, int], Container[SlotKey]] = lambda *_: ()

    @property
    def complete_us(self) -> int:
        """The ledger on disk has every slot due until then; while catching up, that is where the last life left it."""
        resumed_us = self.settled_us if self._backlog is None else self._resumed_us
        return min([self.settled_us, resumed_us, *(due_us - 1 for due_us in self._keeper.waiting_for())])

    @property
    def behind(self) -> bool:
        """Whether slots of the time before this start still wait to be explained."""
        return self._backlog is not None

    def resume(self, ledger: LedgerReader) -> None:
        """At start: what the last life of the service left open, and the slots that came due since."""
        self._open_shoots = {each.shoot: each.end_us for each in ledger.open_shoots() if each.camera == self._camera}
        self._resumed_us = ledger.settled_to().get(self._camera, self.settled_us)
        self._settled = ledger.settled
        self._backlog = self._live.due(self._camera, self._resumed_us, self.settled_us)

    # --- slots ------------------------------------------------------------------------------------------------

    def due_by_now(self) -> tuple[list[Asked], int]:
        """Slots due and not dealt with, whole instants, a few hundred at most; and up to when these are all."""
        with self._live.steady():
            until_us = self._clock.now_us()
            asked = self._live.due(self._camera, self.settled_us, until_us)
            slots = list(islice((each for each in asked if each[1].slot not in self._met), MOST_AT_ONCE))
        if len(slots) < MOST_AT_ONCE:
            return slots, until_us
        last_us = slots[-1][1].slot.due_us
        return [each for each in slots if each[1].slot.due_us < last_us], last_us - 1

    def in_time(self, due: Due) -> bool:
        """Whether a slot may still be started: a late one is skipped, never shifted."""
        return self._clock.now_us() - due.slot.due_us <= due.grace_us

    def settle(self, until_us: int) -> None:
        """Every slot due until then has been dealt with."""
        self.settled_us = max(self.settled_us, until_us)
        self._met = {slot for slot in self._met if slot.due_us > self.settled_us}

    def met(self, due: Due) -> None:
        """A slot has been dealt with, and is not taken again; others of its instant may follow."""
        self._met.add(due.slot)
        self.settle(due.slot.due_us - 1)
        self._marks.shot_us = self._clock.now_us()

    def tended(self) -> None:
        """The camera was opened or recovered until now."""
        self._marks.tended_us = self._clock.now_us()

    def next_us(self) -> int | None:
        """When the next slot is due."""
        due = self._live.next_due(self._camera, self.settled_us)
        return due.slot.due_us if due else None

    def explain(self, missed: Sequence[Asked], *, camera_ok: bool) -> None:
        """Slots that were not reached in time."""
        reasons = [self._reason(due, camera_ok=camera_ok) for _, due in missed]
        if len(missed) > FEW:
            self._record(missed, reasons)
            return
        for (segment, due), reason in zip(missed, reasons, strict=True):
            self._keeper.explain(segment, due, reason)

    def catch_up(self, most: int) -> None:
        """So many of the slots that were due while the service was not running.  A batch that fails is tried again."""
        if self._backlog is None:
            return
        batch = self._batch = self._batch or list(islice(self._backlog, most))
        if not batch:
            self._backlog = None
            self._keeper.caught_up = True
            return
        known = self._settled(self._camera, batch[0][1].slot.due_us - 1, batch[-1][1].slot.due_us)
        new = [each for each in batch if each[1].slot not in known]
        for segment, due in new:
            self.open_shoots_of(segment, due)
        if new:
            self._record(new, [self._reason_down(due) for _, due in new])
        self._batch = []

    def _record(self, slots: Sequence[Asked], reasons: Sequence[GapReason]) -> None:
        """Many gaps; those of one cause are told together."""
        gaps = [
            Gap(due.slot, due.schedules, due.shoots, reason, "", segment.version)
            for (segment, due), reason in zip(slots, reasons, strict=True)
        ]
        calendar = slots[-1][0].calendar
        self._journal.gaps(
            gaps,
            day_of=lambda at_us: calendar.date_of(at_us).isoformat(),
            settled_to_us=self._keeper.settled_to(gaps[-1].slot.due_us) or 0,
        )

    def _reason_down(self, due: Due) -> GapReason:
        """A camera that was held would not have taken it either."""
        return GapReason.HELD if self._holds.explain(self._camera, due.slot.due_us) else GapReason.PROCESS_DOWN

    def _reason(self, due: Due, *, camera_ok: bool) -> GapReason:
        due_us = due.slot.due_us
        if self._holds.explain(self._camera, due_us):
            return GapReason.HELD
        if due_us <= self._marks.stepped_us:
            return GapReason.CLOCK_STEP
        if due_us <= self._marks.tended_us:
            return GapReason.CAMERA_OFFLINE
        if due_us > self._marks.shot_us:
            return GapReason.LATE
        return GapReason.BUSY if camera_ok else GapReason.CAMERA_OFFLINE

    # --- the clock --------------------------------------------------------------------------------------------

    def notice_clock(self) -> None:
        """A wall clock set back makes slots due again, whose frames are extra ones; one set forward leaps over some."""
        offset_us = self._clock_offset()
        step_us, self._offset_us = offset_us - self._offset_us, offset_us
        if step_us <= -CLOCK_STEP_S * US:
            self.settled_us = min(self.settled_us, self._clock.now_us())
            self._marks = Marks()
        elif step_us >= CLOCK_STEP_S * US:
            self._marks.stepped_us = self._clock.now_us()

    def _clock_offset(self) -> int:
        return self._clock.now_us() - round(self._clock.monotonic() * US)

    # --- shoots -----------------------------------------------------------------------------------------------

    def open_shoots_of(self, segment: Segment, due: Due) -> None:
        """A window begins with its first slot."""
        if all(shoot in self._open_shoots for shoot in due.shoots):
            return
        for each in segment.calendar.occurrences(self._camera, due.slot.due_us, due.slot.due_us + 1):
            if each.shoot in due.shoots and each.shoot not in self._open_shoots:
                self._open_shoot(each)

    def close_shoots(self) -> None:
        """A shoot ends once, when its window is over and its slots are settled; at the latest when the database can."""
        render = self._live.current.document.render
        for shoot in [shoot for shoot, end_us in self._closable().items() if end_us <= self.settled_us]:
            try:
                self._journal.close_shoot(shoot, video=render.enabled, least=render.min_frames)
            except (DatabaseError, DiskError) as error:
                LOG.warning("shoot is not closed yet", extra={"shoot": shoot, "error": str(error)})
                return
            del self._open_shoots[shoot]

    def _open_shoot(self, shoot: Occurrence) -> None:
        """A database that does not take it keeps no slot waiting: the next slot tries again, counts go on without."""
        try:
            self._journal.open_shoot(shoot.shoot, shoot.start_us, shoot.end_us)
        except (DatabaseError, DiskError) as error:
            LOG.warning("shoot is not opened yet", extra={"shoot": shoot.shoot, "error": str(error)})
        else:
            self._open_shoots[shoot.shoot] = shoot.end_us

    def closing_us(self) -> int | None:
        """When the next shoot ends."""
        return min(self._closable().values(), default=None)

    def _closable(self) -> dict[str, int]:
        """None, while slots of theirs may still be missing from the ledger."""
        return self._open_shoots if self._keeper.caught_up and not self._keeper.waiting else {}
