"""Files to archive, folders that pass for another disk, and targets that lie."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from node.archive.base import Item, Outcome, Receipt, Target, Where, name_at
from node.archive.directory import DirectoryArchive
from node.archive.progress import Pace, Progress
from node.archive.targets import open_target
from node.clock import Clock, SystemClock
from node.domain.config import TargetPolicy
from node.domain.nodefile import ArchiveTarget, DirectoryTarget
from tests.sshd import OTHER_DISK

NODE = "north"
DAY = "frames/main/default/2026/11/20"
Lie = Callable[[Path], object]


def quiet(_progress: float | None, _said: str) -> None:
    """A beat that lets everything go on."""


class Yard:
    """A data directory with files in it, and the rest of the node's side."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self.data = folder / "data"
        self.where = Where(NODE, self.data, folder / "run", clock or SystemClock())
        self._dice = random.Random(5)
        self.data.mkdir(parents=True)
        self.where.scratch.mkdir()

    def item(self, name: str = "a.jpg", size: int = 20_000, content: bytes | None = None) -> Item:
        """A frame of random bytes that lies on the node."""
        content = self._dice.randbytes(size) if content is None else content
        path = self.data / DAY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        told = name_at(NODE, f"{DAY}/{name}")
        return Item(f"id of {name}", "frame", path, told, len(content), hashlib.sha256(content).hexdigest())

    def items(self, count: int, size: int = 20_000) -> list[Item]:
        return [self.item(f"{number:05}.jpg", size) for number in range(count)]


@dataclass
class Ground:
    """One kind of target over a folder that the test can look into."""

    yard: Yard
    store: Path
    endpoint: ArchiveTarget
    policy: TargetPolicy = field(default_factory=TargetPolicy)
    opened: list[Target] = field(default_factory=list)

    def target(self, **policy: object) -> Target:
        made = open_target("far", self.endpoint, self.policy.model_copy(update=policy), self.yard.where)
        self.opened.append(made)
        return made

    def ready(self, **policy: object) -> Target:
        """With its marker."""
        made = self.target(**policy)
        made.init()
        return made


def until(holds: Callable[[], object], within_s: float = 30.0) -> None:
    """Waits for what another process does."""
    deadline, pause = time.monotonic() + within_s, threading.Event()
    while not holds():
        assert time.monotonic() < deadline
        pause.wait(0.02)


def stored(store: Path) -> dict[str, str]:
    """Everything below a target's folder but its marker: hash by name, counted without the code under test."""
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in store.rglob("*")
        if path.is_file() and path.name != ".heliograph-target"
    }


def wanted(items: list[Item]) -> dict[str, str]:
    return {item.name: item.sha256 for item in items}


def earned(outcomes: list[Outcome]) -> list[str]:
    """Names of the receipts."""
    return [outcome.name for outcome in outcomes if isinstance(outcome, Receipt)]


@contextmanager
def other_disk() -> Iterator[Path]:
    """An empty folder on another file system than the temporary ones."""
    with tempfile.TemporaryDirectory(prefix="heliograph-disk-", dir=OTHER_DISK) as folder:
        yield Path(folder)


@contextmanager
def mounted(folder: Path, options: str = "size=1m") -> Iterator[Path]:
    """A file system of its own at `folder`; the tests run as root."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False, stderr=subprocess.DEVNULL)


def directory(store: Path, where: Where, policy: TargetPolicy | None = None) -> DirectoryArchive:
    return DirectoryArchive("usb", DirectoryTarget(kind="directory", path=str(store)), policy or TargetPolicy(), where)


class Lying(DirectoryArchive):
    """Takes everything, and then does to the stored file what the lie says; asked, it tells what is there."""

    def __init__(self, store: Path, where: Where, lie: Lie, policy: TargetPolicy | None = None) -> None:
        super().__init__("usb", DirectoryTarget(kind="directory", path=str(store)), policy or TargetPolicy(), where)
        self.lie: Lie = lie

    def _send(self, root: Path, item: Item, progress: Progress, pace: Pace) -> None:
        super()._send(root, item, progress, pace)
        self.lie(root / item.name)


def drops(path: Path) -> None:
    path.unlink()


def truncates(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def corrupts(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def keeps_the_old(path: Path) -> None:
    """As a share whose cache is stale: what is read is not what was written."""
    path.write_bytes(b"an older file" * 100)


LIES: tuple[Lie, ...] = (drops, truncates, corrupts, keeps_the_old)
