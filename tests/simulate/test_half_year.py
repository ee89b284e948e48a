"""180 simulated days with faults, restarts and changes: every due slot is a frame on disk or a gap with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import pytest

from node.clock import US
from node.domain.nodefile import Probation
from node.store.log import Actor
from tests.clocks import JumpClock
from tests.simulate.direct import DirectLink
from tests.simulate.ledger import Rule, complaints, events, reasons, scan
from tests.simulate.rig import CAMERA, Plan, Rig, rigged

HOUR, DAY = 3600 * US, 86400 * US
START = 1_790_000_000 * US  # 2026-09-21, so that the clocks change once on the way
DAYS, EVERY_S = 180, 600
BERLIN = ZoneInfo("Europe/Berlin")
SITE = {"latitude": 52.5, "longitude": 13.4, "timezone": "Europe/Berlin"}
ALWAYS = {"site": SITE, "schedules": {"all": {"interval_s": EVERY_S}}}
BY_CLOCK = {"site": SITE, "schedules": {"day": {"interval_s": EVERY_S, "window": {
    "kind": "clock", "start": "06:00", "end": "22:30"}}}}  # fmt: skip
KINDS = ("stall", "crash", "absent", "fault", "busy", "truncated", "half_grey", "slow", "black")
FAULTS = [
    {"kind": kind, "after_shots": 40 + 230 * n, "shots": 1 + n % 3, "every": 2500} for n, kind in enumerate(KINDS)
]
ME = Actor("me", "admin")


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory: what is counted are slots, not the disk's patience with a hundred thousand fsyncs."""
    with TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


def by_day(at_us: int) -> bool:
    moment = datetime.fromtimestamp(at_us // US, BERLIN)
    return 6 * 60 <= moment.hour * 60 + moment.minute < 22 * 60 + 30


def plan_of(folder: Path, clock: JumpClock) -> Plan:
    return Plan(
        folder,
        clock,
        ALWAYS,
        camera={"width": 96, "height": 72, "faults": FAULTS},
        link=lambda: DirectLink(clock, same_picture_for=2),
        probation=Probation(good_frames=2, min_s=60),
        ping_every_s=None,
    )


def live(plan: Plan, days: float, document: dict[str, object] | None = None) -> Rig:
    """One life of the process; the rig, closed."""
    with rigged(plan) as rig:
        end = plan.clock.now_us() + round(days * DAY)
        if document is not None:
            rig.run(plan.clock.now_us() + 16 * HOUR)  # by day: the new document has slots at once
            rig.reload.put(document, rig.reload.facts().version, ME)
        rig.run(end, rig.reload.tick)
    return rig


def test_half_a_year_of_faults_restarts_and_changes_leaves_an_exact_ledger(folder: Path) -> None:
    clock = JumpClock(START)
    plan = plan_of(folder, clock)
    live(plan, 50)
    clock.advance(7 * 3600)
    changed = live(plan, 60, BY_CLOCK).reload.live.current.from_us
    clock.advance(2 * 86400)
    rig = live(plan, DAYS - 50 - 60 - 2)
    until = rig.loop.settled_us
    due = scan([Rule(START, EVERY_S), Rule(changed, EVERY_S, by_day)], START, until)

    assert len(due) > 19_000
    assert complaints(folder, due) == []
    gaps = reasons(folder)
    assert set(gaps) >= {"timeout", "camera_fault", "damaged", "process_down"}
    assert sum(gaps.values()) < len(due) / 20
    assert not events(folder, "loop_failed")
    down_s = [float(str(event["down_s"])) for event in events(folder, "camera_recovered")]
    assert len(down_s) >= 20
    assert max(down_s) <= 60


def test_the_count_would_notice_a_dropped_slot(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = JumpClock(START)
    plan = replace(plan_of(folder, clock), camera={"width": 96, "height": 72})
    with rigged(plan) as rig:
        rig.run(START + DAY)
        with monkeypatch.context() as patch:
            patch.setattr(rig.loop, "_meet", lambda *_: None)
            rig.loop.turn()
        rig.run(START + 2 * DAY)
    due = scan([Rule(START, EVERY_S)], START, rig.loop.settled_us)
    assert [said.rpartition(" has ")[2] for said in complaints(folder, due)] == ["neither frame nor gap"]


def test_a_picture_that_changed_on_disk_would_be_noticed(folder: Path) -> None:
    clock = JumpClock(START)
    plan = replace(plan_of(folder, clock), camera={"width": 96, "height": 72})
    with rigged(plan) as rig:
        rig.run(START + DAY)
        frame = rig.frames.latest(CAMERA)
    assert frame is not None
    path = folder / frame.path
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    due = scan([Rule(START, EVERY_S)], START, rig.loop.settled_us)
    assert complaints(folder, due) == [f"frame {frame.id} is not as its row says"]
