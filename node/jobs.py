"""The queue: every move of a job is one transaction, with its attempt, its events and what its work wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import SystemRandom
from typing import Any

from node.domain.errors import (
    DirectoryMissing,
    HeliographError,
    InternalError,
    JobCancelled,
    JobTimeout,
    MoveIllegal,
    UnknownKind,
    WorkerLost,
)
from node.domain.events import Event, JobDied, JobMoved
from node.domain.job import KINDS, Attempt, JobState, Priority, lease_ms, next_delay
from node.entries import Entries
from node.store import jobs, log, videos
from node.store.jobs import Asked, Claim, Due, Held, Job
from node.store.log import Actor, Change
from node.store.session import Session

Rows = Callable[[Session], Iterable[Event]]
"""What a job's work writes in the transaction that ends it; the events that it answers are told."""

Delays = Callable[[], Mapping[Any, Sequence[float]]]
"""The document's retry delays by kind."""


def _jitter() -> float:
    return SystemRandom().uniform(-1, 1)


def no_rows(_session: Session) -> Iterable[Event]:
    """Nothing is written."""
    return ()


@dataclass(frozen=True, slots=True)
class Failure:
    """What an attempt failed of; one that is not transient is the last."""

    code: str
    text: str
    transient: bool = True
    outcome: Attempt = Attempt.FAILED


def failure_of(error: BaseException) -> Failure:
    """An error that is none of ours is a mistake of ours: transient, so that one more attempt may show it again."""
    if not isinstance(error, HeliographError):
        return Failure(InternalError.code, f"{type(error).__name__}: {error}")
    outcome = Attempt.TIMEOUT if isinstance(error, JobTimeout) else Attempt.FAILED
    transient = error.transient or isinstance(error, DirectoryMissing)  # a mount that flickered may be back
    return Failure(error.code, error.detail or error.title, transient, outcome)


_NO_ERROR = {"error_code": "", "error": ""}
_LOST = Failure(WorkerLost.code, WorkerLost.title, outcome=Attempt.LOST)


