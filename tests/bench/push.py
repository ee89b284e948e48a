"""A push to hundreds of simulated nodes; with `--inventory`, one to real hosts beside the same change by playbook."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from console.fleet.hold import Holds, owner_of, run_id
from console.fleet.inventory import Host
from console.fleet.poller import Fleet
from console.fleet.push import Ended, How, Terms, Ways, push
from console.fleet.push_history import History
from console.fleet.push_plan import make_plan
from console.fleet.view import Patience
from console.fleet.wanted import wanted
from node.clock import SystemClock
from tests.bench.figure import Figure, table
from tests.bench.fleet import beside

NODES = 500
PLAYBOOK = "playbooks/push_config.yml"
LIMIT_S = 3600


@dataclass(frozen=True, slots=True)
class Pushed:
    """Seconds of the plan, of all from its first batch to the report, and CPU seconds of both; how it ended."""

    plan_s: float
    push_s: float
    cpu_s: float
    ended: Ended


def figures(*, short: bool) -> Iterator[Figure]:
    nodes = 100 if short else NODES
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder:
        options = ("--tls", "--nodes", str(nodes), "--faults", "0", "--churn", "0.05")
        with beside.fleet(Path(folder), *options) as hosts:
            said = asyncio.run(pushed(hosts, {"site": {"name": "as it is wanted"}}, Path(folder) / "state"))
    assert said.ended.how is How.DONE, said.ended.why
    note = f"4 batches, each proves it for 1 s and is looked at twice, {Terms().again_s:g} s apart; over TLS"
    yield Figure(f"push to {nodes} nodes, plan", "s", said.plan_s, note="two questions to each; over TLS")
    yield Figure(f"push to {nodes} nodes, gates included", "s", said.push_s, note=note)
    yield Figure(f"push to {nodes} nodes, CPU of the console", "s", said.cpu_s)


async def pushed(
    hosts: tuple[Host, ...], document: Mapping[str, object], state: Path, terms: Terms | None = None
) -> Pushed:
    """That document, on all of them, without a soak."""
    cpu_s, began_s = time.process_time(), time.monotonic()
    fleet = Fleet(hosts, patience=Patience(failed=1))
    await fleet.ask_once()
    intended = {host.name: wanted(host.name, {"heliograph_config_10_fleet": document}) for host in hosts}
    plan = await make_plan(intended, fleet.model, fleet.client, 0.0)
    planned_s = time.monotonic()
    run = run_id("push", SystemClock().now_us())
    history = History(state, run)
    holds = Holds(plan.to_do, fleet.client, owner_of(run), "measures a push")
    with history.held():
        history.begin(plan, {"owner": holds.owner, "at_us": SystemClock().now_us(), "soak_s": 0.0})
        async with aclosing(push(plan, Ways(fleet.client, history.record, holds))) as events:
            async for event in events:
                ended = event
    ended_s = time.monotonic()
    await asyncio.gather(*(client.close() for host in hosts if (client := fleet.client(host.name)) is not None))
    assert isinstance(ended, Ended)
    return Pushed(planned_s - began_s, ended_s - planned_s, time.process_time() - cpu_s, ended)


# --- the same change by playbook, on hosts that there are -------------------------------------------------------------


def beside_playbook(inventory: Path) -> Figure:
    """The same hosts, gates included: the playbook puts a change there, the push puts back what was there before."""
    program = Path(sys.executable).parent
    new = 5 + SystemClock().now_us() % 1_000_000 / 1e6  # such as no run before has placed
    change = {"heliograph_config_98_bench": {"alerts": {"hold_down_s": new}}}
    playbook = [program / "ansible-playbook", "-i", inventory, PLAYBOOK, "-e", json.dumps(change)]
    playbook_s = _took(playbook)
    push_s = _took([program / "heliograph", "push", "-i", inventory, "/./", "--yes", "--soak", "0"])
    return Figure("a push beside its playbook", "s", push_s, playbook_s, note="gates of both included, no soak")


def _took(command: list[Path | str]) -> float:
    """Raises CalledProcessError where it fails: what did not do it has no time."""
    began_s = time.monotonic()
    subprocess.run(list(map(str, command)), check=True, timeout=LIMIT_S)
    return time.monotonic() - began_s


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.push")
    parser.add_argument("--inventory", type=Path, help="hosts that are up and run what this inventory wants")
    given = parser.parse_args()
    print(table([beside_playbook(given.inventory)] if given.inventory else figures(short=False)))


if __name__ == "__main__":
    main()
