"""Filters that read a node's status: when it has to capture again, and whether it has since it started."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

NOTHING_DUE_S = 86_400.0
RESTING = frozenset({"idle", "disabled"})

Status = Mapping[str, Any]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {"node_status": node_status, "pause_s": pause_s, "not_seeing": not_seeing}


def node_status(printed: str) -> Status:
    """What `heliograph-node status --json` printed; empty where it is no status: the service does not run."""
    try:
        said = json.loads(printed)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) and "cameras" in said else {}


def pause_s(status: Status) -> float:
    """Seconds until a slot of this node is due; a day where none is, or none is known."""
    if not status:
        return NOTHING_DUE_S
    now = _instant(status["clock"]["now"])
    due = (_instant(camera["next_slot"]) for camera in _expected(status) if camera.get("next_slot"))
    return min(((slot - now).total_seconds() for slot in due), default=NOTHING_DUE_S)


def not_seeing(status: Status, soon_s: float) -> list[str]:
    """Cameras that should have made a frame since the service started, or will have to soon, and have made none."""
    if not status:
        return ["(the service does not answer)"]
    now = _instant(status["clock"]["now"])
    return sorted(
        camera["name"] for camera in _expected(status) if not _seen(camera, status) and _soon(camera, now, soon_s)
    )


def _expected(status: Status) -> Iterator[Mapping[str, Any]]:
    """The cameras that are on and that nobody holds."""
    return (one for one in status["cameras"] if one["state"] != "disabled" and not one.get("held"))


def _seen(camera: Mapping[str, Any], status: Status) -> bool:
    age_s = camera.get("last_good_age_s")
    return age_s is not None and age_s < status["uptime_s"]


def _soon(camera: Mapping[str, Any], now: datetime, soon_s: float) -> bool:
    """Whether it matters yet; one that is not well has to get well first."""
    if camera["state"] not in RESTING:
        return True
    slot = camera.get("next_slot")
    return slot is not None and (_instant(slot) - now).total_seconds() < soon_s


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
