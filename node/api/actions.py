"""POST actions: run beside the event loop, a few at a time, and once per Idempotency-Key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Header
from fastapi import Request as HttpRequest
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.responses import Response

from node.api.body import RawBody, parse_object
from node.api.commands import Caller
from node.api.parts import ApiParts
from node.domain.config import faults_of
from node.domain.errors import KeyReused, RequestInvalid
from node.store.log import Answer, Request
from node.wire.status import Wire

JSON = "application/json"
REPLAYED = "Idempotency-Replayed"
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=80,
        pattern=r"^[!-~]+$",
        description="Names this action for 24 hours: the same request under it is answered again, not done again.",
    ),
]

Body = TypeVar("Body", bound="ActionBody")


class ActionBody(BaseModel):
    """The body of an action: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def parse_action(body: RawBody, kind: type[Body]) -> Body:
    """Raises MediaTypeWrong, RequestInvalid with every wrong field."""
    try:
        return kind.model_validate(parse_object(body))
    except ValidationError as error:
        raise RequestInvalid(fields=faults_of(error)) from None


def keyed(http: HttpRequest, key: str | None, caller: Caller, body: RawBody) -> Request | None:
    """What a key stands for: this caller, this address, this body; None without a key."""
    if key is None:
        return None
    digest = hashlib.sha256(caller.name.encode() + b"\0" + body.data).hexdigest()
    return Request(key=key, route=f"{http.method} {http.url.path}", digest=digest)


def actions_of(http: HttpRequest) -> Actions:
    actions: Actions = http.app.state.actions
    return actions


def made(record: Wire, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """A record as the answer of an action."""
    return Response(record.model_dump_json(), status, media_type=JSON)


class Actions:
    """Runs actions in threads of their own, so that a long exposure keeps no reader waiting."""

    AT_ONCE = 4

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts
        self._limiter = CapacityLimiter(self.AT_ONCE)

    async def run(self, request: Request | None, act: Callable[[], Response]) -> Response:
        """`act` in a thread; for a keyed request at most once in 24 hours.  Raises KeyReused and what `act` raises."""
        if request is None:
            return await run_sync(act, limiter=self._limiter)
        return await run_sync(self._once, request, act, limiter=self._limiter)

    def _once(self, request: Request, act: Callable[[], Response]) -> Response:
        journal = self._parts.journal
        known = journal.claim_key(request)
        if known is not None:
            return _again(known)
        try:
            response = act()
        except BaseException:
            journal.release_key(request)
            raise
        journal.answer_key(request, Answer(response.status_code, bytes(response.body).decode()))
        return response


def _again(known: Answer) -> Response:
    if known.status is None:
        raise KeyReused("that action is still being done")
    return Response(known.body, known.status, {REPLAYED: "true"}, JSON)
