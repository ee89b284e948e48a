"""How the fleet is, once."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence

from console.columns.nodes import NODE_TABLE
from console.columns.table import Manner, plain
from console.commands.command import Command, inventory_option, selected, selector, to_ask
from console.commands.ground import ascii_only, hosts_of
from console.fleet.inventory import Host
from console.fleet.nodes import row_of
from console.fleet.poller import Fleet
from console.fleet.summary import as_json, exit_status, worst_first
from console.fleet.view import FleetModel, Patience
from console.settings import load


def _options(parser: argparse.ArgumentParser) -> None:
    selector(parser)
    inventory_option(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object")
    form.add_argument("--plain", action="store_true", help="a table of plain text (the default)")


def _status(given: argparse.Namespace) -> int:
    settings = load()
    model = asyncio.run(_asked(to_ask(hosts_of(given, settings), given.words)))
    if given.words:
        model.set_hosts([model.views[name].host for name in selected(model, given.words)])
    if given.json:
        print(json.dumps(as_json(model), ensure_ascii=False, indent=2))
    else:
        rows = [row for name in worst_first(model) if (row := row_of(model, name)) is not None]
        print("\n".join(plain(NODE_TABLE, rows, Manner(ascii=ascii_only(settings)))))
    return exit_status(model)


async def _asked(hosts: Sequence[Host]) -> FleetModel:
    fleet = Fleet(hosts, patience=Patience(failed=1))
    await fleet.ask_once()
    return fleet.model


COMMANDS = {
    "status": Command("How every node of the inventory is: exit status 0, 1 or 2.", _options, _status),
}
