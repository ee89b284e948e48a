"""A database that is torn, garbled, cut, emptied or gone, under a real node: each frame that was reported is there."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node.clock import SystemClock
from node.store.backup import make
from node.store.database import NAME
from tests.nodes import PROGRAM, Home, clean_environment, started, wait_for

pytestmark = pytest.mark.slow

PAGE = 2048


@dataclass(frozen=True)
class Life:
    """A node that was killed: its folder, and what its API had reported, by hash."""

    folder: Path
    reported: frozenset[str]
    since_backup: int


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    home = Home(tmp_path_factory.mktemp("life"))
    with started(home) as node:
        wait_for(lambda: len(node.frames()) >= 4, "frames")
        backup = make(home.data / NAME, SystemClock().now_us(), bool)
        wait_for(lambda: len(node.frames()) >= backup.frames + 4, "frames since")
        reported = frozenset(frame["sha256"] for frame in node.frames())
        node.kill()
    return Life(home.folder, reported, len(reported) - backup.frames)


@pytest.fixture
def home(life: Life, tmp_path: Path) -> Home:
    """A copy, so that each test has the same past."""
    home = Home(tmp_path)
    shutil.rmtree(home.data)
    shutil.copytree(life.folder / "data", home.data)
    return home


def flipped(path: Path, at: int, size: int = 16) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(size)
        file.seek(at)
        file.write(bytes(byte ^ 0xFF for byte in old))


def taken_in(data: Path) -> None:
    """The log into the file, so that harm to the file is not healed by the log; the owner's mark stays."""
    other = sqlite3.connect(data / NAME)
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()


def root_of(data: Path, name: str) -> int:
    other = sqlite3.connect(data / NAME)
    (page,) = other.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    other.close()
    return int((page - 1) * PAGE)


def in_file(harm: Callable[[Path], object]) -> Callable[[Path], object]:
    def both(data: Path) -> None:
        taken_in(data)
        harm(data)

    return both


def at_root(name: str) -> Callable[[Path], object]:
    return in_file(lambda data: flipped(data / NAME, root_of(data, name)))


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def emptied(data: Path) -> None:
    (data / NAME).write_bytes(b"")


# what the database is restored from: the backup, nothing (the frames alone), or itself
HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "its log torn": (lambda data: cut(data / (NAME + "-wal"), 0.6), "itself"),
    "its log garbled": (lambda data: flipped(data / (NAME + "-wal"), 60_000, 64), "itself"),
    "its log gone": (lambda data: (data / (NAME + "-wal")).unlink(), "itself"),
    "its first bytes flipped": (in_file(lambda data: flipped(data / NAME, 0)), "backup"),
    "its header flipped": (in_file(lambda data: flipped(data / NAME, 24, 40)), "backup"),
    "its version flipped": (in_file(lambda data: flipped(data / NAME, 61, 2)), "backup"),
    "its schema flipped": (in_file(lambda data: flipped(data / NAME, 100)), "backup"),
    "its frames flipped": (at_root("frames"), "backup"),
    "its index flipped": (at_root("frames_camera"), "backup"),
    "its version book flipped": (at_root("configs"), "backup"),
    "its events flipped": (at_root("events"), "backup"),
    "cut short": (in_file(lambda data: cut(data / NAME, 0.5)), "backup"),
    "cut in a page": (in_file(lambda data: cut(data / NAME, 0.9)), "backup"),
    "emptied": (emptied, "backup"),
    "emptied, its log in place": (lambda data: (data / NAME).write_bytes(b""), "backup"),
    "gone": (lambda data: (data / NAME).unlink(), "backup"),
    "something else": (in_file(lambda data: (data / NAME).write_text("this is no database" * 999)), "backup"),
    "something else, its log in place": (lambda data: (data / NAME).write_text("no database" * 999), "itself"),
    "gone, and so are its backups": (lambda data: (shutil.rmtree(data / "backup"), (data / NAME).unlink()), "frames"),
    "garbled, without a sound backup": (
        lambda data: ([cut(path, 0.7) for path in (data / "backup").glob("*.db")], emptied(data)), "frames",
    ),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
def test_every_frame_that_was_reported_is_there_by_hash(home: Home, life: Life, harm: str) -> None:
    act, source = HARMS[harm]
    act(home.data)
    with started(home) as node:
        frames = node.frames()
        told = restored(home.data)
        wait_for(lambda: len(node.frames()) > len(frames), "a frame of the new life")
    by_hash = {frame["sha256"]: home.data / frame["path"] for frame in frames}
    assert life.reported <= set(by_hash)
    for digest in life.reported:
        assert hashlib.sha256(by_hash[digest].read_bytes()).hexdigest() == digest
    on_disk = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (home.data / "frames").rglob("*.jpg")}
    assert life.reported <= on_disk
    assert_told(told, source, life)
    assert sound(home.data)


def restored(data: Path) -> list[dict[str, Any]]:
    """Events of a restore, by plain SQL."""
    other = sqlite3.connect(data / NAME)
    rows = other.execute("SELECT body FROM events WHERE kind = 'database_restored'").fetchall()
    other.close()
    return [json.loads(body) for (body,) in rows]


def assert_told(told: list[dict[str, Any]], source: str, life: Life) -> None:
    if source == "itself":
        assert told == []
        return
    (event,) = told
    assert bool(event["backup"]) is (source == "backup")
    least = life.since_backup if source == "backup" else len(life.reported)
    assert event["adopted"] >= least


def sound(data: Path) -> bool:
    other = sqlite3.connect(data / NAME)
    found = other.execute("PRAGMA integrity_check").fetchall(), other.execute("PRAGMA foreign_key_check").fetchall()
    other.close()
    return found == ([("ok",)], [])


def test_a_restored_node_is_restored_once(home: Home) -> None:
    (home.data / NAME).unlink()
    for _ in range(2):
        with started(home) as node:
            time.sleep(0.2)
            node.stop()
    assert len(restored(home.data)) == 1


@contextmanager
def working(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """`heliograph-node work` beside it, with the database joined."""
    command = [PROGRAM, "work", "--config", str(home.config)]
    with (home.folder / "work.log").open("ab") as log:
        process = subprocess.Popen(command, stderr=log, env=clean_environment({}))
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def joined(data: Path) -> int:
    """How many marks of processes that have joined there are."""
    other = sqlite3.connect(f"{(data / NAME).as_uri()}?mode=ro", uri=True)
    (count,) = other.execute("SELECT COUNT(*) FROM meta WHERE key GLOB 'open-*'").fetchone()
    other.close()
    return int(count)


def test_a_worker_lets_go_of_the_damaged_file_and_joins_the_one_in_its_place(home: Home, life: Life) -> None:
    with started(home) as node, working(home) as worker:
        wait_for(lambda: joined(home.data) == 1, "the worker has joined")
        node.kill()
        (home.data / NAME).unlink()
        (home.data / f"{NAME}-wal").unlink()
        with started(home) as again:
            reported = {frame["sha256"] for frame in again.frames()}
            wait_for(lambda: joined(home.data) == 1, "the worker has joined the other file")
            assert worker.poll() is None
            assert again.stop()[0] == 0
    assert life.reported <= reported
    assert len(restored(home.data)) == 1
    assert sound(home.data)
