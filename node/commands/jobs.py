"""`jobs`: what waits, runs and has failed; cancel, redrive, discard."""

from __future__ import annotations

import argparse
from typing import get_args

from node.commands.base import DEFAULT_LIMIT, Command, identity, json_option, positive, print_json, token_option
from node.commands.desk import Desk
from node.commands.door import desk
from node.commands.following import GOES_ON, show_job
from node.domain.config import JobKind
from node.domain.errors import OK, UsageWrong
from node.domain.job import JobState

SEVERAL = {"redrive": "redriven", "discard": "discarded"}


def _jobs(given: argparse.Namespace) -> int:
    if given.what == "list":
        _check(given.id is None, "list takes no id")
        with desk(given) as found:
            return _list(found, given)
    one = given.id is not None
    several = given.all or given.kind is not None
    if given.what in SEVERAL and several:
        _check(not one and not (given.all and given.kind), "give an id, --kind or --all: one of them")
        with desk(given) as found:
            return _move_all(found, given)
    _check(one, f"{given.what} wants an id" + (", --kind or --all" if given.what in SEVERAL else ""))
    with desk(given) as found:
        show_job(found.job(given.id) if given.what == "show" else found.move(given.what, given.id), given)
    return OK


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise UsageWrong(message)


def _list(found: Desk, given: argparse.Namespace) -> int:
    jobs = found.jobs(given.state, given.kind, given.key, given.limit)
    if given.json:
        print_json([job.model_dump(exclude_none=True) for job in jobs])
        return OK
    for job in jobs:
        end = f"{job.error_code} {job.error}".strip() or (job.said if job.state in GOES_ON else "")
        print(f"{job.id} {job.state:<9} {job.kind:<16} {job.key} {job.attempt} {job.due} {end}".rstrip())
    return OK


def _move_all(found: Desk, given: argparse.Namespace) -> int:
    count = found.move_all(given.what, given.kind)
    if given.json:
        print_json({"count": count})
    else:
        print(f"{count} dead jobs {SEVERAL[given.what]}")
    return OK


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("list", "show", "cancel", *SEVERAL), help="what is to be done")
    parser.add_argument(
        "id", nargs="?", type=identity, metavar="ID", help="a job; redrive and discard also take --kind or --all"
    )
    parser.add_argument("--state", choices=[state.value for state in JobState], help="list: only these")
    parser.add_argument("--kind", choices=get_args(JobKind), metavar="KIND", help="only jobs of that kind")
    parser.add_argument("--key", metavar="KEY", help="list: only jobs about that")
    parser.add_argument("--all", action="store_true", help="redrive, discard: every dead job")
    said = f"list: at most so many, newest first ({DEFAULT_LIMIT})"
    parser.add_argument("--limit", type=positive, default=DEFAULT_LIMIT, metavar="N", help=said)
    token_option(parser)
    json_option(parser)


COMMANDS: dict[str, Command] = {
    "jobs": Command("the queue and its dead letters: list, show, cancel, redrive, discard", _options, _jobs),
}
