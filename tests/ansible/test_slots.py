"""When a host may be rebooted, and when its node is seeing again: from its status."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).parents[2] / "playbooks" / "filter_plugins" / "slots.py"
SPEC = importlib.util.spec_from_file_location("slots", PATH)
assert SPEC is not None
assert SPEC.loader is not None
slots = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(slots)


def status(*cameras: dict[str, Any], uptime_s: float = 60.0) -> dict[str, Any]:
    plain = {"name": "main", "state": "ok", "last_good_age_s": 5.0, "next_slot": "2026-11-20T12:01:00.000Z"}
    return {
        "clock": {"now": "2026-11-20T12:00:00.000Z"}, "uptime_s": uptime_s,
        "cameras": [plain | camera for camera in cameras],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (status({}), 60.0),
        (status({}, {"name": "roof", "next_slot": "2026-11-20T12:00:10.000Z"}), 10.0),
        (status({"state": "idle", "next_slot": "2026-11-20T18:00:00.000Z"}), 21600.0),
        (status({"state": "disabled"}), 86400.0),
        (status({"held": "2026-11-20T11:00:00.000Z"}), 86400.0),
        (status({"next_slot": None}), 86400.0),
        (status(), 86400.0),
        (status({"next_slot": "2026-11-20T11:59:59.000Z"}), -1.0),
        ({}, 86400.0),
    ],
)
def test_the_time_until_a_slot_is_that_of_the_next_camera_that_is_on(said: dict[str, Any], seconds: float) -> None:
    assert slots.pause_s(said) == seconds


@pytest.mark.parametrize(
    ("said", "names"),
    [
        (status({}), []),
        (status({"last_good_age_s": None}), ["main"]),
        (status({"last_good_age_s": 61.0}), ["main"]),
        (status({"last_good_age_s": None, "state": "offline", "next_slot": None}), ["main"]),
        (status({"last_good_age_s": None, "state": "idle"}), ["main"]),
        (status({"last_good_age_s": None, "state": "idle", "next_slot": "2026-11-20T18:00:00.000Z"}), []),
        (status({"last_good_age_s": None, "state": "idle", "next_slot": None}), []),
        (status({"last_good_age_s": None, "state": "disabled"}), []),
        (status({"last_good_age_s": None, "held": "x"}), []),
        ({}, ["(the service does not answer)"]),
    ],
)
def test_a_camera_sees_once_it_has_made_a_frame_since_the_start(said: dict[str, Any], names: list[str]) -> None:
    assert slots.not_seeing(said, 300) == names


@pytest.mark.parametrize("printed", ["", "FLT-002 no", "[]", "{}", '{"title": "x"}', "[" * 10_000])
def test_what_is_no_status_is_none(printed: str) -> None:
    assert slots.node_status(printed) == {}


def test_a_status_is_read_as_it_is_printed() -> None:
    said = status({})
    assert slots.node_status(json.dumps(said)) == said
    assert set(slots.FilterModule().filters()) == {"node_status", "pause_s", "not_seeing"}
