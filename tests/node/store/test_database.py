from __future__ import annotations

import logging
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.domain.errors import DatabaseBusy, DatabaseDamaged, DiskFull, DiskReadOnly
from node.domain.events import ClockStepped
from node.store import database as module
from node.store import writer
from node.store.database import NAME, READERS, Database
from node.store.session import Session, Work
from tests.stores import Store, keep_many, not_closed, opened

KEYS = "SELECT key FROM meta WHERE key NOT LIKE 'open%' ORDER BY key"
INSERT = "INSERT INTO meta (key, value) VALUES (?, ?)"


def put(key: str) -> Work[int]:
    return lambda session: session.execute(INSERT, (key, "x")).rowcount


def keys(database: Database) -> list[str]:
    return [key for (key,) in database.read(lambda session: session.rows(KEYS))]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / NAME)
    yield made
    made.close()


@pytest.fixture
def held(database: Database) -> Iterator[threading.Event]:
    """The writer thread is inside a transaction until the event is set."""
    inside, release = threading.Event(), threading.Event()

    def wait(_: Session) -> None:
        inside.set()
        release.wait(10)

    thread = threading.Thread(target=lambda: database.write(wait, timeout_s=10))
    thread.start()
    assert inside.wait(5)
    yield release
    release.set()
    thread.join()


def test_it_is_durable_and_bounded_as_promised(database: Database) -> None:
    wanted = {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "auto_vacuum": 2, "page_size": 2048,
        "journal_size_limit": 4 * 1024 * 1024,
    }  # fmt: skip
    found = database.write(lambda session: {name: session.pragma(name) for name in wanted})
    assert found == wanted
    assert database.read(lambda session: session.pragma("query_only")) == 1


def test_a_write_returns_what_its_work_returned_and_is_there_for_readers(database: Database) -> None:
    assert database.write(put("a")) == 1
    assert keys(database) == ["a"]


def test_a_write_that_raises_leaves_nothing_and_the_next_one_goes_on(database: Database) -> None:
    def fail(session: Session) -> None:
        session.execute(INSERT, ("lost", "x"))
        raise DiskFull("full")

    with pytest.raises(DiskFull):
        database.write(fail)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        database.write(lambda session: session.execute("INSERT INTO nowhere VALUES (1)"))
    database.write(put("a"))
    assert keys(database) == ["a"]


def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises(DiskReadOnly):
        database.read(put("a"))


def test_a_read_sees_one_moment(database: Database) -> None:
    def twice(session: Session) -> tuple[int, int]:
        before = len(session.rows(KEYS))
        database.write(put("a"))
        return before, len(session.rows(KEYS))

    assert database.read(twice) == (0, 0)
    assert keys(database) == ["a"]


def test_two_databases_live_in_one_process(tmp_path: Path, database: Database) -> None:
    (tmp_path / "other").mkdir()
    with opened(tmp_path / "other") as other:
        other.journal.begin_book()
        other.database.write(put("theirs"))
        database.write(put("ours"))
        assert (keys(database), keys(other.database)) == (["ours"], ["theirs"])
        assert database.read(lambda session: session.rows("SELECT * FROM configs")) == []


def test_an_urgent_write_overtakes_those_that_wait(database: Database, held: threading.Event) -> None:
    done: list[str] = []
    threads = [
        threading.Thread(target=lambda name=name: database.write(lambda _: done.append(name), urgent=name == "urgent"))
        for name in ("first", "second", "urgent")
    ]
    for waiting, thread in enumerate(threads, start=1):
        thread.start()
        until(lambda waiting=waiting: database.waiting == waiting)
    held.set()
    for thread in threads:
        thread.join()
    assert done == ["urgent", "first", "second"]


def test_a_write_that_never_began_in_time_is_busy_and_is_never_made(database: Database, held: threading.Event) -> None:
    with pytest.raises(DatabaseBusy, match=r"not written within 0\.05 s"):
        database.write(put("late"), timeout_s=0.05)
    held.set()
    database.write(put("next"))
    assert keys(database) == ["next"]


def test_a_write_begun_but_given_up_is_never_committed(database: Database) -> None:
    release = threading.Event()

    def slow(session: Session) -> None:
        session.execute(INSERT, ("slow", "x"))
        release.wait(5)

    with pytest.raises(DatabaseBusy, match=r"not written within 0\.05 s"):
        database.write(slow, timeout_s=0.05)
    release.set()
    database.write(put("next"))
    assert keys(database) == ["next"]


