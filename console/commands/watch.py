"""What changes in the fleet, as it changes: one line each, for logs and for screen readers."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from console.commands.command import TERM, Command, duration, inventory_option, say, selector
from console.commands.ground import hosts_of, inventory_of, warn
from console.fleet.ending import Ending
from console.fleet.filter import FilterWrong, parse
from console.fleet.inventory import Host
from console.fleet.lines import Teller
from console.fleet.nodes import FIELDS, row_of
from console.fleet.poller import Fleet
from console.fleet.record import Recorder
from console.fleet.view import FleetModel, Patience
from console.fleet.watch import watch_inventory
from console.settings import load
from node.wire.errors import NothingSelected, UsageWrong

TELL_S = 0.25
ATTEND_EACH = 20
"""Lines are looked for this often between two choices of the nodes whose events are streamed."""


def _options(parser: argparse.ArgumentParser) -> None:
    selector(parser)
    inventory_option(parser)
    parser.add_argument("--record", type=Path, metavar="FILE", help="record all that is learnt to a new file")
    parser.add_argument("--for", dest="for_s", type=duration, metavar="TIME", help="end by itself: 60, 60s, 5m")


def _watch(given: argparse.Namespace) -> int:
    settings = load()
    fleet = Fleet(hosts_of(given, settings), patience=Patience(poll_s=settings.poll_s))
    wanted = chosen(fleet.model, given.words)
    recorder = Recorder(given.record, fleet.model) if given.record is not None else None
    try:
        return asyncio.run(_follow(fleet, wanted, recorder, given.for_s, inventory_of(given, settings)))
    finally:
        if recorder is not None:
            recorder.close()


def chosen(model: FleetModel, words: list[str]) -> Callable[[str], bool]:
    """Whether a node is meant, as it is now; names and terms as for every command.  Raises as `selected` does."""
    names = frozenset(word for word in words if not TERM.fullmatch(word))
    gone = next((name for name in names if name not in model.views), None)
    if gone is not None:
        raise NothingSelected(f"no node {gone!r} in the inventory")
    try:
        test = parse(" ".join(word for word in words if TERM.fullmatch(word)), FIELDS)
    except FilterWrong as error:
        raise UsageWrong(str(error)) from None

    def passes(name: str) -> bool:
        row = row_of(model, name) if not names or name in names else None
        return row is not None and test(row)

    return passes


async def _follow(
    fleet: Fleet,
    wanted: Callable[[str], bool],
    recorder: Recorder | None,
    for_s: float | None,
    path: Path | None,
) -> int:
    """Until a signal or the time; the exit status."""
    ending, loop = Ending(), asyncio.get_running_loop()
    ending.watch(loop)
    if for_s is not None:
        loop.call_later(for_s, ending.event.set)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(fleet.run())
        looking = tasks.create_task(watch_inventory(fleet, path, _forget, fresh=True))
        await _tell(fleet, wanted, recorder, ending)
        running.cancel()
        looking.cancel()
    return ending.exit_status


def _forget(_: Sequence[Host]) -> None:
    """Nothing is kept of them here."""


async def _tell(fleet: Fleet, wanted: Callable[[str], bool], recorder: Recorder | None, ending: Ending) -> None:
    teller, turn, warned = Teller(fleet.model, wanted), 0, ""
    while True:
        if turn % ATTEND_EACH == 0:
            fleet.attend([name for name in fleet.model.views if wanted(name)])
        turn += 1
        ended = await ending.within(TELL_S)
        for line in teller.lines():
            say(line)
        if recorder is not None:
            recorder.record()
        trouble = "; ".join(filter(None, (fleet.notice, recorder.stopped if recorder is not None else "")))
        if trouble != warned:
            warned = trouble
            warn(trouble)
        if ended:
            return


COMMANDS = {
    "watch": Command("What changes in the fleet, one line each, until Ctrl-C.", _options, _watch),
}
