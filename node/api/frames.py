"""/v1/frames: lists, one, the latest of each camera, the picture itself and a small one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from fastapi import Query as InQuery
from pydantic import Field
from starlette.responses import JSONResponse, Response

from node.api.etag import matches, strong
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
from node.api.parts import Parts
from node.api.pictures import SmallPictures
from node.api.problems import ERRORS, problem, request_id_of
from node.api.ranges import FileSpan, Span, span_of
from node.api.status import text_or_none
from node.api.words import ID, SHOOT
from node.domain.errors import FrameMissing, RangeInvalid
from node.domain.frame import Frame, StageTimes
from node.domain.times import to_text
from node.imaging.thumbnail import small
from node.store.frames import FrameFilter, FrameReader
from node.wire.records import FrameRecord, JudgedRecord, Page

JPEG, OCTETS = "image/jpeg", "application/octet-stream"
PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture.", "content": {JPEG: {"schema": {"type": "string", "format": "binary"}}}},
    206: {"description": "One range of it.", "content": {JPEG: {"schema": {"type": "string", "format": "binary"}}}},
    304: {"description": "The client has it."},
    **ERRORS,
}
KEPT = "private, max-age=86400, immutable"
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
    etag = strong(kept.sha256)
    headers = {"ETag": etag, "Cache-Control": KEPT, "Accept-Ranges": "bytes"}
    if matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    path = parts.data / kept.path
    try:
        handle = path.open("rb")
    except OSError as error:
        raise FrameMissing(kept.id) from error
    size = os.fstat(handle.fileno()).st_size
    return _file(request, handle, size, headers, OCTETS if kept.quarantined else JPEG)


@router.head("/{frame}/small", include_in_schema=False)
@router.get("/{frame}/small", response_class=Response, responses=PICTURE)
def small_picture(request: Request, parts: Parts, frame: FrameId, query: Annotated[SmallQuery, InQuery()]) -> Response:
    """A small JPEG of it for screens; made when it is first asked for."""
    kept = FrameReader(parts.database).get(frame)
    etag = strong(f"{kept.sha256}-{query.width}")
    headers = {"ETag": etag, "Cache-Control": KEPT}
    if matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    width = int(query.width)
    pictures: SmallPictures = request.app.state.pictures
    data = pictures.get((kept.id, width), lambda: small(_read(parts.data / kept.path, kept.id), width))
    return Response(data, headers=headers, media_type=JPEG)


def _read(path: Path, identity: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FrameMissing(identity) from error


def _file(request: Request, handle: BinaryIO, size: int, headers: dict[str, str], media_type: str) -> Response:
    """The whole file or one span of it.  Closes the handle where nothing of it is sent."""
    wanted = request.headers.get("range", "") if _range_holds(request, headers["ETag"]) else ""
    try:
        span = span_of(wanted, size)
    except ValueError as error:
        handle.close()
        named = {"Content-Range": f"bytes */{size}"}
        return problem(RangeInvalid(str(error)), request_id_of(request), named)
    part = span or Span(0, size - 1)
    more = {"Content-Range": f"bytes {span.start}-{span.end}/{size}"} if span else {}
    status = HTTPStatus.PARTIAL_CONTENT if span else HTTPStatus.OK
    return FileSpan(handle, part, status, {**headers, **more}, media_type)


def _range_holds(request: Request, etag: str) -> bool:
    """If-Range names another version: then the whole is wanted.  A date never names one here."""
    named = request.headers.get("if-range")
    return named is None or named.strip() == etag
