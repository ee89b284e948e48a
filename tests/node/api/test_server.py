from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from node.api.server import Server, bound
from node.domain.errors import InsecureBind, NodeFileInvalid, PortTaken, TlsUnusable
from node.domain.nodefile import ApiBind, Tls
from tests.apis import Served, token_of

OPEN = ApiBind(port=0, insecure_loopback=True)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@contextlib.contextmanager
def running(bind: ApiBind) -> Iterator[Server]:
    server = Server(hello, bind, lambda: None, lambda *_: None)
    server.start()
    try:
        yield server
    finally:
        assert server.stop()


def test_port_zero_becomes_a_real_one() -> None:
    with running(OPEN) as server:
        assert server.port > 0
        assert server.alive()
        assert httpx.get(server.url, trust_env=False).status_code == 204
    assert not server.alive()


def test_it_listens_on_ipv6_where_told_so() -> None:
    with running(ApiBind(host="::1", port=0, insecure_loopback=True)) as server:
        assert server.url == f"http://[::1]:{server.port}"
        assert httpx.get(server.url, trust_env=False).status_code == 204


def test_a_taken_port_names_who_holds_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"127\.0\.0\.1:{port} is held by pid {os.getpid()}: "):
            Server(hello, ApiBind(port=port, insecure_loopback=True), lambda: None, lambda *_: None).start()


def test_an_address_that_is_not_ours_is_a_wrong_field() -> None:
    with pytest.raises(NodeFileInvalid) as raised:
        bound("192.0.2.1", 0)
    assert raised.value.fields[0].path == "api.host"


def test_plain_http_off_loopback_is_refused() -> None:
    with pytest.raises(InsecureBind):
        Server(hello, ApiBind(host="0.0.0.0", port=0, insecure_loopback=True), lambda: None, lambda *_: None)
    with pytest.raises(InsecureBind):
        Server(hello, ApiBind(port=0), lambda: None, lambda *_: None)


def test_it_speaks_tls(tmp_path: Path) -> None:
    certificate, key = pair(tmp_path)
    bind = ApiBind(port=0, tls=Tls(certificate=str(certificate), key=str(key)))
    with running(bind) as server:
        trust = ssl.create_default_context(cafile=str(certificate))
        with httpx.Client(verify=trust, trust_env=False) as http:
            assert http.get(f"https://localhost:{server.port}/").status_code == 204


@pytest.mark.parametrize("fault", ["missing", "not a certificate", "another key"])
def test_tls_files_that_do_not_fit_are_said_in_one_line(tmp_path: Path, fault: str) -> None:
    certificate, key = pair(tmp_path)
    if fault == "missing":
        certificate.unlink()
    if fault == "not a certificate":
        certificate.write_text("certainly not")
    if fault == "another key":
        _, key = pair(tmp_path / "other")
    with pytest.raises(TlsUnusable, match=str(certificate)):
        Server(
            hello, ApiBind(port=0, tls=Tls(certificate=str(certificate), key=str(key))), lambda: None, lambda *_: None
        ).start()


def pair(folder: Path) -> tuple[Path, Path]:
    folder.mkdir(exist_ok=True)
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def test_open_streams_hear_goodbye_and_the_stop_is_quick(api: Served) -> None:
    heard: list[bytes] = []
    ready = threading.Barrier(4)

    def listen() -> None:
        with httpx.stream("GET", f"{api.server.url}/v1/events", headers=token_of("viewer"), timeout=10) as response:
            chunks = response.iter_raw()
            next(chunks)
            ready.wait()
            heard.append(b"".join(chunks))

    readers = [threading.Thread(target=listen) for _ in range(3)]
    for reader in readers:
        reader.start()
    ready.wait(10)
    began = time.monotonic()
    assert api.server.stop()
    for reader in readers:
        reader.join(5)
    assert time.monotonic() - began < 5
    assert len(heard) == 3
    assert all(b'event: goodbye\ndata: {"reason":"stopping"}' in each for each in heard)


@pytest.mark.slow
def test_a_handler_that_does_not_end_does_not_hold_up_the_stop(api: Served) -> None:
    gate, began = threading.Event(), threading.Event()

    def hangs(camera: str, caller: object) -> None:
        began.set()
        gate.wait(30)

    object.__setattr__(api.parts.commands, "restart_camera", hangs)
    answers: list[httpx.Response] = []
    asker = threading.Thread(target=lambda: answers.append(api.post("/v1/cameras/main/restart")))
    asker.start()
    assert began.wait(5)
    started = time.monotonic()
    api.server.stop()
    assert time.monotonic() - started < 5.5
    asker.join(5)
    assert (answers[0].status_code, answers[0].json()["code"]) == (503, "API-015")
    gate.set()
