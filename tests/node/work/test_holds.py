"""A camera that somebody holds: every slot of that time is a gap `held`, nothing is sick, and nothing forgets it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.camera.base import Shot, ShotSpec
from node.clock import US
from node.crashpoint import VARIABLE
from node.domain.config import AlertLimits
from node.domain.errors import DatabaseBusy
from node.domain.facts import HEALTH, CameraFacts, camera_key
from node.domain.frame import GapReason
from node.domain.health import camera_state, stale_after_s
from node.domain.nodefile import Probation
from node.store import holds
from node.store.ledger import SlotFilter
from node.store.log import Actor
from node.work.facts import FactsLoop
from node.work.holds import Holds
from tests.clocks import JumpClock
from tests.node.work.test_facts import loop_of
from tests.simulate.direct import DirectLink
from tests.simulate.ledger import Rule, complaints, events, reasons, scan
from tests.simulate.rig import CAMERA, Plan, Rig, rigged
from tests.stores import opened

MINUTE = 60 * US
ME = Actor("lena", "operator")
EVERY_MINUTE = {"schedules": {"all": {"interval_s": 60}}, "alerts": {"disk_reserve_bytes": 0, "hold_down_s": 0}}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path, JumpClock(), EVERY_MINUTE)


@pytest.fixture
def rig(plan: Plan) -> Iterator[Rig]:
    with rigged(plan) as made:
        yield made


def run(rig: Rig, minutes: float, facts: FactsLoop | None = None) -> None:
    """Turn the loop, with a tick after each turn as the facts loop gives it."""
    each = facts.turn if facts else rig.holds.tick
    rig.run(rig.clock.now_us() + round(minutes * MINUTE), each)


def check(plan: Plan, rig: Rig, start_us: int, every_s: int = 60) -> None:
    due = scan([Rule(start_us, every_s)], start_us, rig.loop.settled_us)
    assert due
    assert complaints(plan.folder, due) == []


def hold(rig: Rig, for_s: int | None = None) -> None:
    rig.holds.hold(CAMERA, "mast is being painted", for_s, ME)


def camera(rig: Rig) -> CameraFacts:
    fact = rig.board.read(camera_key(CAMERA))
    assert fact is not None
    assert isinstance(fact.value, CameraFacts)
    return fact.value


def look(rig: Rig, facts: FactsLoop) -> CameraFacts:
    """What the next look finds."""
    rig.clock.advance(1)
    facts.turn()
    return camera(rig)


def alerts(rig: Rig) -> list[str]:
    fact = rig.board.read(HEALTH)
    return [alert.code for alert in fact.value.alerts] if fact else []


# --- the ledger -----------------------------------------------------------------------------------------------------


def test_slots_of_the_time_are_gaps_held_and_those_before_and_after_are_frames(plan: Plan, rig: Rig) -> None:
    start = plan.clock.now_us()
    run(rig, 5)
    hold(rig)
    run(rig, 10)
    rig.holds.resume(CAMERA, ME)
    run(rig, 5)
    check(plan, rig, start)
    assert reasons(plan.folder) == {"held": 10}
    assert rig.ledger.totals()[0].captured == 10


def test_a_hold_ends_by_itself_at_its_end(plan: Plan, rig: Rig) -> None:
    start = plan.clock.now_us()
    hold(rig, 300)
    run(rig, 20)
    check(plan, rig, start)
    assert reasons(plan.folder) == {"held": 5}
    (ended,) = events(plan.folder, "camera_resumed")
    assert ended == {"camera": CAMERA, "who": "node", "held_s": 300.0}
    assert not rig.holds.resume(CAMERA, ME).changed


def test_the_slot_at_the_very_end_is_taken_and_the_one_at_the_very_start_is_not(plan: Plan, rig: Rig) -> None:
    run(rig, 1)
    first = rig.loop.settled_us // MINUTE * MINUTE + MINUTE
    plan.clock.advance((first - plan.clock.now_us()) / US)
    hold(rig, 120)
    run(rig, 5)
    assert [row.slot.due_us for row in rig.ledger.slots(SlotFilter(reason="held"))] == [first + MINUTE, first]


def test_a_hold_after_the_slot_came_due_still_keeps_its_shot_from_beginning(plan: Plan, rig: Rig) -> None:
    run(rig, 2)
    plan.clock.advance((rig.loop.settled_us // MINUTE * MINUTE + MINUTE - plan.clock.now_us()) / US + 3)
    hold(rig)
    rig.loop.turn()
    assert reasons(plan.folder) == {"held": 1}


def test_a_slot_that_came_due_while_held_stays_so_where_it_is_reached_just_after(plan: Plan, rig: Rig) -> None:
    start = plan.clock.now_us()
    run(rig, 2)
    hold(rig)
    plan.clock.advance((rig.loop.settled_us // MINUTE * MINUTE + MINUTE - plan.clock.now_us()) / US + 3)
    rig.holds.resume(CAMERA, ME)
    run(rig, 3)
    check(plan, rig, start)
    assert reasons(plan.folder) == {"held": 1}


def test_a_shot_under_way_is_finished_and_kept(plan: Plan) -> None:
    start = plan.clock.now_us()
    made: list[Rig] = []
    with rigged(replace(plan, link=lambda: _Meanwhile(plan.clock, lambda: hold(made[0])))) as rig:
        made.append(rig)
        run(rig, 5)
        frames = len(list(rig.frames.every()))
    check(plan, rig, start)
    assert (frames, reasons(plan.folder)) == (1, {"held": 4})


def test_slots_missed_before_the_hold_keep_their_own_reason(plan: Plan, rig: Rig) -> None:
    start = plan.clock.now_us()
    run(rig, 3)
    plan.clock.advance(180)
    hold(rig)
    plan.clock.advance(180)
    run(rig, 2)
    check(plan, rig, start)
    assert reasons(plan.folder)["late"] == 3
    assert set(reasons(plan.folder)) == {"late", "held"}


def test_commanded_and_proof_shots_are_taken_all_the_same(rig: Rig) -> None:
    run(rig, 1)
    hold(rig)
    before = len(list(rig.frames.every()))
    assert rig.loop.shoot_now("auto").due_us is None
    rig.loop.prove("auto")
    rig.loop.restart()
    assert len(list(rig.frames.every())) == before + 1


# --- across the end of the process ----------------------------------------------------------------------------------


def test_down_time_is_held_as_long_as_it_was_and_then_down(plan: Plan) -> None:
    start = plan.clock.now_us()
    with rigged(plan) as rig:
        run(rig, 5)
        hold(rig, 1800)
        run(rig, 5)
    plan.clock.advance(3600)
    with rigged(plan) as rig:
        run(rig, 5)
        frames_after = rig.ledger.totals()[0].captured
    check(plan, rig, start)
    found = reasons(plan.folder)
    assert found["held"] == 30
    assert found["process_down"] == pytest.approx(35, abs=1)
    assert frames_after == pytest.approx(10, abs=1)
    told = {str(event["reason"]): event["count"] for event in events(plan.folder, "gaps")}
    assert told == {"held": pytest.approx(25, abs=1), "process_down": found["process_down"]}
    assert events(plan.folder, "camera_resumed")[0]["held_s"] == 1800.0


def test_a_hold_without_an_end_survives_any_number_of_starts(plan: Plan) -> None:
    start = plan.clock.now_us()
    with rigged(plan) as rig:
        hold(rig)
        run(rig, 2)
    for _ in range(3):
        plan.clock.advance(600)
        with rigged(plan) as rig:
            run(rig, 3)
    check(plan, rig, start)
    assert set(reasons(plan.folder)) == {"held"}


def test_down_time_is_held_also_where_somebody_resumes_before_it_is_explained(plan: Plan) -> None:
    start = plan.clock.now_us()
    with rigged(plan) as rig:
        run(rig, 2)
        hold(rig)
        rig.loop.turn()
    plan.clock.advance(3600)
    with rigged(plan) as rig:
        rig.holds.resume(CAMERA, ME)
        run(rig, 5)
    check(plan, rig, start)
    assert set(reasons(plan.folder)) == {"held"}


ORDERS = """
import sys
from pathlib import Path
from node.store.log import Actor
from node.work.holds import Holds
from tests.stores import opened

