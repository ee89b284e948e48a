"""/v1/videos: lists, one, its file and poster; ask for one, name it, pin it, delete it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from fastapi import Query as InQuery
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from node.api.actions import ActionBody, Asked, NoBody
from node.api.paging import ListQuery, NameFilter, cursor_key, micros, paged
from node.api.parts import ApiParts, Parts
from node.api.problems import ERRORS
from node.api.sending import documented, file_answer
from node.api.views import asked_job, video_record, whole_video
from node.api.words import ID, SHOOT
from node.domain.config import Codec, Name, Tier
from node.domain.errors import VideoMissing
from node.store.videos import Video, VideoReader
from node.wire.records import Page
from node.wire.work_records import JobRecord, VideoRecord

MP4, JPEG = "video/mp4", "image/jpeg"
TITLE_CHARS = 120
VideoId = Annotated[str, InPath(pattern=ID)]

router = APIRouter(prefix="/v1/videos")


class VideoQuery(ListQuery):
    """Which videos, newest first."""

    camera: NameFilter = None
    shoot: str | None = Field(None, pattern=SHOOT, description="camera/schedule/date/profile.")
    removed: bool = Field(default=False, description="With those whose files are gone.")


class RenderBody(ActionBody):
    """Of a shoot; or of a camera and profile from one time to another."""

    shoot: str | None = Field(None, pattern=SHOOT, description="camera/schedule/date/profile.")
    camera: Name | None = Field(None, description="Without a shoot.")
    profile: Name = Field("auto", description="Without a shoot.")
    since: AwareDatetime | None = Field(None, alias="from", description="RFC 3339, included; without a shoot.")
    until: AwareDatetime | None = Field(None, alias="to", description="RFC 3339, not included; without a shoot.")
    title: str = Field("", max_length=TITLE_CHARS)
    tier: Tier | None = Field(None, description="Instead of the document's.")
    fps: float | None = Field(None, ge=1, le=120, description="Instead of the document's rate.")
    codec: Codec | None = Field(None, description="Instead of the document's.")

    def payload(self) -> dict[str, object]:
        """As the queue takes it; what does not go together is refused there."""
        camera, _, _, profile = self.shoot.split("/") if self.shoot else (self.camera, "", "", self.profile)
        return {
            "camera": camera,
            "profile": profile,
            "shoot": self.shoot,
            "from_us": micros(self.since),
            "to_us": micros(self.until),
            "title": self.title,
            "tier": self.tier,
            "fps": self.fps,
            "codec": self.codec,
        }


class VideoBody(ActionBody):
    """What is to change; what is not named stays."""

    title: str | None = Field(None, max_length=TITLE_CHARS)
    pinned: bool | None = Field(None, description="Pinned videos are kept by every rule.")


@router.get("", responses=ERRORS)
def videos(parts: Parts, query: Annotated[VideoQuery, InQuery()]) -> Page[VideoRecord]:
    """Videos that there are, newest first."""
    limit, after = query.rows(parts), cursor_key(query.cursor, str)
    rows = VideoReader(parts.database).page(
        camera=query.camera,
        shoot=query.shoot,
        removed=query.removed,
        limit=limit + 1,
        after=after[0] if after else None,
    )
    page, cursor = paged(rows, limit, lambda video: (video.id,))
    return Page(items=tuple(video_record(video) for video in page), next=cursor)


@router.post("", response_model=JobRecord, status_code=HTTPStatus.ACCEPTED, responses=ERRORS)
async def render(parts: Parts, asked: Asked) -> Response:
    """Ask for a video of a shoot, or of a camera from one time to another; answered with the job that makes it."""
    payload, orders = asked.parse(RenderBody).payload(), parts.commands.orders
    return await asked.run(lambda: asked_job(orders.ask("render", payload, asked.actor)), HTTPStatus.ACCEPTED)


@router.get("/{video}", responses=ERRORS)
def one(parts: Parts, video: VideoId) -> VideoRecord:
    """One video, with the frames that it does not show; also one whose file is gone."""
    return whole_video(VideoReader(parts.database).get(video))


@router.patch("/{video}", response_model=VideoRecord, responses=ERRORS)
async def change(parts: Parts, asked: Asked, video: VideoId) -> Response:
    """Give it another title, pin it, or release it."""
    wanted, orders = asked.parse(VideoBody), parts.commands.orders
    return await asked.run(lambda: whole_video(orders.change_video(video, wanted.title, wanted.pinned, asked.actor)))


@router.delete("/{video}", response_model=VideoRecord, responses=ERRORS)
async def remove(parts: Parts, asked: Asked, video: VideoId) -> Response:
    """Delete its file and its poster here; what targets hold stays there."""
    asked.parse(NoBody)
    return await asked.run(lambda: whole_video(parts.commands.orders.remove_video(video, asked.actor)))


@router.head("/{video}/file", include_in_schema=False)
@router.get("/{video}/file", response_class=Response, responses=documented(MP4))
def video_file(request: Request, parts: Parts, video: VideoId) -> Response:
    """The video; ETag is its SHA-256, one range at a time."""
    found = _there(parts, video)
    return file_answer(request, parts.data / found.path, found.sha256, MP4, lambda: VideoMissing(video))


@router.head("/{video}/poster", include_in_schema=False)
@router.get("/{video}/poster", response_class=Response, responses=documented(JPEG))
def poster(request: Request, parts: Parts, video: VideoId) -> Response:
    """A picture of it, as JPEG."""
    found = _there(parts, video)
    version = f"{found.sha256}-poster"
    return file_answer(request, parts.data / found.poster, version, JPEG, lambda: VideoMissing(video))


def _there(parts: ApiParts, video: str) -> Video:
    """Raises NotFound, VideoMissing where its file was deleted."""
    found = VideoReader(parts.database).get(video)
    if found.deleted_us is not None:
        raise VideoMissing(f"{video} was deleted by rule {found.deleted_rule}")
    return found
