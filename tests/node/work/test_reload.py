"""A changed document proves itself, or undoes itself: also across the end of the process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.camera.base import CameraConfig, Capabilities
from node.clock import US
from node.domain.errors import (
    CameraMismatch,
    DatabaseBusy,
    DiskFull,
    DocumentInvalid,
    NothingToRollBack,
    UnknownVersion,
    VersionMoved,
)
from node.domain.nodefile import Probation
from node.store.log import Actor
from tests.clocks import JumpClock
from tests.simulate.direct import DirectLink
from tests.simulate.ledger import Rule, complaints, events, scan
from tests.simulate.rig import CAMERA, Plan, Rig, rigged

MINUTE = 60 * US
NOON = 1_795_089_600 * US + 3600 * US  # 2026-11-19T13:00Z: broad day in Berlin
EVERY_MINUTE = {"schedules": {"all": {"interval_s": 60}}}
SITE = {"latitude": 52.5, "longitude": 13.4, "timezone": "Europe/Berlin"}
BRIGHTER = {**EVERY_MINUTE, "site": SITE, "profiles": {"b": {"mode": "auto", "ev_stops": 0.3}}}
BLACK = {"site": SITE, "profiles": {"dark": {"mode": "manual", "exposure_s": 1e-6, "gain": 1}},
         "schedules": {"all": {"interval_s": 60, "profiles": ["dark"]}}}  # fmt: skip
ME = Actor("me", "admin")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(
        tmp_path, JumpClock(NOON), {**EVERY_MINUTE, "site": SITE}, probation=Probation(good_frames=3, min_s=180)
    )


@pytest.fixture
def rig(plan: Plan) -> Iterator[Rig]:
    with rigged(plan) as made:
        made.run(NOON + 12 * MINUTE)  # a baseline is cold below ten frames
        yield made


def run(rig: Rig, seconds: float) -> None:
    rig.run(rig.clock.now_us() + round(seconds * US), rig.reload.tick)


def state(rig: Rig) -> str:
    facts = rig.reload.facts()
    if facts.provisional:
        return "provisional"
    return "active" if facts.probation_until_us is None else "probation"


def version(rig: Rig) -> int:
    return rig.reload.facts().version


def test_a_good_document_is_confirmed_by_its_good_frames(rig: Rig) -> None:
    outcome = rig.reload.put(BRIGHTER, version(rig), ME)
    assert outcome.changed
    assert rig.reload.facts().probation_until_us is not None
    run(rig, 240)
    assert rig.reload.facts().probation_until_us is None
    assert rig.reload.facts().version == outcome.running.version.version
    confirmed = events(rig.folder, "config_confirmed")
    assert [event["good_frames"] for event in confirmed] == [3]


def test_a_document_that_blackens_pictures_rolls_back_by_itself(rig: Rig) -> None:
    before = version(rig)
    rig.reload.put(BLACK, before, ME)
    run(rig, 300)
    back = events(rig.folder, "config_rolled_back")
    assert [(event["to_version"], event["reason"]) for event in back] == [(before, "bad_frames")]
    assert version(rig) == before
    assert rig.reload.live.current.document.profiles == {}
    run(rig, 120)
    newest = rig.frames.latest(CAMERA)
    assert newest is not None
    assert newest.verdict == "good"


def test_a_document_that_blackens_one_of_two_profiles_rolls_back_too(rig: Rig) -> None:
    before = version(rig)
    half = {**BLACK, "schedules": {"all": {"interval_s": 60, "profiles": ["auto", "dark"]}}}
    rig.reload.put(half, before, ME)
    run(rig, 300)
    assert [event["reason"] for event in events(rig.folder, "config_rolled_back")] == ["bad_frames"]
    assert version(rig) == before


def test_a_document_whose_confirmation_never_comes_rolls_back_at_its_deadline(plan: Plan) -> None:
    with rigged(replace(plan, camera={"faults": [{"kind": "stall", "after_shots": 4, "shots": 1000}]})) as rig:
        rig.run(NOON + 3 * MINUTE)
        before = version(rig)
        rig.reload.put({**BRIGHTER, "schedules": {"all": {"interval_s": 3600}}}, before, ME)
        rig.reload.tick()
        run(rig, 5 * 3600)
        assert version(rig) == before
        assert events(rig.folder, "config_rolled_back")


def test_the_deadline_of_a_probation_survives_kill_9(plan: Plan) -> None:
    with rigged(plan) as rig:
        rig.run(NOON + 3 * MINUTE)
        before = version(rig)
        rig.reload.put({**BRIGHTER, "cameras": {CAMERA: {"enabled": True}}}, before, ME)
    plan.clock.advance(600)  # the process was dead for longer than the probation
    dead = {"faults": [{"kind": "absent", "shots": 1000}]}
    with rigged(replace(plan, camera=dead)) as rig:
        assert version(rig) == before + 1
        rig.reload.tick()
        assert version(rig) == before
        assert [event["reason"] for event in events(rig.folder, "config_rolled_back")] == ["no_confirmation"]


def test_a_document_that_brings_the_service_down_again_and_again_is_rolled_back_at_start(plan: Plan) -> None:
    with rigged(plan) as rig:
        before = version(rig)
        rig.reload.put(BRIGHTER, before, ME)
    for _ in range(3):
        with rigged(plan) as rig:
            running = version(rig)
    assert running == before
    assert [event["reason"] for event in events(plan.folder, "config_rolled_back")] == ["crash_loop"]


def test_proof_shots_are_taken_where_no_slot_is_due(rig: Rig) -> None:
    night = {"site": SITE, "schedules": {"night": {"interval_s": 60, "window": {
        "kind": "clock", "start": "02:00", "end": "03:00"}}}}  # fmt: skip
    kept = rig.ledger.totals()[0].captured
    rig.reload.put(night, version(rig), ME)
    run(rig, 120)
    assert state(rig) == "provisional"
    assert rig.ledger.totals()[0].captured == kept + 1  # the slot that was due when the document came


def test_proof_shots_that_fail_roll_the_document_back(rig: Rig) -> None:
    night = {**BLACK, "schedules": {"night": {"interval_s": 60, "profiles": ["dark"], "window": {
        "kind": "clock", "start": "02:00", "end": "03:00"}}}}  # fmt: skip
    before = version(rig)
    rig.reload.put(night, before, ME)
    run(rig, 200)
    assert version(rig) == before


def test_a_size_that_the_camera_refuses_is_rolled_back_at_the_first_slot(plan: Plan) -> None:
    with rigged(replace(plan, link=lambda: _OneSize(plan.clock))) as rig:
        rig.run(NOON + 3 * MINUTE)
        before = version(rig)
        rig.reload.put({**BRIGHTER, "cameras": {CAMERA: {"width": 4000, "height": 3000}}}, before, ME)
        run(rig, 130)
        assert version(rig) == before
        assert [event["reason"] for event in events(rig.folder, "config_rolled_back")] == ["camera_refused"]
        run(rig, 120)
        newest = rig.frames.latest(CAMERA)
        assert newest is not None
        assert rig.clock.now_us() - newest.captured_us <= 2 * MINUTE


def test_an_invalid_document_names_every_field_and_changes_nothing(rig: Rig) -> None:
    before = version(rig)
    with pytest.raises(DocumentInvalid) as caught:
        rig.reload.put({"schedules": {"a": {"interval_s": 0}, "b": {"profiles": ["none"]}}, "sight": 1}, before, ME)
    assert {fault.path for fault in caught.value.fields} == {
        "schedules.a.interval_s",
        "schedules.b.profiles.0",
        "sight",
    }
    with pytest.raises(DocumentInvalid):
        rig.reload.put({"cameras": {"attic": {}}}, before, ME)
    assert version(rig) == before


def test_a_version_that_moved_is_refused(rig: Rig) -> None:
    with pytest.raises(VersionMoved):
        rig.reload.put(BRIGHTER, version(rig) + 7, ME)


def test_the_same_document_again_changes_nothing(rig: Rig) -> None:
    outcome = rig.reload.put({**EVERY_MINUTE, "site": SITE}, version(rig), ME)
    assert not outcome.changed
    assert rig.reload.facts().probation_until_us is None


def test_an_operator_rolls_back_what_is_on_probation(rig: Rig) -> None:
    before = version(rig)
    rig.reload.put(BRIGHTER, before, ME)
    outcome = rig.reload.roll_back(None, ME)
    assert outcome.running.version.version == before
    assert [event["reason"] for event in events(rig.folder, "config_rolled_back")] == ["operator"]


def test_an_operator_goes_back_to_an_earlier_version_which_proves_itself_too(rig: Rig) -> None:
    before = version(rig)
    rig.reload.put(BRIGHTER, before, ME)
    run(rig, 240)
    rig.reload.roll_back(before, ME)
    assert version(rig) == before
    assert rig.reload.facts().probation_until_us is not None
    run(rig, 240)
    assert rig.reload.facts().probation_until_us is None


def test_there_may_be_nothing_to_go_back_to(tmp_path: Path) -> None:
    with rigged(Plan(tmp_path, JumpClock(NOON))) as rig:
        with pytest.raises(NothingToRollBack):
            rig.reload.roll_back(None, ME)
        with pytest.raises(UnknownVersion):
            rig.reload.roll_back(99, ME)


def test_a_swap_decides_from_its_instant_on_and_no_slot_is_missed(plan: Plan, rig: Rig) -> None:
    faster = {**BRIGHTER, "schedules": {"all": {"interval_s": 30}}}
    rig.reload.put(faster, version(rig), ME)
    at = rig.reload.live.current.from_us
    run(rig, 600)
    due = scan([Rule(NOON, 60), Rule(at, 30)], NOON, rig.loop.settled_us)
    assert complaints(plan.folder, due) == []


def test_slots_of_a_down_time_are_those_of_the_document_that_was_in_force(plan: Plan) -> None:
    with rigged(plan) as rig:
        rig.run(NOON + 5 * MINUTE)
        rig.reload.put({**BRIGHTER, "schedules": {"all": {"interval_s": 120}}}, version(rig), ME)
        at = rig.reload.live.current.from_us
        run(rig, 900)
    plan.clock.advance(7200)
    with rigged(plan) as rig:
        run(rig, 600)
    due = scan([Rule(NOON, 60), Rule(at, 120)], NOON, rig.loop.settled_us)
    assert complaints(plan.folder, due) == []


def test_a_document_that_switches_every_camera_off_owes_no_frames(rig: Rig) -> None:
    rig.reload.put({**BRIGHTER, "cameras": {CAMERA: {"enabled": False}}}, version(rig), ME)
    rig.reload.tick()
    assert rig.reload.facts().probation_until_us is None
    run(rig, 600)
    assert rig.reload.live.current.calendar.interval_s(CAMERA, rig.clock.now_us()) is None


def test_a_database_that_is_busy_delays_the_decision_only(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.reload.put(BRIGHTER, version(rig), ME)
    with monkeypatch.context() as patch:
        patch.setattr(rig.journal, "confirm_config", _busy)
        run(rig, 200)
        assert rig.reload.facts().probation_until_us is not None
    rig.reload.tick()
    assert rig.reload.facts().probation_until_us is None


def test_the_outlook_says_what_a_document_would_ask_for(rig: Rig) -> None:
    before = version(rig)
    outlook = rig.reload.outlook({**BRIGHTER, "schedules": {"all": {"interval_s": 30}}})
    assert [(each.camera, each.per_day, each.per_day_now) for each in outlook] == [(CAMERA, 2880.0, 1440.0)]
    assert len(outlook[0].next_due_us) == 3
    assert rig.reload.differing(BRIGHTER) == ("profiles",)
    assert version(rig) == before


def test_changes_from_many_threads_leave_one_whole_version(rig: Rig) -> None:
    before = version(rig)
    results: list[str] = []

    def put(number: int) -> None:
        document = {**EVERY_MINUTE, "site": {**SITE, "name": f"site {number}"}}
        try:
            rig.reload.put(document, before, ME)
        except (VersionMoved, DocumentInvalid) as error:
            results.append(error.code)
        else:
            results.append("done")

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["CFG-005"] * 7 + ["done"]
    assert version(rig) == before + 1


class _OneSize(DirectLink):
    """A camera that can do its own size only."""

    def open(self, config: CameraConfig, deadline_s: float) -> Capabilities:
        if config.width is not None:
            raise CameraMismatch("only 160 x 120")
        return super().open(config, deadline_s)


def _busy(*_args: Any) -> None:
    raise DatabaseBusy("planted")


LONG = {"mode": "manual", "exposure_s": 8, "gain": 16}
BY_NIGHT = {"kind": "clock", "start": "23:00", "end": "03:00"}
NIGHT = {
    "site": SITE,
    "profiles": {"long": LONG},
    "schedules": {"night": {"interval_s": 60, "profiles": ["long"], "window": BY_NIGHT}},
}


def test_a_night_profile_is_not_condemned_for_being_blown_by_day(rig: Rig) -> None:
    before = version(rig)
    rig.reload.put(NIGHT, before, ME)
    run(rig, 150)
    assert (state(rig), version(rig)) == ("provisional", before + 1)


def test_a_swap_whose_commit_was_in_doubt_is_looked_up(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    put = rig.journal.put_config

    def committed_but_late(*args: Any) -> Any:
        put(*args)
        raise DatabaseBusy("planted: it may still be made")

    before = version(rig)
    with monkeypatch.context() as patch:
        patch.setattr(rig.journal, "put_config", committed_but_late)
        with pytest.raises(DatabaseBusy):
            rig.reload.put(BRIGHTER, before, ME)
    assert version(rig) == before
    rig.reload.tick()
    assert version(rig) == before + 1
    assert rig.reload.facts().probation_until_us is not None
    run(rig, 240)
    assert events(rig.folder, "config_confirmed")


def test_a_full_disk_during_a_probation_takes_no_slot_twice(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.reload.put(BRIGHTER, version(rig), ME)
    with monkeypatch.context() as patch:
        patch.setattr(rig.journal, "note_good", _full)
        run(rig, 120)
    run(rig, 60)
    assert not [frame for frame in rig.frames.every() if frame.due_us is None]


@pytest.mark.parametrize("quality", [{"enabled": False}, {"limits": {"bad_below": 0}}, {"limits": {"black_mean": 0}}])
def test_a_document_that_softens_the_judge_cannot_excuse_itself(rig: Rig, quality: dict[str, Any]) -> None:
    before = version(rig)
    rig.reload.put({**BLACK, "quality": quality}, before, ME)
    run(rig, 300)
    assert version(rig) == before
    assert [event["reason"] for event in events(rig.folder, "config_rolled_back")] == ["bad_frames"]


def test_a_judge_that_fails_confirms_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    before = version(rig)
    rig.reload.put(BRIGHTER, before, ME)
    monkeypatch.setattr("node.work.judge.measure", _broken)
    run(rig, 300)
    assert version(rig) == before
    assert [event["reason"] for event in events(rig.folder, "config_rolled_back")] == ["no_confirmation"]


def test_pictures_of_the_old_settings_prove_nothing(rig: Rig) -> None:
    sizes = []

    def put_and_prove() -> None:
        rig.reload.put({**BRIGHTER, "cameras": {CAMERA: {"width": 320, "height": 240}}}, version(rig), ME)
        sizes.append(rig.loop.shoot_now("auto").width)

    rig.loop.ask(put_and_prove)
    rig.loop.turn()
    assert sizes == [320]


def test_what_a_probation_owes_survives_the_end_of_the_process(plan: Plan) -> None:
    with rigged(plan) as rig:
        rig.run(NOON + 3 * MINUTE)
        rig.reload.put(BRIGHTER, version(rig), ME)
        run(rig, 130)
        assert rig.reload.facts().good_seen == 2
    with rigged(plan) as rig:
        assert (rig.reload.facts().good_needed, rig.reload.facts().good_seen) == (3, 2)


def _full(*_args: Any) -> None:
    raise DiskFull("planted")


def _broken(*_args: Any) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("site", [{}, {"latitude": 0, "longitude": -120}], ids=["no coordinates", "night there"])
def test_black_pictures_are_found_without_the_suns_help(tmp_path: Path, site: dict[str, Any]) -> None:
    plan = Plan(tmp_path, JumpClock(NOON), {**EVERY_MINUTE, "site": site}, probation=Probation())
    with rigged(plan) as rig:
        rig.run(NOON + 3 * MINUTE)
        before = version(rig)
        rig.reload.put({**BLACK, "site": site}, before, ME)
        run(rig, 300)
        assert version(rig) == before
        assert [event["reason"] for event in events(tmp_path, "config_rolled_back")] == ["bad_frames"]


@pytest.mark.parametrize("weather", ["clear", "cloudy", "fog", "rain", "snow"])
def test_a_night_that_the_camera_could_see_excuses_no_black_pictures(tmp_path: Path, weather: str) -> None:
    midnight = NOON + 10 * 3600 * US
    plan = Plan(tmp_path, JumpClock(midnight), {**EVERY_MINUTE, "site": SITE}, camera={"weather": weather})
    with rigged(plan) as rig:
        rig.run(midnight + 5 * MINUTE)
        before = version(rig)
        rig.reload.put(BLACK, before, ME)
        run(rig, 300)
        assert version(rig) == before


def test_black_pictures_are_found_after_kill_9_too(plan: Plan) -> None:
    plan = replace(plan, document={**EVERY_MINUTE})
    with rigged(plan) as rig:
        rig.run(NOON + 3 * MINUTE)
        before = version(rig)
        rig.reload.put({name: part for name, part in BLACK.items() if name != "site"}, before, ME)
    with rigged(plan) as rig:
        run(rig, 300)
        assert version(rig) == before


def test_every_wrong_field_is_named_at_once(rig: Rig) -> None:
    document = {
        "cameras": {"nope": {}, CAMERA: {"width": 640}},
        "schedules": {"s": {"interval_s": 0, "cameras": ["z"]}},
    }
    with pytest.raises(DocumentInvalid) as caught:
        rig.reload.put(document, version(rig), ME)
    paths = {fault.path for fault in caught.value.fields}
    assert paths == {f"cameras.{CAMERA}", "cameras.nope", "schedules.s.interval_s", "schedules.s.cameras.0"}
