"""The one dependency of every route: who asks, whether the role suffices, and whether the query names are known."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Sequence
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import Depends, Request
from fastapi.routing import APIRoute

from node.api.commands import Caller
from node.api.limits import Refusals
from node.api.parts import ApiParts
from node.api.problems import request_id_of
from node.domain.config import NO_SUCH_FIELD
from node.domain.errors import FieldFault, HeliographError, NotAllowed, NotAuthenticated, RequestInvalid
from node.domain.nodefile import Token
from node.wire.routes import ROLES, Role

NOBODY = "nobody"
_LOG = logging.getLogger(__name__)


async def guard(request: Request) -> Caller:
    """Raises NotAuthenticated, NotAllowed or RequestInvalid; else says who asks."""
    parts: ApiParts = request.app.state.parts
    route = request.scope["route"]
    request.state.route = route.path
    client = client_of(request)
    try:
        caller = authorise(request.headers.get("authorization", ""), ROLES[request.method, route.path], parts, client)
    except (NotAuthenticated, NotAllowed) as error:
        await _tell(request.app.state.refusals, parts, client, error.code)
        raise
    refuse_unknown_names(request, route)
    return Caller(caller.name, caller.role, client, request_id_of(request))


Known = Annotated[Caller, Depends(guard)]


def client_of(request: Request) -> str:
    """The address that the connection comes from; headers that claim another one are not believed."""
    return request.client.host if request.client else "unknown"


def authorise(header: str, needed: Role, parts: ApiParts, client: str) -> Caller:
    """Who asks, from the Authorization header.  Raises NotAuthenticated, NotAllowed."""
    token = identify(header, parts.settings.api.tokens, parts.clock.now_us())
    if token is None and needed > Role.OPEN:
        raise NotAuthenticated
    if token is None:
        return Caller(NOBODY, "", client, "")
    if Role[token.role.upper()] < needed:
        raise NotAllowed(f"{token.name} is {token.role}; this needs {needed.name.lower()}")
    return Caller(token.name, token.role, client, "")


def identify(header: str, tokens: Sequence[Token], now_us: int) -> Token | None:
    """The token that the header carries, if it is known and has not expired.

    Every hash is compared whole, so the time tells nothing about which one was near.
    """
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer":
        return None
    given = hashlib.sha256(secret.strip().encode("latin-1", "replace")).hexdigest()
    found = [token for token in tokens if hmac.compare_digest(token.sha256, given)]
    valid = [token for token in found if token.expires_us is None or now_us < token.expires_us]
    return max(valid, key=lambda token: Role[token.role.upper()], default=None)


def refuse_unknown_names(request: Request, route: APIRoute) -> None:
    """Raises RequestInvalid naming each query name of a route that takes none, and each one given twice.

    Routes that take a query have a model that refuses unknown names together with wrong values.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    faults = [FieldFault(f"query.{name}", "given twice") for name in sorted(set(names)) if names.count(name) > 1]
    if not route.dependant.query_params:
        faults += [FieldFault(f"query.{name}", NO_SUCH_FIELD) for name in dict.fromkeys(names)]
    if faults:
        raise RequestInvalid(fields=faults)


async def _tell(refusals: Refusals, parts: ApiParts, client: str, code: str) -> None:
    for event in refusals.note(client, code, parts.clock.monotonic()):
        try:
            await run_sync(parts.commands.refused, event)
        except HeliographError as error:  # the refusal stands, whether or not it could be written down
            _LOG.warning("refused access not recorded", extra={"code": error.code, "client": client})
