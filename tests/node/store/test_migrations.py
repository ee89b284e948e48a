"""From each released schema to this release's, and back to the release before on what this one leaves."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from node.crashpoint import VARIABLE
from node.domain.times import US
from node.store import schema
from node.store.backup import make, verified
from node.store.database import NAME, Database
from node.store.replace import open_sound
from tests.clocks import START_US, JumpClock
from tests.stores import keep_many, opened

RELEASED = sorted(Path(__file__).with_name("released").glob("*.sql"))
STEPS_BEFORE = (("0001_initial",), ("0001_initial", "0002_work"))
"""Those of 0.1.0, and of 0.2.0."""

OPENS = """
import sys
from pathlib import Path
from node.store.database import Database
Database(Path(sys.argv[1])).close()
"""

# every statement with which the release before changes what a later step touches
WRITES_BEFORE = """
INSERT INTO shoots (shoot, camera, schedule, profile, date, state, start_us, end_us)
    VALUES ('main/default/2026-11-20/auto', 'main', 'default', 'auto', '2026-11-20', 'open', 7, 8)
    ON CONFLICT (shoot) DO UPDATE SET start_us = excluded.start_us, end_us = excluded.end_us;
INSERT INTO shoots (shoot, camera, schedule, profile, date, state, start_us, end_us, due, captured, failed)
    VALUES ('main/default/2026-11-20/auto', 'main', 'default', 'auto', '2026-11-20', 'open', 7, 7, 1, 1, 0)
    ON CONFLICT (shoot) DO UPDATE SET due = due + 1, captured = captured + 1, failed = failed + 0;
UPDATE shoots SET state = 'captured', degraded = failed > 0.5 * due
    WHERE shoot = 'main/default/2026-11-20/auto' AND state = 'open'
