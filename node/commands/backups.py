"""`backup` and `restore`: a node in one file, and a node from that file; `backups`: copies of the database alone."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from node import __version__
from node.commands.base import Command, check_root, json_option, print_json, settings_of, token_option
from node.commands.desk import Order
from node.commands.door import desk
from node.commands.following import ordered, wait_option
from node.domain.errors import FAULT, OK, UsageWrong
from node.domain.nodefile import NodeFile
from node.settings import load_node_file, source_of


def _backup(given: argparse.Namespace) -> int:
    """1 where something that node.yml names could not be read: the file was made without it."""
    from node.clock import SystemClock
    from node.work.bundle import pack

    settings = settings_of(given).node_file
    try:
        made = pack(settings, source_of(given.config, given.root), given.target, __version__, SystemClock())
    except FileExistsError as error:
        raise UsageWrong(f"{error} is there already") from None
    if given.json:
        print_json(asdict(made) | {"path": str(made.path)})
    else:
        print(f"{made.path}: {made.size_bytes} bytes, {made.frames} frames known, keys inside: keep it safe")
    for missing in made.left_out:
        print(f"left out: {missing}", file=sys.stderr)
    return FAULT if made.left_out else OK


def _restore(given: argparse.Namespace) -> int:
    from node.clock import SystemClock
    from node.work.bundle import KEYS, NODE_FILE, key_files, refuse_beyond, restore

    check_root(given.root)
    source = source_of(given.config, given.root)
    own = source.exists()
    settings = settings_of(given).node_file if own else _settings_inside(given)
    keys = key_files(settings)
    if not own:
        refuse_beyond((source.parent, source_of(None, given.root).parent), keys)
    places = {NODE_FILE: source, **{KEYS + field: path for field, path in keys.items()}}
    done = restore(Path(settings.paths.data), given.file, places, SystemClock())
    if given.json:
        print_json(asdict(done))
        return OK
    report = done.report
    if report.aside:
        print(f"the database that was here is put aside as {report.aside}")
    print(f"restored from {report.backup}; {len(report.adopted)} rows made from frames that it does not know")
    for name in done.put_back:
        print(f"{name}: put back")
    for name in done.kept:
        print(f"{name}: left as it is here")
    return OK


def _settings_inside(given: argparse.Namespace) -> NodeFile:
    """Those of the node.yml in the file, on a machine that has none."""
    from node.work.bundle import node_file_of

    text = node_file_of(given.file)
    if not text:
        return settings_of(given).node_file
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "node.yml")
        path.write_bytes(text)
        return load_node_file(path, os.environ, None, given.root).node_file


def _backups(given: argparse.Namespace) -> int:
    with desk(given) as found:
        if given.what == "make":
            return ordered(found, Order("backup", {}, "/v1/backups"), given)
        backups = found.backups()
    if given.json:
        print_json([backup.model_dump() for backup in backups])
        return OK
    for backup in backups:
        print(f"{backup.name} {backup.created} {backup.size_bytes:,} bytes")
    return OK


def _backups_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("list", "make"), help="list: newest first; make: one now, in the node's data")
    wait_option(parser)
    token_option(parser)
    json_option(parser)


def _backup_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", type=Path, metavar="FILE|DIR", help="a new file, or a folder that gets one")
    json_option(parser)


def _restore_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="what `backup` made")
    json_option(parser)


COMMANDS: dict[str, Command] = {
    "backup": Command("database, node.yml, keys and baselines in one file", _backup_options, _backup),
    "backups": Command("copies of the database on this node's disk: list, make one now", _backups_options, _backups),
    "restore": Command("put a backup in the place of what is here; no service may run", _restore_options, _restore),
}