with opened(Path(sys.argv[1])) as store:
    holds = Holds(store.journal)
    print("held", holds.hold("main", "storm", None, Actor("lena")).changed, flush=True)
    print("resumed", holds.resume("main", Actor("lena")).changed, flush=True)
"""
# point and passage; what was said by then, how many entries there are, and whether the camera is held afterwards
KILLS = [
    ("before_commit:1", [], 0, False),
    ("after_commit:1", [], 1, True),
    ("hold_entered", [], 1, True),
    ("before_commit:2", ["held"], 1, True),
    ("after_commit:2", ["held"], 2, False),
    ("hold_entered:2", ["held"], 2, False),
]


@pytest.mark.slow
@pytest.mark.parametrize(("point", "said", "entries", "held"), KILLS, ids=[point for point, *_ in KILLS])
def test_killed_between_entry_and_effect_the_next_start_does_what_is_entered(
    tmp_path: Path, point: str, said: list[str], entries: int, *, held: bool
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ORDERS, str(tmp_path)],
        env={VARIABLE: point},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == said
    with opened(tmp_path) as store:
        assert (Holds(store.journal).current("main") is not None) == held
        counts = store.rows("SELECT (SELECT COUNT(*) FROM events), (SELECT COUNT(*) FROM audit)")
        assert counts == [(entries, entries)]


def test_an_order_that_the_database_did_not_confirm_is_looked_up(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit hangs, and is made all the same."""
    real = rig.journal.hold

    def hangs(*given: Any) -> None:
        real(*given)
        raise DatabaseBusy("a commit hangs")

    with monkeypatch.context() as patch:
        patch.setattr(rig.journal, "hold", hangs)
        with pytest.raises(DatabaseBusy):
            hold(rig)
    assert rig.holds.current(CAMERA) is None
    rig.holds.tick()
    assert rig.holds.current(CAMERA) is not None


