"""The document in force, for a process beside the service."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.domain.errors import DatabaseBusy, DatabaseDamaged, DatabaseMissing
from node.journal import NODE
from node.work.document import RunningDocument
from tests.stores import opened

NAMED = {"site": {"name": "Pier"}}


def test_the_document_that_runs_is_read_again_when_another_is_activated(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.journal.begin_book()
        document = RunningDocument(store.database)
        assert document().site.name == ""
        store.journal.put_config(NAMED, 1, NODE, store.clock.now_us(), None)
        assert document().site.name == "Pier"


def test_nothing_is_read_while_the_database_stands_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as store:
        store.journal.begin_book(NAMED)
        document = RunningDocument(store.database)
        first = document()

        def refused(*_: object) -> None:
            raise AssertionError("the database was read")

        monkeypatch.setattr(store.database, "read", refused)
        assert document() is first


def test_a_database_that_cannot_be_read_leaves_what_was_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as store:
        store.journal.begin_book(NAMED)
        document = RunningDocument(store.database)
        document()

        def busy() -> int:
            raise DatabaseBusy

        monkeypatch.setattr(store.database, "data_version", busy)
        assert document().site.name == "Pier"


def test_before_the_first_reading_nothing_is_in_force_and_defaults_are_not_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as store:
        store.journal.begin_book(NAMED)
        document = RunningDocument(store.database)

        def damaged(*_: object) -> None:
            raise DatabaseDamaged("page 7")

        with monkeypatch.context() as patch:
            patch.setattr(store.database, "read", damaged)
            for _ in range(2):
                with pytest.raises(DatabaseDamaged):
                    document()
        assert document().site.name == "Pier"


def test_a_database_that_has_no_document_yet_is_not_ready(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        document = RunningDocument(store.database)
        with pytest.raises(DatabaseMissing):
            document()
        store.journal.begin_book(NAMED)
        assert document().site.name == "Pier"


def test_fields_of_a_newer_release_are_passed_over(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.journal.begin_book(NAMED | {"moon": {"phase": 1}})
        assert RunningDocument(store.database)().site.name == "Pier"
