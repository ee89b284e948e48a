"""Files as answers: ETag, 304, one range at a time, and what is said where a file is gone."""

from __future__ import annotations

import os
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO

from fastapi import Request
from starlette.responses import Response

from node.api.etag import matches, strong
from node.api.problems import ERRORS, problem, request_id_of
from node.api.ranges import FileSpan, Span, span_of
from node.domain.errors import HeliographError, RangeInvalid

KEPT = "private, max-age=86400, immutable"


def documented(media_type: str) -> dict[int | str, dict[str, Any]]:
    """The answers of a route that sends files of that type."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {
        200: {"description": "The whole.", "content": content},
        206: {"description": "One range of it.", "content": content},
        304: {"description": "The client has it."},
        **ERRORS,
    }


def known(request: Request, etag: str) -> Response | None:
    """304 where the client has that version."""
    if not matches(request.headers.get("if-none-match", ""), etag):
        return None
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": etag, "Cache-Control": KEPT})


def file_answer(
    request: Request, path: Path, sha256: str, media_type: str, missing: Callable[[], HeliographError]
) -> Response:
    """The file, or the one range of it that is asked for; ETag is its SHA-256.

    Raises what `missing` makes where it cannot be opened.
    """
    etag = strong(sha256)
    not_modified = known(request, etag)
    if not_modified is not None:
        return not_modified
    try:
        handle = path.open("rb")
    except OSError as error:
        raise missing() from error
    headers = {"ETag": etag, "Cache-Control": KEPT, "Accept-Ranges": "bytes"}
    return _span(request, handle, headers, media_type)


def _span(request: Request, handle: BinaryIO, headers: dict[str, str], media_type: str) -> Response:
    """The whole file or one span of it.  Closes the handle where nothing of it is sent."""
    size = os.fstat(handle.fileno()).st_size
    wanted = request.headers.get("range", "") if _range_holds(request, headers["ETag"]) else ""
    try:
        span = span_of(wanted, size)
    except ValueError as error:
        handle.close()
        named = {"Content-Range": f"bytes */{size}"}
        return problem(RangeInvalid(str(error)), request_id_of(request), named)
    part = span or Span(0, size - 1)
    more = {"Content-Range": f"bytes {span.start}-{span.end}/{size}"} if span else {}
    status = HTTPStatus.PARTIAL_CONTENT if span else HTTPStatus.OK
    return FileSpan(handle, part, status, {**headers, **more}, media_type)


def _range_holds(request: Request, etag: str) -> bool:
    """If-Range names another version: then the whole is wanted.  A date never names one here."""
    named = request.headers.get("if-range")
    return named is None or named.strip() == etag
