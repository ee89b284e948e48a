"""What a handler of jobs is given: the job, its beat, and a watch over the child processes that work for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import Any

from node.clock import Clock
from node.domain.config import Section
from node.domain.errors import DatabaseError, DiskError, JobTimeout
from node.domain.job import BEAT_S, KINDS, STOP_S
from node.host.pulse import Pulse
from node.jobs import Jobs, Rows, no_rows
from node.store.jobs import Job

LOOK_S = 1.0
STEP = 0.01
"""Progress that is worth a write."""
WATCH_S = 0.25
KILL_S = 5.0


class Postponed(Exception):
    """Raised by a handler: not now, and the attempt is not charged."""

    def __init__(self, seconds: float, said: str = "") -> None:
        super().__init__(said)
        self.seconds, self.said = seconds, said


class Stopping(Exception):
    """The process is asked to end and the time for that is over: the job is given back uncharged."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a handler did.  `rows` writes in the same transaction that ends the job; it may run again.

    `after` cleans up once that is committed; a crash may leave it undone.
    """

    result: Mapping[str, Any] = field(default_factory=dict)
    rows: Rows = no_rows
    after: Callable[[], object] = tuple


def _unfelt(_pulse: Pulse) -> None:
    """For those over whom nobody watches."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What a worker and its tasks share.  `pulse` is felt by whoever watches over the process."""

    jobs: Jobs
    clock: Clock
    pulse: Callable[[Pulse], object] = _unfelt

    def feel(self, promise_s: float, job: str = "") -> None:
        """A sign of life; the next one comes within `promise_s`."""
        self.pulse(Pulse(os.getpid(), self.clock.monotonic(), promise_s, job))


class Task:
    """One attempt.  A handler calls `beat` at least once in its kind's stall limit, from its own thread.

    `payload` is checked and typed.  `scratch` is an empty folder of its own on the data disk, which goes with the
    attempt.  `stopping` is set when the process is asked to end: what can be done in 20 seconds may still be done.
    """

    def __init__(self, job: Job, payload: Section, scratch: Path, desk: Desk, stopping: threading.Event) -> None:
        self.job, self.payload, self.scratch, self.stopping = job, payload, scratch, stopping
        self._desk, self._watch = desk, Watch(job.kind, desk.clock, stopping)
        self._looked_s = self._wrote_s = desk.clock.monotonic()
        self._progress = self._told = 0.0

    def beat(self, progress: float | None = None, said: str = "") -> None:
        """It goes on: progress from 0 to 1, None = as before, and what is being done.  Cheap: looks once a second.

        Raises JobCancelled, LeaseLost, JobTimeout, Stopping: let them pass, and clean up on the way.
        """
        self._progress = max(self._progress, min(1.0, progress or 0.0))
        self._watch.beat()
        if self._desk.clock.monotonic() - self._looked_s >= LOOK_S:
            self._look(said)

    def watch(self, process: Popen[Any]) -> None:
        """A child that works for the job: it is killed at cancel, limit and stop, and at the end at the latest."""
        self._watch.add(process)

    def _look(self, said: str) -> None:
        """A lease is renewed where progress was made or time has passed; else a look tells whether it is wanted."""
        self._looked_s = self._desk.clock.monotonic()
        self._desk.feel(KINDS[self.job.kind].stall_s, self.job.id)
        with suppress(DatabaseError, DiskError):  # the lease lasts well beyond a beat that could not be written
            if self._progress >= self._told + STEP or self._looked_s - self._wrote_s >= BEAT_S:
                self._desk.jobs.beat(self.job, self._progress, said)
                self._told, self._wrote_s = self._progress, self._looked_s
            else:
                self._desk.jobs.check(self.job)

    # --- for the worker ---------------------------------------------------------------------------------------------

    def interrupted(self) -> Exception | None:
        """Why the watch has killed the children, or would have; what the handler made of their death counts less."""
        return self._watch.why

    def close(self) -> None:
        """No child lives on."""
        self._watch.close()


class Watch:
    """An attempt's limits.  Its thread, begun with the first child, only kills children; no beat comes from it."""

    def __init__(self, kind: str, clock: Clock, stopping: threading.Event) -> None:
        self._kind, self._clock, self._stopping = KINDS[kind], clock, stopping
        self._began_s = self._beat_s = clock.monotonic()
        self._stop_s: float | None = None
        self._children: list[Popen[Any]] = []
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self.why: Exception | None = None

    def beat(self) -> None:
        """Raises JobTimeout, Stopping where a limit was passed by now."""
        self._judge()
        if self.why is not None:
            raise self.why
        self._beat_s = self._clock.monotonic()

    def add(self, process: Popen[Any]) -> None:
        self._children.append(process)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
            self._thread.start()

    def close(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        self._kill()
        for child in self._children:
            with suppress(TimeoutExpired):  # stuck in the kernel: nothing can end it
                child.wait(KILL_S)

    def _run(self) -> None:
        while not self._clock.wait(self._over, WATCH_S):
            self._judge()
            if self.why is not None:
                self._kill()

    def _judge(self) -> None:
        """The first reason stays."""
        now_s = self._clock.monotonic()
        if self._stopping.is_set() and self._stop_s is None:
            self._stop_s = now_s
        if self.why is None:
            self.why = self._passed(now_s)

    def _passed(self, now_s: float) -> Exception | None:
        if now_s - self._began_s > self._kind.hard_s:
            return JobTimeout(f"longer than {self._kind.hard_s:g} s")
        if now_s - self._beat_s > self._kind.stall_s:
            return JobTimeout(f"nothing said for {self._kind.stall_s:g} s")
        if self._stop_s is not None and now_s - self._stop_s > STOP_S:
            return Stopping(f"not done within {STOP_S:g} s")
        return None

    def _kill(self) -> None:
        for child in self._children:
            if child.poll() is None:
                child.kill()


Handler = Callable[[Task], Done]
"""Does one kind of job.  Idempotent: a job may run again after its work was done and before that was written.

May raise Postponed.  Of other errors, one of ours that is not transient makes the job a dead letter at once; every
other means another attempt, as long as the kind has any.
"""
