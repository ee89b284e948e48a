"""A due slot ends as a kept frame or as a gap, whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from node.camera.base import Shot, ShotSpec
from node.clock import US
from node.domain.errors import CameraFault, CameraTimeout, DatabaseBusy, DiskFull, DiskReadOnly, InternalError
from node.domain.facts import DISK, DiskFacts, LoopFacts, loop_key
from node.domain.frame import GapReason, SlotKey
from node.domain.pressure import Step
from node.host.disk import Space
from node.imaging.exif import read_sidecar
from node.store.frames import FrameFilter
from node.store.log import Actor
from node.work.capture import REASONS
from tests.clocks import JumpClock
from tests.simulate.direct import DirectLink
from tests.simulate.ledger import Rule, all_complaints, complaints, events, reasons, scan
from tests.simulate.rig import CAMERA, Plan, Rig, rigged

MINUTE = 60 * US
EVERY_MINUTE = {"schedules": {"all": {"interval_s": 60}}}


@pytest.fixture
def clock() -> JumpClock:
    return JumpClock()


@pytest.fixture
def plan(tmp_path: Path, clock: JumpClock) -> Plan:
    return Plan(tmp_path, clock, EVERY_MINUTE)


@pytest.fixture
def rig(plan: Plan) -> Iterator[Rig]:
    with rigged(plan) as made:
        yield made


def with_faults(plan: Plan, *faults: dict[str, Any]) -> Plan:
    return replace(plan, camera={"faults": list(faults)})


def check(plan: Plan, start_us: int, until_us: int, every_s: int = 60) -> None:
    due = scan([Rule(start_us, every_s)], start_us, until_us)
    assert due
    assert complaints(plan.folder, due) == []


def test_every_due_slot_of_an_hour_becomes_a_frame(plan: Plan, rig: Rig) -> None:
    start = plan.clock.now_us()
    rig.run(start + 60 * MINUTE)
    check(plan, start, rig.loop.settled_us)
    assert rig.ledger.totals()[0].captured == 60


def test_a_frame_tells_its_whole_story(rig: Rig) -> None:
    rig.run(rig.clock.now_us() + 2 * MINUTE)
    frame = rig.frames.latest(CAMERA)
    assert frame is not None
    data = (rig.folder / frame.path).read_bytes()
    assert len(data) == frame.size_bytes
    sidecar = read_sidecar(data)
    assert sidecar is not None
    assert (sidecar["id"], sidecar["due_us"], sidecar["schedules"]) == (frame.id, frame.due_us, ["all"])
    assert frame.path.startswith(f"frames/{CAMERA}/default/")
    assert frame.stages.due_us <= frame.stages.request_us <= frame.stages.read_us <= frame.stages.measured_us


def test_a_stalled_camera_costs_the_slots_it_stalls_and_says_so(plan: Plan) -> None:
    start = plan.clock.now_us()
    with rigged(with_faults(plan, {"kind": "stall", "after_shots": 3})) as rig:
        rig.run(start + 10 * MINUTE)
        kinds = rig.kinds()
    check(plan, start, rig.loop.settled_us)
    assert reasons(plan.folder) == {"timeout": 1}
    assert "recovery" in kinds
    assert "camera_recovered" in kinds


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("crash", "camera_fault"), ("fault", "camera_fault"), ("busy", "busy"), ("stall", "timeout")],
)
def test_each_failure_has_its_reason(plan: Plan, kind: str, reason: str) -> None:
    start = plan.clock.now_us()
    with rigged(with_faults(plan, {"kind": kind, "after_shots": 2})) as rig:
        rig.run(start + 5 * MINUTE)
    check(plan, start, rig.loop.settled_us)
    assert reasons(plan.folder) == {reason: 1}


def test_a_damaged_picture_is_recaptured_and_put_aside(plan: Plan) -> None:
    start = plan.clock.now_us()
    with rigged(with_faults(plan, {"kind": "truncated", "after_shots": 2})) as rig:
        rig.run(start + 5 * MINUTE)
        latest = rig.frames.page(limit=10, chosen=FrameFilter())
    check(plan, start, rig.loop.settled_us)
    aside = [frame for frame in latest if frame.quarantined]
    assert [frame.integrity for frame in aside] == ["truncated"]
    assert (plan.folder / aside[0].path).stat().st_size == aside[0].size_bytes
    assert [frame.recaptured for frame in latest if frame.due_us == aside[0].due_us and not frame.quarantined] == [True]
    assert not reasons(plan.folder)


def test_a_slot_with_damaged_pictures_only_is_a_gap_with_the_files_in_quarantine(plan: Plan) -> None:
    start = plan.clock.now_us()
    with rigged(with_faults(plan, {"kind": "truncated", "after_shots": 2, "shots": 2})) as rig:
        rig.run(start + 5 * MINUTE)
    check(plan, start, rig.loop.settled_us)
    assert reasons(plan.folder) == {"damaged": 1}
    assert len(list((plan.folder / "quarantine").rglob("*.jpg"))) == 2


def test_recapture_can_be_switched_off(plan: Plan) -> None:
    start = plan.clock.now_us()
    document = {**EVERY_MINUTE, "cameras": {CAMERA: {"recapture": False}}}
    faulty = with_faults(replace(plan, document=document), {"kind": "truncated", "after_shots": 2})
    with rigged(faulty) as rig:
        rig.run(start + 5 * MINUTE)
    check(plan, start, rig.loop.settled_us)
    assert reasons(plan.folder) == {"damaged": 1}


def test_no_recapture_where_the_next_slot_would_be_late(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    start = plan.clock.now_us()
    plan = with_faults(replace(plan, document={"schedules": {"all": {"interval_s": 4}}}),
                       {"kind": "truncated", "after_shots": 2})  # fmt: skip
    with rigged(replace(plan, link=lambda: _Slow(plan.clock, 3.0))) as rig:
        rig.run(start + MINUTE)
    due = scan([Rule(start, 4)], start, rig.loop.settled_us)
    assert complaints(plan.folder, due) == []
    assert reasons(plan.folder)["damaged"] == 1


def test_a_late_slot_is_skipped_never_shifted(plan: Plan, rig: Rig) -> None:
    start = plan.clock.now_us()
    rig.run(start + 3 * MINUTE)
    plan.clock.advance(45)  # nobody turned the loop: half a slot is missed
    plan.clock.advance(60)
    rig.run(start + 8 * MINUTE)
    check(plan, start, rig.loop.settled_us)
    assert set(reasons(plan.folder)) == {"late"}
    assert all(frame.captured_us - (frame.due_us or 0) < 30 * US for frame in rig.frames.every())


def test_slots_that_a_long_shot_covered_are_busy(plan: Plan) -> None:
    start = plan.clock.now_us()
    document = {"schedules": {"all": {"interval_s": 2}}}
    with rigged(replace(plan, document=document, link=lambda: _Slow(plan.clock, 5.0))) as rig:
        rig.run(start + MINUTE)
    due = scan([Rule(start, 2)], start, rig.loop.settled_us)
    assert complaints(plan.folder, due) == []
    assert reasons(plan.folder)["busy"] > 10


def test_the_time_that_the_process_was_down_is_explained_at_the_next_start(plan: Plan) -> None:
    start = plan.clock.now_us()
    with rigged(plan) as rig:
        rig.run(start + 5 * MINUTE)
    plan.clock.advance(3 * 3600)
    with rigged(plan) as rig:
        rig.run(plan.clock.now_us() + 5 * MINUTE)
    check(plan, start, rig.loop.settled_us)
    assert reasons(plan.folder)["process_down"] == pytest.approx(180, abs=1)
    told = events(plan.folder, "gaps")
    assert sum(int(str(event["count"])) for event in told) == reasons(plan.folder)["process_down"]


def test_documents_of_the_down_time_are_needed_until_it_is_explained(plan: Plan) -> None:
    with rigged(plan) as rig:
        rig.run(plan.clock.now_us() + 5 * MINUTE)
        rig.reload.put({"schedules": {"all": {"interval_s": 120}}}, 1, Actor("admin"))
        left_us = rig.ledger.settled_to()[CAMERA]
    plan.clock.advance(3600)
    with rigged(plan) as rig:
        rig.reload.tick()
        assert rig.reload.facts().version == 1
        assert rig.loop.complete_us == left_us
        rig.reload.live.forget_before(rig.loop.complete_us)
        rig.run(plan.clock.now_us() + 5 * MINUTE)
        assert rig.loop.complete_us == rig.loop.settled_us
    assert all_complaints(plan.folder) == []


def test_down_time_that_could_not_be_recorded_is_recorded_later(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    start = plan.clock.now_us()
    with rigged(plan) as rig:
        rig.run(start + 5 * MINUTE)
    plan.clock.advance(3600)
    with rigged(plan) as rig:
        with monkeypatch.context() as broken:
            broken.setattr(rig.journal, "gaps", _raise(DatabaseBusy("planted")))
            rig.loop.guarded_turn()
            rig.loop.guarded_turn()
        rig.run(plan.clock.now_us() + 5 * MINUTE)
    check(plan, start, rig.loop.settled_us)


def test_months_of_down_time_do_not_keep_the_camera_from_its_slots(plan: Plan) -> None:
    start = plan.clock.now_us()
    with rigged(plan) as rig:
        rig.run(start + 2 * MINUTE)
    plan.clock.advance(30 * 86400)
    back = plan.clock.now_us()
    with rigged(plan) as rig:
        rig.run(back + 2 * MINUTE)
        newest = rig.frames.latest(CAMERA)
        assert newest is not None
        assert newest.captured_us > back
        rig.run(back + 10 * MINUTE)
    check(plan, start, rig.loop.settled_us)


def test_a_clock_set_forward_leaves_gaps_that_say_so(plan: Plan, rig: Rig) -> None:
    start = plan.clock.now_us()
    rig.run(start + 3 * MINUTE)
    plan.clock.step(3600)
    rig.run(plan.clock.now_us() + 3 * MINUTE)
    check(plan, start, rig.loop.settled_us)
    assert reasons(plan.folder) == {"clock_step": pytest.approx(60, abs=1)}


def test_a_clock_set_back_takes_extra_frames_and_nothing_twice(plan: Plan, rig: Rig) -> None:
    start = plan.clock.now_us()
    rig.run(start + 30 * MINUTE)
    end, before = plan.clock.now_us(), rig.ledger.totals()[0]
    plan.clock.step(-20 * 60)
    rig.run(start + 20 * MINUTE)
    after = rig.ledger.totals()[0]
    assert (after.due, after.captured) == (before.due, before.captured)
    extra = [frame for frame in rig.frames.every() if frame.due_us is None]
    assert 9 <= len(extra) <= 11
    rig.run(end + 5 * MINUTE)
    check(plan, start, rig.loop.settled_us)


def test_a_full_disk_is_a_gap_and_capture_goes_on_by_itself(
    plan: Plan, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = plan.clock.now_us()
    rig.run(start + 2 * MINUTE)
    with monkeypatch.context() as patch:
        patch.setattr("node.work.keeping.write_atomic", _raise(DiskFull("planted")))
        rig.run(start + 5 * MINUTE)
    rig.run(start + 8 * MINUTE)
    check(plan, start, rig.loop.settled_us)
    assert reasons(plan.folder) == {"disk_full": 3}


def test_no_room_is_seen_before_the_shot(plan: Plan) -> None:
    start = plan.clock.now_us()
    document = {**EVERY_MINUTE, "alerts": {"disk_reserve_bytes": 2**62}}
    with rigged(replace(plan, document=document)) as rig:
        rig.run(start + 3 * MINUTE)
    check(plan, start, rig.loop.settled_us)
    assert set(reasons(plan.folder)) == {"disk_full"}


def test_a_frame_whose_entry_must_wait_is_entered_later_under_its_id(
    plan: Plan, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = plan.clock.now_us()
    rig.run(start + 2 * MINUTE)
    with monkeypatch.context() as patch:
        patch.setattr(rig.journal, "keep", _raise(DatabaseBusy("planted")))
        rig.run(start + 4 * MINUTE)
        assert rig.loop.unrecorded == 2
        assert rig.loop.trouble == "DB-001"
    rig.run(start + 6 * MINUTE)
    assert rig.loop.unrecorded == 0
    assert not rig.loop.trouble
    check(plan, start, rig.loop.settled_us)
    assert not reasons(plan.folder)


def test_frames_without_their_entries_survive_the_end_of_the_process(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = plan.clock.now_us()
    with rigged(plan) as rig:
        rig.run(start + 2 * MINUTE)
        monkeypatch.setattr(rig.journal, "keep", _raise(DatabaseBusy("planted")))
        rig.run(start + 4 * MINUTE)
    monkeypatch.undo()
    with rigged(plan) as rig:
        rig.run(start + 6 * MINUTE)
    check(plan, start, rig.loop.settled_us)
    assert not reasons(plan.folder)


def test_a_failing_loop_goes_on_and_says_so(plan: Plan, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    start = plan.clock.now_us()
    rig.run(start + 2 * MINUTE)
    with monkeypatch.context() as patch:
        patch.setattr(rig.judge, "assess", _raise(ZeroDivisionError("planted")))
        for _ in range(8):
            rig.loop.guarded_turn()
        fact = rig.board.read(loop_key(f"capture/{CAMERA}"))
        assert fact is not None
        assert isinstance(fact.value, LoopFacts)
        assert fact.value.failures >= 5
        assert fact.value.error == "ZeroDivisionError: planted"
    while plan.clock.now_us() < start + 20 * MINUTE:
        rig.loop.guarded_turn()
    check(plan, start, rig.loop.settled_us)
    assert "loop_failed" in rig.kinds()
    assert rig.ledger.totals()[0].captured > 10


def test_a_commanded_shot_is_kept_without_a_slot(plan: Plan, rig: Rig) -> None:
    rig.run(rig.clock.now_us() + 2 * MINUTE)
    answer = rig.loop.ask(lambda: rig.loop.shoot_now("auto"))
    rig.loop.turn()
    frame = answer.result(0)
    assert frame.due_us is None
    assert (plan.folder / frame.path).exists()
    assert rig.frames.get(frame.id) == frame


def test_a_commanded_shot_that_fails_says_why(plan: Plan) -> None:
    with rigged(with_faults(plan, {"kind": "stall", "shots": 50})) as rig:
        rig.loop.turn()
        answer = rig.loop.ask(lambda: rig.loop.shoot_now("auto"))
        rig.loop.turn()
        with pytest.raises(CameraTimeout):
            answer.result(0)


def test_a_damaged_commanded_shot_is_a_fault_and_lies_in_quarantine(plan: Plan) -> None:
    with rigged(with_faults(plan, {"kind": "truncated", "shots": 50})) as rig:
        rig.loop.turn()
        answer = rig.loop.ask(lambda: rig.loop.shoot_now("auto"))
        rig.loop.turn()
        with pytest.raises(CameraFault, match="quarantine"):
            answer.result(0)
    assert list((plan.folder / "quarantine").rglob("*.jpg"))


def test_a_request_that_breaks_the_loop_is_answered(rig: Rig) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    answer = rig.loop.ask(broken)
    rig.loop.guarded_turn()
    with pytest.raises(InternalError):
        answer.result(0)


def test_requests_are_refused_when_the_loop_ends(rig: Rig) -> None:
    stop = threading.Event()
    stop.set()
    answer = rig.loop.ask(rig.loop.restart)
    rig.loop.run(stop)
    with pytest.raises(Exception, match="stopping"):
        answer.result(0)


def test_shoots_open_and_close_once_across_restarts(plan: Plan) -> None:
    every_s, start = 600, plan.clock.now_us()
    plan = replace(plan, document={"schedules": {"all": {"interval_s": every_s}}})
    for _ in range(6):
        with rigged(plan) as rig:
            rig.run(plan.clock.now_us() + 7 * 60 * MINUTE)
        plan.clock.advance(1800)
    with rigged(plan) as rig:
        rig.run(plan.clock.now_us() + 20 * MINUTE)
        shoots = rig.ledger.shoots()
    opened, closed = events(plan.folder, "shoot_opened"), events(plan.folder, "shoot_closed")
    assert len({event["shoot"] for event in opened}) == len(opened) == len(shoots)
    assert len(closed) == len(shoots) - 1  # today's is open
    assert sum(shoot.due for shoot in shoots) == len(scan([Rule(start, every_s)], start, rig.loop.settled_us))
    check(plan, start, rig.loop.settled_us, every_s)


def test_two_profiles_of_one_instant_are_two_slots(plan: Plan) -> None:
    start = plan.clock.now_us()
    document = {"profiles": {"dark": {"mode": "auto", "ev_stops": -1}},
                "schedules": {"all": {"interval_s": 60, "profiles": ["auto", "dark"]}}}  # fmt: skip
    with rigged(replace(plan, document=document)) as rig:
        rig.run(start + 5 * MINUTE)
        for at in scan([Rule(start, 60)], start, start + 5 * MINUTE):
            assert {rig.ledger.slot(SlotKey(CAMERA, name, at)).frame_id is not None for name in ("auto", "dark")} == {
                True
            }


def test_a_dropped_slot_would_be_found(plan: Plan, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    start = plan.clock.now_us()
    rig.run(start + 3 * MINUTE)
    with monkeypatch.context() as patch:
        patch.setattr(rig.loop, "_meet", lambda *_: None)
        rig.run(start + 4 * MINUTE)
    rig.run(start + 6 * MINUTE)
    found = complaints(plan.folder, scan([Rule(start, 60)], start, rig.loop.settled_us))
    assert len(found) == 1
    assert "neither frame nor gap" in found[0]


def test_every_reason_of_the_table_is_a_reason_of_an_error_or_of_the_loop() -> None:
    by_error = {reason for _, reason in REASONS}
    by_loop = {GapReason.LATE, GapReason.BUSY, GapReason.CLOCK_STEP, GapReason.PROCESS_DOWN, GapReason.DAMAGED,
               GapReason.CAMERA_OFFLINE, GapReason.SPARED, GapReason.HELD}  # fmt: skip
    assert by_error | by_loop == set(GapReason)


class _Slow(DirectLink):
    """Each shot takes that many seconds."""

    def __init__(self, clock: JumpClock, seconds: float) -> None:
        super().__init__(clock)
        self._jump, self._seconds = clock, seconds

    def shoot(self, spec: ShotSpec, deadline_s: float) -> Shot:
        shot = super().shoot(spec, deadline_s)
        self._jump.advance(self._seconds)
        return replace(shot, captured_us=self._jump.now_us())


def _raise(error: Exception) -> Any:
    def act(*_args: object, **_named: object) -> None:
        raise error

    return act


def test_a_data_folder_that_vanished_is_seen_before_the_shot_and_not_made_again(plan: Plan, rig: Rig) -> None:
    start = plan.clock.now_us()
    rig.run(start + 2 * MINUTE)
    plan.folder.rename(plan.folder.with_name(f"{plan.folder.name}-gone"))
    rig.run(start + 4 * MINUTE)
    assert not plan.folder.exists()
    plan.folder.with_name(f"{plan.folder.name}-gone").rename(plan.folder)
    rig.run(start + 6 * MINUTE)
    check(plan, start, rig.loop.settled_us)
    assert reasons(plan.folder) == {"storage_fault": 2}


def on_a_disk(rig: Rig, patch: pytest.MonkeyPatch, free_bytes: int) -> None:
    """Of a gigabyte so much is free, as capture finds it."""
    for where in ("node.work.keeping.space", "node.store.files.disk.space"):
        patch.setattr(where, lambda _: Space(10**9, free_bytes))


def test_capture_stops_at_a_fifth_of_the_critical_share_and_goes_on_by_itself(
    plan: Plan, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = plan.clock.now_us()
    on_a_disk(rig, monkeypatch, 80_000_000)
    rig.run(start + 2 * MINUTE)
    with monkeypatch.context() as patch:
        on_a_disk(rig, patch, 68_000_000)  # the reserve of 64 MiB, and not a typical frame beside it
        rig.run(start + 5 * MINUTE)
    rig.run(start + 7 * MINUTE)
    check(plan, start, rig.loop.settled_us)
    assert reasons(plan.folder) == {"disk_full": 3}


def stands_at(rig: Rig, step: Step, until_us: int) -> None:
    """As the facts loop says it, every ten seconds until then."""
    facts = DiskFacts(10**9, 10**8, step=step.value)
    for at_us in range(rig.clock.now_us(), until_us, 10 * US):
        rig.clock.at(at_us, partial(rig.board.post, DISK, facts, at_us))
    rig.run(until_us)


def test_what_the_facts_loop_said_a_while_ago_stops_nothing(plan: Plan, rig: Rig) -> None:
    start = plan.clock.now_us()
    stands_at(rig, Step.STOPPED, start + 3 * MINUTE)
    rig.run(start + 6 * MINUTE)
    stands_at(rig, Step.STRETCHED, start + 8 * MINUTE)
    rig.run(start + 16 * MINUTE)
    check(plan, start, rig.loop.settled_us)
    gone_stale = {**reasons(plan.folder)}
    assert gone_stale["disk_full"] <= 4
    assert gone_stale["spared"] <= 2


def test_a_fact_of_a_time_yet_to_come_stops_nothing(plan: Plan, rig: Rig) -> None:
    start = plan.clock.now_us()
    rig.board.post(DISK, DiskFacts(10**9, 10**8, step=Step.STOPPED.value), start + 3600 * US)
    rig.run(start + 3 * MINUTE)
    assert not reasons(plan.folder)


def test_a_little_room_that_came_back_starts_nothing_yet(plan: Plan, rig: Rig) -> None:
    start = plan.clock.now_us()
    stands_at(rig, Step.STOPPED, start + 3 * MINUTE)
    stands_at(rig, Step.LOW, start + 5 * MINUTE)
    check(plan, start, rig.loop.settled_us)
    assert reasons(plan.folder) == {"disk_full": 3}


def test_while_the_interval_is_stretched_every_fourth_slot_is_taken_and_the_others_are_explained(
    plan: Plan, rig: Rig
) -> None:
    start = plan.clock.now_us()
    stands_at(rig, Step.CRITICAL, start + 2 * MINUTE)
    stands_at(rig, Step.STRETCHED, start + 14 * MINUTE)
    stands_at(rig, Step.LOW, start + 16 * MINUTE)
    check(plan, start, rig.loop.settled_us)
    assert reasons(plan.folder) == {"spared": 9}
    assert rig.ledger.totals()[0].captured == 7


def refusing(rig: Rig, patch: pytest.MonkeyPatch) -> None:
    """The database takes no write at all."""
    patch.setattr(rig.database, "write", _raise(DatabaseBusy("planted")))


def test_a_database_that_takes_nothing_at_a_windows_start_costs_no_frame(
    plan: Plan, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = plan.clock.now_us()
    with monkeypatch.context() as patch:
        refusing(rig, patch)
        while plan.clock.now_us() < start + 10 * MINUTE:
            rig.loop.guarded_turn()
        assert len(list((plan.folder / "frames").rglob("*.jpg"))) == 10
    rig.run(start + 12 * MINUTE)
    check(plan, start, rig.loop.settled_us)
    assert not reasons(plan.folder)
    assert [shoot.state for shoot in rig.ledger.shoots()] == ["open"]


def test_a_window_that_ends_while_the_database_takes_nothing_is_closed_later(
    plan: Plan, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    midnight = (plan.clock.now_us() // (86400 * US) + 1) * 86400 * US
    rig.run(midnight - 3 * MINUTE)
    with monkeypatch.context() as patch:
        refusing(rig, patch)
        rig.run(midnight + 3 * MINUTE)
        assert plan.clock.waits < 100_000
    rig.run(midnight + 10 * MINUTE)
    assert sorted(shoot.state for shoot in rig.ledger.shoots()) == ["captured", "open"]
    assert len(events(plan.folder, "shoot_closed")) == 1


def test_gaps_that_wait_for_the_database_are_not_overtaken_by_a_bulk_of_them(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = plan.clock.now_us()
    with rigged(with_faults(plan, {"kind": "busy", "after_shots": 1, "shots": 2})) as rig:
        monkeypatch.setattr(rig.journal, "gap", _raise(DatabaseBusy("planted")))
        rig.run(start + 4 * MINUTE)
        assert rig.loop.unrecorded == 2
        plan.clock.advance(600)  # the loop hung: ten slots are missed at once, and told together
        monkeypatch.setattr(rig.keeper, "retry", lambda: None)
        rig.loop.turn()
        # and here the process is killed: what waited in memory is gone
    with rigged(plan) as rig:
        rig.run(plan.clock.now_us() + 3 * MINUTE)
    check(plan, start, rig.loop.settled_us)


def test_a_commanded_shot_takes_no_room_that_is_not_there(plan: Plan) -> None:
    document = {**EVERY_MINUTE, "alerts": {"disk_reserve_bytes": 2**62}}
    with rigged(replace(plan, document=document)) as rig:
        answer = rig.loop.ask(lambda: rig.loop.shoot_now("auto"))
        rig.loop.turn()
        with pytest.raises(DiskFull):
            answer.result(0)
    assert not list(plan.folder.rglob("*.jpg"))


def test_a_slot_with_two_bad_pictures_counts_once_for_the_ladder(plan: Plan) -> None:
    start = plan.clock.now_us()
    with rigged(with_faults(plan, {"kind": "truncated", "after_shots": 2, "shots": 12})) as rig:
        rig.run(start + 8 * MINUTE)
        assert rig.loop.camera_state.failures <= 6
        assert "recovery" not in rig.kinds()


def test_a_camera_that_never_rests_catches_up_all_the_same(plan: Plan) -> None:
    start = plan.clock.now_us()
    every_second = {"schedules": {"all": {"interval_s": 1}}}
    with rigged(replace(plan, document=every_second)) as rig:
        rig.run(start + 10 * US)
    plan.clock.advance(60)
    with rigged(replace(plan, link=lambda: _Slow(plan.clock, 0.9))) as rig:
        rig.run(plan.clock.now_us() + 3 * MINUTE)
        assert rig.keeper.caught_up
    due = scan([Rule(start, 1)], start, rig.loop.settled_us)
    assert complaints(plan.folder, due) == []


def test_the_pulse_before_a_request_promises_all_the_time_that_it_may_take(plan: Plan) -> None:
    document = {
        "profiles": {"long": {"mode": "manual", "exposure_s": 60, "gain": 1}},
        "schedules": {"all": {"interval_s": 3600, "profiles": ["long"]}},
    }
    promised: list[float] = []
    with rigged(replace(plan, document=document)) as rig:
        post = rig.board.post

        def note(name: str, value: object, at_us: int) -> None:
            promised.extend([value.interval_s] if isinstance(value, LoopFacts) else [])
            post(name, value, at_us)

        rig.board.post = note  # type: ignore[method-assign]  # a spy
        rig.run(plan.clock.now_us() + 70 * MINUTE)
        # four frames in the pipeline and two to settle, a minute each, the margin, and what comes after the shot
    assert 6 * 60 + 5 + 10 in promised


def test_a_frame_that_could_not_be_written_is_remembered_until_one_could(
    plan: Plan, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = plan.clock.now_us()
    with monkeypatch.context() as patch:
        patch.setattr("node.work.keeping.write_atomic", _raise(DiskReadOnly("planted")))
        rig.run(start + 2 * MINUTE)
        assert rig.loop.refused_code == "DSK-002"
    rig.run(start + 4 * MINUTE)
    assert not rig.loop.refused_code
    assert reasons(plan.folder) == {"storage_fault": 2}
