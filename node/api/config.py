"""/v1/config: the document in force, what a change would do, change it, its history, go back."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from fastapi import Path as InPath
from fastapi import Query as InQuery
from pydantic import Field
from starlette.responses import Response

from node.api.actions import ActionBody, Key, actions_of, keyed, made, parse_action
from node.api.body import Body, parse_document
from node.api.commands import Activated, CameraPreview, ConfigPreview
from node.api.effective import effective
from node.api.etag import strong
from node.api.guard import Known
from node.api.paging import ListQuery, cursor_key, paged
from node.api.parts import Parts
from node.api.problems import ERRORS
from node.api.status import text_or_none
from node.api.views import reclaimable
from node.api.words import LEASE_HEADER
from node.domain.config import load_own
from node.domain.errors import FieldFault, RequestInvalid, VersionMoved, VersionRequired
from node.domain.lease import OWNER
from node.domain.times import to_text
from node.store.configs import CURRENT, PROBATION, PROVISIONAL, Entry, Running, Version, VersionBook
from node.wire.records import (
    CameraChange,
    ConfigActivation,
    ConfigCheck,
    ConfigRecord,
    ConfigVersion,
    Page,
)
from node.wire.status import ConfigState

STATES: dict[str, ConfigState] = {PROBATION: "probation", PROVISIONAL: "provisional"}
HIGHEST_VERSION = 2**31 - 1
_TAG = re.compile(r'(W/)?"(\d{1,10})"')
VersionNumber = Annotated[int, InPath(ge=1, le=HIGHEST_VERSION)]
IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=80, description="The ETag of the version it was made from.")
]
Lease = Annotated[
    str | None,
    Header(
        alias=LEASE_HEADER,
        max_length=100,
        pattern=OWNER,
        description="The owner of the node's lease; needed while one is held.",
    ),
]


class Change:
    """A change as it came: who asks, in whose lease's name, and what for."""

    def __init__(self, request: Request, caller: Known, body: Body, lease: Lease = None) -> None:
        self.request, self.caller, self.body = request, caller.under(lease or ""), body


Asked = Annotated[Change, Depends()]

router = APIRouter(prefix="/v1/config")


class RollbackBody(ActionBody):
    version: int | None = Field(None, ge=1, le=HIGHEST_VERSION, description="Empty = the version before.")


@router.get("", responses=ERRORS)
def read(response: Response, parts: Parts) -> ConfigRecord:
    """The running document as given, and every field in force with its origin; the ETag is the version."""
    record = _record(VersionBook(parts.database).current(), list(parts.settings.cameras))
    response.headers["ETag"] = strong(str(record.version))
    return record


@router.put("", response_model=ConfigActivation, responses=ERRORS)
async def replace(asked: Asked, parts: Parts, if_match: IfMatch = None) -> Response:
    """Put a whole document (JSON or YAML).  It runs on probation until fresh good frames confirm it."""
    version = _version_of(if_match)

    def act() -> Response:
        return _activation(parts.commands.put_config(parse_document(asked.body), version, asked.caller))

    return await actions_of(asked.request).run(None, act)


@router.post("/validate", responses=ERRORS)
def validate(parts: Parts, body: Body) -> ConfigCheck:
    """What a document would change; 422 names every wrong field.  Nothing is changed."""
    return _check(parts.commands.preview_config(parse_document(body)))


@router.post("/rollback", response_model=ConfigActivation, responses=ERRORS)
async def roll_back(asked: Asked, parts: Parts, key: Key = None) -> Response:
    """Run the version before again, or the one named."""
    version = parse_action(asked.body, RollbackBody).version

    def act() -> Response:
        return _activation(parts.commands.roll_back(version, asked.caller))

    return await actions_of(asked.request).run(keyed(asked.request, key, asked.caller, asked.body), act)


@router.get("/history", responses=ERRORS)
def history(parts: Parts, query: Annotated[ListQuery, InQuery()]) -> Page[ConfigVersion]:
    """Versions kept, newest first, without their documents."""
    limit, after = query.rows(parts), cursor_key(query.cursor, int)
    rows = VersionBook(parts.database).history(limit=limit + 1, before=after[0] if after else None)
    page, cursor = paged(rows, limit, lambda entry: (entry.version.version,))
    return Page(items=tuple(_entry(entry) for entry in page), next=cursor)


@router.get("/history/{version}", responses=ERRORS)
def one(parts: Parts, version: VersionNumber) -> ConfigVersion:
    """One version with its document."""
    book = VersionBook(parts.database)
    return _version(book.get(version), running=book.current().version.version == version, whole=True)


def _version_of(if_match: str | None) -> int:
    """Raises VersionRequired, RequestInvalid, VersionMoved for a weak tag: here it never matches (RFC 9110, 13.1.1)."""
    if if_match is None:
        raise VersionRequired
    tag = _TAG.fullmatch(if_match.strip())
    if tag is None or int(tag[2]) > HIGHEST_VERSION:
        raise RequestInvalid(fields=(FieldFault("header.If-Match", "is not the ETag of a version", if_match),))
    if tag[1]:
        raise VersionMoved(f"{if_match} is a weak ETag, which matches no version")
    return int(tag[2])


def _record(running: Running, cameras: list[str]) -> ConfigRecord:
    version, activation = running.version, running.activation
    document, unknown = load_own(version.document)
    on_probation = activation.word == PROBATION
    return ConfigRecord(
        version=version.version,
        digest=version.digest,
        state=STATES.get(activation.word, "active"),
        probation_until=text_or_none(activation.deadline_us) if on_probation else None,
        document=version.document,
        unknown_fields=unknown,
        effective=effective(document, version.document, cameras),
    )


def _entry(entry: Entry) -> ConfigVersion:
    running = entry.activation is not None and entry.activation.state in CURRENT
    record = _version(entry.version, running=running)
    if entry.activation is None:
        return record
    return record.model_copy(
        update={
            "state": entry.activation.word,
            "activated": to_text(entry.activation.from_us),
            "reason": entry.activation.reason,
        }
    )


def _version(version: Version, *, running: bool, whole: bool = False) -> ConfigVersion:
    return ConfigVersion(
        version=version.version,
        digest=version.digest,
        created=to_text(version.created_us),
        who=version.who,
        origin=version.origin,
        running=running,
        document=version.document if whole else None,
    )


def _check(preview: ConfigPreview) -> ConfigCheck:
    return ConfigCheck(
        digest=preview.digest,
        changed=preview.changed,
        cameras=tuple(_camera(each) for each in preview.cameras),
        reclaim=tuple(reclaimable(each) for each in preview.gone.tallies),
        reclaim_more=preview.gone.more,
    )


def _camera(preview: CameraPreview) -> CameraChange:
    return CameraChange(
        name=preview.name,
        next_slots=tuple(to_text(due_us) for due_us in preview.next_due_us),
        frames_per_day=preview.frames_per_day,
        frames_per_day_now=preview.frames_per_day_now,
    )


def _activation(activated: Activated) -> Response:
    record = ConfigActivation(
        version=activated.version,
        digest=activated.digest,
        previous=activated.previous,
        changed=activated.changed,
        probation_until=text_or_none(activated.probation_until_us),
    )
    response = made(record)
    response.headers["ETag"] = strong(str(activated.version))
    return response
