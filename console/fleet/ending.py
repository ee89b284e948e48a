"""How a command that goes on comes to its end: by time, or by a signal."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field

from node.wire.errors import OK

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BY_SIGNAL = 128


@dataclass(slots=True)
class Ending:
    """What everything waits for: `event` when it is to end, by time or by a signal; `hurry` at a signal after that."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    signal: int | None = None

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in SIGNALS:
            loop.add_signal_handler(number, self._signalled, number)

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

    @property
    def exit_status(self) -> int:
        return OK if self.signal is None else BY_SIGNAL + self.signal


async def _came(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
