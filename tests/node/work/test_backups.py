from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from node.crashpoint import VARIABLE
from node.domain.config import Document, parse_document
from node.domain.errors import DatabaseDamaged
from node.domain.times import US, to_us
from node.jobs import Jobs
from node.store import database as database_module
from node.store.backup import made_in, make, verified
from node.store.database import NAME, Database
from node.store.jobs import JobReader
from node.work.backups import RHYTHMS, BackupRounds, due, handlers
from node.work.task import Desk
from node.work.worker import Worker
from tests.clocks import START_US, JumpClock
from tests.stores import Store, keep_many, opened

NIGHT, DAY_S = RHYTHMS["backup"], 86_400
UTC_ZONE = ZoneInfo("UTC")
WORKS = """
import sys
from pathlib import Path
from node.domain.config import parse_document
from node.jobs import Jobs
from node.work.backups import handlers
from node.work.task import Desk
from node.work.worker import Worker
from tests.clocks import JumpClock
from tests.stores import opened

folder = Path(sys.argv[1])
with opened(folder, JumpClock(int(sys.argv[2]))) as store:
    document = parse_document({"alerts": {"disk_reserve_bytes": 0}})
    jobs = Jobs(store.journal)
    jobs.enqueue("backup", "node", {})
    worker = Worker(Desk(jobs, store.clock), handlers(store.journal, lambda: document), folder / "scratch")
    while not worker.turn():
        store.clock.advance(400)
"""


def document_of(**changes: Any) -> Document:
    return parse_document({"alerts": {"disk_reserve_bytes": 0}, **changes})


class Bench:
    def __init__(self, store: Store) -> None:
        self.store, self.document = store, document_of()
        self.jobs = Jobs(store.journal, jitter=lambda: 0.0)
        self.rounds = BackupRounds(store.journal, lambda: self.document)
        self.worker = Worker(
            Desk(self.jobs, store.clock), handlers(store.journal, lambda: self.document), store.folder / "scratch"
        )

    @property
    def folder(self) -> Path:
        return self.store.folder / "backup"

    def asked(self, kind: str) -> list[str]:
        return [str(state) for (state,) in self.store.rows("SELECT state FROM jobs WHERE kind = ? ORDER BY seq", kind)]

    def does(self, kind: str) -> Any:
        """The job after its attempt."""
        job = self.jobs.enqueue(kind, "node", {})
        assert self.worker.turn()
        return JobReader(self.store.database).get(job.id)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with opened(tmp_path) as store:
        keep_many(store, 25)
        yield Bench(store)


def test_a_backup_job_leaves_a_verified_backup_and_says_so(bench: Bench) -> None:
    job = bench.does("backup")
    (path,) = made_in(bench.folder)
    assert (job.state, job.result["path"], job.result["frames"]) == ("done", f"backup/{path.name}", 25)
    assert verified(path).frames == 25
    (event,) = [event for event in bench.store.events.after(0, 1000) if event.kind == "backup"]
    assert event.body == {"path": f"backup/{path.name}", "size_bytes": path.stat().st_size, "frames": 25}


def test_so_many_backups_are_kept_as_the_document_says(bench: Bench) -> None:
    bench.document = document_of(retention={"backups": 2})
    for _ in range(4):
        bench.store.clock.advance(DAY_S)
        bench.does("backup")
    newest = datetime.fromtimestamp(bench.store.clock.now_us() / US, UTC)
    assert len(made_in(bench.folder)) == 2
    assert made_in(bench.folder)[0].name == f"heliograph-{newest:%Y%m%dT%H%M%SZ}.db"


def test_a_backup_that_an_attempt_made_before_it_died_counts(bench: Bench) -> None:
    make(bench.store.database.path, bench.store.clock.now_us(), bool)
    bench.store.clock.advance(5)
    bench.jobs.enqueue("backup", "node", {})
    bench.store.clock.advance(5)
    made = make(bench.store.database.path, bench.store.clock.now_us(), bool)
    bench.store.clock.advance(5)
    job = bench.does("backup")
    assert (job.state, job.result["path"]) == ("done", f"backup/{made.path.name}")
    assert len(made_in(bench.folder)) == 2


def test_a_backup_stamped_in_the_future_stops_no_other_and_goes_first(bench: Bench) -> None:
    bench.document = document_of(retention={"backups": 3})
    future = make(bench.store.database.path, bench.store.clock.now_us() + 3650 * DAY_S * US, bool)
    paths = []
    for _ in range(3):
        bench.store.clock.advance(DAY_S)
        paths.append(bench.does("backup").result["path"])
    assert len(set(paths)) == 3
    assert not future.path.exists()
    assert [f"backup/{path.name}" for path in made_in(bench.folder)] == paths[::-1]