def test_an_order_that_the_database_refused_changes_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: Any) -> None:
        raise DatabaseBusy("planted")

    with monkeypatch.context() as patch:
        patch.setattr(rig.journal, "hold", refuses)
        with pytest.raises(DatabaseBusy):
            hold(rig)
    rig.holds.tick()
    assert rig.holds.current(CAMERA) is None
    assert holds.every(rig.database) == []


# --- the clock ------------------------------------------------------------------------------------------------------


def test_a_clock_set_back_does_not_let_go_of_a_camera(plan: Plan, rig: Rig) -> None:
    run(rig, 3)
    hold(rig)
    run(rig, 2)
    plan.clock.step(-3600)
    run(rig, 5)
    assert rig.ledger.totals()[0].captured == 3
    assert set(reasons(plan.folder)) == {"held"}


def test_a_clock_set_forward_over_the_end_ends_it(plan: Plan, rig: Rig) -> None:
    start = plan.clock.now_us()
    run(rig, 3)
    hold(rig, 600)
    plan.clock.step(1200)
    run(rig, 5)
    check(plan, rig, start)
    found = reasons(plan.folder)
    assert (found["held"], found["clock_step"]) == (10, pytest.approx(10, abs=1))
    assert rig.holds.current(CAMERA) is None


def test_an_hour_that_the_site_has_twice_is_held_twice(tmp_path: Path) -> None:
    before_us = 1_792_879_200 * US  # 2026-10-25 00:00 in Berlin, three hours before its clocks go back
    night = {"kind": "clock", "start": "00:00", "end": "06:00"}
    document = {
        **EVERY_MINUTE,
        "site": {"timezone": "Europe/Berlin"},
        "schedules": {"night": {"interval_s": 600, "window": night}},
    }
    with rigged(Plan(tmp_path, JumpClock(before_us - 1), document)) as rig:
        hold(rig, 5 * 3600)
        rig.run(before_us + 12 * 60 * MINUTE, rig.holds.tick)
        assert (rig.ledger.totals()[0].captured, reasons(tmp_path)) == (12, {"held": 30})