@pytest.mark.parametrize("hangs_s", [0.3, 1.0])
def test_a_commit_under_way_is_waited_for_and_one_that_hangs_is_said(
    database: Database, monkeypatch: pytest.MonkeyPatch, hangs_s: float
) -> None:
    session = database._own
    real, late = session.execute, threading.Event()

    def execute(sql: str, *values: Any) -> Any:
        if sql == "COMMIT":
            late.wait(hangs_s)
        return real(sql, *values)

    monkeypatch.setattr(session, "execute", execute)
    monkeypatch.setattr(writer, "COMMIT_S", 0.5)
    if hangs_s < 0.5:
        assert database.write(put("a"), timeout_s=0.01) == 1
    else:
        with pytest.raises(DatabaseBusy, match="it may still be made"):
            database.write(put("a"), timeout_s=0.01)
    late.set()
    database.write(put("b"))
    assert keys(database) == ["a", "b"]


def test_a_full_lane_refuses_and_the_urgent_lane_stays_open(
    database: Database, held: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LANE", 0)
    with pytest.raises(DatabaseBusy, match="wait already"):
        database.write(put("a"))
    monkeypatch.setattr(writer, "LANE", 1)
    with pytest.raises(DatabaseBusy, match="not written"):
        database.write(put("a"), timeout_s=0.01)
    with pytest.raises(DatabaseBusy, match="wait already"):
        database.write(put("b"), timeout_s=0.01)
    with pytest.raises(DatabaseBusy, match="not written"):
        database.write(put("c"), urgent=True, timeout_s=0.01)


def test_a_lock_of_another_process_is_waited_for(database: Database) -> None:
    other = sqlite3.connect(database.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, other.execute, ["COMMIT"])
    release.start()
    assert database.write(put("a")) == 1
    release.join()
    assert database.retries > 0
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseBusy, match="locked"):
        database.write(put("b"), timeout_s=0.2)
    other.execute("COMMIT")
    other.close()
    assert keys(database) == ["a"]


def test_readers_are_few_and_waiting_for_one_ends(database: Database) -> None:
    inside, release = threading.Semaphore(0), threading.Event()

    def wait(_: Session) -> None:
        inside.release()
        release.wait(10)

    threads = [threading.Thread(target=database.read, args=[wait]) for _ in range(READERS)]
    for thread in threads:
        thread.start()
        assert inside.acquire(timeout=5)
    with pytest.raises(DatabaseBusy, match="readers were busy"):
        database.read(lambda _: None, timeout_s=0.05)
    release.set()
    for thread in threads:
        thread.join()
    assert keys(database) == []


def test_the_data_version_moves_with_every_commit_of_anybody(database: Database) -> None:
    versions = [database.data_version(), database.data_version()]
    database.write(put("a"))
    versions.append(database.data_version())
    with sqlite3.connect(database.path) as other:
        other.execute(INSERT, ("b", "x"))
    other.close()
    versions.append(database.data_version())
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3


def test_slow_work_is_logged_by_name_and_every_write_is_measured(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW_S", 0.0)
    measured: list[str] = []
    (tmp_path / "b").mkdir()
    database = Database(tmp_path / "b" / NAME, lambda name, seconds: measured.append(name) if seconds > 0 else None)
    with caplog.at_level(logging.WARNING):
        database.write(keep_something)
        database.read(read_something)
    database.close()
    assert measured == ["keep_something"]
    assert [(record.message, record.query) for record in caplog.records] == [  # type: ignore[attr-defined]  # an extra
        ("slow query", "keep_something"), ("slow query", "read_something"),
    ]  # fmt: skip


def keep_something(session: Session) -> None:
    session.execute(INSERT, ("a", "x"))


def read_something(session: Session) -> int:
    return len(session.rows("SELECT 1"))


def test_the_log_stays_bounded_while_much_is_written(store: Store) -> None:
    for _ in range(40):
        store.journal.note([ClockStepped(1.0)] * 500)
    assert 0 < store.database.wal_bytes() <= 5 * 1024 * 1024


def test_closing_finishes_what_waits_then_refuses(database: Database, held: threading.Event) -> None:
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(database.write(put("a"), timeout_s=5)))
    thread.start()
    until(lambda: database.waiting == 1)
    closing = threading.Thread(target=database.close)
    closing.start()
    held.set()
    closing.join()
    thread.join()
    assert answers == [1]
    with pytest.raises(DatabaseBusy, match="closing"):
        database.write(put("b"))
    database.close()
    with sqlite3.connect(database.path) as after:
        assert after.execute("SELECT key FROM meta").fetchall() == [("a",)]
    after.close()
    assert database.wal_bytes() == 0


