"""A day of a fleet's life against the console's model and boards, on a clock that is moved by hand; in a clean process.

`python -m tests.bench.fleet.day --nodes 20 --hours 24` prints one JSON object: the memory after each quarter.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import time
from collections.abc import Iterable

from console.fleet.alerts import AlertBoard
from console.fleet.client import NodeClient
from console.fleet.clock import Clock
from console.fleet.inventory import Host
from console.fleet.jobs import JobBoard
from console.fleet.lines import Teller
from console.fleet.summary import counts
from console.fleet.view import FleetModel, Patience
from node.wire.errors import NodeUnreachable
from node.wire.status import NodeStatus
from tests.bench.fleet.life import Pace, SimNode, live
from tests.bench.fleet.watcher import rss_mb

HOUR_S = 3600.0
ENTRY_US = 1_800_000_000_000_000
PACE = Pace(churn=0.2, faults=0.02, heals=0.1)
HOSTS_CHANGE_S = 600.0
QUARTERS = 4


class Day:
    """A model with a source that nobody can be asked through, and all that follows it."""

    def __init__(self, count: int, seed: int = 1) -> None:
        self._now_s = 1000.0
        clock = Clock(lambda: self._now_s, lambda: ENTRY_US + round(self._now_s * 1_000_000))
        self._nodes = {f"cam-{number}": SimNode(f"cam-{number}", number) for number in range(count)}
        self._hosts = {name: Host(name, "192.0.2.1", 1 + node.number) for name, node in self._nodes.items()}
        self.model = FleetModel(self._hosts.values(), patience=Patience(), clock=clock)
        self._dice = random.Random(seed)
        self._alerts, self._jobs, self._teller = AlertBoard(self.model), JobBoard(self), Teller(self.model)
        self.polls = 0

    def client(self, name: str) -> NodeClient | None:
        return None

    def attend(self, names: Iterable[str]) -> None:
        pass

    def ask_now(self, name: str) -> None:
        pass

    async def run(self) -> None:
        pass

    def pass_s(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        until_s = self._now_s + seconds
        while self._now_s < until_s:
            self._now_s += self.model.patience.poll_s
            self._round()
            self._alerts.refresh()
            loop.run_until_complete(self._jobs.catch_up())
            self._teller.lines()
            counts(self.model)
            if self._now_s % HOSTS_CHANGE_S < self.model.patience.poll_s:
                self._change_hosts()

    def _round(self) -> None:
        for node, event in live(list(self._nodes.values()), PACE, self._dice):
            self.model.happened(node.name, event)
        for name, node in self._nodes.items():
            self.polls += 1
            if node.silent:
                self.model.failed(name, NodeUnreachable("no route to host"))
            else:
                self.model.heard(name, NodeStatus.model_validate_json(node.body()))

    def _change_hosts(self) -> None:
        """Some leave the inventory, and come back later."""
        staying = [host for host in self._hosts.values() if self._dice.random() > 0.1]
        self.model.set_hosts(staying)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fleet.day")
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--hours", type=float, default=24.0)
    given = parser.parse_args()
    loop, day, began_s = asyncio.new_event_loop(), Day(given.nodes), time.monotonic()
    after_mb = []
    for _ in range(QUARTERS):
        day.pass_s(given.hours * HOUR_S / QUARTERS, loop)
        gc.collect()
        after_mb.append(rss_mb())
    loop.close()
    took_s = time.monotonic() - began_s
    print(json.dumps({"after_mb": after_mb, "polls": day.polls, "told": day.model.told, "took_s": took_s}))


if __name__ == "__main__":
    main()
