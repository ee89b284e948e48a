"""Reading again what the archive holds, and bringing reclaimed frames back from there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.archive.base import Item, Outcome, Receipt, Refused, Target
from node.crashpoint import crash_point
from node.domain.errors import (
    ArchiveError,
    DiskError,
    DiskFull,
    FrameAltered,
    HeliographError,
    MarkerMissing,
    NotArchived,
    ReceiptRefused,
)
from node.domain.job import RestorePayload, VerifyArchivePayload
from node.domain.pressure import calm_bytes
from node.host import disk
from node.host.files import make_folder
from node.store import files, removing
from node.store.archive_reader import Gone, Held, Span
from node.work.dock import Dock, broken, named, of_items
from node.work.task import Done, Task

_OF_AN_ITEM = (NotArchived, ReceiptRefused)
SUSPICIOUS = 10
"""So many items, and none of them there: that is another disk rather than a loss."""


def _span(payload: VerifyArchivePayload) -> Span:
    return Span(payload.camera, payload.from_us, payload.to_us)


# --- reading again --------------------------------------------------------------------------------------------------


def verify_archive(dock: Dock, task: Task) -> Done:
    """Reads every item of the span at the target; a receipt that is not true is withdrawn.

    What was proved since the job was asked for is not read twice: so an attempt goes on where the last one ended.
    Reclaimed frames whose receipt was withdrawn once are looked for again, and get it back where they are there.
    Raises MarkerMissing where many items are missing and none is there: it may be another disk.
    """
    assert isinstance(task.payload, VerifyArchivePayload)
    name, span = task.payload.target, _span(task.payload)
    since_us = task.job.created_us

    def unproved() -> tuple[str, Span, tuple[int, int]]:
        return name, span, (since_us, dock.where.clock.now_us())

    total = max(1, dock.reader.count_held(*unproved()) + dock.reader.count_lost(name, span))
    with dock.opened(name) as target:
        target.check()
        reading = _Reading(dock, task, target, total)
        reading.look_for(dock.reader.lost(name, span))  # first: not again what is withdrawn now
        reading.reread(dock.reader.held(*unproved()))
        if reading.left_open:
            reading.believe_few()
            reading.reread(dock.reader.held(*unproved()))
        reading.check_disk()
    return Done({"target": name, **reading.counts()})


@dataclass(slots=True)
class _Reading:
    """What reading again came to so far.  `left_open` = items that are missing where nothing is there, in this pass.

    `witness` is an item that was there: as long as it is, it is the right disk, and what is missing is missing.
    """

    dock: Dock
    task: Task
    target: Target
    total: int
    looked: int = 0
    left_open: int = 0
    regained: int = 0
    witness: Item | None = None
    believing: bool = False
    withdrawn: list[Refused] = field(default_factory=list)
    lost: list[Refused] = field(default_factory=list)

    def reread(self, pages: Iterable[Sequence[Held]]) -> None:
        """A page of which nothing is there is passed over, unless something else is."""
        self.left_open = 0
        for page in pages:
            outcomes = self._read(page)
            answers = of_items(outcomes, _OF_AN_ITEM)
            if self._is_right_disk(answers):
                crash_point("before_proofs")
                self.withdrawn += self.dock.holdings.reread(self.target.name, answers).refused
                self.looked += len(page)
            else:
                self.left_open += len(answers)
            _raise(broken(outcomes, _OF_AN_ITEM))

    def believe_few(self) -> None:
        """So few may well be missing all; of many, that none is there is no proof against them."""
        if self.witness is None:
            self.check_disk()
            self.believing = True

    def check_disk(self) -> None:
        """Raises MarkerMissing where too many are left open."""
        if self.left_open >= SUSPICIOUS or (self.left_open and self.witness):
            raise MarkerMissing(f"none of {self.left_open} items is there: is this the right disk?")

    def look_for(self, pages: Iterable[Sequence[Held]]) -> None:
        """Items without a receipt: those that are there get one."""
        for page in pages:
            outcomes = self._read(page)
            answers = of_items(outcomes, _OF_AN_ITEM)
            there = [each for each in answers if isinstance(each, Receipt)]
            settled = self.dock.holdings.reread(self.target.name, there)
            self.regained += settled.kept.count
            self.lost += [*settled.refused, *(each for each in answers if isinstance(each, Refused))]
            self.looked += len(page)
            _raise(broken(outcomes, _OF_AN_ITEM))

    def counts(self) -> dict[str, Any]:
        """As a job's result has them."""
        away = [*self.withdrawn, *self.lost]
        counts = {"checked": self.looked, "held": self.looked - len(away), "withdrawn": len(self.withdrawn)}
        return {**counts, "regained": self.regained, "lost": len(self.lost), "named": named(away)}

    def _read(self, page: Sequence[Held]) -> list[Outcome]:
        beat = _Share(self.task, self.looked / self.total, len(page) / self.total)
        outcomes = self.target.verify([_held_item(self.dock, each) for each in page], beat)
        _surely(self.target, outcomes)
        self.witness = next((each.item for each in outcomes if isinstance(each, Receipt)), self.witness)
        return outcomes

    def _is_right_disk(self, answers: Sequence[Outcome]) -> bool:
        """Whether what is missing may be believed: something else is there."""
        if self.believing or not all(_is_missing(each) for each in answers):
            return True
        if self.witness is None:
            return False
        (again,) = self.target.verify([self.witness], _Share(self.task, self.looked / self.total, 0.0))
        return isinstance(again, Receipt)


