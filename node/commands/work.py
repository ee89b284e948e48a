"""`work` and `ship`: the processes beside the service."""

from __future__ import annotations

import argparse

from node.commands.base import Command, settings_of
from node.domain.job import Lane


def _run(given: argparse.Namespace, lanes: tuple[Lane, ...]) -> int:
    from node.workers import Start, run

    return run(Start(settings_of(given).node_file, lanes))


def _work(given: argparse.Namespace) -> int:
    return _run(given, ("work", "ship") if given.ship else ("work",))


def _ship(given: argparse.Namespace) -> int:
    return _run(given, ("ship",))


def _level_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), help="instead of log_level")


def _work_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ship", action="store_true", help="do the work of `ship`, too: one process for both")
    _level_option(parser)


COMMANDS = {
    "work": Command("beside the service: videos, thumbnails, backups, room on the disk", _work_options, _work),
    "ship": Command("beside the service: send frames and videos to the archive", _level_option, _ship),
}