class Jobs:
    """One for each process.  Every method raises what `Entries` does; what failed so may be repeated."""

    def __init__(self, entries: Entries, retry_s: Delays = dict, jitter: Callable[[], float] = _jitter) -> None:
        """`jitter` gives numbers from -1 to 1."""
        self._entries, self._clock = entries, entries.clock
        self._retry_s, self._jitter = retry_s, jitter

    # --- asking -----------------------------------------------------------------------------------------------------

    def enqueue(
        self,
        kind: str,
        key: str,
        payload: Mapping[str, Any],
        *,
        priority: Priority = Priority.SCHEDULED,
        who: str = "node",
        due_us: int | None = None,
    ) -> Job:
        """The new job, or the one of that kind and key that waits or runs already (`new` is False).

        Raises UnknownKind, PayloadInvalid, JobDiffers.  Inside another transaction: `node.store.jobs.enqueue`.
        """
        return self.ask(Asked(kind, key, payload, priority, who, due_us))

    def ask(self, asked: Asked) -> Job:
        """As `enqueue`."""
        identity, now_us = self._clock.new_id(), self._clock.now_us()
        return self._entries.write(lambda session: jobs.enqueue(session, asked, identity, now_us))

    def hasten(self, kind: str, key: str) -> bool:
        """What of it waits is due now; False where nothing does."""
        now_us = self._clock.now_us()

        def work(session: Session) -> bool:
            job = jobs.live(session, kind, key)
            if job is None or job.state is JobState.LEASED:
                return False
            jobs.set_due(session, job, now_us)
            return True

        return self._entries.write(work)

    def try_again(self, kind: str, key: str) -> bool:
        """By itself, what died last of it waits again; False where nothing did, or where another is live."""
        now_us = self._clock.now_us()

        def work(session: Session) -> bool:
            letter = jobs.newest_dead(session, kind, key)
            if letter is None or jobs.live(session, kind, key) is not None:
                return False
            log.append(session, [_moved(jobs.redrive(session, letter, now_us))], now_us)
            return True

        return self._entries.write(work)

    # --- working ----------------------------------------------------------------------------------------------------

    def claim(self, kinds: tuple[str, ...], owner: str, boot: str, held: Held = ()) -> Job | None:
        """The job of these kinds that goes next, leased; None where none is due, and then nothing was written.

        Leases that ran out, or are of another boot, end first: their attempts count as lost.
        """
        wanted = Claim(kinds, held, owner, boot)
        if not self._entries.database.read(lambda session: self._is_due(session, wanted)):
            return None
        return self._entries.write(lambda session: self._claim(session, wanted))

    def _is_due(self, session: Session, wanted: Claim) -> bool:
        first = jobs.first_due(session, wanted.kinds, wanted.held, self._clock.now_us())
        return first is not None or bool(jobs.over(session, wanted.boot, self._now_ms()))

    def _claim(self, session: Session, wanted: Claim) -> Job | None:
        now_us, now_ms = self._clock.now_us(), self._now_ms()
        for job in jobs.over(session, wanted.boot, now_ms):
            self._lose(session, job, wanted.boot, now_us)
        first = jobs.first_due(session, wanted.kinds, wanted.held, now_us)
        return None if first is None else jobs.lease(session, first, wanted, now_us, now_ms)

    def take_back(self, kinds: tuple[str, ...], boot: str | None = None) -> int:
        """At start, alone with these kinds: leases of an earlier life end, their attempts count as lost; how many.

        `boot`: this one, where a first attempt that went with another boot is not to wait for its next.
        """
        if not self._entries.database.read(lambda session: jobs.leased(session, kinds)):
            return 0
        now_us = self._clock.now_us()

        def work(session: Session) -> int:
            lost = jobs.leased(session, kinds)
            for job in lost:
                self._lose(session, job, boot, now_us)
            return len(lost)

        return self._entries.write(work)

    def version(self) -> int:
        """Moves whenever any process has committed something."""
        return self._entries.database.data_version()

    def check(self, lease: Job) -> None:
        """A look only.  Raises LeaseLost, JobCancelled."""
        _check_wanted(self._entries.database.read(lambda session: jobs.held_by(session, lease)))

    def beat(self, lease: Job, progress: float | None = None, said: str = "") -> None:
        """The lease lasts on.  `progress` is 0 to 1, None = as it was.  Raises LeaseLost, JobCancelled."""
        until_ms = self._now_ms() + lease_ms(lease.kind)
        done = 0.0 if progress is None else progress
        _check_wanted(self._entries.write(lambda session: jobs.renew(session, lease, until_ms, done, said)))

    def finish(self, lease: Job, result: Mapping[str, Any], rows: Rows = no_rows) -> Job:
        """Done, together with what its work wrote.  Raises LeaseLost: then nothing of it was written."""
        now_us = self._clock.now_us()

        def work(session: Session) -> Job:
            held = jobs.held_by(session, lease)
            told = list(rows(session))
            done = jobs.end(session, held, JobState.DONE, now_us, progress=1.0, result=json.dumps(result), **_NO_ERROR)
            if not KINDS[lease.kind].routine:
                jobs.note_attempt(session, held, Attempt.DONE, now_us)
                told.append(_moved(done))
            log.append(session, told, now_us)
            for before in jobs.dead_of(session, lease) if KINDS[lease.kind].makes_up else ():
                _cancel(session, before, now_us)
            return done

        return self._entries.write(work)

    def fail(self, lease: Job, error: BaseException) -> Job:
        """Tried again after the kind's delay, or dead where that was the last attempt.  Raises LeaseLost."""
        return self._entries.write(
            lambda session: self._fail(session, jobs.held_by(session, lease), failure_of(error), self._clock.now_us())
        )

    def give_back(self, lease: Job, delay_s: float = 0.0, said: str = "") -> Job:
        """It waits again, due after so many seconds, and the attempt is not charged.  Raises LeaseLost."""
        now_us = self._clock.now_us()

        def work(session: Session) -> Job:
            held = jobs.held_by(session, lease)
            if held.cancel_asked:
                return _cancel(session, held, now_us)
            jobs.note_attempt(session, held, Attempt.GIVEN_BACK, now_us)
            due = Due.after(now_us, delay_s)
            return jobs.wait(session, held, JobState.QUEUED, due, attempt=held.attempt - 1, said=said)

        return self._entries.write(work)

    def _lose(self, session: Session, job: Job, boot: str | None, now_us: int) -> None:
        """Power that went under a job is hardly the job's doing: it is due again at once, the first time."""
        after = self._fail(session, job, _LOST, now_us)
        if after.state is JobState.RETRY and job.attempt == 1 and boot not in (None, job.lease_boot):
            jobs.set_due(session, after, now_us)

    def _fail(self, session: Session, job: Job, failure: Failure, now_us: int) -> Job:
        if job.cancel_asked:
            return _cancel(session, job, now_us)
        jobs.note_attempt(session, job, failure.outcome, now_us, (failure.code, failure.text))
        override = self._retry_s().get(job.kind)
        delay_s = next_delay(job.kind, job.attempt, override, self._jitter()) if failure.transient else None
        error = {"error_code": failure.code, "error": failure.text[: jobs.ERROR_CHARS]}
        if delay_s is None:
            after = jobs.end(session, job, JobState.DEAD, now_us, **error)
        else:
            after = jobs.wait(session, job, JobState.RETRY, Due.after(now_us, delay_s), **error)
        told = _died(after) if delay_s is None else _moved(after)
        log.append(session, [told, *videos.given_up(session, after)], now_us)
        return after

    # --- what people ask for ----------------------------------------------------------------------------------------

    def cancel(self, identity: str, actor: Actor) -> Job:
        """A waiting job ends at once, a running one at its next step.  Raises UnknownJob, MoveIllegal."""

        def work(session: Session, now_us: int) -> Job:
            job = jobs.get(session, identity)
            if job.state is JobState.DEAD:
                raise MoveIllegal(f"job {job.id} is dead: it can be redriven or discarded")
            return jobs.ask_cancel(session, job) if job.state is JobState.LEASED else _cancel(session, job, now_us)

        return self._ordered(Change("job cancel", f"job/{identity}"), actor, work)

    def redrive(self, identity: str, actor: Actor) -> Job:
        """A dead job waits again, its attempts counted anew.  Raises UnknownJob, MoveIllegal."""

        def work(session: Session, now_us: int) -> Job:
            job = _dead(session, identity)
            other = jobs.live(session, job.kind, job.key)
            if other is not None:
                raise MoveIllegal(f"job {other.id} does the same already")
            return jobs.redrive(session, job, now_us)

        return self._ordered(Change("job redrive", f"job/{identity}"), actor, work)

    def discard(self, identity: str, actor: Actor) -> Job:
        """A dead job is given up.  Raises UnknownJob, MoveIllegal."""

        def work(session: Session, now_us: int) -> Job:
            return _cancel(session, _dead(session, identity), now_us)

        return self._ordered(Change("job discard", f"job/{identity}"), actor, work)

    def redrive_all(self, kind: str | None, actor: Actor) -> int:
        """Every dead job of that kind, or of all, unless another job does the same; how many.  Raises UnknownKind."""

        def act(session: Session, job: Job, now_us: int) -> bool:
            free = jobs.live(session, job.kind, job.key) is None
            if free:
                jobs.redrive(session, job, now_us)
            return free

        return self._each_dead("job redrive", kind, actor, act)

    def discard_all(self, kind: str | None, actor: Actor) -> int:
        """Every dead job of that kind, or of all; how many.  Raises UnknownKind."""

        def act(session: Session, job: Job, now_us: int) -> bool:
            _cancel(session, job, now_us)
            return True

        return self._each_dead("job discard", kind, actor, act)

    def _ordered(self, change: Change, actor: Actor, work: Callable[[Session, int], Job]) -> Job:
        now_us = self._clock.now_us()

        def both(session: Session) -> Job:
            job = work(session, now_us)
            log.record(session, actor, change, now_us)
            return job

        return self._entries.write(both)

    def _each_dead(self, action: str, kind: str | None, actor: Actor, act: Callable[[Session, Job, int], bool]) -> int:
        """In short transactions, the first with the row of the audit."""
        if kind is not None and kind not in KINDS:
            raise UnknownKind(repr(kind[:40]))
        now_us, change = self._clock.now_us(), Change(action, f"jobs/{kind or 'all'}")
        letters = self._entries.database.read(lambda session: jobs.dead(session, kind))
        self._entries.write(lambda session: log.record(session, actor, change, now_us))
        return self._in_batches(letters, lambda session, identity: _if_dead(session, identity, act, now_us))

    # --- upkeep -----------------------------------------------------------------------------------------------------

    def pull_in(self) -> int:
        """Due times further away than their own delay begin it now: the wall clock was set back; how many."""
        now_us = self._clock.now_us()
        far = self._entries.database.read(lambda session: jobs.too_far(session, now_us))
        return self._in_batches(far, lambda session, identity: jobs.pull_in(session, identity, now_us))

    def forget(self, before_us: int) -> int:
        """Jobs done or cancelled before then, in short transactions; how many.  Dead letters stay."""
        gone = 0
        while batch := self._entries.database.write(lambda session: jobs.forget(session, before_us)):
            gone += batch
        return gone

    def _in_batches(self, ids: Sequence[str], act: Callable[[Session, str], bool]) -> int:
        """For how many it was true.  No transaction holds the lock for long."""
        batches = [ids[start : start + jobs.BATCH] for start in range(0, len(ids), jobs.BATCH)]
        return sum(self._entries.write(partial(_count, ids=batch, act=act)) for batch in batches)

    def _now_ms(self) -> int:
        return round(self._clock.monotonic() * 1000)


