"""What every screen works on: where news comes from, what is kept, what may be done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from console.fleet.acts import Aim
from console.fleet.alerts import AlertBoard
from console.fleet.clock import Clock
from console.fleet.jobs import JobBoard
from console.fleet.record import Recorder
from console.fleet.source import Source
from console.fleet.state import Book, Made
from console.fleet.summary import Tally
from console.fleet.times import Times
from console.fleet.view import FleetModel
from console.fleet.watch import aside

PAINT_S, SLOW_PAINT_S = 0.25, 1.0
BEHIND_S, RECOVER_S = 0.2, 5.0
"""So much late is behind; for so long after that, paint less often."""
UNLOCK_S, LONGEST_UNLOCK_S = 600.0, 3600.0
SNAPSHOT_S, LOOK_S = 30.0, 1.0
NOTICE_S = 30.0


@dataclass(slots=True)
class Pace:
    """How often is painted: a tick that comes late means that loop, terminal or link is behind."""

    now: Callable[[], float] = time.monotonic
    _ticked_s: float | None = None
    _late_s: float = float("-inf")

    def tick(self) -> None:
        """One of the timer's, due each PAINT_S."""
        now_s = self.now()
        if self._ticked_s is not None and now_s - self._ticked_s > PAINT_S + BEHIND_S:
            self._late_s = now_s
        self._ticked_s = now_s

    @property
    def slow(self) -> bool:
        return self.now() - self._late_s < RECOVER_S


@dataclass(slots=True)
class Armed:
    """Whether actions may change nodes: only for a while, and the time is shown."""

    clock: Clock
    _until_s: float = float("-inf")

    def unlock(self, seconds: float = UNLOCK_S) -> None:
        self._until_s = self.clock.monotonic() + min(seconds, LONGEST_UNLOCK_S)

    def lock(self) -> None:
        self._until_s = float("-inf")

    @property
    def left_s(self) -> float:
        """Seconds that are left; 0 = read-only."""
        return max(0.0, self._until_s - self.clock.monotonic())


@dataclass(frozen=True, slots=True)
class Undo:
    """What can be taken back: acknowledgements as they were made, or holds by what they were of."""

    says: str
    acks: tuple[Made, ...] = ()
    held: tuple[Aim, ...] = ()


@dataclass(slots=True)
class Desk:
    """One of them is what a fleet's screens share; a recording that is opened has its own.

    `clock` is the console's own; the model's is that of what it shows, which in a recording is another.  Without a
    book (a recording) nothing is kept.
    """

    source: Source
    book: Book | None = None
    title: str = ""
    notice: str = ""
    """Said for a while at the beginning."""
    inventory: Path | None = None
    operator: str = ""
    ascii: bool = False
    times: Times = Times.AGO
    unlock_s: float = UNLOCK_S
    chores: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = ()
    """What else goes on beside the screens, until cancelled."""
    bell: bool = False
    """Whether a new critical alert is to be heard."""
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Other keys than usual, by what they do."""
    pictures: bool = True
    """Whether frames are drawn; over a slow link they are not even asked for."""
    clock: Clock = field(default_factory=Clock)
    pace: Pace = field(default_factory=Pace)
    armed: Armed = field(init=False)
    alerts: AlertBoard = field(init=False)
    jobs: JobBoard = field(init=False)
    tally: Tally = field(init=False)
    recorder: Recorder | None = field(init=False, default=None)
    undo: list[Undo] = field(default_factory=list)
    """The latest last."""
    drafts: dict[str, str] = field(default_factory=dict)
    """What was typed into a dialog and not sent, by its entry."""
    _raised: int = field(init=False, default=0)
    _opened_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._opened_s = self.clock.monotonic()
        self.armed = Armed(self.clock)
        self.alerts = AlertBoard(self.source.model, self.book, self.operator)
        self.jobs = JobBoard(self.source)
        self.tally = Tally(self.source.model)

    @property
    def model(self) -> FleetModel:
        return self.source.model

    @property
    def live(self) -> bool:
        """Whether there is anybody to ask: a recording can only be looked at."""
        return self.book is not None

    @property
    def hint(self) -> str:
        """The notice, as long as it is said."""
        return self.notice if self.clock.monotonic() - self._opened_s < NOTICE_S else ""

    def rings(self) -> bool:
        """Whether a critical alert has come since this was last asked, and is to be heard."""
        before, self._raised = self._raised, self.alerts.raised_crit
        return self.bell and self._raised > before

    async def run(self, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Until cancelled: everything that goes on beside the screens."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.source.run())
                tasks.create_task(self.jobs.run())
                tasks.create_task(self._keep(pause))
                for chore in self.chores:
                    tasks.create_task(chore())
        finally:
            self.end_recording()
            self._keep_at_last()

    async def _keep(self, pause: Callable[[float], Awaitable[None]]) -> None:
        """Others' acknowledgements, a recording's next lines, and now and then the snapshot."""
        kept_s = self.clock.monotonic()
        while True:
            await pause(LOOK_S)
            if self.book is not None:
                self.book.refresh()
            self.alerts.refresh()
            if self.recorder is not None:
                self.recorder.note()
                await aside(self.recorder.write)
            if self.clock.monotonic() - kept_s >= SNAPSHOT_S:
                kept_s = self.clock.monotonic()
                await aside(self._write_snapshot)  # of thousands of nodes it takes most of a second

    def _keep_at_last(self) -> None:
        """In line: nobody waits for a thread any more."""
        if self.book is not None:
            self.book.refresh()  # what could not be saved has its last chance
        self._write_snapshot()

    def _write_snapshot(self) -> None:
        if self.book is not None:
            self.book.write_snapshot(self.model)

    # --- recordings -----------------------------------------------------------------------------------------------

    def begin_recording(self, path: Path | None = None) -> Path:
        """To that file, or to a new one beside the other recordings.  Raises RecordingUnusable."""
        assert self.book is not None
        self.end_recording()
        self.recorder = Recorder(path or self.book.new_recording(), self.model)
        return self.recorder.path

    def end_recording(self) -> Path | None:
        """The file that was written; None where there was none."""
        recorder, self.recorder = self.recorder, None
        if recorder is None:
            return None
        with suppress(OSError):  # its disk may be full: what was written stays
            recorder.close()
        return recorder.path
