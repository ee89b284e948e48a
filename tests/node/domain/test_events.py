"""Events: one kind each, and every one comes back from its row."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import ClassVar

import pytest

from node.domain.events import REGISTRY, CameraRecovered, Event, FrameKept, ServiceStopped, restore

SAMPLES = {"str": "text", "int": 7, "float": 1.5, "bool": True, "int | None": None, "tuple[str, ...]": ("a", "b")}


def sample(kind: type[Event]) -> Event:
    return kind(**{field.name: SAMPLES[str(field.type)] for field in fields(kind)})


@pytest.mark.parametrize("kind", REGISTRY.values(), ids=REGISTRY.keys())
def test_every_event_comes_back_from_the_json_of_its_row(kind: type[Event]) -> None:
    event = sample(kind)
    assert event.level in ("info", "warning", "error")
    assert restore(kind.kind, json.loads(json.dumps(event.body()))) == event


def test_a_kind_of_a_newer_release_is_none_and_its_new_fields_are_left_out() -> None:
    assert restore("comet_seen", {"tail_km": 3}) is None
    assert restore("service_stopped", {"reason": "signal", "mood": "calm"}) == ServiceStopped("signal")


def test_the_registry_holds_the_class_that_is_used() -> None:
    assert REGISTRY["frame"] is FrameKept
    assert REGISTRY["camera_recovered"] is CameraRecovered
    assert "" not in REGISTRY


def test_a_kind_belongs_to_one_type() -> None:
    with pytest.raises(TypeError, match="belongs to FrameKept"):

        @dataclass(frozen=True, slots=True)
        class Picture(Event):
            kind: ClassVar[str] = "frame"
