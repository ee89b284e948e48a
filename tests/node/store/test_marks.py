from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from node.domain.errors import DatabaseDamaged, DatabaseMissing
from node.store import database as module
from node.store import marks, schema
from node.store.database import NAME, Database
from node.store.peek import peeked
from tests.stores import not_closed, opened

HOLDS = """
import sys
from pathlib import Path
from node.store.database import Database
database = (Database.join if sys.argv[2] == "join" else Database)(Path(sys.argv[1]))
database.write(lambda session: session.execute("INSERT OR REPLACE INTO meta VALUES (?, 'x')", (sys.argv[2],)))
print("ready", flush=True)
sys.stdin.read()
database.close()
"""


def holder(path: Path, how: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def ended(process: subprocess.Popen[str], *, killed: bool) -> None:
    if killed:
        process.kill()
    process.communicate(timeout=20)
    assert process.returncode == (-signal.SIGKILL if killed else 0)


def marked(path: Path) -> set[str]:
    """The rows, by plain SQL; without the number of the process."""
    other = sqlite3.connect(path)
    found = {"open-" if key.startswith("open-") else key for (key,) in other.execute("SELECT key FROM meta")}
    other.close()
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Database(tmp_path / NAME).close()
    return tmp_path / NAME


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which checks were made at opening."""
    made: list[str] = []
    monkeypatch.setattr(module, "_check", lambda _session, how: made.append(how))
    return made


def opened_clean(path: Path) -> bool:
    database = Database(path)
    database.close()
    return database.clean


def test_a_database_closed_is_clean_and_carries_no_mark(path: Path, checks: list[str]) -> None:
    assert marked(path) == set()
    assert opened_clean(path)
    assert checks == []


def test_an_owner_that_never_closed_leaves_an_unclean_database_once(path: Path, checks: list[str]) -> None:
    not_closed(path)
    assert not opened_clean(path)
    assert opened_clean(path)
    assert checks == ["quick_check"]


@pytest.mark.slow
@pytest.mark.parametrize("killed", [True, False])
def test_an_owner_s_end_is_told_while_another_process_goes_on(path: Path, *, killed: bool) -> None:
    owner = holder(path, "own")
    joined = holder(path, "join")
    assert marked(path) >= {"open", "open-"}
    ended(owner, killed=killed)
    assert path.with_name(NAME + "-wal").exists()
    assert opened_clean(path) is not killed
    ended(joined, killed=False)
    assert opened_clean(path)


@pytest.mark.slow
def test_a_crash_of_one_who_joined_is_no_unclean_end_of_the_owner_s(path: Path) -> None:
    owner = holder(path, "own")
    joined = holder(path, "join")
    ended(joined, killed=True)
    ended(owner, killed=False)
    assert opened_clean(path)
    assert marked(path) == {"own", "join"}


@pytest.mark.slow
def test_a_power_cut_while_only_one_who_joined_was_left_is_unclean(
    path: Path, tmp_path: Path, checks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = holder(path, "join")
    (tmp_path / "after").mkdir()
    for side in ("", "-wal"):
        shutil.copy(path.with_name(NAME + side), tmp_path / "after" / (NAME + side))
    ended(joined, killed=True)
    monkeypatch.setattr(marks, "boot_id", lambda: "the next boot")
    assert not opened_clean(tmp_path / "after" / NAME)
    assert opened_clean(tmp_path / "after" / NAME)
    assert checks == ["quick_check"]


def test_a_log_that_no_mark_explains_is_unclean(path: Path, checks: list[str]) -> None:
    """So a release that knows no marks left it when it was killed."""
    path.with_name(NAME + "-wal").write_bytes(b"left")
    assert not opened_clean(path)
    assert checks == ["quick_check"]


def test_one_who_only_looked_on_leaves_it_clean(path: Path) -> None:
    assert peeked(path, lambda session: session.one("SELECT COUNT(*) FROM frames")) == (0,)
    assert path.with_name(NAME + "-wal").exists()
    assert opened_clean(path)


def test_what_was_suspected_is_checked_whole_at_the_next_start(path: Path, checks: list[str]) -> None:
    owner = Database(path)
    joined = Database.join(path)
    joined.suspect()
    joined.close()
    owner.close()
    assert not opened_clean(path)
    assert opened_clean(path)
    assert checks == ["integrity_check"]


def test_damage_met_on_the_way_is_looked_into_at_the_next_start(path: Path, checks: list[str]) -> None:
    def damaged(_: object) -> None:
        raise DatabaseDamaged("met")

    owner = Database(path)
    with pytest.raises(DatabaseDamaged):
        owner.read(damaged)
    owner.close()
    assert not opened_clean(path)
    assert checks == ["integrity_check"]


def test_a_mark_that_cannot_be_taken_away_stays_and_the_end_is_orderly(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_OPENING_BUSY_S", 0.05)
    owner = Database(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    owner.close()
    other.execute("ROLLBACK")
    other.close()
    assert "as if it had not been closed" in caplog.text
    assert not opened_clean(path)


# --- joining --------------------------------------------------------------------------------------------------------


def test_one_who_joins_reads_and_writes_beside_the_owner_and_leaves_it_whole(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        joined = Database.join(tmp_path / NAME)
        joined.write(lambda session: session.execute("INSERT INTO meta VALUES ('theirs', 'x')"))
        assert joined.read(lambda session: session.rows("SELECT key FROM meta WHERE key = 'theirs'")) == [("theirs",)]
        joined.close()
        joined.close()
        assert store.rows("SELECT key FROM meta WHERE key = 'theirs'") == [("theirs",)]
        assert store.database.wal_bytes() > 0
    assert marked(tmp_path / NAME) == {"theirs"}


def test_there_is_nothing_to_join_where_no_database_is(tmp_path: Path) -> None:
    with pytest.raises(DatabaseMissing):
        Database.join(tmp_path / NAME)
    (tmp_path / NAME).touch()
    with pytest.raises(DatabaseMissing):
        Database.join(tmp_path / NAME)
    assert (tmp_path / NAME).stat().st_size == 0


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM schema_migration WHERE name = '0002_work'",
        "DROP TABLE schema_migration",
        f"PRAGMA user_version = {schema.SCHEMA + 1}",
        "PRAGMA application_id = 7",
        "PRAGMA application_id = 0",
    ],
)
def test_a_database_of_another_schema_or_program_is_not_joined_and_not_changed(path: Path, change: str) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute(change)
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(DatabaseMissing):
        Database.join(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_damage_for_one_who_joins_too(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"this is not a database" * 100)
    with pytest.raises(DatabaseDamaged):
        Database.join(tmp_path / NAME)
