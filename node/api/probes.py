"""GET /health/live, /health/ready, /health/deep: whether it answers, whether it can work, and how each part is."""

from __future__ import annotations

from fastapi import APIRouter

from node.api.parts import Parts
from node.api.problems import ERRORS
from node.api.status import facts_of
from node.domain.errors import FieldFault, NotReady
from node.domain.health import fold, not_ready, probes
from node.wire.records import DeepHealth, Live, ProbeRecord, Ready

router = APIRouter()


@router.get("/health/live", responses=ERRORS)
async def live() -> Live:
    """The process answers.  Open to everybody."""
    return Live()


@router.get("/health/ready", responses=ERRORS)
async def ready(parts: Parts) -> Ready:
    """Camera, database, disk, loops and config are usable; 503 naming the reasons where they are not."""
    reasons = not_ready(facts_of(parts), parts.document().alerts, parts.clock.now_us())
    if reasons:
        raise NotReady(" ".join(reasons), fields=[FieldFault("ready", reason) for reason in reasons])
    return Ready(ready=True)


@router.get("/health/deep", responses=ERRORS)
async def deep(parts: Parts) -> DeepHealth:
    """Every probe with its age and cost."""
    facts, limits, now_us = facts_of(parts), parts.document().alerts, parts.clock.now_us()
    health = fold(facts, now_us)
    found = probes(facts, limits, now_us)
    return DeepHealth(
        state=health.state,
        ready=not not_ready(facts, limits, now_us),
        reasons=health.reasons,
        probes=tuple(
            ProbeRecord(name=p.name, state=p.state, sentence=p.sentence, age_s=p.age_s, took_ms=p.took_ms)
            for p in found
        ),
    )
