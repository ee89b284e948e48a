from __future__ import annotations

from node.domain.errors import CameraOffline, CameraTimeout
from node.domain.facts import camera_key
from node.wire.records import CameraRecord, Page
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
