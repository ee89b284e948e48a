from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from node.domain.errors import DatabaseDamaged, SchemaNewer
from node.domain.frame import Frame
from node.store import schema
from node.store.database import NAME, Database
from node.store.tables import ALL
from tests.stores import Store, keep_many, opened

ADDS = """
def up(migrator, db):
    db.execute_sql("ALTER TABLE meta ADD COLUMN note TEXT")
"""
FAILS = """
def up(migrator, db):
    db.execute_sql("ALTER TABLE meta ADD COLUMN other TEXT")
    db.execute_sql("ALTER TABLE nowhere ADD COLUMN note TEXT")
"""


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the released migrations, to which a test adds its own."""
    folder = tmp_path / "steps"
    folder.mkdir()
    for step in schema._STEPS.glob("[0-9]*.py"):
        (folder / step.name).write_text(step.read_text())
    monkeypatch.setattr(schema, "_STEPS", folder)
    return folder


def columns(store: Store, table: str) -> list[Any]:
    return [row[1] for row in store.rows(f"PRAGMA table_info({table})")]


@pytest.mark.parametrize("model", ALL, ids=lambda model: str(model.__name__))
def test_every_model_has_the_columns_of_its_table(store: Store, model: Any) -> None:
    meta = model._meta
    assert columns(store, meta.table_name) == [field.column_name for field in meta.sorted_fields]
    found = {row[1]: bool(row[3]) or bool(row[5]) for row in store.rows(f"PRAGMA table_info({meta.table_name})")}
    assert found == {field.column_name: not field.null for field in meta.sorted_fields}


def test_the_table_of_frames_has_a_column_for_each_field(store: Store) -> None:
    assert columns(store, "frames") == ["seq", *Frame.__slots__]


def test_a_new_database_gets_every_step_and_no_copy(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        assert store.database.applied == ("0001_initial", "0002_work", "0003_holds", "0004_provisional")
        assert store.rows("PRAGMA user_version") == [(schema.SCHEMA,)]
        assert store.rows("PRAGMA application_id") == [(schema.APPLICATION_ID,)]
    with opened(tmp_path) as store:
        assert store.database.applied == ()
    assert not (tmp_path / "backup").exists()


def test_a_step_is_taken_once_after_a_whole_copy(tmp_path: Path, steps: Path) -> None:
    with opened(tmp_path) as store:
        (frame,) = keep_many(store, 1)
    (steps / "0003_note.py").write_text(ADDS)
    with opened(tmp_path) as store:
        assert store.database.applied == ("0003_note",)
        assert columns(store, "meta") == ["key", "value", "note"]
        assert store.frames.get(frame.id) == frame
    copy = sqlite3.connect(tmp_path / "backup" / "heliograph-schema-1.db")
    assert copy.execute("SELECT id FROM frames").fetchall() == [(frame.id,)]
    assert len(copy.execute("PRAGMA table_info(meta)").fetchall()) == 2
    copy.close()
    with opened(tmp_path) as store:
        assert store.database.applied == ()


def test_a_step_that_fails_leaves_the_schema_before_it(tmp_path: Path, steps: Path) -> None:
    with opened(tmp_path) as store:
        (frame,) = keep_many(store, 1)
    (steps / "0003_broken.py").write_text(FAILS)
    with pytest.raises(Exception, match="no such table: nowhere"):
        Database(tmp_path / NAME)
    (steps / "0003_broken.py").unlink()
    with opened(tmp_path) as store:
        assert columns(store, "meta") == ["key", "value"]
        assert store.frames.get(frame.id) == frame


def test_a_database_that_a_newer_release_only_added_to_still_opens(tmp_path: Path, steps: Path) -> None:
    (steps / "0003_note.py").write_text(ADDS)
    Database(tmp_path / NAME).close()
    (steps / "0003_note.py").unlink()
    with opened(tmp_path) as store:
        assert store.database.applied == ()
        keep_many(store, 1)


def test_a_database_that_this_release_cannot_use_is_refused_untouched(tmp_path: Path) -> None:
    Database(tmp_path / NAME).close()
    with sqlite3.connect(tmp_path / NAME) as other:
        other.execute(f"PRAGMA user_version = {schema.SCHEMA + 1}")
        other.execute("INSERT INTO schema_migration (name, applied) VALUES ('0009_other', '2027-01-01')")
    other.close()
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(SchemaNewer, match="has schema 2; this release knows up to 1"):
        Database(tmp_path / NAME)
    assert (tmp_path / NAME).read_bytes() == before


def test_a_number_that_no_release_wrote_is_damage(tmp_path: Path) -> None:
    Database(tmp_path / NAME).close()
    with sqlite3.connect(tmp_path / NAME) as other:
        other.execute("PRAGMA user_version = 65537")
    other.close()
    with pytest.raises(DatabaseDamaged, match="no release has taken a step"):
        Database(tmp_path / NAME)


def test_another_program_s_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / NAME) as other:
        other.execute("PRAGMA application_id = 7")
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(DatabaseDamaged, match="another program"):
        Database(tmp_path / NAME)
