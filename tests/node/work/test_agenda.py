from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from node.clock import US
from node.crashpoint import VARIABLE
from tests.clocks import START_US, JumpClock
from tests.simulate.direct import DirectLink
from tests.simulate.rig import Plan, rigged
from tests.stores import Store, opened

UNTIL_NOW = {"interval_s": 120, "window": {"kind": "clock", "start": "00:00", "end": "11:15"}}
DOCUMENT = {"schedules": {"day": UNTIL_NOW}}
SHOOT = "main/day/2026-11-18/auto"
LIVES = """
import json
import sys
from pathlib import Path
from tests.clocks import JumpClock
from tests.simulate.direct import DirectLink
from tests.simulate.rig import Plan, rigged

folder, start_us, document = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
clock = JumpClock(start_us)
plan = Plan(folder, clock, document, camera={"width": 96, "height": 72}, link=lambda: DirectLink(clock))
with rigged(plan) as rig:
    rig.run(start_us + 900 * 1_000_000)
"""


def renders(store: Store) -> Counter[str]:
    return Counter(str(key) for (key,) in store.rows("SELECT key FROM jobs WHERE kind = 'render'"))


def plan_of(folder: Path, document: dict[str, object]) -> Plan:
    clock = JumpClock()
    return Plan(folder, clock, document, camera={"width": 96, "height": 72}, link=lambda: DirectLink(clock))


def test_the_end_of_a_window_asks_for_one_video(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, DOCUMENT)
    with rigged(plan) as rig:
        rig.run(START_US + 3600 * US)
        assert rig.ledger.shoot(SHOOT).state == "captured"
    with opened(tmp_path) as store:
        assert renders(store) == {SHOOT: 1}
        asked = "SELECT payload, who, priority FROM jobs"
        payload = f'{{"camera":"main","profile":"auto","shoot":"{SHOOT}"}}'
        assert store.rows(asked) == [(payload, "window", 10)]
        assert store.rows("SELECT asked FROM shoots") == [(1,)]


def test_where_videos_are_off_none_is_asked_for_nor_missed(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {**DOCUMENT, "render": {"enabled": False}})
    with rigged(plan) as rig:
        rig.run(START_US + 3600 * US)
        assert rig.ledger.shoot(SHOOT).state == "captured"
    with opened(tmp_path) as store:
        assert renders(store) == {}
        assert store.ledger.late_shoots(START_US + 10**15, 1) == []


@pytest.mark.slow
@pytest.mark.parametrize("point", ["before_commit", "after_commit"])
def test_a_node_killed_at_the_windows_end_asks_for_one_video_all_the_same(tmp_path: Path, point: str) -> None:
    """Killed at each transaction in turn; whatever the last life left, the next ends the shoot once."""
    closed = set()
    for passage in range(3, 14):
        folder = tmp_path / str(passage)
        folder.mkdir()
        killed = live(folder, START_US, f"{point}:{passage}")
        with opened(folder) as store:
            closed.add(sum(renders(store).values()))
        assert live(folder, START_US + 1000 * US, "") == 0
        with opened(folder) as store:
            assert renders(store) == {SHOOT: 1}, passage
            closings = store.rows("SELECT COUNT(*) FROM events WHERE kind = 'shoot_closed'")
            assert (closings, store.ledger.shoot(SHOOT).state) == ([(1,)], "captured")
        if not killed:
            break
    assert closed == {0, 1}  # lives ended on both sides of the closing


def live(folder: Path, start_us: int, planned: str) -> int:
    command = [sys.executable, "-c", LIVES, str(folder), str(start_us), json.dumps(DOCUMENT)]
    done = subprocess.run(command, env={VARIABLE: planned}, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode
