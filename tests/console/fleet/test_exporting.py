"""Rows to a file: whole or not at all, and no formulas."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from console.fleet import exporting
from console.fleet.exporting import NotExported, as_json, export

COLUMNS = ("node", "disk", "cause")
RECORDS = [
    {"node": "nairobi", "disk": 84.3, "cause": 'a "quoted", cause\nof two lines'},
    {"node": "kyoto", "disk": None, "cause": ""},
]


def test_csv_has_titles_and_can_be_read_back(tmp_path: Path) -> None:
    path = tmp_path / "nodes.csv"
    export(path, COLUMNS, RECORDS)
    rows = list(csv.reader(io.StringIO(path.read_text())))
    assert rows == [
        ["node", "disk", "cause"],
        ["nairobi", "84.3", 'a "quoted", cause\nof two lines'],
        ["kyoto", "", ""],
    ]


def test_json_and_json_lines_keep_numbers_and_what_is_not_known(tmp_path: Path) -> None:
    export(tmp_path / "nodes.json", COLUMNS, RECORDS)
    export(tmp_path / "nodes.JSONL", COLUMNS, RECORDS)
    assert json.loads((tmp_path / "nodes.json").read_text()) == RECORDS
    assert [json.loads(line) for line in (tmp_path / "nodes.JSONL").read_text().splitlines()] == RECORDS


def test_nothing_shown_is_a_file_without_rows(tmp_path: Path) -> None:
    for ending in exporting.FORMS:
        export(tmp_path / f"empty{ending}", COLUMNS, [])
    assert (tmp_path / "empty.csv").read_text() == "node,disk,cause\n"
    assert json.loads((tmp_path / "empty.json").read_text()) == []
    assert (tmp_path / "empty.jsonl").read_text() == ""


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_what_a_spreadsheet_would_take_for_a_formula_is_text(start: str, tmp_path: Path) -> None:
    path = tmp_path / "nodes.csv"
    export(path, ["cause", "by_s"], [{"cause": f"{start}cmd|' /C calc'!A0", "by_s": -3.5}])
    with path.open(newline="") as file:
        assert list(csv.reader(file))[1] == [f"'{start}cmd|' /C calc'!A0", "-3.5"]


def test_what_is_there_stays_unless_it_is_said_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "nodes.csv"
    path.write_text("mine")
    with pytest.raises(NotExported, match=r"nodes\.csv is there already; :export! writes over it"):
        export(path, COLUMNS, RECORDS)
    assert path.read_text() == "mine"
    export(path, COLUMNS, RECORDS, over=True)
    assert path.read_text().startswith("node,disk,cause\n")
    assert [one.name for one in tmp_path.iterdir()] == ["nodes.csv"]


@pytest.mark.parametrize("name", ["nodes", "nodes.xlsx", ".csv", "csv", ""])
def test_another_ending_is_refused_with_those_there_are(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotExported, match=r"a name ends with \.csv, \.json, \.jsonl"):
        export(tmp_path / name, COLUMNS, RECORDS)


@pytest.mark.parametrize("name", ["no/such/folder.csv", "a\0b.csv", "x" * 300 + ".csv"])
@pytest.mark.parametrize("over", [False, True])
def test_a_place_that_cannot_be_written_is_named(name: str, over: bool, tmp_path: Path) -> None:
    with pytest.raises(NotExported):
        export(tmp_path / name, COLUMNS, RECORDS, over=over)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_its_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").mkdir()
    for over in (False, True):
        with pytest.raises(NotExported):
            export(tmp_path / "nodes.csv", COLUMNS, RECORDS, over=over)
    assert [one.name for one in tmp_path.iterdir()] == ["nodes.csv"]


def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(exporting.os, "fsync", full)
    path = tmp_path / "nodes.csv"
    path.write_text("before")
    with pytest.raises(NotExported, match="No space left"):
        export(path, COLUMNS, RECORDS, over=True)
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["nodes.csv"]


@pytest.mark.parametrize("links", [True, False])
def test_where_it_cannot_be_put_in_its_place_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def stuck(*_: object) -> None:
        raise OSError(5, os.strerror(5))

    if not links:
        monkeypatch.setattr(exporting.os, "link", stuck)
    export(tmp_path / "first.csv", COLUMNS, RECORDS)
    with pytest.raises(NotExported, match=r"first\.csv is there already"):
        export(tmp_path / "first.csv", COLUMNS, RECORDS)
    monkeypatch.setattr(exporting.os, "link", stuck)
    monkeypatch.setattr(Path, "replace", stuck)
    with pytest.raises(NotExported, match="Input/output error"):
        export(tmp_path / "second.csv", COLUMNS, RECORDS)
    assert [one.name for one in tmp_path.iterdir()] == ["first.csv"]


def test_many_rows_with_hostile_text_are_written(tmp_path: Path) -> None:
    records = [{"node": f"cam-{number}", "disk": 1.0, "cause": "\ud800 港 \x1b[31m"} for number in range(5000)]
    for ending in exporting.FORMS:
        export(tmp_path / f"many{ending}", COLUMNS, records)
    assert len((tmp_path / "many.jsonl").read_text().splitlines()) == 5000


def test_json_shows_what_acts_on_a_terminal_as_its_number_and_says_the_same() -> None:
    value = {"a": "\x1b[31m\x9b\u202eevil\u200b", "b": "港\n"}
    text = as_json(value, indent=2)
    assert json.loads(text) == value
    assert not set(text) & set("\x1b\x9b\u202e\u200b")
    assert "港" in text
