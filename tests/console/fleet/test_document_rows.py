from __future__ import annotations

from typing import Any

import yaml

from console.fleet.document_rows import MOST, SETTINGS, Setting, settings
from console.fleet.filter import parse
from node.wire.records import ConfigRecord


def record(effective: dict[str, tuple[Any, str]], **more: Any) -> ConfigRecord:
    values = {path: {"value": value, "origin": origin} for path, (value, origin) in effective.items()}
    base = {"version": 3, "digest": "d" * 64, "state": "active", "document": {}, "effective": values}
    return ConfigRecord.model_validate(base | more)


def lines(of: ConfigRecord) -> list[Setting]:
    return list(settings(of).values())


FIELDS: dict[str, tuple[Any, str]] = {
    "site.name": ("Dam: no 3", "document"),
    "site.latitude": (-1.29, "document"),
    "cameras.main.enabled": (True, "default"),
    "cameras.main.hours": ([1, 2], "document"),
    "cameras.south.enabled": (None, "default"),
    "retention": ({}, "default"),
}


def test_the_lines_are_the_document_in_force_as_yaml() -> None:
    text = "\n".join(line.text for line in lines(record(FIELDS)))
    assert yaml.safe_load(text) == {
        "site": {"name": "Dam: no 3", "latitude": -1.29},
        "cameras": {"main": {"enabled": True, "hours": [1, 2]}, "south": {"enabled": None}},
        "retention": {},
    }


def test_each_value_says_where_it_comes_from_and_a_section_does_not() -> None:
    origins = {line.path: line.origin for line in lines(record(FIELDS))}
    assert (origins["site.name"], origins["cameras.main.enabled"], origins["cameras"]) == ("document", "default", "")


def test_a_filter_narrows_by_path_and_by_origin() -> None:
    rows = lines(record(FIELDS))
    for text, count in (("cameras.main", 3), ("path:south", 2), ("origin:document value:dam", 1), ("/lat/", 1)):
        assert len([row for row in rows if parse(text, SETTINGS.fields)(row)]) == count, text


def test_fields_of_a_newer_release_are_shown_as_unknown() -> None:
    given = record({}, document={"night": {"vision": True}}, unknown_fields=["night.vision", "not.there"])
    assert [(line.path, line.origin) for line in lines(given)][-1] == ("not.there", "unknown")
    assert ("night.vision", "unknown") in [(line.path, line.origin) for line in lines(given)]


def test_an_older_node_that_tells_no_origins_shows_its_document() -> None:
    given = record({}, document={"site": {"name": "Dam"}, "quality": {}})
    assert [line.text for line in lines(given)] == ["site:", "  name: Dam", "quality: {}"]


def test_an_empty_document_has_no_lines() -> None:
    assert lines(record({})) == []


def test_what_a_hostile_node_sends_is_bounded_and_fit_for_a_terminal() -> None:
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"a\x1b[2J": deep}
    assert len(lines(record({}, document=deep))) < 100
    wide = record({f"a.b{number}": ("x" * 9999 + "\n\x1b[31m", "document") for number in range(2 * MOST)})
    rows = lines(wide)
    assert MOST <= len(rows) <= MOST + 2
    assert all(row.text.isprintable() and len(row.text) < 1000 for row in rows)
