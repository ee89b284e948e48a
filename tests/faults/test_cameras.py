"""Every scripted fault of a camera on a real node: seen in time, capturing again in time, no slot unexplained."""

from __future__ import annotations

import json
import sqlite3
import statistics
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from node.clock import US, SystemClock
from node.domain.nodefile import SyntheticFault
from tests.nodes import EACH_SECOND, SMALL, Home, started, wait_for
from tests.simulate.ledger import all_complaints

INTERVAL_S, GOOD_FIRST = 1, 14  # the judge knows a camera after ten
SEEN_S, AGAIN_S = INTERVAL_S + 10.0, 60.0
PATIENCE_S = 90.0
# kind: so many spoilt shots, and the mark that the events bear then (an error's code, a reason, an integrity)
FAULTS = {
    "busy": (2, "CAM-001"),
    "absent": (3, "CAM-002"),
    "stall": (1, "CAM-005"),
    "crash": (1, "CAM-007"),
    "fault": (1, "CAM-004"),
    "slow": (2, "busy"),
    "truncated": (2, "truncated"),
    "stale": (4, "stuck"),
    "black": (2, "black"),
    "magenta": (2, "cast"),
    "half_grey": (2, "filled"),
}


@dataclass(frozen=True)
class Seen:
    """Seconds from the due instant of the first spoilt shot."""

    fault: str
    seen_s: float
    again_s: float


def noon_longitude() -> float:
    """Where it is about noon now: a black picture is a fault by day only."""
    return (43_200 - SystemClock().now_us() / US % 86_400) / 240


def home_of(folder: Path) -> Home:
    place = {"latitude": 20.0, "longitude": noon_longitude()}
    cameras = {
        kind.replace("_", "-"): {
            **SMALL, **place, "seed": number, "weather": "clear",
            "faults": [{"kind": kind, "after_shots": GOOD_FIRST, "shots": shots}],
        }
        for number, (kind, (shots, _)) in enumerate(FAULTS.items())
    }  # fmt: skip
    document = EACH_SECOND | {
        "site": {**place, "timezone": "UTC"},
        "schedules": {"each": {"interval_s": INTERVAL_S}},
        "cameras": {name: {"recapture": False} for name in cameras},
    }
    return Home(folder, cameras, document)


def happenings(data: Path, camera: str) -> list[tuple[float, str, dict[str, Any]]]:
    """When (UTC seconds), kind and body of a camera's events, in order."""
    with closing(sqlite3.connect(f"file:{data}/heliograph.db?mode=ro", uri=True)) as database:
        rows = database.execute(
            "SELECT at_us, kind, body FROM events WHERE camera = ? ORDER BY id", (camera,)
        ).fetchall()
    return [(at_us / US, kind, json.loads(body)) for at_us, kind, body in rows]


def marks(body: dict[str, Any]) -> set[str]:
    return {body.get("error_code"), body.get("integrity"), body.get("reason"), *body.get("reasons", ())}


def account(data: Path, kind: str) -> Seen | None:
    """None until the camera has captured well again."""
    told = happenings(data, kind.replace("_", "-"))
    frames = [body for _, what, body in told if what == "frame"]
    if len(frames) <= GOOD_FIRST:
        return None
    began_s = frames[GOOD_FIRST - 1]["due_us"] / US + INTERVAL_S
    signs = [at_s for at_s, _, body in told if at_s > began_s and FAULTS[kind][1] in marks(body)]
    good = [at_s for at_s, what, body in told if what == "frame" and body["verdict"] == "good"]
    again = [at_s for at_s in good if signs and at_s > signs[-1]]
    return Seen(kind, signs[0] - began_s, again[0] - began_s) if again else None


def test_the_table_has_every_kind_of_fault() -> None:
    assert set(FAULTS) == set(get_args(SyntheticFault.model_fields["kind"].annotation))


@pytest.mark.slow
def test_each_fault_is_seen_and_overcome_in_time_and_no_slot_is_unexplained(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    with started(home) as node:
        wait_for(lambda: all(account(home.data, kind) for kind in FAULTS), f"all overcome: {tmp_path}", PATIENCE_S)
        assert node.stop()[0] == 0
    found = [seen for kind in FAULTS if (seen := account(home.data, kind))]
    print(table(found))
    assert [seen for seen in found if seen.seen_s > SEEN_S] == []
    assert [seen for seen in found if seen.again_s > AGAIN_S] == []
    assert all_complaints(home.data, tuple(home.cameras)) == []


def table(found: list[Seen]) -> str:
    lines = [f"{each.fault:10}seen {each.seen_s:6.2f} s   again {each.again_s:6.2f} s" for each in found]
    again = [each.again_s for each in found]
    return "\n".join([*lines, f"again: p50 {statistics.median(again):.2f} s, max {max(again):.2f} s"])