# --- configuration --------------------------------------------------------------------------------------------------


def test_a_document_put_while_it_is_held_proves_itself_by_proof_shots(tmp_path: Path) -> None:
    plan = Plan(tmp_path, JumpClock(), EVERY_MINUTE, probation=Probation(good_frames=2, min_s=180))
    with rigged(plan) as rig:
        run(rig, 3)
        hold(rig)
        changed = {**EVERY_MINUTE, "site": {"name": "other"}}
        rig.reload.put(changed, 1, ME)
        rig.run(rig.clock.now_us() + 10 * MINUTE, rig.reload.tick)
        assert rig.kinds().count("config_provisional") == 1
        assert rig.reload.facts().version == 2
        assert rig.ledger.totals()[0].captured == 3
    assert events(tmp_path, "config_rolled_back") == []


def test_without_the_proof_shots_of_a_held_camera_that_document_would_be_taken_back(tmp_path: Path) -> None:
    plan = Plan(tmp_path, JumpClock(), EVERY_MINUTE, probation=Probation(good_frames=2, min_s=180))
    with rigged(plan) as rig:
        run(rig, 3)
        hold(rig)
        rig.reload._cameras = replace(rig.reload._cameras, held=lambda *_: False)
        rig.reload.put({**EVERY_MINUTE, "site": {"name": "other"}}, 1, ME)
        rig.run(rig.clock.now_us() + 10 * MINUTE, rig.reload.tick)
    assert [event["reason"] for event in events(tmp_path, "config_rolled_back")] == ["no_confirmation"]


def test_another_interval_while_it_is_held_is_held_too(plan: Plan, rig: Rig) -> None:
    start = plan.clock.now_us()
    hold(rig)
    run(rig, 5)
    rig.reload.put({**EVERY_MINUTE, "schedules": {"all": {"interval_s": 30}}}, 1, ME)
    changed = plan.clock.now_us()
    run(rig, 2)
    due = scan([Rule(start, 60), Rule(changed, 30)], start, rig.loop.settled_us)
    assert complaints(plan.folder, due) == []
    assert set(reasons(plan.folder)) == {"held"}


# --- what is said of it ---------------------------------------------------------------------------------------------


def test_a_held_camera_is_idle_says_so_and_raises_no_alert(plan: Plan, rig: Rig) -> None:
    facts = loop_of(rig)
    run(rig, 5, facts)
    assert camera(rig).held_us is None
    hold(rig)
    run(rig, 120, facts)
    now = look(rig, facts)
    assert (camera_state(now), now.interval_s, now.next_due_us) == ("idle", None, None)
    assert (now.held_until_us, now.held_reason, now.held_by) == (None, "mast is being painted", "lena")
    assert now.held_us is not None
    assert (now.captured, now.last_gap_reason) == (5, "held")
    assert alerts(rig) == []


