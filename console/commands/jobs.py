"""Jobs: what waits, runs and has failed for good; let dead ones wait again, cancel, give up."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from console.commands.acting import DONE, FAILED, NONE_REACHED, Aims, act, act_options, few, heard, with_nodes
from console.commands.command import Command, inventory_option, parted, say, selected, selector
from console.commands.job_terms import ASKED_FOR, CALLED, Wish, wish
from console.fleet.acts import DEEDS, JOB, SHORT, Aim, Deed, Options, unheard
from console.fleet.client import NodeClient
from console.fleet.job_rows import JOB_LOOKS
from console.fleet.jobs import PATH, STATES, Listed, listed
from console.fleet.poller import Fleet
from console.fleet.text import clean
from console.fleet.view import FleetModel
from node.wire.errors import HeliographError, NodeAnswerWrong, NothingSelected, OrderRefused
from node.wire.work_records import JobRecord

PARTS = f"node/JOB for one job, by its id or the last letters of it; {ASKED_FOR}"
HEADS = ("NODE", "JOB", "KIND", "STATE", "TRY", "DUE", "ABOUT", "LAST ERROR")
GONE = frozenset({"JOB-003"})
"""The node's code for: there is no such job."""
WHOLE_SECONDS = 19
"""So many characters of an RFC 3339 time."""

Finder = Callable[[NodeClient], Awaitable[Listed]]


@dataclass(frozen=True, slots=True)
class Sought:
    """What was found for one word: jobs of a node, or why not; `cut` = there are more, `none` = no such job."""

    aim: Aim
    jobs: tuple[JobRecord, ...] = ()
    why: str = ""
    cut: bool = False
    none: bool = False


async def seek(fleet: Fleet, wanted: Wish) -> list[Sought]:
    """The jobs of the nodes meant that are in those states, and the single ones named, in whatever state they are."""
    parts, others = parted(wanted.words)
    nodes = selected(fleet.model, others) if others or not parts else []
    found = await few(
        [
            *(_seek(fleet, Aim(name), lambda client: _all(client, wanted.states)) for name in nodes),
            *(_seek(fleet, Aim(name, job=part), _finder(part)) for name, part in parts),
        ]
    )
    return [_those(each, wanted) for each in found]


def _those(found: Sought, wanted: Wish) -> Sought:
    return replace(found, jobs=tuple(job for job in found.jobs if wanted.passes(found.aim.node, job)))


async def _seek(fleet: Fleet, aim: Aim, find: Finder) -> Sought:
    client = fleet.client(aim.node)
    if client is None:
        return Sought(aim, why="no such node in the inventory")
    if not heard(fleet.model, aim.node):
        return Sought(aim, why=unheard(fleet.model, aim.node))
    try:
        listing = await find(client)
    except HeliographError as error:
        gone = isinstance(error, OrderRefused) and error.theirs in GONE
        return Sought(aim, why=clean(str(error)), none=gone)
    jobs = tuple(listing.jobs.values())
    if aim.job and len(jobs) != 1:
        return Sought(aim, why=f"{len(jobs) or 'no'} jobs of it end with {clean(aim.job)!r}", none=not jobs)
    return Sought(aim, jobs, cut=listing.cut)


async def _all(client: NodeClient, states: tuple[str, ...]) -> Listed:
    return await listed(client, states)


def _finder(part: str) -> Finder:
    return (lambda client: _one(client, part)) if JOB.fullmatch(part) else (lambda client: _ending(client, part))


async def _one(client: NodeClient, job: str) -> Listed:
    record = await client.fetch(f"{PATH}/{job}", JobRecord)
    if record.id != job:
        raise NodeAnswerWrong("it tells of another job")
    return Listed(1, {job: record})


async def _ending(client: NodeClient, letters: str) -> Listed:
    listing = await listed(client, STATES)
    listing.jobs = {name: job for name, job in listing.jobs.items() if name.endswith(letters.upper())}
    return listing


# --- jobs -------------------------------------------------------------------------------------------------------------


def _options(parser: argparse.ArgumentParser) -> None:
    selector(parser, PARTS)
    inventory_option(parser)
    states = ",".join(STATES)
    parser.add_argument(
        "--state", choices=(*STATES, "running"), action="append", help=f"may stand several times; default: {states}"
    )
    parser.add_argument("--kind", default="", metavar="KIND", help="only jobs of that kind")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _jobs(given: argparse.Namespace) -> int:
    states = tuple(dict.fromkeys(CALLED.get(state, state) for state in given.state or ()))
    wanted = wish(given.words, states or STATES, only=bool(states))
    model, found = with_nodes(given, lambda fleet: seek(fleet, wanted), wanted.words)
    rows = [(each.aim.node, job) for each in found for job in each.jobs if given.kind in {"", job.kind}]
    if given.json:
        say(json.dumps(_as_json(rows, found), ensure_ascii=False, indent=2))
    else:
        say("\n".join(_table(rows)) if rows else "no jobs")
        for line in _missing(found):
            print(line, file=sys.stderr)
    return _exit(model, found)


