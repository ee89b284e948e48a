"""/v1/jobs: the queue and its dead letters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter
from fastapi import Path as InPath
from fastapi import Query as InQuery
from pydantic import Field, model_validator
from starlette.responses import Response

from node.api.actions import Action, ActionBody, Asked, NoBody
from node.api.paging import ListQuery, cursor_key, paged
from node.api.parts import Parts
from node.api.problems import ERRORS
from node.api.views import job_record, whole_job
from node.api.words import ID
from node.domain.config import JobKind
from node.domain.job import JobState
from node.store.jobs import Job, JobReader
from node.store.log import Actor
from node.wire.records import Page
from node.wire.work_records import JobRecord, JobsMoved

JobId = Annotated[str, InPath(pattern=ID)]
KEY_CHARS = 400

router = APIRouter(prefix="/v1/jobs")


class JobQuery(ListQuery):
    """Which jobs, newest first."""

    state: JobState | None = None
    kind: JobKind | None = None
    key: str | None = Field(None, max_length=KEY_CHARS, description="What the job is about, whole.")


class SeveralBody(ActionBody):
    """The dead letters of one kind, or all of them."""

    kind: JobKind | None = None
    all: bool = Field(default=False, description="Of every kind.")

    @model_validator(mode="after")
    def _one_of_both(self) -> SeveralBody:
        if self.all == (self.kind is not None):
            message = "give a kind, or all: true"
            raise ValueError(message)
        return self


@router.get("", responses=ERRORS)
def jobs(parts: Parts, query: Annotated[JobQuery, InQuery()]) -> Page[JobRecord]:
    """Jobs, newest first, without their payloads and results."""
    limit, after = query.rows(parts), cursor_key(query.cursor, int)
    rows = JobReader(parts.database).page(
        state=query.state, kind=query.kind, key=query.key, limit=limit + 1, after=after[0] if after else None
    )
    page, cursor = paged(rows, limit, lambda job: (job.seq,))
    return Page(items=tuple(job_record(job) for job in page), next=cursor)


@router.post("/redrive", response_model=JobsMoved, responses=ERRORS)
async def redrive_all(parts: Parts, asked: Asked) -> Response:
    """Let dead jobs, of one kind or all, wait again."""
    kind, orders = asked.parse(SeveralBody).kind, parts.commands.orders
    return await asked.run(lambda: JobsMoved(count=orders.redrive_all(kind, asked.actor)))


@router.post("/discard", response_model=JobsMoved, responses=ERRORS)
async def discard_all(parts: Parts, asked: Asked) -> Response:
    """Give dead jobs up, of one kind or all."""
    kind, orders = asked.parse(SeveralBody).kind, parts.commands.orders
    return await asked.run(lambda: JobsMoved(count=orders.discard_all(kind, asked.actor)))


@router.get("/{job}", responses=ERRORS)
def one(parts: Parts, job: JobId) -> JobRecord:
    """One job with its payload, its result and every attempt."""
    reader = JobReader(parts.database)
    return whole_job(reader.get(job), reader.attempts(job))


@router.post("/{job}/cancel", response_model=JobRecord, responses=ERRORS)
async def cancel(parts: Parts, asked: Asked, job: JobId) -> Response:
    """A waiting job ends at once; a running one at its next step, and until then it says `cancel_asked`."""
    return await _moved(asked, parts.commands.orders.cancel, job)


@router.post("/{job}/redrive", response_model=JobRecord, responses=ERRORS)
async def redrive(parts: Parts, asked: Asked, job: JobId) -> Response:
    """Let a dead job wait again, with new attempts."""
    return await _moved(asked, parts.commands.orders.redrive, job)


@router.post("/{job}/discard", response_model=JobRecord, responses=ERRORS)
async def discard(parts: Parts, asked: Asked, job: JobId) -> Response:
    """Give a dead job up."""
    return await _moved(asked, parts.commands.orders.discard, job)


async def _moved(asked: Action, move: Callable[[str, Actor], Job], job: str) -> Response:
    asked.parse(NoBody)
    return await asked.run(lambda: job_record(move(job, asked.actor)))
