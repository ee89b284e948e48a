from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from node.api.actions import Actions
from node.domain.errors import CameraOffline, DatabaseBusy
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


@contextmanager
def sitting(
    api: Served, *, patience_s: float, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[list[str], threading.Event]]:
    """Restarts that end when the gate is opened: the cameras whose restart has begun, and the gate."""
    gate, begun = threading.Event(), []

    def sits(camera: str, caller: object) -> None:
        begun.append(camera)
        gate.wait(10)

    object.__setattr__(api.parts.commands, "restart_camera", sits)
    monkeypatch.setattr(Actions, "PATIENCE_S", patience_s)
    try:
        yield begun, gate
    finally:
        gate.set()


RESTART = "/v1/cameras/main/restart"


def test_an_action_that_takes_long_goes_on_and_its_key_is_answered_in_the_end(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sitting(api, patience_s=0.3, monkeypatch=monkeypatch) as (begun, gate):
        first = keyed(api, "a", RESTART)
        assert (first.status_code, first.json()["code"]) == (503, "API-018")
        assert int(first.headers["retry-after"]) > 0
        assert keyed(api, "a", RESTART).status_code == 409
        gate.set()
        assert eventually(lambda: keyed(api, "a", RESTART).status_code == 200)
        again = keyed(api, "a", RESTART)
        assert (again.headers["idempotency-replayed"], begun) == ("true", ["main"])


def test_a_long_action_that_fails_in_the_end_frees_its_key(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    def fails(camera: str, caller: object) -> None:
        gate.wait(10)
        raise CameraOffline

    object.__setattr__(api.parts.commands, "restart_camera", fails)
    monkeypatch.setattr(Actions, "PATIENCE_S", 0.3)
    assert keyed(api, "a", RESTART).json()["code"] == "API-018"
    gate.set()
    assert eventually(lambda: keyed(api, "a", RESTART).json()["code"] == "CAM-008")


def test_an_action_that_could_not_begin_in_time_is_not_begun_later(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sitting(api, patience_s=1.0, monkeypatch=monkeypatch) as (begun, gate):
        askers = [threading.Thread(target=api.post, args=(RESTART,)) for _ in range(Actions.AT_ONCE)]
        for asker in askers:
            asker.start()
        assert eventually(lambda: len(begun) == Actions.AT_ONCE)
        refused = api.post("/v1/cameras/side/restart")
        assert (refused.status_code, refused.json()["code"]) == (503, "API-012")
        gate.set()
        for asker in askers:
            asker.join()
        assert api.post(RESTART).status_code == 200
        assert "side" not in begun


def busy_once(real: Callable[..., None]) -> Callable[..., None]:
    """The database does not take the first of these entries."""
    tries: list[object] = []

    def enter(*given: object) -> None:
        tries.append(given)
        if len(tries) == 1:
            raise DatabaseBusy("held")
        real(*given)

    return enter


def test_an_answer_that_could_not_be_entered_is_entered_before_its_key_is_looked_up(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.store.journal, "answer_key", busy_once(api.store.journal.answer_key))
    first, again = keyed(api, "a"), keyed(api, "a")
    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert len(api.doer.asked) == 1


def test_a_key_that_could_not_be_freed_is_freed_before_it_is_looked_up(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.doer.fails = CameraOffline()
    monkeypatch.setattr(api.store.journal, "release_key", busy_once(api.store.journal.release_key))
    assert keyed(api, "a").json()["code"] == "CAM-008"
    api.doer.fails = None
    assert keyed(api, "a").status_code == 201


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
