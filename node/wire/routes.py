"""Every route of the API and the role that it needs: the only source, for the node's guard and for every client."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """Each role may do what those below it may."""

    OPEN = 0
    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    role: Role


_OPEN, _VIEWER, _OPERATOR, _ADMIN = Role.OPEN, Role.VIEWER, Role.OPERATOR, Role.ADMIN

ROUTES: tuple[Route, ...] = (
    Route("GET", "/health/live", _OPEN),
    Route("GET", "/health/ready", _VIEWER),
    Route("GET", "/health/deep", _VIEWER),
    Route("GET", "/metrics", _VIEWER),
    Route("GET", "/v1/openapi.json", _VIEWER),
    Route("GET", "/v1/status", _VIEWER),
    Route("GET", "/v1/events", _VIEWER),
    Route("GET", "/v1/cameras", _VIEWER),
    Route("GET", "/v1/cameras/{camera}", _VIEWER),
    Route("POST", "/v1/cameras/{camera}/restart", _OPERATOR),
    Route("POST", "/v1/cameras/{camera}/capture", _OPERATOR),
    Route("POST", "/v1/cameras/{camera}/hold", _OPERATOR),
    Route("POST", "/v1/cameras/{camera}/resume", _OPERATOR),
    Route("GET", "/v1/slots", _VIEWER),
    Route("GET", "/v1/gaps", _VIEWER),
    Route("GET", "/v1/days", _VIEWER),
    Route("GET", "/v1/shoots", _VIEWER),
    Route("GET", "/v1/frames", _VIEWER),
    Route("GET", "/v1/frames/latest", _VIEWER),
    Route("GET", "/v1/frames/{frame}", _VIEWER),
    Route("GET", "/v1/frames/{frame}/quality", _VIEWER),
    Route("GET", "/v1/frames/{frame}/image", _VIEWER),
    Route("HEAD", "/v1/frames/{frame}/image", _VIEWER),
    Route("GET", "/v1/frames/{frame}/small", _VIEWER),
    Route("HEAD", "/v1/frames/{frame}/small", _VIEWER),
    Route("GET", "/v1/frames/{frame}/archive", _VIEWER),
    Route("GET", "/v1/videos", _VIEWER),
    Route("POST", "/v1/videos", _OPERATOR),
    Route("GET", "/v1/videos/{video}", _VIEWER),
    Route("PATCH", "/v1/videos/{video}", _OPERATOR),
    Route("DELETE", "/v1/videos/{video}", _ADMIN),
    Route("GET", "/v1/videos/{video}/file", _VIEWER),
    Route("HEAD", "/v1/videos/{video}/file", _VIEWER),
    Route("GET", "/v1/videos/{video}/poster", _VIEWER),
    Route("HEAD", "/v1/videos/{video}/poster", _VIEWER),
    Route("GET", "/v1/queue", _VIEWER),
    Route("GET", "/v1/jobs", _VIEWER),
    Route("POST", "/v1/jobs/redrive", _OPERATOR),
    Route("POST", "/v1/jobs/discard", _OPERATOR),
    Route("GET", "/v1/jobs/{job}", _VIEWER),
    Route("POST", "/v1/jobs/{job}/cancel", _OPERATOR),
    Route("POST", "/v1/jobs/{job}/redrive", _OPERATOR),
    Route("POST", "/v1/jobs/{job}/discard", _OPERATOR),
    Route("GET", "/v1/targets", _VIEWER),
    Route("GET", "/v1/targets/{target}", _VIEWER),
    Route("POST", "/v1/targets/{target}/test", _OPERATOR),
    Route("POST", "/v1/targets/{target}/send", _OPERATOR),
    Route("POST", "/v1/targets/{target}/verify", _OPERATOR),
    Route("POST", "/v1/targets/{target}/restore", _OPERATOR),
    Route("GET", "/v1/disk", _VIEWER),
    Route("POST", "/v1/disk/preview", _OPERATOR),
    Route("POST", "/v1/disk/reclaim", _OPERATOR),
    Route("GET", "/v1/backups", _VIEWER),
    Route("POST", "/v1/backups", _ADMIN),
    Route("POST", "/v1/thumbnails/repair", _OPERATOR),
    Route("POST", "/v1/reconcile", _OPERATOR),
    Route("POST", "/v1/integrity-check", _OPERATOR),
    Route("GET", "/v1/quality", _VIEWER),
    Route("GET", "/v1/quality/{camera}", _VIEWER),
    Route("GET", "/v1/config", _VIEWER),
    Route("PUT", "/v1/config", _ADMIN),
    Route("POST", "/v1/config/validate", _OPERATOR),
    Route("POST", "/v1/config/rollback", _ADMIN),
    Route("GET", "/v1/config/history", _VIEWER),
    Route("GET", "/v1/config/history/{version}", _VIEWER),
    Route("GET", "/v1/lease", _VIEWER),
    Route("PUT", "/v1/lease", _OPERATOR),
    Route("DELETE", "/v1/lease", _OPERATOR),
    Route("GET", "/v1/audit", _OPERATOR),
)

ROLES: dict[tuple[str, str], Role] = {(route.method, route.path): route.role for route in ROUTES}
