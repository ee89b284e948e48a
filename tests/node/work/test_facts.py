from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node.clock import US
from node.domain.config import AlertLimits
from node.domain.errors import DatabaseBusy
from node.domain.facts import (
    DISK,
    HEALTH,
    LEASE,
    RELEASE,
    DiskFacts,
    LeaseFacts,
    LoopFacts,
    camera_key,
    gather,
    loop_key,
)
from node.domain.health import probes
from node.domain.lease import Wish
from node.work.beside import Beside
from node.work.facts import FactsLoop, Sources
from tests.clocks import JumpClock
from tests.simulate.rig import CAMERA, Plan, Rig, rigged

FAST = {"schedules": {"each": {"interval_s": 10}}, "alerts": {"disk_reserve_bytes": 0, "hold_down_s": 0}}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rigged(Plan(tmp_path, JumpClock(), FAST)) as made:
        yield made


def loop_of(rig: Rig) -> FactsLoop:
    return FactsLoop(
        Sources(
            held=rig.keeper._held,
            clock=rig.clock,
            database=rig.database,
            journal=rig.journal,
            board=rig.board,
            live=rig.reload.live,
            reload=rig.reload,
            cameras={CAMERA: rig.loop},
            backends={CAMERA: "synthetic"},
            newest_event=rig.events.newest,
            beside=Beside(
                rig.database,
                rig.board,
                rig.clock,
                rig.keeper._held.data_dir,
                (),
                lambda: rig.reload.live.current.document,
            ),
            holds=rig.holds,
            leases=rig.leases,
            release=rig.folder / "release.json",
        )
    )


@pytest.fixture
def facts(rig: Rig) -> FactsLoop:
    return loop_of(rig)


def pulse(rig: Rig) -> LoopFacts:
    fact = rig.board.read(loop_key("facts"))
    assert fact is not None
    assert isinstance(fact.value, LoopFacts)
    return fact.value


def failures(rig: Rig) -> list[str]:
    """Loops that were told of as failed, in order."""
    return [row.body["loop"] for row in rig.events.after(0) if row.kind == "loop_failed"]


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> None:
        raise error

    return fail


def turns(rig: Rig, facts: FactsLoop, count: int) -> None:
    for _ in range(count):
        facts.turn()
        rig.clock.advance(1)


def test_a_camera_whose_frames_nobody_judges_is_as_fresh_as_its_frames(tmp_path: Path) -> None:
    unjudged = {**FAST, "quality": {"enabled": False}}
    with rigged(Plan(tmp_path, JumpClock(), unjudged)) as rig:
        rig.run(rig.clock.now_us() + 600 * US, loop_of(rig).turn)
        (camera,) = gather(rig.board.all().values()).cameras
        assert camera.value.last_good_us is not None
        assert camera.at_us - camera.value.last_good_us < 30 * US
        health = rig.board.read(HEALTH)
        assert health is not None
        assert "no_good_frame" not in [alert.code for alert in health.value.alerts]


def test_every_look_says_what_it_cost(rig: Rig, facts: FactsLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    real = rig.reload.facts

    def slow() -> Any:
        rig.clock.advance(0.25)
        return real()

    monkeypatch.setattr(rig.reload, "facts", slow)
    facts.turn()
    costs = {
        each.name: each.took_ms for each in probes(gather(rig.board.all().values()), AlertLimits(), rig.clock.now_us())
    }
    assert costs == {
        "config": 250.0, "clock": 0.0, "disk": 0.0, "host": 0.0, "database": 0.0, camera_key(CAMERA): 0.0,
        loop_key("facts"): 250.0,
    }  # fmt: skip


def test_a_data_folder_that_is_gone_has_no_size(rig: Rig, facts: FactsLoop) -> None:
    facts.turn()
    (rig.folder / "lock").rename(rig.folder / "elsewhere")
    turns(rig, facts, 11)
    disk = rig.board.read(DISK)
    assert disk is not None
    assert disk.value == DiskFacts(error_code="DSK-004")
    health = rig.board.read(HEALTH)
    assert health is not None
    assert [alert.code for alert in health.value.alerts if alert.subject == "disk"] == ["disk_unwritable"]


def test_a_task_that_goes_on_failing_hides_no_other_one(
    rig: Rig, facts: FactsLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig.database, "wal_bytes", failing(OSError("no answer")))
    turns(rig, facts, 3)
    assert (pulse(rig).failures, pulse(rig).error) == (3, "database: OSError: no answer")
    monkeypatch.setattr(rig.reload, "facts", failing(ValueError("wrong")))
    turns(rig, facts, 2)
    assert (pulse(rig).failures, pulse(rig).error) == (5, "database: OSError: no answer; config: ValueError: wrong")
    assert failures(rig) == ["facts/database", "facts/config"]
    monkeypatch.undo()
    facts.turn()
    assert pulse(rig) == LoopFacts("facts", 1.0)


def test_a_rare_task_that_failed_is_not_left_for_long(
    rig: Rig, facts: FactsLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(rig.journal, "trim_events", failing(DatabaseBusy("held")))
        turns(rig, facts, 5)
        assert pulse(rig).error == "upkeep: DatabaseBusy: DB-001 database did not take the write in time: held"
    turns(rig, facts, 6)
    assert pulse(rig).failures == 0


def test_who_holds_the_lease_is_a_fact_until_it_ends(rig: Rig, facts: FactsLoop) -> None:
    facts.turn()
    assert said(rig) == LeaseFacts()
    rig.leases.take(Wish("push-1@ops1", "Ann pushes", "ann", 60))
    until_us = rig.clock.now_us() + 60 * US
    rig.clock.advance(1)
    facts.turn()
    assert said(rig) == LeaseFacts("push-1@ops1", "Ann pushes", until_us)
    rig.clock.advance(59)
    facts.turn()
    assert said(rig) == LeaseFacts()


def said(rig: Rig) -> LeaseFacts:
    fact = rig.board.read(LEASE)
    assert fact is not None
    assert isinstance(fact.value, LeaseFacts)
    return fact.value


def test_the_last_release_is_a_fact_for_as_long_as_its_file_says_so(rig: Rig, facts: FactsLoop) -> None:
    path = rig.folder / "release.json"
    for text, state in (("", None), ('{"state": "trial", "version": "2", "since_us": 1}', "trial"), ("{", None)):
        path.write_text(text)
        rig.clock.advance(1)
        facts.turn()
        fact = rig.board.read(RELEASE)
        assert fact is not None
        assert fact.value.state == state
