"""What a command is, and the options that several of them share."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
        raise argparse.ArgumentTypeError(f"a length of time such as 60, 60s, 5m, not {text!r}")
    return float(match[1]) * SECONDS[match[2]]


def on_terminal() -> bool:
    """Whether somebody sits before a terminal that can be drawn on."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def say(line: str) -> None:
    print(line, flush=True)
