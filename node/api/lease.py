"""/v1/lease: who may change this node's configuration and release now; take it, renew it, let go of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field, StringConstraints
from starlette.responses import Response

from node.api.actions import ActionBody, Asked
from node.api.parts import Parts
from node.api.problems import ERRORS
from node.api.views import lease_record
from node.domain.config import LINE
from node.domain.errors import NotAllowed
from node.domain.lease import LONGEST_S, MESSAGE_CHARS, OWNER, SHORTEST_S, USUAL_S
from node.wire.records import LeaseRecord

Owner = Annotated[str, StringConstraints(max_length=100, pattern=OWNER)]
Message = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MESSAGE_CHARS, pattern=LINE)]
ADMIN = "admin"

router = APIRouter(prefix="/v1/lease")


class LeaseBody(ActionBody):
    """Take the lease, or renew one's own."""

    owner: Owner = Field(description="Who holds it: one run of one program, such as push-20261120T180000Z-1f2e@ops1.")
    message: Message = Field(description="Who and what for, in a sentence.")
    ttl_s: int = Field(USUAL_S, ge=SHORTEST_S, le=LONGEST_S, description="Seconds until it ends by itself.")


class ReleaseBody(ActionBody):
    """Let go of it."""

    owner: Owner = Field(description="Whose it is.")
    force: bool = Field(default=False, description="Another's, too (admin).")


@router.get("", responses=ERRORS)
def read(parts: Parts) -> LeaseRecord:
    """Who holds it, what for and until when; every field null where nobody does."""
    return lease_record(parts.commands.lease())


@router.put("", response_model=LeaseRecord, responses=ERRORS)
async def take(asked: Asked, parts: Parts) -> Response:
    """Take it, or renew one's own; 409 (CFG-011) with owner, message and end where another holds it."""
    wanted = asked.parse(LeaseBody)
    return await asked.run(
        lambda: lease_record(parts.commands.take_lease(wanted.owner, wanted.message, wanted.ttl_s, asked.caller))
    )


@router.delete("", response_model=LeaseRecord, responses=ERRORS)
async def release(asked: Asked, parts: Parts) -> Response:
    """Let go of one's own, or by force of anybody's; nothing changes where nobody holds it."""
    wanted = asked.parse(ReleaseBody)
    if wanted.force and asked.caller.role != ADMIN:
        raise NotAllowed(f"{asked.caller.name} is {asked.caller.role}; force needs {ADMIN}")

    def act() -> LeaseRecord:
        parts.commands.release_lease(wanted.owner, wanted.force, asked.caller)
        return lease_record(parts.commands.lease())

    return await asked.run(act)
