"""A real node on loopback: how soon, how punctual, how quick to answer, how much memory."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from node.host import memory
from node.store.database import NAME, Database
from node.store.frames import FrameReader
from tests.bench.figure import Figure, percentile

TOKEN = "bench"
PATIENCE_S = 60.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
API = {"requests_per_s": 10_000, "burst": 100_000}
MISSED = """SELECT COUNT(*) FROM slots WHERE reason IS NOT NULL
    AND due_us > (SELECT MIN(due_us) FROM slots WHERE frame_id IS NOT NULL)"""
HOG = "while True: sum(range(10000))"


class Node:
    """One node process below a folder of its own."""

    def __init__(self, folder: Path, document: dict[str, Any]) -> None:
        self._folder = folder
        self._ready = folder / "ready.json"
        node_file = {
            "node": {"id": "bench"},
            "api": {
                "port": 0,
                "insecure_loopback": True,
                "tokens": [{"name": "bench", "role": "viewer", "sha256": hashlib.sha256(TOKEN.encode()).hexdigest()}],
            },
            "paths": {"data": str(folder / "data"), "run": str(folder / "run")},
        }
        (folder / "data").mkdir()
        (folder / "node.yml").write_text(yaml.safe_dump(node_file))
        (folder / "document.yml").write_text(yaml.safe_dump(document | {"api": API}))
        self.began_s = time.monotonic()
        self._process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("heliograph-node")),
                *("run", "--config", str(folder / "node.yml"), "--document", str(folder / "document.yml")),
                *("--ready-file", str(self._ready)),
            ],
            stderr=(folder / "log").open("w"),
        )
        self.pid = self._process.pid
        self._wait(self._ready.exists)
        self.ready_s = time.monotonic() - self.began_s
        self._door = http.client.HTTPConnection("127.0.0.1", json.loads(self._ready.read_text())["port"])

    def status(self) -> dict[str, Any]:
        self._door.request("GET", "/v1/status", headers={"Authorization": f"Bearer {TOKEN}"})
        answer = self._door.getresponse()
        body = answer.read()
        assert answer.status == http.client.OK, body
        said: dict[str, Any] = json.loads(body)
        return said

    def first_frame(self) -> float:
        """Seconds from the start until the status knows of a frame."""
        self._wait(lambda: self.status()["cameras"][0]["last_frame_id"] is not None)
        return time.monotonic() - self.began_s

    def cpu_s(self) -> float:
        """CPU seconds of the service's process until now."""
        numbers = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(numbers[11]) + int(numbers[12])) / TICKS_PER_S

    def lateness_ms(self) -> list[float]:
        """Of each frame kept: from the due instant to the request.  The node must have ended."""
        database = Database(self._folder / "data" / NAME)
        found = [
            (frame.stages.request_us - frame.due_us) / 1000
            for frame in FrameReader(database).every()
            if frame.due_us is not None
        ]
        database.close()
        return found

    def missed(self) -> int:
        """Gaps after the first frame: before it the camera is being opened."""
        database = Database(self._folder / "data" / NAME)
        row = database.read(lambda session: session.one(MISSED))
        database.close()
        return int(row[0]) if row else 0

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)

    def _wait(self, holds: Any) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, "the node is not ready"
            time.sleep(0.01)


@contextlib.contextmanager
def running(document: dict[str, Any]) -> Iterator[Node]:
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder:
        node = Node(Path(folder), document)
        try:
            yield node
        finally:
            node.stop()


@contextlib.contextmanager
def under_load() -> Iterator[None]:
    """A busy process at low priority, as a render will be."""
    with subprocess.Popen(["nice", "-n", "19", sys.executable, "-c", HOG]) as hog:
        try:
            yield
        finally:
            hog.kill()


def figures(seconds: int, requests: int) -> Iterator[Figure]:
    yield from _idle(requests)
    yield from _busy(seconds)


def _idle(requests: int) -> Iterator[Figure]:
    """Nothing is due: the schedule is switched off."""
    with running({"schedules": {"none": {"enabled": False}}}) as node:
        yield Figure("start to ready", "ms", node.ready_s * 1000, limit=5000)
        time.sleep(5)
        shares = memory.shares(node.pid)
        for share in shares:
            yield Figure(
                f"idle PSS, {'service' if share.pid == node.pid else 'camera worker'}", "MB", share.pss_bytes / 1e6
            )
        yield Figure("idle PSS, whole node", "MB", sum(share.pss_bytes for share in shares) / 1e6, limit=150)
        yield from _answers(node, requests, "at rest")
        with under_load():
            yield from _answers(node, requests, "beside a busy process")


def _answers(node: Node, requests: int, when: str) -> Iterator[Figure]:
    node.status()
    cpu_s, taken = node.cpu_s(), []
    for _ in range(requests):
        began = time.perf_counter()
        node.status()
        taken.append((time.perf_counter() - began) * 1000)
    yield Figure(f"status p95, {when}", "ms", percentile(taken, 0.95), limit=20)
    yield Figure(f"status, {when}", "CPU ms", (node.cpu_s() - cpu_s) * 1000 / requests, limit=1)


def _busy(seconds: int) -> Iterator[Figure]:
    """A frame a second, while something else keeps a core busy."""
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder:
        node = Node(Path(folder), {"schedules": {"each": {"interval_s": 1}}})
        try:
            yield Figure("start to first frame", "ms", node.first_frame() * 1000, limit=5000, note="1 s schedule")
            with under_load():
                time.sleep(seconds)
            shares = memory.shares(node.pid)
        finally:
            node.stop()
        late = node.lateness_ms()
        yield Figure("capture jitter p99, 1 Hz", "ms", percentile(late, 0.99), limit=50, note=f"{len(late)} frames")
        yield Figure("slots missed meanwhile", "", float(node.missed()), limit=0)
        yield Figure("PSS while capturing, whole node", "MB", sum(share.pss_bytes for share in shares) / 1e6, limit=250)
