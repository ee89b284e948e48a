"""What every archive target offers: put, verify, fetch.  A receipt stands for bytes that were read at the target."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from threading import Thread
from typing import Literal, Protocol

from node.clock import Clock
from node.domain.errors import HeliographError, MarkerMissing, NotArchived, ReceiptRefused
from node.host.disk import Space

MARKER, SCHEMA = ".heliograph-target", 1
"""The file that says: this is the target, not the folder that it is mounted on."""
WORKSHOP = ".heliograph-tmp"
"""There, for each node: what is not finished; one place, so that nothing is left among the frames."""

Beat = Callable[[float | None, str], object]
"""Told often of progress (0..1, None = unknown) and what is done; whatever it raises ends the transfer at once."""


@dataclass(frozen=True, slots=True)
class Item:
    """A file of this node that belongs, or lies, at a target.

    `name` is the whole name there, relative to the target's folder and stable: see `name_at`.
    """

    id: str
    what: Literal["frame", "video"]
    path: Path
    name: str
    size_bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if not _proper(self.name):
            message = f"no name for a file at a target: {self.name!r}"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The target holds the item: size and hash are those of the bytes read there at `at_us`, after their sync."""

    item: Item
    name: str
    size_bytes: int
    sha256: str
    how: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Refused:
    """No receipt for this item: why, and what was found at the target instead (empty: nothing was looked at)."""

    item: Item
    error: HeliographError
    found: str = ""


Outcome = Receipt | Refused
NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Where:
    """The node's side: whose frames, where they lie, and a folder for sockets that no other process uses.

    `away` has by target the threads of calls that were given up and may not have come back.
    """

    node: str
    data_dir: Path
    scratch: Path
    clock: Clock
    away: dict[str, Thread] = field(default_factory=dict)


class Target(Protocol):
    """One archive target.  Not for two threads at once.

    What fails the target as a whole before anything was tried is raised: TargetUnavailable, MarkerMissing,
    TargetRefused, SameDevice.  What fails it later stands in each outcome that is still open; nothing earned is lost.
    """

    name: str

    def check(self) -> None:
        """Reached, with its marker, on another device than the frames."""

    def put(self, items: Sequence[Item], beat: Beat) -> list[Outcome]:
        """Send what is not there yet, then read all of it back there; one outcome for each item, in their order.

        An item's error is one that fails the target, TargetFull, ReceiptRefused, or FrameMissing and FrameAltered: the
        file here is not what was kept, and the target is not to blame.
        """

    def verify(self, items: Sequence[Item], beat: Beat) -> list[Outcome]:
        """Only read there and compare.  As `put`; an item that is not there: NotArchived."""

    def fetch(self, item: Item, into: Path, beat: Beat) -> None:
        """Bring the item back as the file `into`, whole or not at all, proved by its hash; its folder is made.

        Raises NotArchived, ReceiptRefused, DiskFull, DiskReadOnly, too.
        """

    def init(self) -> None:
        """Write the marker; harmless where there is one.  Raises TargetFull, too."""

    def space(self) -> Space:
        """Room at the target."""

    def close(self) -> None:
        """Give back processes and connections; the target may be used again all the same."""


def name_at(node: str, path: str) -> str:
    """The name at a target of a file that lies at `path` in the data directory of `node`."""
    return f"{node}/{path}"


def marker_text(where: Where) -> str:
    """What the marker says: who made it, and when."""
    return json.dumps({"schema": SCHEMA, "node": where.node, "made_us": where.clock.now_us()}) + "\n"


def check_marker(text: str | None) -> None:
    """Raises MarkerMissing, also for one that no release until this one wrote."""
    if text is None:
        raise MarkerMissing("is it mounted?")
    try:
        known = int(json.loads(text)["schema"]) <= SCHEMA
    except (ValueError, TypeError, KeyError):
        known = False
    if not known:
        raise MarkerMissing(f"{MARKER} there is not one that this release knows")


def judged(item: Item, found: tuple[int, str] | None, how: str, at_us: int) -> Outcome:
    """By size and hash of the bytes that were read there; None: there is no such file."""
    if found is None:
        return Refused(item, NotArchived(item.name), NOTHING)
    if found == (item.size_bytes, item.sha256):
        return Receipt(item, item.name, *found, how, at_us)
    said = f"{found[0]:,} bytes, SHA-256 {found[1]}"
    return Refused(item, ReceiptRefused(f"{item.name}: {said}"), said)


def after_sending(outcome: Outcome) -> Outcome:
    """What was taken and is not there was dropped."""
    if isinstance(outcome, Refused) and isinstance(outcome.error, NotArchived):
        return Refused(outcome.item, ReceiptRefused(f"{outcome.item.name}: taken, but not there"), outcome.found)
    return outcome


def settled(items: Sequence[Item], outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The outcomes in the order of their items."""
    by_item = {outcome.item: outcome for outcome in outcomes}
    return [by_item[item] for item in items]


def _proper(name: str) -> bool:
    """Relative, plain parts only, outside of what the target itself keeps, and free of bytes that end a name."""
    parts = name.split("/")
    plain = not {"", ".", ".."} & set(parts) and "\0" not in name
    return plain and not PurePosixPath(name).name.endswith(".tmp") and not parts[0].startswith(".heliograph")
