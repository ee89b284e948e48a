"""application/problem+json (RFC 9457) as this node writes it."""

from __future__ import annotations

from node.wire.status import LeaseStatus, Wire

MEDIA_TYPE = "application/problem+json"


class FieldProblem(Wire):
    """One wrong field.

    `kind` is `unknown_field` where this release has no such field (a newer one may), `missing`, or `wrong_value`;
    empty = an older node, which does not say.
    """

    path: str
    message: str
    given: str = ""
    kind: str = ""


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
