"""Thousands of nodes in one process on loopback, each on a port of its own, as far as a console can tell.

`python -m tests.bench.fleet.simulator FOLDER --nodes 1000` writes FOLDER/hosts.yml, says so in one line, and ends with
its standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import ssl
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from node.wire.stream import GREETING, HEARTBEAT, Reset, StreamEvent, event_block, reset_block
from tests.bench.fleet.book import DOES
from tests.bench.fleet.certificate import LOOPBACK, Certificate, make
from tests.bench.fleet.hostile import MANNERS, Hostile
from tests.bench.fleet.life import Pace, SimNode, live

HEAD = b"HTTP/1.1 %d OK\r\nContent-Type: %b\r\n%b\r\n"
TOKEN = "simulated"
BEATS_S = 15
LONGEST_REQUEST = 16_384
TURNS = 10
"""Of the loop, until an aborted connection with TLS is closed down to its socket."""


class Door(asyncio.Protocol):
    """One connection to one node."""

    def __init__(
        self, node: SimNode, visitors: set[asyncio.Transport], open_streams: dict[str, set[asyncio.Transport]]
    ) -> None:
        self._node = node
        self._visitors = visitors
        self._streams = open_streams
        self._asked = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._visitors.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._visitors.discard(self._transport)
            self._streams.get(self._node.name, set()).discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._asked += data
        while b"\r\n\r\n" in self._asked:
            head, _, rest = self._asked.partition(b"\r\n\r\n")
            headers = headers_of(head)
            length = int(headers.get("content-length", "0"))
            if len(rest) < length:
                return
            body, self._asked = rest[:length], rest[length:]
            self._answer(head, headers, body)
        if len(self._asked) > LONGEST_REQUEST and self._transport:
            self._transport.abort()

    def _answer(self, head: bytes, headers: dict[str, str], body: bytes) -> None:
        assert self._transport is not None
        method, target = head.split(b" ", 2)[:2]
        path = target.split(b"?")[0]
        if self._node.silent:
            return
        if (method, path) in DOES:
            code, said = DOES[method, path](self._node.book, body, headers)
            self._send(code, b"application/json" if code == 200 else b"application/problem+json", problem(code, said))
        elif path == b"/v1/status":
            self._send(200, b"application/json", self._node.body())
        elif path == b"/v1/events":
            self._transport.write(HEAD % (200, b"text/event-stream", b"") + GREETING)
            self._transport.write(b"".join(self._missed(head)))
            self._streams.setdefault(self._node.name, set()).add(self._transport)
        elif path == b"/v1/jobs":
            self._send(200, b"application/json", b'{"items":[],"next":null}')
        else:
            self._send(404, b"application/problem+json", b'{"code":"API-004","title":"there is no such thing"}')

    def _send(self, code: int, kind: bytes, body: bytes) -> None:
        assert self._transport is not None
        self._transport.write(HEAD % (code, kind, b"Content-Length: %d\r\n" % len(body)) + body)

    def _missed(self, head: bytes) -> Iterable[bytes]:
        after = next(
            (int(line[14:]) for line in head.split(b"\r\n") if line.lower().startswith(b"last-event-id")), None
        )
        events = self._node.events
        if after is None or not events:
            return
        if not events[0].id - 1 <= after <= events[-1].id:
            yield reset_block(Reset(oldest=events[0].id, newest=events[-1].id))
            after = events[0].id - 1
        yield from (event_block(event) for event in events if event.id > after)


def headers_of(head: bytes) -> dict[str, str]:
    """By their names in small letters."""
    lines = (line.decode().partition(":") for line in head.split(b"\r\n")[1:])
    return {name.lower(): value.strip() for name, _, value in lines}


def problem(code: int, said: dict[str, Any]) -> bytes:
    return json.dumps(said if code == 200 else {"type": "about:blank", "status": code, **said}).encode()


class Simulator:
    """The whole fleet: `start`, then `live` until cancelled."""

    def __init__(self, count: int, *, tls: Certificate | None = None, pace: Pace | None = None, seed: int = 1) -> None:
        self.nodes = [SimNode(f"cam-{number:04}", number) for number in range(count)]
        self.ports: dict[str, int] = {}
        self._tls = tls
        self._pace = pace or Pace()
        self._dice = random.Random(seed)
        self._servers: list[asyncio.Server] = []
        self._visitors: set[asyncio.Transport] = set()
        self._streams: dict[str, set[asyncio.Transport]] = {}

    async def start(self) -> None:
        context = self._tls.server() if self._tls else None
        for node in self.nodes:
            self.ports[node.name] = await self._open(node, context)

    async def _open(self, node: SimNode, context: ssl.SSLContext | None) -> int:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Door(node, self._visitors, self._streams), LOOPBACK, 0, ssl=context)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def live(self) -> None:
        seconds = 0
        while True:
            await asyncio.sleep(1)
            seconds += 1
            for node, event in live(self.nodes, self._pace, self._dice):
                self._tell(node, event)
            if seconds % BEATS_S == 0:
                self._beat()

    def _tell(self, node: SimNode, event: StreamEvent) -> None:
        if not node.silent:
            for transport in self._streams.get(node.name, ()):
                transport.write(event_block(event))

    def _beat(self) -> None:
        for transports in self._streams.values():
            for transport in transports:
                transport.write(HEARTBEAT)

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for visitor in list(self._visitors):
            visitor.abort()
        for _ in range(TURNS):
            await asyncio.sleep(0)


def inventory(ports: dict[str, int], folder: Path, tls: Certificate | None) -> dict[str, Any]:
    """Hosts of an Ansible inventory.  Its token file is written beside it."""
    token_file = folder / "token"
    token_file.write_text(TOKEN + "\n")
    common = {"ansible_host": LOOPBACK, "heliograph_token_file": str(token_file)}
    # all share one certificate, which is for the address
    trusted = {"heliograph_ca_file": str(tls.public), "heliograph_tls_name": LOOPBACK} if tls else {}
    common |= trusted or {"heliograph_scheme": "http"}
    return {name: common | {"heliograph_port": port} for name, port in ports.items()}


async def serve(folder: Path, given: argparse.Namespace) -> None:
    tls = make(folder) if given.tls else None
    pace = Pace(0, 0) if given.rests else Pace(given.churn, given.faults)
    simulator = Simulator(given.nodes, tls=tls, pace=pace)
    for node in simulator.nodes:
        node.rests = given.rests
    await simulator.start()
    hosts = inventory(simulator.ports, folder, tls)
    hostile = Hostile()
    for number in range(given.hostile):
        manner = list(MANNERS)[number % len(MANNERS)]
        name = f"bad-{number:03}-{manner}"
        hosts |= inventory({name: await hostile.start(name, manner)}, folder, None)
    # JSON is YAML too, and much sooner written
    (folder / "hosts.yml").write_text(json.dumps({"fleet": {"hosts": hosts}}))
    print(json.dumps({"inventory": str(folder / "hosts.yml"), "nodes": len(hosts)}), flush=True)
    living = asyncio.create_task(simulator.live())
    await asyncio.to_thread(sys.stdin.read)
    living.cancel()
    await simulator.close()
    hostile.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fleet.simulator")
    parser.add_argument("folder", type=Path, help="where certificate, token and hosts.yml go; it must be there")
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--churn", type=float, default=0.3, help="share of the nodes that change in a second")
    parser.add_argument("--faults", type=float, default=0.002, help="share of the nodes that go wrong in a second")
    parser.add_argument("--rests", action="store_true", help="nothing is due, and nothing happens")
    parser.add_argument("--hostile", type=int, default=0, help="so many more that misbehave")
    given = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(serve(given.folder, given))


if __name__ == "__main__":
    main()
