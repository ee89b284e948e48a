"""A job asked for by a command, followed to its end, and what its end means for the exit status."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from node.clock import Clock, SystemClock
from node.commands.base import print_json
from node.commands.desk import Desk, Order
from node.domain.errors import FAULT, OK, REGISTRY, HeliographError, InternalError, JobCancelled, WorkerSilent
from node.domain.job import KINDS
from node.wire.work_records import JobRecord

LOOK_S, PULSE_EVERY_S = 0.5, 5.0
SILENT_S = 30.0
"""So long a worker may give no pulse before a command that waits for its job gives up."""
GOES_ON = ("queued", "leased")
MOST_ITEMS = 20
"""So many of a list are printed."""
FAULTS = ("withdrawn", "refused", "not_held", "lost")
"""Parts of a result that have to be zero, or empty."""


def wait_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-wait", action="store_true", help="end when the job is in the queue, not when it is done")


def ordered(desk: Desk, order: Order, given: argparse.Namespace, clock: Clock | None = None) -> int:
    """Asks for it and, unless told otherwise, waits for its end.

    Raises the error that the job, or its last attempt, ended with; WorkerSilent where nobody does it.
    """
    job = desk.ask(order)
    if given.no_wait:
        show_job(job, given)
        return OK
    with desk.at_work(order.kind):
        job = _followed(desk, job, clock or SystemClock())
    if job.state != "done":
        raise _error_of(job)
    show_job(job, given)
    return status_of(job.result or {})


def status_of(result: Mapping[str, Any]) -> int:
    """Of a job that was done: what it found may still be a fault."""
    if result.get("ok") is False:
        return REGISTRY.get(str(result.get("error_code")), InternalError).exit
    return FAULT if any(result.get(name) for name in FAULTS) else OK


def show_job(job: JobRecord, given: argparse.Namespace) -> None:
    """On standard output, as JSON where that is wanted."""
    if given.json:
        print_json(job.model_dump(exclude_none=True))
    else:
        print("\n".join(lines_of(job)))


def lines_of(job: JobRecord) -> Iterator[str]:
    """The job in words."""
    yield f"{job.id} {job.kind} {job.key} {job.state} attempt {job.attempt}, due {job.due}, asked for by {job.who}"
    if job.state in GOES_ON and job.said:
        yield f"  {_standing(job)}"
    if job.error_code:
        yield f"  {job.error_code} {job.error}"
    for name, value in {**(job.payload or {}), **(job.result or {})}.items():
        yield from _lines_of_value(name, value)
    for each in job.attempts or ():
        end = f"{each.outcome} {each.error_code} {each.error}".rstrip()
        yield f"  attempt {each.attempt}: {each.started} to {each.ended} {end}"


def _lines_of_value(name: str, value: object) -> Iterator[str]:
    """One line; of a list with something in it, one for each of the first items."""
    if isinstance(value, list) and value:
        yield f"  {name}:"
        yield from (f"    {_in_words(item)}" for item in value[:MOST_ITEMS])
        if len(value) > MOST_ITEMS:
            yield f"    and {len(value) - MOST_ITEMS} more"
    elif value is not None:
        yield f"  {name}: {_in_words(value)}"


def _in_words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _tried_before(asked: JobRecord) -> int:
    """Attempts that say nothing of what was asked for: those that had ended by then."""
    return asked.attempt - 1 if asked.state == "leased" else asked.attempt


def _goes_on(job: JobRecord, tried: int) -> bool:
    """Also one that failed before it was asked for again: it is tried now."""
    return job.state in GOES_ON or (job.state == "retry" and job.attempt <= tried)


def _followed(desk: Desk, asked: JobRecord, clock: Clock) -> JobRecord:
    """Until it has ended, or has failed since it was asked for and waits for its next attempt.  Raises WorkerSilent."""
    never, told, patience, tried = threading.Event(), "", _Patience(desk, clock), _tried_before(asked)
    while _goes_on(job := desk.job(asked.id), tried):
        said = _standing(job)
        if said != told:
            print(said, file=sys.stderr)
        told = said
        patience.check(job)
        clock.wait(never, LOOK_S)
    return job


def _standing(job: JobRecord) -> str:
    """How far a job is that goes on."""
    share = f" {round(100 * job.progress)} %" if job.state == "leased" else ""
    return f"{job.state}{share} {job.said}".rstrip()


class _Patience:
    """With the process that has to do a job."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk, self._clock = desk, clock
        self._look_s = clock.monotonic()
        self._silent_s: float | None = None

    def check(self, job: JobRecord) -> None:
        """Raises WorkerSilent where it has given no pulse for too long, at every look."""
        now_s, lane = self._clock.monotonic(), KINDS[job.kind].lane
        if now_s < self._look_s:
            return
        self._look_s = now_s + PULSE_EVERY_S
        if lane not in self._desk.silent():
            self._silent_s = None
            return
        self._silent_s = now_s if self._silent_s is None else self._silent_s
        if now_s - self._silent_s >= SILENT_S:
            message = f"`{lane}` has given no pulse for {SILENT_S:.0f} s; job {job.id} is {job.state}"
            raise WorkerSilent(message)


def _error_of(job: JobRecord) -> HeliographError:
    """What it ended with; one that is tried again says so."""
    kind = JobCancelled if job.state == "cancelled" else REGISTRY.get(job.error_code, InternalError)
    again = f"; it is tried again at {job.due}" if job.state == "retry" else ""
    return kind(f"job {job.id}: {job.error or kind.title}{again}")
