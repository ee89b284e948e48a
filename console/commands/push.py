"""heliograph push: the documents that the inventory wants, put where they are not yet."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from console.commands.acting import DONE, FAILED, NONE_REACHED, REFUSED, close, confirm
from console.commands.command import Command, duration, inventory_option, say, selected, selector, to_ask
from console.commands.ground import book_of, inventory_of, state_option, warn
from console.fleet import inventory
from console.fleet.acts import SHUT
from console.fleet.batches import SOAK_S, BatchBegun, Soaking
from console.fleet.clock import Clock
from console.fleet.hold import Holds, owner_of, run_id
from console.fleet.poller import Fleet
from console.fleet.push import DONE as PROVEN
from console.fleet.push import Ended, Event, How, Moved, Terms, Ways, as_entry, push
from console.fleet.push_history import History, Past, last, resumed
from console.fleet.push_plan import PUT_OFF, SAYS, NodePlan, PushPlan, Standing, effects, make_plan
from console.fleet.text import several
from console.fleet.view import Patience
from console.fleet.wanted import wanted
from console.settings import load
from node.wire.errors import NodesHeld, NothingSelected, NothingToResume, UsageWrong, WantedWrong

TOLD_NODES = 20
"""Of so many nodes of a group the plan tells each one's effects; `--json` has all."""
NAMED = 8
LONGEST_SOAK_S = 86_400.0
TRY_AGAIN = NodesHeld.exit
TERMS = Terms()
AS_WANTED = frozenset({Standing.SAME, Standing.UNMANAGED})


@dataclass(frozen=True, slots=True)
class Begun:
    """A push about to begin: its plan, who asks the nodes, where it is kept, and the nodes whose leases it takes."""

    plan: PushPlan
    fleet: Fleet
    history: History
    owner: str
    held: tuple[str, ...]


def _options(parser: argparse.ArgumentParser) -> None:
    selector(parser)
    inventory_option(parser)
    state_option(parser)
    parser.add_argument("--dry-run", action="store_true", help="print the plan and end")
    parser.add_argument("--yes", action="store_true", help="do not ask; needed without a terminal")
    parser.add_argument("--json", action="store_true", help="JSON, one object a line: the plan, then what happens")
    parser.add_argument("--resume", action="store_true", help="go on with the last push, which was interrupted")
    parser.add_argument(
        "--soak", type=soak, default=SOAK_S, metavar="TIME", help="watch the canaries so long: 30s (default), 10m, 0"
    )


def soak(text: str) -> float:
    """A length of time in seconds; 0 too."""
    seconds = 0.0 if text == "0" else duration(text)
    if seconds > LONGEST_SOAK_S:
        raise argparse.ArgumentTypeError(f"at most a day, not {text!r}")
    return seconds


def _push(given: argparse.Namespace) -> int:
    """The exit status: 0 all as wanted, 1 some not, 69 none could be reached, 75 held, 77 none lets this console in."""
    if not (given.words or given.dry_run or given.resume):
        raise NothingSelected("no node was named")
    if given.resume and given.words:
        raise UsageWrong("--resume goes on with the nodes of that push: it takes no SELECTOR")
    settings = load()
    folder = book_of(given, settings).folder
    past = last(folder) if given.resume else None
    run = past.run if past else run_id("push", Clock().utc_us())
    owner = past.owner if past else owner_of(run)
    fleet, plan = asyncio.run(_planned(given, past, owner))
    _say_plan(given, plan)
    held = tuple(past.nodes) if past else plan.to_do  # what it held when it was interrupted is let go at the end
    begun = Begun(plan, Fleet([view.host for view in fleet.model.views.values()]), History(folder, run), owner, held)
    if given.dry_run or not (plan.to_do or past):
        return _unchanged(given, plan)
    if plan.to_do and not given.yes:
        confirm(len(plan.to_do), list(told(plan)) if given.json else [])
    with begun.history.held():
        if past is None:
            begun.history.begin(plan, _of_run(given, owner, settings.operator))
        else:
            begun.history.catch_up(plan)
        return _ran(given, begun, settings.operator)


def _of_run(given: argparse.Namespace, owner: str, operator: str) -> Mapping[str, Any]:
    """What the history tells of the run itself."""
    begun = {"owner": owner, "at_us": Clock().utc_us(), "by": operator}
    return {**begun, "words": given.words, "soak_s": given.soak}


