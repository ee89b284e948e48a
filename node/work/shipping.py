"""Sending to the archive: what the ship process does between jobs, and the transfer of one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from node.archive.base import Outcome, Target
from node.crashpoint import crash_point
from node.domain.breaker import Breaker, BreakerState, may_try
from node.domain.config import TargetPolicy
from node.domain.errors import (
    ArchiveError,
    HeliographError,
    MarkerMissing,
    SameDevice,
    TargetFull,
    TargetRefused,
    TargetUnavailable,
)
from node.domain.job import TransferPayload
from node.domain.times import US
from node.holdings import OURS, Settled
from node.jobs import Jobs
from node.store.archive import TargetRow
from node.store.archive_reader import Look, Waiting
from node.work.dock import Dock, broken, chunks, named, of_items
from node.work.recall import restore, verify_archive
from node.work.task import Done, Handler, Task
from node.work.trial import test_target

FILLS = 20
"""Most transactions in which one look takes new frames up; the next look goes on."""
ROOM = 2
"""Items of the mean size that have to fit before a target that was full is tried again."""
_SEEN = frozenset(error.code for error in (TargetUnavailable, MarkerMissing, TargetRefused, SameDevice, TargetFull))
"""Errors that a test of the target would show again: as long as it does, nothing is sent."""


def handlers(dock: Dock) -> Mapping[str, Handler]:
    """The ship process's kinds of jobs."""
    doing = {
        "transfer": transfer,
        "test-target": test_target,
        "verify-archive": verify_archive,
        "restore": restore,
    }
    return {kind: partial(act, dock) for kind, act in doing.items()}


# --- between jobs ---------------------------------------------------------------------------------------------------


class ShipRounds:
    """Takes new frames and videos up, tests targets that failed, and asks for transfers.  One for each ship process."""

    def __init__(self, dock: Dock, jobs: Jobs) -> None:
        self._dock, self._jobs = dock, jobs
        self._clock = dock.where.clock
        self._tested_s: dict[str, float] = {}

    def looks(self) -> Mapping[str, Callable[[], None]]:
        """By target, so that no failure of one keeps the others from being looked at."""
        return {name: partial(self.turn, name) for name in self._dock.endpoints}

    def turn(self, name: str) -> None:
        """One look at a target, if it is used; writes only where there is something to do.

        In a thread of its own: a job may be using a target meanwhile.
        """
        policy = self._dock.used(name)
        if policy is not None:
            self._turn(name, policy)

    def held(self) -> frozenset[tuple[str, str]]:
        """Kind and key of the transfers that wait for an open breaker."""
        used = [name for name in self._dock.endpoints if self._dock.used(name) is not None]
        rows = [self._dock.reader.target(name) for name in used]
        return frozenset(("transfer", row.name) for row in rows if row.breaker == BreakerState.OPEN)

    def _turn(self, name: str, policy: TargetPolicy) -> None:
        look = self._filled(name, policy)
        well = self._test(look, policy) if self._to_be_tested(look.row, policy) else not _suspect(look.row)
        if well and look.due and look.job is None:
            gather_s = 0.0 if look.row.unsent >= policy.batch_frames else policy.gather_s
            due_us = self._clock.now_us() + round(gather_s * US)
            self._jobs.enqueue("transfer", name, {"target": name}, who="ship", due_us=due_us)

    def _filled(self, name: str, policy: TargetPolicy) -> Look:
        """After new rows were taken up."""
        look = self._look(name, policy)
        if not look.known:
            self._dock.holdings.know(name)
        for _ in range(FILLS):
            if not look.behind:
                break
            self._dock.holdings.fill(name, videos=policy.videos)
            look = self._look(name, policy)
        return look

    def _look(self, name: str, policy: TargetPolicy) -> Look:
        return self._dock.reader.look(name, self._clock.now_us(), videos=policy.videos)

    def _to_be_tested(self, row: TargetRow, policy: TargetPolicy) -> bool:
        """A target that failed, when its pause is over; a half-open one only where nothing is there to try it with."""
        pause_s, last_s = policy.breaker.pause_s, self._tested_s.get(row.name)
        if last_s is not None and self._clock.monotonic() - last_s < pause_s:
            return False
        idle = row.breaker == BreakerState.HALF_OPEN and not row.unsent
        paused = Breaker(opened_us=row.last_failed_us)
        return (_suspect(row) or idle) and may_try(paused, policy.breaker, self._clock.now_us())

    def _test(self, look: Look, policy: TargetPolicy) -> bool:
        """Whether the target may be used.

        Where a test has failed since the last attempt, and now does not, the cause has gone: what waits for its next
        attempt is sent at once.  An attempt that failed of what no test shows waits as long as it must; that a marker
        is missing every test shows.
        """
        row, job = look.row, look.job
        try:
            with self._dock.opened_unless_used(row.name) as target:
                if target is None:
                    return False  # a job finds out
                self._tested_s[row.name] = self._clock.monotonic()
                _check(target, row)
        except ArchiveError as error:
            self._dock.holdings.used(row.name, error, policy.breaker)
            return False
        marked = row.last_error_code == MarkerMissing.code
        cured = job is None or marked or (row.last_failed_us or 0) > job.due_us - job.delay_us
        if cured:
            self._jobs.hasten("transfer", row.name)
        crash_point("after_hasten")
        if cured or row.breaker != BreakerState.CLOSED:
            self._dock.holdings.used(row.name, None, policy.breaker)
        return True


