"""Cameras: restart, a frame now, hold and resume capture."""

from __future__ import annotations

import argparse
import math

from console.commands.acting import act_on_cameras, act_options
from console.commands.command import Command, bounded, reason
from console.fleet.acts import Deed, Options

PARTS = "node/camera for one camera of a node"


def _options(parser: argparse.ArgumentParser) -> None:
    act_options(parser, PARTS)


def _capture_options(parser: argparse.ArgumentParser) -> None:
    act_options(parser, PARTS)
    parser.add_argument("--profile", default="", metavar="NAME", help="a profile of the document; default: auto")


def _hold_options(parser: argparse.ArgumentParser) -> None:
    act_options(parser, PARTS)
    parser.add_argument(
        "--reason", required=True, type=reason, metavar="WORDS", help="what for; it stands in gaps and audit"
    )
    parser.add_argument("--for", dest="for_s", type=bounded, metavar="TIME", help="ends by itself: 60s, 5m, 4h, 2d")


def _inventory(given: argparse.Namespace) -> str:
    return str(given.inventory or "")


def _restart(given: argparse.Namespace) -> int:
    return act_on_cameras(given, Deed.RESTART, Options(inventory=_inventory(given)))


def _capture(given: argparse.Namespace) -> int:
    return act_on_cameras(given, Deed.CAPTURE, Options(profile=given.profile, inventory=_inventory(given)))


def _hold(given: argparse.Namespace) -> int:
    for_s = None if given.for_s is None else math.ceil(given.for_s)
    return act_on_cameras(given, Deed.HOLD, Options(given.reason, for_s, inventory=_inventory(given)))


def _resume(given: argparse.Namespace) -> int:
    return act_on_cameras(given, Deed.RESUME, Options(inventory=_inventory(given)))


COMMANDS = {
    "camera restart": Command("Reopen cameras now; a test shot proves it.", _options, _restart),
    "capture": Command("Take and keep one frame of cameras now, outside the schedule.", _capture_options, _capture),
    "hold": Command("Hold capture of cameras: their slots become gaps until it ends.", _hold_options, _hold),
    "resume": Command("Let held cameras capture again.", _options, _resume),
}
