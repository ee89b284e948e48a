"""A fleet on this machine to try things on."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from console.commands.command import Command, between, duration, no_terminal, say
from console.demo.places import Wish
from console.demo.show import Options, play
from console.registry import remapped
from console.settings import load
from node.wire.errors import PhotographsUnusable, UsageWrong

MOST_NODES = 32
MOST_SUN = 3600


def _options(parser: argparse.ArgumentParser) -> None:
    count, factor = between(1, MOST_NODES, int), between(1, MOST_SUN, float)
    parser.add_argument("--nodes", type=count, default=5, metavar="N", help=f"1 to {MOST_NODES}, default 5")
    parser.add_argument("--frames", type=Path, metavar="FOLDER", help="replay these photographs instead of a made sky")
    parser.add_argument("--faults", action="store_true", help="let some of the made cameras fail, by script")
    parser.add_argument("--for", dest="for_s", type=duration, metavar="TIME", help="end by itself: 60, 60s, 5m")
    parser.add_argument("--sun", type=factor, default=1.0, metavar="FACTOR", help="the sun runs so much faster")


def _demo(given: argparse.Namespace) -> int:
    if given.frames is not None and given.faults:
        raise UsageWrong("--faults acts on made skies only: leave out --frames")
    frames = _photographs(given.frames) if given.frames is not None else None
    wish = Wish(given.nodes, frames, given.faults, given.sun)
    if lacking := no_terminal():
        say(f"lines in place of the screen, there is no terminal to draw on: {lacking}")
        return asyncio.run(play(Options(wish, given.for_s), say))
    settings = load()
    remapped(settings.keys)  # before any node is started
    return asyncio.run(play(Options(wish, given.for_s, screen=True, settings=settings), say))


def _photographs(folder: Path) -> Path:
    """That folder in full.  Raises PhotographsUnusable: better here than by each of the nodes."""
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]
    except OSError as error:
        raise PhotographsUnusable(f"--frames {folder}: {error.strerror}") from None
    if not found:
        raise PhotographsUnusable(f"--frames {folder}: no files in it")
    return folder.resolve()


COMMANDS = {
    "demo": Command("A fleet of real nodes on this machine, on one screen.", _options, _demo),
}
