"""What `run` sees of the work beside it: pulses of the other processes, the queue, the archive's targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from node.board import Board
from node.clock import US, Clock
from node.domain import backlog
from node.domain.backlog import Mark, kept
from node.domain.config import Document
from node.domain.facts import (
    ARCHIVE,
    QUEUE,
    ArchiveFacts,
    BreakerWord,
    QueueFacts,
    TargetFacts,
    WorkerFacts,
    target_key,
    worker_key,
)
from node.domain.job import LANE_LOOPS, Lane
from node.host import pulse
from node.host.pulse import Pulse
from node.store.archive_reader import ArchiveReader
from node.store.database import Database
from node.store.jobs import JobReader
from node.store.ledger import LedgerReader

QUEUE_EVERY_S, PULSES_EVERY_S, ARCHIVE_EVERY_S = 2.0, 1.0, 60.0
MOST_LATE = 3
_BREAKERS: Mapping[str, BreakerWord] = {"closed": "closed", "open": "open", "half_open": "half_open"}


@dataclass(frozen=True, slots=True)
class Beside:
    """Each look posts what it finds.  The ship process is expected where there are targets to send to.

    `marks` are what the targets' pace is known by.
    """

    database: Database
    board: Board
    clock: Clock
    run_dir: Path
    targets: tuple[str, ...]
    document: Callable[[], Document]
    marks: dict[str, tuple[Mark, ...]] = field(default_factory=dict)

    def looks(self) -> Mapping[str, tuple[float, Callable[[int], None]]]:
        """By name: how often, and what is to be called with the UTC microseconds of now."""
        return {
            "workers": (PULSES_EVERY_S, self.look_at_workers),
            "queue": (QUEUE_EVERY_S, self.look_at_queue),
            "targets": (QUEUE_EVERY_S, self.look_at_targets),
            "archive": (ARCHIVE_EVERY_S, self.look_at_archive),
        }

    def look_at_workers(self, now_us: int) -> None:
        """A process is as fresh as the most overdue of its loops."""
        for lane in ("work", "ship") if self.targets else ("work",):
            pulses = [pulse.read(self.run_dir, loop) for loop in LANE_LOOPS[lane]]
            self.board.post(worker_key(lane), self._worker(lane, pulses, now_us), now_us)

    def _worker(self, lane: Lane, pulses: list[Pulse | None], now_us: int) -> WorkerFacts:
        heard = [each for each in pulses if each is not None]
        if not heard or pulses[0] is None:
            return WorkerFacts(lane)
        worst = min(heard, key=lambda each: each.at_s + each.promise_s)
        age_us = round((self.clock.monotonic() - worst.at_s) * US)
        return WorkerFacts(lane, now_us - age_us, worst.promise_s, worst.pid, pulses[0].job)

    def look_at_queue(self, now_us: int) -> None:
        limits = self.document().alerts
        held = frozenset(("transfer", name) for name in self.targets if self._archive().target(name).breaker == "open")
        depth = JobReader(self.database).depth(now_us, limits.job_stuck_s, held)
        late = LedgerReader(self.database).late_shoots(now_us, limits.video_limit_s)
        facts = QueueFacts(
            due=sum(depth.due.values()),
            running=len(depth.running),
            stuck=depth.stuck,
            dead=depth.dead,
            oldest_us=depth.oldest_us,
            late_shoots=tuple(shoot.shoot for shoot in late[:MOST_LATE]),
        )
        self.board.post(QUEUE, facts, now_us)

    def look_at_targets(self, now_us: int) -> None:
        for name in self.targets:
            self.board.post(target_key(name), self._target(name), now_us)

    def look_at_archive(self, now_us: int) -> None:
        self.board.post(ARCHIVE, ArchiveFacts(self._archive().held_nowhere()), now_us)

    def _target(self, name: str) -> TargetFacts:
        row, waiting = self._archive().target(name), self._archive().backlog(name)
        now = Mark(self.clock.monotonic(), row.sent_bytes, waiting.size_bytes)
        self.marks[name] = kept(self.marks.get(name, ()), now)
        pace = backlog.pace(self.marks[name], now)
        return TargetFacts(
            name=name,
            breaker=_BREAKERS[row.breaker],
            unsent=waiting.count,
            unsent_bytes=waiting.size_bytes,
            oldest_us=waiting.oldest_us,
            error_code=row.last_error_code,
            last_ok_us=row.last_ok_us,
            last_failed_us=row.last_failed_us,
            failures=row.failures,
            backlog_eta_s=pace.eta_s,
            outgrown=pace.outgrown,
        )

    def _archive(self) -> ArchiveReader:
        return ArchiveReader(self.database)
