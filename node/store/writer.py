"""The one writer thread of a process: two bounded lanes, a transaction a job, back-off while another holds the lock.

A hand-over to the thread costs about 0.05 ms of CPU (measured: future and condition), so there is no second way.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from node.crashpoint import crash_point
from node.domain.errors import DatabaseBusy
from node.store.faults import SQLITE_ERRORS, fault_of
from node.store.session import Result, Session, Work, name_of

LANE = 256
COMMIT_S = 2.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.002, 0.1


@dataclass(slots=True)
class _Job:
    work: Work[Any]
    deadline: float
    future: Future[Any]
    gate: threading.Lock = field(default_factory=threading.Lock)
    committing: bool = False

    def give_up(self) -> bool:
        """True when it will never be committed; False where the commit is under way already."""
        return self.future.cancel() or self.gate.acquire(blocking=False)

    def may_commit(self) -> bool:
        """False where whoever asked has given up."""
        self.committing = self.committing or self.gate.acquire(blocking=False)
        return self.committing


class Writer:
    """Owns the writing connection.  Deadlines are real time, whatever clock the node runs on."""

    def __init__(self, session: Session, observe: Callable[[str, float], None]) -> None:
        self._session, self._observe = session, observe
        self._urgent: deque[_Job] = deque()
        self._usual: deque[_Job] = deque()
        self._wanted = threading.Condition()
        self._closing = threading.Event()
        self.retries = 0
        self._thread = threading.Thread(target=self._loop, name="writer", daemon=True)
        self._thread.start()

    def write(self, work: Work[Result], *, urgent: bool, timeout_s: float) -> Result:
        """Runs `work` in one transaction and returns what it returned.

        Raises DatabaseBusy where the time ran out: then nothing was written, unless the commit itself hung.
        """
        answer: Future[Result] = Future()
        job = _Job(work, time.monotonic() + timeout_s, answer)
        self._enter(job, self._urgent if urgent else self._usual)
        try:
            return answer.result(timeout_s + _LONGEST_PAUSE_S)
        except TimeoutError:
            if job.give_up():
                raise DatabaseBusy(f"not written within {timeout_s:g} s, {self.waiting} more wait") from None
        try:
            return answer.result(COMMIT_S)
        except TimeoutError:
            raise DatabaseBusy(f"a commit hangs for {COMMIT_S:g} s; it may still be made") from None

    @property
    def waiting(self) -> int:
        """How many writes wait."""
        return len(self._urgent) + len(self._usual)

    def close(self, timeout_s: float) -> bool:
        """No more writes; those that wait are done.  True when the thread has ended within `timeout_s`."""
        with self._wanted:
            self._closing.set()
            self._wanted.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _enter(self, job: _Job, lane: deque[_Job]) -> None:
        with self._wanted:
            if self._closing.is_set():
                raise DatabaseBusy("the database is closing")
            if len(lane) >= LANE:
                raise DatabaseBusy(f"{len(lane)} writes wait already")
            lane.append(job)
            self._wanted.notify()

    def _next(self) -> _Job | None:
        with self._wanted:
            while not self._urgent and not self._usual:
                if self._closing.is_set():
                    return None
                self._wanted.wait()
            return (self._urgent or self._usual).popleft()

    def _loop(self) -> None:
        while (job := self._next()) is not None:
            if not job.future.set_running_or_notify_cancel():
                continue
            try:
                job.future.set_result(self._attempt(job))
            except Exception as error:  # noqa: BLE001 - this loop's boundary: whoever asked for the write gets it
                job.future.set_exception(error)
            del job  # an idle thread keeps nothing alive

    def _attempt(self, job: _Job) -> object:
        pause = _FIRST_PAUSE_S
        while True:
            began = time.perf_counter()
            try:
                return self._transact(job)
            except SQLITE_ERRORS as error:
                fault = fault_of(error)
                if fault is None:
                    raise
                late = time.monotonic() + pause > job.deadline
                if not isinstance(fault, DatabaseBusy) or late or self._closing.wait(pause):
                    raise fault from error
            finally:
                self._observe(name_of(job.work), time.perf_counter() - began)
            self.retries += 1
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _transact(self, job: _Job) -> object:
        self._session.execute("BEGIN IMMEDIATE")
        try:
            result: object = job.work(self._session)
            crash_point("before_commit")
            if not job.may_commit():
                raise DatabaseBusy("whoever asked for the write has given up")
            self._session.execute("COMMIT")
        finally:
            self._session.rollback()  # nothing to do after a commit
        crash_point("after_commit")
        return result
