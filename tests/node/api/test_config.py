from __future__ import annotations

import json

import httpx
import pytest

from node.domain.config import digest
from node.domain.errors import ProbationRunning, VersionMoved
from node.store.configs import Proof
from node.store.log import Actor
from node.wire.records import ConfigActivation, ConfigCheck, ConfigRecord, ConfigVersion, Page
from tests.apis import Served

JSON = {"Content-Type": "application/json"}
SITE = {"site": {"name": "Field"}}


def put(api: Served, document: object = SITE, version: str | None = '"1"', **headers: str) -> httpx.Response:
    given = {"If-Match": version, **headers} if version else headers
    content = json.dumps(document) if not isinstance(document, str) else document
    return api.ask("PUT", "/v1/config", content=content, headers={"Content-Type": "application/json", **given})


def test_the_running_document_comes_as_given_with_its_version_as_tag(api: Served) -> None:
    answer = api.get("/v1/config", "viewer")
    record = ConfigRecord.model_validate_json(answer.content)
    assert answer.headers["etag"] == '"1"'
    assert (record.version, record.document, record.digest, record.state) == (1, {}, digest({}), "active")


def test_every_field_in_force_says_where_it_comes_from(api: Served) -> None:
    put(api, {"site": {"name": "Field"}, "cameras": {"main": {"jpeg_quality": 80}}})
    effective = ConfigRecord.model_validate_json(api.get("/v1/config").content).effective
    assert (effective["site.name"].value, effective["site.name"].origin) == ("Field", "document")
    assert (effective["site.timezone"].value, effective["site.timezone"].origin) == ("UTC", "default")
    assert effective["cameras.main.jpeg_quality"].origin == "document"
    assert effective["cameras.side.jpeg_quality"].origin == "default"
    assert effective["schedules.default.interval_s"].value == 60
    assert effective["profiles.auto.mode"].value == "auto"
    assert effective["quality.limits.bad_below"].origin == "default"


def test_a_document_is_put_from_the_version_that_was_read(api: Served) -> None:
    answer = put(api)
    record = ConfigActivation.model_validate_json(answer.content)
    assert (record.version, record.previous, record.changed, record.digest) == (2, 1, True, digest(SITE))
    assert answer.headers["etag"] == '"2"'
    (call,) = api.doer.asked
    assert (call[1], call[2], call[3].name) == (SITE, 1, "admin")


def test_yaml_is_taken_too(api: Served) -> None:
    answer = put(api, "site:\n  name: Field\n", **{"Content-Type": "application/yaml"})
    assert answer.json()["digest"] == digest(SITE)


def test_the_same_document_again_changes_nothing(api: Served) -> None:
    put(api)
    again = ConfigActivation.model_validate_json(put(api, version='"2"').content)
    assert (again.version, again.changed) == (2, False)


def test_without_the_version_or_with_an_old_one_nothing_is_changed(api: Served) -> None:
    missing = put(api, version=None)
    assert (missing.status_code, missing.json()["code"]) == (428, "CFG-006")
    put(api)
    moved = put(api, {"site": {"name": "Other"}})
    assert (moved.status_code, moved.json()["code"]) == (412, VersionMoved.code)
    assert ConfigRecord.model_validate_json(api.get("/v1/config").content).document == SITE


@pytest.mark.parametrize("tag", ["1", '"x"', "*", '""', '"99999999999"', '"1", "2"', '"9999999999"'])
def test_a_tag_that_names_no_version_is_refused(api: Served, tag: str) -> None:
    answer = put(api, version=tag)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "header.If-Match")


def test_a_weak_tag_matches_no_version(api: Served) -> None:
    answer = put(api, version='W/"1"')
    assert (answer.status_code, answer.json()["code"]) == (412, VersionMoved.code)
    assert api.doer.asked == []


def test_an_invalid_document_names_every_wrong_field(api: Served) -> None:
    wrong = {"site": {"latitude": 95, "nme": "x"}, "schedules": {"day": {"interval_s": 0}}}
    for answer in (put(api, wrong), api.post("/v1/config/validate", json=wrong)):
        assert (answer.status_code, answer.json()["code"]) == (422, "CFG-001")
        paths = {error["path"] for error in answer.json()["errors"]}
        assert {"site.latitude", "site.nme", "schedules.day.interval_s"} <= paths
    assert api.get("/v1/config").headers["etag"] == '"1"'