def test_the_next_slot_of_one_that_ends_by_itself_is_the_first_after_that(rig: Rig) -> None:
    facts = loop_of(rig)
    run(rig, 2, facts)
    until_us = rig.loop.settled_us // MINUTE * MINUTE + 30 * MINUTE
    hold(rig, (until_us - rig.clock.now_us()) // US)
    now = look(rig, facts)
    assert now.held_until_us is not None
    assert now.next_due_us == -(-now.held_until_us // MINUTE) * MINUTE


def test_after_it_the_camera_is_idle_until_its_first_slot_and_then_has_its_whole_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {"schedules": {"all": {"interval_s": 3600}}, "alerts": {"disk_reserve_bytes": 0, "hold_down_s": 0}}
    with rigged(Plan(tmp_path, JumpClock(), document)) as rig:
        facts = loop_of(rig)
        run(rig, 65, facts)
        hold(rig)
        run(rig, 12 * 60, facts)
        rig.holds.resume(CAMERA, ME)
        resumed = look(rig, facts)
        assert (camera_state(resumed), resumed.held_us, resumed.expected_since_us) == ("idle", None, None)
        assert resumed.next_due_us is not None
        first_us, seen = resumed.next_due_us, dict[bool, int]()
        patience_us = round(stale_after_s(3600, AlertLimits()) * US)
        monkeypatch.setattr(rig.loop, "_left_out", lambda _: GapReason.SPARED)  # no frame comes any more
        while rig.clock.now_us() < first_us + patience_us + 10 * MINUTE:
            rig.loop.turn()
            facts.turn()
            seen.setdefault("no_good_frame" in alerts(rig), rig.clock.now_us())
        assert seen[True] == pytest.approx(first_us + patience_us, abs=2 * MINUTE)


def test_trouble_goes_before_idleness_also_while_it_is_held(plan: Plan) -> None:
    faulty = replace(plan, camera={"faults": [{"kind": "stall", "after_shots": 1, "shots": 1000}]})
    with rigged(faulty) as rig:
        facts = loop_of(rig)
        run(rig, 3, facts)
        assert camera(rig).word in ("recovering", "offline")
        hold(rig)
        now = look(rig, facts)
        assert now.held_us is not None
        assert camera_state(now) == now.word


def test_what_no_slot_asks_about_any_more_is_forgotten(plan: Plan, rig: Rig) -> None:
    for _ in range(3):
        hold(rig, 60)
        run(rig, 3)
    rig.holds.forget_before(rig.loop.complete_us)
    assert len(holds.every(rig.database)) == 1
    assert rig.holds.latest(CAMERA) == holds.every(rig.database)[0]


# --- its shoots -----------------------------------------------------------------------------------------------------

MORNING = {
    **EVERY_MINUTE,
    "schedules": {"day": {"interval_s": 60, "window": {"kind": "clock", "start": "13:00", "end": "14:00"}}},
}


@pytest.mark.parametrize(("minutes_before", "jobs"), [(60, 1), (20, 1), (4, 0), (0, 0)])
def test_a_shoot_of_which_a_hold_left_too_little_asks_for_no_video_and_is_no_failure(
    tmp_path: Path, minutes_before: int, jobs: int
) -> None:
    with rigged(Plan(tmp_path, JumpClock(), MORNING)) as rig:
        window_us = rig.reload.live.current.calendar.next_due(CAMERA, rig.clock.now_us())
        assert window_us is not None
        rig.run(window_us.slot.due_us + minutes_before * MINUTE - MINUTE // 2)
        hold(rig)
        rig.run(window_us.slot.due_us + 70 * MINUTE, rig.holds.tick)
        (shoot,) = rig.ledger.shoots()
        assert (shoot.state, shoot.due, shoot.captured, shoot.degraded) == ("captured", 60, minutes_before, False)
        found = rig.database.read(lambda session: session.rows("SELECT COUNT(*) FROM jobs WHERE kind = 'render'"))
        assert found == [(jobs,)]


class _Meanwhile(DirectLink):
    """Something happens while it exposes."""

    def __init__(self, clock: JumpClock, act: Callable[[], object]) -> None:
        super().__init__(clock)
        self._act = act

    def shoot(self, spec: ShotSpec, deadline_s: float) -> Shot:
        self._act()
        return super().shoot(spec, deadline_s)