def _say_plan(given: argparse.Namespace, plan: PushPlan) -> None:
    """Raises NothingSelected, WantedWrong, NothingToResume where that ends it."""
    if all(node.standing is Standing.UNMANAGED for node in plan.nodes.values()):
        raise NothingSelected("no variable heliograph_config_* is about those nodes")
    for line in [json.dumps({"plan": as_json(plan)}, ensure_ascii=False)] if given.json else told(plan):
        say(line)
    if plan.faults:
        raise WantedWrong(several(len(plan.faults), "fault"), fields=plan.faults)
    failed = plan.standing(Standing.FAILED)
    if failed:
        raise NothingToResume(f"{failed[0].node} {failed[0].why}")


def _unchanged(given: argparse.Namespace, plan: PushPlan) -> int:
    """Where nothing is done: whether all is as wanted, and if not, whether anybody could be asked."""
    standings = {node.standing for node in plan.nodes.values()} - AS_WANTED
    if standings == {Standing.DEFERRED} and len(plan.standing(Standing.DEFERRED)) == len(plan.nodes):
        return REFUSED if all(node.code in SHUT for node in plan.nodes.values()) else NONE_REACHED
    if given.dry_run or not standings:
        return DONE
    return TRY_AGAIN if standings == {Standing.BUSY} else FAILED


async def _planned(given: argparse.Namespace, past: Past | None, owner: str) -> tuple[Fleet, PushPlan]:
    path = inventory_of(given)
    hosts, variables = inventory.read_whole(path)
    fleet = Fleet(to_ask(hosts, list(past.nodes) if past else given.words), patience=Patience(failed=1))
    await fleet.ask_once()
    try:
        names = past.to_do() if past else selected(fleet.model, given.words)
        folder = inventory.folder_of(path)
        intended = {name: wanted(name, variables[name], folder) for name in names if name in variables}
        plan = await make_plan(intended, fleet.model, fleet.client, given.soak, owner)
        return fleet, await resumed(past, plan, fleet.client) if past else plan
    finally:
        await close(fleet, fleet.model.views)


# --- doing it ---------------------------------------------------------------------------------------------------------


def _ran(given: argparse.Namespace, begun: Begun, operator: str) -> int:
    """Raises NodesHeld, StateNotSaved, KeyboardInterrupt."""
    tell = (lambda event: json.dumps(as_entry(event), ensure_ascii=False)) if given.json else in_words
    try:
        ended = asyncio.run(_carried_out(begun, operator, lambda event: say(tell(event))))
    except KeyboardInterrupt:
        warn("stopped here: nothing more is sent; what is on probation decides by itself")
        warn("go on with `heliograph push --resume`")
        raise
    whole = ended.how is How.DONE and all(row.phase in {*AS_WANTED, *PROVEN} for row in ended.rows)
    return DONE if whole else FAILED


async def _carried_out(begun: Begun, operator: str, tell: Callable[[Event], None]) -> Ended:
    nodes = several(len(begun.plan.to_do), "document")
    holds = Holds(begun.held, begun.fleet.client, begun.owner, f"{operator} pushes {nodes}")
    ways = Ways(begun.fleet.client, begun.history.record, holds, TERMS)
    try:
        async with aclosing(push(begun.plan, ways)) as events:
            async for event in events:
                tell(event)
    finally:
        await close(begun.fleet, begun.fleet.model.views)
    assert isinstance(event, Ended)
    return event


# --- what happens in words --------------------------------------------------------------------------------------------


def in_words(event: Event) -> str:
    """A line for each; the last one has the state of every node."""
    if isinstance(event, BatchBegun):
        return f"batch {event.number} of {event.of}, {event.batch}: {several(len(event.nodes), 'node')}"
    if isinstance(event, Moved):
        return f"  {event.node}: {event.phase}" + (f": {event.said}" if event.said else "")
    if isinstance(event, Soaking):
        return f"  {event.batch}: watched for {event.seconds:g} s before others follow"
    return "\n".join(_report(event))


def _report(ended: Ended) -> Iterator[str]:
    yield f"{ended.how}: {ended.why}" if ended.why else str(ended.how)
    counted = Counter(row.phase for row in ended.rows)
    yield "  " + ", ".join(f"{count} {phase}" for phase, count in counted.items())
    for row in ended.rows:
        if row.running == row.wanted and row.phase in {*AS_WANTED, *PROVEN}:
            continue
        runs = f"runs {row.running[:8]} ({row.state})" if row.running else f"could not be asked {row.state}".rstrip()
        yield f"  {row.node}: {row.phase}: wanted {row.wanted[:8] or 'nothing'}, {runs}"


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
