from __future__ import annotations

from dataclasses import replace

from node.domain.facts import DISK, DiskFacts, camera_key
from node.wire.records import DeepHealth, Live, Ready
from tests.apis import Served


def test_the_process_answers_whoever_asks(api: Served) -> None:
    assert Live.model_validate_json(api.get("/health/live", None).content).state == "ok"


def test_a_node_that_can_work_is_ready(api: Served) -> None:
    assert Ready.model_validate_json(api.get("/health/ready").content) == Ready(ready=True)


def test_a_node_that_cannot_says_each_reason_with_a_503(api: Served) -> None:
    now_us = api.clock.now_us()
    api.board.post(DISK, DiskFacts(1000, 1), now_us)
    for name in ("main", "side"):
        fact = api.board.read(camera_key(name))
        assert fact is not None
        api.board.post(camera_key(name), replace(fact.value, word="offline"), now_us)
    answer = api.get("/health/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "API-015")
    said = [error["message"] for error in answer.json()["errors"]]
    assert len(said) == 3
    assert "Camera main is offline." in said
    assert int(answer.headers["retry-after"]) > 0


def test_every_probe_says_how_old_and_how_dear_its_look_was(api: Served) -> None:
    deep = DeepHealth.model_validate_json(api.get("/health/deep").content)
    assert (deep.state, deep.ready, deep.reasons) == ("ok", True, ())
    by_name = {probe.name: probe for probe in deep.probes}
    assert set(by_name) >= {"config", "clock", "disk", "host", "database", "camera/main", "loop/facts"}
    assert (by_name["disk"].state, by_name["disk"].age_s, by_name["disk"].took_ms) == ("ok", 0.0, 0.2)
