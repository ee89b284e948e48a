"""Console and node know each other by certificates, and each reason why they do not is told in words."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from console.fleet.client import NodeClient
from console.fleet.inventory import Host
from console.fleet.poller import Fleet
from console.fleet.trust import TlsFiles, mistrust, tls_context
from console.fleet.view import Patience, Word
from node.wire.errors import (
    ConsoleCertificateRefused,
    ConsoleFileUnusable,
    HeliographError,
    NodeCertificateEarly,
    NodeCertificateExpired,
    NodeCertificateForeign,
    NodeCertificateMisnamed,
    NodeCertificateRevoked,
    NodeRefused,
    NodeUnreachable,
)
from tests.console.conftest import status
from tests.offices import FUTURE, PAST, Authority, Signed, plain

LOOPBACK = "127.0.0.1"


@dataclasses.dataclass
class Node:
    """A node that speaks TLS; whoever shows no certificate is answered with 401."""

    context: ssl.SSLContext
    port: int = 0
    shown: list[str] = dataclasses.field(default_factory=list)
    greeted: list[str | None] = dataclasses.field(default_factory=list)
    code: int = 200
    beats: bytes = b""

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while True:
                asked = await reader.readuntil(b"\r\n\r\n")
                peer = writer.get_extra_info("peercert") or {}
                names = [value for _, value in peer.get("subjectAltName", ())]
                self.shown.append(names[0] if names else "nobody")
                if b"/v1/events" in asked:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
                    while self.beats:
                        writer.write(self.beats)
                        await writer.drain()
                        await asyncio.sleep(0.05)
                    await reader.read()
                    return
                body = json.dumps(status("alpha")).encode()
                head = (
                    f"HTTP/1.1 {self.code} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                writer.write(head.encode() + body)
                await writer.drain()

    def greet(self, _: object, name: str | None, __: object) -> None:
        self.greeted.append(name)


@contextlib.asynccontextmanager
async def listening(
    meet: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A server here, by its port; nothing of it is left."""
    visits: set[asyncio.Task[None]] = set()

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.add(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            await meet(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(visited, LOOPBACK, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for visit in visits:
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
        for _ in range(10):
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def served(shows: Signed, trusts: Path | None = None, *, demands: bool = False) -> AsyncIterator[Node]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shows.cert, shows.key)
    if trusts is not None:
        context.load_verify_locations(trusts)
        context.verify_mode = ssl.CERT_REQUIRED if demands else ssl.CERT_OPTIONAL
    node = Node(context)
    context.sni_callback = node.greet
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    async with listening(node.meet, context) as node.port:
        yield node


@pytest.fixture
def fleet(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


def to(node: Node, ours: Authority, console: Signed | None = None, name: str = "alpha") -> Host:
    cert, key = (str(console.cert), str(console.key)) if console else (None, None)
    return Host("alpha", LOOPBACK, node.port, ca_file=str(ours.ca), cert_file=cert, key_file=key, tls_name=name)


async def asked(host: Host) -> HeliographError | str:
    client = NodeClient(host)
    try:
        return (await client.status()).node
    except HeliographError as error:
        return error
    finally:
        await client.close()


def answer(
    shows: Signed, host: Callable[[Node], Host], trusts: Path | None = None, **more: bool
) -> tuple[object, Node]:
    async def whole() -> tuple[object, Node]:
        async with served(shows, trusts, **more) as node:
            return await asked(host(node)), node

    return asyncio.run(whole())


def test_a_node_is_known_by_its_name_wherever_it_is(fleet: Authority) -> None:
    me = fleet.console("kim", "operator")
    said, node = answer(fleet.node("alpha"), lambda node: to(node, fleet, me), fleet.ca)
    assert (said, node.greeted) == ("alpha", ["alpha"])
    assert node.shown == ["urn:heliograph:role:operator"]


def test_without_a_name_the_address_is_one(fleet: Authority) -> None:
    said, _ = answer(fleet.addressed(LOOPBACK), lambda node: to(node, fleet, name=""))
    assert said == "alpha"


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda ours, other: ours.node("alpha", end=PAST), NodeCertificateExpired, "its certificate has expired, by"),
        (lambda ours, other: ours.node("alpha", begin=FUTURE), NodeCertificateEarly, "not valid yet, by this machine"),
        (lambda ours, other: ours.node("bravo"), NodeCertificateMisnamed, "its certificate is not for alpha"),
        (lambda ours, other: ours.addressed(LOOPBACK), NodeCertificateMisnamed, "its certificate is not for alpha"),
        (lambda ours, other: other.node("alpha"), NodeCertificateForeign, "not signed by an authority in /"),
        (lambda ours, other: ours.console("alpha", "admin"), NodeCertificateForeign, "not one for a node"),
    ],
)  # fmt: skip
def test_a_node_that_is_not_the_one_is_asked_nothing(
    tmp_path: Path, fleet: Authority, make: Callable[[Authority, Authority], Signed],
    kind: type[HeliographError], words: str,
) -> None:  # fmt: skip
    shows = make(fleet, Authority(tmp_path / "other", "other"))
    said, node = answer(shows, lambda node: to(node, fleet))
    assert type(said) is kind
    assert words in said.detail
    assert said.hint
    assert node.shown == []


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda ours, other: ours.console("kim", "admin", end=PAST), "has expired, by this machine's clock"),
        (lambda ours, other: ours.console("kim", "admin", begin=FUTURE), "not valid yet, by this machine's clock"),
        (lambda ours, other: other.console("kim", "admin"), "is not signed by an authority in /"),
        (lambda ours, other: ours.node("kim"), "is not one for consoles"),
    ],
)  # fmt: skip
def test_a_node_that_hangs_up_on_this_consoles_certificate_is_said_to(
    tmp_path: Path, fleet: Authority, make: Callable[[Authority, Authority], Signed], words: str
) -> None:
    mine = make(fleet, Authority(tmp_path / "other", "other"))
    said, node = answer(fleet.node("alpha"), lambda node: to(node, fleet, mine), fleet.ca, demands=True)
    assert type(said) is ConsoleCertificateRefused
    assert words in said.detail
    assert node.shown == []


