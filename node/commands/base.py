"""What commands share: the shape of one, its settings, options that several take, JSON on standard output."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.domain.config import NAME, PATTERNS
from node.domain.errors import ConfigFileMissing
from node.domain.frame import ID_LENGTH
from node.settings import Settings, load_node_file

ID = re.compile(rf"[0-9A-HJKMNP-TV-Z]{{{ID_LENGTH}}}")
DEFAULT_LIMIT = 50
"""Rows that a list shows unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its line in the help, its options, and what it does; the answer is the exit status."""

    sentence: str
    options: Callable[[argparse.ArgumentParser], None]
    act: Callable[[argparse.Namespace], int]


def settings_of(given: argparse.Namespace) -> Settings:
    """node.yml as this command line moves it.  Raises ConfigFileMissing, NodeFileInvalid and its like."""
    check_root(given.root)
    flags = {"api.port": getattr(given, "port", None), "log_level": getattr(given, "log_level", None)}
    return load_node_file(
        given.config, os.environ, {name: value for name, value in flags.items() if value is not None}, given.root
    )


def check_root(root: Path | None) -> None:
    """Raises ConfigFileMissing: without the folder, every later error would be about something else."""
    if root is not None and not root.is_dir():
        raise ConfigFileMissing(f"the root folder {root} is not there")


def own_document(settings: Settings) -> dict[str, Any]:
    """What runs on this node, or the empty document before its first start."""
    from node.store.configs import peek
    from node.store.database import NAME

    version = peek(Path(settings.node_file.paths.data) / NAME)
    return {} if version is None else version.document


def print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def token_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="ask the running service, with this token")


def identity(text: str) -> str:
    """An id of a job, a video, a frame."""
    if not ID.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the {ID_LENGTH} characters of an id")
    return text


def plain_name(text: str) -> str:
    """A name as node.yml gives it to a camera or a target."""
    if not re.fullmatch(NAME, text):
        raise argparse.ArgumentTypeError(f"{text!r}: {PATTERNS[NAME]}")
    return text


def positive(text: str) -> int:
    """A whole number above 0."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number