def _suspect(row: TargetRow) -> bool:
    return row.breaker == BreakerState.OPEN or row.last_error_code in _SEEN


def _check(target: Target, row: TargetRow) -> None:
    """Raises as `Target.check`; TargetFull where it was full and still is."""
    target.check()
    if row.last_error_code == TargetFull.code:
        free = target.space().free_bytes
        if free < ROOM * row.unsent_bytes / max(1, row.unsent):
            raise TargetFull(f"{free:,} bytes free")


# --- a transfer -----------------------------------------------------------------------------------------------------


def transfer(dock: Dock, task: Task) -> Done:
    """One batch: put, read there, receipts in place of outbox rows.

    Done where any item got its receipt, or none could for a fault of ours; the next job takes what is left.  Raises
    what the target failed of where nothing was gained.
    """
    assert isinstance(task.payload, TransferPayload)
    name = task.payload.target
    policy = dock.used(name)
    if policy is None:
        return Done({"target": name, "sent": 0, "why": "the target is not used"})
    began = dock.where.clock.monotonic()
    outcomes = _put(dock, task, name, _batch(dock, name, policy))
    crash_point("after_put")
    settled = list(_settle(dock, name, outcomes, dock.where.clock.monotonic() - began))
    failed = broken(outcomes)
    if failed is not None:
        dock.holdings.used(name, failed, policy.breaker)
    return _answer(name, settled, failed)


def _batch(dock: Dock, name: str, policy: TargetPolicy) -> list[Waiting]:
    """At least one item, whatever its size, where any is due."""
    now_us = dock.where.clock.now_us()
    due = dock.reader.batch(name, now_us, policy.batch_frames, newest=policy.order == "newest")
    room = policy.batch_bytes
    for number, each in enumerate(due):
        room -= each.size_bytes
        if room < 0:
            return due[: max(1, number)]
    return due


def _put(dock: Dock, task: Task, name: str, waiting: Sequence[Waiting]) -> list[Outcome]:
    if not waiting:
        return []
    with dock.opened(name) as target:
        try:
            return target.put([dock.item(each) for each in waiting], task.beat)
        except ArchiveError as error:
            dock.holdings.used(name, error, dock.terms(name).limits)
            raise


def _settle(dock: Dock, name: str, outcomes: Sequence[Outcome], took_s: float) -> Iterator[Settled]:
    answers = of_items(outcomes)
    for chunk in chunks(answers):
        crash_point("before_receipts")
        yield dock.holdings.settle(name, chunk, dock.terms(name), took_s * len(chunk) / len(answers))


def _answer(name: str, settled: Sequence[Settled], failed: HeliographError | None) -> Done:
    refused = [each for part in settled for each in part.refused]
    sent = sum(part.kept.count for part in settled)
    theirs = [each.error for each in refused if not isinstance(each.error, OURS)]
    if not sent and (failed or theirs):
        raise failed or theirs[0]
    size_bytes = sum(part.kept.size_bytes for part in settled)
    return Done(
        {"target": name, "sent": sent, "size_bytes": size_bytes, "refused": len(refused), "named": named(refused)}
    )
