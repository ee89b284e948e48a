"""/v1/cameras: how each is, restart by hand, one shot by hand."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from pydantic import Field
from starlette.responses import JSONResponse, Response

from node.api.actions import ActionBody, Key, NoBody, actions_of, keyed, made, parse_action
from node.api.body import Body
from node.api.frames import frame_values
from node.api.guard import Known
from node.api.parts import ApiParts, Parts
from node.api.problems import ERRORS
from node.api.status import camera_fields, text_or_none
from node.domain.config import NAME, Name
from node.domain.errors import FieldFault, RequestInvalid, UnknownCamera
from node.domain.facts import CameraFacts, camera_key
from node.wire.records import CameraRecord, FrameRecord, Page, Restarted

CameraName = Annotated[str, InPath(pattern=NAME)]

router = APIRouter(prefix="/v1/cameras")


class CaptureBody(ActionBody):
    """One shot outside the schedule."""

    profile: Name = Field("auto", description="A profile of the document.")


@router.get("", responses=ERRORS)
async def cameras(parts: Parts) -> Page[CameraRecord]:
    """Every camera of node.yml."""
    return Page(items=tuple(camera_record(parts, name) for name in parts.settings.cameras))


@router.get("/{camera}", responses=ERRORS)
async def one(parts: Parts, camera: CameraName) -> CameraRecord:
    """One camera."""
    return camera_record(parts, known_camera(parts, camera))


@router.post("/{camera}/restart", response_model=Restarted, responses=ERRORS)
async def restart(
    request: Request, parts: Parts, caller: Known, camera: CameraName, body: Body, key: Key = None
) -> Response:
    """Reopen the camera now; answered when a test shot has proved it."""
    known_camera(parts, camera)
    parse_action(body, NoBody)

    def act() -> Response:
        parts.commands.restart_camera(camera, caller)
        return made(Restarted(camera=camera_record(parts, camera)))

    return await actions_of(request).run(keyed(request, key, caller, body), act)


@router.post("/{camera}/capture", response_model=FrameRecord, status_code=HTTPStatus.CREATED, responses=ERRORS)
async def capture(
    request: Request, parts: Parts, caller: Known, camera: CameraName, body: Body, key: Key = None
) -> Response:
    """Take and keep one frame now, outside the schedule: it belongs to no slot."""
    known_camera(parts, camera)
    profile = parse_action(body, CaptureBody).profile
    if profile != "auto" and profile not in parts.document().profiles:
        raise RequestInvalid(fields=(FieldFault("profile", "no such profile in the document", profile),))

    def act() -> Response:
        return JSONResponse(frame_values(parts.commands.capture(camera, profile, caller)), HTTPStatus.CREATED)

    return await actions_of(request).run(keyed(request, key, caller, body), act)


def known_camera(parts: ApiParts, camera: str) -> str:
    """Raises UnknownCamera."""
    if camera not in parts.settings.cameras:
        raise UnknownCamera(camera)
    return camera


def camera_record(parts: ApiParts, name: str) -> CameraRecord:
    """What the board knows of a camera; one that has not been heard of yet is warming up."""
    fact = parts.board.read(camera_key(name))
    camera = fact.value if fact else CameraFacts(name, backend=parts.settings.cameras[name].backend)
    return CameraRecord(
        **camera_fields(camera, parts.clock.now_us()),
        enabled=camera.enabled,
        backend=camera.backend,
        width=camera.width,
        height=camera.height,
        state_since=text_or_none(camera.word_since_us or None),
        last_gap=text_or_none(camera.last_gap_us),
        settled_to=text_or_none(camera.settled_to_us),
        worker_pid=camera.worker_pid,
    )
