"""One loop of jobs: claims what goes next, hands it to its handler, and settles what came of it."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from node.clock import US, boot_id
from node.crashpoint import crash_point
from node.domain.errors import DatabaseError, DirectoryMissing, DiskError, HeliographError, LeaseLost
from node.domain.job import KINDS, parse_payload
from node.host.disk import failures_named, meaning
from node.jobs import failure_of
from node.log import about
from node.store.jobs import Held, Job
from node.work.task import Desk, Handler, Postponed, Stopping, Task

POLL_S, LOOK_S = 0.25, 2.0
PROMISE_S = 10.0
PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
SETTLE_S = 60.0
GONE_S = 60.0
LOG = logging.getLogger(__name__)


def _nothing() -> Held:
    return ()


def _allowed() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides at each look: which jobs are left alone, and whether derivatives may be made.

    `check` raises while no job may begin: DirectoryMissing where the data directory is not the one of the start.
    """

    held: Callable[[], Held] = _nothing
    derivatives: Callable[[], bool] = _allowed
    check: Callable[[], object] = _nothing


class Worker:
    """One job at a time, in the thread that calls `run`; alone with its kinds, which a lock of the process sees to."""

    def __init__(self, desk: Desk, handlers: Mapping[str, Handler], scratch: Path, rules: Rules | None = None) -> None:
        """`scratch` is the folder for temporary files of these kinds; what lies in it at the start goes."""
        self._desk, self._jobs, self._clock = desk, desk.jobs, desk.clock
        self._handlers, self._scratch, self._rules = dict(handlers), scratch, rules or Rules()
        self._owner = self._clock.new_id()
        self._stop, self._never = threading.Event(), threading.Event()
        self._task: Task | None = None
        self._begun, self._failures, self._seen = False, 0, -1
        self._ahead_us = self._offset_us()

    # --- the loop ---------------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Work until stopped; a job under way has 20 seconds to end, then it is given back."""
        self._stop = stop
        while not stop.is_set():
            if not self.guarded_turn():
                self._rest()

    def guarded_turn(self) -> bool:
        """The loop's boundary: whatever a turn raises ends here, and the loop pauses.  True where a job was there."""
        try:
            worked = self.turn()
        except Exception as error:
            self._failures += 1
            ours = not isinstance(error, HeliographError)
            LOG.warning("loop failed", exc_info=ours, extra={"loop": "jobs", "error": str(error)})
            pause_s = min(PAUSE_S * 2.0 ** min(self._failures, 8), LONGEST_PAUSE_S)
            self._desk.feel(pause_s + PROMISE_S)
            self._clock.wait(self._stop, pause_s)
            return True
        self._failures = 0
        return worked

    def turn(self) -> bool:
        """One look, and one job where there is one."""
        self._desk.feel(PROMISE_S)
        if not self._begun:
            self.begin()
        self._notice_clock()
        self._rules.check()
        self._seen = self._jobs.version()
        job = self._jobs.claim(self._kinds(), self._owner, boot_id(), self._rules.held())
        if job is None:
            return False
        crash_point("job_claimed")
        with about(job=job.id):
            self._work(job)
        crash_point("job_settled")
        return True

    def begin(self) -> None:
        """What an earlier life left: its leases, its temporary files; due times of a clock that was wrong."""
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._jobs.take_back(tuple(self._handlers), boot_id())
        self._jobs.pull_in()
        self._begun = True

    def abandon(self) -> None:
        """From another thread, where a job does not end within its time: it is given back; the process ends then."""
        task = self._task
        if task is not None:
            with suppress(HeliographError):
                self._jobs.give_back(task.job)
            task.close()

    def _kinds(self) -> tuple[str, ...]:
        allowed = self._rules.derivatives()
        return tuple(kind for kind in self._handlers if allowed or not KINDS[kind].derivative)

    def _rest(self) -> None:
        """Until the database moves, or time has made something due."""
        until_s = self._clock.monotonic() + LOOK_S
        while self._clock.monotonic() < until_s and not self._clock.wait(self._stop, POLL_S):
            if self._has_moved():
                return

    def _has_moved(self) -> bool:
        with suppress(DatabaseError):
            return self._jobs.version() != self._seen
        return True

    def _notice_clock(self) -> None:
        """A wall clock that was set back would let jobs wait too long."""
        offset_us = self._offset_us()
        if offset_us < self._ahead_us - US:
            self._jobs.pull_in()
            self._ahead_us = offset_us
        self._ahead_us = max(self._ahead_us, offset_us)

    def _offset_us(self) -> int:
        return self._clock.now_us() - round(self._clock.monotonic() * US)

    # --- one job ----------------------------------------------------------------------------------------------------

    def _work(self, job: Job) -> None:
        """An attempt's boundary: whatever the handler raises is how it ended."""
        try:
            with self._attempt(job) as task:
                done = self._handlers[job.kind](task)
                crash_point("job_handled")
                self._write(partial(self._jobs.finish, job, done.result, done.rows))
                done.after()
        except Exception as error:  # noqa: BLE001 - see above
            self._settle(job, error)

    @contextmanager
    def _attempt(self, job: Job) -> Iterator[Task]:
        """A task with its folder; no child and no file of it stays.

        Raises PayloadInvalid, DiskError; of an attempt that was interrupted, why.
        """
        folder = self._scratch / job.id
        payload = parse_payload(job.kind, job.payload)
        with failures_named(folder):
            self._make(folder)
        task = self._task = Task(job, payload, folder, self._desk, self._stop)
        self._desk.feel(KINDS[job.kind].stall_s, job.id)
        try:
            yield task
        except Exception as error:
            why = task.interrupted()
            if why is None or why is error:
                raise
            raise why from error
        finally:
            self._task = None
            task.close()
            shutil.rmtree(folder, ignore_errors=True)

    def _make(self, folder: Path) -> None:
        """Empty, and never the data directory itself: where that is gone, its mount is."""
        shutil.rmtree(folder, ignore_errors=True)
        for each in (self._scratch.parent, self._scratch, folder):
            each.mkdir(exist_ok=True)

    def _settle(self, job: Job, error: Exception) -> None:
        with suppress(LeaseLost):
            self._write(self._owed(job, self._meant(job, error)))

    def _meant(self, job: Job, error: Exception) -> Exception:
        """Of the operating system's errors ours; what is missing though the data directory is there, stays as it is."""
        if not isinstance(error, OSError):
            return error
        ours = meaning(error, job.kind)
        return error if isinstance(ours, DirectoryMissing) and not self._is_gone() else ours

    def _is_gone(self) -> bool:
        """Whether the data directory is not the one of the start, now."""
        try:
            self._rules.check()
        except HeliographError:
            return True
        return False

    def _owed(self, job: Job, error: Exception) -> Callable[[], object]:
        """The entry for an attempt that did not end well."""
        if isinstance(error, Postponed):
            return partial(self._jobs.give_back, job, error.seconds, error.said)
        if isinstance(error, DirectoryMissing) and self._is_gone():  # a mount that is gone says nothing of the job
            return partial(self._jobs.give_back, job, GONE_S, str(error))
        if not isinstance(error, HeliographError | Stopping):
            LOG.error("handler failed", exc_info=error, extra={"kind": job.kind})
        if isinstance(error, Stopping) or (self._stop.is_set() and failure_of(error).transient):
            return partial(self._jobs.give_back, job)  # what ends us may have ended its children first
        return partial(self._jobs.fail, job, error)

    def _write(self, entry: Callable[[], object]) -> None:
        """What came of a job is worth waiting for: a database that is late is asked again for a while."""
        began_s = self._clock.monotonic()
        while True:
            try:
                entry()
            except (DatabaseError, DiskError):
                if self._stop.is_set() or self._clock.monotonic() - began_s > SETTLE_S:
                    raise
                self._desk.feel(PROMISE_S)
                self._clock.wait(self._never, PAUSE_S)
            else:
                return
