"""Connections to nodes through a SOCKS 5 proxy (RFC 1928), as `ssh -D` opens one."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

import httpcore

from console.fleet.inventory import Proxy

VERSION, CONNECT, GRANTED = 5, 1, 0
NO_PASSWORD = bytes((VERSION, 1, 0))
IPV4, NAMED, IPV6 = 1, 3, 4
ADDRESS_BYTES = {IPV4: 4, IPV6: 16}
NO_PROXY = "no SOCKS proxy answers at"
ANSWERS: Mapping[int, str] = {
    2: "is not let through",
    3: "network of the node is unreachable",
    4: "node is unreachable",
    5: "node refuses the connection",
    6: "node is too far away",
}


class Through(httpcore.AsyncNetworkBackend):
    """Opens each connection through that proxy, which also looks up the names.

    httpx with socksio was tried: a connection that is given up while the proxy still tries stays in its pool, and
    eight of them end all asking of that node.
    """

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises ProxyError where the proxy is to blame, ConnectError where it says that the node is."""
        stream = await self._reached(timeout, local_address, socket_options)
        asked = False
        try:
            await _asked(stream, host, port, timeout)
            asked = True
        finally:
            if not asked:
                await stream.aclose()
        return stream

    async def _reached(
        self,
        within_s: float | None,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.AsyncNetworkStream:
        proxy = self._proxy
        try:
            return await self._network.connect_tcp(proxy.address, proxy.port, within_s, local_address, socket_options)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise httpcore.ProxyError(NO_PROXY) from error


async def _asked(stream: httpcore.AsyncNetworkStream, host: str, port: int, within_s: float | None) -> None:
    answers = _Answers(stream, within_s)
    await stream.write(NO_PASSWORD, within_s)
    if await answers.take(2) != bytes((VERSION, 0)):
        raise httpcore.ProxyError(NO_PROXY)
    await stream.write(bytes((VERSION, CONNECT, 0)) + _written(host) + port.to_bytes(2, "big"), within_s)
    version, said, _, kind = await answers.take(4)
    if version != VERSION:
        raise httpcore.ProxyError(NO_PROXY)
    if said != GRANTED:
        raise httpcore.ConnectError(ANSWERS.get(said, f"node cannot be reached ({said})"))
    size = ADDRESS_BYTES[kind] if kind in ADDRESS_BYTES else (await answers.take(1))[0]
    await answers.take(size + 2)


def _written(host: str) -> bytes:
    """An address, or a name for the proxy to look up."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("ascii")[:255]
        return bytes((NAMED, len(name))) + name
    return bytes((IPV4 if address.version == 4 else IPV6,)) + address.packed  # noqa: PLR2004 - IPv4


class _Answers:
    """What the proxy says, so many bytes at a time and no more: what comes after it is the node's."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, within_s: float | None) -> None:
        self._stream = stream
        self._within_s = within_s

    async def take(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            more = await self._read(count - len(taken))
            if not more:
                raise httpcore.ProxyError(NO_PROXY)
            taken += more
        return taken

    async def _read(self, count: int) -> bytes:
        try:
            return await self._stream.read(count, self._within_s)
        except httpcore.ReadTimeout as error:
            raise httpcore.ConnectTimeout(*error.args) from error
