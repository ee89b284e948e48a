"""The one dependency of every route: who asks, whether the role suffices, and whether the query names are known."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Request
from fastapi.routing import APIRoute

from node.api.commands import Caller
from node.api.parts import ApiParts
from node.api.peer import Peer
from node.api.problems import request_id_of
from node.domain.config import NO_SUCH_FIELD
from node.domain.errors import (
    CertificateRevoked,
    CertificateUnfit,
    FieldFault,
    NotAllowed,
    NotAuthenticated,
    RequestInvalid,
)
from node.domain.nodefile import LOOPBACK, Token
from node.domain.times import US
from node.wire.routes import ROLES, Role

NOBODY = "nobody"
REFUSED = (NotAuthenticated, NotAllowed, CertificateRevoked, CertificateUnfit)


async def guard(request: Request) -> Caller:
    """Raises what `authorise` raises, or RequestInvalid; else says who asks."""
    parts: ApiParts = request.app.state.parts
    route = request.scope["route"]
    request.state.route = route.path
    client = client_of(request)
    try:
        caller = authorise(shown_by(request), ROLES[request.method, route.path], parts)
    except REFUSED as error:
        await request.app.state.access.refused(client, error.code)
        raise
    refuse_unknown_names(request, route)
    return replace(caller, request_id=request_id_of(request))


Known = Annotated[Caller, Depends(guard)]


def client_of(request: Request) -> str:
    """The address that the connection comes from; headers that claim another one are not believed."""
    return request.client.host if request.client else "unknown"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request shows of who asks: the Authorization header, the connection's certificate, whence it comes."""

    header: str = ""
    peer: Peer | None = None
    client: str = ""
    here: bool = False


def shown_by(request: Request) -> Shown:
    """`here` = it comes from this very machine."""
    client, server = client_of(request), request.scope.get("server") or ("", 0)
    header = request.headers.get("authorization", "")
    return Shown(header, getattr(request.state, "peer", _no_peer)(), client, is_here(client, server[0]))


def _no_peer() -> None:
    """Where no connection of ours is behind a request, nobody shows a certificate."""


def still_known(request: Request, parts: ApiParts) -> bool:
    """Whether the same request would be let in now: a stream outlasts certificates and tokens."""
    try:
        recognise(shown_by(request), parts)
    except REFUSED:
        return False
    return True


def is_here(client: str, server: str) -> bool:
    """Over loopback, or from the address that it was sent to: no other machine's packet can say so."""
    return client in LOOPBACK or client == server


def authorise(shown: Shown, needed: Role, parts: ApiParts) -> Caller:
    """Who asks.  Raises NotAuthenticated, CertificateRevoked, CertificateUnfit, NotAllowed."""
    if needed is Role.OPEN:
        return Caller(NOBODY, "", shown.client, "")
    caller = recognise(shown, parts)
    if Role[caller.role.upper()] < needed:
        raise NotAllowed(f"{caller.name} is {caller.role}; this needs {needed.name.lower()}")
    return caller


def recognise(shown: Shown, parts: ApiParts) -> Caller:
    """A certificate that counts no more is refused, whatever else is said; of both, the header is what is meant."""
    now_us = parts.clock.now_us()
    role = shown.peer.role(now_us / US) if shown.peer else ""
    if shown.header:
        token = identify(shown.header, _tokens(shown, parts), now_us)
        if token is None:
            raise NotAuthenticated
        return Caller(token.name, token.role, shown.client, "", "token")
    if shown.peer is None:
        raise NotAuthenticated
    return Caller(shown.peer.name, role, shown.client, "", "certificate")


def _tokens(shown: Shown, parts: ApiParts) -> Sequence[Token]:
    own = [parts.own_token] if parts.own_token is not None and shown.here else []
    return [*parts.settings.api.tokens, *own]


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
