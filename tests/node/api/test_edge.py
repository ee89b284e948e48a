from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import threading
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from node.api.edge import SECURITY_HEADERS
from tests.apis import Served, behind_the_edge, eventually


def test_every_answer_carries_security_headers_and_a_request_id(api: Served) -> None:
    for path in ("/health/live", "/v1/status", "/nix", "/v1/frames?limit=x"):
        headers = api.get(path).headers
        for name, value in SECURITY_HEADERS:
            assert headers[name.decode()] == value.decode()
        assert re.fullmatch(r"[0-9A-Z]{26}", headers["x-request-id"])
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("given", ["console-7.a_b", "A" * 64])
def test_a_clients_request_id_is_kept(api: Served, given: str) -> None:
    answer = api.get("/nix", headers={"X-Request-ID": given})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == given


@pytest.mark.parametrize("given", ["", "A" * 65, "a b", "a\tb", "<script>", "a\xe9".encode("latin-1")])
def test_a_request_id_that_may_not_stand_in_logs_is_replaced(api: Served, given: str | bytes) -> None:
    answer = api.get("/nix", headers={"X-Request-ID": given})
    assert re.fullmatch(r"[0-9A-Z]{26}", answer.headers["x-request-id"])


def test_the_command_knows_the_request_id_and_who_asks(api: Served) -> None:
    api.post("/v1/cameras/main/restart", "operator", headers={"X-Request-ID": "shift-2"})
    ((_, _, caller),) = api.doer.asked
    assert (caller.name, caller.role, caller.client, caller.request_id) == (
        "operator", "operator", "127.0.0.1", "shift-2",
    )  # fmt: skip


def test_too_many_requests_are_refused_until_there_is_a_token_again(api: Served) -> None:
    api.allow(burst=3, requests_per_s=0.5)
    codes = [api.get("/health/live").status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    refused = api.get("/v1/status")
    assert (refused.json()["code"], refused.headers["retry-after"]) == ("API-006", "2")
    api.clock.advance(2)
    assert api.get("/health/live").status_code == 200


def test_a_handler_past_its_deadline_is_left_behind_with_a_503(api: Served) -> None:
    gate = threading.Event()

    def sits(request: Request) -> Response:
        gate.wait(10)
        return PlainTextResponse("late")

    with behind_the_edge(api.parts, Starlette(routes=[Route("/", sits)]), deadline_s=0.2) as server:
        answer = httpx.get(server.url, trust_env=False)
        assert (answer.status_code, answer.json()["code"]) == (503, "API-012")
        assert int(answer.headers["retry-after"]) > 0
        gate.set()


def test_an_answer_that_has_begun_may_take_longer_than_the_deadline(api: Served) -> None:
    async def drips(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(4):
                await asyncio.sleep(0.1)
                yield b"drop"

        return StreamingResponse(parts())

    with behind_the_edge(api.parts, Starlette(routes=[Route("/", drips)]), deadline_s=0.2) as server:
        assert httpx.get(server.url, trust_env=False).content == b"drop" * 4


def test_an_unforeseen_error_is_a_problem_without_words_and_its_words_are_in_the_log(
    api: Served, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks() -> bytes:
        message = "secret of the house"
        raise ZeroDivisionError(message)

    api.parts.metrics.render = breaks  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR):
        answer = api.get("/metrics")
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (500, "API-013", "")
    assert "secret" not in answer.text
    assert eventually(lambda: "secret of the house" in caplog.text)
    assert api.get("/health/live").status_code == 200


def test_a_client_that_takes_nothing_is_cut(api: Served, caplog: pytest.LogCaptureFixture) -> None:
    async def floods(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 65536

        return StreamingResponse(parts())

    caplog.set_level(logging.INFO)
    app = Starlette(routes=[Route("/", floods)])
    with (
        behind_the_edge(api.parts, app, stall_s=0.2) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert eventually(lambda: "client took nothing more" in caplog.text)
        with contextlib.suppress(ConnectionResetError):
            while client.recv(1 << 20):  # what lay in the buffers, then the end; never more
                pass


def test_each_answer_is_measured_by_route_and_status(api: Served) -> None:
    api.get("/v1/cameras/main")
    api.get("/nix/" + "x" * 50)
    text = api.get("/metrics").text
    assert 'heliograph_api_seconds_count{route="/v1/cameras/{camera}",status="200"} 1.0' in text
    assert 'heliograph_api_seconds_count{route="none",status="404"} 1.0' in text
    assert "/nix" not in text
