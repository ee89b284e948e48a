from __future__ import annotations

import hashlib

import pytest

from node.api import openapi
from node.api.app import RESOURCES, routes
from node.api.guard import identify
from node.domain.errors import DatabaseBusy
from node.domain.nodefile import Token
from node.wire.routes import ROLES, ROUTES, Role
from tests.apis import TOKENS, Served, dead_job, fill, keep_video

CALLERS = {
    "nobody": (None, None),
    "a stranger": ("not-a-token", None),
    "an expired admin": ("expired", None),
    "viewer": ("viewer", Role.VIEWER),
    "operator": ("operator", Role.OPERATOR),
    "admin": ("admin", Role.ADMIN),
}


def wired() -> set[tuple[str, str]]:
    found = [route for module in (*RESOURCES, openapi) for route in module.router.routes]
    return {(method, route.path) for route in found for method in route.methods}


def test_the_application_has_the_routes_of_the_table_and_no_others() -> None:
    assert wired() == set(ROLES)
    assert len(ROUTES) == len(ROLES)
    documented = {(method.upper(), path) for path, methods in routes().openapi()["paths"].items() for method in methods}
    assert documented == {key for key in ROLES if key[0] != "HEAD"}


def test_only_the_liveness_probe_is_open() -> None:
    assert [route.path for route in ROUTES if route.role is Role.OPEN] == ["/health/live"]


@pytest.mark.parametrize("caller", CALLERS)
def test_every_route_lets_in_whom_the_table_names_and_nobody_else(api: Served, caller: str) -> None:
    api.allow(burst=100_000)
    role, granted = CALLERS[caller]
    frame, video, job = fill(api.store, 1)[0], keep_video(api.store), dead_job(api.doer.jobs)
    known = {"camera": "main", "frame": frame.id, "version": 1, "video": video.id, "job": job.id, "target": "nas"}
    for route in ROUTES:
        path = route.path.format(**known)
        with api.http.stream(
            route.method, api.server.url + path, headers={"Authorization": f"Bearer {_token(role)}"} if role else {}
        ) as response:
            _judge(route.role, granted, response.status_code, f"{route.method} {path}")


def _token(role: str) -> str:
    return TOKENS.get(role, role)


def _judge(needed: Role, granted: Role | None, status: int, what: str) -> None:
    if needed is Role.OPEN or (granted is not None and granted >= needed):
        assert status not in (401, 403), what
    else:
        assert status == (401 if granted is None else 403), what


def test_a_refused_caller_changes_nothing(api: Served) -> None:
    api.post("/v1/cameras/main/capture", "viewer")
    api.ask("PUT", "/v1/config", "operator", json={}, headers={"If-Match": '"1"'})
    api.post("/v1/config/rollback", None)
    assert api.doer.asked == []


def test_refused_attempts_are_told_once_a_minute_with_their_number(api: Served) -> None:
    for _ in range(5):
        assert api.get("/v1/status", "wrong").status_code == 401
    api.clock.advance(61)
    assert api.post("/v1/cameras/main/restart", "viewer").status_code == 403
    told = [(event.client, event.code, event.count) for event in api.doer.refused]
    assert told == [("127.0.0.1", "API-001", 1), ("127.0.0.1", "API-001", 4), ("127.0.0.1", "API-002", 1)]


def test_a_refusal_stands_though_it_cannot_be_written_down(api: Served) -> None:
    api.doer.fails = DatabaseBusy("locked")
    assert api.get("/v1/status", None).status_code == 401
    assert api.doer.refused


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic see-me",
        "see-me",
        "Bearer see-me2",
        "Bearer \u00e9",
        "Bearer  ",
        "bearer\tsee-me",
    ],
)
def test_headers_that_carry_no_known_token_identify_nobody(header: str) -> None:
    assert identify(header, [token("see-me")], 0) is None


def test_the_scheme_is_read_without_regard_to_case() -> None:
    assert identify("bEARER see-me ", [token("see-me")], 0) is not None


def test_a_rotated_token_overlaps_until_it_expires() -> None:
    tokens = [token("old", expires_us=100), token("new")]
    assert identify("Bearer old", tokens, 99) is not None
    assert identify("Bearer old", tokens, 100) is None
    assert identify("Bearer new", tokens, 100) is not None


def test_of_one_secret_under_two_names_the_higher_role_counts() -> None:
    both = [token("one"), token("one", role="admin")]
    assert identify("Bearer one", both, 0) is both[1]


def token(secret: str, **more: object) -> Token:
    given = {"name": "some", "role": "viewer", "sha256": hashlib.sha256(secret.encode()).hexdigest(), **more}
    return Token.model_validate(given)


def test_names_that_a_route_does_not_take_are_refused_with_all_that_is_wrong(api: Served) -> None:
    problem = api.get("/v1/frames?limit=0&nix=1&camera=A").json()
    assert sorted(error["path"] for error in problem["errors"]) == ["query.camera", "query.limit", "query.nix"]
    problem = api.get("/v1/status?nix=1&nax=2").json()
    assert [error["path"] for error in problem["errors"]] == ["query.nix", "query.nax"]
    problem = api.get("/v1/frames?limit=1&limit=2").json()
    assert [error["message"] for error in problem["errors"]] == ["given twice"]


def test_who_may_not_come_in_learns_nothing_of_what_was_wrong(api: Served) -> None:
    assert api.get("/v1/frames?nix=1", None).json()["errors"] == []
