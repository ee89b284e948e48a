from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from node.crashpoint import VARIABLE
from node.domain.errors import DatabaseBusy, DatabaseDamaged, DiskFull, SchemaNewer
from node.store import replace as module
from node.store import schema, sharing
from node.store.backup import make
from node.store.database import NAME, Database
from node.store.replace import Restored, open_sound, restored_from
from tests.clocks import START_US
from tests.stores import keep_many, opened

DAY_US = 86_400_000_000
ASIDE = f"{NAME}.damaged-20261118T110640Z"
OPENS = """
import sys
from pathlib import Path
from node.store.replace import open_sound
open_sound(Path(sys.argv[1]), int(sys.argv[2])).close()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A database of 30 frames, and a backup of its first 20."""
    with opened(tmp_path) as store:
        keep_many(store, 20)
        make(store.database.path, START_US, bool)
        keep_many(store, 10)
    return tmp_path


def frames(database: Database) -> int:
    return int(database.read(lambda session: session.rows("SELECT COUNT(*) FROM frames"))[0][0])


def sound(folder: Path) -> tuple[int, Restored | None]:
    """How many frames it knows, and what it was made from."""
    database = open_sound(folder, START_US)
    try:
        return frames(database), database.read(restored_from)
    finally:
        database.close()


def garble(path: Path) -> None:
    path.write_bytes(b"garbage" * 5000)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 9 * 2048 + 77])


def test_a_sound_database_is_opened_as_it_is(folder: Path) -> None:
    assert sound(folder) == (30, None)
    assert not list(folder.glob("*damaged*"))


def test_a_first_start_makes_a_database_and_restores_nothing(tmp_path: Path) -> None:
    assert sound(tmp_path) == (0, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([NAME, sharing.USERS])


@pytest.mark.parametrize("harm", [garble, cut])
def test_a_damaged_one_is_put_aside_for_the_newest_backup(folder: Path, harm: object) -> None:
    harm(folder / NAME)  # type: ignore[operator]
    before = (folder / NAME).read_bytes()
    assert sound(folder) == (20, Restored(ASIDE, "heliograph-20261118T110640Z.db"))
    assert (folder / ASIDE).read_bytes() == before
    assert not (folder / module.SCRATCH).exists()


@pytest.mark.parametrize("there", [True, False])
def test_one_that_is_empty_or_gone_is_restored_too(folder: Path, *, there: bool) -> None:
    (folder / NAME).unlink()
    if there:
        (folder / NAME).touch()
    assert sound(folder) == (20, Restored(ASIDE if there else "", "heliograph-20261118T110640Z.db"))


def test_a_log_whose_file_is_gone_is_put_aside_and_the_new_one_begins_without(folder: Path) -> None:
    (folder / NAME).unlink()
    for side in ("-wal", "-shm"):
        (folder / (NAME + side)).write_bytes(b"old" + side.encode())
    assert sound(folder)[0] == 20
    assert (folder / (ASIDE + "-wal")).read_bytes() == b"old-wal"
    assert not (folder / (NAME + "-wal")).exists()


def test_without_a_backup_a_new_one_takes_its_place(tmp_path: Path) -> None:
    garble(tmp_path / NAME)
    assert sound(tmp_path) == (0, Restored(ASIDE, ""))


def test_two_in_one_second_are_both_put_aside(folder: Path) -> None:
    garble(folder / NAME)
    sound(folder)
    cut(folder / NAME)
    assert sound(folder)[1] == Restored(f"{ASIDE}-2", "heliograph-20261118T110640Z.db")
    assert (folder / ASIDE).read_bytes() == b"garbage" * 5000


def test_a_newer_release_s_database_is_no_damage(folder: Path) -> None:
    other = sqlite3.connect(folder / NAME, isolation_level=None)
    other.execute(f"PRAGMA user_version = {schema.SCHEMA + 1}")
    other.execute("INSERT INTO schema_migration (name, applied) VALUES ('0009_other', '2027-01-01')")
    other.close()
    with pytest.raises(SchemaNewer):
        sound(folder)
    assert not list(folder.glob("*damaged*"))


def test_leases_of_the_backup_s_time_are_void_and_cost_no_attempt(tmp_path: Path) -> None:
    job = (
        "INSERT INTO jobs (id, kind, key, state, priority, payload, who, created_us, due_us, attempt, owner,"
        " lease_boot, lease_until_ms, started_us) VALUES (?, 'render', ?, ?, 10, '{}', 'node', 1, 1, ?, ?, 'b', 9, 5)"
    )
    with opened(tmp_path) as store:
        for row in (("a", "x", "leased", 2, "worker"), ("b", "y", "retry", 1, ""), ("c", "z", "dead", 4, "")):
            store.database.write(lambda session, row=row: session.execute(job, row))
        make(store.database.path, START_US, bool)
    (tmp_path / NAME).unlink()
    sound(tmp_path)
    with opened(tmp_path) as store:
        found = store.rows("SELECT id, state, attempt, owner, lease_until_ms FROM jobs ORDER BY id")
    assert found == [("a", "queued", 1, "", 0), ("b", "retry", 1, "", 9), ("c", "dead", 4, "", 9)]


def test_who_has_the_old_file_open_lets_go_of_it_before_it_is_replaced(folder: Path) -> None:
    """Else the last to close the old file would unlink the new one's log."""
    (folder / NAME).touch()
    joined = Database.join(folder / NAME)
    (folder / NAME).unlink()
    found: list[tuple[int, Restored | None]] = []
    thread = threading.Thread(target=lambda: found.append(sound(folder)))
    thread.start()
    while not joined.unwanted():
        assert thread.is_alive()
    assert not (folder / NAME).exists()
    joined.close()
    thread.join(20)
    assert [count for count, _ in found] == [20]


def test_who_does_not_let_go_keeps_the_old_one_in_its_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAVE_S", 0.1)
    joined = Database.join(folder / NAME)
    garble(folder / NAME)
    with pytest.raises(DatabaseBusy, match="does not let go"):
        sound(folder)
    assert (folder / NAME).read_bytes() == b"garbage" * 5000
    with pytest.raises(DatabaseDamaged):
        joined.check()
    joined.close()


def test_without_room_for_the_backup_nothing_is_touched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MARGIN_BYTES", 1 << 60)
    garble(folder / NAME)
    with pytest.raises(DiskFull):
        sound(folder)
    assert (folder / NAME).read_bytes() == b"garbage" * 5000


@pytest.mark.slow
@pytest.mark.parametrize("point", ["restore_made", "restore_aside", "restore_placed"])
def test_a_crash_on_the_way_is_made_good_by_the_next_start(folder: Path, point: str) -> None:
    garble(folder / NAME)
    command = [sys.executable, "-c", OPENS, str(folder), str(START_US)]
    done = subprocess.run(command, env={VARIABLE: point}, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    count, restored = sound(folder)
    assert count == 20
    assert restored is not None
    assert restored.backup == "heliograph-20261118T110640Z.db"
    assert (folder / ASIDE).read_bytes() == b"garbage" * 5000
    with opened(folder) as store:
        store.database.check()
    assert not (folder / module.SCRATCH).exists() or point == "restore_placed"
