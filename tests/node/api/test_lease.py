from __future__ import annotations

import json

import httpx
import pytest

from node.domain.errors import LeaseHeld, NotAllowed
from node.wire.problem import Problem
from node.wire.records import LeaseRecord
from tests.apis import Served

OURS, THEIRS = "push-20261120T180000Z-1f2e@ops1", "rollout-20261120T180001Z-77aa@ops2"
WANTED = {"owner": OURS, "message": "Ann pushes the winter exposure to 12 nodes", "ttl_s": 60}
HEADER = "Heliograph-Lease"


def take(api: Served, role: str = "operator", **changes: object) -> httpx.Response:
    return api.ask("PUT", "/v1/lease", role, json={**WANTED, **changes})


def let_go(api: Served, owner: str = OURS, role: str = "operator", **more: object) -> httpx.Response:
    return api.ask("DELETE", "/v1/lease", role, json={"owner": owner, **more})


def held(api: Served) -> LeaseRecord:
    return LeaseRecord.model_validate_json(api.get("/v1/lease", "viewer").content)


def put(api: Served, version: int = 1, **headers: str) -> httpx.Response:
    sent = {"Content-Type": "application/json", "If-Match": f'"{version}"', **headers}
    return api.ask("PUT", "/v1/config", content=json.dumps({"site": {"name": f"S{version}"}}), headers=sent)


def test_at_first_nobody_holds_it(api: Served) -> None:
    assert held(api) == LeaseRecord()


def test_it_is_taken_seen_renewed_and_released(api: Served) -> None:
    record = LeaseRecord.model_validate_json(take(api).content)
    assert (record.owner, record.message, record.by, record.ttl_s) == (OURS, WANTED["message"], "operator", 60)
    assert held(api) == record
    api.clock.advance(30)
    renewed = LeaseRecord.model_validate_json(take(api).content)
    assert renewed.taken == record.taken
    assert renewed.until != record.until
    assert let_go(api).json() == LeaseRecord().model_dump()
    assert held(api) == LeaseRecord()
    assert let_go(api).status_code == 200


def test_another_is_told_whose_it_is_what_for_and_until_when(api: Served) -> None:
    record = LeaseRecord.model_validate_json(take(api).content)
    for answer in (take(api, owner=THEIRS), let_go(api, THEIRS)):
        problem = Problem.model_validate_json(answer.content)
        assert (problem.status, problem.code) == (409, LeaseHeld.code)
        assert problem.lease is not None
        assert (problem.lease.owner, problem.lease.message, problem.lease.until) == (OURS, record.message, record.until)


def test_a_document_is_put_and_rolled_back_only_in_its_owners_name(api: Served) -> None:
    take(api)
    for headers in ({}, {HEADER: THEIRS}):
        assert put(api, **headers).json()["code"] == LeaseHeld.code
    assert put(api, **{HEADER: OURS}).status_code == 200
    let_go(api)
    assert put(api, 2).status_code == 200
    assert put(api, 3, **{HEADER: THEIRS}).status_code == 200  # who had it before goes on: nobody else has it


def test_the_wrong_owner_in_the_header_is_named(api: Served) -> None:
    answer = put(api, **{HEADER: "two words"})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, f"header.{HEADER}")


def test_it_ends_by_itself(api: Served) -> None:
    take(api)
    api.clock.advance(60)
    assert held(api) == LeaseRecord()
    assert take(api, owner=THEIRS).status_code == 200


def test_force_is_for_an_admin(api: Served) -> None:
    take(api)
    refused = let_go(api, THEIRS, force=True)
    assert (refused.status_code, refused.json()["code"]) == (403, NotAllowed.code)
    assert let_go(api, THEIRS, "admin", force=True).status_code == 200
    assert held(api) == LeaseRecord()


@pytest.mark.parametrize(
    "changes",
    [
        {"owner": ""}, {"owner": "a b"}, {"owner": "x" * 101}, {"message": " "}, {"message": "two\nlines"},
        {"message": "x" * 201}, {"ttl_s": 9}, {"ttl_s": 3601}, {"ttl_s": "soon"}, {"more": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_wish_names_the_field_and_takes_nothing(api: Served, changes: dict[str, object]) -> None:
    answer = take(api, **changes)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, next(iter(changes)))
    assert held(api) == LeaseRecord()


def test_a_viewer_may_only_look(api: Served) -> None:
    assert take(api, "viewer").status_code == 403
    assert let_go(api, OURS, "viewer").status_code == 403


def test_other_problems_say_nothing_of_a_lease(api: Served) -> None:
    assert "lease" not in api.get("/v1/nowhere").json()
