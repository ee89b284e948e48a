"""heliograph rollout: a playbook of the fleet, run batch by batch; what it does, has done, and was interrupted in."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from console.commands.acting import DONE, FAILED, NONE_REACHED, close, confirm
from console.commands.command import TERM, Command, inventory_option, say, selected, selector, to_ask
from console.commands.ground import book_of, inventory_of, state_option, warn
from console.commands.push import soak
from console.fleet import inventory
from console.fleet.batches import SOAK_S, BatchBegun, Soaking
from console.fleet.clock import Clock
from console.fleet.hold import owner_of, run_id
from console.fleet.poller import Fleet
from console.fleet.rollout import Checked, Ways, Wishes, Would, check, refuse_held, rollout
from console.fleet.rollout_events import DONE as WELL
from console.fleet.rollout_events import (
    Ended,
    Event,
    How,
    Judged,
    Noticed,
    Paused,
    Recapped,
    Stopping,
    TaskBegun,
    WentOn,
    Worked,
    as_entry,
)
from console.fleet.rollout_history import (
    ABORT,
    GO_ON,
    HOLD,
    INTERRUPTED,
    LAST,
    History,
    Past,
    ask,
    find,
    given_again,
    heed,
    kept,
    refuse_ended,
    resumed,
    running,
)
from console.fleet.rollout_plan import (
    SAYS,
    Intent,
    RolloutPlan,
    Standing,
    find_playbook,
    fleet_dir,
    look_at,
    make_plan,
    parse_variable,
)
from console.fleet.text import several
from console.fleet.view import Patience
from console.settings import ConsoleSettings, load
from node.wire.errors import NothingSelected, RolloutUnfit, UsageWrong
from node.wire.times import to_text

BY_SIGNAL = 128
NAMED = 8
SHOWN_TASKS, SHOWN_LINES = 40, 60
LOUD = frozenset({"changed", "failed", "ignored", "unreachable", "item_failed", "warning"})
ENDINGS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "a lost terminal"}
"""What ends it, in order, and how that is told."""
ALONE = ("list", "show", "abort", "pause", "resume")
UNFIT_WITH = ("check", "dry_run", "variables")


@dataclass(slots=True)
class Work:
    """A rollout about to begin, or to go on."""

    plan: RolloutPlan
    fleet: Fleet
    history: History
    folder: Path
    owner: str
    operator: str
    past: Past | None = None
    wishes: Wishes | None = None
    signals: list[int] = field(default_factory=list)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("playbook", nargs="?", metavar="PLAYBOOK", help="name of a playbook of the fleet: site, verify")
    selector(parser)
    inventory_option(parser)
    state_option(parser)
    parser.add_argument("--fleet", type=Path, metavar="DIR", help="folder with ansible.cfg; default: the nearest one")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and end; Ansible is not asked")
    parser.add_argument("--check", action="store_true", help="end after check mode, which changes nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask; needed without a terminal")
    parser.add_argument("--json", action="store_true", help="JSON, one object a line: plan, check, then what happens")
    parser.add_argument(
        "-e", dest="variables", action="append", default=[], type=_variable, metavar="VAR=VALUE", help="for Ansible"
    )
    parser.add_argument(
        "--soak", type=soak, default=SOAK_S, metavar="TIME", help="watch the canaries so long: 30s (default), 10m, 0"
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--list", action="store_true", help="the rollouts that are kept, newest first")
    group.add_argument("--show", metavar="ID", help="one of them: every node, and what it runs; `last` is the newest")
    group.add_argument("--abort", metavar="ID", help="stop the one that runs; what may go on is said there")
    group.add_argument("--pause", metavar="ID", help="the one that runs waits after its batch")
    group.add_argument(
        "--resume", nargs="?", const=LAST, metavar="ID", help="let a paused one go on, or go on with an interrupted one"
    )


def _variable(text: str) -> tuple[str, str]:
    try:
        return parse_variable(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _rollout(given: argparse.Namespace) -> int:
    """The exit status: 0 all is done, 1 some of it is not, 69 nobody could be reached, 128 + n ended by a signal."""
    settings = load()
    alone = next((name for name in ALONE if getattr(given, name)), None)
    if alone is None:
        return _begin(given, settings)
    if given.playbook or (alone != "resume" and any(getattr(given, name) for name in UNFIT_WITH)):
        raise UsageWrong(f"--{alone} takes neither PLAYBOOK nor SELECTOR")
    return ACTS[alone](given, settings)


# --- those that are kept ----------------------------------------------------------------------------------------------


def _list(given: argparse.Namespace, settings: ConsoleSettings) -> int:
    folder = book_of(given, settings).folder
    live, found = running(folder), kept(folder)
    if given.json:
        say(json.dumps([_listed(past, live) for past in found], ensure_ascii=False, indent=2))
        return DONE
    for past in found:
        done = sum(phase in WELL for phase in past.phases.values())
        of = f"{done} of {several(len(past.batch_of), 'node')}"
        say(f"{past.run}  {past.state(live):11}  {past.playbook}  {of}  {past.by}  {past.why}".rstrip())
    if not found:
        warn("none is kept here")
    return DONE


def _listed(past: Past, live: str) -> Mapping[str, Any]:
    at = to_text(past.at_us)
    return {"run": past.run, "playbook": past.playbook, "state": past.state(live), "by": past.by, "at": at,
            "why": past.why, "nodes": len(past.batch_of), "phases": dict(past.phases)}  # fmt: skip


def _show(given: argparse.Namespace, settings: ConsoleSettings) -> int:
    """Every node of it, as it ended there and as it is now."""
    folder = book_of(given, settings).folder
    past, live = find(folder, given.show), running(folder)
    now = asyncio.run(_asked(given, past))
    if given.json:
        say(json.dumps({**_listed(past, live), "now": now, "entries": past.entries}, ensure_ascii=False, indent=2))
        return DONE
    say(f"{past.run}: {past.playbook}, {past.state(live)}" + (f": {past.why}" if past.why else ""))
    say(
        f"  begun {to_text(past.at_us)} by {past.by}"
        + "".join(f", {name}={value}" for name, value in past.variables.items())
    )
    for name, batch in past.batch_of.items():
        said = past.said.get(name, "")
        phase = past.phases.get(name, "interrupted" if name in past.touched() else "not begun")
        say(f"  {name} ({batch or 'put off'}): {phase}" + (f": {said}" if said else ""))
        say(f"    now: {now.get(name, 'it is not in the inventory any more')}")
    return DONE


async def _asked(given: argparse.Namespace, past: Past) -> dict[str, str]:
    """How each of its nodes is now, in words."""
    named = given.inventory or (Path(past.inventory) if past.inventory else inventory_of(given))
    hosts = [host for host in inventory.read(named) if host.name in past.batch_of]
    fleet = Fleet(hosts)
    try:
        found = await look_at((host.name for host in hosts), fleet.client)
    finally:
        await close(fleet, [host.name for host in hosts])
    return {name: health.in_words() for name, health in found.items()}


def _ask(given: argparse.Namespace, settings: ConsoleSettings, name: str, wish: str) -> int:
    """Raises RolloutUnfit where it does not run."""
    folder = book_of(given, settings).folder
    past, live = find(folder, name), running(folder)
    if past.run != live:
        raise RolloutUnfit(f"{past.run} does not run now: it is {past.state(live)}")
    ask(folder, past.run, wish, settings.operator)
    say(f"{past.run} is asked to {wish}: `heliograph rollout --show {past.run}` says what it does")
    return DONE


# --- beginning --------------------------------------------------------------------------------------------------------


def _begin(given: argparse.Namespace, settings: ConsoleSettings) -> int:
    if not given.playbook:
        raise UsageWrong("PLAYBOOK is missing; or one of --list, --show, --abort, --pause, --resume")
    if not (given.words or given.dry_run or given.check):
        raise NothingSelected("no node was named")
    found = find_playbook(given.playbook, fleet_dir(given.fleet or settings.fleet_dir))
    folder = book_of(given, settings).folder
    _tell_of_interrupted(folder)
    run = run_id("rollout", Clock().utc_us())
    intent = Intent(
        found,
        inventory_of(given, settings),
        (),
        variables=dict(given.variables),
        soak_s=given.soak,
        owner=owner_of(run),
    )
    called = frozenset(word for word in given.words if not TERM.fullmatch(word))
    plan, fleet = asyncio.run(_planned(replace(intent, named=called), given.words))
    return _go(given, Work(plan, fleet, History(folder, run), folder, intent.owner, settings.operator))


def _tell_of_interrupted(folder: Path) -> None:
    newest = next(iter(kept(folder)), None)
    if newest is not None and newest.state(running(folder)) == INTERRUPTED:
        warn(f"{newest.run} ({newest.playbook}) was interrupted: --show {newest.run} says what each node runs,")
        warn("  `heliograph rollout --resume` goes on with it")


def _resume(given: argparse.Namespace, settings: ConsoleSettings) -> int:
    """A paused one is told to go on; an interrupted or aborted one goes on in this process."""
    folder = book_of(given, settings).folder
    past = find(folder, given.resume)
    if past.run == running(folder):
        return _ask(given, settings, past.run, GO_ON)
    refuse_ended(past)
    found = find_playbook(past.playbook, fleet_dir(given.fleet or (Path(past.fleet) if past.fleet else None)))
    named = given.inventory or (Path(past.inventory) if past.inventory else inventory_of(given, settings))
    variables = given_again(past, dict(given.variables))
    intent = Intent(found, named, (), frozenset(past.named), variables, past.soak_s, past.owner)
    plan, fleet = asyncio.run(_planned(intent, list(past.to_do())))
    for name in past.touched():
        warn(f"{name} was being changed when it was interrupted; now: {plan.nodes[name].health.in_words()}")
    whole = resumed(past, plan)
    return _go(given, Work(whole, fleet, History(folder, past.run), folder, past.owner, settings.operator, past))


async def _planned(intent: Intent, words: list[str]) -> tuple[RolloutPlan, Fleet]:
    hosts = inventory.read(intent.inventory)
    asked = to_ask(hosts, words)
    fleet = Fleet(asked, patience=Patience(failed=1))
    try:
        await fleet.ask_once()
        names = set(selected(fleet.model, words))
        meant = tuple(host for host in hosts if host.name in names)
        return await make_plan(replace(intent, hosts=meant), fleet.client), fleet
    finally:
        await close(fleet, fleet.model.views)


def _go(given: argparse.Namespace, work: Work) -> int:
    """Plan, check mode, question, batches."""
    _say(given, {"plan": as_json(work.plan)}, told(work.plan))
    refuse_held(work.plan)
    if given.dry_run or not work.plan.to_do:
        return DONE if work.plan.to_do else NONE_REACHED
    with work.history.held(work.operator) as lock:
        found = asyncio.run(_checked(given, work, lock))
        _say(given, {"check": check_json(found)}, check_told(found))
        if work.signals or found.why or found.failed:
            return BY_SIGNAL + work.signals[0] if work.signals else FAILED
        if found.unreachable:
            work.plan = work.plan.without(found.unreachable)
            _say(given, {"plan": as_json(work.plan)}, told(work.plan))
        if given.check or not work.plan.to_do:
            return DONE if work.plan.to_do else NONE_REACHED
        if not given.yes:
            confirm(len(work.plan.to_do), [*told(work.plan), *check_told(found)] if given.json else [])
        _note(work, found)
        return _ran(given, work, lock)


def _note(work: Work, found: Checked) -> None:
    """Raises StateNotSaved: what cannot be kept is not begun."""
    at_us = Clock().utc_us()
    if work.past is None:
        work.history.begin(work.plan, found, {"owner": work.owner, "by": work.operator, "at_us": at_us})
    else:
        work.history.resume(work.operator, at_us)


def _say(given: argparse.Namespace, for_programs: Mapping[str, Any], lines: Iterable[str]) -> None:
    if given.json:
        say(json.dumps(for_programs, ensure_ascii=False))
        return
    for line in lines:
        say(line)


# --- doing it ---------------------------------------------------------------------------------------------------------


def _ways(work: Work, lock: int) -> Ways:
    message = f"{work.operator} rolls out {work.plan.playbook.name}"
    work.wishes = Wishes()
    loop = asyncio.get_running_loop()
    for number, called in ENDINGS.items():
        loop.add_signal_handler(number, _signalled, work, number, called)
    return Ways(work.fleet.client, work.wishes, work.owner, message, work.history.record, keep=(lock,))


def _signalled(work: Work, number: int, called: str) -> None:
    assert work.wishes is not None
    work.signals.append(number)
    work.wishes.abort(f"aborted by {called}")


async def _checked(given: argparse.Namespace, work: Work, lock: int) -> Checked:
    event: Event | Checked | None = None
    try:
        async with aclosing(check(work.plan, _ways(work, lock))) as events:
            async for event in events:
                if isinstance(event, Stopping) and not given.json:
                    say(f"{event.why}: nothing was changed")
    finally:
        await close(work.fleet, work.plan.nodes)
    assert isinstance(event, Checked)
    return event


def _ran(given: argparse.Namespace, work: Work, lock: int) -> int:
    """Raises PlaybookUnusable, StateNotSaved."""
    work.signals.clear()
    tell = in_words if not given.json else (lambda event: json.dumps(as_entry(event), ensure_ascii=False))
    if not given.json:
        run = work.history.run
        say(f"{run} begins; from another terminal: heliograph rollout --pause {run}, or --abort")
    ended = asyncio.run(_carried_out(work, lock, tell))
    if work.signals:
        return BY_SIGNAL + work.signals[0]
    return DONE if ended.how is How.DONE and all(row.phase in WELL for row in ended.rows) else FAILED


async def _carried_out(work: Work, lock: int, tell: Callable[[Event], str]) -> Ended:
    """Where nobody can be told any more, it is aborted in order, and what hindered is raised then."""
    ways, troubles = _ways(work, lock), list[OSError]()
    heeding = asyncio.create_task(heed(work.folder, work.history.run, ways.wishes))
    event: Event | None = None
    try:
        async with aclosing(rollout(work.plan, ways)) as events:
            async for event in events:
                try:
                    if not troubles and (line := tell(event)):
                        say(line)
                except OSError as error:
                    troubles.append(error)
                    ways.wishes.abort("nobody can be told any more")
    finally:
        heeding.cancel()
        with suppress(asyncio.CancelledError):
            await heeding
        await close(work.fleet, work.plan.nodes)
    if troubles:
        raise troubles[0]
    assert isinstance(event, Ended)
    return event


# --- in words ---------------------------------------------------------------------------------------------------------


def in_words(event: Event) -> str:
    """A line for each that a person wants to read; empty = none."""
    return next(says(event) for kind, says in WORDS if isinstance(event, kind))


def _worked(event: Worked) -> str:
    if event.what not in LOUD:
        return ""
    first = event.said.splitlines()[0] if event.said else ""
    return f"    {event.node}: {event.what.replace('_', ' ')}: {event.task}" + (f": {first}" if first else "")


def _stopping(event: Stopping) -> str:
    tasks = (
        f"; tasks may still run on {several(len(event.nodes), 'node')}: {_named(event.nodes)}" if event.nodes else ""
    )
    return f"stopped here: {event.why}{tasks}; each is asked now"


def _ended(event: Ended) -> str:
    lines = [f"{event.how}: {event.why}" if event.why else str(event.how)]
    lines.append("  " + ", ".join(f"{count} {phase}" for phase, count in Counter(r.phase for r in event.rows).items()))
    return "\n".join([*lines, *(f"  {row.node}: {row.phase}: {row.said}" for row in event.rows)])


WORDS: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (BatchBegun, lambda e: f"batch {e.number} of {e.of}, {e.batch}: {several(len(e.nodes), 'node')}"),
    (TaskBegun, lambda e: f"  {e.task}"),
    (Worked, _worked),
    (Recapped, lambda _: ""),
    (Noticed, lambda e: f"    {e.said}"),
    (Judged, lambda e: f"  {e.node}: {e.phase}" + (f": {e.said}" if e.said else "")),
    (Soaking, lambda e: f"  {e.batch}: watched for {e.seconds:g} s before others follow"),
    (Paused, lambda e: f"  paused by {e.by} after {e.batch}: `heliograph rollout --resume` lets it go on"),
    (WentOn, lambda e: f"  {e.by} lets it go on"),
    (Stopping, _stopping),
    (Ended, _ended),
)


def told(plan: RolloutPlan) -> Iterator[str]:
    """The plan as lines."""
    batches = f"{len(plan.batches)} batch" + ("" if len(plan.batches) == 1 else "es")
    yield f"plan: rollout of {plan.playbook.name}, {len(plan.to_do)} of {several(len(plan.nodes), 'node')} in {batches}"
    if plan.variables:
        yield f"  with {', '.join(f'{name}={value}' for name, value in plan.shown().items())}"
    for batch in plan.batches:
        watched = f", then watched for {batch.soak_s:g} s" if batch.soak_s else ""
        yield f"  {batch.name}: {_named(batch.nodes)}{watched}"
    for standing in (Standing.DEFERRED, Standing.HELD):
        nodes = plan.standing(standing)
        if nodes:
            yield f"{standing}: {several(len(nodes), 'node')}, {SAYS[standing]}"
            yield from (f"  {node.node}: {node.why}" for node in nodes)
    yield from (f"note: {node.node} {node.why}" for node in plan.standing(Standing.GOES) if node.why)


def check_told(found: Checked) -> Iterator[str]:
    """What check mode found, nodes alike together."""
    if found.why:
        yield f"check mode was ended: {found.why}"
        return
    changing = [would for would in found.would.values() if would.changes]
    yield f"check mode: it would change something on {len(changing)} of {several(len(found.would), 'node')}"
    for would in found.failed:
        yield f"  {would.node}: it would fail: {would.failed}"
    for name, why in found.unreachable.items():
        yield f"  {name}: not reached, so put off: {why}"
    for alike, nodes in groupby(sorted(changing, key=_alike), _alike):
        yield f"  {_named(would.node for would in nodes)}:"
        yield from _shown(alike)


def _alike(would: Would) -> tuple[tuple[str, str], ...]:
    return tuple((change.task, change.diff) for change in would.changes)


def _shown(changes: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for task, diff in changes[:SHOWN_TASKS]:
        lines = diff.splitlines()
        yield f"    {task}"
        yield from (f"      {line}" for line in lines[:SHOWN_LINES])
        if len(lines) > SHOWN_LINES:
            yield f"      … {len(lines) - SHOWN_LINES} more lines: --json has them"
    if len(changes) > SHOWN_TASKS:
        yield f"    … {len(changes) - SHOWN_TASKS} more tasks: --json has them"


def _named(nodes: Iterable[str]) -> str:
    names = list(nodes)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def as_json(plan: RolloutPlan) -> dict[str, Any]:
    """For programs: names stay."""
    return {
        "playbook": plan.playbook.name,
        "variables": plan.shown(),
        "batches": [{"name": each.name, "nodes": list(each.nodes), "soak_s": each.soak_s} for each in plan.batches],
        "nodes": [asdict(node) for node in plan.nodes.values()],
    }


def check_json(found: Checked) -> dict[str, Any]:
    """For programs, as above."""
    return {"why": found.why, "nodes": [asdict(would) for would in found.would.values()]}


ACTS: Mapping[str, Callable[[argparse.Namespace, ConsoleSettings], int]] = {
    "list": _list,
    "show": _show,
    "abort": lambda given, settings: _ask(given, settings, given.abort, ABORT),
    "pause": lambda given, settings: _ask(given, settings, given.pause, HOLD),
    "resume": _resume,
}
COMMANDS: dict[str, Command] = {
    "rollout": Command("Run a playbook of the fleet batch by batch; stop at the first failure.", _options, _rollout),
}
