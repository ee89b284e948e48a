"""/v1/frames: lists, one, the latest of each camera, the picture itself and a small one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from fastapi import Query as InQuery
from pydantic import Field
from starlette.responses import JSONResponse, Response

from node.api.etag import strong
from node.api.paging import (
    FieldNames,
    ListQuery,
    NameFilter,
    Query,
    Since,
    Until,
    chosen_fields,
    cursor_key,
    micros,
    paged,
)
from node.api.parts import ApiParts, Parts
from node.api.pictures import SmallPictures
from node.api.problems import ERRORS
from node.api.sending import KEPT, documented, file_answer, known
from node.api.status import text_or_none
from node.api.views import archive_record
from node.api.words import ID, SHOOT
from node.domain.errors import FrameMissing, FrameReclaimed, HeliographError, PictureUnreadable
from node.domain.frame import Frame, StageTimes
from node.domain.times import to_text
from node.imaging.thumbnail import small
from node.store.archive_reader import ArchiveReader
from node.store.frames import FrameFilter, FrameReader
from node.store.thumbs import thumb_path
from node.wire.records import FrameRecord, JudgedRecord, Page
from node.wire.work_records import ArchiveRecord

JPEG, OCTETS = "image/jpeg", "application/octet-stream"
PICTURE = documented(JPEG)
ESSENTIALS = (
    "id", "camera", "profile", "due", "captured", "size_bytes", "width", "height", "verdict", "score", "reasons",
    "flagged", "quarantined",
)  # fmt: skip
FrameId = Annotated[str, InPath(pattern=ID)]
Verdict = Literal["good", "bad", "unjudged"]

router = APIRouter(prefix="/v1/frames")


def _stages(stages: StageTimes) -> dict[str, str | None]:
    return {name.removesuffix("_us"): text_or_none(at_us or None) for name, at_us in asdict(stages).items()}


_FIELDS: Mapping[str, Callable[[Frame], Any]] = {
    "due": lambda frame: text_or_none(frame.due_us),
    "captured": lambda frame: to_text(frame.captured_us),
    "requested": lambda frame: asdict(frame.requested),
    "actual": lambda frame: asdict(frame.actual),
    "stages": lambda frame: _stages(frame.stages),
}
FIELDS = tuple(FrameRecord.model_fields)


def frame_values(frame: Frame, names: tuple[str, ...] = FIELDS) -> dict[str, Any]:
    """The frame as it goes over the wire: those fields, and always its id."""
    values = {name: _FIELDS[name](frame) if name in _FIELDS else getattr(frame, name) for name in names}
    return {"id": frame.id, **values}


def judged(frame: Frame) -> JudgedRecord:
    """The verdict alone."""
    return JudgedRecord(
        frame=frame.id,
        captured=to_text(frame.captured_us),
        verdict=frame.verdict,
        score=frame.score,
        reasons=frame.reasons,
        integrity=frame.integrity,
        flagged=frame.flagged,
    )


class FrameQuery(ListQuery):
    """Which frames, newest first; `from` and `to` bound the time of capture."""

    camera: NameFilter = None
    profile: NameFilter = None
    shoot: str | None = Field(None, pattern=SHOOT, description="camera/schedule/date/profile.")
    verdict: Verdict | None = None
    flagged: bool | None = None
    quarantined: bool | None = None
    since: Since = None
    until: Until = None
    fields: FieldNames = None

    def chosen(self) -> FrameFilter:
        return FrameFilter(
            camera=self.camera,
            profile=self.profile,
            verdict=self.verdict,
            flagged=self.flagged,
            quarantined=self.quarantined,
            since_us=micros(self.since),
            until_us=micros(self.until),
            shoot=self.shoot,
        )


class LatestQuery(Query):
    camera: NameFilter = None
    good: bool = Field(default=False, description="The newest good one instead of the newest.")
    fields: FieldNames = None


class SmallQuery(Query):
    width: Literal["160", "320", "640"] = Field("320", description="Pixels at most.")


@router.get("", response_model=Page[FrameRecord], responses=ERRORS)
def frames(parts: Parts, query: Annotated[FrameQuery, InQuery()]) -> Response:
    """Kept frames, newest first, with the essential fields unless others are asked for."""
    names = chosen_fields(query.fields, FIELDS, ESSENTIALS)
    limit, after = query.rows(parts), cursor_key(query.cursor, str)
    rows = FrameReader(parts.database).page(query.chosen(), limit=limit + 1, after=after[0] if after else None)
    page, cursor = paged(rows, limit, lambda frame: (frame.id,))
    return JSONResponse({"items": [frame_values(frame, names) for frame in page], "next": cursor})


@router.get("/latest", response_model=Page[FrameRecord], responses=ERRORS)
def latest(parts: Parts, query: Annotated[LatestQuery, InQuery()]) -> Response:
    """The newest frame of each camera."""
    names = chosen_fields(query.fields, FIELDS, ESSENTIALS)
    reader = FrameReader(parts.database)
    cameras = [query.camera] if query.camera else list(parts.settings.cameras)
    found = [frame for camera in cameras if (frame := reader.latest(camera, good=query.good))]
    return JSONResponse({"items": [frame_values(frame, names) for frame in found], "next": None})


@router.get("/{frame}", response_model=FrameRecord, responses=ERRORS)
def one(parts: Parts, frame: FrameId) -> Response:
    """One frame with every field."""
    return JSONResponse(frame_values(FrameReader(parts.database).get(frame)))


@router.get("/{frame}/quality", responses=ERRORS)
def quality(parts: Parts, frame: FrameId) -> JudgedRecord:
    """One frame's verdict, score and reasons."""
    return judged(FrameReader(parts.database).get(frame))


