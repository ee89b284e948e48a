"""/v1/backups: copies of the database on this node's disk."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.responses import Response

from node.api.actions import Asked, NoBody
from node.api.parts import Parts
from node.api.problems import ERRORS
from node.api.views import asked_job, backup_record
from node.store import backup
from node.store.schema import BACKUPS
from node.wire.records import Page
from node.wire.work_records import BackupRecord, JobRecord

router = APIRouter(prefix="/v1/backups")


@router.get("", responses=ERRORS)
def backups(parts: Parts) -> Page[BackupRecord]:
    """Backups of the database, newest first; so many are kept as `retention.backups` says."""
    found = backup.made_in(parts.data / BACKUPS)
    return Page(items=tuple(record for path in found if (record := backup_record(path))))


@router.post("", response_model=JobRecord, status_code=HTTPStatus.ACCEPTED, responses=ERRORS)
async def make(parts: Parts, asked: Asked) -> Response:
    """Make a backup now; answered with the job that does it."""
    asked.parse(NoBody)
    orders = parts.commands.orders
    return await asked.run(lambda: asked_job(orders.ask("backup", {}, asked.actor)), HTTPStatus.ACCEPTED)
