"""How every command that changes nodes goes: find, plan, confirm, do, tell."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from uuid import uuid4

from console.commands.command import inventory_option, parted, say, selected, selector, to_ask
from console.commands.ground import inventory_of
from console.fleet import inventory
from console.fleet.acts import (
    DEEDS,
    NOBODY,
    SHUT,
    Aim,
    Deed,
    Options,
    Outcome,
    Plan,
    Step,
    command,
    perform,
    plan,
    unheard,
)
from console.fleet.poller import Fleet
from console.fleet.text import several
from console.fleet.view import FleetModel, Patience
from node.wire.errors import NotConfirmed, NothingSelected
from node.wire.work_records import JobRecord

DONE, FAILED, NONE_REACHED, REFUSED = 0, 1, 69, 77
AT_ONCE = 16
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Aims:
    """What was found to act on; `jobs` by `node/id`, and what could not even be looked up."""

    aims: tuple[Aim, ...]
    jobs: Mapping[str, JobRecord] = field(default_factory=dict)
    refused: tuple[tuple[Aim, str], ...] = ()


def act_options(parser: argparse.ArgumentParser, parts: str) -> None:
    selector(parser, parts)
    inventory_option(parser)
    parser.add_argument("--dry-run", action="store_true", help="print the plan and end")
    parser.add_argument("--yes", action="store_true", help="do not ask; needed without a terminal")
    parser.add_argument("--json", action="store_true", help="one JSON object: the plan and its outcomes")


def with_nodes(
    given: argparse.Namespace, find: Callable[[Fleet], Awaitable[Found]], words: list[str] | None = None
) -> tuple[FleetModel, Found]:
    """Asks the nodes meant how they are, and then `find`, which may ask them more.  `words`: those about nodes."""
    hosts = to_ask(inventory.read(inventory_of(given)), given.words if words is None else words)
    fleet = Fleet(hosts, patience=Patience(failed=1))

    async def run() -> Found:
        await fleet.ask_once()
        try:
            return await find(fleet)
        finally:
            await close(fleet, fleet.model.views)

    return fleet.model, asyncio.run(run())


async def few(tasks: Iterable[Awaitable[Found]]) -> list[Found]:
    """A few at a time, in their order."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(task: Awaitable[Found]) -> Found:
        async with room:
            return await task

    return await asyncio.gather(*(one(task) for task in tasks))


def heard(model: FleetModel, name: str) -> bool:
    """Whether that node can be asked more."""
    return name in model.views and not unheard(model, name)


def act_on_cameras(given: argparse.Namespace, deed: Deed, options: Options) -> int:
    async def find(fleet: Fleet) -> Aims:
        parts, others = parted(given.words)
        nodes = selected(fleet.model, others) if others else []
        return Aims((*(Aim(name) for name in nodes), *(Aim(node, camera) for node, camera in parts)))

    return act(given, deed, options, find)


def act(
    given: argparse.Namespace,
    deed: Deed,
    options: Options,
    find: Callable[[Fleet], Awaitable[Aims]],
    words: list[str] | None = None,
) -> int:
    """The exit status: 0 all done, 1 some failed, 69 none could be reached, 77 refused."""
    if not given.words:
        raise NothingSelected("no node was named")
    model, found = with_nodes(given, find, words)
    planned = plan(deed, found.aims, model, options, found.jobs)
    planned = replace(planned, refused=(*planned.refused, *found.refused))
    if not found.aims:  # the command stays one that can be run again
        planned = replace(planned, command=command(deed, (aim for aim, _ in found.refused), options))
    if not planned.steps and not planned.refused:
        raise NothingSelected("there is nothing there to act on")
    if not given.json:
        say("\n".join(told(planned)))
    outcomes = [] if given.dry_run or not planned.steps else _carried_out(given, planned, model)
    if given.json:
        say(json.dumps(as_json(planned, outcomes), ensure_ascii=False, indent=2))
    elif outcomes:
        say(_summed(planned, outcomes))
    return DONE if given.dry_run else _exit(planned, outcomes, model)


# --- the plan in words ------------------------------------------------------------------------------------------------