def _is_missing(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and isinstance(outcome.error, NotArchived)


def _surely(target: Target, outcomes: Sequence[Outcome]) -> None:
    """Where a mount has vanished meanwhile, nothing is missing: raises as `Target.check`."""
    if any(isinstance(each, Refused) for each in outcomes):
        target.check()


def _held_item(dock: Dock, held: Held) -> Item:
    receipt = held.receipt
    path = dock.where.data_dir / held.path
    return Item(receipt.item, receipt.what, path, receipt.name, receipt.size_bytes, receipt.sha256)


def _raise(error: HeliographError | None) -> None:
    if error is not None:
        raise error


@dataclass(frozen=True, slots=True)
class _Share:
    """A part of a job's progress."""

    task: Task
    from_: float
    share: float

    def __call__(self, progress: float | None, said: str) -> None:
        self.task.beat(self.from_ + self.share * (progress or 0.0), said)

    def part(self, number: int, of: int) -> _Share:
        """One of so many equal parts, counted from 0."""
        return _Share(self.task, self.from_ + self.share * number / of, self.share / of)


# --- bringing back --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Brought:
    """What a restore came to so far."""

    frames: int = 0
    size_bytes: int = 0
    not_held: int = 0
    refused: list[Refused] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Coming:
    """A reclaimed frame: the item at the target, and where it is fetched to first."""

    item: Item
    fetched: Path

    def is_here(self) -> bool:
        """Whether its file lies in its place already: nothing is fetched then, nor overwritten.

        Raises FrameAltered where that is another file than was kept.
        """
        found = removing.found_at(self.item.path)
        if found not in (None, (self.item.size_bytes, self.item.sha256)):
            raise FrameAltered(f"{self.item.path.name}: another file lies in its place")
        return found is not None

    def put_in_place(self) -> bool:
        """Whether it is there now."""
        path = self.item.path
        if self.fetched.exists() and not path.exists():
            with disk.failures_named(path):
                make_folder(path.parent)
                os.utime(self.fetched)  # by which upkeep sees that it came back lately
            files.put_in_place(self.fetched, path)
        return path.exists()


def restore(dock: Dock, task: Task) -> Done:
    """Fetches reclaimed frames to where they lay; the row that says so goes after the file is there.

    Raises NotArchived where the target holds none of them; DiskFull, before anything is fetched, where so little would
    be left free that they would be reclaimed again.
    """
    assert isinstance(task.payload, RestorePayload)
    name, span = task.payload.target, _span(task.payload)
    _check_room(dock, dock.reader.bytes_gone(name, span))
    total, looked, brought = max(1, dock.reader.count_gone(name, span)), 0, _Brought()
    with dock.opened(name) as target:
        target.check()
        for page in dock.reader.gone(name, span):
            wanted = [_coming(dock, task, each, each.name) for each in page if each.name is not None]
            brought.not_held += len(page) - len(wanted)
            beat = _Share(task, looked / total, len(page) / total)
            ready, failed = _fetch(dock, target, wanted, beat, brought)
            crash_point("after_fetch")
            _bring_in(dock, name, ready, brought)
            _raise(failed)
            looked += len(page)
    if brought.not_held and not brought.frames:
        raise NotArchived(f"{brought.not_held} reclaimed frames, and no receipt of {name}")
    counts = {"restored": brought.frames, "size_bytes": brought.size_bytes, "not_held": brought.not_held}
    return Done({"target": name, **counts, "refused": len(brought.refused), "named": named(brought.refused)})


def _check_room(dock: Dock, size_bytes: int) -> None:
    """Raises DiskFull where, beside so many bytes more, frames would begin to be reclaimed."""
    space, alerts = disk.space(dock.where.data_dir), dock.document().alerts
    keep = calm_bytes(space.total_bytes, alerts)
    if size_bytes and space.free_bytes < size_bytes + keep:
        raise DiskFull(
            f"{size_bytes:,} bytes are to come back, {space.free_bytes:,} are free, and with less than {keep:,} free"
            " they would be deleted again: ask for a shorter span, or make room first"
        )


def _coming(dock: Dock, task: Task, gone: Gone, name: str) -> _Coming:
    item = Item(gone.frame, "frame", dock.where.data_dir / gone.path, name, gone.size_bytes, gone.sha256)
    return _Coming(item, task.scratch / gone.frame)


def _fetch(
    dock: Dock, target: Target, wanted: Sequence[_Coming], beat: _Share, brought: _Brought
) -> tuple[list[_Coming], HeliographError | None]:
    """Those that may be put in their places, and what failed all that came after them."""
    ready: list[_Coming] = []
    for number, each in enumerate(wanted):
        try:
            if not each.is_here():
                _check_room(dock, each.item.size_bytes)
                target.fetch(each.item, each.fetched, beat.part(number, len(wanted)))
            ready.append(each)
        except (*_OF_AN_ITEM, FrameAltered) as error:
            brought.refused.append(Refused(each.item, error))
        except (ArchiveError, DiskError) as error:
            return ready, error
    return ready, None


def _bring_in(dock: Dock, name: str, ready: Sequence[_Coming], brought: _Brought) -> None:
    """Whoever deletes frames waits meanwhile: it might take a file between its rename and its row."""
    with files.frames_still(dock.where.data_dir):
        back = [each.item for each in ready if each.put_in_place()]
        crash_point("after_bring_in")
        if back:
            dock.holdings.restored(name, [(item.id, item.size_bytes) for item in back])
    brought.frames += len(back)
    brought.size_bytes += sum(item.size_bytes for item in back)