@pytest.mark.parametrize("certified", [True, False])
def test_a_node_that_hangs_up_for_reasons_of_its_own_is_unreachable(fleet: Authority, certified: bool) -> None:
    mine = fleet.console("kim", "admin") if certified else None
    other = Authority(fleet.folder, "other")
    said, _ = answer(fleet.node("alpha"), lambda node: to(node, fleet, mine), other.ca, demands=True)
    assert type(said) is NodeUnreachable
    assert said.detail


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda ours, other: ours.console("kim", "admin", end=PAST), "has expired, by the node's clock"),
        (lambda ours, other: ours.console("kim", "admin", begin=FUTURE), "not valid yet by the node's clock"),
        (lambda ours, other: other.console("kim", "admin"), "signed by no authority that the node knows"),
        (lambda ours, other: None, "heliograph_client_cert_file names none"),
    ],
)  # fmt: skip
def test_a_node_that_says_what_it_has_against_the_certificate_is_quoted(
    tmp_path: Path, fleet: Authority, make: Callable[[Authority, Authority], Signed | None], words: str
) -> None:
    mine, alpha = make(fleet, Authority(tmp_path / "other", "other")), fleet.node("alpha")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(alpha.cert, alpha.key)
    context.load_verify_locations(fleet.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server((LOOPBACK, 0)) as listener, ThreadPoolExecutor() as threads:
        threads.submit(frank, listener, context)
        host = Host("alpha", LOOPBACK, listener.getsockname()[1], ca_file=str(fleet.ca), tls_name="alpha")
        files = {"cert_file": str(mine.cert), "key_file": str(mine.key)} if mine else {}
        said = asyncio.run(asked(dataclasses.replace(host, **files)))
    assert type(said) is ConsoleCertificateRefused
    assert words in said.detail


def frank(listener: socket.socket, context: ssl.SSLContext) -> None:
    """One visitor, who is told by an alert what is wrong, as asyncio does not, and is heard to the end."""
    visitor = context.wrap_socket(listener.accept()[0], server_side=True, do_handshake_on_connect=False)
    with contextlib.suppress(ssl.SSLError):
        visitor.do_handshake()
    with socket.socket(fileno=visitor.detach()) as bare:
        bare.shutdown(socket.SHUT_WR)
        while bare.recv(4096):
            pass


def test_what_the_node_says_over_http_is_refused_too(fleet: Authority) -> None:
    async def whole() -> object:
        async with served(fleet.node("alpha"), fleet.ca) as node:
            node.code = 403
            return await asked(to(node, fleet))

    said = asyncio.run(whole())
    assert type(said) is NodeRefused
    assert "heliograph_client_cert_file" in said.hint


def test_a_certificate_is_taken_up_once_its_file_has_changed(fleet: Authority) -> None:
    async def whole() -> list[str]:
        async with served(fleet.node("alpha"), fleet.ca) as node:
            client = NodeClient(to(node, fleet, fleet.console("kim", "viewer")))
            for role in ("viewer", "admin", "operator"):
                fleet.console("kim", role)
                for _ in range(2):
                    await client.status()
                assert len(client._lines) == 1  # those of before are closed
            await client.close()
            return node.shown

    roles = [name.rpartition(":")[2] for name in asyncio.run(whole())]
    assert roles == ["viewer", "viewer", "admin", "admin", "operator", "operator"]


def test_a_stream_goes_on_while_the_certificate_changes(fleet: Authority) -> None:
    async def whole() -> int:
        async with served(fleet.node("alpha"), fleet.ca) as node:
            client = NodeClient(to(node, fleet, fleet.console("kim", "viewer")))
            stream = client.events(0)
            waiting = asyncio.ensure_future(anext(stream, None))
            while not node.shown:  # noqa: ASYNC110 - the stream is asked for in its own time
                await asyncio.sleep(0.01)
            fleet.console("kim", "admin")
            await client.status()
            open_now = len(client._lines)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await stream.aclose()
            await client.status()
            assert len(client._lines) == 1
            await client.close()
            return open_now

    assert asyncio.run(whole()) == 2


def test_a_node_whose_certificate_is_revoked_is_asked_nothing(fleet: Authority) -> None:
    alpha, spare = fleet.node("alpha"), Authority(fleet.folder, "spare")
    revoked = fleet.folder / "revoked"
    revoked.write_text(f"# lost\n{'ab' * 32}\n{fingerprint(alpha)} alpha's # 2026\n")
    said, node = answer(alpha, lambda node: wary(to(node, fleet), revoked))
    assert type(said) is NodeCertificateRevoked
    assert (node.shown, said.detail) == ([], "its certificate is revoked")
    said, _ = answer(spare.node("alpha"), lambda node: wary(to(node, spare), revoked))
    assert said == "alpha"


def test_an_open_connection_and_a_stream_end_with_a_certificate_that_is_revoked(fleet: Authority) -> None:
    alpha, revoked = fleet.node("alpha"), fleet.folder / "revoked"

    async def whole() -> tuple[int, list[type[object]]]:
        async with served(alpha) as node:
            node.beats = b": beat\n\n"
            client = NodeClient(wary(to(node, fleet), revoked))
            await client.status()
            stream = asyncio.ensure_future(anext(client.events(0), None))
            while len(node.shown) < 2:  # noqa: ASYNC110 - the stream is asked for in its own time
                await asyncio.sleep(0.01)
            asked = len(node.shown)
            revoked.write_text(fingerprint(alpha))
            met = await asyncio.wait_for(asyncio.gather(stream, client.status(), return_exceptions=True), 10)
            await client.close()
            return len(node.shown) - asked, [type(each) for each in met]

    assert asyncio.run(whole()) == (0, [NodeCertificateRevoked, NodeCertificateRevoked])


def test_a_list_of_the_revoked_that_cannot_be_read_lets_nobody_be_asked(fleet: Authority) -> None:
    files = TlsFiles(str(fleet.ca), revoked=str(fleet.folder / "revoked"))
    assert tls_context(files)  # none there: the authority is on another machine
    for text in ("certainly not", "ab" * 31, "\x00\xff" * 50_000):
        (fleet.folder / "revoked").write_text(text)
        with pytest.raises(ConsoleFileUnusable, match="is no list of revoked certificates"):
            tls_context(files)
    (fleet.folder / "revoked").unlink()
    (fleet.folder / "revoked").mkdir()
    with pytest.raises(ConsoleFileUnusable, match="revoked: Is a directory"):
        tls_context(files)
    with pytest.raises(ConsoleFileUnusable, match="no such path"):
        tls_context(TlsFiles(revoked="~nobody-by-that-name/revoked"))


def fingerprint(shown: Signed) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown.cert.read_text())).hexdigest()


