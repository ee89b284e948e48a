"""The two examples: each field of the schemas is shown, each default said is the true one, and both are valid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from node.almanac import Sun
from node.domain.config import Document, parse_document
from node.domain.nodefile import NodeFile, check_bind
from node.domain.schedule import Calendar
from node.domain.times import US, from_text
from node.settings import load_document_file, load_node_file

DOCS = Path(__file__).parents[2] / "docs"
NODE, DOCUMENT = DOCS / "node.example.yml", DOCS / "config.example.yml"
SAID = re.compile(r"^ *(?P<name>\w+): (?P<value>[^#{]*?) *# .*\bdefault (?P<default>[^,;)]+)$")
MIB = 1024 * 1024
IN_WORDS = {"this": None, "all": None, "empty": "", "none": None, "64 MiB": 64 * MIB, "256 MiB": 256 * MIB}


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models inside a field's type, whatever dict, list or union is around them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models(inner)


def names(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """Every field's name with its default, of the model and all below."""
    for name, field in model.model_fields.items():
        yield name, field.default
        for inner in models(field.annotation):
            yield from names(inner)


def keys(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield key
            yield from keys(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from keys(value)


@pytest.mark.parametrize(("path", "model"), [(NODE, NodeFile), (DOCUMENT, Document)], ids=["node", "document"])
def test_every_field_of_the_schema_is_shown(path: Path, model: type[BaseModel]) -> None:
    missing = {name for name, _ in names(model)} - set(keys(load_document_file(path)))
    assert not missing


@pytest.mark.parametrize(("path", "model"), [(NODE, NodeFile), (DOCUMENT, Document)], ids=["node", "document"])
def test_every_default_that_is_said_is_true(path: Path, model: type[BaseModel]) -> None:
    defaults: dict[str, set[str]] = {}
    for name, default in names(model):
        defaults.setdefault(name, set()).add(str(default).lower().replace("'", "").removesuffix(".0"))
    said = [match for line in path.read_text().splitlines() if (match := SAID.match(line))]
    assert len(said) > 12
    for match in said:
        word = match["default"].strip()
        if IN_WORDS.get(word, word) is not None and not word.startswith(("the ", "one ", "never")):
            wanted = str(IN_WORDS.get(word, word)).split(" ")[0].lower()
            assert wanted in defaults[match["name"]], match.group()


@pytest.mark.parametrize("path", [NODE, DOCUMENT], ids=["node", "document"])
def test_no_line_is_longer_than_a_screen(path: Path) -> None:
    assert max(map(len, path.read_text().splitlines())) <= 120


def test_the_node_example_loads_and_may_listen() -> None:
    settings = load_node_file(NODE)
    check_bind(settings.node_file.api)
    backends = {camera.backend for camera in settings.node_file.cameras.values()}
    assert backends == {"picamera2", "opencv", "replay", "synthetic"}


def test_the_document_example_is_valid_for_the_node_example_and_each_schedule_comes_due() -> None:
    document = parse_document(load_document_file(DOCUMENT))
    node_file = load_node_file(NODE).node_file
    calendar = Calendar(document, list(node_file.cameras), node_file.node.id, Sun(document.site))
    start = from_text("2026-03-01T00:00:00Z")
    assert calendar.check(start) == ()
    due = {
        name
        for camera in node_file.cameras
        for shoot in calendar.occurrences(camera, start, start + 7 * 86400 * US)
        for name in (shoot.schedule,)
    }
    assert due == {name for name, schedule in document.schedules.items() if schedule.enabled}


def test_the_document_example_shows_every_kind_of_window_and_several_cameras_and_profiles() -> None:
    document = parse_document(load_document_file(DOCUMENT))
    assert {schedule.window.kind for schedule in document.schedules.values()} == {"always", "clock", "solar"}
    assert len(document.cameras) >= 3
    assert len(document.profiles) >= 2
    assert max(len(schedule.profiles) for schedule in document.schedules.values()) >= 2
