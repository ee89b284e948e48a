from __future__ import annotations

import hashlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.crashpoint import VARIABLE
from node.domain.errors import BackupUnusable, DatabaseDamaged, DiskFull
from node.store import backup, schema
from node.store.backup import at_us, copy, faults_in, made_in, make, newest_sound, prune, verified
from node.store.database import NAME, Database
from tests.clocks import START_US
from tests.stores import Store, keep_many, opened

MAKES = """
import sys
from pathlib import Path
from node.store.backup import make
make(Path(sys.argv[1]), int(sys.argv[2]), bool)
"""
LATER_US = START_US + 30 * 86_400_000_000
STAMPED = "heliograph-20261118T110640Z.db"


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Small, so steps come more often."""
    monkeypatch.setattr(backup, "_OPERATIONS", 50)
    with opened(tmp_path) as store:
        keep_many(store, 40)
        yield store


def nothing() -> None:
    """A step that ends nothing."""


def rows_of(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every table's rows by plain SQL, but for who has it open."""
    other = sqlite3.connect(path)
    names = [
        name for (name,) in other.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'meta'")
    ]
    found = {name: sorted(map(repr, other.execute(f"SELECT * FROM {name}"))) for name in names}
    other.close()
    return found  # type: ignore[return-value]  # texts stand for the rows


def spoiled(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_a_backup_holds_every_row_that_was_committed(filled: Store) -> None:
    made = make(filled.database.path, START_US, nothing)
    assert made == verified(filled.folder / "backup" / STAMPED)
    assert (made.path.name, made.frames, made.size_bytes) == (STAMPED, 40, made.path.stat().st_size)
    assert rows_of(made.path) == rows_of(filled.database.path)
    assert [path.name for path in made.path.parent.iterdir()] == [STAMPED]
    assert at_us(made.path) == START_US


def test_whoever_writes_meanwhile_does_not_wait_and_the_copy_is_of_one_moment(filled: Store) -> None:
    written = threading.Event()

    def write_on() -> None:
        if not written.is_set():
            written.set()
            keep_many(filled, 5)

    made = make(filled.database.path, START_US, write_on)
    assert written.is_set()
    assert filled.database.retries == 0
    assert made.frames in range(40, 46)
    assert filled.rows("SELECT COUNT(*) FROM frames") == [(45,)]


def test_a_step_that_raises_ends_it_and_leaves_nothing(filled: Store) -> None:
    class Ended(Exception):
        pass

    def ends() -> None:
        raise Ended

    with pytest.raises(Ended):
        make(filled.database.path, START_US, ends)
    assert list((filled.folder / "backup").iterdir()) == []


def test_without_room_nothing_is_begun(filled: Store) -> None:
    with pytest.raises(DiskFull):
        make(filled.database.path, START_US, nothing, reserve_bytes=1 << 60)
    assert list((filled.folder / "backup").iterdir()) == []


def test_a_disk_that_fills_on_the_way_is_named_and_the_older_backups_stay(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=True)
    try:
        with opened(tmp_path) as store:
            keep_many(store, 1)
            first = make(store.database.path, START_US, nothing)
            keep_many(store, 1500)
            with pytest.raises(DiskFull):
                copy(store.database.path, small / "copy.db", nothing)
            assert list(small.iterdir()) == []
            assert newest_sound(store.folder / "backup", START_US) == first
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)


def test_damage_in_the_source_gives_no_backup(filled: Store) -> None:
    with sqlite3.connect(filled.database.path) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = other.execute("SELECT rootpage FROM sqlite_master WHERE name = 'frames'").fetchone()
    other.close()
    spoiled(filled.database.path, (root - 1) * 2048, bytes(2048))
    with pytest.raises(DatabaseDamaged):
        make(filled.database.path, START_US, nothing)
    assert list((filled.folder / "backup").iterdir()) == []


