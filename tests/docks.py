"""A node that sends to an archive: real files, a target on another file system, the ship's rounds and its worker."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from node.archive.base import Target, Where
from node.archive.targets import open_target
from node.domain.config import Document, parse_document
from node.domain.frame import Frame
from node.domain.job import Priority
from node.domain.nodefile import ArchiveTarget, DirectoryTarget
from node.holdings import Holdings
from node.jobs import Jobs
from node.store import archive, videos
from node.store.archive_reader import ArchiveReader
from node.store.jobs import Job, JobReader
from node.store.videos import LeftOut, Video
from node.work.dock import Dock, Open
from node.work.shipping import ShipRounds, handlers
from node.work.task import Desk
from node.work.worker import Rules, Worker
from tests.clocks import JumpClock
from tests.stores import Store, day, frame_of, kept_event, opened

OTHER_DISK = Path("/dev/shm")
FRAME_BYTES = 1000
ROOMY = {"alerts": {"disk_warn_free_pct": 0, "disk_crit_free_pct": 0, "disk_reserve_bytes": 0}}
"""However full the disk is that the tests run on."""
# the sums that targets keep, counted anew from the rows
COUNTED = (
    "SELECT name, (SELECT COUNT(*) FROM outbox WHERE target = targets.name),"
    " (SELECT COALESCE(SUM(size_bytes), 0) FROM outbox WHERE target = targets.name),"
    " (SELECT COUNT(*) FROM receipts WHERE target = targets.name),"
    " (SELECT COALESCE(SUM(size_bytes), 0) FROM receipts WHERE target = targets.name) FROM targets ORDER BY name"
)
KEPT = "SELECT name, unsent, unsent_bytes, sent, sent_bytes FROM targets ORDER BY name"


@dataclass
class Shipyard:
    """`document` is what is in force; the directory target `nas` lies in `nas`."""

    store: Store
    nas: Path
    document: Document = field(default_factory=Document)
    endpoints: dict[str, ArchiveTarget] = field(default_factory=dict)
    open: Open = open_target
    said: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.endpoints = self.endpoints or {"nas": DirectoryTarget(kind="directory", path=str(self.nas))}
        self.set()
        self.build()

    def build(self) -> None:
        """Another life of the ship process."""
        store, clock = self.store, self.store.clock
        self.jobs = Jobs(store.journal, lambda: self.document.jobs.retry_s, lambda: 0.0)
        self.holdings, self.reader = Holdings(store.journal), ArchiveReader(store.database)
        where = Where("north", store.folder, store.folder / "run", clock)
        self.dock = Dock(self.endpoints, lambda: self.document, where, self.holdings, self.reader, self._open)
        self.rounds = ShipRounds(self.dock, self.jobs)
        scratch = store.folder / "scratch-ship"
        self.worker = Worker(Desk(self.jobs, clock), handlers(self.dock), scratch, Rules(held=self.rounds.held))

    def _open(self, *arguments: Any) -> Target:
        """As a test may have set it meanwhile."""
        return self.open(*arguments)

    @property
    def clock(self) -> JumpClock:
        return self.store.clock

    def init(self) -> None:
        """Markers on all targets; those that are new are used as the others are."""
        self.set(**self.said)
        for name in self.endpoints:
            with self.dock.opened(name) as target:
                target.init()

    def set(self, **sections: Any) -> None:
        """Another document; where it does not say another thing, every frame is sent at once."""
        self.said = sections
        said = sections.get("archive", {}).get("targets", {})
        targets = {name: {"gather_s": 0, **said.get(name, {})} for name in (*self.endpoints, *said)}
        self.document = parse_document({**ROOMY, **sections, "archive": {"targets": targets}})

    def keep(self, count: int = 1, interval_s: float = 60, **changes: Any) -> list[Frame]:
        """So many frames with their files."""
        return [self._keep(interval_s, changes) for _ in range(count)]

    def _keep(self, interval_s: float, changes: dict[str, Any]) -> Frame:
        self.clock.advance(interval_s)
        frame = frame_of(self.clock, **changes)
        data = (frame.id.encode() * FRAME_BYTES)[:FRAME_BYTES]
        frame = replace(frame, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        self.write(frame.path, data)
        keep = self.store.journal.quarantine if frame.quarantined else self.store.journal.keep
        keep(frame, None, [kept_event(frame)], day=day(frame.captured_us))
        return frame

    def video(self) -> Video:
        self.clock.advance(1)
        identity, now_us = self.clock.new_id(), self.clock.now_us()
        data = identity.encode() * 100
        path = f"videos/main/{identity}.mp4"
        made = Video(
            identity, "main", "auto", None, "job", "", now_us - 1, now_us, path, f"videos/main/{identity}.jpg",
            len(data), hashlib.sha256(data).hexdigest(), 16, 12, 25.0, 10, 0.4, "h264", "x264", "standard", LeftOut(),
            now_us,
        )  # fmt: skip
        self.write(path, data)
        self.store.database.write(lambda session: videos.insert(session, made))
        return made

    def write(self, path: str, data: bytes) -> Path:
        whole = self.store.folder / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.write_bytes(data)
        return whole

    def reclaim(self, frame: Frame, *, unlink: bool = True) -> None:
        """As upkeep does it, by the receipts that there are."""

        def work(session: Any) -> None:
            receipts = archive.receipts_of(session, [frame.id])[frame.id]
            archive.mark_gone(session, frame.id, "frames_days", receipts, self.clock.now_us())

        self.store.database.write(work)
        if unlink:
            (self.store.folder / frame.path).unlink()

    def look(self) -> None:
        """At every target, once."""
        for look in self.rounds.looks().values():
            look()

    # --- working ------------------------------------------------------------------------------------------------

    def ship(self, most: int = 50) -> int:
        """Rounds and jobs, until nothing is to be done now; how many jobs."""
        for number in range(most):
            self.look()
            if not self.worker.turn():
                return number
        raise AssertionError(f"still busy after {most} jobs")

    def pass_time(self, seconds: float, step_s: float = 30.0) -> None:
        """Working meanwhile."""
        until_us = self.clock.now_us() + round(seconds * 1_000_000)
        while self.clock.now_us() < until_us:
            self.clock.advance(step_s)
            self.ship()

    def ask(self, kind: str, key: str, **payload: Any) -> Job:
        return self.jobs.enqueue(kind, key, payload, priority=Priority.MANUAL, who="op")

    def asked(self, kind: str, key: str, **payload: Any) -> Job:
        """What became of it, once there was nothing more to do."""
        job = self.ask(kind, key, **payload)
        self.ship()
        return JobReader(self.store.database).get(job.id)

    def jobs_of(self, kind: str = "transfer") -> list[Job]:
        return JobReader(self.store.database).page(kind=kind, limit=1000)

    # --- counted independently ----------------------------------------------------------------------------------

    def counters_are_right(self) -> bool:
        return self.store.rows(KEPT) == self.store.rows(COUNTED)

    def receipts(self, target: str = "nas") -> list[str]:
        return [
            str(item) for (item,) in self.store.rows("SELECT item FROM receipts WHERE target = ? ORDER BY item", target)
        ]

    def unsent(self, target: str = "nas") -> list[str]:
        return [
            str(item) for (item,) in self.store.rows("SELECT item FROM outbox WHERE target = ? ORDER BY item", target)
        ]

    def _items(self, table: str, target: str) -> list[str]:
        rows = self.store.rows(f"SELECT item FROM {table} WHERE target = ? ORDER BY item", target)
        return [str(item) for (item,) in rows]

    def events(self, kind: str) -> list[Mapping[str, Any]]:
        return [row.body for row in self.store.events.after(0, 1000, [kind])]

    def mismatches(self) -> list[str]:
        """Receipts whose files at the target are not, byte for byte, what they say."""
        found = hashes(self.nas)
        rows = self.store.rows("SELECT name, sha256 FROM receipts WHERE target = 'nas'")
        return [str(name) for name, sha256 in rows if found.get(str(name)) != sha256]


def hashes(folder: Path) -> dict[str, str]:
    """Every file below, by its name there; markers and unfinished ones are none."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


@contextmanager
def shipyard(folder: Path, nas: Path | None = None, clock: JumpClock | None = None) -> Iterator[Shipyard]:
    """The target's folder lies on another file system than the frames; it goes at the end unless it is given."""
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        if nas is None:
            # one folder further down: a test that takes it away leaves it in here
            disk = stack.enter_context(tempfile.TemporaryDirectory(prefix="heliograph-nas-", dir=OTHER_DISK))
            (nas := Path(disk, "nas")).mkdir()
        yard = Shipyard(stack.enter_context(opened(folder, clock)), nas)
        yard.init()
        yield yard
