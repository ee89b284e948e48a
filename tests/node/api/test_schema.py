from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.generation import GenerationMode

from node.api.app import routes
from tests.apis import TOKENS, Served, dead_job, fill, keep_video, served

REFRESH = """refresh it: .venv/bin/python -c 'import json
from node.api.app import routes
print(json.dumps(routes().openapi(), indent=1))' > docs/openapi.json"""
DOCUMENT = routes().openapi()
OPERATIONS = [found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()]
KNOWN: dict[str, Any] = {}
"""Path parameters that exist: well-formed cases use them, else all they would ever see is 404."""
CALM = settings(
    max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("schema")) as running:
        known = {
            "frame": fill(running.store, 2)[0].id,
            "camera": "main",
            "version": 1,
            "video": keep_video(running.store).id,
            "job": dead_job(running.doer.jobs).id,
            "target": "nas",
        }
        KNOWN.update(known)
        running.allow(requests_per_s=10_000, burst=100_000)
        yield running


def test_the_documented_schema_is_the_one_that_is_served(api: Served) -> None:
    assert api.get("/v1/openapi.json").json() == DOCUMENT
    stored = Path(__file__).parents[3] / "docs" / "openapi.json"
    assert json.loads(stored.read_text()) == DOCUMENT, REFRESH


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.name.lower())
@pytest.mark.parametrize("role", ["admin", "viewer", None])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_whatever_is_sent_the_answer_is_documented_and_never_a_fault(
    api: Served, operation: Any, role: str | None, mode: GenerationMode
) -> None:
    if mode is GenerationMode.NEGATIVE and not (operation.query or operation.path_parameters or operation.body):
        mode = GenerationMode.POSITIVE

    @CALM
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        if mode is GenerationMode.POSITIVE:
            case.path_parameters = {name: KNOWN[name] for name in case.path_parameters}
        if operation.label == "PUT /v1/config" and role == "admin":
            case.headers = {**(case.headers or {}), "If-Match": api.get("/v1/config").headers["ETag"]}
        sent = case.as_transport_kwargs(base_url=api.server.url)
        headers = {name: value for name, value in dict(sent.pop("headers")).items() if name.lower() != "authorization"}
        if role:
            headers["Authorization"] = f"Bearer {TOKENS[role]}"
        with requests.request(**sent, headers=headers, stream=True, timeout=10) as response:
            judge(operation, response)

    check()


def judge(operation: Any, response: requests.Response) -> None:
    status = response.status_code
    assert status < 500 or status == 503, response.text
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    if status >= 400:
        assert kind == "application/problem+json", (status, kind)
        problem = response.json()
        assert problem["status"] == status
        assert problem["code"]
        assert problem["hint"]
        assert problem["request_id"] == response.headers["X-Request-ID"]
        assert "Traceback" not in response.text
    elif kind == "application/json":
        documented = DOCUMENT["paths"][operation.path][operation.method]["responses"][str(status)]
        schema = documented["content"]["application/json"]["schema"]
        jsonschema_rs.validate({**schema, "components": DOCUMENT["components"]}, response.json())
