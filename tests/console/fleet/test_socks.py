"""Nodes behind a jump host are reached through a SOCKS proxy; a dead one is told apart from a dead node."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from console.fleet.client import NodeClient
from console.fleet.inventory import Host, Proxy
from node.wire.errors import HeliographError, NodeUnreachable, ProxyUnreachable
from tests.console.fleet.test_trust import listening, served
from tests.offices import Authority

LOOPBACK = "127.0.0.1"
GRANTED = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50"


class Jump:
    """A proxy that reaches every address at one port here; `greeting` and `reply` may be anything."""

    def __init__(self, port: int, greeting: bytes = b"\x05\x00", reply: bytes = GRANTED) -> None:
        self.goal, self.greeting, self.reply = port, greeting, reply
        self.wanted: list[bytes] = []
        self.silent = False
        self.open = 0

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self.lead(reader, writer)
        self.open -= 1

    async def lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(3) == b"\x05\x01\x00"
        writer.write(self.greeting)
        if self.greeting != b"\x05\x00":
            return
        _, _, _, kind = await reader.readexactly(4)
        size = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
        self.wanted.append(await reader.readexactly(size))
        await reader.readexactly(2)
        if self.silent:
            await reader.read()
            return
        for piece in self.reply:  # a byte at a time: nothing is promised about pieces
            writer.write(bytes((piece,)))
            await writer.drain()
        if self.reply[1] != 0 or len(self.reply) < len(GRANTED):
            return
        there, onward = await asyncio.open_connection(LOOPBACK, self.goal)
        try:
            await asyncio.gather(pump(reader, onward), pump(there, writer))
        finally:
            onward.transport.abort()


async def pump(source: asyncio.StreamReader, goal: asyncio.StreamWriter) -> None:
    while data := await source.read(4096):
        goal.write(data)
    goal.close()


@contextlib.asynccontextmanager
async def jump(port: int, **manner: Any) -> AsyncIterator[tuple[Jump, Proxy]]:
    it = Jump(port, **manner)
    async with listening(it.meet) as its_port:
        yield it, Proxy(LOOPBACK, its_port)


def behind(proxy: Proxy, fleet: Authority, address: str = "alpha.inside") -> Host:
    return Host("alpha", address, 8460, ca_file=str(fleet.ca), tls_name="alpha", proxy=proxy)


async def asked(host: Host, timeout_s: float = 5.0) -> HeliographError | str:
    client = NodeClient(host, timeout_s=timeout_s)
    try:
        return (await client.status()).node
    except HeliographError as error:
        return error
    finally:
        await client.close()


@pytest.fixture
def fleet(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.mark.parametrize(
    ("address", "sent"),
    [
        ("alpha.inside", b"alpha.inside"),
        ("192.0.2.7", b"\xc0\x00\x02\x07"),
        ("2001:db8::1", b"\x20\x01\x0d\xb8" + b"\0" * 11 + b"\1"),
    ],
)
def test_a_node_behind_a_jump_host_is_spoken_to_over_tls_and_its_name_is_looked_up_there(
    fleet: Authority, address: str, sent: bytes
) -> None:
    async def whole() -> tuple[object, list[bytes], list[str | None]]:
        async with served(fleet.node("alpha")) as node, jump(node.port) as (it, proxy):
            return await asked(behind(proxy, fleet, address)), it.wanted, node.greeted

    assert asyncio.run(whole()) == ("alpha", [sent], ["alpha"])


@pytest.mark.parametrize("reply", [b"\x05\x00\x00\x03\x04host\x00\x50", b"\x05\x00\x00\x04" + b"\0" * 18])
def test_whatever_address_the_proxy_calls_its_own_is_passed_over(fleet: Authority, reply: bytes) -> None:
    async def whole() -> object:
        async with served(fleet.node("alpha")) as node, jump(node.port, reply=reply) as (_, proxy):
            return await asked(behind(proxy, fleet))

    assert asyncio.run(whole()) == "alpha"


def test_a_dead_proxy_is_said_to_be_one(fleet: Authority) -> None:
    said = asyncio.run(asked(behind(Proxy(LOOPBACK, 1), fleet)))
    assert isinstance(said, ProxyUnreachable)
    assert said.detail == "no SOCKS proxy answers at 127.0.0.1:1: Connection refused"
    assert not said.sent
    assert "ssh -N -D" in said.hint


@pytest.mark.parametrize(
    "manner",
    [
        {"greeting": b"HTTP/1.1 400 Bad Request\r\n\r\n"}, {"greeting": b""}, {"greeting": b"\x05\xff"},
        {"greeting": b"\x05\x02"}, {"reply": b"\x04\x00\x00\x01" + b"\0" * 6}, {"reply": b"\x05\x00\x00"},
    ],
)  # fmt: skip
def test_what_is_no_proxy_is_not_taken_for_one(fleet: Authority, manner: dict[str, bytes]) -> None:
    async def whole() -> object:
        async with jump(1, **manner) as (_, proxy):
            return await asked(behind(proxy, fleet))

    said = asyncio.run(whole())
    assert isinstance(said, ProxyUnreachable)
    assert said.detail.startswith("no SOCKS proxy answers at 127.0.0.1:")


@pytest.mark.parametrize(
    ("code", "words"),
    [(5, "node refuses the connection"), (4, "node is unreachable"), (3, "network of the node is unreachable"),
     (2, "is not let through"), (6, "too far"), (77, "node cannot be reached (77)")],
)  # fmt: skip
def test_a_dead_node_behind_a_living_proxy_is_the_nodes_fault(fleet: Authority, code: int, words: str) -> None:
    async def whole() -> object:
        async with jump(1, reply=bytes((5, code, 0, 1)) + bytes(6)) as (_, proxy):
            return await asked(behind(proxy, fleet))

    said = asyncio.run(whole())
    assert type(said) is NodeUnreachable
    assert words in said.detail


def test_a_node_that_was_silent_behind_the_proxy_for_long_is_heard_again_at_once(fleet: Authority) -> None:
    async def whole() -> tuple[set[str], str, int]:
        async with served(fleet.node("alpha")) as node, jump(node.port) as (it, proxy):
            client = NodeClient(behind(proxy, fleet), timeout_s=0.05)
            it.silent, said = True, set()
            for _ in range(12):  # more than a pool has connections
                with pytest.raises(NodeUnreachable) as caught:
                    await client.status()
                said.add(caught.value.detail)
            await until(lambda: it.open == 0)
            it.silent = False
            client._timeout_s = 5.0
            name, left = (await client.status()).node, it.open
            await client.close()
            return said, name, left

    said, name, left = asyncio.run(whole())
    assert (name, left) == ("alpha", 1)
    assert all("0.05 s" in words or "took too long" in words for words in said), said


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not what():  # noqa: ASYNC110 - the proxy hears of it in its own time
            await asyncio.sleep(0.01)