def wary(host: Host, revoked: Path) -> Host:
    return dataclasses.replace(host, revoked_file=str(revoked))


def test_one_context_serves_all_nodes_until_a_file_changes(fleet: Authority) -> None:
    me = fleet.console("kim", "viewer")
    files = TlsFiles(str(fleet.ca), str(me.cert), str(me.key))
    first = tls_context(files)
    assert tls_context(TlsFiles(*dataclasses.astuple(files))) is first
    assert tls_context(TlsFiles(str(fleet.ca))) is not first
    os.utime(me.cert, ns=(1, 1))
    assert tls_context(files) is not first


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda me, key: me.key.unlink(), "kim.key: No such file"),
        (lambda me, key: me.key.write_bytes(plain(key)), "kim.key is not the key of certificate "),
        (lambda me, key: me.key.write_bytes(plain(key, b"secret")), "kim.key is locked by a password"),
        (lambda me, key: me.cert.write_bytes(b""), "no certificate with its key"),
        (lambda me, key: me.cert.write_bytes(b"\x00\xff" * 50_000), "no certificate with its key"),
        (lambda me, key: (me.cert.unlink(), me.cert.mkdir()), "kim.pem: Is a directory"),
    ],
)  # fmt: skip
def test_a_file_of_its_own_that_cannot_be_used_is_named(
    fleet: Authority, spoil: Callable[[Signed, ec.EllipticCurvePrivateKey], object], words: str
) -> None:
    me = fleet.console("kim", "viewer")
    files = TlsFiles(str(fleet.ca), str(me.cert), str(me.key))
    tls_context(files)
    spoil(me, ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(ConsoleFileUnusable) as caught:
        tls_context(files)
    assert words in caught.value.detail
    assert "\n" not in caught.value.detail


def test_the_key_may_stand_beside_its_certificate(fleet: Authority) -> None:
    me = fleet.console("kim", "viewer")
    me.cert.write_bytes(me.cert.read_bytes() + me.key.read_bytes())
    assert tls_context(TlsFiles(str(fleet.ca), str(me.cert)))


@pytest.mark.parametrize("path", ["~nobody-by-that-name/ca.pem", "a\x00b"])
def test_an_impossible_path_is_named_too(path: str) -> None:
    with pytest.raises(ConsoleFileUnusable, match="no such path"):
        tls_context(TlsFiles(path))


def test_an_error_of_tls_that_is_nobodys_distrust_is_none() -> None:
    assert mistrust(ssl.SSLError(1, "wrong version number"), Host("alpha", LOOPBACK)) is None
    assert mistrust(OSError(111, "x"), Host("alpha", LOOPBACK)) is None


def test_each_is_shown_on_its_row_for_what_it_is(fleet: Authority) -> None:
    me = fleet.console("kim", "viewer", end=PAST)

    async def whole() -> list[tuple[Word, str]]:
        async with served(fleet.node("bravo")) as other, served(fleet.node("alpha"), fleet.ca) as wary:
            hosts = [to(other, fleet), dataclasses.replace(to(wary, fleet, me), name="bravo")]
            seen = Fleet(hosts, patience=Patience(failed=1))
            await seen.ask_once()
            return [(seen.model.word(host.name), seen.model.views[host.name].error.code) for host in hosts]

    assert asyncio.run(whole()) == [(Word.UNTRUSTED, "FLT-022"), (Word.REFUSED, "FLT-023")]
