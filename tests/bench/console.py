"""The console's model and pollers over a simulated fleet, without a screen."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.figure import Figure
from tests.bench.fleet import beside

LIMIT_S = 300
LATE_MS = 50


def figures(*, short: bool) -> Iterator[Figure]:
    seconds = 5 if short else 30
    yield from _quick(_watched(500, 1, 2, faults=0))
    yield from _steady(_watched(200 if short else 1000, 15, seconds), {"cpu_pct": 30, "rss_mb": 100})
    if not short:
        yield from _steady(_watched(5000, 20, seconds, faults=0.0005), {"rss_mb": 400})
    yield from _hostile(_watched(100, 5, seconds, hostile=92))
    yield from _day(hours=1 if short else 24)


def _quick(said: dict[str, Any]) -> Iterator[Figure]:
    yield Figure("500 nodes over TLS, all heard", "s", said["refreshed_s"], limit=2)


def _steady(said: dict[str, Any], limits: dict[str, float]) -> Iterator[Figure]:
    fleet = f"{said['nodes']} nodes over TLS"
    note = f"{said['changes_per_s']:.0f} changes a second, {said['streams']} streams"
    yield Figure(f"{fleet}, CPU", "% of a core", said["cpu_pct"], limit=limits.get("cpu_pct"), note=note)
    yield Figure(f"{fleet}, RSS", "MB", said["rss_mb"], limit=limits.get("rss_mb"), note="without a screen")
    yield Figure(f"{fleet}, timer late p95", "ms", said["late_p95_ms"], limit=LATE_MS)
    yield Figure(f"{fleet}, timer late at most", "ms", said["late_max_ms"], note=f"garbage {said['gc_max_ms']:.0f} ms")


def _hostile(said: dict[str, Any]) -> Iterator[Figure]:
    yield Figure("92 hostile nodes of 192, timer late p95", "ms", said["late_p95_ms"], limit=LATE_MS)
    yield Figure("92 hostile nodes of 192, timer late at most", "ms", said["late_max_ms"])
    yield Figure("92 hostile nodes of 192, RSS", "MB", said["rss_mb"])


def _day(hours: int) -> Iterator[Figure]:
    said = _asked("tests.bench.fleet.day", "--hours", str(hours))
    first, last = said["after_mb"][0], said["after_mb"][-1]
    note = f"{said['polls']} answers, {said['told']} events; {last:.0f} MB at the end"
    yield Figure(f"memory grown over {hours * 3 / 4:g} h of churn", "MB", last - first, limit=2, note=note)


def _watched(nodes: int, settle_s: float, seconds: float, *, faults: float = 0.002, hostile: int = 0) -> dict[str, Any]:
    options = ["--tls", "--nodes", str(nodes), "--faults", str(faults), "--hostile", str(hostile)]
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder, beside.fleet(Path(folder), *options):
        hosts = str(Path(folder) / "hosts.yml")
        return _asked("tests.bench.fleet.watcher", hosts, "--settle", str(settle_s), "--seconds", str(seconds))


def _asked(module: str, *options: str) -> dict[str, Any]:
    """What that program prints."""
    done = subprocess.run([sys.executable, "-m", module, *options], check=True, stdout=subprocess.PIPE, timeout=LIMIT_S)
    said: dict[str, Any] = json.loads(done.stdout)
    return said
