"""The composition root of `heliograph-node work` and `ship`: jobs of their lanes, and what they look at in between."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from node import log
from node.archive.base import Where
from node.clock import Clock, SystemClock
from node.domain.config import Document
from node.domain.errors import (
    INTERNAL,
    DatabaseError,
    DirectoryMissing,
    DiskError,
    DiskFull,
    InternalError,
    WorkerHeld,
)
from node.domain.job import LANE_LOOPS, Lane
from node.domain.nodefile import NodeFile, RsyncTarget
from node.holdings import Holdings
from node.host import pulse, systemd
from node.host.credentials import file_of
from node.host.pulse import Pulse
from node.jobs import Jobs
from node.journal import Journal
from node.store import files
from node.store.archive_reader import ArchiveReader
from node.store.ballast import Ballast
from node.store.database import NAME, Database
from node.work import backups, shipping, upkeep
from node.work.backups import BackupRounds
from node.work.dock import Dock
from node.work.document import RunningDocument
from node.work.reclaim import Ground, Reclaimer
from node.work.rendering import Rendering, Studio
from node.work.rounds import Round, Rounds
from node.work.task import Desk, Handler
from node.work.thumbs import Darkroom, Thumbnails, ThumbRounds
from node.work.triggers import TriggerRounds
from node.work.worker import Rules, Worker

LOCKS: Mapping[Lane, str] = {"work": "lock-work", "ship": "lock-ship"}
SCRATCH = "scratch"
WAIT_S, LOOK_S = 2.0, 0.5
JOIN_S = 25.0
WATCHDOG_GRACE_S = 10.0
ROOM_EVERY_S = 10.0
LOG = logging.getLogger(__name__)


class ThreadsHang(InternalError):
    """Only the end of the process ends them."""


@dataclass(frozen=True, slots=True)
class Start:
    """How it is started: node.yml, and the lanes whose jobs it does."""

    settings: NodeFile
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, slots=True)
class Bench:
    """What every lane works with."""

    settings: NodeFile
    data: files.Hold
    run_dir: Path
    clock: Clock
    database: Database
    journal: Journal
    jobs: Jobs
    document: Callable[[], Document]


@dataclass(frozen=True, slots=True)
class Crew:
    """One lane: its handlers, which jobs wait, and what is looked at in between."""

    handlers: Mapping[str, Handler]
    rules: Rules
    rounds: Mapping[str, Round]


def run(start: Start) -> int:
    """Until SIGTERM or SIGINT; without a database that it can join it waits for one.  Returns the exit status.

    Raises WorkerHeld, DirectoryMissing, CredentialMissing.
    """
    log.start(start.settings.log_level, node=start.settings.node.id)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if "ship" in start.lanes:
        check_credentials(start.settings)
    with ExitStack() as stack:
        hold = _take_folders(start, stack)
        systemd.notify(systemd.READY)  # it may wait for a database as long as that takes
        while not stop.is_set():
            _work(start, hold, stop)
        systemd.notify(systemd.STOPPING)
    return 0


def check_credentials(settings: NodeFile) -> None:
    """Raises CredentialMissing: sending would only fail, again and again."""
    for target in settings.archive.values():
        if isinstance(target, RsyncTarget):
            file_of(target.key)
            file_of(target.known_hosts)


def _take_folders(start: Start, stack: ExitStack) -> files.Hold:
    """The locks of its lanes, and the folder for scratch."""
    data = Path(start.settings.paths.data)
    held = [stack.enter_context(files.hold(data, LOCKS[lane], WorkerHeld)) for lane in start.lanes]
    try:
        Path(start.settings.paths.run).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DirectoryMissing(f"{start.settings.paths.run}: {error.strerror}") from error
    return held[0]


def _work(start: Start, hold: files.Hold, stop: threading.Event) -> None:
    """Until stopped, or until the service wants to put another database in the place of this one."""
    try:
        with working(start, hold, SystemClock(trusted=start.settings.clock.trusted)) as at_work:
            systemd.notify(systemd.status(f"does the jobs of {' and '.join(start.lanes)}"))
            while not (stop.wait(LOOK_S) or at_work.database.unwanted()):
                at_work.feed_watchdog()
    except ThreadsHang as error:  # it may wake up at any time: no other crew may work beside it
        LOG.error("threads hang", extra={"error": str(error)})  # noqa: TRY400 - whose trace says nothing
        os._exit(INTERNAL)
    except (DatabaseError, DiskError) as error:
        LOG.warning("waiting", extra={"error": str(error)})
        systemd.notify(systemd.ALIVE, systemd.status(f"waits: {error}"))
        if isinstance(error, DiskFull):  # not even a row of its own can be written
            Ballast(hold.data_dir).give_up()
        stop.wait(WAIT_S)


class Pulses:
    """The last pulse of each loop of this process, for its watchdog; the files are for the service."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._last: dict[str, Pulse] = {}

    def feel(self, loop: str, felt: Pulse) -> None:
        self._last[loop] = felt
        pulse.write(self._run_dir, loop, felt)

    def kept(self, now_s: float) -> bool:
        """Whether no loop is past its own promise."""
        return all(now_s <= each.at_s + each.promise_s + WATCHDOG_GRACE_S for each in self._last.copy().values())


