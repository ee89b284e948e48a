"""A console without a screen over a simulated fleet, in a clean process: what it costs and how punctual its loop stays.

`python -m tests.bench.fleet.watcher HOSTS.YML --settle 15 --seconds 30` prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import time
from pathlib import Path
from typing import Any

from console.fleet.poller import Fleet
from console.fleet.view import FleetModel
from tests.bench.figure import percentile
from tests.bench.fleet.beside import hosts_listed

TICK_S = 0.01
LONG_MS = 50.0
ON_SCREEN = 50
REFRESH_LIMIT_S = 60.0


def rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _all_asked(model: FleetModel) -> bool:
    return all(view.heard_s is not None or view.error is not None for view in model.views.values())


async def probe(late_ms: list[float]) -> None:
    """How late a timer fires: what a key would have to wait."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + TICK_S
        await asyncio.sleep(TICK_S)
        late_ms.append((loop.time() - due_s) * 1000)


def _watch_gc(pauses_ms: list[float]) -> None:
    began_s = 0.0

    def called(phase: str, _: dict[str, int]) -> None:
        nonlocal began_s
        if phase == "start":
            began_s = time.monotonic()
        else:
            pauses_ms.append((time.monotonic() - began_s) * 1000)

    gc.callbacks.append(called)


async def _refreshed(model: FleetModel) -> float:
    began_s = time.monotonic()
    while not _all_asked(model) and time.monotonic() - began_s < REFRESH_LIMIT_S:  # noqa: ASYNC110 - a bench looks on
        await asyncio.sleep(0.02)
    return time.monotonic() - began_s


async def watch(hosts_file: Path, settle_s: float, seconds: float) -> dict[str, Any]:
    bare_mb = rss_mb()
    fleet, late_ms = Fleet(hosts_listed(hosts_file)), list[float]()
    fleet.attend(sorted(fleet.model.views)[:ON_SCREEN])
    tasks = [asyncio.create_task(fleet.run()), asyncio.create_task(probe(late_ms))]
    cpu_s = time.process_time()
    refreshed_s = await _refreshed(fleet.model)
    first_cpu_s = time.process_time() - cpu_s
    first_ms = late_ms[:]
    await asyncio.sleep(settle_s)
    late_ms.clear()
    pauses_ms = [0.0]
    _watch_gc(pauses_ms)
    cpu_s, began_s, told, revision = time.process_time(), time.monotonic(), fleet.model.told, fleet.model.revision
    await asyncio.sleep(seconds)
    passed_s = time.monotonic() - began_s
    said = {
        "nodes": len(fleet.model.views),
        "refreshed_s": refreshed_s,
        "first_cpu_s": first_cpu_s,
        "first_late_p95_ms": percentile(first_ms, 0.95),
        "cpu_pct": 100 * (time.process_time() - cpu_s) / passed_s,
        "rss_mb": rss_mb(),
        "bare_mb": bare_mb,
        "late_p95_ms": percentile(late_ms, 0.95),
        "late_max_ms": max(late_ms),
        "gc_max_ms": max(pauses_ms),
        "gc_long": sum(pause > LONG_MS for pause in pauses_ms),
        "events_per_s": (fleet.model.told - told) / passed_s,
        "changes_per_s": (fleet.model.revision - revision) / passed_s,
        "streams": sum(node.listens for node in fleet._nodes.values()),
    }
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return said


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fleet.watcher")
    parser.add_argument("hosts", type=Path)
    parser.add_argument("--settle", type=float, default=15.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(watch(given.hosts, given.settle, given.seconds))))


if __name__ == "__main__":
    main()
