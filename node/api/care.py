"""/v1/reconcile and /v1/integrity-check: rows and files compared, the database looked through."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.responses import Response

from node.api.actions import Action, Asked, NoBody
from node.api.parts import ApiParts, Parts
from node.api.problems import ERRORS
from node.api.views import asked_job
from node.wire.work_records import JobRecord

router = APIRouter(prefix="/v1")


@router.post("/reconcile", response_model=JobRecord, status_code=HTTPStatus.ACCEPTED, responses=ERRORS)
async def reconcile(parts: Parts, asked: Asked) -> Response:
    """Compare files and rows and mend what differs; answered with the job, whose result says what it found."""
    return await _job(parts, asked, "reconcile")


@router.post("/integrity-check", response_model=JobRecord, status_code=HTTPStatus.ACCEPTED, responses=ERRORS)
async def integrity_check(parts: Parts, asked: Asked) -> Response:
    """Look the whole database through; answered with the job, whose result says what it found."""
    return await _job(parts, asked, "integrity-check")


async def _job(parts: ApiParts, asked: Action, kind: str) -> Response:
    asked.parse(NoBody)
    orders = parts.commands.orders
    return await asked.run(lambda: asked_job(orders.ask(kind, {}, asked.actor)), HTTPStatus.ACCEPTED)
