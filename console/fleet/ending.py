"""How a command that goes on comes to its end: by time, by a signal, or because its terminal is gone."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from threading import Thread

from node.wire.errors import OK

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BY_SIGNAL = 128
LAST_S = 10.0
"""What goes on so long after a signal is stuck: the ways to end in order, the nodes of a demo too, are much shorter."""


@dataclass(slots=True)
class Ending:
    """What everything waits for: `event` when it is to end, by time or by a signal; `hurry` at a signal after that.

    A signal reaches the loop only when that goes on.  One that stands still, in a write to a terminal that takes
    nothing more, would never end; so a thread stands by: `LAST_S` after the first signal it does what is in `at_last`
    and ends the process with the status that the signal asks for.
    """

    event: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    signal: int | None = None
    at_last: list[Callable[[], object]] = field(default_factory=list)
    """What must be done however it ends; from another thread, while the loop may hold anything."""

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        came: SimpleQueue[int] = SimpleQueue()  # the one thing that a handler may fill, whatever it interrupts
        for number in SIGNALS:
            loop.add_signal_handler(number, self._signalled, number)
            # the loop's own handler would let a write that is stuck go on, and run nothing before it has ended; the
            # loop learns of it all the same
            signal.signal(number, partial(_note, came))
        Thread(target=self._stand_by, args=(loop, came), name="stand-by", daemon=True).start()

    async def within(self, seconds: float) -> bool:
        """Whether it came within that time."""
        return await _came(self.event, seconds)

    async def hurried(self, seconds: float) -> bool:
        """Whether, within that time, somebody would not wait any longer."""
        return await _came(self.hurry, seconds)

    def _signalled(self, number: int) -> None:
        if self.event.is_set():
            self.hurry.set()
        self.signal = self.signal or number
        self.event.set()

    def _stand_by(self, loop: asyncio.AbstractEventLoop, came: SimpleQueue[int]) -> None:
        number = came.get()
        time.sleep(LAST_S)
        if loop.is_closed():  # it ended in order; a signal that comes now ends the process by itself
            return
        try:
            for act in self.at_last:
                act()
        finally:
            os._exit(BY_SIGNAL + number)

    @property
    def exit_status(self) -> int:
        return OK if self.signal is None else BY_SIGNAL + self.signal


def is_heard(file: int) -> bool:
    """Whether what is written there now would go somewhere: not on a terminal that is gone, or that is stuck."""
    poll = select.poll()
    poll.register(file, select.POLLOUT)
    return dict(poll.poll(0)).get(file) == select.POLLOUT


def is_gone(file: int) -> bool:
    """Whether the terminal is gone."""
    poll = select.poll()
    poll.register(file, 0)
    return bool(poll.poll(0))


def _note(came: SimpleQueue[int], number: int, _: object) -> None:
    came.put(number)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # the end of one in the background must not be stopped
    signal.signal(signal.SIGCONT, _nothing)  # nor does it take the terminal again, which would stop it there


def _nothing(*_: object) -> None:
    """Not the default, of which Python complains where both signals come at once."""


async def _came(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