def told(planned: Plan) -> list[str]:
    """The plan as lines."""
    kind = DEEDS[planned.deed]
    undo = f"`heliograph {DEEDS[kind.undo].twin}`" if kind.undo else kind.undo_said
    return [
        f"plan: {kind.twin}, {several(len(planned.steps), 'step')} on {several(len(planned.nodes), 'node')}",
        *(f"  {step.sentence}" for step in planned.steps),
        *(f"  {aim}: cannot: {why}" for aim, why in planned.refused),
        f"  costs: {kind.risk}",
        f"  undo: {undo}",
        f"  same as: {planned.command}",
    ]


def _summed(planned: Plan, outcomes: list[Outcome]) -> str:
    done, failed = (sum(getattr(outcome, word) for outcome in outcomes) for word in ("ok", "failed"))
    unknown = len(outcomes) - done - failed
    maybe = f"{unknown} may have been done, " if unknown else ""
    return f"{done} done, {failed} failed, {maybe}{len(planned.refused)} not begun"


def as_json(planned: Plan, outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """For programs: names stay."""
    return {
        "plan": {
            "deed": planned.deed,
            "command": planned.command,
            "steps": [_step(step) for step in planned.steps],
            "refused": [{**_aim(aim), "why": why} for aim, why in planned.refused],
        },
        "outcomes": [_outcome(each) for each in outcomes],
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    how = {"ok": outcome.ok, "unknown": outcome.unknown, "said": outcome.said, "code": outcome.code}
    return {**_aim(outcome.aim), **how}


def _step(step: Step) -> dict[str, Any]:
    return {**_aim(step.aim), "path": step.path, "body": dict(step.body), "says": step.sentence}


def _aim(aim: Aim) -> dict[str, str]:
    return {"node": aim.node, "camera": aim.camera, "job": aim.job}


# --- doing it ---------------------------------------------------------------------------------------------------------


def _carried_out(given: argparse.Namespace, planned: Plan, model: FleetModel) -> list[Outcome]:
    """Raises NotConfirmed."""
    if not given.yes:
        confirm(len(planned.nodes), [] if not given.json else told(planned))
    outcomes: list[Outcome] = []
    tell = (lambda _: None) if given.json else say
    try:
        asyncio.run(_perform(planned, model, outcomes, tell))
    except KeyboardInterrupt:
        print(f"stopped here after {len(outcomes)} of {len(planned.steps)}: what was sent may go on", file=sys.stderr)
        raise
    return outcomes


def confirm(nodes: int, untold: list[str]) -> None:
    """Default No; for more than one node their number is to be typed.  `untold` is printed first.

    Raises NotConfirmed.
    """
    if not sys.stdin.isatty():
        raise NotConfirmed("there is no terminal to ask on")
    if untold:
        print("\n".join(untold), file=sys.stderr)
    wanted = {str(nodes)} if nodes > 1 else {"y", "yes"}
    print(f"type {nodes}, the number of nodes, to go on: " if nodes > 1 else "go on? [y/N] ", end="", file=sys.stderr)
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in wanted:
        raise NotConfirmed


async def _perform(planned: Plan, model: FleetModel, outcomes: list[Outcome], tell: Callable[[str], None]) -> None:
    fleet = Fleet([model.views[name].host for name in planned.nodes])
    try:
        async for outcome in perform(planned, fleet.client, lambda: uuid4().hex):
            outcomes.append(outcome)
            tell(f"  {outcome.aim}: {'failed: ' if outcome.failed else ''}{_said(outcome)}")
    finally:
        await close(fleet, planned.nodes)


def _said(outcome: Outcome) -> str:
    return " ".join(filter(None, (outcome.code, outcome.said)))


async def close(fleet: Fleet, names: Iterable[str]) -> None:
    clients = (fleet.client(name) for name in names)
    await asyncio.gather(*(client.close() for client in clients if client is not None))


def _exit(planned: Plan, outcomes: list[Outcome], model: FleetModel) -> int:
    if any(outcome.ok for outcome in outcomes):
        return DONE if all(outcome.ok for outcome in outcomes) and not planned.refused else FAILED
    if any(outcome.unknown for outcome in outcomes):  # it was reached, perhaps more than that
        return FAILED
    unheard = all(aim.node in model.views and not heard(model, aim.node) for aim, _ in planned.refused)
    if unheard and all(outcome.code in NOBODY - SHUT for outcome in outcomes):
        return NONE_REACHED
    return REFUSED if all(outcome.code in SHUT for outcome in outcomes) else FAILED
