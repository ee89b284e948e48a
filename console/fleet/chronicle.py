"""A change of the fleet in a file of its own, written as it goes: what pushes and rollouts keep has this in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from console.fleet.keep import Journal, NotKept
from node.wire.errors import StateNotSaved

ENDING = ".jsonl"
KEPT = 200
"""Files of a folder; the oldest go."""


class Chronicle:
    """The file of one run.  What stands beside it, named like it but for its ending `beside`, goes with it."""

    def __init__(self, folder: Path, run: str, beside: str) -> None:
        self._folder, self._beside = folder, beside
        self._journal = Journal(folder / f"{run}{ENDING}")

    def write(self, entries: Iterable[Mapping[str, Any]], *, lasting: bool) -> None:
        """`lasting`: on the disk before this returns.  Raises StateNotSaved."""
        try:
            self._journal.append(entries, lasting=lasting)
        except NotKept as error:
            raise StateNotSaved(str(error)) from None

    def prune(self) -> None:
        with suppress(OSError):  # another time
            for path in files(self._folder)[:-KEPT]:
                path.unlink()
                path.with_suffix(self._beside).unlink(missing_ok=True)


def files(folder: Path) -> list[Path]:
    """The oldest first."""
    return sorted(folder.glob(f"*{ENDING}"))


def entries_of(path: Path) -> list[dict[str, Any]]:
    """As far as that file goes.  Raises StateNotSaved where it cannot be read."""
    journal = Journal(path)
    try:
        entries = journal.fresh()
        journal.check()
    except NotKept as error:
        raise StateNotSaved(str(error)) from None
    return entries
