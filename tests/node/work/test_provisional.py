"""A document that nothing speaks for yet runs provisionally: through the night, restarts and power cuts, until day."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.clock import US
from node.crashpoint import VARIABLE
from node.domain.nodefile import Probation
from node.domain.quality import Verdict
from node.store.log import Actor
from tests.clocks import JumpClock
from tests.simulate.ledger import events
from tests.simulate.rig import CAMERA, Plan, Rig, rigged

ROOT = Path(__file__).parents[3]
MINUTE, HOUR = 60 * US, 3600 * US
NOON = 1_795_089_600 * US + 3600 * US  # 2026-11-19T13:00Z: broad day in Berlin
NIGHT = NOON + 8 * HOUR
DAWN = NOON + 17 * HOUR  # before sunrise, which is at 06:35Z
DAY = NOON + 19 * HOUR
SITE = {"latitude": 52.5, "longitude": 13.4, "timezone": "Europe/Berlin"}
EVERY_MINUTE = {"site": SITE, "schedules": {"all": {"interval_s": 60}}}
NAMED = {**EVERY_MINUTE, "site": {**SITE, "name": "North"}}
BY_DAY = {"kind": "clock", "start": "08:00", "end": "16:00"}  # site time
ONLY_BY_DAY = {"site": SITE, "schedules": {"all": {"interval_s": 60, "window": BY_DAY}}}
DIM = {**EVERY_MINUTE, "schedules": {"all": {"interval_s": 60, "profiles": ["auto"]}},
       "profiles": {"auto": {"mode": "manual", "exposure_s": 1e-6, "gain": 1}}}  # fmt: skip
ME = Actor("me", "admin")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path, JumpClock(NOON), EVERY_MINUTE, probation=Probation(good_frames=3, min_s=180))


@pytest.fixture
def warm(plan: Plan) -> Iterator[Rig]:
    with rigged(plan) as rig:
        rig.run(NOON + 12 * MINUTE)
        yield rig


def run_to(rig: Rig, until_us: int) -> None:
    rig.run(until_us, rig.reload.tick)


def put(rig: Rig, document: dict[str, Any]) -> int:
    return rig.reload.put(document, rig.reload.facts().version, ME).running.version.version


def word(rig: Rig) -> str:
    return rig.reload._running.activation.word


def told(rig: Rig, kind: str) -> list[dict[str, Any]]:
    return list(events(rig.folder, kind))


def reasons(rig: Rig) -> list[str]:
    return [event["reason"] for event in told(rig, "config_rolled_back")]


def test_by_night_a_document_is_provisional_and_confirmed_by_the_first_pictures_of_the_day(warm: Rig) -> None:
    run_to(warm, NIGHT)
    put(warm, NAMED)
    run_to(warm, NIGHT + 10 * MINUTE)
    assert (word(warm), warm.reload.facts().provisional, told(warm, "config_confirmed")) == ("provisional", True, [])
    assert [event["unproved"] for event in told(warm, "config_provisional")] == [["main/auto"]]
    run_to(warm, DAWN)
    assert word(warm) == "provisional"
    run_to(warm, DAY)
    assert (word(warm), len(told(warm, "config_confirmed")), reasons(warm)) == ("confirmed", 1, [])


def test_a_document_that_a_night_hid_is_rolled_back_by_day(warm: Rig) -> None:
    run_to(warm, NIGHT)
    before = warm.reload.facts().version
    put(warm, DIM)
    warm.reload._trial.light = {}  # type: ignore[union-attr]  # nobody has seen the evening before
    run_to(warm, DAWN)
    assert word(warm) == "provisional"
    run_to(warm, DAY)
    assert (reasons(warm), warm.reload.facts().version) == (["bad_frames"], before)


def test_without_a_history_it_is_provisional_until_there_is_one(plan: Plan) -> None:
    with rigged(plan) as rig:
        rig.run(NOON + 2 * MINUTE)
        put(rig, NAMED)
        run_to(rig, NOON + 7 * MINUTE)
        assert word(rig) == "provisional"
        run_to(rig, NOON + 20 * MINUTE)
        assert (word(rig), reasons(rig)) == ("confirmed", [])


def test_where_no_slot_is_due_proof_shots_make_it_provisional_and_the_first_window_tells(plan: Plan) -> None:
    with rigged(replace(plan, document=ONLY_BY_DAY)) as rig:
        run_to(rig, NOON + 4 * HOUR)  # 17:00Z, after the window
        put(rig, {**ONLY_BY_DAY, "site": {**SITE, "name": "North"}})
        run_to(rig, NOON + 4 * HOUR + 10 * MINUTE)
        assert word(rig) == "provisional"
        run_to(rig, DAWN)
        assert word(rig) == "provisional"
        run_to(rig, DAY)
        assert (word(rig), reasons(rig)) == ("confirmed", [])


def test_what_shows_nothing_in_its_first_window_is_taken_back(warm: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    run_to(warm, NIGHT)
    before = warm.reload.facts().version
    put(warm, NAMED)
    run_to(warm, NIGHT + 10 * MINUTE)
    monkeypatch.setattr(warm.judge, "_judge", _broken)
    run_to(warm, DAWN)
    assert word(warm) == "provisional"  # a night without a verdict proves nothing either
    run_to(warm, DAY)
    assert (reasons(warm), warm.reload.facts().version) == (["no_confirmation"], before)


def _broken(*_args: Any) -> None:
    raise ZeroDivisionError


def test_a_camera_that_fails_by_night_takes_it_back_at_once(plan: Plan) -> None:
    with rigged(plan) as rig:
        run_to(rig, NIGHT)
        put(rig, NAMED)
        run_to(rig, NIGHT + 10 * MINUTE)
    gone = {"faults": [{"kind": "absent", "shots": 100_000}]}
    with rigged(replace(plan, camera=gone)) as rig:
        run_to(rig, NIGHT + 20 * MINUTE)
        assert reasons(rig) == ["bad_frames"]


KILLED = -9
A_NIGHT = """
import sys
from pathlib import Path
from node.domain.nodefile import Probation
from tests.clocks import JumpClock
from tests.node.work.test_provisional import EVERY_MINUTE, MINUTE, NAMED, NIGHT, put, run_to
from tests.simulate.rig import Plan, rigged
with rigged(Plan(Path(sys.argv[1]), JumpClock(NIGHT), EVERY_MINUTE, probation=Probation())) as rig:
    rig.run(NIGHT + 2 * MINUTE)
    put(rig, NAMED)
    run_to(rig, NIGHT + 12 * MINUTE)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("point", "left"), [("before_provisional", "probation"), ("provisional", "provisional")])
