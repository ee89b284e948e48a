"""What the API is built from: one frozen set of parts, made by the service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from node.api.commands import Commands
from node.board import Board
from node.clock import Clock
from node.domain.config import Document
from node.domain.nodefile import NodeFile, Token
from node.hub import Hub
from node.journal import Journal
from node.metrics import Metrics
from node.store.database import Database
from node.store.log import EventRow


@dataclass(frozen=True, slots=True)
class ApiParts:
    """`document` gives the live document in force; `data` is the data directory.

    `own_token` is for commands on this machine.
    """

    settings: NodeFile
    data: Path
    clock: Clock
    board: Board
    hub: Hub[EventRow]
    metrics: Metrics
    database: Database
    journal: Journal
    document: Callable[[], Document]
    commands: Commands
    own_token: Token | None = None


async def _parts(request: Request) -> ApiParts:
    parts: ApiParts = request.app.state.parts
    return parts


Parts = Annotated[ApiParts, Depends(_parts)]
