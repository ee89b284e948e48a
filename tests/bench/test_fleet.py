"""The simulated fleet speaks as nodes do, and its benches run."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import cast

import pytest

from console.fleet.client import NodeClient
from console.fleet.inventory import Host
from console.fleet.push import How, Terms
from node.wire.status import NodeStatus
from node.wire.stream import StreamEvent
from tests.bench import console, push
from tests.bench.fleet.beside import fleet
from tests.bench.fleet.book import BAD_SITE, FIRST
from tests.bench.fleet.certificate import LOOPBACK, make
from tests.bench.fleet.day import Day
from tests.bench.fleet.life import EVENTS_KEPT, Pace, SimNode, live
from tests.bench.fleet.simulator import Simulator
from tests.bench.push import Pushed, pushed

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


QUICK = Terms(again_s=0.05, look_s=0.1, limit_s=20, slack_s=5)


@pytest.fixture
def sixty(tmp_path: Path) -> Callable[[str], tuple[Pushed, Simulator]]:
    """Pushes a document with a site of that name to sixty nodes, two of which are gone."""

    def made(site: str) -> tuple[Pushed, Simulator]:
        async def whole() -> tuple[Pushed, Simulator]:
            simulator = Simulator(60, pace=STILL)
            for node in simulator.nodes:
                node.book.proves_s = 0.2
            await simulator.start()
            hosts = [Host(name, LOOPBACK, port, "http") for name, port in simulator.ports.items()]
            gone = tuple(Host(f"gone-{number}", LOOPBACK, number, "http") for number in (1, 2))
            said = await pushed((*hosts, *gone), {"site": {"name": site}}, tmp_path, QUICK)
            await simulator.close()
            return said, simulator

        return asyncio.run(whole())

    return made


def runs(simulator: Simulator) -> Counter[str]:
    return Counter(str(node.book.documents[-1][0]["site"]["name"]) for node in simulator.nodes)


def test_a_document_comes_to_every_node_that_can_be_reached(sixty: Callable[[str], tuple[Pushed, Simulator]]) -> None:
    said, simulator = sixty("good")
    assert (said.ended.how, runs(simulator)) == (How.DONE, {"good": 60})
    assert Counter(row.phase for row in said.ended.rows) == {"confirmed": 60, "deferred": 2}
    assert all(not node.book.owner for node in simulator.nodes)


def test_a_bad_document_goes_no_further_than_the_canary(sixty: Callable[[str], tuple[Pushed, Simulator]]) -> None:
    said, simulator = sixty(BAD_SITE)
    assert (said.ended.how, said.ended.why) == (How.STOPPED, "cam-0000 rolled back")
    assert runs(simulator) == {FIRST["site"]["name"]: 60}
    assert [len(node.book.documents) for node in simulator.nodes] == [3] + [1] * 59


@pytest.mark.slow
def test_a_push_to_hundreds_gives_every_figure() -> None:
    plan, whole, cpu = push.figures(short=True)
    assert plan.ours > 0
    assert cpu.ours < whole.ours


@pytest.mark.slow
def test_a_watched_fleet_gives_every_figure() -> None:
    said = console._watched(20, 0.5, 1, hostile=23)
    assert said["nodes"] == 43
    figures = [*console._quick(said), *console._steady(said, {"cpu_pct": 30}), *console._hostile(said)]
    assert all(figure.ours > 0 for figure in figures)
