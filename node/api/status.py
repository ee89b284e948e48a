"""GET /v1/status: the whole node in one object, from the board; a burst of requests costs one evaluation."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from node import __version__
from node.api.etag import answer, weak
from node.api.parts import ApiParts
from node.api.problems import ERRORS
from node.board import Board
from node.clock import US, Clock
from node.domain.config import AlertLimits, Document
from node.domain.facts import (
    Alert,
    CameraFacts,
    ConfigFacts,
    DiskFacts,
    HostFacts,
    IdentityFacts,
    LeaseFacts,
    NodeFacts,
    QueueFacts,
    ReleaseFacts,
    TargetFacts,
    gather,
)
from node.domain.health import camera_state, fold, not_ready
from node.domain.room import disk_level
from node.domain.times import to_text
from node.wire import status as wire

FRESH_S = 0.25
ALERTS, REASONS, SENTENCE_CHARS, SHORT_CHARS, REASON_CHARS = 8, 3, 120, 28, 100
HOLD = {"held", "held_until"}
OFTEN_ABSENT = ("certificate_not_after", "lease", "release")
HOURS = 24
LIMIT_BYTES, FULL_CAMERAS = 4096, 4
"""Bytes of a status with so many cameras, and so many targets; each further one adds its share."""
VOLATILE: dict[str, Any] = {
    "uptime_s": True,
    "clock": {"now"},
    "cameras": {"__all__": {"last_good_age_s"}},
    "queue": {"oldest_s"},
    "workers": {"work", "ship"},
    "archive": {"__all__": {"oldest_s"}},
}
"""What moves by itself: it does not make a new ETag, and a 304 says that all else is as it was."""

router = APIRouter()


@router.get("/v1/status", response_model=wire.NodeStatus, responses=ERRORS)
async def status(request: Request) -> Response:
    """The whole node in one object of at most 4 KB (four cameras, eight alerts, four targets)."""
    shared: SharedStatus = request.app.state.status
    made = shared.current()
    return answer(request, made.body, made.etag, "application/json")


@dataclass(frozen=True, slots=True)
class Made:
    body: bytes
    etag: str
    at_s: float


class SharedStatus:
    """Evaluated at most four times a second, however many ask.  From any thread."""

    def __init__(self, board: Board, clock: Clock, document: Callable[[], Document]) -> None:
        self._board, self._clock, self._document = board, clock, document
        self._made: Made | None = None
        self._lock = threading.Lock()

    def current(self) -> Made:
        with self._lock:
            now_s = self._clock.monotonic()
            if self._made is None or not 0 <= now_s - self._made.at_s < FRESH_S:
                self._made = self._make(now_s)
            return self._made

    def _make(self, now_s: float) -> Made:
        facts = gather(self._board.all().values())
        built = fitted(node_status(facts, self._document().alerts, self._clock.now_us()))
        steady = built.model_dump_json(exclude=VOLATILE)
        return Made(_sent(built), weak(hashlib.sha256(steady.encode()).hexdigest()), now_s)


def facts_of(parts: ApiParts) -> NodeFacts:
    """What the board knows now."""
    return gather(parts.board.all().values())


def node_status(facts: NodeFacts, limits: AlertLimits, now_us: int) -> wire.NodeStatus:
    """The facts as they go over the wire.  What is not learnt yet is None, or says that it is not known."""
    health = fold(facts, now_us)
    identity = facts.identity.value if facts.identity else IdentityFacts("", __version__, now_us)
    config = facts.config.value if facts.config else ConfigFacts(0, "")
    return wire.NodeStatus(
        node=identity.node,
        site=config.site,
        timezone=config.timezone,
        version=identity.version,
        state=health.state,
        reasons=tuple(reason[:REASON_CHARS] for reason in health.reasons[:REASONS]),
        ready=not not_ready(facts, limits, now_us),
        started=to_text(identity.started_us),
        uptime_s=_seconds_since(identity.started_us, now_us),
        clock=wire.ClockStatus(now=to_text(now_us), synced=bool(facts.clock and facts.clock.value.synced)),
        config=_config(config),
        cameras=tuple(camera_status(fact.value, now_us) for fact in facts.cameras),
        disk=_disk(facts.disk.value, limits) if facts.disk else None,
        queue=_queue(facts.queue.value, now_us) if facts.queue else None,
        workers=_workers(facts, now_us),
        archive=tuple(_target(fact.value, now_us) for fact in facts.targets),
        host=_host(facts.host.value) if facts.host else wire.HostStatus(),
        alerts=tuple(_alert(alert) for alert in health.alerts[:ALERTS]),
        alerts_total=len(health.alerts),
        last_event_id=facts.database.value.last_event_id if facts.database else 0,
        ledger_settled_to=_settled_to(facts),
        certificate_not_after=to_text(facts.certificate.value.until_us) if facts.certificate else None,
        lease=_lease(facts.lease.value) if facts.lease else None,
        release=_release(facts.release.value) if facts.release else None,
    )


def fitted(status: wire.NodeStatus) -> wire.NodeStatus:
    """The status in its bytes: what says least goes first.

    Repeated reasons, then the ends of the alerts' sentences, then the least grave alerts; `alerts_total` counts them.
    """
    allowed = LIMIT_BYTES * max(FULL_CAMERAS, len(status.cameras), len(status.archive)) // FULL_CAMERAS
    for shorter in _shorter(status):
        if len(_sent(status)) <= allowed:
            break
        status = shorter
    return status


def _shorter(status: wire.NodeStatus) -> Iterator[wire.NodeStatus]:
    """Ever shorter ones, each shorter than the one before."""
    if status.lease is not None:
        status = status.model_copy(update={"lease": status.lease.model_copy(update={"message": ""})})
        yield status
    if status.release is not None:
        status = status.model_copy(update={"release": status.release.model_copy(update={"reason": ""})})
        yield status
    status = status.model_copy(update={"reasons": status.reasons[:1]})
    yield status
    cut = tuple(each.model_copy(update={"sentence": each.sentence[:SHORT_CHARS]}) for each in status.alerts)
    for number in range(len(cut), 0, -1):
        yield status.model_copy(update={"alerts": cut[:number]})


def _sent(status: wire.NodeStatus) -> bytes:
    """As it goes out.

    Of a target, what is as it should be is left out; of a camera, a hold that nobody asked for; where there is no TLS,
    its certificate; where nobody holds the lease, that; and the release where none was changed.
    """
    well = {place: _defaults(target) for place, target in enumerate(status.archive)}
    free = {place: _defaults(camera) & HOLD for place, camera in enumerate(status.cameras)}
    absent = {name: True for name in OFTEN_ABSENT if getattr(status, name) is None}
    return status.model_dump_json(exclude={"archive": well, "cameras": free, **absent}).encode()


def _defaults(part: wire.TargetStatus | wire.CameraStatus) -> set[str]:
    fields = type(part).model_fields
    return {name for name, field in fields.items() if getattr(part, name) == field.default}


def camera_status(camera: CameraFacts, now_us: int) -> wire.CameraStatus:
    return wire.CameraStatus(**camera_fields(camera, now_us))


def camera_fields(camera: CameraFacts, now_us: int) -> dict[str, Any]:
    """A camera's fields as status and the cameras' own resource both show them."""
    last_good_us = camera.last_good_us
    return {
        "name": camera.name,
        "state": camera_state(camera),
        "last_good": text_or_none(last_good_us),
        "last_good_age_s": _age_s(last_good_us, now_us),
        "last_frame_id": camera.last_frame_id,
        "next_slot": text_or_none(camera.next_due_us),
        "interval_s": camera.interval_s,
        "due": camera.due,
        "captured": camera.captured,
        "gaps": camera.gaps,
        "last_gap_reason": camera.last_gap_reason,
        "quality": camera.quality,
        "quality_24h": spark(camera.quality_24h),
        "recovery_rung": camera.recovery_rung,
        "recovery_attempt": camera.recovery_attempt,
        "error_code": camera.error_code or None,
        "held": text_or_none(camera.held_us),
        "held_until": text_or_none(camera.held_until_us),
    }


def spark(hours: tuple[float | None, ...]) -> str:
    """One digit an hour: mean score divided by ten, 9 = 90 and above, `.` = no judged frame."""
    return "".join("." if score is None else str(min(9, int(score // 10))) for score in hours[-HOURS:])


def text_or_none(at_us: int | None) -> str | None:
    return None if at_us is None else to_text(at_us)


def _seconds_since(at_us: int, now_us: int) -> float:
    return round(max(0, now_us - at_us) / US, 1)


def _age_s(at_us: int | None, now_us: int) -> float | None:
    return None if at_us is None else _seconds_since(at_us, now_us)


def _config(config: ConfigFacts) -> wire.ConfigStatus:
    return wire.ConfigStatus(
        version=config.version,
        digest=config.digest,
        state=_config_state(config),
        probation_until=text_or_none(config.probation_until_us),
        unknown_fields=len(config.unknown_fields),
    )


def _config_state(config: ConfigFacts) -> wire.ConfigState:
    if config.provisional:
        return "provisional"
    return "active" if config.probation_until_us is None else "probation"


def _lease(lease: LeaseFacts) -> wire.LeaseStatus | None:
    if not lease.owner:
        return None
    return wire.LeaseStatus(owner=lease.owner, message=lease.message[:REASON_CHARS], until=to_text(lease.until_us))


def _release(release: ReleaseFacts) -> wire.ReleaseStatus | None:
    if release.state is None:
        return None
    return wire.ReleaseStatus(
        state=release.state,
        version=release.version[:SHORT_CHARS],
        previous=release.previous[:SHORT_CHARS],
        since=to_text(release.since_us),
        until=text_or_none(release.until_us),
        reason=release.reason[:REASON_CHARS],
    )


def _disk(disk: DiskFacts, limits: AlertLimits) -> wire.DiskStatus | None:
    level = disk_level(disk, limits)
    if disk.total_bytes is None or disk.free_bytes is None or level is None:
        return None
    return wire.DiskStatus(
        total_bytes=disk.total_bytes,
        free_bytes=disk.free_bytes,
        level=level,
        full_in_days=disk.full_in_days,
        step=disk.step,
        reclaimable_bytes=disk.reclaimable_bytes,
    )


def _queue(queue: QueueFacts, now_us: int) -> wire.QueueStatus:
    return wire.QueueStatus(
        due=queue.due,
        running=queue.running,
        stuck=queue.stuck,
        dead=queue.dead,
        oldest_s=_age_s(queue.oldest_us, now_us),
    )


def _workers(facts: NodeFacts, now_us: int) -> wire.WorkersStatus | None:
    """None while nobody has looked for their pulses."""
    ages = {fact.value.name: _age_s(fact.value.pulse_us, now_us) for fact in facts.workers}
    return wire.WorkersStatus(work=ages.get("work"), ship=ages.get("ship")) if ages else None


def _target(target: TargetFacts, now_us: int) -> wire.TargetStatus:
    return wire.TargetStatus(
        name=target.name,
        breaker=target.breaker,
        unsent=target.unsent,
        unsent_bytes=target.unsent_bytes,
        oldest_s=_age_s(target.oldest_us, now_us),
        error_code=target.error_code or None,
    )


def _host(host: HostFacts) -> wire.HostStatus:
    return wire.HostStatus(
        memory_available_bytes=host.memory_available_bytes,
        node_pss_bytes=host.node_pss_bytes,
        temperature_c=host.temperature_c,
    )


def _alert(alert: Alert) -> wire.Alert:
    return wire.Alert(
        code=alert.code,
        severity=alert.severity,
        subject=alert.subject,
        since=to_text(alert.since_us),
        sentence=alert.sentence[:SENTENCE_CHARS],
    )


def _settled_to(facts: NodeFacts) -> str | None:
    """How far every camera's slots are settled: the least of them; None while one has not said."""
    settled = [fact.value.settled_to_us for fact in facts.cameras if fact.value.enabled]
    known = [at_us for at_us in settled if at_us is not None]
    return to_text(min(known)) if known and len(known) == len(settled) else None