def test_a_power_cut_leaves_one_or_the_other_and_it_goes_on_from_there(tmp_path: Path, point: str, left: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    environment = {**os.environ, VARIABLE: point, "PYTHONPATH": str(ROOT)}
    script = A_NIGHT.replace("tests.node.work.test_provisional", "night")
    (tmp_path / "night.py").write_text(Path(__file__).read_text())
    environment["PYTHONPATH"] += f":{tmp_path}"
    done = subprocess.run([sys.executable, "-c", script, str(folder)], env=environment, check=False)
    assert done.returncode == KILLED
    with rigged(Plan(folder, JumpClock(NIGHT + 6 * MINUTE), EVERY_MINUTE, probation=Probation())) as rig:
        assert word(rig) == left
        run_to(rig, NIGHT + 9 * MINUTE)
        assert (word(rig), reasons(rig)) == ("provisional", [])


def test_a_camera_that_is_held_in_its_window_is_judged_when_it_is_let_go(warm: Rig) -> None:
    run_to(warm, NIGHT)
    put(warm, NAMED)
    run_to(warm, NIGHT + 10 * MINUTE)
    warm.holds.hold(CAMERA, "the lens is cleaned", 4 * 3600 + 10 * 3600, ME)
    run_to(warm, DAY)
    assert word(warm) == "provisional"
    run_to(warm, NIGHT + 15 * HOUR)
    assert (word(warm), reasons(warm)) == ("confirmed", [])


def test_it_survives_the_end_of_the_process_and_what_it_owes_does(plan: Plan) -> None:
    with rigged(plan) as rig:
        rig.run(NOON + 12 * MINUTE)
        run_to(rig, NIGHT)
        put(rig, NAMED)
        run_to(rig, NIGHT + 10 * MINUTE)
    with rigged(plan) as rig:
        assert (word(rig), rig.reload.facts().good_needed, rig.reload.facts().good_seen) == ("provisional", 3, 0)
        run_to(rig, DAY)
        assert word(rig) == "confirmed"


def test_another_document_takes_its_place_at_once_and_its_rollback_leads_to_what_was_proved(warm: Rig) -> None:
    run_to(warm, NIGHT)
    before = warm.reload.facts().version
    put(warm, NAMED)
    run_to(warm, NIGHT + 10 * MINUTE)
    put(warm, {**NAMED, "site": {**SITE, "name": "South"}})
    assert word(warm) == "probation"
    warm.reload.roll_back(None, ME)
    assert (warm.reload.facts().version, reasons(warm)) == (before, ["operator"])


def test_an_operator_takes_it_back(warm: Rig) -> None:
    run_to(warm, NIGHT)
    before = warm.reload.facts().version
    put(warm, NAMED)
    run_to(warm, NIGHT + 10 * MINUTE)
    warm.reload.roll_back(None, ME)
    assert (warm.reload.facts().version, word(warm), reasons(warm)) == (before, "active", ["operator"])


def test_slots_that_come_by_night_alone_are_proved_by_night(tmp_path: Path) -> None:
    stars = {"site": SITE, "schedules": {"stars": {"interval_s": 60, "window": {
        "kind": "clock", "start": "21:00", "end": "23:00"}}}}  # fmt: skip
    with rigged(Plan(tmp_path, JumpClock(NIGHT - 30 * MINUTE), stars)) as rig:
        run_to(rig, NIGHT)
        put(rig, {**stars, "site": {**SITE, "name": "North"}})
        run_to(rig, NIGHT + 10 * MINUTE)
        newest = rig.frames.latest(CAMERA)
        assert newest is not None
        assert newest.verdict == Verdict.GOOD
        assert word(rig) == "confirmed"


def test_the_third_start_since_takes_it_back(plan: Plan) -> None:
    with rigged(plan) as rig:
        run_to(rig, NIGHT)
        before = rig.reload.facts().version
        put(rig, NAMED)
        run_to(rig, NIGHT + 10 * MINUTE)
    for _ in range(3):
        with rigged(plan) as rig:
            last = (rig.reload.facts().version, reasons(rig))
    assert last == (before, ["crash_loop"])
