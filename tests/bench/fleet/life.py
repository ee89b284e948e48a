"""What simulated nodes say of themselves, and how that changes: pictures come, jobs die, nodes fall silent."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.wire.stream import StreamEvent
from tests.bench.fleet.book import Book

CONTRACT = Path(__file__).parents[2] / "contract"
FULL: dict[str, Any] = json.loads((CONTRACT / "status.json").read_text())
SITES = ("harbour", "dam-3", "tower", "northmill")
AT = "2027-01-15T08:00:00.000Z"
EVENTS_KEPT = 100
REST_S = 18_000.0
STATES = {"ok": 0.95, "warn": 0.03, "crit": 0.02}
QUIET_ALERTS = 2


@dataclass(slots=True)
class SimNode:
    """What of a node changes; all else is as in the contract's example, so that a status has its full size."""

    name: str
    number: int
    state: str = "ok"
    captured: int = 100
    gaps: int = 0
    quality: int = 90
    dead: int = 0
    last_id: int = 0
    silent: bool = False
    rests: bool = False
    """It is night: nothing is due."""
    book: Book = field(default_factory=Book)
    events: deque[StreamEvent] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))

    def status(self) -> dict[str, Any]:
        cameras = [self._camera(camera) for camera in FULL["cameras"]]
        well = self.state == "ok"
        return FULL | {
            "node": self.name,
            "site": SITES[self.number % len(SITES)],
            "state": self.state,
            "reasons": [] if well else ["Camera north has given no good frame, though one was due."],
            "ready": well,
            "config": FULL["config"] | self.book.config(),
            "cameras": cameras,
            "alerts": FULL["alerts"],
            "queue": FULL["queue"] | {"dead": self.dead},
            "last_event_id": self.last_id,
        }

    def body(self) -> bytes:
        return json.dumps(self.status(), separators=(",", ":")).encode()

    def _camera(self, camera: dict[str, Any]) -> dict[str, Any]:
        return camera | {
            "state": "offline" if self.state == "crit" else "idle" if self.rests else "ok",
            "last_good_age_s": REST_S if self.rests else camera["last_good_age_s"],
            "due": self.captured + self.gaps,
            "captured": self.captured,
            "gaps": self.gaps,
            "quality": self.quality,
        }

    def tell(self, kind: str, **body: Any) -> StreamEvent:
        self.last_id += 1
        event = StreamEvent(id=self.last_id, at=AT, kind=kind, body=body)
        self.events.append(event)
        return event


@dataclass(frozen=True, slots=True)
class Pace:
    """Shares of the fleet that change, and that go wrong, in a second; how long they stay so on average."""

    churn: float = 0.3
    faults: float = 0.002
    heals: float = 0.05


def live(nodes: list[SimNode], pace: Pace, dice: random.Random) -> Iterator[tuple[SimNode, StreamEvent]]:
    """One second of a fleet's life: every event with the node that tells it."""
    for node in dice.sample(nodes, round(pace.churn * len(nodes))):
        node.captured += 1
        node.quality = max(0, min(100, node.quality + dice.randint(-3, 3)))
        yield node, node.tell("frame", camera="north", verdict="good", score=node.quality)
    for node in nodes:
        if node.silent or node.state != "ok" or node.dead:
            if dice.random() < pace.heals:
                node.silent, node.state, node.dead = False, "ok", 0
                yield node, node.tell("alert_cleared", alert="ALT-001", subject="camera north")
        elif dice.random() < pace.faults:
            yield node, _break(node, dice)


def _break(node: SimNode, dice: random.Random) -> StreamEvent:
    fault = dice.choice(("silent", "warn", "crit", "dead", "gap"))
    if fault == "silent":
        node.silent = True
    elif fault == "dead":
        node.dead, node.state = dice.randint(1, 9), "warn"
        return node.tell("job_dead", job_kind="transfer", key="x", attempt=8, error_code="ARC-001", error="full")
    elif fault == "gap":
        node.gaps += 1
        return node.tell("gap", camera="north", reason="timeout", error_code="CAM-003")
    else:
        node.state = fault
    return node.tell("alert_raised", severity="crit", sentence="Camera north has given no good frame.")
