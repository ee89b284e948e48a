"""The follower, over real databases and real processes."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from node.board import Board
from node.clock import SystemClock
from node.domain.errors import DatabaseBusy
from node.domain.events import ClockStepped, Event, LoopFailed
from node.domain.facts import LoopFacts
from node.store import log
from node.store.database import Database
from node.store.log import EventReader, EventRow
from node.work import follower as module
from node.work.follower import Follower, Source

PATIENCE_S = 10.0

WRITER = """
import sys
from pathlib import Path
from node.domain.events import ClockStepped
from node.store import log
from node.store.database import Database

database = Database(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    database.write(lambda session: log.append(session, [ClockStepped(float(number)), ClockStepped(number + 0.5)], 1))
database.close()
"""


class Scene:
    """A follower with a list of what it delivered."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.board = Board()
        self.reported: list[LoopFailed] = []
        self.rows: list[EventRow] = []
        reader = EventReader(database)
        self.source = Source(reader.after, reader.newest, database.data_version)
        self.subscribers: dict[str, Callable[[EventRow], object]] = {"list": self.rows.append}

    def make(self) -> Follower:
        return Follower(self.source, self.subscribers, SystemClock(), self.board, self.reported.append)

    def write(self, *events: Event) -> None:
        self.database.write(lambda session: log.append(session, events, 1))

    def ids(self) -> list[int]:
        return [row.id for row in self.rows]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    database = Database(tmp_path / "test.db")
    yield Scene(database)
    database.close()


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert holds()


def test_a_step_delivers_what_is_new_once_and_in_order(scene: Scene) -> None:
    scene.write(ClockStepped(0.0))
    follower = scene.make()
    follower.begin()
    scene.write(ClockStepped(1.0), ClockStepped(2.0))
    follower.step()
    follower.step()
    assert [row.body["by_s"] for row in scene.rows] == [1.0, 2.0]
    assert follower.last_id == 3


def test_it_may_begin_at_any_event(scene: Scene) -> None:
    scene.write(ClockStepped(0.0), ClockStepped(1.0), ClockStepped(2.0))
    follower = scene.make()
    follower.begin(after_id=1)
    follower.step()
    assert scene.ids() == [2, 3]


def test_more_events_than_a_batch_come_complete(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 4)
    follower = scene.make()
    follower.begin()
    scene.write(*(ClockStepped(float(number)) for number in range(11)))
    follower.step()
    assert scene.ids() == list(range(1, 12))


def test_a_poke_wakes_it_at_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 60.0)
    follower = scene.make()
    follower.begin()
    follower.start()
    scene.write(ClockStepped(1.0))
    follower.poke()
    _until(lambda: scene.ids() == [1])
    scene.write(ClockStepped(2.0))
    follower.poke()
    _until(lambda: scene.ids() == [1, 2])
    follower.stop()


def test_without_a_poke_it_looks_by_itself(scene: Scene) -> None:
    follower = scene.make()
    follower.begin()
    follower.start()
    for number in (1, 2):
        scene.write(ClockStepped(float(number)))
        _until(lambda number=number: scene.ids() == [*range(1, number + 1)])
    follower.stop()


def test_stopping_delivers_what_was_committed_before(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 60.0)
    follower = scene.make()
    follower.begin()
    follower.start()
    scene.write(*(ClockStepped(float(number)) for number in range(20)))
    follower.stop()
    assert scene.ids() == list(range(1, 21))


def test_stopping_what_was_never_started_is_harmless(scene: Scene) -> None:
    scene.make().stop()
    assert scene.rows == []


def test_events_of_two_other_processes_and_this_one_come_once_and_in_order(scene: Scene) -> None:
    follower = scene.make()
    follower.begin()
    follower.start()
    path = str(scene.database.path)
    with (
        subprocess.Popen([sys.executable, "-c", WRITER, path, "40"]) as first,
        subprocess.Popen([sys.executable, "-c", WRITER, path, "40"]) as second,
    ):
        for number in range(40):
            scene.write(ClockStepped(float(number)))
            follower.poke()
        assert (first.wait(30), second.wait(30)) == (0, 0)
    _until(lambda: len(scene.rows) >= 200)
    follower.stop()
    assert scene.ids() == list(range(1, 201))


def test_a_subscriber_that_raises_is_reported_once_and_stops_no_other(scene: Scene) -> None:
    asked: list[int] = []

    def broken(row: EventRow) -> None:
        asked.append(row.id)
        if row.id in (1, 2, 4):
            raise ValueError("no")

    scene.subscribers = {"broken": broken, "list": scene.rows.append}
    follower = scene.make()
    follower.begin()
    scene.write(*(ClockStepped(float(number)) for number in range(4)))
    follower.step()
    assert scene.ids() == asked == [1, 2, 3, 4]
    failed = LoopFailed("follower/broken", "ValueError: no", 1)
    assert scene.reported == [failed, failed]


def test_a_database_that_cannot_be_read_for_a_while_loses_nothing(scene: Scene) -> None:
    broken = threading.Event()
    broken.set()
    source = scene.source

    def after(last_id: int, limit: int) -> Sequence[EventRow]:
        if broken.is_set():
            raise DatabaseBusy("held")
        return source.after(last_id, limit)

    scene.source = Source(after, source.newest, source.version)
    follower = scene.make()
    follower.begin()
    follower.start()
    scene.write(ClockStepped(1.0))
    follower.poke()
    _until(lambda: len(scene.reported) == 1)
    _until(lambda: _pulse(scene).failures > 1)
    broken.clear()
    _until(lambda: scene.ids() == [1])
    _until(lambda: _pulse(scene).failures == 0)
    follower.stop()
    assert [failed.loop for failed in scene.reported] == ["follower"]


def _pulse(scene: Scene) -> LoopFacts:
    fact = scene.board.read("loop/follower")
    return fact.value if fact else LoopFacts("follower", 0.0)


def test_a_report_that_cannot_be_recorded_does_not_end_the_follower(scene: Scene) -> None:
    def report(failed: LoopFailed) -> None:
        raise DatabaseBusy("held")

    def broken(row: EventRow) -> None:
        raise ValueError("no")

    follower = Follower(scene.source, {"broken": broken} | scene.subscribers, SystemClock(), scene.board, report)
    follower.begin()
    scene.write(ClockStepped(1.0))
    follower.step()
    assert scene.ids() == [1]
