from __future__ import annotations

import socket
import time

import pytest

from node.api import protocol
from tests.apis import TOKENS, Served


def spoken(api: Served, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """What a raw client hears until the node closes the connection."""
    heard = b""
    with socket.create_connection(("127.0.0.1", api.server.port), timeout=5) as client:
        try:
            for part in parts:
                client.sendall(part)
                time.sleep(pause_s)
            while data := client.recv(65536):
                heard += data
        except (ConnectionResetError, BrokenPipeError):
            pass
    return heard


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"nonsense / HTTP/1.1\r\n\r\n", b"GET http://[ HTTP/1.1\r\n\r\n"],
)
def test_what_is_not_http_gets_a_problem_and_a_closed_connection(api: Served, sent: bytes) -> None:
    head, _, body = spoken(api, sent).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"application/problem+json" in head
    assert b"nosniff" in head
    assert b'"code":"API-017"' in body


def test_a_head_without_end_is_cut_by_its_size(api: Served) -> None:
    heard = spoken(api, b"GET / HTTP/1.1\r\n", *[b"X-A: " + b"a" * 8000 + b"\r\n"] * 12)
    assert heard == b"" or b" 400 " in heard


def test_one_endless_header_line_is_cut_by_its_size(api: Served) -> None:
    heard = spoken(api, b"GET / HTTP/1.1\r\nX-A: ", *[b"a" * 16000] * 8)
    assert heard == b"" or b" 400 " in heard


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "])
def test_a_head_that_does_not_come_in_time_is_cut(api: Served, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(protocol, "HEAD_S", 0.2)
    began = time.monotonic()
    assert spoken(api, sent) == b""
    assert time.monotonic() - began < 20  # bounded: the client never ends its head


def test_a_second_half_sent_request_is_cut_too(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_S", 0.3)
    heard = spoken(api, b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /he", pause_s=0.1)
    assert heard.count(b"HTTP/1.1 200") == 1


def test_connections_beyond_the_limit_are_closed_and_the_others_served(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "CONNECTIONS", 5)
    held = [socket.create_connection(("127.0.0.1", api.server.port), timeout=5) for _ in range(5)]
    assert spoken(api, b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n") == b""
    held.pop().close()
    time.sleep(0.1)
    assert b" 200 " in spoken(api, b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    for each in held:
        each.close()


def test_a_body_that_stops_in_the_middle_changes_nothing(api: Served) -> None:
    head = (
        f'PUT /v1/config HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKENS["admin"]}\r\nIf-Match: "1"\r\n'
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    with socket.create_connection(("127.0.0.1", api.server.port)) as client:
        client.sendall(head.encode())
    time.sleep(0.2)
    assert api.doer.asked == []
    assert api.get("/health/live").status_code == 200


def test_a_websocket_is_not_opened(api: Served) -> None:
    asked = b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n"
    assert b" 101 " not in spoken(api, asked)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/frames/../../etc/passwd",
        "/v1/frames/%2e%2e%2f%2e%2e%2fetc%2fpasswd/image",
        "//v1/status",
        "/v1/cameras/main/",
        "/v1/cameras/%00",
        "/%FF",
    ],
)
def test_tricks_with_paths_find_nothing(api: Served, path: str) -> None:
    asked = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {TOKENS['admin']}\r\n\r\n"
    head, _, body = spoken(api, asked.encode()).partition(b"\r\n\r\n")
    assert head.split()[1] in (b"404", b"422", b"400")
    assert b"application/problem+json" in head
    assert b"root:" not in body