@dataclass(frozen=True, slots=True)
class AtWork:
    """What the main thread looks after meanwhile."""

    database: Database
    clock: Clock
    pulses: Pulses

    def feed_watchdog(self) -> None:
        """Fed by progress: a loop that is past its own promise starves it."""
        if self.pulses.kept(self.clock.monotonic()):
            systemd.notify(systemd.ALIVE)


@contextmanager
def working(start: Start, hold: files.Hold, clock: Clock) -> Iterator[AtWork]:
    """Every lane at work, each in threads of its own; everything is stopped in order at the end.

    Raises ThreadsHang at the end, when all is closed that could be: then the process has to end, too.
    """
    with ExitStack() as stack:
        bench = _bench(start, hold, clock, stack)
        stop, pulses = threading.Event(), Pulses(bench.run_dir)
        desks = [_manned(lane, bench, stop, pulses) for lane in start.lanes]
        for loop in (loop for lane in start.lanes for loop in LANE_LOOPS[lane]):
            stack.callback(pulse.end, bench.run_dir, loop)
        stack.callback(_end, desks, stop)
        for thread in (thread for desk in desks for thread in desk.threads):
            thread.start()
        LOG.info("working", extra={"lanes": list(start.lanes)})
        yield AtWork(bench.database, clock, pulses)


def _bench(start: Start, hold: files.Hold, clock: Clock, stack: ExitStack) -> Bench:
    database = Database.join(hold.data_dir / NAME)
    stack.callback(database.close)
    document = RunningDocument(database)
    journal = Journal(database, clock)
    jobs = Jobs(journal, lambda: document().jobs.retry_s)
    run_dir = Path(start.settings.paths.run)
    return Bench(start.settings, hold, run_dir, clock, database, journal, jobs, document)


@dataclass(frozen=True, slots=True)
class _Manned:
    """A lane with the threads that serve it."""

    worker: Worker
    threads: tuple[threading.Thread, ...]


def _manned(lane: Lane, bench: Bench, stop: threading.Event, pulses: Pulses) -> _Manned:
    crew = CREWS[lane](bench)
    scratch = bench.data.data_dir / SCRATCH / lane
    of_jobs, of_rounds = LANE_LOOPS[lane]
    say, hum = (partial(pulses.feel, loop) for loop in (of_jobs, of_rounds))
    rules = replace(crew.rules, check=bench.data.check)
    worker = Worker(Desk(bench.jobs, bench.clock, say), crew.handlers, scratch, rules)
    rounds = Rounds(lane, crew.rounds, bench.journal, bench.clock, hum)
    loops = ((of_jobs, worker.run), (of_rounds, rounds.run))
    return _Manned(worker, tuple(threading.Thread(target=run, args=(stop,), name=name, daemon=True)
                                 for name, run in loops))  # fmt: skip


def _end(manned: Sequence[_Manned], stop: threading.Event) -> None:
    """A job that does not end in its time is given back; its thread goes with the process.  Raises ThreadsHang."""
    stop.set()
    until_s, hung = time.monotonic() + JOIN_S, list[str]()
    for lane in manned:
        for thread in lane.threads:
            thread.join(max(0.0, until_s - time.monotonic()))
        alive = [thread.name for thread in lane.threads if thread.is_alive()]
        if alive:
            lane.worker.abandon()
        hung += alive
    if hung:
        raise ThreadsHang(f"did not end within {JOIN_S:g} s: {', '.join(hung)}")


# --- lanes ----------------------------------------------------------------------------------------------------------


def _shippers(bench: Bench) -> Crew:
    where = Where(bench.settings.node.id, bench.data.data_dir, bench.run_dir, bench.clock)
    holdings, reader = Holdings(bench.journal), ArchiveReader(bench.database)
    dock = Dock(bench.settings.archive, bench.document, where, holdings, reader)
    rounds = shipping.ShipRounds(dock, bench.jobs)
    looks = {name: Round(1.0, look) for name, look in rounds.looks().items()}
    return Crew(shipping.handlers(dock), Rules(held=rounds.held), looks)


def _makers(bench: Bench) -> Crew:
    journal, data, cameras = bench.journal, bench.data.data_dir, tuple(bench.settings.cameras)
    reclaimer = Reclaimer(Ground(bench.data, journal, bench.clock, bench.document, tuple(bench.settings.archive)))
    rendering = Rendering(Studio(journal, data, bench.document))
    thumbnails = Thumbnails(Darkroom(bench.database, data, bench.document))
    handlers: Mapping[str, Handler] = {
        "render": rendering,
        "thumbnail": thumbnails.make,
        "thumbnail-repair": thumbnails.repair,
        **backups.handlers(journal, bench.document),
        **upkeep.handlers(reclaimer, bench.jobs),
    }
    rounds = {
        "room": Round(ROOM_EVERY_S, reclaimer.turn),
        "triggers": Round(1.0, TriggerRounds(journal, cameras, bench.document).turn),
        "thumbnails": Round(1.0, ThumbRounds(journal, cameras, bench.document).turn),
        "backups": Round(60.0, BackupRounds(journal, bench.document).turn),
    }
    rendering.sweep()
    return Crew(handlers, Rules(derivatives=lambda: reclaimer.derivatives), rounds)


CREWS: Mapping[Lane, Callable[[Bench], Crew]] = {"work": _makers, "ship": _shippers}
