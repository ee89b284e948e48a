"""heliograph: the operator's commands."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.columns import is_utf8, plain
from console.demo.places import Wish
from console.demo.show import Options, play
from console.fleet import inventory
from console.fleet.poller import Fleet
from console.fleet.summary import as_json, exit_status, worst_first
from console.fleet.view import FleetModel, Patience
from node.wire.errors import EXIT_CODES, OK, HeliographError, PhotographsUnusable, UsageWrong
from node.wire.version import __version__

MOST_NODES = 32
MOST_SUN = 3600
SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
INTERRUPTED = 130
ENDED_FROM_OUTSIDE = {INTERRUPTED: "ended with Ctrl-C, on the screen too", 143: "ended by SIGTERM; by another, 128 + n"}


class _Parser(argparse.ArgumentParser):
    """Ends with the product's own code for a wrong command line."""

    def error(self, message: str) -> Any:  # noqa: ANN401 - argparse says NoReturn, which no caller needs
        self.print_usage(sys.stderr)
        raise UsageWrong(message)


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its line in the help, its options, and what it does (the exit status is the answer)."""

    sentence: str
    options: Callable[[argparse.ArgumentParser], None]
    act: Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a node's words may not fit the terminal's alphabet
    try:
        given = _parser().parse_args(arguments)
        return int(given.act(given))
    except HeliographError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return error.exit
    except BrokenPipeError:  # the reader of a pipe left: no fault of ours, and nothing to tell it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    codes = "; ".join(f"{code} {meaning}" for code, meaning in (EXIT_CODES | ENDED_FROM_OUTSIDE).items())
    parser = _Parser(prog="heliograph", description="Fleets of timelapse cameras.", epilog=f"exit codes: {codes}")
    parser.add_argument("--version", action="version", version=f"heliograph {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    for name, command in COMMANDS.items():
        one = commands.add_parser(name, help=command.sentence, description=command.sentence)
        command.options(one)
        one.set_defaults(act=command.act)
    return parser


def _status_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-i", "--inventory", type=Path, metavar="FILE", help="Ansible inventory; default: Ansible's own"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object")
    form.add_argument("--plain", action="store_true", help="a table of plain text (the default)")


def _status(given: argparse.Namespace) -> int:
    model = asyncio.run(_asked(inventory.read(given.inventory)))
    if given.json:
        print(json.dumps(as_json(model), ensure_ascii=False, indent=2))
    else:
        print("\n".join(plain(model, worst_first(model), ascii_only=not is_utf8(sys.stdout.encoding))))
    return exit_status(model)


async def _asked(hosts: Sequence[inventory.Host]) -> FleetModel:
    fleet = Fleet(hosts, patience=Patience(failed=1))
    await fleet.ask_once()
    return fleet.model


def _demo_options(parser: argparse.ArgumentParser) -> None:
    count, factor = _between(1, MOST_NODES, int), _between(1, MOST_SUN, float)
    parser.add_argument("--nodes", type=count, default=5, metavar="N", help=f"1 to {MOST_NODES}, default 5")
    parser.add_argument("--frames", type=Path, metavar="FOLDER", help="replay these photographs instead of a made sky")
    parser.add_argument("--faults", action="store_true", help="let some of the made cameras fail, by script")
    parser.add_argument("--for", dest="for_s", type=_duration, metavar="TIME", help="end by itself: 60, 60s, 5m")
    parser.add_argument("--sun", type=factor, default=1.0, metavar="FACTOR", help="the sun runs so much faster")


def _demo(given: argparse.Namespace) -> int:
    if given.frames is not None and given.faults:
        raise UsageWrong("--faults acts on made skies only: leave out --frames")
    frames = _photographs(given.frames) if given.frames is not None else None
    wish = Wish(given.nodes, frames, given.faults, given.sun)
    return asyncio.run(play(Options(wish, given.for_s, _on_terminal()), _say))


def _photographs(folder: Path) -> Path:
    """That folder in full.  Raises PhotographsUnusable: better here than by each of the nodes."""
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]
    except OSError as error:
        raise PhotographsUnusable(f"--frames {folder}: {error.strerror}") from None
    if not found:
        raise PhotographsUnusable(f"--frames {folder}: no files in it")
    return folder.resolve()


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _say(line: str) -> None:
    print(line, flush=True)


def _between(low: int, high: int, kind: Callable[[str], float]) -> Callable[[str], float]:
    """Reads a number between the two; what is none is refused in words."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"a number from {low} to {high}, not {text!r}")
        return value

    return read


def _duration(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(f"a length of time such as 60, 60s, 5m, not {text!r}")
    return float(match[1]) * SECONDS[match[2]]


COMMANDS = {
    "demo": Command("A fleet of real nodes on this machine, on one screen.", _demo_options, _demo),
    "status": Command("How every node of the inventory is: exit status 0, 1 or 2.", _status_options, _status),
}


if __name__ == "__main__":
    sys.exit(main())