@pytest.mark.slow
@pytest.mark.parametrize("point", ["backup_written", "backup_named", "job_handled", "job_claimed", "job_settled"])
def test_a_worker_killed_at_each_step_leaves_one_backup_in_the_end(tmp_path: Path, point: str) -> None:
    with opened(tmp_path) as store:
        keep_many(store, 25)
        now_us = store.clock.now_us()
    command = [sys.executable, "-c", WORKS, str(tmp_path), str(now_us)]
    killed = subprocess.run(command, env={VARIABLE: point}, capture_output=True, check=False, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with opened(tmp_path, JumpClock(now_us + 1)) as store:
        bench = Bench(store)
        while bench.asked("backup") != ["done"]:
            bench.worker.turn()
            store.clock.advance(400)
        backups = made_in(bench.folder)
        assert [path.name for path in bench.folder.iterdir()] == [path.name for path in backups]
        assert len(backups) == 1
        assert verified(backups[0]).frames == 25
        told = [event for event in store.events.after(0, 1000) if event.kind == "backup"]
        assert len(told) == 1


def test_without_room_a_backup_is_tried_again_later_and_nothing_was_written(bench: Bench) -> None:
    bench.document = document_of(alerts={"disk_reserve_bytes": 10**13})
    job = bench.does("backup")
    assert (job.state, job.error_code) == ("retry", "DSK-001")
    assert list(bench.folder.iterdir()) == []
    bench.document = document_of()
    bench.store.clock.advance(301)
    assert bench.worker.turn()
    assert bench.asked("backup") == ["done"]


def test_a_sound_database_passes_its_check(bench: Bench) -> None:
    job = bench.does("integrity-check")
    assert (job.state, job.result) == ("done", {"faults": 0})


def spoil_index(path: Path) -> None:
    """An index that is not what it says: only the full check finds it."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA writable_schema = ON")
    other.execute(
        "UPDATE sqlite_master SET sql = replace(sql, 'camera, id', 'profile, id') WHERE name = 'frames_camera'"
    )
    other.close()


def test_damage_makes_a_dead_letter_and_is_looked_into_at_the_next_start(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil_index(bench.store.database.path)
    job = bench.does("integrity-check")
    assert (job.state, job.error_code, job.attempt) == ("dead", "DB-002", 1)
    assert "frames_camera" in job.error
    assert [event.kind for event in bench.store.events.after(0, 1000) if event.level == "error"] == ["job_dead"]
    bench.store.database.close()
    checks: list[str] = []
    real = database_module._check
    monkeypatch.setattr(database_module, "_check", lambda session, how: (checks.append(how), real(session, how)))
    with pytest.raises(DatabaseDamaged, match="frames_camera"):
        Database(bench.store.folder / NAME)
    assert checks == ["integrity_check"]


def test_a_source_that_cannot_be_read_makes_a_dead_letter(bench: Bench) -> None:
    (root,) = bench.store.rows("SELECT rootpage FROM sqlite_master WHERE name = 'hour_scores'")[0]
    with sqlite3.connect(bench.store.database.path) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    with bench.store.database.path.open("r+b") as file:
        file.seek((int(str(root)) - 1) * 2048)
        file.write(b"\xff" * 2048)
    job = bench.does("backup")
    assert (job.state, job.error_code) == ("dead", "DB-002")
    assert list(bench.folder.iterdir()) == []
    assert bench.store.rows("SELECT key FROM meta WHERE key = 'suspect'") == [("suspect",)]


# --- when -------------------------------------------------------------------------------------------------------------


def at(text: str, zone: str = "UTC") -> int:
    return to_us(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))


@pytest.mark.parametrize(
    ("now", "last", "wanted"),
    [
        ("2026-11-18 03:09", "2026-11-17 03:10", False),
        ("2026-11-18 03:10", "2026-11-17 03:10", True),
        ("2026-11-18 12:00", "2026-11-18 03:10", False),
        ("2026-11-18 12:00", "2026-11-18 03:09", True),
        ("2026-11-30 12:00", "2026-11-18 03:10", True),  # it was off for days
        ("2026-11-18 02:00", "1970-01-01 00:00", True),  # the clock was not set
        ("2026-11-18 02:00", "2026-11-18 12:00", False),  # set back a little
        ("2026-11-18 02:00", "2031-01-01 00:00", True),  # set back by years
    ],
)
def test_a_night_s_backup_is_due_once_its_hour_has_come(now: str, last: str, *, wanted: bool) -> None:
    assert due(NIGHT, at(now), at(last), UTC_ZONE) is wanted


def test_the_hour_is_the_site_s(bench: Bench) -> None:
    assert bench
    zone = ZoneInfo("Pacific/Auckland")
    last = at("2026-11-18 12:00", "Pacific/Auckland")
    assert not due(NIGHT, at("2026-11-19 03:09", "Pacific/Auckland"), last, zone)
    assert due(NIGHT, at("2026-11-19 03:10", "Pacific/Auckland"), last, zone)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "UTC", "Australia/Lord_Howe"])
def test_in_a_year_there_is_one_backup_a_day_and_one_check_a_week(zone: str) -> None:
    """Whatever the clocks are put forward and back."""
    made = dict.fromkeys(RHYTHMS, 0)
    last = dict.fromkeys(RHYTHMS, START_US)
    for now_us in range(START_US, START_US + 364 * DAY_S * US, 1800 * US):
        for kind, rhythm in RHYTHMS.items():
            if due(rhythm, now_us, last[kind], ZoneInfo(zone)):
                made[kind], last[kind] = made[kind] + 1, now_us
    assert made == {"upkeep": 364, "backup": 364, "integrity-check": 52, "reconcile": 52}


def test_nothing_is_asked_for_before_the_first_night_and_then_once_a_night(bench: Bench) -> None:
    clock = bench.store.clock
    asked = []
    for _ in range(3 * 24 * 6):
        bench.rounds.turn()
        bench.worker.turn()
        asked.append(len(bench.asked("backup")))
        clock.advance(600)
    assert asked[0] == 0
    assert asked[-1] == 3
    assert bench.asked("backup") == ["done"] * 3
    again = Bench(bench.store)
    again.rounds.turn()
    assert len(again.asked("backup")) == 3


def test_an_idle_turn_touches_no_database(bench: Bench) -> None:
    bench.rounds.turn()
    before = bench.store.database.data_version()
    bench.store.database.close()
    bench.rounds.turn()
    assert before >= 0


def test_a_backup_that_waits_is_not_asked_for_twice(bench: Bench) -> None:
    bench.rounds.turn()
    for _ in range(3):
        bench.store.clock.advance(DAY_S)
        bench.rounds.turn()
    assert bench.asked("backup") == ["queued"]
