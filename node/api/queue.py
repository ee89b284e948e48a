"""/v1/queue: how deep the queue is, what runs, what stands still, what was done."""

from __future__ import annotations

from fastapi import APIRouter

from node.api.parts import Parts
from node.api.problems import ERRORS
from node.api.status import facts_of
from node.api.views import job_record, text_or_none
from node.domain.labour import is_silent
from node.domain.times import US
from node.store.archive_reader import ArchiveReader
from node.store.jobs import HOUR_US, Job, JobReader
from node.wire.work_records import QueueRecord, RunningJob

router = APIRouter(prefix="/v1/queue")


@router.get("", responses=ERRORS)
def queue(parts: Parts) -> QueueRecord:
    """The queue now: due by kind, running, stuck, dead, done in the last hour, targets whose breaker is open."""
    now_us, reader, archive = parts.clock.now_us(), JobReader(parts.database), ArchiveReader(parts.database)
    held = tuple(name for name in parts.settings.archive if archive.target(name).breaker == "open")
    stuck_s = parts.document().alerts.job_stuck_s
    depth = reader.depth(now_us, stuck_s, frozenset(("transfer", name) for name in held))
    return QueueRecord(
        due=dict(depth.due),
        oldest=text_or_none(depth.oldest_us),
        running=tuple(_running(job, now_us) for job in depth.running),
        stuck=depth.stuck,
        dead=depth.dead,
        done_last_hour=reader.done_since(now_us - HOUR_US),
        held=held,
        silent=tuple(each.value.name for each in facts_of(parts).workers if is_silent(each, now_us)),
    )


def _running(job: Job, now_us: int) -> RunningJob:
    started_us = now_us if job.started_us is None else job.started_us
    return RunningJob(**job_record(job).model_dump(), age_s=round(max(0, now_us - started_us) / US, 1))
