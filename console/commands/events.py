"""What has happened on the nodes lately, in the order of time."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from console.commands.acting import DONE, FAILED, NONE_REACHED, few
from console.commands.command import Command, duration, inventory_option, say, selected, selector, to_ask
from console.commands.ground import hosts_of, warn
from console.fleet.client import NodeClient
from console.fleet.clock import Clock
from console.fleet.lines import told
from console.fleet.poller import Fleet
from console.fleet.text import clean
from console.fleet.view import NodeView, Patience
from console.settings import load
from node.wire.errors import HeliographError, NodeUnreachable
from node.wire.stream import GOODBYE, RESET, StreamEvent
from node.wire.times import US, to_text

MOST_OF_ONE_NODE = 2000
"""A node has no pages of its log: its stream is read from so many events ago up to its newest."""
WITHIN_S = 20.0
NOT_LOGGED = frozenset({RESET, GOODBYE})
DEFAULT_SINCE_S = 600.0
LONGEST_S = 366 * 86_400


Row = tuple[str, StreamEvent]


@dataclass(frozen=True, slots=True)
class Told:
    """What a node told; `cut`: there was more since that time."""

    node: str
    events: tuple[StreamEvent, ...] = ()
    cut: bool = False
    why: str = ""


def _options(parser: argparse.ArgumentParser) -> None:
    selector(parser)
    inventory_option(parser)
    parser.add_argument(
        "--node",
        dest="nodes",
        action="append",
        default=[],
        metavar="SELECTOR",
        help="the same as SELECTOR; may stand several times",
    )
    parser.add_argument(
        "--since", type=duration, default=DEFAULT_SINCE_S, metavar="TIME", help="90s, 10m (the default), 8h, 2d"
    )
    parser.add_argument(
        "--kind", action="append", default=[], metavar="KIND", help="only these; may stand several times"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _events(given: argparse.Namespace) -> int:
    settings, words = load(), [*given.words, *given.nodes]
    since = to_text(Clock().utc_us() - round(min(given.since, LONGEST_S) * US))
    fleet = Fleet(to_ask(hosts_of(given, settings), words), patience=Patience(failed=1))
    found = asyncio.run(_asked(fleet, words, since))
    rows = _rows(found, {kind for each in given.kind for kind in each.split(",")})
    if given.json:
        say(json.dumps(_as_json(rows, found), ensure_ascii=False, indent=2))
    else:
        say("\n".join(_table(rows)) or "no events")
        for line in _missing(found):
            warn(line)
    return _exit(found)


def _exit(found: Sequence[Told]) -> int:
    failed = sum(bool(each.why) for each in found)
    return DONE if not failed else NONE_REACHED if failed == len(found) else FAILED


async def _asked(fleet: Fleet, words: Sequence[str], since: str) -> list[Told]:
    await fleet.ask_once()
    names = selected(fleet.model, words) if words else list(fleet.model.views)
    return await few(_told(fleet.model.views[name], since) for name in names)


async def _told(view: NodeView, since: str) -> Told:
    name, client = view.host.name, NodeClient(view.host)
    try:
        if view.status is None or view.error is not None:
            return Told(name, why=str(view.error))
        events, after = await _read(client, view.status.last_event_id)
    except HeliographError as error:
        return Told(name, why=str(error))
    finally:
        await client.close()
    recent = tuple(event for event in events if event.at >= since)
    return Told(name, recent, cut=after > 0 and len(recent) == len(events))


async def _read(client: NodeClient, newest: int) -> tuple[list[StreamEvent], int]:
    """The latest events, and the id after which they begin.  Raises as the client does."""
    after, events = max(0, newest - MOST_OF_ONE_NODE), list[StreamEvent]()
    if newest <= 0:
        return events, 0
    try:
        async with (
            asyncio.timeout(WITHIN_S),
            aclosing(cast("AsyncGenerator[StreamEvent, None]", client.events(after))) as stream,
        ):
            async for event in stream:
                if event.kind not in NOT_LOGGED:
                    events.append(event)
                if event.kind == GOODBYE or event.id >= newest or len(events) >= MOST_OF_ONE_NODE:
                    break
    except TimeoutError:
        raise NodeUnreachable(f"its events took more than {WITHIN_S:g} s") from None
    return events, after


def _rows(found: Sequence[Told], kinds: set[str]) -> list[Row]:
    rows = [(each.node, event) for each in found for event in each.events if not kinds or event.kind in kinds]
    return sorted(rows, key=lambda row: (row[1].at, row[0], row[1].id))


def _as_json(rows: Sequence[Row], found: Sequence[Told]) -> dict[str, object]:
    return {
        "events": [{"node": node, **event.model_dump(mode="json")} for node, event in rows],
        "cut": [each.node for each in found if each.cut],
        "missing": [{"node": each.node, "why": each.why} for each in found if each.why],
    }


def _table(rows: Sequence[Row]) -> Iterator[str]:
    longest = max((len(node) for node, _ in rows), default=0)
    for node, event in rows:
        yield f"{clean(event.at[:19]).replace('T', ' ')}Z  {node:<{longest}}  {told(event)}"


def _missing(found: Sequence[Told]) -> Iterator[str]:
    for each in found:
        if each.why:
            yield f"{each.node}: {clean(each.why)}"
        if each.cut:
            yield f"{each.node}: there were more, of which only the last {len(each.events)} were read"


COMMANDS = {
    "events": Command("What happened on the nodes lately, in the order of time.", _options, _events),
}
