from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node.api.events import published
from node.domain.errors import CameraOffline, CameraTimeout
from node.domain.facts import camera_key
from node.domain.times import US, to_text
from node.wire.records import CameraRecord, HoldRecord, Page
from tests.apis import Served


def test_every_camera_of_the_node_is_listed(api: Served) -> None:
    cameras = Page[CameraRecord].model_validate_json(api.get("/v1/cameras").content).items
    assert [camera.name for camera in cameras] == ["main", "side"]
    main = cameras[0]
    assert (main.backend, main.width, main.state, main.due) == ("synthetic", 1280, "ok", 10)
    assert main.settled_to == main.last_good


def test_a_camera_that_has_not_been_heard_of_is_warming_up(api: Served) -> None:
    api.board.forget(camera_key("side"))
    side = CameraRecord.model_validate_json(api.get("/v1/cameras/side").content)
    assert (side.state, side.backend, side.last_good, side.state_since) == ("idle", "synthetic", None, None)


def test_an_unknown_camera_is_a_404_and_an_impossible_name_a_422(api: Served) -> None:
    for method, path in (("GET", ""), ("POST", "/restart"), ("POST", "/capture")):
        assert api.ask(method, f"/v1/cameras/gone{path}").json()["code"] == "CAM-009"
        assert api.ask(method, f"/v1/cameras/UP{path}").status_code == 422
    assert api.doer.asked == []


def test_a_commanded_shot_is_kept_without_a_slot(api: Served) -> None:
    answer = api.post("/v1/cameras/side/capture", "operator", json={"profile": "auto"})
    assert answer.status_code == 201
    row = answer.json()
    assert (row["camera"], row["profile"], row["due"]) == ("side", "auto", None)
    assert api.get(f"/v1/frames/{row['id']}/image").status_code == 200
    assert api.get("/v1/slots").json()["items"] == []


def test_a_shot_needs_a_profile_of_the_document(api: Served) -> None:
    answer = api.post("/v1/cameras/main/capture", json={"profile": "night"})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "profile")
    for wrong in ({"profile": 3}, {"profil": "auto"}, {"profile": "UP"}, {"profile": "auto", "more": 1}):
        assert api.post("/v1/cameras/main/capture", json=wrong).status_code == 422
    assert api.doer.asked == []


def test_a_restart_answers_with_the_camera(api: Served) -> None:
    answer = api.post("/v1/cameras/main/restart", "operator")
    assert answer.json()["camera"]["name"] == "main"
    assert api.post("/v1/cameras/main/restart", json={"force": True}).status_code == 422


def test_what_the_camera_says_no_to_is_a_problem_with_its_code(api: Served) -> None:
    for error in (CameraOffline("no device"), CameraTimeout("5 s")):
        api.doer.fails = error
        answer = api.post("/v1/cameras/main/capture")
        assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (503, error.code, error.detail)
        assert "retry-after" in answer.headers


# --- hold and resume ------------------------------------------------------------------------------------------------


def held(api: Served, body: dict[str, Any], camera: str = "main", **how: Any) -> HoldRecord:
    return HoldRecord.model_validate_json(api.post(f"/v1/cameras/{camera}/hold", json=body, **how).content)


def test_a_hold_answers_since_when_until_when_why_and_by_whom(api: Served) -> None:
    now_us = api.clock.now_us()
    made = held(api, {"reason": "  lens is being cleaned ", "for_s": 600}, role="operator")
    assert (made.camera, made.changed, made.reason, made.by) == ("main", True, "lens is being cleaned", "operator")
    assert (made.held, made.held_until) == (to_text(now_us), to_text(now_us + 600 * US))
    again = held(api, {"reason": "not done yet"}, role="admin")
    assert (again.changed, again.held, again.held_until, again.by) == (True, made.held, None, "admin")
    assert not held(api, {"reason": "not done yet"}).changed


