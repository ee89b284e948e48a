"""The document: empty runs, every wrong field is named by its writer's path, the newer is kept and reported."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from pydantic import ValidationError

from node.domain.config import (
    MAX_FAULTS,
    CameraSettings,
    Document,
    Profile,
    Schedule,
    digest,
    faults_of,
    load_own,
    parse_document,
)
from node.domain.errors import DocumentInvalid

CLOCK = {"kind": "clock", "start": "08:00", "end": "09:00"}
SUNNY = {"kind": "solar", "start": {"anchor": "sunrise"}, "end": {"anchor": "sunset"}}


def faults(document: object) -> dict[str, str]:
    with pytest.raises(DocumentInvalid) as caught:
        parse_document(document)
    return {fault.path: fault.message for fault in caught.value.fields}


def test_an_empty_document_runs() -> None:
    document = parse_document({})
    assert document.effective_schedules() == {"default": Schedule()}
    assert document.camera("any") == CameraSettings()
    assert document.profile("auto") == Profile()


def test_what_is_written_wins_over_defaults() -> None:
    document = parse_document(
        {
            "cameras": {"main": {"jpeg_quality": 80}},
            "profiles": {"dark": {"ev_stops": -1}},
            "schedules": {"s": {"profiles": ["dark"]}},
        }
    )
    assert document.camera("main").jpeg_quality == 80
    assert document.profile("dark").ev_stops == -1
    assert set(document.effective_schedules()) == {"s"}


def test_the_profile_auto_may_be_written_anew() -> None:
    assert parse_document({"profiles": {"auto": {"ev_stops": 1}}}).profile("auto").ev_stops == 1


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ([], "(document)"),
        ("text", "(document)"),
        (None, "(document)"),
        ({"colour": 1}, "colour"),
        ({"schedules": None}, "schedules"),
        ({"site": {"latitude": 91, "longitude": 0}}, "site.latitude"),
        ({"site": {"latitude": 50}}, "site"),
        ({"site": {"timezone": "Mars/Olympus"}}, "site.timezone"),
        ({"site": {"timezone": "../../etc/passwd"}}, "site.timezone"),
        ({"site": {"timezone": ""}}, "site.timezone"),
        ({"site": {"name": "\ud800"}}, "site.name"),
        ({"cameras": {"Main": {}}}, "cameras.Main"),
        ({"cameras": {"main": {"width": 640}}}, "cameras.main"),
        ({"cameras": {"main": {"synthetic": {}}}}, "cameras.main.synthetic"),
        ({"profiles": {"x": {"mode": "manual", "gain": 1}}}, "profiles.x"),
        ({"profiles": {"x": {"mode": "manual", "gain": 1, "exposure_s": 1, "ev_stops": 1}}}, "profiles.x"),
        ({"profiles": {"x": {"gain": 1}}}, "profiles.x"),
        ({"profiles": {"x": {"ev_stops": float("nan")}}}, "profiles.x.ev_stops"),
        ({"schedules": {"s": {"interval_s": 0}}}, "schedules.s.interval_s"),
        ({"schedules": {"s": {"interval_s": 86401}}}, "schedules.s.interval_s"),
        ({"schedules": {"s": {"phase_s": -1}}}, "schedules.s.phase_s"),
        ({"schedules": {"s": {"phase_s": "often"}}}, "schedules.s.phase_s"),
        ({"schedules": {"s": {"days": []}}}, "schedules.s.days"),
        ({"schedules": {"s": {"days": ["mon", "someday"]}}}, "schedules.s.days.1"),
        ({"schedules": {"s": {"profiles": []}}}, "schedules.s.profiles"),
        ({"schedules": {"s": {"profiles": ["auto", "b"]}}}, "schedules.s.profiles.1"),
        ({"schedules": {"s": {"window": {"kind": "lunar"}}}}, "schedules.s.window"),
        ({"schedules": {"s": {"window": {"start": "08:00", "end": "09:00"}}}}, "schedules.s.window"),
        ({"schedules": {"s": {"window": CLOCK | {"start": "8:00"}}}}, "schedules.s.window.start"),
        ({"schedules": {"s": {"window": {"kind": "clock", "start": "08:00"}}}}, "schedules.s.window.end"),
        ({"schedules": {"s": {"window": SUNNY | {"moon": 1}}}}, "schedules.s.window.moon"),
        ({"schedules": {"s": {"window": SUNNY | {"solar": 1}}}}, "schedules.s.window.solar"),
        ({"schedules": {"window": {"window": {"kind": "always", "clock": 1}}}}, "schedules.window.window.clock"),
        ({"schedules": {"window": {"clock": 1}}}, "schedules.window.clock"),
        (
            {"schedules": {"s": {"window": SUNNY | {"start": {"anchor": "elevation_rising"}}}}},
            "schedules.s.window.start",
        ),
        (
            {"schedules": {"s": {"window": SUNNY | {"end": {"anchor": "sunset", "elevation_deg": 1}}}}},
            "schedules.s.window.end",
        ),
        ({"alerts": {"disk_warn_free_pct": 4}}, "alerts"),
        ({"quality": {"limits": {"cold_below": 60}}}, "quality.limits"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_by_the_path_that_its_writer_knows(document: object, path: str) -> None:
    assert set(faults(document)) == {path}


def test_every_wrong_field_is_named_at_once() -> None:
    found = faults(
        {
            "site": {"timezone": "nowhere"},
            "cameras": {"main": {"jpeg_quality": 5}},
            "schedules": {"a": {"profiles": ["ghost"]}, "b": {"interval_s": "often"}},
            "colour": "red",
        }
    )
    assert set(found) == {
        "site.timezone", "cameras.main.jpeg_quality", "schedules.a.profiles.0", "schedules.b.interval_s", "colour",
    }  # fmt: skip
    assert found["colour"] == "there is no such field"
    assert found["schedules.a.profiles.0"] == "no profile of that name"


def test_a_missing_field_says_so() -> None:
    assert faults({"schedules": {"s": {"window": {"kind": "clock", "start": "08:00"}}}}) == {
        "schedules.s.window.end": "must be given"
    }


def test_what_a_pattern_asks_for_is_said_in_words() -> None:
    found = faults(
        {
            "schedules": {"s": {"window": {"kind": "clock", "start": "8:00", "end": "24:00"}, "cameras": ["Main"]}},
            "profiles": {"-x": {}},
        }
    )
    assert sorted(found) == [
        "profiles.-x", "schedules.s.cameras.0", "schedules.s.window.end", "schedules.s.window.start",
    ]  # fmt: skip
    assert all(
        found[f"schedules.s.window.{edge}"].startswith("must be a time of day as HH:MM") for edge in ("start", "end")
    )
    assert found["profiles.-x"] == found["schedules.s.cameras.0"]
    assert found["profiles.-x"].startswith("must be of a-z, 0-9 and -")


def test_the_list_of_faults_and_the_values_repeated_in_it_are_short() -> None:
    with pytest.raises(DocumentInvalid) as caught:
        parse_document({f"field-{number}": ["x" * 10_000] * 100 for number in range(100)})
    assert len(caught.value.fields) == MAX_FAULTS
    assert all(len(fault.given) <= 80 for fault in caught.value.fields)


def test_a_fault_without_its_document_keeps_every_part_of_the_path() -> None:
    with pytest.raises(ValidationError) as caught:
        Document.model_validate({"schedules": {"s": {"window": {"kind": "clock", "start": "08:00"}}}})
    assert [fault.path for fault in faults_of(caught.value)] == ["schedules.s.window.clock.end"]


def test_the_digest_is_of_the_document_as_given_and_not_of_its_order() -> None:
    one = {"site": {"name": "Pier", "timezone": "UTC"}, "schedules": {}}
    two = {"schedules": {}, "site": {"timezone": "UTC", "name": "Pier"}}
    assert digest(one) == digest(two)
    assert digest({}) == hashlib.sha256(b"{}").hexdigest()
    assert digest({}) != digest({"site": {}}) != digest({"site": {"timezone": "UTC"}})
    assert digest({"site": {"name": "Möwe"}}) == hashlib.sha256('{"site":{"name":"Möwe"}}'.encode()).hexdigest()


def test_an_own_document_of_this_release_has_no_unknown_fields() -> None:
    assert load_own({"site": {"name": "Pier"}}) == (parse_document({"site": {"name": "Pier"}}), ())


def test_an_own_document_of_a_newer_release_runs_without_what_is_unknown_and_says_so() -> None:
    newer: dict[str, Any] = {
        "site": {"name": "Pier", "harbour": {"depth_m": 4}},
        "schedules": {"s": {"window": SUNNY | {"moon": {"above_deg": 3}}, "mood": "calm"}},
        "render": {"hologram": 3},
        "tides": {"station": "pier"},
    }
    before = json.dumps(newer)
    document, unknown = load_own(newer)
    assert set(unknown) == {"site.harbour", "schedules.s.window.moon", "schedules.s.mood", "render.hologram", "tides"}
    assert document == parse_document({"site": {"name": "Pier"}, "schedules": {"s": {"window": SUNNY}}})
    assert json.dumps(newer) == before, "what was given was changed"


@pytest.mark.parametrize(
    "document",
    [
        {"colour": 1, "site": {"timezone": "nowhere"}},
        # the second fault shows only once the unknown field is gone
        {"site": {"latitude": 5, "harbour": 1}},
        {"schedules": {"s": {"profiles": ["ghost"], "mood": 1}}},
        {"schedules": {"s": {"interval_s": 0}}},
    ],
)
def test_an_own_document_with_another_fault_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(DocumentInvalid):
        load_own(document)


def test_a_document_cannot_be_changed_once_it_is_read() -> None:
    with pytest.raises(ValidationError):
        parse_document({}).site.name = "elsewhere"  # type: ignore[misc]
