"""Notes what a node's API says while it lives, and afterwards holds the disk against it."""

from __future__ import annotations

import hashlib
import http.client
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.nodes import Node

HEADERS = {"Authorization": "Bearer viewer"}
FRAMES = "/v1/frames?limit=40&fields=id,sha256,path"
PAUSE_S, PATIENCE_S = 0.02, 5.0


class Witness:
    """What the API of one node reported over all its lives, and the load that its readers are."""

    def __init__(self) -> None:
        self.frames: dict[str, tuple[str, str]] = {}
        self.told: set[str] = set()
        self.requests = 0
        self.lies: list[str] = []

    @contextmanager
    def watching(self, node: Node) -> Iterator[None]:
        """Readers of lists, pictures, status and events, until the block or the node ends."""
        over = threading.Event()
        readers = [
            threading.Thread(target=self._until, args=(node, over, read))
            for read in (self._read_frames, self._read_status, self._read_events)
        ]
        for reader in readers:
            reader.start()
        try:
            yield
        finally:
            over.set()
            for reader in readers:
                reader.join(2 * PATIENCE_S)

    def complaints(self, data: Path) -> list[str]:
        """Frames that were reported and are not there, byte for byte."""
        with closing(sqlite3.connect(f"file:{data}/heliograph.db?mode=ro", uri=True)) as database:
            rows = {frame: (sha, path) for frame, sha, path in database.execute("SELECT id, sha256, path FROM frames")}
        said = [f"frame {frame} was told of and has no row" for frame in sorted(self.told - rows.keys())]
        said += [
            f"frame {frame} is not as it was reported" for frame, seen in self.frames.items() if rows.get(frame) != seen
        ]
        known = self.frames | {frame: rows[frame] for frame in self.told & rows.keys()}
        said += [
            f"file of frame {frame} has changed" for frame, (sha, path) in known.items() if _sha256(data / path) != sha
        ]
        return said + self.lies

    # --- readers ----------------------------------------------------------------------------------------------

    def _until(
        self, node: Node, over: threading.Event, read: Callable[[http.client.HTTPConnection, threading.Event], None]
    ) -> None:
        """Again and again; a connection that breaks is the kill that is being tested."""
        while not over.is_set() and node.alive:
            with closing(http.client.HTTPConnection(urlsplit(node.url).netloc, timeout=PATIENCE_S)) as door:
                try:
                    read(door, over)
                except (OSError, http.client.HTTPException):
                    over.wait(PAUSE_S)

    def _ask(self, door: http.client.HTTPConnection, path: str) -> bytes:
        door.request("GET", path, headers=HEADERS)
        answer = door.getresponse()
        body = answer.read()
        self.requests += 1
        if answer.status >= http.client.INTERNAL_SERVER_ERROR:
            self.lies.append(f"{path}: {answer.status} {body[:200]!r}")
        return body

    def _read_frames(self, door: http.client.HTTPConnection, over: threading.Event) -> None:
        """The newest frames, and the newest picture."""
        while not over.wait(PAUSE_S):
            items = json.loads(self._ask(door, FRAMES))["items"]
            for item in items:
                self.frames[item["id"]] = (item["sha256"], item["path"])
            if items and _hash(self._ask(door, f"/v1/frames/{items[0]['id']}/image")) != items[0]["sha256"]:
                self.lies.append(f"picture of {items[0]['id']} is not what its hash says")

    def _read_status(self, door: http.client.HTTPConnection, over: threading.Event) -> None:
        while not over.wait(PAUSE_S):
            for path in ("/v1/status", "/v1/slots?limit=20", "/v1/cameras"):
                self._ask(door, path)

    def _read_events(self, door: http.client.HTTPConnection, over: threading.Event) -> None:
        door.request("GET", "/v1/events?kind=frame", headers=HEADERS)
        answer = door.getresponse()
        while not over.is_set() and (line := answer.readline()):
            if line.startswith(b"data: ") and b'"frame"' in line:
                self.told.add(json.loads(line[6:])["body"]["frame"])


class Bystander(Witness):
    """Beside a node whose frames go to an archive and whose disk is full now and then: it only listens, and slowly.

    `spoilt` are frames whose files somebody has changed.
    """

    PAUSE_S = 0.25

    def __init__(self) -> None:
        super().__init__()
        self.spoilt: set[str] = set()

    def reported(self) -> dict[str, tuple[str, str]]:
        """Hash and path of every frame that a list showed; empty where only an event told of it."""
        return dict.fromkeys(self.told.copy(), ("", "")) | self.frames.copy()

    def _ask(self, door: http.client.HTTPConnection, path: str) -> bytes:
        door.request("GET", path, headers=HEADERS)
        answer = door.getresponse()
        body = answer.read()
        self.requests += 1
        if answer.status >= http.client.INTERNAL_SERVER_ERROR and answer.status != http.client.SERVICE_UNAVAILABLE:
            self.lies.append(f"{path}: {answer.status} {body[:200]!r}")
        return body if answer.status == http.client.OK else b""

    def _read_frames(self, door: http.client.HTTPConnection, over: threading.Event) -> None:
        """The newest frames, and the newest picture, which may have gone to the archive meanwhile."""
        while not over.wait(self.PAUSE_S):
            items = json.loads(self._ask(door, FRAMES) or b'{"items": []}')["items"]
            for item in items:
                self.frames[item["id"]] = (item["sha256"], item["path"])
            picture = self._ask(door, f"/v1/frames/{items[0]['id']}/image") if items else b""
            if picture and _hash(picture) != items[0]["sha256"] and items[0]["id"] not in self.spoilt:
                self.lies.append(f"picture of {items[0]['id']} is not what its hash says")

    def _read_status(self, door: http.client.HTTPConnection, over: threading.Event) -> None:
        while not over.wait(4 * self.PAUSE_S):
            for path in ("/v1/status", "/v1/targets", "/v1/jobs?limit=20", "/v1/videos?limit=20", "/v1/disk"):
                self._ask(door, path)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sha256(path: Path) -> str:
    return _hash(path.read_bytes()) if path.is_file() else ""