def test_a_camera_that_is_resumed_is_held_no_more_and_a_second_time_changes_nothing(api: Served) -> None:
    held(api, {"reason": "storm"})
    answers = [api.post("/v1/cameras/main/resume", "operator").json() for _ in range(2)]
    none = {"camera": "main", "held": None, "held_until": None, "reason": "", "by": ""}
    assert answers == [{"changed": True, **none}, {"changed": False, **none}]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"reason": ""},
        {"reason": " \t "},
        {"reason": "x" * 201},
        {"reason": "two\nlines"},
        {"reason": None},
        {"reason": "ok", "for_s": 0},
        {"reason": "ok", "for_s": -5},
        {"reason": "ok", "for_s": 366 * 86_400 + 1},
        {"reason": "ok", "for_s": 1.5},
        {"reason": "ok", "until": "2026-11-20T00:00:00Z"},
    ],
)
def test_a_hold_without_a_plain_reason_or_with_an_odd_end_is_refused(api: Served, wrong: dict[str, Any]) -> None:
    answer = api.post("/v1/cameras/main/hold", json=wrong)
    assert (answer.status_code, bool(answer.json()["errors"]), bool(answer.json()["hint"])) == (422, True, True)
    assert api.doer.asked == []


def test_a_reason_of_two_lines_is_refused_in_plain_words(api: Served) -> None:
    (fault,) = api.post("/v1/cameras/main/hold", json={"reason": "two\nlines"}).json()["errors"]
    assert (fault["path"], fault["message"]) == ("reason", "must be one line without control characters")


def test_the_longest_reason_and_the_longest_hold_are_taken(api: Served) -> None:
    assert held(api, {"reason": "\u00e4" * 200, "for_s": 366 * 86_400}).changed


def test_only_an_operator_holds_and_only_a_camera_that_there_is(api: Served) -> None:
    for action in ("hold", "resume"):
        assert api.post(f"/v1/cameras/main/{action}", "viewer", json={}).status_code == 403
        assert api.post(f"/v1/cameras/gone/{action}", json={}).json()["code"] == "CAM-009"
    assert api.post("/v1/cameras/main/resume", json={"reason": "x"}).status_code == 422
    assert api.doer.asked == []


def test_under_one_key_a_hold_is_made_once_and_answered_again(api: Served) -> None:
    key = {"Idempotency-Key": "shift-1"}
    first = api.post("/v1/cameras/main/hold", json={"reason": "mast", "for_s": 60}, headers=key)
    api.clock.advance(30)
    again = api.post("/v1/cameras/main/hold", json={"reason": "mast", "for_s": 60}, headers=key)
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (first.json(), "true")
    assert len(api.doer.asked) == 1
    assert api.post("/v1/cameras/main/hold", json={"reason": "other"}, headers=key).status_code == 409


def test_events_of_a_hold_say_when_in_words(api: Served) -> None:
    held(api, {"reason": "mast"})
    api.clock.advance(60)
    api.post("/v1/cameras/main/resume")
    kept, resumed = (published(row) for row in api.store.events.after(0))
    since = to_text(api.clock.now_us() - 60 * US)
    assert (kept.kind, kept.level) == ("camera_held", "info")
    assert kept.body == {"camera": "main", "reason": "mast", "who": "admin", "since": since, "until": None}
    assert (resumed.kind, resumed.body) == ("camera_resumed", {"camera": "main", "who": "admin", "held_s": 60.0})


def test_a_held_camera_says_so_with_reason_and_name(api: Served) -> None:
    fact = api.board.read(camera_key("main"))
    assert fact is not None
    now_us = api.clock.now_us()
    facts = replace(fact.value, interval_s=None, held_us=now_us, held_reason="mast", held_by="lena")
    api.board.post(camera_key("main"), facts, now_us)
    main = CameraRecord.model_validate_json(api.get("/v1/cameras/main").content)
    assert (main.state, main.held, main.held_until, main.held_reason, main.held_by) == (
        "idle", to_text(now_us), None, "mast", "lena",
    )  # fmt: skip
    assert 'heliograph_camera_held{camera="main"} 1.0' in api.get("/metrics").text
    assert 'heliograph_camera_held{camera="side"} 0.0' in api.get("/metrics").text
