"""A batch of frames over SSH on loopback, with receipts, beside plain rsync and the peers' ways to be sure."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from node.archive.base import Item, Receipt, Where, name_at
from node.archive.rsync import RsyncArchive
from node.clock import SystemClock
from node.domain.config import TargetPolicy
from tests import sshd
from tests.bench.figure import Figure

FRAME_BYTES = 2_000_000
NODE, FOLDER = "bench", "frames/main/default/2026/11/20"
UNIT, LIMIT = "% of plain rsync", 145.0


class Bench:
    """The same frames, sent in each way to an empty folder of the host: on tmpfs, so that no disk is measured."""

    def __init__(self, folder: Path, host: sshd.Host, frames: int) -> None:
        self._host, self._data, self._endpoint = host, folder / "data", host.endpoint()
        self._where = Where(NODE, self._data, folder / "run", SystemClock())
        (self._data / FOLDER).mkdir(parents=True)
        self._items = [self._item(number) for number in range(frames)]
        first = self._open()
        first.init()
        first.close()

    def seconds(self, way: Callable[[], object]) -> float:
        for path in self._host.store.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        began = time.perf_counter()
        way()
        return time.perf_counter() - began

    def ours(self) -> None:
        """With a connection of its own, as each other way has."""
        target = self._open()
        outcomes = target.put(self._items, lambda _progress, _said: None)
        target.close()
        assert all(isinstance(outcome, Receipt) for outcome in outcomes), outcomes[0]

    def plain(self, *more: str) -> None:
        subprocess.run(
            ["rsync", "-rt", *more, "-e", shlex.join(self._ssh()), f"{self._data}/", self._there()], check=True
        )

    def checked(self) -> None:
        self.plain()
        self.plain("--checksum")

    def hashed(self) -> None:
        self.plain()
        names = "\0".join(item.path.relative_to(self._data).as_posix() for item in self._items)
        script = f"cd {self._host.store}/{NODE} && xargs -0 sha256sum -z --"
        host = f"{self._endpoint.user}@{self._endpoint.host}"
        told = subprocess.run([*self._ssh(), host, script], input=names.encode(), stdout=subprocess.PIPE, check=True)
        assert told.stdout.count(b"\0") == len(self._items)

    def _open(self) -> RsyncArchive:
        return RsyncArchive("bench", self._endpoint, TargetPolicy(), self._where)

    def _item(self, number: int) -> Item:
        content, path = os.urandom(FRAME_BYTES), self._data / FOLDER / f"{number:05}.jpg"
        path.write_bytes(content)
        name = name_at(NODE, path.relative_to(self._data).as_posix())
        return Item(str(number), "frame", path, name, len(content), hashlib.sha256(content).hexdigest())

    def _there(self) -> str:
        return f"{self._endpoint.user}@{self._endpoint.host}:{self._host.store}/{NODE}/"

    def _ssh(self) -> list[str]:
        known, key = self._endpoint.known_hosts, self._endpoint.key
        return ["ssh", "-F", "none", "-p", str(self._endpoint.port), "-i", key, "-o", f"UserKnownHostsFile={known}"]


def figures(rounds: int, frames: int = 200) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as home, sshd.running(Path(home) / "sshd") as host:
        taken = _in_turns(Bench(Path(home), host, frames), rounds)
    size = f"{frames} frames of {FRAME_BYTES / 1e6:g} MB"
    yield Figure(f"plain rsync over SSH, {size}", "ms", statistics.median(taken["plain"]) * 1000)
    yield Figure("with a receipt for each", UNIT, _ratio(taken, "ours"), limit=LIMIT, note=f"{rounds} rounds")
    yield Figure("rsync, then rsync --checksum", UNIT, _ratio(taken, "checked"), note="a peers' way")
    yield Figure("rsync, then sha256sum there", UNIT, _ratio(taken, "hashed"), note="a peers' way")


def _in_turns(bench: Bench, rounds: int) -> Mapping[str, list[float]]:
    """In turns, so that a noisy machine disturbs all alike; the first round only warms up."""
    ways = {"plain": bench.plain, "ours": bench.ours, "checked": bench.checked, "hashed": bench.hashed}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            taken[name].append(bench.seconds(way))
    return {name: seconds[1:] for name, seconds in taken.items()}


def _ratio(taken: Mapping[str, list[float]], way: str) -> float:
    return 100 * statistics.median(mine / plain for mine, plain in zip(taken[way], taken["plain"], strict=True))
