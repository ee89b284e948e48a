"""Alerts of all nodes, and who knows of them."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase

from console.commands.command import Command, bounded, inventory_option, reason, say, selected, selector, to_ask
from console.commands.ground import ascii_only, book_of, hosts_of, state_option, warn
from console.fleet.acked import Acked, logged_ack
from console.fleet.alerts import AlertBoard, AlertRow
from console.fleet.clock import Clock
from console.fleet.inventory import Host
from console.fleet.poller import Fleet
from console.fleet.state import Ack, Book
from console.fleet.text import ago, clean, lasting
from console.fleet.view import LOOKS, FleetModel, Patience, Word
from console.settings import load
from node.wire.errors import OK, NotConfirmed, NothingSelected, StateNotSaved
from node.wire.times import US, to_text

EXITS = {"warn": 1, "crit": 2}
WORDS = {"warn": Word.WARN, "crit": Word.CRIT}


def _asked(hosts: Sequence[Host], book: Book) -> tuple[FleetModel, AlertBoard]:
    """What fires now, each node asked once; of those that do not answer, what they last said."""
    fleet = Fleet(hosts, patience=Patience(failed=1))
    book.read_snapshot(fleet.model)
    asyncio.run(fleet.ask_once())
    board = AlertBoard(fleet.model, book)
    board.refresh()
    return fleet.model, board


# --- alerts -----------------------------------------------------------------------------------------------------------


def _alerts_options(parser: argparse.ArgumentParser) -> None:
    selector(parser)
    inventory_option(parser)
    state_option(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _alerts(given: argparse.Namespace) -> int:
    settings = load()
    book = book_of(given, settings)
    model, board = _asked(to_ask(hosts_of(given, settings), given.words), book)
    nodes = set(selected(model, given.words)) if given.words else None
    rows = [row for row in board.rows() if nodes is None or row.node in nodes]
    exits = max((EXITS[row.severity] for row in rows if row.ack is None), default=OK)
    if given.json:
        say(json.dumps({"exit": exits, "alerts": [_as_json(row) for row in rows]}, ensure_ascii=False, indent=2))
    else:
        say("\n".join(_table(rows, Clock().utc_us(), ascii_only=ascii_only(settings))) or "no alerts")
    if book.trouble:
        warn(book.trouble)
    return exits


def _as_json(row: AlertRow) -> dict[str, object]:
    told = {name: value for name, value in asdict(row).items() if name not in {"since_us", "ack"}}
    ack = row.ack
    known = (
        None if ack is None else {"by": ack.by, "reason": ack.reason, "at": to_text(ack.at_us), "until": _until(ack)}
    )
    return {**told, "since": to_text(row.since_us), "ack": known}


def _until(ack: Ack) -> str | None:
    return None if ack.until_us is None else to_text(ack.until_us)


def _table(rows: Iterable[AlertRow], now_us: int, *, ascii_only: bool) -> Iterator[str]:
    rows = list(rows)
    longest = max((len(row.key) for row in rows), default=0)
    for row in rows:
        look = LOOKS[WORDS[row.severity]]
        sign, age = look.ascii if ascii_only else look.glyph, ago(max(0, now_us - row.since_us) / US)
        old = " (as last heard)" if row.stale else ""
        yield f"{sign} {row.severity}  {row.key:<{longest}}  {age:>4}  {row.sentence}{old}{_known(row.ack)}"


def _known(ack: Ack | None) -> str:
    if ack is None:
        return ""
    until = "until it is over" if ack.until_us is None else f"until {to_text(ack.until_us)[:16]}Z at the latest"
    return f"; {ack.by} knows, {until}" + (f": {ack.reason}" if ack.reason else "")


# --- ack --------------------------------------------------------------------------------------------------------------


def _ack_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("keys", nargs="+", metavar="KEY", help="as `alerts` lists them; * and ? stand for letters")
    parser.add_argument("--reason", required=True, type=reason, metavar="TEXT", help="for whoever comes after you")
    parser.add_argument("--for", dest="for_s", type=bounded, metavar="TIME", help="ends by itself: 90m, 8h, 2d")
    inventory_option(parser)
    _both(parser)


def _both(parser: argparse.ArgumentParser) -> None:
    state_option(parser)
    parser.add_argument("--dry-run", action="store_true", help="say which they are and end")
    parser.add_argument("--yes", action="store_true", help="do not ask; needed for several without a terminal")


def _ack(given: argparse.Namespace) -> int:
    settings = load()
    book = book_of(given, settings)
    _, board = _asked(_concerned(hosts_of(given, settings), given.keys), book)
    rows = {row.key: row for row in board.rows()}
    keys = _meant(given.keys, rows, "no alert {} fires: `heliograph alerts` lists those that do")
    now_us = Clock().utc_us()
    until_us = None if given.for_s is None else now_us + round(given.for_s * US)
    acks = [Ack(key, settings.operator, given.reason, now_us, until_us) for key in keys]
    ends = () if given.for_s is None else ("--for", lasting(given.for_s))
    done = Acked(("ack",), keys, ("--reason", given.reason, *ends), "known")
    change = Change(done, tuple(f"{key}: {rows[key].sentence}" for key in keys), lambda: book.acknowledge(*acks))
    return _carry_out(given, book, settings.operator, change)


def _concerned(hosts: Sequence[Host], keys: Sequence[str]) -> list[Host]:
    """The nodes that the keys may mean: the others are not asked."""
    patterns = [key.partition("/")[0] for key in keys]
    return [host for host in hosts if any(fnmatchcase(host.name, pattern) for pattern in patterns)]


def _meant(wanted: Sequence[str], there: Iterable[str], missing: str) -> list[str]:
    """Those that are there, each once; a key that is there is meant as it stands.  Raises NothingSelected."""
    there, found = list(there), dict[str, None]()
    for pattern in wanted:
        keys = [pattern] if pattern in there else [key for key in there if fnmatchcase(key, pattern)]
        if not keys:
            raise NothingSelected(missing.format(clean(pattern)))
        found |= dict.fromkeys(keys)
    return list(found)


# --- unack ------------------------------------------------------------------------------------------------------------


def _unack_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("keys", nargs="+", metavar="KEY", help="as `alerts` lists them; * and ? stand for letters")
    inventory_option(parser)
    _both(parser)


def _unack(given: argparse.Namespace) -> int:
    settings = load()
    book = book_of(given, settings)
    keys = _meant(given.keys, book.acks, "no alert {} is acknowledged: `heliograph alerts` says which are")
    said = tuple(f"{key}: {book.acks[key].by} knew{_because(book.acks[key])}" for key in keys)
    change = Change(Acked(("unack",), keys, (), "open again"), said, lambda: book.withdraw(*keys))
    return _carry_out(given, book, settings.operator, change)


def _because(ack: Ack) -> str:
    return f": {ack.reason}" if ack.reason else ""


# --- both -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """What is about to be done, how the log has it: a sentence for each alert, and how it is done."""

    done: Acked
    sentences: tuple[str, ...]
    act: Callable[[], bool]


def _carry_out(given: argparse.Namespace, book: Book, who: str, change: Change) -> int:
    """Raises NotConfirmed, StateNotSaved."""
    for sentence in change.sentences:
        say(f"  {sentence}")
    if given.dry_run:
        return OK
    if len(change.sentences) > 1 and not given.yes:
        _confirm(len(change.sentences))
    saved = change.act()
    logged_ack(book, Clock().utc_us(), who, change.done, saved=saved)
    if not saved:
        raise StateNotSaved(book.trouble)
    say(f"{len(change.sentences)} {change.done.then}")
    return OK


def _confirm(count: int) -> None:
    """Default No.  Raises NotConfirmed."""
    if not sys.stdin.isatty():
        raise NotConfirmed("there is no terminal to ask on")
    print(f"type {count}, the number of alerts, to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != str(count):
        raise NotConfirmed


COMMANDS = {
    "alerts": Command(
        "What fires on all nodes: exit status 0, 1 or 2 by what nobody knows of.", _alerts_options, _alerts
    ),
    "ack": Command("Acknowledge alerts: you know of them, until they are over or the time is up.", _ack_options, _ack),
    "unack": Command("Take acknowledgements back.", _unack_options, _unack),
}
