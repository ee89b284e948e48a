"""GET /v1/openapi.json: FastAPI's document, with the roles of the route table, bodies and problem answers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.responses import JSONResponse, Response

from node.api.actions import NoBody
from node.api.cameras import CaptureBody, HoldBody
from node.api.config import RollbackBody
from node.api.disk import PreviewBody
from node.api.jobs import SeveralBody
from node.api.lease import LeaseBody, ReleaseBody
from node.api.problems import ERRORS
from node.api.targets import SpanBody
from node.api.thumbnails import RepairBody
from node.api.videos import RenderBody, VideoBody
from node.domain.config import Document
from node.wire.problem import MEDIA_TYPE
from node.wire.routes import ROLES, Role

JSON = ("application/json",)
BODIES: dict[tuple[str, str], tuple[type[BaseModel], tuple[str, ...]]] = {
    ("put", "/v1/config"): (Document, ("application/json", "application/yaml")),
    ("post", "/v1/config/validate"): (Document, ("application/json", "application/yaml")),
    ("post", "/v1/config/rollback"): (RollbackBody, JSON),
    ("put", "/v1/lease"): (LeaseBody, JSON),
    ("delete", "/v1/lease"): (ReleaseBody, JSON),
    ("post", "/v1/cameras/{camera}/restart"): (NoBody, JSON),
    ("post", "/v1/cameras/{camera}/capture"): (CaptureBody, JSON),
    ("post", "/v1/cameras/{camera}/hold"): (HoldBody, JSON),
    ("post", "/v1/cameras/{camera}/resume"): (NoBody, JSON),
    ("post", "/v1/videos"): (RenderBody, JSON),
    ("patch", "/v1/videos/{video}"): (VideoBody, JSON),
    ("delete", "/v1/videos/{video}"): (NoBody, JSON),
    ("post", "/v1/jobs/redrive"): (SeveralBody, JSON),
    ("post", "/v1/jobs/discard"): (SeveralBody, JSON),
    ("post", "/v1/jobs/{job}/cancel"): (NoBody, JSON),
    ("post", "/v1/jobs/{job}/redrive"): (NoBody, JSON),
    ("post", "/v1/jobs/{job}/discard"): (NoBody, JSON),
    ("post", "/v1/targets/{target}/test"): (NoBody, JSON),
    ("post", "/v1/targets/{target}/send"): (NoBody, JSON),
    ("post", "/v1/targets/{target}/verify"): (SpanBody, JSON),
    ("post", "/v1/targets/{target}/restore"): (SpanBody, JSON),
    ("post", "/v1/disk/preview"): (PreviewBody, JSON),
    ("post", "/v1/disk/reclaim"): (NoBody, JSON),
    ("post", "/v1/backups"): (NoBody, JSON),
    ("post", "/v1/thumbnails/repair"): (RepairBody, JSON),
}
_REFS = "#/components/schemas/{model}"
_UNPROCESSABLE = str(int(HTTPStatus.UNPROCESSABLE_ENTITY))
_NEVER = ("HTTPValidationError", "ValidationError")

router = APIRouter()


@router.get("/v1/openapi.json", response_class=JSONResponse, responses=ERRORS)
async def openapi(request: Request) -> Response:
    """The API as an OpenAPI document."""
    return JSONResponse(request.app.openapi())


def install_document(app: FastAPI) -> None:
    """The route, and what the framework does not know, said once."""
    app.include_router(router)
    made: dict[str, Any] = {}
    original = app.openapi

    def document() -> dict[str, Any]:
        if not made:
            made.update(completed(original()))
        return made

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """Roles, bodies, problem answers."""
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _say_role(operation, ROLES[method.upper(), path])
            _say_problems(operation)
            _say_body(operation, BODIES.get((method, path)), schemas)
    for name in _NEVER:
        schemas.pop(name, None)
    document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    return document


def _say_role(operation: dict[str, Any], role: Role) -> None:
    operation["x-role"] = role.name.lower()
    operation["security"] = [] if role is Role.OPEN else [{"bearer": []}]


def _say_problems(operation: dict[str, Any]) -> None:
    """Errors are problems, also those of validation, which the framework describes in its own way."""
    operation["responses"].pop(_UNPROCESSABLE, None)
    for status in ("4XX", "5XX"):
        content = operation["responses"][status]["content"]
        operation["responses"][status]["content"] = {MEDIA_TYPE: next(iter(content.values()))}


def _say_body(
    operation: dict[str, Any], body: tuple[type[BaseModel], tuple[str, ...]] | None, schemas: dict[str, Any]
) -> None:
    if body is None:
        return
    model, media_types = body
    refs, definitions = models_json_schema([(model, "validation")], ref_template=_REFS)
    schemas.update(definitions["$defs"])
    content = {each: {"schema": refs[model, "validation"]} for each in media_types}
    operation["requestBody"] = {"content": content, "required": model is Document}
