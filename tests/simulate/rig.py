"""One camera's capture loop on a jumping clock: real SQLite, real files, the judge as it is; no process, no waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.board import Board
from node.camera.link import Link
from node.camera.supervisor import Supervisor
from node.domain.nodefile import NodeFile, Probation
from node.domain.recovery import Limits
from node.journal import Journal
from node.service import camera_config
from node.store.configs import VersionBook
from node.store.database import NAME, Database
from node.store.files import hold
from node.store.frames import FrameReader
from node.store.leases import Leases
from node.store.ledger import LedgerReader
from node.store.log import EventReader
from node.work.capture import CaptureLoop, Equipment, Shared
from node.work.holds import Holds
from node.work.judge import Judge
from node.work.keeping import Keeper
from node.work.live import Compiler
from node.work.rebuild import adopt_recent
from node.work.reload import Cameras, Reload
from node.work.usual import Usual
from tests.clocks import JumpClock
from tests.simulate.direct import DirectLink

CAMERA = "main"


@dataclass
class Plan:
    """What a rig is made of."""

    folder: Path
    clock: JumpClock
    document: Mapping[str, Any] = field(default_factory=dict)
    camera: Mapping[str, Any] = field(default_factory=dict)
    link: Callable[[], Link] | None = None
    probation: Probation = field(default_factory=Probation)
    ping_every_s: float | None = 30.0


class Rig:
    """A running loop; `close` leaves everything as an ordinary stop does."""

    def __init__(self, plan: Plan) -> None:
        options = {"backend": "synthetic", "width": 160, "height": 120, **plan.camera}
        node = NodeFile.model_validate({"cameras": {CAMERA: options}})
        self.clock, self.folder, self.board = plan.clock, plan.folder, Board()
        self.database = Database(plan.folder / NAME)
        self.journal = Journal(self.database, plan.clock)
        self.journal.begin_book(plan.document)
        compiler = Compiler(node.node.id, (CAMERA,))
        self.reload = Reload(VersionBook(self.database), self.journal, compiler, plan.probation, plan.clock)
        self.frames, self.ledger = FrameReader(self.database), LedgerReader(self.database)
        self.events = EventReader(self.database)
        adopt_recent(plan.folder, self.journal, self.frames)
        config_of = camera_config(node, CAMERA)
        make_link = plan.link or (lambda: DirectLink(plan.clock))
        limits = Limits(ping_every_s=plan.ping_every_s)

        def supervise(busy: Callable[[float], object]) -> Supervisor:
            config = config_of(self.reload.live.current)
            self.supervisor = Supervisor(config, plan.clock, make_link, limits=limits, busy=busy)
            return self.supervisor

        self._hold = hold(plan.folder)
        self.keeper = Keeper(node.node.id, CAMERA, self._hold.__enter__(), plan.clock, self.journal)
        self.judge = Judge(plan.folder / "baseline", CAMERA)
        equipment = Equipment(supervise, self.judge, self.keeper, config_of)
        self.holds = Holds(self.journal)
        self.leases = Leases(plan.folder, plan.clock)
        shared = Shared(
            plan.clock,
            self.journal,
            self.board,
            self.reload.live,
            self.reload.judged,
            self.reload.compared,
            self.reload.before_trial,
            self.reload.quality_of,
            self.reload.usual_light,
            self.holds,
        )
        self.loop = CaptureLoop(CAMERA, equipment, shared)
        self.loop.resume(self.ledger)
        usual = Usual(self.frames).score
        self.reload.begin(
            Cameras(self._working, self._light, self.loop.wake, self._prove, self.holds.explain, usual, self._compare)
        )

    def run(self, until_us: int, each_turn: Callable[[], object] = lambda: None) -> None:
        """Turn until that instant of the wall clock."""
        while self.clock.now_us() < until_us:
            self.loop.turn()
            each_turn()

    def kinds(self) -> list[str]:
        """Kinds of all events, in order."""
        return [row.kind for row in self.events.after(0, 100_000)]

    def close(self) -> None:
        self.loop.close()
        self.database.close()
        self._hold.__exit__(None, None, None)

    def _working(self) -> tuple[str, ...]:
        return (CAMERA,) if self.supervisor.state.word == "ok" else ()

    def _light(self) -> dict[str, float]:
        return {CAMERA: self.loop.light[1]} if self.loop.light else {}

    def _compare(self, _camera: str, profile: str) -> None:
        self.loop.ask(lambda: self.loop.compare(profile))

    def _prove(self, _camera: str, profile: str) -> None:
        self.loop.ask(lambda: self.loop.prove(profile))


@contextmanager
def rigged(plan: Plan) -> Iterator[Rig]:
    rig = Rig(plan)
    try:
        yield rig
    finally:
        rig.close()
