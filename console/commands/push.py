"""heliograph push: the documents that the inventory wants, put where they are not yet."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import groupby
from typing import Any

from console.commands.acting import DONE, NONE_REACHED, REFUSED, close
from console.commands.command import Command, inventory_option, say, selected, selector, to_ask
from console.commands.ground import inventory_of
from console.fleet import inventory
from console.fleet.acts import SHUT
from console.fleet.poller import Fleet
from console.fleet.push_plan import PUT_OFF, SAYS, NodePlan, PushPlan, Standing, effects, make_plan
from console.fleet.text import several
from console.fleet.view import Patience
from console.fleet.wanted import wanted
from node.wire.errors import NothingSelected, WantedWrong

TOLD_NODES = 20
"""Of so many nodes of a group the plan tells each one's effects; `--json` has all."""
NAMED = 8


def _options(parser: argparse.ArgumentParser) -> None:
    selector(parser)
    inventory_option(parser)
    parser.add_argument("--dry-run", action="store_true", required=True, help="print the plan and end")
    parser.add_argument("--json", action="store_true", help="JSON, one object a line")


def _push(given: argparse.Namespace) -> int:
    """The exit status: 0 as wanted, 69 none could be reached, 77 none lets this console in."""
    plan = asyncio.run(_planned(given))
    if not any(node.standing is not Standing.UNMANAGED for node in plan.nodes.values()):
        raise NothingSelected("no variable heliograph_config_* is about those nodes")
    for line in [json.dumps({"plan": as_json(plan)}, ensure_ascii=False)] if given.json else told(plan):
        say(line)
    if plan.faults:
        raise WantedWrong(several(len(plan.faults), "fault"), fields=plan.faults)
    return _unreached(plan)


def _unreached(plan: PushPlan) -> int:
    """0, unless no node at all could be asked."""
    if any(node.standing is not Standing.DEFERRED for node in plan.nodes.values()):
        return DONE
    return REFUSED if all(node.code in SHUT for node in plan.nodes.values()) else NONE_REACHED


async def _planned(given: argparse.Namespace) -> PushPlan:
    path = inventory_of(given)
    hosts, variables = inventory.read_whole(path)
    fleet = Fleet(to_ask(hosts, given.words), patience=Patience(failed=1))
    await fleet.ask_once()
    try:
        names = selected(fleet.model, given.words)
        folder = inventory.folder_of(path)
        intended = {name: wanted(name, variables[name], folder) for name in names}
        return await make_plan(intended, fleet.model, fleet.client)
    finally:
        await close(fleet, fleet.model.views)


# --- the plan in words ------------------------------------------------------------------------------------------------


def told(plan: PushPlan) -> Iterator[str]:
    """The plan as lines."""
    yield f"plan: push, {len(plan.to_do)} of {several(len(plan.nodes), 'node')} in {_several_batches(plan)}"
    for batch in plan.batches:
        yield f"  {batch.name}: {_named(batch.nodes)}"
    for standing in Standing:
        plans = plan.standing(standing)
        if plans:
            yield f"{standing}: {several(len(plans), 'node')}, {SAYS[standing]}"
            yield from (f"  {line}" for line in _group(standing, plans))


def _several_batches(plan: PushPlan) -> str:
    return f"{len(plan.batches)} batch" + ("" if len(plan.batches) == 1 else "es")


def _named(nodes: Iterable[str]) -> str:
    names = list(nodes)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _group(standing: Standing, plans: tuple[NodePlan, ...]) -> Iterator[str]:
    if standing is Standing.CHANGE:
        ordered = sorted(plans, key=lambda plan: [str(change) for change in plan.changes])
        for changes, alike in groupby(ordered, lambda plan: plan.changes):
            yield from _alike([str(change) for change in changes], list(alike))
    elif standing in PUT_OFF or standing is Standing.PROVING:
        yield from (f"{plan.node}: {plan.why}" for plan in plans)
    elif standing is Standing.WRONG:
        yield from (f"{plan.node}: {several(len(plan.faults), 'fault')}" for plan in plans)
    else:
        yield _named(plan.node for plan in plans)


def _alike(changes: list[str], plans: list[NodePlan]) -> Iterator[str]:
    """Nodes that change in the same fields, from the same values to the same."""
    yield f"{_named(plan.node for plan in plans)}:"
    yield from (f"  {change}" for change in changes)
    for plan in plans[:TOLD_NODES]:
        yield from (f"  {plan.node} {line}" for line in effects(plan))
    if len(plans) > TOLD_NODES:
        yield f"  … and so on for {len(plans) - TOLD_NODES} more: --json has all"


def as_json(plan: PushPlan) -> dict[str, Any]:
    """For programs: names stay."""
    return {
        "batches": [{"name": batch.name, "nodes": list(batch.nodes), "soak_s": batch.soak_s} for batch in plan.batches],
        "nodes": [_node(node) for node in plan.nodes.values()],
    }


def _node(plan: NodePlan) -> Mapping[str, Any]:
    said = asdict(plan) | {"check": None if plan.check is None else plan.check.model_dump()}
    return {**said, "faults": [{"path": fault.path, "message": fault.message} for fault in plan.faults]}


COMMANDS: dict[str, Command] = {
    "push": Command("Put the inventory's configuration documents on nodes, batch by batch.", _options, _push),
}
