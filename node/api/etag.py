"""Entity tags: whether the client has it already (RFC 9110, 13.1)."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import Request
from starlette.responses import Response

REVALIDATE = "private, no-cache"


def strong(name: str) -> str:
    return f'"{name}"'


def weak(name: str) -> str:
    return f'W/"{name}"'


def matches(header: str, etag: str) -> bool:
    """Whether If-None-Match names this tag; the comparison is the weak one."""
    bare = etag.removeprefix("W/")
    named = [each.strip().removeprefix("W/") for each in header.split(",")]
    return bare in named or named == ["*"]


def answer(request: Request, body: bytes, etag: str, media_type: str) -> Response:
    """The body, or 304 where the client has it."""
    headers = {"ETag": etag, "Cache-Control": REVALIDATE}
    if matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, headers=headers, media_type=media_type)
