"""/v1/disk: room, what takes it, and what may go."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.responses import Response

from node.api.actions import ActionBody, Asked, NoBody
from node.api.parts import Parts
from node.api.problems import ERRORS
from node.api.status import text_or_none
from node.api.views import asked_job, reclaim_preview
from node.domain.config import Retention
from node.domain.facts import DISK, DiskFacts
from node.domain.room import disk_level
from node.wire.work_records import DiskClass, DiskRecord, JobRecord, ReclaimPreview

router = APIRouter(prefix="/v1/disk")


class PreviewBody(ActionBody):
    """Another retention section than the document's."""

    retention: Retention | None = None


@router.get("", responses=ERRORS)
def disk(parts: Parts) -> DiskRecord:
    """Room on the data disk, the step of the ladder, what takes the room, and what may go."""
    fact = parts.board.read(DISK)
    facts = fact.value if fact else DiskFacts()
    return DiskRecord(
        total_bytes=facts.total_bytes,
        free_bytes=facts.free_bytes,
        level=disk_level(facts, parts.document().alerts),
        step=facts.step,
        full_in_days=facts.full_in_days,
        error_code=facts.error_code,
        classes=tuple(
            DiskClass(name=each.name, count=each.count, size_bytes=each.size_bytes) for each in facts.classes
        ),
        reclaimable_bytes=facts.reclaimable_bytes,
        counted=text_or_none(facts.counted_us),
        stopped=facts.stopped,
    )


@router.post("/preview", response_model=ReclaimPreview, responses=ERRORS)
async def preview(parts: Parts, asked: Asked) -> Response:
    """What would go now by the document's retention, or by the one given; nothing does."""
    section, orders = asked.parse(PreviewBody).retention, parts.commands.orders
    return await asked.run(lambda: reclaim_preview(orders.preview_reclaim(section)))


@router.post("/reclaim", response_model=JobRecord, status_code=HTTPStatus.ACCEPTED, responses=ERRORS)
async def reclaim(parts: Parts, asked: Asked) -> Response:
    """Look now for what may go, and delete it; answered with the job that does it.

    A class that was stopped because file, row and receipts did not agree goes on, without those files.
    """
    asked.parse(NoBody)
    orders = parts.commands.orders
    return await asked.run(lambda: asked_job(orders.ask("upkeep", {}, asked.actor)), HTTPStatus.ACCEPTED)
