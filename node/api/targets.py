"""/v1/targets: where frames are sent, how each target stands, and what may be asked of it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter
from fastapi import Path as InPath
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from node.api.actions import Action, ActionBody, Asked, NoBody
from node.api.paging import micros
from node.api.parts import ApiParts, Parts
from node.api.problems import ERRORS
from node.api.views import asked_job, target_record
from node.domain.config import NAME, Name
from node.domain.errors import UnknownTarget
from node.domain.facts import target_key
from node.store.archive_reader import ArchiveReader
from node.wire.records import Page
from node.wire.work_records import JobRecord, TargetRecord

TargetName = Annotated[str, InPath(pattern=NAME)]

router = APIRouter(prefix="/v1/targets")


class SpanBody(ActionBody):
    """Which frames: of one camera, of a span of time; empty = all."""

    camera: Name | None = None
    since: AwareDatetime | None = Field(None, alias="from", description="RFC 3339, included.")
    until: AwareDatetime | None = Field(None, alias="to", description="RFC 3339, not included.")

    def payload(self, target: str) -> dict[str, object]:
        """As the queue takes it."""
        return {
            "target": target,
            "camera": self.camera,
            "from_us": micros(self.since),
            "to_us": micros(self.until),
        }


@router.get("", responses=ERRORS)
def targets(parts: Parts) -> Page[TargetRecord]:
    """Every archive target of node.yml."""
    return Page(items=tuple(_record(parts, name) for name in parts.settings.archive))


@router.get("/{target}", responses=ERRORS)
def one(parts: Parts, target: TargetName) -> TargetRecord:
    """One target: its breaker, what it holds and lacks, what went wrong last."""
    return _record(parts, target)


@router.post("/{target}/test", response_model=JobRecord, status_code=HTTPStatus.ACCEPTED, responses=ERRORS)
async def test(parts: Parts, asked: Asked, target: TargetName) -> Response:
    """Look whether it can be reached and carries its marker; answered with the job, whose result says it."""
    asked.parse(NoBody)
    return await _job(parts, asked, "test-target", {"target": target})


@router.post("/{target}/send", response_model=JobRecord, status_code=HTTPStatus.ACCEPTED, responses=ERRORS)
async def send(parts: Parts, asked: Asked, target: TargetName) -> Response:
    """Send what waits for it now, without the pause after a failure; answered with the job that does it."""
    asked.parse(NoBody)
    orders = parts.commands.orders
    return await asked.run(lambda: asked_job(orders.send_now(target, asked.actor)), HTTPStatus.ACCEPTED)


@router.post("/{target}/verify", response_model=JobRecord, status_code=HTTPStatus.ACCEPTED, responses=ERRORS)
async def verify(parts: Parts, asked: Asked, target: TargetName) -> Response:
    """Read there again what the receipts say, and compare; answered with the job, whose result says it."""
    return await _job(parts, asked, "verify-archive", asked.parse(SpanBody).payload(target))


@router.post("/{target}/restore", response_model=JobRecord, status_code=HTTPStatus.ACCEPTED, responses=ERRORS)
async def restore(parts: Parts, asked: Asked, target: TargetName) -> Response:
    """Bring back the frames that were reclaimed here; answered with the job that does it."""
    return await _job(parts, asked, "restore", asked.parse(SpanBody).payload(target))


async def _job(parts: ApiParts, asked: Action, kind: str, payload: dict[str, object]) -> Response:
    orders = parts.commands.orders
    return await asked.run(lambda: asked_job(orders.ask(kind, payload, asked.actor)), HTTPStatus.ACCEPTED)


def _record(parts: ApiParts, name: str) -> TargetRecord:
    """Raises UnknownTarget."""
    if name not in parts.settings.archive:
        raise UnknownTarget(name)
    reader, policy = ArchiveReader(parts.database), parts.document().archive.policy(name)
    record = target_record(parts.settings.archive[name], policy, reader.target(name), reader.backlog(name))
    fact = parts.board.read(target_key(name))
    return record.model_copy(update={"backlog_eta_s": fact.value.backlog_eta_s}) if fact else record
