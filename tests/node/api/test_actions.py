from __future__ import annotations

import threading

import httpx
import pytest

from node.domain.errors import CameraOffline
from node.store.log import KEY_AGE_US
from tests.apis import Served, eventually

SHOOT = "/v1/cameras/main/capture"
US = 1_000_000


def keyed(api: Served, key: str, path: str = SHOOT, role: str = "operator", **how: object) -> httpx.Response:
    return api.post(path, role, headers={"Idempotency-Key": key}, **how)


def test_the_same_key_and_request_is_answered_again_not_done_again(api: Served) -> None:
    first, again = keyed(api, "shift-1"), keyed(api, "shift-1")
    assert (again.status_code, again.content) == (201, first.content)
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    assert len(api.doer.asked) == 1


def test_another_key_or_none_does_it_again(api: Served) -> None:
    keyed(api, "a")
    keyed(api, "b")
    api.post(SHOOT)
    assert len(api.doer.asked) == 3


def test_the_same_key_for_another_body_is_refused(api: Served) -> None:
    keyed(api, "a")
    refused = keyed(api, "a", json={"profile": "auto"})
    assert (refused.status_code, refused.json()["code"]) == (409, "API-011")
    assert len(api.doer.asked) == 1


def test_the_same_key_of_another_caller_is_refused(api: Served) -> None:
    keyed(api, "a", role="operator")
    assert keyed(api, "a", role="admin").status_code == 409


def test_keys_of_different_routes_do_not_meet(api: Served) -> None:
    assert keyed(api, "a").status_code == 201
    assert keyed(api, "a", "/v1/cameras/side/capture").status_code == 201
    assert keyed(api, "a", "/v1/cameras/main/restart").status_code == 200


def test_a_key_is_forgotten_after_a_day(api: Served) -> None:
    keyed(api, "a")
    api.clock.advance(KEY_AGE_US / US + 1)
    assert "idempotency-replayed" not in keyed(api, "a").headers
    assert len(api.doer.asked) == 2


def test_an_action_that_failed_may_be_asked_for_again_under_its_key(api: Served) -> None:
    api.doer.fails = CameraOffline()
    assert keyed(api, "a").status_code == 503
    api.doer.fails = None
    assert keyed(api, "a").status_code == 201


def test_a_key_whose_action_is_under_way_is_refused(api: Served) -> None:
    gate, real = threading.Event(), api.parts.commands.restart_camera

    def slow(camera: str, caller: object) -> None:
        real(camera, caller)  # type: ignore[arg-type]
        gate.wait(5)

    object.__setattr__(api.parts.commands, "restart_camera", slow)
    answers: list[httpx.Response] = []
    first = threading.Thread(target=lambda: answers.append(keyed(api, "a", "/v1/cameras/main/restart")))
    first.start()
    assert eventually(lambda: bool(api.doer.asked))
    second = keyed(api, "a", "/v1/cameras/main/restart")
    gate.set()
    first.join()
    assert (answers[0].status_code, second.status_code) == (200, 409)
    assert "still being done" in second.json()["detail"]


@pytest.mark.parametrize("key", ["", "x" * 81, "a b", "a\tb"])
def test_a_key_that_is_none_is_refused(api: Served, key: str) -> None:
    assert keyed(api, key).status_code == 422
    assert api.doer.asked == []


def test_long_actions_keep_no_reader_waiting(api: Served) -> None:
    gate, held = threading.Event(), []

    def sits(camera: str, caller: object) -> None:
        held.append(camera)
        gate.wait(10)

    object.__setattr__(api.parts.commands, "restart_camera", sits)
    askers = [threading.Thread(target=api.post, args=("/v1/cameras/main/restart",)) for _ in range(12)]
    for asker in askers:
        asker.start()
    assert eventually(lambda: len(held) >= 4)
    assert api.get("/v1/frames").status_code == 200
    assert len(held) == 4
    gate.set()
    for asker in askers:
        asker.join()
