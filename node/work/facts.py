"""Looks at everything once a second, posts what it finds on the board, and judges it."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from node.board import Board
from node.clock import US, Clock
from node.domain import health
from node.domain.errors import DiskFull, HeliographError
from node.domain.events import ClockStepped, Event, LoopFailed
from node.domain.facts import (
    CLOCK,
    CONFIG,
    DATABASE,
    DISK,
    HEALTH,
    HOST,
    LEASE,
    RELEASE,
    CameraFacts,
    ClockFacts,
    DatabaseFacts,
    DiskFacts,
    HealthFacts,
    HostFacts,
    LeaseFacts,
    LoopFacts,
    camera_key,
    gather,
    loop_key,
)
from node.domain.hold import CameraHold
from node.host import memory, release, systemd, thermal
from node.journal import Journal
from node.store.database import Database
from node.store.files import Hold
from node.store.frames import FrameReader
from node.store.leases import Leases
from node.store.ledger import HOUR_US, LedgerReader, SlotFilter
from node.work.beside import Beside
from node.work.capture import CaptureLoop
from node.work.diskwatch import DiskWatch
from node.work.holds import Holds
from node.work.live import Live, Segment
from node.work.reload import Reload

NAME = "facts"
LOOK_S = 1.0
STEP_S = 2.0
HOURS = 24
DAY_US = 86400 * US
MOST_PENDING = 1000
WATCHDOG_GRACE_S = 10.0
RETRY_S = 10.0
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Task:
    """Something looked at every so many seconds."""

    every_s: float
    act: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a task has raised so many times in a row."""

    said: str
    times: int


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the facts come from."""

    held: Hold
    clock: Clock
    database: Database
    journal: Journal
    board: Board
    live: Live
    reload: Reload
    cameras: Mapping[str, CaptureLoop]
    backends: Mapping[str, str]
    newest_event: Callable[[], int]
    beside: Beside
    holds: Holds
    leases: Leases
    release: Path
    targets: tuple[str, ...] = ()


class FactsLoop:
    """One thread.  `turn` is one look."""

    def __init__(self, sources: Sources) -> None:
        self._from = sources
        self._clock, self._board = sources.clock, sources.board
        self._frames, self._ledger = FrameReader(sources.database), LedgerReader(sources.database)
        self._disk = DiskWatch(sources.held, sources.database, sources.clock, sources.targets)
        self._bytes_per_day = 0.0
        self._held: tuple[health.Held, ...] = ()
        self._pid = os.getpid()
        self._offset_us = self._clock_offset()
        self._counts: dict[str, CameraFacts] = {}
        self._seen: dict[str, tuple[int, int, str]] = {}
        self._due_s: dict[str, float] = {}
        self._troubles: dict[str, Trouble] = {}
        self._tasks = {
            "clock": Task(LOOK_S, self._look_at_clock),
            "database": Task(LOOK_S, self._look_at_database),
            "holds": Task(LOOK_S, lambda _: sources.holds.tick()),
            "cameras": Task(LOOK_S, self._look_at_cameras),
            "config": Task(LOOK_S, self._look_at_config),
            "lease": Task(LOOK_S, self._look_at_lease),
            "release": Task(LOOK_S, self._look_at_release),
            "stock": Task(10.0, self._count_stock),
            "disk": Task(10.0, self._look_at_disk),
            "host": Task(30.0, self._look_at_host),
            "probation": Task(LOOK_S, lambda _: sources.reload.tick()),
            "health": Task(LOOK_S, self._judge),
            "upkeep": Task(600.0, self._trim),
            **{name: Task(every_s, look) for name, (every_s, look) in sources.beside.looks().items()},
        }

    def run(self, stop: threading.Event) -> None:
        """Look until stopped."""
        while not stop.is_set():
            self.turn()
            self._clock.wait(stop, LOOK_S)

    def recount(self) -> None:
        """Count anew what lies on the disk: much of it changed.  From any thread."""
        self._disk.recount()
        for name in ("stock", "disk"):
            self._due_s.pop(name, None)

    def turn(self) -> None:
        """Everything whose time has come; one task that raises does not keep the others from being done."""
        now_s = self._clock.monotonic()
        for name, task in self._tasks.items():
            if now_s >= self._due_s.get(name, now_s):
                self._guarded(name, task)
                every_s = min(task.every_s, RETRY_S) if name in self._troubles else task.every_s
                self._due_s[name] = now_s + every_s
        self._post(loop_key(NAME), self._pulse, self._clock.now_us(), now_s)
        self._feed_watchdog()

    def _guarded(self, name: str, task: Task) -> None:
        """The loop's boundary.  A task that goes on failing is told of once; others that begin to fail are too."""
        try:
            task.act(self._clock.now_us())
        except Exception as error:
            before = self._troubles.get(name)
            trouble = Trouble(f"{type(error).__name__}: {error}", before.times + 1 if before else 1)
            self._troubles[name] = trouble
            if before is None:
                LOG.exception("loop failed", extra={"loop": f"{NAME}/{name}"})
                self._tell(LoopFailed(f"{NAME}/{name}", trouble.said, trouble.times))
        else:
            self._troubles.pop(name, None)

    def _pulse(self) -> LoopFacts:
        times = max((trouble.times for trouble in self._troubles.values()), default=0)
        said = "; ".join(f"{name}: {trouble.said}" for name, trouble in self._troubles.items())
        return LoopFacts(NAME, LOOK_S, times, said)

    def _post(self, name: str, look: Callable[[], object], now_us: int, began_s: float | None = None) -> None:
        """What a look finds, with what it cost since `began_s` (monotonic; None = now)."""
        began_s = self._clock.monotonic() if began_s is None else began_s
        found = look()
        took_ms = round((self._clock.monotonic() - began_s) * 1000, 1)
        self._board.post(name, found, now_us, took_ms=took_ms)

    def _tell(self, *events: Event) -> None:
        try:
            self._from.journal.note(events)
        except HeliographError as error:  # as likely as not, the database is what failed
            LOG.warning("event was not recorded", extra={"error": str(error)})

    # --- one look each --------------------------------------------------------------------------------------

    def _clock_offset(self) -> int:
        return self._clock.now_us() - int(self._clock.monotonic() * US)

    def _look_at_clock(self, now_us: int) -> None:
        offset_us = self._clock_offset()
        step_us, self._offset_us = offset_us - self._offset_us, offset_us
        self._post(CLOCK, lambda: ClockFacts(self._clock.synced()), now_us)
        if abs(step_us) >= STEP_S * US:
            for loop in self._from.cameras.values():
                loop.wake()
            self._tell(ClockStepped(round(step_us / US, 3)))

    def _look_at_disk(self, now_us: int) -> None:
        stepped: list[Event] = []

        def look() -> DiskFacts:
            facts, event = self._disk.look(document, self._bytes_per_day, self._refused())
            stepped.extend([event] if event else [])
            return facts

        document = self._from.live.current.document
        self._post(DISK, look, now_us)
        if stepped:
            self._tell(*stepped)

    def _refused(self) -> str:
        """What a frame met below the data folder; a full disk is a condition of its own."""
        codes = (loop.refused_code for loop in self._from.cameras.values())
        return next((code for code in codes if code and code != DiskFull.code), "")

    def _count_stock(self, now_us: int) -> None:
        """What asks the database: a look at the disk must not depend on it.

        Bytes a day are those of the next day's slots at the mean size of the newest frames.
        """
        calendar, mean_bytes = self._from.live.current.calendar, self._frames.mean_bytes() or 0.0
        slots = sum(calendar.count(name, now_us, now_us + DAY_US) for name in self._from.cameras)
        self._bytes_per_day = slots * mean_bytes
        self._disk.count(self._from.live.current.document.retention.receipts_needed)

    def _look_at_host(self, now_us: int) -> None:
        self._post(HOST, self._host, now_us)

    def _host(self) -> HostFacts:
        pss = sum(share.pss_bytes for share in memory.shares(self._pid)) or None
        return HostFacts(memory.available_bytes(), pss, thermal.temperature_c())

    def _look_at_database(self, now_us: int) -> None:
        self._post(DATABASE, self._database, now_us)

    def _database(self) -> DatabaseFacts:
        database = self._from.database
        unrecorded = sum(loop.unrecorded for loop in self._from.cameras.values())
        return DatabaseFacts(
            error_code=next((loop.trouble for loop in self._from.cameras.values() if loop.trouble), ""),
            unrecorded=unrecorded,
            queue=database.waiting,
            wal_bytes=database.wal_bytes(),
            last_event_id=self._from.newest_event(),
        )

    def _look_at_config(self, now_us: int) -> None:
        self._post(CONFIG, self._from.reload.facts, now_us)

    def _look_at_lease(self, now_us: int) -> None:
        self._post(LEASE, self._lease, now_us)

    def _lease(self) -> LeaseFacts:
        lease = self._from.leases.settle()
        return LeaseFacts(lease.owner, lease.message, lease.until_us) if lease else LeaseFacts()

    def _look_at_release(self, now_us: int) -> None:
        self._post(RELEASE, lambda: release.last_change(self._from.release), now_us)

    def _look_at_cameras(self, now_us: int) -> None:
        for name, loop in self._from.cameras.items():
            self._post(camera_key(name), partial(self._camera, name, loop, now_us), now_us)

    def _camera(self, name: str, loop: CaptureLoop, now_us: int) -> CameraFacts:
        """What the database says of the day, with what the loop and the calendar say of this moment."""
        segment, state = self._from.live.current, loop.camera_state
        counted = self._counted(name, segment.calendar.date_of(now_us).isoformat(), now_us)
        hold, expected_us = self._from.holds.current(name), self._expected_since(segment, name, now_us)
        size = state.capabilities
        return replace(
            counted,
            word=state.word,
            word_since_us=state.since_us,
            enabled=segment.document.camera(name).enabled,
            backend=self._from.backends[name],
            width=size.width if size else None,
            height=size.height if size else None,
            interval_s=None if expected_us is None else segment.calendar.interval_s(name, now_us),
            expected_since_us=expected_us,
            next_due_us=self._next_due(name, hold, max(now_us, loop.settled_us)),
            due=counted.due + self._pending(name, loop.settled_us, now_us),
            settled_to_us=loop.settled_us,
            recovery_rung=state.rung,
            recovery_attempt=state.attempt,
            error_code=state.error_code or "",
            worker_pid=state.worker_pid,
            **_held(hold),
        )

    def _next_due(self, name: str, hold: CameraHold | None, after_us: int) -> int | None:
        """The next slot that is to be taken; None while a hold has no end."""
        if hold is not None and hold.until_us is None:
            return None
        due = self._from.live.next_due(name, max(after_us, hold.until_us - 1) if hold and hold.until_us else after_us)
        return due.slot.due_us if due else None

    def _pending(self, name: str, settled_us: int, now_us: int) -> int:
        """Slots that are due and not settled yet: one while a shot is under way, more when the loop hangs."""
        return sum(1 for _ in islice(self._from.live.due(name, settled_us, now_us), MOST_PENDING))

    def _expected_since(self, segment: Segment, name: str, now_us: int) -> int | None:
        """Since when frames are expected without a break.

        A camera that is held is expected idle, and goes on being so until its first slot after that.
        """
        since_us, hold = self._asked_since(segment, name, now_us), self._from.holds.latest(name)
        if since_us is None or hold is None:
            return since_us
        if hold.lasts(now_us) or hold.end_us is None:
            return None
        if hold.end_us <= since_us:
            return since_us
        first = segment.calendar.next_due(name, hold.end_us - 1)
        return first.slot.due_us if first is not None and first.slot.due_us <= now_us else None

    def _asked_since(self, segment: Segment, name: str, now_us: int) -> int | None:
        """Since when its schedules ask for frames without a break, as far as today's windows tell."""
        windows = sorted(
            (each.start_us, each.end_us) for each in segment.calendar.occurrences(name, now_us - DAY_US, now_us + 1)
        )
        since: int | None = None
        until = -1
        for start_us, end_us in windows:
            since = start_us if since is None or start_us > until else since
            until = max(until, end_us)
        return since if until > now_us else None

    def _counted(self, name: str, day: str, now_us: int) -> CameraFacts:
        """From the database, and only where it has moved since the last look."""
        version, hour = self._from.database.data_version(), now_us // HOUR_US
        key = (version, hour, day)
        if self._seen.get(name) == key:
            return self._counts[name]
        day_row = next(iter(self._ledger.days(camera=name, since=day, until=day)), None)
        latest, good = self._frames.latest(name), self._frames.latest(name, good=True)
        gap = next(iter(self._ledger.slots(SlotFilter(camera=name, gaps=True), limit=1)), None)
        scores = self._ledger.hour_scores(name, (hour - HOURS + 1) * HOUR_US)
        self._counts[name] = CameraFacts(
            name=name,
            last_good_us=good.captured_us if good else None,
            last_frame_id=latest.id if latest else None,
            due=day_row.due if day_row else 0,
            captured=day_row.captured if day_row else 0,
            gaps=day_row.gaps if day_row else 0,
            last_gap_reason=gap.reason if gap else None,
            last_gap_us=gap.slot.due_us if gap else None,
            quality=latest.score if latest else None,
            quality_24h=tuple(scores.get((hour - back) * HOUR_US) for back in range(HOURS - 1, -1, -1)),
        )
        self._seen[name] = key
        return self._counts[name]

    # --- what follows from it -----------------------------------------------------------------------------------

    def _judge(self, now_us: int) -> None:
        """Alerts from conditions that last; the log hears of each when it begins and when it ends."""
        limits = self._from.live.current.document.alerts
        found = health.conditions(gather(self._board.all().values()), limits, now_us)
        stepped = health.step(self._held, found, now_us, limits.hold_down_s)
        self._held = stepped.held
        self._board.post(HEALTH, HealthFacts(stepped.alerts), now_us)
        if stepped.events:
            self._tell(*stepped.events)

    def _trim(self, now_us: int) -> None:
        """What the node forgets by itself."""
        limits = self._from.live.current.document.retention
        self._from.journal.trim_events(now_us - round(limits.events_days * DAY_US), limits.events_rows)
        complete_us = min((loop.complete_us for loop in self._from.cameras.values()), default=now_us)
        self._from.journal.prune_configs(limits.config_versions, complete_us)
        self._from.live.forget_before(complete_us)
        self._from.holds.forget_before(complete_us)

    def _feed_watchdog(self) -> None:
        """Fed by progress: a loop that is past its own promise starves it."""
        facts, now_us = gather(self._board.all().values()), self._clock.now_us()
        if not any(health.is_silent(pulse, now_us, WATCHDOG_GRACE_S) for pulse in facts.loops):
            systemd.notify(systemd.ALIVE)


def _held(hold: CameraHold | None) -> dict[str, Any]:
    if hold is None:
        return {}
    return {
        "held_us": hold.from_us,
        "held_until_us": hold.until_us,
        "held_reason": hold.reason,
        "held_by": hold.who,
    }
