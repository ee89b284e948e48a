"""Jobs that keep house: room is made, what is over is forgotten, the database gives free pages back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial

from node.domain.config import DAY_S
from node.domain.job import Priority
from node.domain.retention import Tally
from node.domain.times import US
from node.jobs import Jobs
from node.store.session import Session
from node.work.reclaim import Ground, Reclaimer
from node.work.reconcile import reconcile
from node.work.task import Done, Handler, Task

VACUUM_PAGES = 100
"""Free pages given back in one transaction: a few milliseconds."""


def handlers(reclaimer: Reclaimer, jobs: Jobs) -> Mapping[str, Handler]:
    """What does jobs of these kinds."""
    return {"upkeep": partial(keep_house, reclaimer, jobs), "reconcile": partial(reconcile, reclaimer)}


def keep_house(reclaimer: Reclaimer, jobs: Jobs, task: Task) -> Done:
    """All that is too old goes, and more where room is short; jobs that are over are forgotten; the file shrinks.

    Asked for by hand, it also lets classes go on that a mismatch had stopped: somebody has looked.
    """
    ground = reclaimer.ground
    went_on = reclaimer.go_on() if task.job.priority >= Priority.MANUAL else 0
    went = _made_room(reclaimer, task)
    before_us = ground.clock.now_us() - round(ground.document().retention.jobs_days * DAY_S * US)
    forgotten = jobs.forget(before_us)
    freed = sum(_vacuumed(ground, task))
    return Done({
        "reclaimed": [asdict(tally) for tally in went],
        "stops_seen": went_on,
        "jobs_forgotten": forgotten,
        "pages_freed": freed,
    })  # fmt: skip


def _made_room(reclaimer: Reclaimer, task: Task) -> list[Tally]:
    """Turn after turn, until one finds nothing more."""
    went: list[Tally] = []
    while more := reclaimer.turn(partial(task.beat, None), ages=True):
        went += more
    return [
        Tally(what, rule, sum(each.count for each in same), sum(each.size_bytes for each in same))
        for what, rule in dict.fromkeys((each.what, each.rule) for each in went)
        if (same := [each for each in went if (each.what, each.rule) == (what, rule)])
    ]


def _vacuumed(ground: Ground, task: Task) -> Iterator[int]:
    """Free pages given back to the disk, a few in each transaction, as many as there are now."""
    database = ground.journal.database
    left = database.read(lambda session: int(session.pragma("freelist_count")))
    while left > 0:
        task.beat(None, "free pages are given back")
        yield database.write(_vacuum)
        left -= VACUUM_PAGES


def _vacuum(session: Session) -> int:
    """Python's sqlite3 takes one step of this statement, which is one page, however many are asked for."""
    before = int(session.pragma("freelist_count"))
    for _ in range(min(before, VACUUM_PAGES)):
        session.execute("PRAGMA incremental_vacuum(1)")
    return before - int(session.pragma("freelist_count"))
