"""How the last change of this node's release stands: the keeper's file, which this node only reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from node.domain.facts import ReleaseFacts, ReleaseWord

LARGEST_BYTES = 64 * 1024
TEXT_CHARS = 200
LAST_US = 253_402_300_799_000_000
"""The end of the year 9999."""


def last_change(path: Path) -> ReleaseFacts:
    """Without a state where there was none, or the file says nothing that can be read."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
        said = json.loads(data) if len(data) <= LARGEST_BYTES else None
    except (OSError, ValueError, RecursionError):
        return ReleaseFacts()
    return _facts(said) if isinstance(said, Mapping) else ReleaseFacts()


def _facts(said: Mapping[str, Any]) -> ReleaseFacts:
    """Fields that this release does not know are passed over; without state, version or time it says nothing."""
    state, version, since_us = said.get("state"), _text(said, "version"), _instant(said, "since_us")
    if state not in get_args(ReleaseWord) or not version or since_us is None:
        return ReleaseFacts()
    return ReleaseFacts(
        state, version, _text(said, "previous"), since_us, _instant(said, "until_us"), _text(said, "reason")
    )


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    return value[:TEXT_CHARS] if isinstance(value, str) else ""


def _instant(said: Mapping[str, Any], name: str) -> int | None:
    value = said.get(name)
    return value if isinstance(value, int) and 0 < value <= LAST_US else None
