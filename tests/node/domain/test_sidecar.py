from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from node.domain.errors import SidecarUnknown
from node.domain.frame import Frame
from node.domain.sidecar import OF_THE_FILE, SCHEMA, from_sidecar, to_sidecar
from tests.clocks import JumpClock
from tests.stores import frame_of


@pytest.fixture
def frame() -> Frame:
    made = frame_of(JumpClock(), 1_795_000_000_000_000)
    return replace(made, schedules=("a", "b"), reasons=("black",), score=None, sun_elevation_deg=-3.5)


def test_a_sidecar_through_json_gives_the_same_frame(frame: Frame) -> None:
    again = json.loads(json.dumps(to_sidecar(frame)))
    assert from_sidecar(again, frame.path, frame.size_bytes, frame.sha256) == frame


def test_the_schema_number_comes_first_and_nothing_of_the_file_is_in_it(frame: Frame) -> None:
    sidecar = to_sidecar(frame)
    assert next(iter(sidecar.items())) == ("schema", SCHEMA)
    assert not set(OF_THE_FILE) & set(sidecar)


def test_fields_of_a_newer_release_are_passed_over(frame: Frame) -> None:
    sidecar = to_sidecar(frame) | {"lux": 500}
    sidecar["actual"] = {**sidecar["actual"], "iso": 100}
    sidecar["stages"] = {**sidecar["stages"], "archived_us": 1}
    assert from_sidecar(sidecar, frame.path, frame.size_bytes, frame.sha256) == frame


@pytest.mark.parametrize("schema", [0, 2, "1", None, [1]])
def test_an_unknown_schema_is_named(frame: Frame, schema: object) -> None:
    with pytest.raises(SidecarUnknown, match="this release reads 1"):
        from_sidecar(to_sidecar(frame) | {"schema": schema}, frame.path, 1, "")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sidecar: sidecar.pop("camera"),
        lambda sidecar: sidecar.update(stages=None),
        lambda sidecar: sidecar.update(schedules=5),
        lambda sidecar: sidecar.update(actual=["x"]),
    ],
)
def test_a_sidecar_that_lacks_something_is_named_not_guessed(
    frame: Frame, spoil: Callable[[dict[str, Any]], object]
) -> None:
    sidecar = to_sidecar(frame)
    spoil(sidecar)
    with pytest.raises(SidecarUnknown, match="schema 1, field"):
        from_sidecar(sidecar, "frames/x.jpg", 1, "")
