"""The whole API: parts in, ASGI application out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from anyio.to_thread import current_default_thread_limiter
from fastapi import Depends, FastAPI

from node import __version__
from node.api import (
    audit,
    backups,
    cameras,
    care,
    config,
    disk,
    events,
    frames,
    jobs,
    lease,
    probes,
    quality,
    queue,
    scrape,
    slots,
    status,
    targets,
    thumbnails,
    videos,
)
from node.api.access import Access
from node.api.actions import Actions
from node.api.edge import Edge
from node.api.events import Streams
from node.api.guard import guard
from node.api.openapi import install_document
from node.api.parts import ApiParts
from node.api.pictures import SmallPictures
from node.api.problems import install
from node.api.status import SharedStatus

THREADS = 8
RESOURCES = (
    probes, scrape, status, events, cameras, slots, frames, videos, queue, jobs, targets, disk, backups, thumbnails,
    care, quality, config, lease, audit,
)  # fmt: skip


def routes() -> FastAPI:
    """Every route behind the guard, without parts: enough for the OpenAPI document and for walking the table."""
    app = FastAPI(
        title="Heliograph node",
        version=__version__,
        dependencies=[Depends(guard)],
        lifespan=_lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for resource in RESOURCES:
        app.include_router(resource.router)
    install_document(app)
    install(app)
    return app


def build(parts: ApiParts, access: Access) -> Edge:
    """The application as the server runs it."""
    app = routes()
    app.state.parts = parts
    app.state.access = access
    app.state.streams = Streams(parts)
    app.state.pictures = SmallPictures(parts.clock.monotonic, partial(parts.metrics.count, "small_pictures"))
    app.state.status = SharedStatus(parts.board, parts.clock, parts.document)
    return Edge(app, parts)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Few threads: more would only take time from the capture loop."""
    current_default_thread_limiter().total_tokens = THREADS
    app.state.actions = Actions(app.state.parts)
    yield
    await app.state.access.close()