def test_a_writer_that_does_not_end_is_said_and_waited_for_no_longer(
    database: Database, held: threading.Event, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CLOSE_S", 0.05)
    database.close()
    assert "did not end" in caplog.text


def test_clean_tells_whether_the_last_life_closed_it(tmp_path: Path) -> None:
    path = tmp_path / NAME
    first = Database(path)
    assert first.clean
    first.close()
    second = Database(path)
    assert second.clean
    copy = tmp_path / "crashed" / NAME
    copy.parent.mkdir()
    second.write(put("a"))
    for side in ("", "-wal"):
        copy.with_name(NAME + side).write_bytes(path.with_name(NAME + side).read_bytes())
    second.close()
    crashed = Database(copy)
    assert not crashed.clean
    assert keys(crashed) == ["a"]
    crashed.close()


def crashed_copy(folder: Path) -> Path:
    """A database with rows in the file and more in the log, as a power cut leaves it."""
    (folder / "life").mkdir()
    with opened(folder / "life") as store:
        keep_many(store, 50)
        clock = store.clock
    with opened(folder / "life", clock) as store:
        keep_many(store, 50)
        for side in ("", "-wal"):
            (folder / (NAME + side)).write_bytes(store.database.path.with_name(NAME + side).read_bytes())
    return folder / NAME


def test_a_torn_log_costs_only_what_was_torn(tmp_path: Path) -> None:
    path = crashed_copy(tmp_path)
    log = path.with_name(NAME + "-wal")
    whole = log.stat().st_size
    assert whole > 100_000
    with log.open("r+b") as file:
        file.truncate(whole - 5000)
    with opened(tmp_path) as store:
        assert not store.database.clean
        store.database.check()
        kept = store.rows("SELECT COUNT(*) FROM frames")[0][0]
        assert 95 <= int(str(kept)) < 100
        assert store.rows("SELECT COUNT(*), MAX(id) FROM events") == [(kept, kept)]
        assert store.rows("SELECT COUNT(*) FROM slots") == [(kept,)]
        keep_many(store, 1)


def test_a_garbled_log_costs_only_what_came_after(tmp_path: Path) -> None:
    path = crashed_copy(tmp_path)
    log = path.with_name(NAME + "-wal")
    spoil(log, log.stat().st_size // 2, 64)
    with opened(tmp_path) as store:
        store.database.check()
        kept = store.rows("SELECT COUNT(*) FROM frames")[0][0]
        assert 50 < int(str(kept)) < 100
        assert store.rows("SELECT COUNT(*), MAX(id) FROM events") == [(kept, kept)]


def spoil(path: Path, at: int, size: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(size)
        file.seek(at)
        file.write(bytes(byte ^ 0xFF for byte in old))


def test_flipped_bits_are_named_as_damage(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        keep_many(store, 200)
    path = tmp_path / NAME
    not_closed(path)
    for page in range(3, path.stat().st_size // 2048, 3):
        spoil(path, page * 2048, 8)
    with pytest.raises(DatabaseDamaged):
        Database(path)


def test_damage_found_later_is_named_too(store: Store) -> None:
    keep_many(store, 50)
    with sqlite3.connect(store.database.path) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = other.execute("SELECT rootpage FROM sqlite_master WHERE name = 'frames'").fetchone()
    other.close()
    spoil(store.database.path, (root - 1) * 2048, 2048)
    with pytest.raises(DatabaseDamaged):
        store.database.check()
    with pytest.raises(DatabaseDamaged):
        store.rows("SELECT COUNT(path) FROM frames NOT INDEXED")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"this is not a database" * 100)
    with pytest.raises(DatabaseDamaged, match="not a database"):
        Database(tmp_path / NAME)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_named_loses_nothing_and_passes(small_disk: Path) -> None:
    with opened(small_disk) as store:
        kept = keep_many(store, 20)
        ballast = small_disk / "ballast"
        with pytest.raises(OSError, match="No space"):
            ballast.write_bytes(bytes(2_000_000))
        with pytest.raises(DiskFull):
            keep_many(store, 100)
        assert store.journal.trouble == "DSK-001"
        before = list(store.frames.every())
        assert before[:20] == kept
        ballast.unlink()
        again = keep_many(store, 5)
        assert store.journal.trouble == ""
        assert list(store.frames.every()) == [*before, *again]
        store.database.check()


def test_a_disk_that_is_full_from_the_start_is_named(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        (small_disk / "ballast").write_bytes(bytes(2_000_000))
    with pytest.raises(DiskFull):
        Database(small_disk / NAME)


def test_a_read_only_disk_is_named(small_disk: Path) -> None:
    Database(small_disk / NAME).close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(DiskReadOnly):
        Database(small_disk / NAME)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DiskReadOnly, match="unable to open"):
        Database(tmp_path / "nowhere" / NAME)


def until(ready: object, timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not ready():
        assert time.monotonic() < deadline
        pause.wait(0.005)
