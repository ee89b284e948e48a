"""A data folder with real files of frames, thumbnails and videos, their rows and receipts, and its reclaimer."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from node.domain.config import Document, parse_document
from node.domain.frame import Frame
from node.domain.job import Priority
from node.host.disk import Space
from node.jobs import Jobs
from node.store import archive, videos
from node.store.archive import ReceiptRow
from node.store.files import hold
from node.store.jobs import Job, JobReader
from node.store.videos import LeftOut, Video
from node.work.reclaim import Ground, Reclaimer
from node.work.task import Desk
from node.work.upkeep import handlers
from node.work.worker import Worker
from tests.clocks import JumpClock
from tests.stores import Store, day, frame_of, kept_event, opened

DAY_S = 86400
FRAME_BYTES = 1000
TARGETS = ("nas", "office")
TOTAL_BYTES = 1_000_000
# below 10 % it warns, below 5 % it is critical; the reserve plays no part
LIMITS = {"alerts": {"disk_reserve_bytes": 0}}


@dataclass
class Yard:
    """`free_bytes` is what the disk is said to have, of a million; None = ask the disk."""

    store: Store
    reclaimer: Reclaimer
    document: Document
    free_bytes: int | None = TOTAL_BYTES
    patch: pytest.MonkeyPatch | None = None
    made: list[Frame] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.store.folder

    @property
    def clock(self) -> JumpClock:
        return self.store.clock

    def set(self, **sections: Any) -> None:
        self.document = document_of(**sections)

    def keep(self, count: int = 1, *, held_by: tuple[str, ...] = ("nas",), **changes: Any) -> list[Frame]:
        """So many frames a minute apart with their files, each with a receipt of these targets."""
        kept = [self._keep(held_by, changes) for _ in range(count)]
        self.made += kept
        return kept

    def _keep(self, held_by: tuple[str, ...], changes: dict[str, Any]) -> Frame:
        self.clock.advance(60)
        frame = frame_of(self.clock, **changes)
        data = (frame.id.encode() * FRAME_BYTES)[:FRAME_BYTES]
        frame = replace(frame, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        self.write(frame.path, data)
        keep = self.store.journal.quarantine if frame.quarantined else self.store.journal.keep
        keep(frame, None, [kept_event(frame)], day=day(frame.captured_us))
        for target in held_by:
            self.receipt(frame, target)
        return frame

    def write(self, path: str, data: bytes) -> Path:
        """A file as old as the clock says."""
        whole = self.folder / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.write_bytes(data)
        os.utime(whole, ns=(self.clock.now_us() * 1000,) * 2)
        return whole

    def receipt(self, frame: Frame, target: str, **lies: Any) -> None:
        """As the archive gives it, unless it lies: then it is planted, since the store takes no such row."""
        row = ReceiptRow(frame.id, target, "frame", f"north/{frame.path}", frame.size_bytes, frame.sha256, "read", 1)
        self.store.database.write(lambda session: archive.know(session, target))
        if lies:
            self.plant(
                "INSERT OR REPLACE INTO receipts (item, target, what, name, size_bytes, sha256, how, verified_us)"
                " VALUES (?, ?, 'frame', '', ?, ?, '', 1)",
                frame.id,
                target,
                lies.get("size_bytes", frame.size_bytes),
                lies.get("sha256", frame.sha256),
            )
        else:
            assert not self.store.database.write(lambda session: archive.keep_receipts(session, target, [row]))

    def plant(self, sql: str, *values: object) -> None:
        self.store.database.write(lambda session: session.execute(sql, values))

    def thumbnail(self, frame: Frame, size_bytes: int = 100) -> Path:
        return self.write(f"thumbs/{frame.camera}/{day(frame.captured_us)}/{frame.id}_200.jpg", bytes(size_bytes))

    def video(self, *, pinned: bool = False, held: bool = False, size_bytes: int = 5000) -> Video:
        identity, now_us = self.clock.new_id(), self.clock.now_us()
        data = identity.encode() * (size_bytes // 26)
        path = f"videos/main/{identity}.mp4"
        video = Video(
            identity, "main", "auto", None, "job", "", 0, 1, path, f"videos/main/{identity}.jpg", len(data),
            hashlib.sha256(data).hexdigest(), 16, 12, 25.0, 10, 0.4, "h264", "x264", "standard", LeftOut(), now_us,
            pinned,
        )  # fmt: skip
        self.write(path, data)
        self.write(video.poster, b"poster")
        self.store.database.write(lambda session: videos.insert(session, video))
        if held:
            row = ReceiptRow(identity, "nas", "video", "n", video.size_bytes, video.sha256, "read", 1)
            self.store.database.write(lambda session: archive.know(session, "nas"))
            self.store.database.write(lambda session: archive.keep_receipts(session, "nas", [row]))
        return video

    def rules(self) -> dict[str, str]:
        """Frames that went, by which rule."""
        return dict(self.store.rows("SELECT frame_id, rule FROM frames_gone"))

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [row.body for row in self.store.events.after(0, 100_000) if row.kind == kind]


def document_of(**sections: Any) -> Document:
    return parse_document({**LIMITS, **sections})


@contextmanager
def yard_in(folder: Path, patch: pytest.MonkeyPatch, clock: JumpClock | None = None) -> Iterator[Yard]:
    """One on a disk whose free space the test says, so that it needs no disk of its own."""
    with opened(folder, clock) as store, hold(folder, "lock-work") as held:
        yard: Yard
        ground = Ground(held, store.journal, store.clock, lambda: yard.document, TARGETS)
        yard = Yard(store, Reclaimer(ground), document_of(), patch=patch)

        def space(_path: Path) -> Space:
            return Space(TOTAL_BYTES, yard.free_bytes if yard.free_bytes is not None else TOTAL_BYTES)

        patch.setattr("node.work.reclaim.disk.space", space)
        yield yard


def do(yard: Yard, kind: str, priority: Priority = Priority.SCHEDULED) -> Job:
    """A job of upkeep, from its asking to its end."""
    jobs = Jobs(yard.store.journal, jitter=lambda: 0.0)
    asked = jobs.enqueue(kind, "node", {}, priority=priority)
    Worker(Desk(jobs, yard.clock), handlers(yard.reclaimer, jobs), yard.folder / "scratch").turn()
    return JobReader(yard.store.database).get(asked.id)