"""


def written(folder: Path, release: Path) -> Path:
    """The database as that release leaves it."""
    made = sqlite3.connect(folder / NAME)
    made.executescript(release.read_text())
    made.close()
    return folder / NAME


def rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row by table, by plain SQL."""
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    names = [row["name"] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {name: [dict(row) for row in db.execute(f"SELECT * FROM {name}")] for name in names}
    db.close()
    return found


def assert_sound(path: Path) -> None:
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    db.close()


def assert_kept(before: dict[str, list[dict[str, Any]]], after: dict[str, list[dict[str, Any]]]) -> None:
    """Each row of before is there with each of its values, and no other."""
    for table in before.keys() - {"schema_migration"}:
        columns = before[table][0].keys() if before[table] else ()
        cut = [{column: row[column] for column in columns} for row in after[table]]
        assert sorted(map(repr, cut)) == sorted(map(repr, before[table])), table


def definitions(path: Path) -> dict[str, set[Any]]:
    """Each table's columns and each index's text, whatever the order of their making."""
    db = sqlite3.connect(path)
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found: dict[str, set[Any]] = {name: set(db.execute(f"PRAGMA table_info({name})")) for name in tables}
    found[""] = {
        " ".join(str(sql).split()) for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE type = 'index'")
    }
    db.close()
    return found


@pytest.mark.parametrize("release", RELEASED, ids=lambda path: str(path.stem))
def test_every_row_of_a_release_is_still_there_after_the_steps_to_this_one(tmp_path: Path, release: Path) -> None:
    path = written(tmp_path, release)
    before = rows(path)
    assert all(before[table] for table in ("frames", "slots", "shoots", "events", "audit", "configs", "activations"))
    database = Database(path)
    assert database.applied
    database.close()
    assert_kept(before, rows(path))
    assert_sound(path)
    shoots = {row["shoot"]: row["state"] for row in rows(path)["shoots"]}
    assert shoots == {row["shoot"]: row["state"] for row in before["shoots"]}
    assert set(shoots.values()) == {"open", "captured"}


@pytest.mark.parametrize("release", RELEASED, ids=lambda path: str(path.stem))
def test_what_was_brought_up_to_date_is_what_a_new_one_is(tmp_path: Path, release: Path) -> None:
    path = written(tmp_path, release)
    Database(path).close()
    (tmp_path / "new").mkdir()
    Database(tmp_path / "new" / NAME).close()
    assert definitions(path) == definitions(tmp_path / "new" / NAME)


@pytest.mark.parametrize("release", RELEASED, ids=lambda path: str(path.stem))
def test_a_whole_copy_of_what_was_there_lies_in_the_backups_and_can_be_restored(tmp_path: Path, release: Path) -> None:
    path = written(tmp_path, release)
    before = rows(path)
    Database(path).close()
    (copy,) = (tmp_path / schema.BACKUPS).iterdir()
    assert_kept(before, rows(copy))
    assert verified(copy).frames == len(before["frames"])
    path.write_bytes(b"garbled" * 1000)
    open_sound(tmp_path, START_US).close()
    assert_kept({**before, "meta": []}, {**rows(path), "meta": []})


@pytest.mark.parametrize("release", RELEASED, ids=lambda path: str(path.stem))
def test_the_node_works_on_with_it(tmp_path: Path, release: Path) -> None:
    count = len(rows(written(tmp_path, release))["frames"])
    with opened(tmp_path, JumpClock(START_US + 86_400 * US)) as store:
        kept = keep_many(store, 3)
        assert len(list(store.frames.every())) == count + 3
        assert store.frames.get(kept[0].id) == kept[0]
        (still_open, *_) = store.ledger.open_shoots()
        assert store.journal.close_shoot(still_open.shoot) is not None


@pytest.mark.slow
@pytest.mark.parametrize("release", RELEASED, ids=lambda path: str(path.stem))
def test_killed_on_the_way_it_is_of_one_release_or_the_other(tmp_path: Path, release: Path) -> None:
    path = written(tmp_path, release)
    before = rows(path)
    for point in ("copy_made", "steps_taken"):
        killed = subprocess.run(
            [sys.executable, "-c", OPENS, str(path)], env={VARIABLE: point}, capture_output=True, check=False
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert_kept(before, rows(path))
    Database(path).close()
    assert_kept(before, rows(path))
    assert_sound(path)


@pytest.mark.slow
def test_a_new_database_killed_before_its_last_word_is_ours_after_the_next_start(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPENS, str(tmp_path / NAME)]
    killed = subprocess.run(command, env={VARIABLE: "steps_taken"}, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    Database(tmp_path / NAME).close()
    Database.join(tmp_path / NAME).close()


# --- back -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", STEPS_BEFORE, ids=lambda known: str(known[-1]))
def test_the_release_before_starts_on_what_this_one_leaves(tmp_path: Path, known: tuple[str, ...]) -> None:
    """With frames in between, which stay when this release comes back."""
    path = written(tmp_path, RELEASED[-1])
    with opened(tmp_path, JumpClock(START_US + 86_400 * US)) as store:
        keep_many(store, 3)
    before = rows(path)
    with pytest.MonkeyPatch.context() as patch:
        steps = tmp_path / "steps"
        steps.mkdir()
        for name in known:
            shutil.copy(schema._STEPS / f"{name}.py", steps)
        patch.setattr(schema, "_STEPS", steps)
        with opened(tmp_path, JumpClock(START_US + 2 * 86_400 * US)) as store:
            assert store.database.applied == ()
            assert store.rows("PRAGMA user_version") == [(schema.SCHEMA,)]
            for statement in WRITES_BEFORE.split(";"):
                store.database.write(lambda session, sql=statement: session.execute(sql))
            keep_many(store, 2)
    database = Database(path)
    assert database.applied == ()
    database.close()
    after = rows(path)
    assert len(after["frames"]) == len(before["frames"]) + 2
    assert [row["state"] for row in after["shoots"] if row["shoot"] == "main/default/2026-11-20/auto"] == ["captured"]
    assert_sound(path)


def test_a_backup_of_this_release_s_is_one_for_the_release_before_too(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        keep_many(store, 3)
        made = make(store.database.path, START_US, bool)
    assert verified(made.path).frames == 3
    db = sqlite3.connect(made.path)
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    db.close()