@router.head("/{frame}/image", include_in_schema=False)
@router.get("/{frame}/image", response_class=Response, responses=PICTURE)
def image(request: Request, parts: Parts, frame: FrameId) -> Response:
    """The original, byte for byte; ETag is its SHA-256, one range at a time."""
    kept = FrameReader(parts.database).get(frame)
    media_type = OCTETS if kept.quarantined else JPEG
    return file_answer(request, parts.data / kept.path, kept.sha256, media_type, lambda: _not_here(parts, kept.id))


@router.head("/{frame}/small", include_in_schema=False)
@router.get("/{frame}/small", response_class=Response, responses=PICTURE)
def small_picture(request: Request, parts: Parts, frame: FrameId, query: Annotated[SmallQuery, InQuery()]) -> Response:
    """A small JPEG of it for screens; made when it is first asked for."""
    kept = FrameReader(parts.database).get(frame)
    etag = strong(f"{kept.sha256}-{query.width}")
    not_modified = known(request, etag)
    if not_modified is not None:
        return not_modified
    width = int(query.width)
    pictures: SmallPictures = request.app.state.pictures
    data = pictures.get((kept.id, width), lambda: _small(parts, kept, width))
    return Response(data, headers={"ETag": etag, "Cache-Control": KEPT}, media_type=JPEG)


@router.get("/{frame}/archive", responses=ERRORS)
def archive(parts: Parts, frame: FrameId) -> ArchiveRecord:
    """Which targets hold it, verified when and how; and when its file here was deleted, by which rule."""
    return archive_record(ArchiveReader(parts.database).audit(frame))


def _small(parts: ApiParts, frame: Frame, width: int) -> bytes:
    """From the first that can be read: a thumbnail large enough, the original, any thumbnail.

    Raises FrameReclaimed, FrameMissing, PictureUnreadable.
    """
    found: list[HeliographError] = []
    for path in _sources(parts, frame, width):
        try:
            return small(path.read_bytes(), width)
        except OSError:
            continue
        except PictureUnreadable as error:
            found.append(error)
    raise next(iter(found), None) or _not_here(parts, frame.id)


def _sources(parts: ApiParts, frame: Frame, width: int) -> Iterator[Path]:
    thumb = thumb_path(parts.data, frame, width)
    any_thumb = thumb_path(parts.data, frame, 0)
    return (path for path in (thumb, parts.data / frame.path, any_thumb) if path is not None)


def _not_here(parts: ApiParts, frame: str) -> HeliographError:
    """Why a frame that has its row has no file."""
    audit = ArchiveReader(parts.database).audit(frame)
    if audit.deleted_us is None:
        return FrameMissing(frame)
    return FrameReclaimed(f"{frame} by rule {audit.deleted_rule}")
