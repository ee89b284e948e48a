from __future__ import annotations

import json

import pytest
from starlette.exceptions import HTTPException

from node.api.problems import allowed, as_ours, problem
from node.api.words import ID, SHOOT, WORDS
from node.domain.config import NAME, NO_SUCH_FIELD
from node.domain.errors import (
    REGISTRY,
    CameraTimeout,
    DatabaseDamaged,
    FieldFault,
    InternalError,
    NotAuthenticated,
    RequestInvalid,
    TooManyRequests,
)
from node.wire.problem import Problem
from tests.apis import Served


def body(error: Exception) -> dict[str, object]:
    return json.loads(bytes(problem(error, "r1").body))  # type: ignore[arg-type]


@pytest.mark.parametrize("code", sorted(REGISTRY))
def test_every_error_of_the_product_has_an_answer(code: str) -> None:
    answer = problem(REGISTRY[code]("why"), "r1")
    parsed = Problem.model_validate_json(bytes(answer.body))
    assert (parsed.code, parsed.status, parsed.request_id) == (code, answer.status_code, "r1")
    assert parsed.title
    assert parsed.hint
    assert parsed.type == f"urn:heliograph:error:{code}"


def test_what_disk_and_database_said_stays_in_the_log() -> None:
    assert body(DatabaseDamaged("/var/lib/heliograph/heliograph.db: malformed"))["detail"] == ""
    assert body(InternalError("a secret"))["detail"] == ""
    assert body(CameraTimeout("5 s"))["detail"] == "5 s"


def test_fields_and_texts_are_bounded() -> None:
    faults = [FieldFault("p" * 500, "m", "g" * 500)] * 80
    parsed = Problem.model_validate(body(RequestInvalid("d" * 5000, fields=faults)))
    assert (len(parsed.errors), len(parsed.errors[0].given), len(parsed.detail)) == (50, 120, 480)


def test_headers_go_with_the_status() -> None:
    assert problem(NotAuthenticated(), "").headers["www-authenticate"] == "Bearer"
    assert problem(TooManyRequests(), "", retry_after_s=3.2).headers["retry-after"] == "4"
    assert problem(TooManyRequests(), "", retry_after_s=0.01).headers["retry-after"] == "1"
    assert "retry-after" not in problem(RequestInvalid(), "").headers


def test_what_is_not_foreseen_says_nothing_of_itself() -> None:
    for error in (ZeroDivisionError("secret"), HTTPException(418, "teapot")):
        assert body(as_ours(error))["code"] == "API-013"
        assert body(as_ours(error))["detail"] == ""


def test_text_that_has_no_bytes_does_not_break_the_answer() -> None:
    assert body(RequestInvalid(fields=[FieldFault("\ud800", "m", "\udfff")]))["code"] == "API-004"


def patterns(tree: object) -> set[str]:
    """Every regular expression in a JSON schema."""
    if isinstance(tree, list):
        return set().union(*map(patterns, tree))
    if not isinstance(tree, dict):
        return set()
    own = {tree["pattern"]} if isinstance(tree.get("pattern"), str) else set()
    return own | patterns(list(tree.values()))


def test_every_pattern_that_the_api_asks_for_has_words(api: Served) -> None:
    found = patterns(api.get("/v1/openapi.json").json())
    assert len(found) >= 5
    assert found <= WORDS.keys()


def test_what_is_wrong_with_parameters_is_said_in_plain_words(api: Served) -> None:
    answer = api.get("/v1/frames?camera=A!&nix=1&shoot=x").json()
    assert {fault["path"]: fault["message"] for fault in answer["errors"]} == {
        "query.camera": WORDS[NAME],
        "query.shoot": WORDS[SHOOT],
        "query.nix": NO_SUCH_FIELD,
    }
    assert api.get("/v1/status?nix=1").json()["errors"][0]["message"] == NO_SUCH_FIELD
    assert api.get("/v1/frames/short").json()["errors"][0]["message"] == WORDS[ID]
    capture = api.post("/v1/cameras/main/capture", json={"profile": "A!", "nix": 1}).json()
    assert {fault["path"]: fault["message"] for fault in capture["errors"]} == {
        "profile": WORDS[NAME],
        "nix": NO_SUCH_FIELD,
    }


def test_a_wrong_method_is_told_the_right_ones(api: Served) -> None:
    answer = api.ask("DELETE", "/v1/config")
    assert (answer.status_code, answer.json()["code"], answer.headers["allow"]) == (405, "API-008", "GET, PUT")
    assert api.ask("PUT", f"/v1/frames/{'0' * 26}/image").headers["allow"] == "GET, HEAD"
    assert allowed("/nowhere") == ""


def test_an_unknown_path_is_a_problem_for_everybody(api: Served) -> None:
    for role in (None, "viewer"):
        answer = api.get("/v2/status", role)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
