"""/v1/cameras: how each is, restart by hand, one shot by hand."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from pydantic import Field, StringConstraints
from starlette.responses import JSONResponse, Response

from node.api.actions import ActionBody, Asked, Key, NoBody, actions_of, keyed, made, parse_action
from node.api.body import Body
from node.api.frames import frame_values
from node.api.guard import Known
from node.api.parts import ApiParts, Parts
from node.api.problems import ERRORS
from node.api.status import camera_fields, text_or_none
from node.domain.config import LINE, NAME, Name
from node.domain.errors import FieldFault, RequestInvalid, UnknownCamera
from node.domain.facts import CameraFacts, camera_key
from node.domain.hold import LONGEST_S
from node.journal import Held
from node.wire.records import CameraRecord, FrameRecord, HoldRecord, Page, Restarted

CameraName = Annotated[str, InPath(pattern=NAME)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=LINE)]

router = APIRouter(prefix="/v1/cameras")


class CaptureBody(ActionBody):
    """One shot outside the schedule."""

    profile: Name = Field("auto", description="A profile of the document.")


class HoldBody(ActionBody):
    """Hold a camera's capture."""

    reason: Reason = Field(description="What for; one line.")
    for_s: int | None = Field(None, ge=1, le=LONGEST_S, description="Ends by itself after so many seconds.")


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


@router.post("/{camera}/hold", response_model=HoldRecord, responses=ERRORS)
async def hold(asked: Asked, parts: Parts, camera: CameraName) -> Response:
    """Take none of its slots from now on: each becomes a gap `held`; a hold that is there gets this reason and end."""
    known_camera(parts, camera)
    wanted = asked.parse(HoldBody)
    return await asked.run(
        lambda: hold_record(camera, parts.commands.hold_camera(camera, wanted.reason, wanted.for_s, asked.caller))
    )


@router.post("/{camera}/resume", response_model=HoldRecord, responses=ERRORS)
async def resume(asked: Asked, parts: Parts, camera: CameraName) -> Response:
    """Take its slots again."""
    known_camera(parts, camera)
    asked.parse(NoBody)
    return await asked.run(lambda: hold_record(camera, parts.commands.resume_camera(camera, asked.caller)))


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
        held_reason=camera.held_reason,
        held_by=camera.held_by,
    )


def hold_record(camera: str, done: Held) -> HoldRecord:
    """What became of the order, whether it took hold or let go."""
    now = done.hold
    if now is None:
        return HoldRecord(camera=camera, changed=done.changed)
    return HoldRecord(
        camera=camera,
        changed=done.changed,
        held=text_or_none(now.from_us),
        held_until=text_or_none(now.until_us),
        reason=now.reason,
        by=now.who,
    )
