"""`reconcile`, `integrity-check`, `thumbnails`: rows, files and small pictures as they should be."""

from __future__ import annotations

import argparse

from node.commands.base import Command, json_option, plain_name, token_option
from node.commands.desk import Order
from node.commands.door import desk
from node.commands.following import ordered, wait_option


def _reconcile(given: argparse.Namespace) -> int:
    return _asked(given, Order("reconcile", {}, "/v1/reconcile"))


def _integrity_check(given: argparse.Namespace) -> int:
    return _asked(given, Order("integrity-check", {}, "/v1/integrity-check"))


def _thumbnails(given: argparse.Namespace) -> int:
    wanted = {"camera": given.camera, "everything": given.everything}
    return _asked(given, Order("thumbnail-repair", wanted, "/v1/thumbnails/repair", wanted))


def _asked(given: argparse.Namespace, order: Order) -> int:
    with desk(given) as found:
        return ordered(found, order, given)


def _options(parser: argparse.ArgumentParser) -> None:
    wait_option(parser)
    token_option(parser)
    json_option(parser)


def _thumbnails_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("repair",), help="repair: make those that are missing or broken")
    parser.add_argument("camera", type=plain_name, metavar="CAMERA", help="a camera of node.yml")
    parser.add_argument("--everything", action="store_true", help="make all anew")
    _options(parser)


COMMANDS: dict[str, Command] = {
    "thumbnails": Command("make the small pictures of a camera again", _thumbnails_options, _thumbnails),
    "reconcile": Command("compare files and rows and mend what differs, beside the service", _options, _reconcile),
    "integrity-check": Command("look the whole database through", _options, _integrity_check),
}
