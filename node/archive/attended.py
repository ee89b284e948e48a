"""A target whose calls may hang in the kernel, as a hard mount's do: nobody waits longer than it may stand still."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from node.archive.base import Beat, Item, Outcome, Target, Where
from node.clock import Clock
from node.domain.errors import TargetUnavailable
from node.host.disk import Space

LOOK_S = 0.2
END_S = 5.0
"""A call that is not wanted any more has so long to clean up behind itself."""
Answer = TypeVar("Answer")
Told = tuple[float | None, str]


class Attended:
    """Makes each call of a target in a thread of its own, and gives up one that does not move for `timeout_s`.

    No thread can be ended from outside, nor a process that waits in the kernel.  So one that hangs is left behind, and
    until it has come back every call answers TargetUnavailable at once: at most one hangs for each target.  What it
    answers then, nobody hears; it ends at its next beat.
    """

    def __init__(self, target: Target, timeout_s: float, where: Where) -> None:
        self.name = target.name
        self._target, self._timeout_s, self._where = target, timeout_s, where

    def check(self) -> None:
        self._made(lambda _: self._target.check())

    def put(self, items: Sequence[Item], beat: Beat) -> list[Outcome]:
        return self._made(lambda tell: self._target.put(items, tell), beat)

    def verify(self, items: Sequence[Item], beat: Beat) -> list[Outcome]:
        return self._made(lambda tell: self._target.verify(items, tell), beat)

    def fetch(self, item: Item, into: Path, beat: Beat) -> None:
        self._made(lambda tell: self._target.fetch(item, into, tell), beat)

    def init(self) -> None:
        self._made(lambda _: self._target.init())

    def space(self) -> Space:
        return self._made(lambda _: self._target.space())

    def close(self) -> None:
        """Nothing: each call leaves nothing open but what hangs, and that would hang here, too."""

    def _made(self, act: Callable[[Beat], Answer], beat: Beat | None = None) -> Answer:
        before = self._where.away.get(self.name)
        if before is not None and before.is_alive():
            raise TargetUnavailable("an earlier look at it hangs in the kernel still; is its server up?")
        call = _Call(act, self.name)
        self._where.away[self.name] = call.thread
        return call.answer(beat or _silent, self._where.clock, self._timeout_s)


class _Call(Generic[Answer]):
    """One call.  The two threads meet at each beat: whoever waits makes it, and what that raises, the call raises."""

    def __init__(self, act: Callable[[Beat], Answer], name: str) -> None:
        self._act = act
        self._told: SimpleQueue[Told | None] = SimpleQueue()  # None: the call is over
        self._go_on: SimpleQueue[None] = SimpleQueue()
        self._unwanted: BaseException | None = None
        self._answers: list[Answer] = []
        self._error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name=f"target-{name}", daemon=True)

    def answer(self, beat: Beat, clock: Clock, timeout_s: float) -> Answer:
        """Raises what the call or `beat` raises; TargetUnavailable after so many seconds without a beat of the call."""
        self.thread.start()
        try:
            ended = self._attend(beat, clock, timeout_s)
        except BaseException as error:
            self._leave(error)
            self.thread.join(END_S)
            raise
        if not ended:
            hangs = TargetUnavailable(f"nothing moved for {timeout_s:g} s")
            self._leave(hangs)
            raise hangs
        self.thread.join()
        if self._error is not None:
            raise self._error
        return self._answers[0]

    def _leave(self, why: BaseException) -> None:
        """It ends at its next beat, if ever there is one."""
        self._unwanted = why
        self._go_on.put(None)

    def _attend(self, beat: Beat, clock: Clock, timeout_s: float) -> bool:
        """Whether it came to its end.  Beats go on while nothing moves: whoever cancels is heard at once."""
        last: Told = (None, "")
        since = clock.monotonic()
        while (moved := self._moved(last)) is not None:
            beat(*moved)
            if moved is not last:
                last, since = moved, clock.monotonic()
                self._go_on.put(None)
            elif clock.monotonic() - since > timeout_s:
                return False
        return True

    def _moved(self, last: Told) -> Told | None:
        """What it says next, or the same again where it is silent; None when it is over."""
        try:
            return self._told.get(timeout=LOOK_S)
        except Empty:
            return last

    # --- in the call's own thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._answers.append(self._act(self._tell))
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is waited for
            self._error = error
        finally:
            self._told.put(None)

    def _tell(self, progress: float | None, said: str) -> None:
        if self._unwanted is None:
            self._told.put((progress, said))
            self._go_on.get()
        if self._unwanted is not None:
            raise self._unwanted


def _silent(_progress: float | None, _said: str) -> None:
    """Nobody asked to be told."""
