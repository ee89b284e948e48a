"""Actions: run beside the event loop, a few at a time, once per Idempotency-Key, and to their end."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Annotated, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Depends, Header
from fastapi import Request as HttpRequest
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.responses import Response

from node.api.body import Body as RequestBody
from node.api.body import RawBody, parse_object
from node.api.commands import Caller
from node.api.guard import Known
from node.api.parts import ApiParts
from node.api.words import KEY
from node.domain.config import faults_of
from node.domain.errors import (
    DatabaseError,
    DiskError,
    HeliographError,
    KeyReused,
    RequestInvalid,
    StillRunning,
    TimedOut,
)
from node.store.log import Actor, Answer, Request
from node.wire.status import Wire

LOG = logging.getLogger(__name__)
JSON = "application/json"
REPLAYED = "Idempotency-Replayed"
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=80,
        pattern=KEY,
        description="Names this action for 24 hours: the same request under it is answered again, not done again.",
    ),
]

Body = TypeVar("Body", bound="ActionBody")


class ActionBody(BaseModel):
    """The body of an action: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoBody(ActionBody):
    """Nothing to say."""


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


class Action:
    """One action as it came: who asks, what for, and under which key."""

    def __init__(self, request: HttpRequest, caller: Known, body: RequestBody, key: Key = None) -> None:
        self._request, self._caller, self._body, self._key = request, caller, body, key

    @property
    def caller(self) -> Caller:
        """Who asks."""
        return self._caller

    @property
    def actor(self) -> Actor:
        """Who asks, as the audit names it."""
        caller = self._caller
        return Actor(caller.name, caller.standing, caller.client, caller.request_id)

    def parse(self, kind: type[Body]) -> Body:
        """Raises MediaTypeWrong, RequestInvalid with every wrong field."""
        return parse_action(self._body, kind)

    async def run(self, act: Callable[[], Wire], status: HTTPStatus = HTTPStatus.OK) -> Response:
        """What `act` made, done once under its key; see Actions."""
        keys = keyed(self._request, self._key, self._caller, self._body)
        return await actions_of(self._request).run(keys, lambda: made(act(), status))


Asked = Annotated[Action, Depends()]


class Actions:
    """Runs actions in threads of their own, so that a long exposure keeps no reader waiting."""

    AT_ONCE = 4
    PATIENCE_S = 25.0
    """Less than the edge's deadline: who waits is told whether it goes on."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts
        self._limiter = CapacityLimiter(self.AT_ONCE)
        self._running: set[asyncio.Task[Response]] = set()
        self._owed: deque[Callable[[], None]] = deque()
        self._settling = threading.Lock()

    async def run(self, request: Request | None, act: Callable[[], Response]) -> Response:
        """`act` in a thread; for a keyed request at most once in 24 hours.

        Raises KeyReused, what `act` raises, TimedOut where it could not begin in time, and StillRunning where it goes
        on: its key is answered once it has ended.
        """
        first = threading.Lock()  # whoever takes it decides: the action begins, or it is given up
        task = asyncio.ensure_future(run_sync(self._begin, first, request, act, limiter=self._limiter))
        self._running.add(task)
        task.add_done_callback(self._ended)
        await asyncio.wait({task}, timeout=self.PATIENCE_S)
        if task.done():
            return task.result()
        if first.acquire(blocking=False):
            task.cancel()
            raise TimedOut("other actions are under way; this one was not begun")
        raise StillRunning

    def _ended(self, task: asyncio.Task[Response]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, HeliographError):
            LOG.info("action failed", extra={"error": str(error)})  # who asked may have left

    def _begin(self, first: threading.Lock, request: Request | None, act: Callable[[], Response]) -> Response:
        if not first.acquire(blocking=False):
            raise TimedOut
        return act() if request is None else self._once(request, act)

    def _once(self, request: Request, act: Callable[[], Response]) -> Response:
        self._settle_owed()
        journal = self._parts.journal
        known = journal.claim_key(request)
        if known is not None:
            return _again(known)
        try:
            response = act()
        except BaseException:
            self._settle(partial(journal.release_key, request))
            raise
        answered = Answer(response.status_code, bytes(response.body).decode())
        self._settle(partial(journal.answer_key, request, answered))
        return response

    def _settle(self, entry: Callable[[], None]) -> None:
        """What became of a key.  What the database does not take now is entered before a key is looked up again."""
        try:
            entry()
        except (DatabaseError, DiskError) as error:
            LOG.warning("key is settled later", extra={"error": str(error)})
            self._owed.append(entry)

    def _settle_owed(self) -> None:
        with self._settling:
            while self._owed:
                self._owed[0]()
                self._owed.popleft()


def _again(known: Answer) -> Response:
    if known.status is None:
        raise KeyReused("that action is still being done")
    return Response(known.body, known.status, {REPLAYED: "true"}, JSON)
