"""Asks nodes over TLS from where it runs, as nobody's client: Python's own library alone.

Reads asks (JSON) on standard input, answers what came of each: a status, or `refused` where there was no answer.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
TOO_MANY = 429
WAIT_S, PORT = 20.0, 8460


class Named(http.client.HTTPSConnection):
    """To an address; who answers is held to be of that name."""

    def __init__(self, ask: Json) -> None:
        super().__init__(ask["name"], PORT, timeout=WAIT_S, context=_context(ask))
        self._address, self._own = ask["address"], ask["name"]
        self._shown = _context(ask)

    def connect(self) -> None:
        plain = socket.create_connection((self._address, PORT), WAIT_S)
        self.sock = self._shown.wrap_socket(plain, server_hostname=self._own)


def _context(ask: Json) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ask["ca"])
    if ask.get("cert"):
        context.load_cert_chain(ask["cert"], ask["key"])
    return context


def answers(asks: list[Json]) -> Iterator[Json]:
    """One connection for each way to come."""
    lines: dict[str, Named] = {}
    for ask in asks:
        way = json.dumps([ask["name"], ask.get("cert")])
        line = lines.setdefault(way, Named(ask))
        try:
            yield _patiently(line, ask)
        except (OSError, http.client.HTTPException) as fault:
            line.close()
            yield {"refused": str(fault) or type(fault).__name__}


def _patiently(line: Named, ask: Json) -> Json:
    while (said := _said(line, ask))["status"] == TOO_MANY:
        time.sleep(1)
    return said


def _said(line: Named, ask: Json) -> Json:
    body = ask.get("body")
    headers = {"Content-Type": "application/json", **ask.get("headers", {})}
    line.request(ask.get("method", "GET"), ask["path"], body=body, headers=headers)
    answer = line.getresponse()
    if answer.headers.get_content_type() == "text/event-stream":
        line.close()
        return {"status": answer.status}
    data = answer.read()
    text = data.decode() if answer.headers.get_content_type().endswith("json") else ""
    return {"status": answer.status, "text": text, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


if __name__ == "__main__":
    json.dump(list(answers(json.load(sys.stdin))), sys.stdout)
