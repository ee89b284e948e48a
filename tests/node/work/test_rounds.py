"""What a process beside the service looks at between jobs."""

from __future__ import annotations

import threading
from pathlib import Path

from node.host.pulse import Pulse
from node.work.rounds import RETRY_S, Round, Rounds
from tests.stores import Store, opened


class Looks:
    """Counts its looks; raises while `broken`."""

    def __init__(self) -> None:
        self.count, self.broken = 0, False

    def __call__(self) -> None:
        self.count += 1
        if self.broken:
            raise OSError("gone")


def rounds_of(store: Store, felt: list[Pulse] | None = None, **looks: Round) -> Rounds:
    return Rounds("work", looks, store.journal, store.clock, [].append if felt is None else felt.append)


def failures(store: Store) -> list[str]:
    return [row.body["loop"] for row in store.events.after(0) if row.kind == "loop_failed"]


def test_each_look_comes_when_its_time_has(tmp_path: Path) -> None:
    often, seldom = Looks(), Looks()
    with opened(tmp_path) as store:
        rounds = rounds_of(store, often=Round(1.0, often), seldom=Round(10.0, seldom))
        for _ in range(21):
            rounds.turn()
            store.clock.advance(1.0)
    assert (often.count, seldom.count) == (21, 3)


def test_a_look_that_fails_is_told_of_once_keeps_no_other_and_comes_again(tmp_path: Path) -> None:
    broken, well = Looks(), Looks()
    broken.broken = True
    with opened(tmp_path) as store:
        rounds = rounds_of(store, broken=Round(1.0, broken), well=Round(1.0, well))
        for _ in range(round(3 * RETRY_S)):
            rounds.turn()
            store.clock.advance(1.0)
        assert broken.count == 3
        assert well.count == round(3 * RETRY_S)
        assert failures(store) == ["work/broken"]
        broken.broken = False
        store.clock.advance(RETRY_S)
        rounds.turn()
        broken.broken = True
        store.clock.advance(RETRY_S)
        rounds.turn()
        assert failures(store) == ["work/broken", "work/broken"], "a new failure is told of anew"


def test_a_database_that_takes_nothing_does_not_end_the_loop(tmp_path: Path) -> None:
    broken = Looks()
    broken.broken = True
    with opened(tmp_path) as store:
        rounds = rounds_of(store, broken=Round(1.0, broken))
        store.database.close()
        rounds.turn()
    assert broken.count == 1


def test_it_gives_its_pulse_and_ends_when_asked(tmp_path: Path) -> None:
    felt: list[Pulse] = []
    stop = threading.Event()
    with opened(tmp_path) as store:
        rounds_of(store, felt, only=Round(1.0, stop.set)).run(stop)
    assert len(felt) == 1
    assert felt[0].promise_s >= RETRY_S
