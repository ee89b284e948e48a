"""A store in a folder of its own, and the records that go into it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from node.domain.events import FrameKept
from node.domain.frame import Exposure, Frame, Gap, GapReason, SlotKey, StageTimes
from node.domain.times import to_datetime
from node.journal import Journal
from node.store.database import NAME, Database
from node.store.frames import FrameReader
from node.store.ledger import LedgerReader
from node.store.log import EventReader
from tests.clocks import JumpClock


@dataclass(frozen=True)
class Store:
    folder: Path
    clock: JumpClock
    database: Database
    journal: Journal

    @property
    def frames(self) -> FrameReader:
        return FrameReader(self.database)

    @property
    def ledger(self) -> LedgerReader:
        return LedgerReader(self.database)

    @property
    def events(self) -> EventReader:
        return EventReader(self.database)

    def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        return self.database.read(lambda session: session.rows(sql, values))


@contextmanager
def opened(folder: Path, clock: JumpClock | None = None) -> Iterator[Store]:
    """A store on real SQLite, closed at the end."""
    clock = clock or JumpClock()
    database = Database(folder / NAME)
    try:
        yield Store(folder, clock, database, Journal(database, clock))
    finally:
        database.close()


def not_closed(path: Path) -> None:
    """As a power cut leaves a database: its owner never took its mark away."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('open', 'the boot before')")
    other.close()


def day(at_us: int) -> str:
    return to_datetime(at_us).date().isoformat()


def frame_of(clock: JumpClock, due_us: int | None = None, **changes: object) -> Frame:
    """A good frame, taken at the clock's time; every field that a test does not name is filled with something."""
    identity, now_us = clock.new_id(), clock.now_us()
    camera, profile = str(changes.get("camera", "main")), str(changes.get("profile", "auto"))
    moment = to_datetime(now_us)
    name = f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03d}Z_{profile}_{identity[-8:]}.jpg"
    top = (
        f"quarantine/{camera}/{moment:%Y-%m-%d}"
        if changes.get("quarantined")
        else f"frames/{camera}/default/{moment:%Y/%m/%d}"
    )
    made = Frame(
        id=identity,
        node="north",
        camera=camera,
        profile=profile,
        due_us=due_us,
        schedules=("default",),
        shoots=(f"{camera}/default/{day(now_us)}/{profile}",),
        captured_us=now_us,
        clock_synced=True,
        path=f"{top}/{name}",
        size_bytes=2_000_000,
        sha256="5" * 64,
        width=4056,
        height=3040,
        requested=Exposure(ev_stops=0.5),
        actual=Exposure(0.01, 1.5, 0.0),
        settled=True,
        backend="synthetic",
        config_version=1,
        integrity="intact",
        verdict="good",
        score=90,
        reasons=(),
        flagged=False,
        quarantined=False,
        recaptured=False,
        sun_elevation_deg=12.25,
        stages=StageTimes(due_us or 0, now_us - 20_000, now_us, now_us + 1, now_us + 2),
    )
    return replace(made, **changes)


def slot_of(frame: Frame) -> SlotKey:
    assert frame.due_us is not None
    return SlotKey(frame.camera, frame.profile, frame.due_us)


def kept_event(frame: Frame) -> FrameKept:
    return FrameKept(
        frame.id, frame.camera, frame.profile, frame.due_us, frame.captured_us, frame.size_bytes,
        frame.verdict, frame.score, frame.reasons, frame.flagged, 1, 20,
    )  # fmt: skip


def gap_of(due_us: int, reason: GapReason = GapReason.TIMEOUT, camera: str = "main", profile: str = "auto") -> Gap:
    shoot = f"{camera}/default/{day(due_us)}/{profile}"
    return Gap(SlotKey(camera, profile, due_us), ("default",), (shoot,), reason, "CAM-005", 1)


def keep_many(store: Store, count: int, interval_s: int = 600, **changes: object) -> list[Frame]:
    """So many frames, each for its slot, on the clock's way."""
    frames = []
    for _ in range(count):
        store.clock.advance(interval_s)
        frame = frame_of(store.clock, store.clock.now_us(), **changes)
        store.journal.keep(frame, slot_of(frame), [kept_event(frame)], day=day(frame.captured_us))
        frames.append(frame)
    return frames
