"""application/problem+json (RFC 9457) as this node writes it."""

from __future__ import annotations

from node.wire.status import LeaseStatus, Wire

MEDIA_TYPE = "application/problem+json"


class FieldProblem(Wire):
    path: str
    message: str
    given: str = ""


class Problem(Wire):
    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    hint: str = ""
    request_id: str = ""
    errors: tuple[FieldProblem, ...] = ()
    lease: LeaseStatus | None = None
    """Of CFG-011: who holds it."""
