"""The data directory of a node whose service does not run, as commands work on it: alone, with the service's parts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from node.api.views import (
    asked_job,
    backup_record,
    job_record,
    reclaim_preview,
    target_record,
    video_record,
    whole_job,
    whole_video,
)
from node.clock import Clock, SystemClock
from node.commands.desk import Order
from node.domain.errors import UnknownTarget, WorkerHeld
from node.domain.job import KINDS, JobState
from node.domain.nodefile import NodeFile
from node.jobs import Jobs
from node.journal import Journal
from node.store import backup, files
from node.store.archive_reader import ArchiveReader
from node.store.database import NAME, Database
from node.store.jobs import JobReader
from node.store.log import Actor
from node.store.schema import BACKUPS
from node.store.videos import VideoReader
from node.wire.work_records import BackupRecord, JobRecord, ReclaimPreview, TargetRecord, VideoRecord
from node.work.document import RunningDocument
from node.work.orders import Orders, Reach
from node.work.reclaim import Ground, Reclaimer
from node.workers import LOCKS, Start, working

HAND = Actor("command", "admin", "local")


@contextmanager
def backroom(settings: NodeFile, clock: Clock | None = None) -> Iterator[Backroom]:
    """Raises DirectoryHeld, DirectoryMissing, DatabaseMissing."""
    with ExitStack() as stack:
        held = stack.enter_context(files.hold(Path(settings.paths.data)))
        database = Database.join(held.data_dir / NAME)
        stack.callback(database.close)
        yield Backroom(settings, held, database, clock or SystemClock(trusted=settings.clock.trusted))


class Backroom:
    """A desk in this process; for one thread."""

    def __init__(self, settings: NodeFile, held: files.Hold, database: Database, clock: Clock) -> None:
        targets, journal = tuple(settings.archive), Journal(database, clock)
        self._settings, self._held, self._clock = settings, held, clock
        self._document = RunningDocument(database)
        self._reader, self._archive, self._videos = JobReader(database), ArchiveReader(database), VideoReader(database)
        self._reclaimer = Reclaimer(Ground(held, journal, clock, self._document, targets))
        reach = Reach(held.data_dir, tuple(settings.cameras), targets)
        self._orders = Orders(Jobs(journal), journal, self._reclaimer, reach)

    def jobs(self, state: str | None, kind: str | None, key: str | None, limit: int) -> list[JobRecord]:
        wanted = None if state is None else JobState(state)
        return [job_record(job) for job in self._reader.page(state=wanted, kind=kind, key=key, limit=limit)]

    def job(self, identity: str) -> JobRecord:
        return whole_job(self._reader.get(identity), self._reader.attempts(identity))

    def move(self, action: str, identity: str) -> JobRecord:
        moves = {"cancel": self._orders.cancel, "redrive": self._orders.redrive, "discard": self._orders.discard}
        return job_record(moves[action](identity, HAND))

    def move_all(self, action: str, kind: str | None) -> int:
        moves = {"redrive": self._orders.redrive_all, "discard": self._orders.discard_all}
        return moves[action](kind, HAND)

    def ask(self, order: Order) -> JobRecord:
        if order.kind == "transfer":
            return asked_job(self._orders.send_now(order.payload["target"], HAND))
        return asked_job(self._orders.ask(order.kind, order.payload, HAND))

    def preview(self) -> ReclaimPreview:
        return reclaim_preview(self._orders.preview_reclaim())

    def target(self, name: str) -> TargetRecord:
        if name not in self._settings.archive:
            raise UnknownTarget(repr(name[:40]))
        policy = self._document().archive.policy(name)
        return target_record(
            self._settings.archive[name], policy, self._archive.target(name), self._archive.backlog(name)
        )

    def backups(self) -> list[BackupRecord]:
        made = backup.made_in(self._held.data_dir / BACKUPS)
        return [record for path in made if (record := backup_record(path))]

    def videos(self, camera: str | None, shoot: str | None, *, removed: bool, limit: int) -> list[VideoRecord]:
        found = self._videos.page(camera=camera, shoot=shoot, removed=removed, limit=limit)
        return [video_record(each) for each in found]

    def video(self, identity: str) -> VideoRecord:
        return whole_video(self._videos.get(identity))

    def change_video(self, identity: str, title: str | None, pinned: bool | None) -> VideoRecord:
        return whole_video(self._orders.change_video(identity, title, pinned, HAND))

    def remove_video(self, identity: str) -> VideoRecord:
        return whole_video(self._orders.remove_video(identity, HAND))

    def silent(self) -> Collection[str]:
        """None: what nobody else does is done here."""
        return ()

    @contextmanager
    def at_work(self, kind: str) -> Iterator[object]:
        """In this process, unless another one does such jobs already."""
        start = Start(self._settings, (KINDS[kind].lane,))
        with ExitStack() as stack:
            try:
                stack.enter_context(files.hold(self._held.data_dir, LOCKS[KINDS[kind].lane], WorkerHeld))
            except WorkerHeld:
                yield None
                return
            yield stack.enter_context(working(start, self._held, self._clock))
