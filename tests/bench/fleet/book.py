"""What a simulated node does with documents: it looks at them, runs them on probation, and confirms or goes back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from node.clock import SystemClock
from node.wire.config import digest
from node.wire.times import US, to_text

FIRST: dict[str, Any] = {"site": {"name": "as it was"}}
FIRST_DIGEST = digest(FIRST)
CAMERA = {"name": "north", "next_slots": [], "frames_per_day": 144.0, "frames_per_day_now": 144.0}
BAD_SITE = "bad"
"""A document that names its site so proves itself nowhere."""


@dataclass(slots=True)
class Book:
    """The documents of one node.  `proves_s` is how long it takes to decide."""

    proves_s: float = 1.0
    documents: list[tuple[dict[str, Any], str]] = field(default_factory=lambda: [(FIRST, FIRST_DIGEST)])
    owner: str = ""
    decides_s: float | None = None
    failed: str = ""
    """The digest of the document that it went back from."""

    def config(self) -> dict[str, Any]:
        """As a status has it."""
        self._decide()
        said = {"version": len(self.documents), "digest": self.documents[-1][1], "state": "active"}
        if self.decides_s is None:
            return said
        until_us = SystemClock().now_us() + round((self.decides_s - time.monotonic()) * US)
        return said | {"state": "probation", "probation_until": to_text(until_us)}

    def _decide(self) -> None:
        if self.decides_s is None or time.monotonic() < self.decides_s:
            return
        self.decides_s = None
        document, called = self.documents[-1]
        if document.get("site", {}).get("name") == BAD_SITE:
            self.failed = called
            self.documents.append(self.documents[-2])

    def read(self, _body: bytes, _headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        return 200, {**self.config(), "document": self.documents[-1][0], "effective": {}}

    def validate(self, body: bytes, _headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        return 200, {"valid": True, "digest": digest(json.loads(body)), "cameras": [CAMERA]}

    def put(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        if headers.get("heliograph-lease", "") != self.owner:
            return 409, {"code": "CFG-011", "title": "its lease is held"}
        version = len(self.documents)
        if headers.get("if-match") != f'"{version}"':
            return 412, {"code": "CFG-005", "title": "configuration has moved on"}
        document = json.loads(body)
        self.documents.append((document, digest(document)))
        self.decides_s = time.monotonic() + self.proves_s
        return 200, {**self.config(), "previous": version, "changed": True}

    def history(self, _body: bytes, _headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        row = {"version": 2, "created": "", "who": "", "origin": "put", "digest": self.failed, "state": "rolled_back"}
        return 200, {"items": [row | {"reason": "bad_frames"}] if self.failed else []}

    def take(self, body: bytes, _headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        owner = str(json.loads(body)["owner"])
        if self.owner not in {"", owner}:
            return 409, {"code": "CFG-011", "title": "its lease is held", "detail": f"{self.owner} holds it"}
        self.owner = owner
        return 200, {"owner": owner}

    def let_go(self, body: bytes, _headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        self.owner = "" if self.owner == json.loads(body)["owner"] else self.owner
        return 200, {}


Does = Callable[[Book, bytes, Mapping[str, str]], tuple[int, dict[str, Any]]]
DOES: dict[tuple[bytes, bytes], Does] = {
    (b"GET", b"/v1/config"): Book.read,
    (b"PUT", b"/v1/config"): Book.put,
    (b"POST", b"/v1/config/validate"): Book.validate,
    (b"GET", b"/v1/config/history"): Book.history,
    (b"PUT", b"/v1/lease"): Book.take,
    (b"DELETE", b"/v1/lease"): Book.let_go,
}
