"""/v1/quality: what each camera is judged by, and its newest verdicts."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from fastapi import APIRouter
from fastapi import Query as InQuery
from pydantic import Field

from node.api.cameras import CameraName, known_camera
from node.api.frames import judged
from node.api.paging import Query
from node.api.parts import ApiParts, Parts
from node.api.problems import ERRORS
from node.domain.facts import quality_key
from node.store.frames import FrameFilter, FrameReader
from node.wire.records import BandRecord, Page, QualityRecord

router = APIRouter(prefix="/v1/quality")


class QualityQuery(Query):
    recent: int = Field(20, ge=1, le=200, description="How many of the newest verdicts.")


@router.get("", responses=ERRORS)
def quality(parts: Parts, query: Annotated[QualityQuery, InQuery()]) -> Page[QualityRecord]:
    """Every camera's."""
    return Page(items=tuple(_record(parts, camera, query.recent) for camera in parts.settings.cameras))


@router.get("/{camera}", responses=ERRORS)
def one(parts: Parts, camera: CameraName, query: Annotated[QualityQuery, InQuery()]) -> QualityRecord:
    """One camera's."""
    return _record(parts, known_camera(parts, camera), query.recent)


def _record(parts: ApiParts, camera: str, recent: int) -> QualityRecord:
    settings, fact = parts.document().quality, parts.board.read(quality_key(camera))
    frames = FrameReader(parts.database).page(FrameFilter(camera=camera), limit=recent)
    return QualityRecord(
        camera=camera,
        enabled=settings.enabled,
        baseline=tuple(
            BandRecord(band=band.band, frames=band.frames, cold=band.frames < settings.limits.cold_below)
            for band in (fact.value.bands if fact else ())
        ),
        recent=tuple(judged(frame) for frame in frames),
        verdicts=dict(Counter(frame.verdict for frame in frames)),
        reasons=dict(Counter(reason for frame in frames for reason in frame.reasons)),
    )
