"""Every error answer is made here: application/problem+json from node.domain.errors."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from node.api.words import WORDS
from node.domain.config import words_of
from node.domain.errors import (
    ApiError,
    CameraError,
    FieldFault,
    HeliographError,
    InternalError,
    LeaseHeld,
    MethodNotAllowed,
    NotFound,
    RequestInvalid,
    RequestMalformed,
)
from node.wire.problem import MEDIA_TYPE, FieldProblem, Problem
from node.wire.routes import ROUTES
from node.wire.status import LeaseStatus

RETRY_AFTER_S = 2
MAX_FIELDS, MAX_CHARS = 50, 120
ERRORS: dict[int | str, dict[str, object]] = {
    "4XX": {"description": "Refused: code, title, detail and hint.", "model": Problem},
    "5XX": {"description": "Not possible now (503), or an internal error.", "model": Problem},
}
"""What every route documents beside its answer; its media type is set when the document is made."""
_LOG = logging.getLogger(__name__)
_BY_STATUS: dict[int, type[ApiError]] = {
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.METHOD_NOT_ALLOWED: MethodNotAllowed,
    HTTPStatus.BAD_REQUEST: RequestMalformed,
}


def problem(
    error: HeliographError, request_id: str, headers: Mapping[str, str] | None = None, *, retry_after_s: float = 0
) -> Response:
    """The answer for an error.  What the disk or the database said stays in the log: it may name paths."""
    told = error.http < HTTPStatus.INTERNAL_SERVER_ERROR or isinstance(error, ApiError | CameraError)
    body = Problem(
        type=f"urn:heliograph:error:{error.code}",
        title=error.title,
        status=error.http,
        code=error.code,
        detail=error.detail[: 4 * MAX_CHARS] if told and not isinstance(error, InternalError) else "",
        hint=error.hint,
        request_id=request_id,
        errors=tuple(
            FieldProblem(
                path=fault.path[:MAX_CHARS], message=fault.message, given=fault.given[:MAX_CHARS], kind=fault.kind
            )
            for fault in error.fields[:MAX_FIELDS]
        ),
        lease=LeaseStatus(**error.holder) if isinstance(error, LeaseHeld) and error.holder else None,
    )
    more = {**_headers(error, retry_after_s), **(headers or {})}
    return Response(_json(body), error.http, more, MEDIA_TYPE)


def _json(body: Problem) -> bytes:
    # what a client sent may hold lone surrogates, which UTF-8 has no bytes for
    absent = {"lease"} if body.lease is None else None
    return json.dumps(body.model_dump(exclude=absent), separators=(",", ":")).encode()


def _headers(error: HeliographError, retry_after_s: float) -> dict[str, str]:
    if error.http == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    if error.http in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        return {"Retry-After": str(max(1, ceil(retry_after_s or RETRY_AFTER_S)))}
    return {}


def install(app: FastAPI) -> None:
    """One handler for everything that can be raised while a request is served."""
    for kind in (HeliographError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    ours = as_ours(error)
    headers = {"Allow": allowed(request.url.path)} if isinstance(ours, MethodNotAllowed) else None
    if ours.http >= HTTPStatus.INTERNAL_SERVER_ERROR and ours is error and not isinstance(ours, ApiError):
        _LOG.warning("request failed", extra={"code": ours.code, "detail": ours.detail})
    return problem(ours, request_id_of(request), headers)


def as_ours(error: Exception) -> HeliographError:
    """The product's error for anything that was raised; what is not foreseen is an InternalError without words."""
    if isinstance(error, HeliographError):
        return error
    if isinstance(error, RequestValidationError):
        return RequestInvalid(fields=tuple(_fault(found) for found in error.errors()[:MAX_FIELDS]))
    if isinstance(error, HTTPException) and error.status_code in _BY_STATUS:
        return _BY_STATUS[error.status_code]()
    return InternalError()


def _fault(found: Mapping[str, Any]) -> FieldFault:
    location = found.get("loc")
    path = ".".join(str(part) for part in location) if isinstance(location, tuple) else ""
    return FieldFault(path, words_of(found, WORDS), repr(found.get("input"))[:MAX_CHARS])


def request_id_of(request: Request) -> str:
    """The id that the edge gave to this request."""
    return str(getattr(request.state, "request_id", ""))


def allowed(path: str) -> str:
    """The methods that the route table has for a path."""
    parts = path.split("/")
    return ", ".join(sorted({route.method for route in ROUTES if _fits(route.path.split("/"), parts)}))


def _fits(template: list[str], parts: list[str]) -> bool:
    return len(template) == len(parts) and all(
        want.startswith("{") or want == part for want, part in zip(template, parts, strict=True)
    )
