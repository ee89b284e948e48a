"""What commands stand on: the settings, the nodes of an inventory, and what is kept of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from console.columns.table import is_utf8
from console.fleet import inventory
from console.fleet.clock import Clock
from console.fleet.inventory import Host
from console.fleet.state import Book, demo_folder
from console.settings import ConsoleSettings, load


def state_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state", type=Path, metavar="DIR", help="where acknowledgements are kept; default: as the settings say"
    )


def inventory_of(given: argparse.Namespace, settings: ConsoleSettings | None = None) -> Path | None:
    """The one that -i names, else the settings'; None = Ansible's own."""
    named: Path | None = given.inventory
    return named or (settings or load()).inventory


def hosts_of(given: argparse.Namespace, settings: ConsoleSettings) -> tuple[Host, ...]:
    return inventory.read(inventory_of(given, settings))


def book_of(given: argparse.Namespace, settings: ConsoleSettings) -> Book:
    """A demo's is kept beside its inventory, so that commands and its screen meet."""
    folder: Path | None = given.state
    path = inventory_of(given, settings)
    return Book.open(folder or demo_folder(path) or settings.state_dir, path, Clock())


def ascii_only(settings: ConsoleSettings) -> bool:
    return settings.ascii == "always" or not is_utf8(sys.stdout.encoding)


def warn(line: str) -> None:
    """What is no part of the answer."""
    print(line, file=sys.stderr, flush=True)
