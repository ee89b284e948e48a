"""Rows of jobs, videos and the archive as they go over the wire; commands print the same."""

from __future__ import annotations

from pathlib import Path

from node.domain.breaker import BreakerState
from node.domain.config import TargetPolicy
from node.domain.lease import Lease
from node.domain.nodefile import ArchiveTarget
from node.domain.retention import Preview, Tally
from node.domain.times import to_text
from node.store import backup
from node.store.archive import ReceiptRow, TargetRow
from node.store.archive_reader import Audit, Backlog
from node.store.jobs import AttemptRow, Job
from node.store.videos import Video
from node.wire.records import LeaseRecord
from node.wire.work_records import (
    ArchiveRecord,
    AttemptRecord,
    BackupRecord,
    JobRecord,
    LeftOutRecord,
    ReceiptRecord,
    Reclaimable,
    ReclaimPreview,
    TargetRecord,
    VideoRecord,
)


def text_or_none(at_us: int | None) -> str | None:
    return None if at_us is None else to_text(at_us)


def lease_record(lease: Lease | None) -> LeaseRecord:
    """Every field None where nobody holds it."""
    if lease is None:
        return LeaseRecord()
    return LeaseRecord(
        owner=lease.owner,
        message=lease.message,
        by=lease.by,
        taken=to_text(lease.taken_us),
        until=to_text(lease.until_us),
        ttl_s=lease.ttl_s,
    )


def job_record(job: Job) -> JobRecord:
    """The job without what only one job alone shows."""
    return JobRecord(
        id=job.id,
        kind=job.kind,
        key=job.key,
        state=job.state.value,
        priority=job.priority,
        who=job.who,
        created=to_text(job.created_us),
        due=to_text(job.due_us),
        attempt=job.attempt,
        started=text_or_none(job.started_us),
        finished=text_or_none(job.finished_us),
        cancel_asked=job.cancel_asked,
        progress=job.progress,
        said=job.said,
        error_code=job.error_code,
        error=job.error,
    )


def whole_job(job: Job, attempts: list[AttemptRow]) -> JobRecord:
    """With payload, result and every attempt that has ended."""
    more = {
        "payload": dict(job.payload),
        "result": dict(job.result),
        "attempts": tuple(attempt_record(each) for each in attempts),
    }
    return job_record(job).model_copy(update=more)


def asked_job(job: Job) -> JobRecord:
    """The answer to who asked for it."""
    return job_record(job).model_copy(update={"new": job.new})


def attempt_record(attempt: AttemptRow) -> AttemptRecord:
    return AttemptRecord(
        attempt=attempt.attempt,
        started=to_text(attempt.started_us),
        ended=to_text(attempt.ended_us),
        outcome=attempt.outcome,
        error_code=attempt.error_code,
        error=attempt.error,
    )


def video_record(video: Video) -> VideoRecord:
    """The video without the names of the frames left out."""
    return VideoRecord(
        id=video.id,
        camera=video.camera,
        profile=video.profile,
        shoot=video.shoot,
        job=video.job_id,
        title=video.title,
        start=to_text(video.from_us),
        end=to_text(video.to_us),
        size_bytes=video.size_bytes,
        sha256=video.sha256,
        width=video.width,
        height=video.height,
        fps=video.fps,
        frames=video.frames,
        duration_s=video.duration_s,
        codec=video.codec,
        encoder=video.encoder,
        tier=video.tier,
        created=to_text(video.created_us),
        pinned=video.pinned,
        left_out_count=video.left_out.count,
        deleted=text_or_none(video.deleted_us),
        deleted_rule=video.deleted_rule,
    )


def whole_video(video: Video) -> VideoRecord:
    """With the frames left out, the first thousand by name."""
    named = tuple(LeftOutRecord(frame=frame, why=why) for frame, why in video.left_out.frames)
    return video_record(video).model_copy(update={"left_out": named})


def receipt_record(receipt: ReceiptRow) -> ReceiptRecord:
    return ReceiptRecord(
        target=receipt.target,
        name=receipt.name,
        size_bytes=receipt.size_bytes,
        sha256=receipt.sha256,
        how=receipt.how,
        verified=to_text(receipt.verified_us),
    )


def archive_record(audit: Audit) -> ArchiveRecord:
    """What became of a frame."""
    return ArchiveRecord(
        frame=audit.frame,
        captured=to_text(audit.captured_us),
        size_bytes=audit.size_bytes,
        sha256=audit.sha256,
        receipts=tuple(receipt_record(each) for each in audit.receipts),
        deleted=text_or_none(audit.deleted_us),
        deleted_rule=audit.deleted_rule,
        deleted_by=tuple(receipt_record(each) for each in audit.deleted_by),
    )


def target_record(target: ArchiveTarget, policy: TargetPolicy, row: TargetRow, backlog: Backlog) -> TargetRecord:
    """The target of node.yml, its use in the document, and how it stands."""
    return TargetRecord(
        name=row.name,
        kind=target.kind,
        enabled=policy.enabled,
        videos=policy.videos,
        order=policy.order,
        breaker=BreakerState(row.breaker).value,
        failures=row.failures,
        opened=text_or_none(row.opened_us),
        unsent=backlog.count,
        unsent_bytes=backlog.size_bytes,
        oldest_unsent=text_or_none(backlog.oldest_us),
        failing=backlog.failing,
        sent=row.sent,
        sent_bytes=row.sent_bytes,
        last_ok=text_or_none(row.last_ok_us),
        last_failed=text_or_none(row.last_failed_us),
        error_code=row.last_error_code or None,
        error=row.last_error,
    )


def backup_record(path: Path) -> BackupRecord | None:
    """None where it went meanwhile."""
    try:
        size_bytes = path.stat().st_size
    except FileNotFoundError:
        return None
    return BackupRecord(name=path.name, created=to_text(backup.at_us(path)), size_bytes=size_bytes)


def reclaimable(tally: Tally) -> Reclaimable:
    return Reclaimable(what=tally.what, rule=tally.rule, count=tally.count, size_bytes=tally.size_bytes)


def reclaim_preview(preview: Preview) -> ReclaimPreview:
    """With their sums."""
    tallies = preview.tallies
    return ReclaimPreview(
        reclaim=tuple(reclaimable(each) for each in tallies),
        count=sum(each.count for each in tallies),
        size_bytes=sum(each.size_bytes for each in tallies),
        more=preview.more,
    )
