"""`lease`: who may change this node now; beside the service and without one, for root and the service's user."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from node.commands.base import Command, json_option, print_json, settings_of
from node.domain.config import LINE, PATTERNS
from node.domain.errors import OK, HeliographError, UsageWrong
from node.domain.lease import LONGEST_S, MESSAGE_CHARS, OWNER, OWNER_WORDS, SHORTEST_S, USUAL_S, Lease, Wish

if TYPE_CHECKING:
    from node.domain.nodefile import NodeFile
    from node.store.leases import Leases


def _lease(given: argparse.Namespace) -> int:
    from node.clock import SystemClock
    from node.commands.applying import become_owner
    from node.store.leases import Leases

    settings = settings_of(given).node_file
    data = Path(settings.paths.data)
    become_owner(data)
    leases = Leases(data, SystemClock(trusted=settings.clock.trusted))
    before = leases.current()
    lease = ACTS[given.what](leases, given)
    if given.what in RECORDED:
        owner = before.owner if before and lease is None else given.owner
        _record(settings, f"lease {given.what}{' by force' if given.force else ''}", owner)
    _print(lease, given)
    return OK


def _show(leases: Leases, _given: argparse.Namespace) -> Lease | None:
    return leases.current()


def _take(leases: Leases, given: argparse.Namespace) -> Lease:
    return leases.take(_wish(given, _needed(given.message, "message")))


def _renew(leases: Leases, given: argparse.Namespace) -> Lease:
    return leases.renew(_wish(given, given.message or ""))


def _release(leases: Leases, given: argparse.Namespace) -> None:
    if not given.force:
        _needed(given.owner, "owner")
    leases.release(given.owner or "", force=given.force)


def _wish(given: argparse.Namespace, message: str) -> Wish:
    from node.commands.backroom import HAND

    return Wish(_needed(given.owner, "owner"), message, HAND.who, given.ttl)


def _needed(value: str | None, name: str) -> str:
    if value is None:
        raise UsageWrong(f"--{name} is wanted")
    return value


def _record(settings: NodeFile, action: str, owner: str | None) -> None:
    """The audit's row, where there is a database to take it: without one the lease is changed all the same."""
    from node.clock import SystemClock
    from node.commands.backroom import HAND
    from node.journal import Journal
    from node.store.database import NAME, Database
    from node.store.log import Change

    try:
        database = Database.join(Path(settings.paths.data) / NAME)
        try:
            Journal(database, SystemClock()).audit(HAND, Change(action, f"lease/{owner or ''}"))
        finally:
            database.close()
    except HeliographError as error:
        print(f"no audit row was written: {error}", file=sys.stderr)


def _print(lease: Lease | None, given: argparse.Namespace) -> None:
    from node.api.views import lease_record

    record = lease_record(lease)
    if given.json:
        print_json(record.model_dump(mode="json"))
    elif lease is None:
        print("nobody holds the lease")
    else:
        print(f"{record.owner} holds the lease until {record.until}: {record.message}")


ACTS: Mapping[str, Callable[[Leases, argparse.Namespace], Lease | None]] = {
    "show": _show,
    "take": _take,
    "renew": _renew,
    "release": _release,
}
RECORDED = ("take", "release")


def lease_option(parser: argparse.ArgumentParser) -> None:
    """For what changes a node."""
    parser.add_argument("--lease", type=_owner, metavar="OWNER", help="in whose name, while the node's lease is held")


def _owner(text: str) -> str:
    if not re.fullmatch(OWNER, text):
        raise argparse.ArgumentTypeError(f"{text!r}: {OWNER_WORDS}")
    return text


def _message(text: str) -> str:
    if not re.fullmatch(LINE, text.strip()) or len(text.strip()) > MESSAGE_CHARS:
        raise argparse.ArgumentTypeError(f"{PATTERNS[LINE]}, at most {MESSAGE_CHARS}")
    return text.strip()


def _ttl(text: str) -> int:
    seconds = int(text) if text.isascii() and text.isdigit() else 0
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not {SHORTEST_S}..{LONGEST_S} seconds")
    return seconds


def _options(parser: argparse.ArgumentParser) -> None:
    said = "show: who holds it; take: hold it, or renew; renew: only what one holds still; release: let go of it"
    parser.add_argument("what", choices=tuple(ACTS), help=said)
    parser.add_argument("--owner", type=_owner, metavar="OWNER", help="one run of one program")
    parser.add_argument("--message", type=_message, metavar="TEXT", help="who and what for, in a sentence")
    parser.add_argument("--ttl", type=_ttl, default=USUAL_S, metavar="SECONDS", help=f"until it ends ({USUAL_S})")
    parser.add_argument("--force", action="store_true", help="release: another's, too")
    json_option(parser)


COMMANDS: dict[str, Command] = {
    "lease": Command("who may change this node now: show, take, renew, release", _options, _lease)
}
