"""/v1/thumbnails: small pictures beside the frames."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from node.api.actions import ActionBody, Asked
from node.api.parts import Parts
from node.api.problems import ERRORS
from node.api.views import asked_job
from node.domain.config import Name
from node.wire.work_records import JobRecord

router = APIRouter(prefix="/v1/thumbnails")


class RepairBody(ActionBody):
    """Which thumbnails are looked at."""

    camera: Name = Field(description="A camera of node.yml.")
    everything: bool = Field(default=False, description="Make all anew, not only what is missing or broken.")


@router.post("/repair", response_model=JobRecord, status_code=HTTPStatus.ACCEPTED, responses=ERRORS)
async def repair(parts: Parts, asked: Asked) -> Response:
    """Make the thumbnails of a camera that are missing or broken, or all anew; answered with the job that does it."""
    payload, orders = asked.parse(RepairBody).model_dump(), parts.commands.orders
    return await asked.run(lambda: asked_job(orders.ask("thumbnail-repair", payload, asked.actor)), HTTPStatus.ACCEPTED)
