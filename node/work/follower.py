"""Reads the event log by id and hands each event on, once and in order, whichever process wrote it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from node.board import Board
from node.clock import Clock
from node.domain.errors import HeliographError
from node.domain.events import LoopFailed
from node.domain.facts import LoopFacts, loop_key
from node.store.log import EventRow

NAME = "follower"
POLL_S = 0.25
BATCH = 500
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """The event log.

    after(id, limit): rows with higher ids, in their order; newest(): the highest id, 0 = none yet;
    version(): moves whenever anybody has committed something.
    """

    after: Callable[[int, int], Sequence[EventRow]]
    newest: Callable[[], int]
    version: Callable[[], int]


class Follower:
    """One thread.  `poke` wakes it at once; without, it looks four times a second whether the database has moved.

    A subscriber that raises misses that event, is reported when it begins to (not again before it has worked once),
    and does not stop the others.
    """

    def __init__(
        self,
        source: Source,
        subscribers: Mapping[str, Callable[[EventRow], object]],
        clock: Clock,
        board: Board,
        report: Callable[[LoopFailed], object],
    ) -> None:
        self._source = source
        self._subscribers = dict(subscribers)
        self._clock = clock
        self._board = board
        self._report = report
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)
        self._stopping = False
        self._failures: dict[str, int] = {}
        self._version: int | None = None
        self.last_id = 0

    def begin(self, after_id: int | None = None) -> None:
        """Deliver from the event after this id on; by default from the next one that is committed."""
        self.last_id = self._source.newest() if after_id is None else after_id

    def start(self) -> None:
        """Follow on a thread of its own.  Call `begin` first."""
        self._thread.start()

    def poke(self) -> None:
        """Something was committed: look now.  From any thread."""
        self._wake.set()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Deliver what was committed until now, then end."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def step(self) -> None:
        """Deliver all that is new, in the caller's thread (which is the follower's own once it is started)."""
        while rows := self._source.after(self.last_id, BATCH):
            for row in rows:
                for name, subscriber in self._subscribers.items():
                    self._guarded(f"{NAME}/{name}", subscriber, row)
                self.last_id = row.id

    def _run(self) -> None:
        while not self._stopping:
            self._clock.wait(self._wake, POLL_S)
            self._guarded(NAME, self._turn)
            self._beat()
        self._guarded(NAME, self.step)

    def _turn(self) -> None:
        """Cleared before the look, and the version known only after it: no poke is lost, a failed look is repeated."""
        poked = self._wake.is_set()
        self._wake.clear()
        version = self._source.version()
        if poked or version != self._version:
            self._version = None
            self.step()
            self._version = version

    def _beat(self) -> None:
        pulse = LoopFacts(NAME, POLL_S, failures=max(self._failures.values(), default=0))
        self._board.post(loop_key(NAME), pulse, self._clock.now_us())

    def _guarded(self, name: str, act: Callable[..., object], *given: EventRow) -> None:
        """The loop's boundary: whatever a reader or a subscriber raises ends here."""
        try:
            act(*given)
        except Exception as error:
            self._failures[name] = self._failures.get(name, 0) + 1
            if self._failures[name] == 1:
                LOG.exception("loop failed", extra={"loop": name})
                self._tell(LoopFailed(name, f"{type(error).__name__}: {error}", 1))
        else:
            self._failures.pop(name, None)

    def _tell(self, failed: LoopFailed) -> None:
        try:
            self._report(failed)
        except HeliographError as error:  # as likely as not, the database is what failed
            LOG.warning("failure was not recorded", extra={"error": str(error)})
