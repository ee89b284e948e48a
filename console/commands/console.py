"""The screens: over a live fleet, or over a recording."""

from __future__ import annotations

import argparse
import asyncio
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from console.commands.command import Command, inventory_option, no_terminal
from console.commands.ground import ascii_only, book_of, inventory_of, state_option
from console.fleet import inventory
from console.registry import remapped
from console.settings import ConsoleSettings, load
from node.wire.errors import NoTerminal

if TYPE_CHECKING:
    from console.fleet.desk import Desk


def _options(parser: argparse.ArgumentParser) -> None:
    inventory_option(parser)
    state_option(parser)
    tape = parser.add_mutually_exclusive_group()
    tape.add_argument("--record", type=Path, metavar="FILE", help="record all that is learnt to a new file")
    tape.add_argument("--replay", type=Path, metavar="FILE", help="a recording in place of a fleet")


def _console(given: argparse.Namespace) -> int:
    if lacking := no_terminal():
        raise NoTerminal(lacking)
    settings = load()
    remapped(settings.keys)  # before anything is opened
    return asyncio.run(_show(given, settings))


async def _show(given: argparse.Namespace, settings: ConsoleSettings) -> int:
    from console.app import FleetApp
    from console.fleet.ending import Ending

    ending = Ending()
    ending.watch(asyncio.get_running_loop())
    desk = _recorded(given, settings) if given.replay is not None else _live(given, settings)
    if desk.book is not None:
        ending.at_last.append(partial(desk.book.write_snapshot, desk.model))
    app = FleetApp(desk, stop=ending.event, theme=settings.theme)
    if await app.run_async():  # Ctrl-C is a key there; it means what it means without a screen
        ending.signal = signal.SIGINT
    return ending.exit_status


def _live(given: argparse.Namespace, settings: ConsoleSettings) -> Desk:
    """With the nodes of the last time, where there are any: the inventory is read beside the screens."""
    from console.fleet.desk import Desk
    from console.fleet.poller import Fleet
    from console.fleet.view import Patience
    from console.fleet.watch import watch_inventory

    path, book = inventory_of(given, settings), book_of(given, settings)
    known = book.read_hosts()
    hosts = known or inventory.read(path)
    fleet = Fleet(hosts, patience=Patience(poll_s=settings.poll_s))
    desk = Desk(
        fleet,
        book,
        inventory=path,
        operator=settings.operator,
        ascii=ascii_only(settings),
        unlock_s=settings.unlock_default_s,
        bell=settings.bell,
        keys=remapped(settings.keys),
        pictures=settings.pictures != "none",
        chores=(partial(watch_inventory, fleet, path, book.write_hosts, fresh=not known),),
    )
    if given.record is not None:
        desk.begin_recording(given.record)
    return desk


def _recorded(given: argparse.Namespace, settings: ConsoleSettings) -> Desk:
    from console.fleet.desk import Desk
    from console.fleet.record import Replay

    return Desk(
        Replay(given.replay),
        title=given.replay.name,
        operator=settings.operator,
        ascii=ascii_only(settings),
        keys=remapped(settings.keys),
    )


COMMANDS = {
    "console": Command("The whole fleet on one keyboard-driven screen.", _options, _console),
}
