"""How much a console grows before a fleet, in a process of its own: `python -m tests.bench.fleet.growth INVENTORY`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

from console.fleet.client import NodeClient
from console.fleet.poller import EVENTS_BURST, Fleet
from console.fleet.view import FleetModel, Patience
from tests.bench.fleet.beside import hosts_listed

POLL_S, TIMEOUT_S, LONGEST_S, LOOK_S = 0.5, 2.0, 40.0, 0.05
BURSTS = 4


def memory_kb(name: str) -> int:
    """`VmRSS` = now, `VmHWM` = the most it ever was."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def met(model: FleetModel) -> bool:
    """Every node has answered or failed often enough to be called by a word, and the flood has gone on for a while."""
    known = all(view.status is not None or view.failures >= model.patience.failed for view in model.views.values())
    return known and model.told >= BURSTS * EVENTS_BURST


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(LONGEST_S):
        while not holds():  # noqa: ASYNC110 - a model tells nobody that it has learnt something
            await asyncio.sleep(LOOK_S)


async def grown(inventory: Path) -> int:
    """KB at the highest, from when it began to ask."""
    patience = Patience(POLL_S)
    fleet = Fleet(
        hosts_listed(inventory), patience=patience, connect=lambda host: NodeClient(host, timeout_s=TIMEOUT_S)
    )
    before_kb = memory_kb("VmRSS")
    running = asyncio.create_task(fleet.run())
    await until(lambda: met(fleet.model))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return memory_kb("VmHWM") - before_kb


if __name__ == "__main__":
    print(json.dumps({"grown_kb": asyncio.run(grown(Path(sys.argv[1])))}))
