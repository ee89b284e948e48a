"""The console's settings as they are in force."""

from __future__ import annotations

import argparse

from console.commands.command import Command, say
from console.registry import remapped
from console.settings import as_toml, load, settings_path
from node.wire.errors import OK


def _options(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f"The file: {settings_path()}"


def _settings(_: argparse.Namespace) -> int:
    path = settings_path()
    settings = load(path)
    remapped(settings.keys)
    say(f"# {path}" + ("" if path.exists() else " (not there: these are the defaults)"))
    say(as_toml(settings))
    return OK


COMMANDS = {
    "settings": Command("The settings of the console, with what each means and where they stand.", _options, _settings),
}
