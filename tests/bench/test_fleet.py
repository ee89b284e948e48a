"""The simulated fleet speaks as nodes do, and its benches run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import cast

import pytest

from console.fleet.client import NodeClient
from console.fleet.inventory import Host
from node.wire.status import NodeStatus
from node.wire.stream import StreamEvent
from tests.bench import console
from tests.bench.fleet.beside import fleet
from tests.bench.fleet.certificate import LOOPBACK, make
from tests.bench.fleet.day import Day
from tests.bench.fleet.life import EVENTS_KEPT, Pace, SimNode, live
from tests.bench.fleet.simulator import Simulator

STILL = Pace(churn=0, faults=0)


def test_a_status_is_as_large_as_a_node_makes_it() -> None:
    body = SimNode("cam-0001", 1, state="crit").body()
    status = NodeStatus.model_validate_json(body)
    assert (status.node, status.state, len(status.cameras)) == ("cam-0001", "crit", 4)
    assert 3500 < len(body) <= 4096


def test_a_fleet_falls_ill_and_is_well_again() -> None:
    nodes, dice = [SimNode(f"cam-{number}", number) for number in range(50)], random.Random(7)
    ill = [sum(1 for _ in live(nodes, Pace(0, 0.5, 0), dice)), sum(node.state != "ok" or node.silent for node in nodes)]
    assert all(ill)
    for _ in range(50):
        list(live(nodes, Pace(0, 0, 0.5), dice))
    assert all(node.state == "ok" and not node.silent and not node.dead for node in nodes)


@pytest.mark.parametrize("after", [0, 150, 9999])
def test_a_stream_begins_as_a_nodes_does(tmp_path: Path, after: int) -> None:
    async def whole() -> list[tuple[int, str]]:
        simulator = Simulator(1, tls=make(tmp_path), pace=STILL)
        for _ in range(200):
            simulator.nodes[0].tell("gap")
        await simulator.start()
        client = NodeClient(Host("cam-0000", LOOPBACK, simulator.ports["cam-0000"], ca_file=str(tmp_path / "node.pem")))
        assert (await client.status()).last_event_id == 200
        got = []
        async with asyncio.timeout(5), aclosing(cast("AsyncGenerator[StreamEvent]", client.events(after))) as events:
            async for event in events:
                got.append((event.id, event.kind))
                if event.id == 200:
                    break
        await client.close()
        await simulator.close()
        return got

    first, count = {150: ((151, "gap"), 50)}.get(after, ((100, "reset"), 1 + EVENTS_KEPT))
    told = asyncio.run(whole())
    assert (told[0], len(told)) == (first, count)


def test_a_fleet_beside_writes_its_inventory_and_ends(tmp_path: Path) -> None:
    with fleet(tmp_path, "--nodes", "2", "--hostile", "1") as hosts:
        assert [host.name for host in hosts] == ["bad-000-hangs", "cam-0000", "cam-0001"]
        assert hosts[1].token_file == str(tmp_path / "token")


def test_a_day_passes_without_waiting() -> None:
    loop, day = asyncio.new_event_loop(), Day(3)
    day.pass_s(600, loop)
    loop.close()
    assert day.polls >= 150
    assert day.model.told > 0


@pytest.mark.slow
def test_a_watched_fleet_gives_every_figure() -> None:
    said = console._watched(20, 0.5, 1, hostile=23)
    assert said["nodes"] == 43
    figures = [*console._quick(said), *console._steady(said, {"cpu_pct": 30}), *console._hostile(said)]
    assert all(figure.ours > 0 for figure in figures)