def test_a_copy_that_is_not_whole_is_no_backup(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([41, 41, 40])
    monkeypatch.setattr(backup, "_frames", lambda _: next(counts))
    with pytest.raises(BackupUnusable, match="holds 40 frames of 41"):
        make(filled.database.path, START_US, nothing)
    assert list((filled.folder / "backup").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("point", ["backup_written", "backup_named"])
def test_a_crash_leaves_no_half_backup_and_the_next_one_clears_up(filled: Store, point: str) -> None:
    command = [sys.executable, "-c", MAKES, str(filled.database.path), str(START_US)]
    done = subprocess.run(command, env={VARIABLE: point}, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    folder = filled.folder / "backup"
    assert len(made_in(folder)) == (1 if point == "backup_named" else 0)
    assert len(list(folder.iterdir())) == 1
    made = make(filled.database.path, START_US + 1_000_000, nothing)
    assert newest_sound(folder, LATER_US) == made
    assert not list(folder.glob("*.tmp*"))


def test_the_newest_are_kept_and_so_is_the_one_just_made(filled: Store) -> None:
    made = [make(filled.database.path, START_US + day * 86_400_000_000, nothing) for day in range(4)]
    unset = make(filled.database.path, 0, nothing)
    before_step = filled.folder / "backup" / "heliograph-schema-1.db"
    shutil.copy(made[0].path, before_step)
    folder = unset.path.parent
    assert prune(folder, 2, unset.path, LATER_US) == [made[1].path, made[0].path]
    assert made_in(folder) == [made[3].path, made[2].path, unset.path]
    assert before_step.exists()


def test_a_stamp_beyond_now_counts_as_the_oldest(filled: Store) -> None:
    honest = [make(filled.database.path, START_US + day * 86_400_000_000, nothing) for day in range(2)]
    future = make(filled.database.path, LATER_US + 1_000_000, nothing)
    folder = future.path.parent
    assert newest_sound(folder, LATER_US) == honest[1]
    assert newest_sound(folder, LATER_US + 1_000_000) == future
    assert prune(folder, 2, honest[1].path, LATER_US) == [future.path]
    for made in honest:
        made.path.unlink()
    last = make(filled.database.path, LATER_US + 1_000_000, nothing)
    assert newest_sound(folder, LATER_US) == last


SPOILING = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[: 7 * 2048 + 100]),
    "empty": lambda path: path.write_bytes(b""),
    "no database": lambda path: path.write_bytes(b"no database" * 1000),
    "zeros in the middle": lambda path: spoiled(path, 4 * 2048, bytes(4 * 2048)),
    "flipped": lambda path: spoiled(path, 5 * 2048, b"\xff" * 16),
    "gone": lambda path: path.unlink(),
    "another program's": lambda path: changed(path, "PRAGMA application_id = 7"),
    "of a newer release": lambda path: changed(path, f"PRAGMA user_version = {schema.SCHEMA + 1}"),
    "without frames": lambda path: changed(path, "DROP TABLE frames"),
}


def changed(path: Path, sql: str) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute(sql)
    other.close()


@pytest.mark.parametrize("how", SPOILING)
def test_a_backup_that_is_not_sound_is_passed_over_for_the_next_older_one(filled: Store, how: str) -> None:
    older = make(filled.database.path, START_US, nothing)
    newer = make(filled.database.path, START_US + 86_400_000_000, nothing)
    assert newest_sound(older.path.parent, LATER_US) == newer
    SPOILING[how](newer.path)
    with pytest.raises(BackupUnusable):
        verified(newer.path)
    assert newest_sound(older.path.parent, LATER_US) == older


def test_a_look_at_a_backup_changes_nothing_in_its_folder(filled: Store) -> None:
    made = make(filled.database.path, START_US, nothing)
    before = hashlib.sha256(made.path.read_bytes()).hexdigest()
    verified(made.path)
    assert [path.name for path in made.path.parent.iterdir()] == [made.path.name]
    assert hashlib.sha256(made.path.read_bytes()).hexdigest() == before


def test_where_no_backup_is_sound_the_copy_before_a_migration_is_taken(filled: Store) -> None:
    folder = filled.folder / "backup"
    assert newest_sound(folder, LATER_US) is None
    made = make(filled.database.path, START_US, nothing)
    shutil.copy(made.path, folder / "heliograph-schema-1.db")
    made.path.write_bytes(b"")
    found = newest_sound(folder, LATER_US)
    assert found is not None
    assert found.path.name == "heliograph-schema-1.db"


def test_the_full_check_names_what_it_finds(filled: Store) -> None:
    assert faults_in(filled.database.path, nothing) == []
    filled.database.write(lambda session: session.execute("DELETE FROM day_counts"))
    with sqlite3.connect(filled.database.path) as other:
        other.execute("DELETE FROM frames WHERE seq = 7")  # without foreign keys
    other.close()
    assert faults_in(filled.database.path, nothing) != []
    assert all("frames" in each for each in faults_in(filled.database.path, nothing))


def test_the_full_check_finds_an_index_that_lies(filled: Store) -> None:
    """Which a quick check does not."""
    with sqlite3.connect(filled.database.path, isolation_level=None) as other:
        other.execute("PRAGMA writable_schema = ON")
        other.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'camera, id', 'profile, id') WHERE name = 'frames_camera'"
        )
    other.close()
    filled.database.check()
    assert any("frames_camera" in each for each in faults_in(filled.database.path, nothing))


def test_a_backup_can_be_opened_as_a_database(filled: Store, tmp_path: Path) -> None:
    made = make(filled.database.path, START_US, nothing)
    (tmp_path / "other").mkdir()
    shutil.copy(made.path, tmp_path / "other" / NAME)
    again = Database(tmp_path / "other" / NAME)
    assert again.read(lambda session: session.pragma("page_size")) == 2048
    assert again.read(lambda session: session.pragma("auto_vacuum")) == 2
    again.close()
