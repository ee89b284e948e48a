"""GET /metrics: Prometheus text."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from node.api.parts import Parts
from node.api.problems import ERRORS
from node.metrics import MEDIA_TYPE

router = APIRouter()
_TEXT: dict[int | str, dict[str, Any]] = {
    200: {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


@router.get("/metrics", response_class=Response, responses={**_TEXT, **ERRORS})
def metrics(parts: Parts) -> Response:
    """Every metric of this process."""
    return Response(parts.metrics.render(), media_type=MEDIA_TYPE)
