"""The composition root of `heliograph-node run`: builds each part once, starts loops in order, stops in reverse."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import TimeoutError as NoAnswer
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from node import __version__, log
from node.api.access import Access
from node.api.app import build
from node.api.commands import Activated, Caller, CameraPreview, Commands, ConfigPreview
from node.api.local import ADDRESS_FILE, OwnToken
from node.api.parts import ApiParts
from node.api.server import Server
from node.board import Board
from node.camera.base import CameraConfig
from node.camera.link import ProcessLink
from node.camera.replay import check_folders
from node.camera.supervisor import Supervisor
from node.clock import US, Clock, SystemClock
from node.domain import access
from node.domain.certificate import Validity
from node.domain.config import digest, parse_document
from node.domain.errors import (
    CameraTimeout,
    CredentialMissing,
    DatabaseError,
    DirectoryMissing,
    DiskError,
    DiskFull,
    FieldFault,
    HeliographError,
    RequestInvalid,
    TlsUnusable,
    UnknownCamera,
)
from node.domain.events import (
    AccessRefused,
    Event,
    FramesReclaimed,
    FramesRestored,
    ServiceStarted,
    ServiceStopped,
    TlsRefused,
    TlsReloaded,
    restore,
)
from node.domain.facts import ACCESS, CERTIFICATE, IDENTITY, CertificateFacts, IdentityFacts
from node.domain.frame import Frame
from node.domain.lease import Lease, Wish
from node.domain.nodefile import NodeFile, Paths
from node.domain.retention import Preview
from node.host import systemd
from node.hub import Hub
from node.jobs import Jobs
from node.journal import Held, Journal
from node.metrics import Metrics
from node.settings import load_document_file
from node.store import files
from node.store.ballast import Ballast
from node.store.configs import VersionBook
from node.store.frames import FrameReader
from node.store.leases import Leases
from node.store.ledger import LedgerReader
from node.store.log import Actor, Change, EventReader, EventRow
from node.store.replace import open_sound
from node.work.beside import Beside
from node.work.capture import CaptureLoop, Equipment, Shared
from node.work.facts import FactsLoop, Sources
from node.work.follower import Follower, Source
from node.work.holds import Holds
from node.work.judge import Judge
from node.work.keeping import Keeper
from node.work.live import Compiler, Segment
from node.work.orders import Orders, Reach
from node.work.rebuild import recover
from node.work.reclaim import Ground, Reclaimer
from node.work.reload import Cameras, Outcome, Reload
from node.work.usual import Usual

Answer = TypeVar("Answer")

BASELINE = "baseline"
FREE_S = 20.0
LOOK_S = 0.5
LIGHT_US = 600 * US
FULL_DISK_S = 10.0
ROUND_S, JOIN_S = 1.5, 1.0
RECOUNTED = (FramesReclaimed.kind, FramesRestored.kind)
"""Events after which the count of what lies on the disk is out of date."""
BY_SIGNAL = Caller("sighup", "admin", "local", "")
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """How the service is started: node.yml, the document for a first start and its file, where to say it is ready."""

    settings: NodeFile
    document: Mapping[str, Any] | None = None
    ready_file: Path | None = None
    document_file: Path | None = None


def run(start: Start) -> int:
    """Until SIGTERM or SIGINT.  Raises what keeps it from starting, but for a full disk: that it waits for.

    At SIGHUP the files of TLS and the document's are read again.

    Returns the exit status.
    """
    log.start(start.settings.log_level, node=start.settings.node.id)
    stop, again = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, lambda *_: again.set())
    while True:
        try:
            with running(start, _clock(start)) as service:
                while not stop.wait(LOOK_S):
                    # a signal that the kernel gave to another thread (after a freeze, say) does not end this wait
                    service.read_again(again)
        except DiskFull as error:  # not even the database has room: begin when there is some again
            LOG.warning("waiting for room on the data disk", extra={"error": str(error)})
            systemd.notify(systemd.status(str(error)), systemd.more_time(2 * FULL_DISK_S))
            freed = Ballast(Path(start.settings.paths.data)).give_up()
            if stop.wait(0.0 if freed else FULL_DISK_S):
                return error.exit
        else:
            return 0


@contextmanager
def running(start: Start, clock: Clock) -> Iterator[Service]:
    """The service, ready; everything is stopped in reverse order at the end."""
    check_folders(start.settings.replay_folders())
    with ExitStack() as stack:
        held = _take_folders(start.settings.paths, stack)
        service = Service(start, held, clock, stack)
        service.start()
        yield service
        systemd.notify(systemd.STOPPING)


def capture_once(start: Start, camera: str, profile: str) -> Frame:
    """One commanded shot without the service.  Raises DirectoryHeld where it runs, CameraError, RequestInvalid."""
    check_folders(start.settings.replay_folders())
    with ExitStack() as stack:
        held = _take_folders(start.settings.paths, stack)
        service = Service(start, held, _clock(start), stack)
        return service.shoot_alone(camera, profile)


def _take_folders(paths: Paths, stack: ExitStack) -> files.Hold:
    """The data folder, for this process alone, and the folder for scratch."""
    held = stack.enter_context(files.hold(Path(paths.data)))
    try:
        Path(paths.run).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DirectoryMissing(f"{paths.run}: {error.strerror}") from error
    return held


class Service:
    """The parts of one running node.  `stack` undoes in reverse what was started."""

    def __init__(self, start: Start, held: files.Hold, clock: Clock, stack: ExitStack) -> None:
        self._start, self._held, self._clock, self._stack = start, held, clock, stack
        self._stop = threading.Event()
        settings = start.settings
        self._data, self._run_dir = held.data_dir, Path(settings.paths.run)
        self.board = Board()
        self.hub: Hub[EventRow] = Hub()
        names, live = (tuple(settings.cameras), tuple(settings.archive)), {"streams_open": self.hub.count}
        self.metrics = Metrics(self.board.all, clock.now_us, *names, live=live)
        self.database = open_sound(self._data, clock.now_us(), self._observe_write)
        stack.callback(self.database.close)
        self.journal = Journal(self.database, clock)
        self._events = EventReader(self.database)
        self.reload = self._reload()
        self.holds = Holds(self.journal)
        self.leases = Leases(self._data, clock)
        self._supervisors: dict[str, Supervisor] = {}
        self.loops = {name: self._loop_of(name) for name in settings.cameras}
        self.follower = self._follower()
        self.facts = FactsLoop(self._sources())
        self.orders = self._orders()
        self._own_token = OwnToken()
        self._file_digest = "" if start.document is None else digest(start.document)
        self.server = self._server()
        self._threads: list[threading.Thread] = []
        self._why_stopped = "did not start"

    # --- start and stop ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """In order: who follows, what a crash left, cameras, judgement, the door."""
        settings, version = self._start.settings, self.reload.live.current
        self.follower.begin()
        self.follower.start()
        self._stack.callback(self.follower.stop)
        self.board.post(
            IDENTITY, IdentityFacts(settings.node.id, __version__, self._clock.now_us()), self._clock.now_us()
        )
        given = self.reload.facts()
        self.journal.note([ServiceStarted(__version__, version.version, given.digest, self.database.clean)])
        self._stack.callback(self._say_stopped)
        self.journal.release_unanswered()
        self.journal.begin_ledgers(tuple(self.loops))
        recover(self._data, self.journal, FrameReader(self.database))
        self._stack.callback(self._end_rounds)
        ledger = LedgerReader(self.database)
        for name, loop in self.loops.items():
            loop.resume(ledger)
            self._thread(_thread_name(name), loop.run)
        self.reload.begin(self._cameras())
        self._thread("facts", self.facts.run)
        self._stack.callback(self._own_token.write(self._run_dir).unlink, missing_ok=True)
        self.server.start()
        self._post_certificate(self.server.certificate)
        self._stack.callback(self.server.stop)
        self._stack.callback(self._end_rounds)  # before the door is shut: whoever waits for a shot is answered
        self._say_ready()

    def _thread(self, name: str, act: Callable[[threading.Event], None]) -> None:
        thread = threading.Thread(target=act, args=(self._stop,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _end_rounds(self) -> None:
        """Loops end their round; a worker that hangs, or exposes for long, does not keep them."""
        self._stop.set()
        self._wake()
        self._join(ROUND_S)
        running = {thread.name for thread in self._threads if thread.is_alive()}
        for name, supervisor in self._supervisors.items():
            if _thread_name(name) in running:
                supervisor.abort()
        self._join(JOIN_S)

    def _join(self, within_s: float) -> None:
        until_s = self._clock.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, until_s - self._clock.monotonic()))

    def _say_stopped(self) -> None:
        self._tell(ServiceStopped(self._why_stopped))

    def _say_ready(self) -> None:
        said = {"port": self.server.port, "url": self.server.url, "pid": os.getpid()}
        for path in (self._run_dir / ADDRESS_FILE, self._start.ready_file):
            if path is not None:
                files.replace_atomic(path, json.dumps(said).encode())
                self._stack.callback(path.unlink, missing_ok=True)
        systemd.notify(systemd.READY, systemd.status(f"serving at {self.server.url}"))
        self._why_stopped = "stopped by signal"
        LOG.info("ready", extra=said)

    # --- read again ---------------------------------------------------------------------------------------------

    def read_again(self, asked: threading.Event) -> None:
        """Where that was asked for: what of node.yml's files and the document's file may change under a service."""
        if asked.is_set():
            asked.clear()
            self._read_tls()
            self._read_document()

    def _read_tls(self) -> None:
        try:
            validity = self.server.reload_tls()
        except (TlsUnusable, CredentialMissing) as error:
            self._tell(TlsRefused(error.code, error.detail))
            return
        if validity is not None:
            self._post_certificate(validity)
            self._tell(TlsReloaded(validity.until_us))

    def _post_certificate(self, validity: Validity | None) -> None:
        if validity is not None:
            self.board.post(CERTIFICATE, CertificateFacts(validity.from_us, validity.until_us), self._clock.now_us())

    def _read_document(self) -> None:
        """As `PUT` would, where the file has changed since it was read: what came by another way since then stays."""
        if self._start.document_file is None:
            return
        try:
            document = load_document_file(self._start.document_file)
            if digest(document) != self._file_digest:
                self._put_config(document, self.reload.facts().version, BY_SIGNAL)
                self._file_digest = digest(document)
        except HeliographError as error:
            said = {"error": str(error), "fields": [f"{each.path}: {each.message}" for each in error.fields]}
            LOG.warning("the document's file was not taken", extra=said)

    def _tell(self, event: Event) -> None:
        """A database that does not take the word keeps nobody from anything."""
        try:
            self.journal.note([event])
        except (DatabaseError, DiskError) as error:
            LOG.warning("event was not recorded", extra={"error": str(error), **event.body()})

    def shoot_alone(self, camera: str, profile: str) -> Frame:
        """A shot in this thread, for a command that runs without the loops."""
        loop = self._loop(camera)
        document = self.reload.live.current.document
        if profile != "auto" and profile not in document.profiles:
            raise RequestInvalid(fields=[FieldFault("profile", "no such profile in the document", profile)])
        try:
            return loop.shoot_now(profile)
        finally:
            loop.close()

    # --- parts ------------------------------------------------------------------------------------------------

    def _observe_write(self, name: str, seconds: float) -> None:
        self.metrics.observe("database_write_seconds", seconds, name)

    def _reload(self) -> Reload:
        settings = self._start.settings
        compiler = Compiler(
            settings.node.id, tuple(settings.cameras), settings.simulation.sun_factor, settings.simulation.sun_from_us
        )
        book = VersionBook(self.database)
        if self._start.document is not None and not book.begun():
            compiler.check(self._start.document, self._clock.now_us())
        running = self.journal.begin_book(self._start.document).version
        if self._start.document is not None and running.digest != digest(self._start.document):
            LOG.warning("the document given is for a first start only", extra={"running_version": running.version})
        return Reload(book, self.journal, compiler, settings.probation, self._clock)

    def _loop_of(self, name: str) -> CaptureLoop:
        settings, clock = self._start.settings, self._clock
        config_of = camera_config(settings, name)

        def say(line: str) -> None:
            LOG.warning("camera worker", extra={"camera": name, "said": line})

        def supervise(busy: Callable[[float], object]) -> Supervisor:
            link = partial(ProcessLink, name, self._run_dir, clock=clock, said=say)
            supervisor = Supervisor(config_of(self.reload.live.current), clock, link, busy=busy)
            self._supervisors[name] = supervisor
            return supervisor

        equipment = Equipment(
            supervise,
            Judge(self._data / BASELINE, name),
            Keeper(settings.node.id, name, self._held, clock, self.journal),
            config_of,
        )
        return CaptureLoop(
            name,
            equipment,
            Shared(
                clock,
                self.journal,
                self.board,
                self.reload.live,
                self.reload.judged,
                self.reload.compared,
                self.reload.before_trial,
                self.reload.quality_of,
                self.reload.usual_light,
                self.holds,
            ),
        )

    def _follower(self) -> Follower:
        follower = Follower(
            Source(self._events.after, self._events.newest, self.database.data_version),
            {"metrics": self._fold, "log": self._write_line, "streams": self.hub.publish, "disk": self._recount},
            self._clock,
            self.board,
            lambda failed: self.journal.note([failed]),
        )
        self.journal.on_commit(follower.poke)
        return follower

    def _fold(self, row: EventRow) -> None:
        event = restore(row.kind, row.body)
        if event is not None:
            self.metrics.fold(event)

    def _recount(self, row: EventRow) -> None:
        if row.kind in RECOUNTED:
            self.facts.recount()

    def _write_line(self, row: EventRow) -> None:
        event = restore(row.kind, row.body)
        if event is not None:
            log.write_event(event, row.id)

    def _sources(self) -> Sources:
        return Sources(
            held=self._held,
            clock=self._clock,
            database=self.database,
            journal=self.journal,
            board=self.board,
            live=self.reload.live,
            reload=self.reload,
            cameras=self.loops,
            backends={name: camera.backend for name, camera in self._start.settings.cameras.items()},
            newest_event=lambda: self.follower.last_id,
            beside=Beside(
                self.database,
                self.board,
                self._clock,
                self._run_dir,
                tuple(self._start.settings.archive),
                lambda: self.reload.live.current.document,
            ),
            holds=self.holds,
            leases=self.leases,
            release=Path(self._start.settings.paths.release),
            targets=tuple(self._start.settings.archive),
        )

    def _api_parts(self) -> ApiParts:
        return ApiParts(
            settings=self._start.settings,
            data=self._data,
            clock=self._clock,
            board=self.board,
            hub=self.hub,
            metrics=self.metrics,
            database=self.database,
            journal=self.journal,
            document=lambda: self.reload.live.current.document,
            commands=self._commands(),
            own_token=self._own_token.token,
        )

    def _server(self) -> Server:
        parts = self._api_parts()
        door = Access(parts.commands.refused, self._clock.monotonic)
        return Server(build(parts, door), parts.settings.api, self.hub.stop, door.turned_away)

    # --- what the API may ask for -----------------------------------------------------------------------------

    def _commands(self) -> Commands:
        return Commands(
            capture=self._capture,
            restart_camera=self._restart,
            hold_camera=self._hold,
            resume_camera=self._resume,
            put_config=self._put_config,
            roll_back=self._roll_back,
            lease=self.leases.current,
            take_lease=self._take_lease,
            release_lease=self._release_lease,
            preview_config=self._preview,
            orders=self.orders,
            refused=self._note_refused,
        )

    def _orders(self) -> Orders:
        settings, targets = self._start.settings, tuple(self._start.settings.archive)
        ground = Ground(self._held, self.journal, self._clock, lambda: self.reload.live.current.document, targets)
        reach = Reach(self._data, tuple(settings.cameras), targets)
        return Orders(Jobs(self.journal), self.journal, Reclaimer(ground), reach)

    def _capture(self, camera: str, profile: str, caller: Caller) -> Frame:
        loop = self._loop(camera)
        change = Change("capture", f"camera/{camera}")
        return self._audited(change, caller, lambda: _answered(loop, lambda: loop.shoot_now(profile)))

    def _restart(self, camera: str, caller: Caller) -> None:
        loop = self._loop(camera)
        change = Change("camera restart", f"camera/{camera}")
        self._audited(change, caller, lambda: _answered(loop, loop.restart))

    def _hold(self, camera: str, reason: str, for_s: int | None, caller: Caller) -> Held:
        self._loop(camera)
        change = Change("camera hold", f"camera/{camera}")
        return self._attempted(change, caller, partial(self.holds.hold, camera, reason, for_s, _actor(caller)))

    def _resume(self, camera: str, caller: Caller) -> Held:
        self._loop(camera)
        change = Change("camera resume", f"camera/{camera}")
        return self._attempted(change, caller, partial(self.holds.resume, camera, _actor(caller)))

    def _audited(self, change: Change, caller: Caller, act: Callable[[], Answer]) -> Answer:
        """Done or failed, an action leaves its row."""
        answer = self._attempted(change, caller, act)
        self._audit(change, caller)
        return answer

    def _attempted(self, change: Change, caller: Caller, act: Callable[[], Answer]) -> Answer:
        """As `_audited`, for what leaves its row by itself once it is done."""
        try:
            return act()
        except HeliographError as error:
            self._audit(replace(change, outcome=error.code), caller)
            raise

    def _audit(self, change: Change, caller: Caller) -> None:
        """A row that cannot be written changes nothing of what was done."""
        try:
            self.journal.audit(_actor(caller), change)
        except (DatabaseError, DiskError) as error:
            said = {**asdict(change), "who": caller.name, "error": str(error)}
            LOG.warning("audit row was not written", extra=said)

    def _put_config(self, document: Mapping[str, Any], if_match: int, caller: Caller) -> Activated:
        put = partial(self.reload.put, document, if_match, _actor(caller))
        return _activated(self._attempted(Change("config put", "config"), caller, partial(self._leased, caller, put)))

    def _roll_back(self, version: int | None, caller: Caller) -> Activated:
        change = Change("config rollback", "config" if version is None else f"config/{version}")
        back = partial(self.reload.roll_back, version, _actor(caller))
        return _activated(self._attempted(change, caller, partial(self._leased, caller, back)))

    def _leased(self, caller: Caller, act: Callable[[], Answer]) -> Answer:
        """Raises LeaseHeld where another may change this node now."""
        with self.leases.respected(caller.lease):
            return act()

    def _take_lease(self, owner: str, message: str, ttl_s: int, caller: Caller) -> Lease:
        """Its renewals leave no rows: there may be hundreds."""
        change, before = Change("lease take", f"lease/{owner}"), self.leases.current()
        wish = Wish(owner, message, caller.name, ttl_s)
        lease = self._attempted(change, caller, partial(self.leases.take, wish))
        if before is None or before.owner != owner:
            self._audit(change, caller)
        return lease

    def _release_lease(self, owner: str, force: bool, caller: Caller) -> Lease | None:
        change = Change("lease release by force" if force else "lease release", f"lease/{owner}")
        released = self._attempted(change, caller, partial(self.leases.release, owner, force=force))
        if released is not None:
            self._audit(replace(change, target=f"lease/{released.owner}"), caller)
        return released

    def _preview(self, document: Mapping[str, Any]) -> ConfigPreview:
        cameras = tuple(
            CameraPreview(each.camera, each.next_due_us, each.per_day, each.per_day_now)
            for each in self.reload.outlook(document)
        )
        changed = self.reload.differing(document)
        forgets = any(path.partition(".")[0] == "retention" for path in changed)
        gone = self.orders.preview_reclaim(parse_document(document).retention) if forgets else Preview()
        return ConfigPreview(digest(document), changed, cameras, gone)

    def _note_refused(self, event: AccessRefused) -> None:
        now_us, before = self._clock.now_us(), self.board.read(ACCESS)
        self.board.post(ACCESS, access.noted(before.value if before else None, event, now_us), now_us)
        self.journal.note([event])

    def _loop(self, camera: str) -> CaptureLoop:
        if camera not in self.loops:
            raise UnknownCamera(f"{camera!r}; there are {', '.join(self.loops)}")
        return self.loops[camera]

    def _working(self) -> tuple[str, ...]:
        return tuple(name for name, loop in self.loops.items() if loop.camera_state.word == "ok")

    def _light(self) -> dict[str, float]:
        """Of cameras whose last good frame is not long ago: dusk takes longer than that."""
        since_us = self._clock.now_us() - LIGHT_US
        lights = {name: loop.light for name, loop in self.loops.items()}
        return {name: light[1] for name, light in lights.items() if light is not None and light[0] >= since_us}

    def _wake(self) -> None:
        for loop in self.loops.values():
            loop.wake()

    def _cameras(self) -> Cameras:
        """What the reload asks of them."""
        usual = Usual(FrameReader(self.database)).score
        return Cameras(self._working, self._light, self._wake, self._prove, self.holds.explain, usual, self._compare)

    def _compare(self, camera: str, profile: str) -> None:
        loop = self.loops[camera]
        loop.ask(lambda: loop.compare(profile))

    def _prove(self, camera: str, profile: str) -> None:
        loop = self.loops[camera]
        loop.ask(lambda: loop.prove(profile))


def camera_config(settings: NodeFile, name: str) -> Callable[[Segment], CameraConfig]:
    """How to open that camera under a document: its section of node.yml, with the document's settings over it."""
    options = settings.cameras[name].model_dump()

    def config_of(segment: Segment) -> CameraConfig:
        wanted = segment.document.camera(name)
        return CameraConfig(
            name=name,
            options=options,
            width=wanted.width,
            height=wanted.height,
            jpeg_quality=wanted.jpeg_quality,
            settle_frames=wanted.settle_frames,
            sun_factor=settings.simulation.sun_factor,
            sun_from_us=settings.simulation.sun_from_us,
            shot_margin_s=wanted.shot_margin_s,
        )

    return config_of


def _thread_name(camera: str) -> str:
    return f"capture-{camera}"


def _clock(start: Start) -> Clock:
    return SystemClock(trusted=start.settings.clock.trusted)


def _answered(loop: CaptureLoop, act: Callable[[], Answer]) -> Answer:
    """What has begun is waited for, however long it takes: each request of a camera has a deadline of its own."""
    answer = loop.ask(act)
    try:
        return answer.result(FREE_S)
    except NoAnswer:
        if answer.cancel():
            raise CameraTimeout(f"the loop of {loop.camera} was not free within {FREE_S:g} s") from None
    return answer.result()


def _actor(caller: Caller) -> Actor:
    return Actor(caller.name, caller.standing, caller.client, caller.request_id)


def _activated(outcome: Outcome) -> Activated:
    running, trial = outcome.running, outcome.running.activation
    until_us = trial.deadline_us if outcome.changed and trial.state == "probation" else None
    return Activated(running.version.version, running.version.digest, outcome.previous, outcome.changed, until_us)
