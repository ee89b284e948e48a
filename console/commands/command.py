"""What a command is, and the options that several of them share."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from console.fleet.filter import FilterWrong
from console.fleet.inventory import Host
from console.fleet.nodes import select
from console.fleet.text import clean
from console.fleet.view import FleetModel
from node.wire.errors import NothingSelected, UsageWrong

TERM = re.compile(r"!?/.*|[A-Za-z0-9]+(?:>=|<=|[:=<>]).*", re.DOTALL)
PART = re.compile(r"(?P<node>[a-z0-9-]{1,63})/(?P<part>[^/]+)")
LONGEST_REASON = 200
LONGEST_S = 366 * 86_400
SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its line in the help, its options, and what it does (the exit status is the answer)."""

    sentence: str
    options: Callable[[argparse.ArgumentParser], None]
    act: Callable[[argparse.Namespace], int]


def inventory_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-i", "--inventory", type=Path, metavar="FILE", help="Ansible inventory; default: Ansible's own"
    )


def selector(parser: argparse.ArgumentParser, parts: str = "") -> None:
    """Which nodes, and with `parts` which things of theirs."""
    of_node = f", {parts}" if parts else ""
    parser.add_argument(
        "words", nargs="*", metavar="SELECTOR", help=f"names of nodes{of_node}, or filter terms such as state:crit"
    )


def selected(model: FleetModel, words: Sequence[str]) -> list[str]:
    """The nodes meant: of those named, or of all where none is, those that pass the filter's terms.

    A bare word is a name and nothing else: else a node that is gone would mean all whose names are longer.
    Raises NothingSelected, UsageWrong.
    """
    terms = [word for word in words if TERM.fullmatch(word)]
    named = dict.fromkeys(word for word in words if not TERM.fullmatch(word))
    gone = next((name for name in named if name not in model.views), None)
    if gone is not None:
        raise NothingSelected(f"no node {gone!r} in the inventory")
    try:
        passing = select(model, " ".join(terms))
    except FilterWrong as error:
        raise UsageWrong(str(error)) from None
    chosen = [name for name in named or passing if name in set(passing)]
    if not chosen:
        raise NothingSelected(f"no node fits {' '.join(words)}")
    return chosen


def parted(words: Iterable[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Words such as node/camera or node/job, and all others."""
    parts, others = [], []
    for word in words:
        match = PART.fullmatch(word)
        if match is None:
            others.append(word)
        else:
            parts.append((match["node"], match["part"]))
    return parts, others


def to_ask(hosts: Sequence[Host], words: Sequence[str]) -> list[Host]:
    """Only the nodes named, where all words name some: the others need not be heard for that."""
    parts, others = parted(words)
    if not words or any(TERM.fullmatch(word) for word in others):
        return list(hosts)
    named = {*others, *(node for node, _ in parts)}
    return [host for host in hosts if host.name in named]


def between(low: int, high: int, kind: Callable[[str], float]) -> Callable[[str], float]:
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


def duration(text: str) -> float:
    """A length of time in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(f"a length of time such as 60s, 5m, 4h, 2d, not {text!r}")
    return float(match[1]) * SECONDS[match[2]]


def bounded(text: str) -> float:
    """A length of time for which nodes or operators can be told something."""
    seconds = duration(text)
    if not 1 <= seconds <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"a length of time from 1s to {LONGEST_S // 86_400}d, not {text!r}")
    return seconds


def reason(text: str) -> str:
    """Why somebody does something, in one line, for whoever comes after."""
    said = clean(text).strip()
    if not 0 < len(said) <= LONGEST_REASON:
        raise argparse.ArgumentTypeError(f"1 to {LONGEST_REASON} characters")
    return said


def no_terminal() -> str:
    """Why screens cannot be drawn and typed at here; empty = they can.  They are drawn on standard error."""
    files = {"standard input": sys.stdin, "standard output": sys.stdout, "standard error": sys.stderr}
    lacking = [name for name, file in files.items() if not file.isatty()]
    if lacking:
        return f"{' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} none"
    return "TERM is not set, empty or dumb" if os.environ.get("TERM") in {None, "", "dumb"} else ""


def say(line: str) -> None:
    print(line, flush=True)