def test_an_absent_document_is_not_an_empty_one(api: Served) -> None:
    put(api)
    for content in ("", "null"):
        for answer in (put(api, content, '"2"'), api.post("/v1/config/validate", content=content, headers=JSON)):
            assert (answer.status_code, answer.json()["code"]) == (422, "API-004")
            assert answer.json()["errors"][0]["message"] == "a document is wanted; {} resets everything"
    assert api.get("/v1/config").headers["etag"] == '"2"'
    assert put(api, "{}", '"2"').headers["etag"] == '"3"'


def test_what_the_node_says_no_to_keeps_its_code(api: Served) -> None:
    api.doer.fails = ProbationRunning("version 1")
    answer = put(api)
    assert (answer.status_code, answer.json()["code"]) == (ProbationRunning.http, ProbationRunning.code)


def test_a_check_says_what_would_change_and_changes_nothing(api: Served) -> None:
    check = ConfigCheck.model_validate_json(api.post("/v1/config/validate", "operator", json=SITE).content)
    assert (check.valid, check.digest, check.changed) == (True, digest(SITE), ("site.name",))
    (camera,) = check.cameras
    assert (camera.name, camera.frames_per_day, camera.frames_per_day_now) == ("main", 1440.0, 720.0)
    assert camera.next_slots == ("2026-11-18T11:06:40.000Z",)
    assert api.get("/v1/config").headers["etag"] == '"1"'


def test_probation_shows_in_the_record(api: Served) -> None:
    now_us = api.clock.now_us()
    api.store.journal.put_config(SITE, 1, Actor("lena"), now_us, Proof(now_us + 180_000_000, 3))
    record = ConfigRecord.model_validate_json(api.get("/v1/config").content)
    assert (record.state, record.probation_until) == ("probation", "2026-11-18T11:09:40.000Z")


def test_fields_of_a_newer_release_are_kept_and_named(api: Served) -> None:
    newer = {"site": {"name": "Field", "moon": 1}}
    api.store.journal.put_config(newer, 1, Actor("lena"), api.clock.now_us(), None)
    record = ConfigRecord.model_validate_json(api.get("/v1/config").content)
    assert (record.document, record.unknown_fields) == (newer, ("site.moon",))


def test_versions_are_listed_and_one_is_shown_whole(api: Served) -> None:
    put(api)
    put(api, {}, '"2"')
    versions = Page[ConfigVersion].model_validate_json(api.get("/v1/config/history").content).items
    assert [(version.version, version.running, version.state) for version in versions] == [
        (3, True, "active"), (2, False, "superseded"), (1, False, "superseded"),
    ]  # fmt: skip
    assert all(version.document is None for version in versions)
    first = Page[ConfigVersion].model_validate_json(api.get("/v1/config/history?limit=2").content)
    second = Page[ConfigVersion].model_validate_json(api.get(f"/v1/config/history?limit=2&cursor={first.next}").content)
    assert (*first.items, *second.items) == versions
    one = ConfigVersion.model_validate_json(api.get("/v1/config/history/2").content)
    assert (one.document, one.who, one.running) == (SITE, "admin", False)


def test_a_version_that_is_not_kept_is_a_404(api: Served) -> None:
    assert api.get("/v1/config/history/77").json()["code"] == "CFG-007"
    assert api.get("/v1/config/history/0").status_code == 422


def test_an_earlier_version_runs_again(api: Served) -> None:
    put(api)
    answer = api.post("/v1/config/rollback", json={"version": 1})
    assert ConfigActivation.model_validate_json(answer.content).version == 1
    assert api.get("/v1/config").headers["etag"] == '"1"'
    missing = api.post("/v1/config/rollback", json={"version": 50})
    assert (missing.status_code, missing.json()["code"]) == (404, "CFG-007")
    for wrong in ({"version": 0}, {"version": "x"}, {"to": 1}):
        assert api.post("/v1/config/rollback", json=wrong).status_code == 422


def test_a_field_that_a_newer_release_may_know_is_told_from_a_wrong_value(api: Served) -> None:
    wrong = {"site": {"moon": "full", "name": 7}, "schedules": {"a": {"window": {"kind": "clock", "start": "06:00"}}}}
    answer = api.post("/v1/config/validate", "operator", json=wrong)
    assert {each["path"]: each["kind"] for each in answer.json()["errors"]} == {
        "site.moon": "unknown_field", "site.name": "wrong_value", "schedules.a.window.end": "missing",
    }  # fmt: skip