def _count(session: Session, ids: Sequence[str], act: Callable[[Session, str], bool]) -> int:
    return sum(act(session, identity) for identity in ids)


def _check_wanted(job: Job) -> None:
    if job.cancel_asked:
        raise JobCancelled(f"{job.kind} {job.id}")


def _cancel(session: Session, job: Job, now_us: int) -> Job:
    if job.state is JobState.LEASED:
        jobs.note_attempt(session, job, Attempt.CANCELLED, now_us)
    after = jobs.end(session, job, JobState.CANCELLED, now_us)
    log.append(session, [_moved(after), *videos.given_up(session, after)], now_us)
    return after


def _dead(session: Session, identity: str) -> Job:
    job = jobs.get(session, identity)
    if job.state is not JobState.DEAD:
        raise MoveIllegal(f"job {job.id} is {job.state}, not dead")
    return job


def _if_dead(session: Session, identity: str, act: Callable[[Session, Job, int], bool], now_us: int) -> bool:
    job = jobs.get(session, identity)
    return job.state is JobState.DEAD and act(session, job, now_us)


def _moved(job: Job) -> JobMoved:
    return JobMoved(job.id, job.kind, job.key, job.state.value, job.attempt, job.error_code, job.error)


def _died(job: Job) -> JobDied:
    shoot = str(job.payload.get("shoot") or "")
    return JobDied(job.id, job.kind, job.key, job.attempt, job.error_code, job.error, shoot)
