"""A worker with its handlers on a store of its own, and frames whose pictures are on the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from node.domain.config import Document
from node.domain.frame import Frame
from node.domain.job import Priority
from node.jobs import Jobs
from node.store.jobs import Job, JobReader
from node.store.videos import Video, VideoReader
from node.work.rendering import Rendering, Studio
from node.work.task import Desk
from node.work.thumbs import Darkroom, Thumbnails
from node.work.worker import Worker
from tests import scenes
from tests.clocks import JumpClock
from tests.stores import Store, frame_of, kept_event, opened, slot_of

SMALL = {"render": {"min_frames": 2, "max_width": 160}}
WIDTH, HEIGHT = 160, 120


@lru_cache(maxsize=64)
def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """A JPEG of a camera that nothing happens to."""
    return scenes.jpeg(scenes.live(scenes.scene(3, width, height), np.random.default_rng(number)))


@dataclass
class Workshop:
    """`free_bytes` is the memory that the machine says is free; None = it does not say."""

    store: Store
    document: Document
    free_bytes: int | None = None

    def __post_init__(self) -> None:
        store, clock = self.store, self.store.clock
        self.jobs = Jobs(store.journal, jitter=lambda: 0.0)
        self.rendering = Rendering(Studio(store.journal, store.folder, lambda: self.document, lambda: self.free_bytes))
        thumbnails = Thumbnails(Darkroom(store.database, store.folder, lambda: self.document))
        self.handlers = {
            "render": self.rendering,
            "thumbnail": thumbnails.make,
            "thumbnail-repair": thumbnails.repair,
        }
        self.worker = Worker(Desk(self.jobs, clock), self.handlers, store.folder / "scratch")

    def configure(self, **sections: Any) -> None:
        self.document = Document.model_validate(sections)

    def ask(self, kind: str, key: str, priority: Priority = Priority.SCHEDULED, **payload: Any) -> str:
        return self.jobs.enqueue(kind, key, payload, priority=priority).id

    def work(self) -> int:
        """Until nothing is due; how many attempts that took."""
        turns = 0
        while self.worker.turn():
            turns += 1
        return turns

    def job(self, identity: str) -> Job:
        return JobReader(self.store.database).get(identity)

    def videos(self, **chosen: Any) -> list[Video]:
        return VideoReader(self.store.database).page(**chosen)

    def files(self, top: str) -> set[str]:
        """Everything below a folder of the data directory, relative to it."""
        return {
            path.relative_to(self.store.folder).as_posix()
            for path in (self.store.folder / top).rglob("*")
            if path.is_file()
        }


@contextmanager
def equipped(folder: Path, clock: JumpClock | None = None, **sections: Any) -> Iterator[Workshop]:
    with opened(folder, clock) as store:
        store.journal.begin_book(sections)
        yield Workshop(store, Document.model_validate(sections))


def shoot(store: Store, count: int, interval_s: int = 60, data: bytes | None = None, **changes: Any) -> list[Frame]:
    """So many frames, each for its slot, with their pictures (or `data` in place of each)."""
    frames = []
    for number in range(count):
        store.clock.advance(interval_s)
        size = {"width": int(changes.get("width", WIDTH)), "height": int(changes.get("height", HEIGHT))}
        content = picture(number % 20, **size) if data is None else data
        frame = frame_of(store.clock, store.clock.now_us(), **{**size, **changes})
        frame = replace(frame, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        path = store.folder / frame.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        store.journal.keep(frame, slot_of(frame), [kept_event(frame)], day=frame.shoots[0].split("/")[2])
        frames.append(frame)
    return frames