def _as_json(rows: list[tuple[str, JobRecord]], found: list[Sought]) -> dict[str, object]:
    return {
        "jobs": [{"node": node, **job.model_dump(exclude_none=True)} for node, job in rows],
        "cut": [each.aim.node for each in found if each.cut],
        "missing": [{"node": each.aim.node, "job": each.aim.job, "why": each.why} for each in found if each.why],
    }


def _missing(found: list[Sought]) -> Iterator[str]:
    for each in found:
        if each.why:
            yield f"{each.aim}: {each.why}"
        if each.cut:
            yield f"{each.aim}: there are more"


def _exit(model: FleetModel, found: list[Sought]) -> int:
    missing = [each for each in found if each.why]
    if len(missing) == len(found) and not any(heard(model, each.aim.node) for each in missing):
        return NONE_REACHED
    return FAILED if missing else DONE


def _table(rows: list[tuple[str, JobRecord]]) -> Iterator[str]:
    cells = [HEADS, *(_cells(node, job) for node, job in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADS))]
    for line, job in zip(cells, (None, *(job for _, job in rows)), strict=True):
        yield "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        yield from _attempts(job) if job is not None else ()


def _cells(node: str, job: JobRecord) -> tuple[str, ...]:
    tries, due = str(job.attempt), job.due[:WHOLE_SECONDS] + "Z"
    said = " ".join(filter(None, (job.error_code, job.error or job.said)))
    return tuple(clean(each) for each in (node, job.id[-SHORT:], job.kind, job.state, tries, due, job.key, said))


def _attempts(job: JobRecord) -> Iterator[str]:
    """Known where one job was asked for."""
    for each in job.attempts or ():
        when = f"{each.started[:WHOLE_SECONDS]}Z to {each.ended[:WHOLE_SECONDS]}Z"
        yield "    " + clean(f"attempt {each.attempt}, {when}: {each.outcome} {each.error_code} {each.error}".rstrip())


# --- what moves them --------------------------------------------------------------------------------------------------


def _act_options(parser: argparse.ArgumentParser) -> None:
    act_options(parser, PARTS)
    parser.add_argument("--kind", default="", metavar="KIND", help="of nodes, only jobs of that kind")


def _act(given: argparse.Namespace, deed: Deed) -> int:
    wanted = wish(given.words, sorted(DEEDS[deed].states), only=True)

    async def find(fleet: Fleet) -> Aims:
        return _aims(await seek(fleet, wanted), given.kind, wanted.states)

    return act(given, deed, Options(inventory=str(given.inventory or "")), find, wanted.words)


def _aims(found: list[Sought], kind: str, states: Iterable[str]) -> Aims:
    """Raises NothingSelected where none of those jobs is there, and everybody was asked."""
    jobs = {
        Aim(each.aim.node, job=job.id): job
        for each in found
        for job in each.jobs
        if each.aim.job or kind in {"", job.kind}
    }
    refused = tuple((each.aim, each.why) for each in found if each.why)
    if not jobs and all(each.none or not each.why for each in found):
        no_jobs = f"no jobs there are {' or '.join(JOB_LOOKS[state].word for state in states)}"
        raise NothingSelected("; ".join(f"{aim}: {why}" for aim, why in refused) or no_jobs)
    return Aims(tuple(jobs), {str(aim): job for aim, job in jobs.items()}, refused)


def _retry(given: argparse.Namespace) -> int:
    return _act(given, Deed.REDRIVE)


def _cancel(given: argparse.Namespace) -> int:
    return _act(given, Deed.CANCEL)


def _discard(given: argparse.Namespace) -> int:
    return _act(given, Deed.DISCARD)


COMMANDS = {
    "jobs": Command("Jobs that wait, run or have failed for good, of every node or of some.", _options, _jobs),
    "retry": Command("Let dead jobs wait again, with new attempts.", _act_options, _retry),
    "cancel": Command("Cancel jobs that wait or run; a running one ends at its next step.", _act_options, _cancel),
    "discard": Command("Give dead jobs up.", _act_options, _discard),
}
