"""`reclaim`: delete what may go, or say what that would be."""

from __future__ import annotations

import argparse

from node.commands.base import Command, json_option, print_json, token_option
from node.commands.desk import Desk, Order
from node.commands.door import desk
from node.commands.following import ordered, wait_option
from node.domain.errors import OK


def _reclaim(given: argparse.Namespace) -> int:
    with desk(given) as found:
        if given.dry_run:
            return _preview(found, given)
        return ordered(found, Order("upkeep", {}, "/v1/disk/reclaim"), given)


def _preview(found: Desk, given: argparse.Namespace) -> int:
    preview = found.preview()
    if given.json:
        print_json(preview.model_dump())
        return OK
    for each in preview.reclaim:
        print(f"{each.what} by {each.rule}: {each.count}, {each.size_bytes:,} bytes")
    least = "at least " if preview.more else ""
    print(f"{least}{preview.count} files, {preview.size_bytes:,} bytes would go")
    return OK


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would go; nothing does")
    wait_option(parser)
    token_option(parser)
    json_option(parser)


COMMANDS: dict[str, Command] = {"reclaim": Command("delete what retention lets go", _options, _reclaim)}
