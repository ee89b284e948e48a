"""The terminal below the screens: one that is gone, stuck, or somebody else's never holds the console up.

Textual's own writer ends at the first error, and then whoever paints waits for it for ever; on a terminal that takes
nothing more everybody waits with it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import termios
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Condition, Thread

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver

from console.fleet.ending import is_gone

MOST_QUEUED = 30
STUCK_S = 2.0
"""So long a painter waits for a slow terminal, which is how it learns to paint less; after that nothing is painted."""
FLUSH_S = 1.0
LOOK_S = 1.0
PIECE = 1024
ABORT = "\x18\x1b[?2026l"
"""Ends an escape sequence that was cut off, and a picture that was begun."""


class Output:
    """What is written to a terminal, by a thread of its own.

    `lost` is called from there when the terminal is gone, `again` when one that was stuck goes on: all must be painted
    anew then.
    """

    def __init__(self, files: tuple[int, int], lost: Callable[[], None], again: Callable[[], None]) -> None:
        self._input, self._file = files
        self._lost, self._again = lost, again
        self._texts: deque[str] = deque()
        self._changed = Condition()
        self._busy = self._stuck = self._gone = self._torn = self._over = False
        self._thread = Thread(target=self._run, name="console-output", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Waits a little where the terminal is slow; never for one that is stuck or gone."""
        with self._changed:
            if self._gone or self._stuck:
                return
            if not self._changed.wait_for(self._has_room, STUCK_S):
                self._stuck = True
                self._texts.clear()
                return
            self._texts.append(text)
            self._changed.notify_all()

    def settle(self) -> None:
        """Makes way for the last words: what is not painted within a moment is dropped."""
        with self._changed:
            if self._changed.wait_for(self._is_idle, FLUSH_S):
                return
            self._texts.clear()
            self._torn, self._stuck = True, False
        with suppress(termios.error):
            termios.tcflush(self._file, termios.TCOFLUSH)
        self.write(ABORT)

    def stop(self) -> None:
        """A write that is stuck is left to itself: it ends with the process."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._thread.join(FLUSH_S)

    def _has_room(self) -> bool:
        return len(self._texts) < MOST_QUEUED or self._gone

    def _is_idle(self) -> bool:
        return self._gone or not (self._texts or self._busy)

    def _is_due(self) -> bool:
        return bool(self._texts) or self._over

    def _run(self) -> None:
        while (text := self._next()) is not None:
            try:
                self._put(text)
            except OSError:
                return self._lose()
            if not text and is_gone(self._input):
                return self._lose()
        return None

    def _next(self) -> str | None:
        """What is to be written; empty where there was nothing for a while, None at the end."""
        with self._changed:
            again = self._stuck and self._busy
            self._busy = self._torn = False
            self._stuck = self._stuck and not again
            self._changed.notify_all()
        if again:
            self._again()
        with self._changed:
            self._changed.wait_for(self._is_due, LOOK_S)
            self._busy = bool(self._texts)
            return self._texts.popleft() if self._texts else None if self._over else ""

    def _put(self, text: str) -> None:
        left = text.encode(errors="replace")
        while left and not self._torn:
            left = left[os.write(self._file, left[:PIECE]) :]

    def _lose(self) -> None:
        with self._changed:
            self._gone = True
            self._texts.clear()
            self._changed.notify_all()
            over = self._over
        if not over:
            self._lost()


class Terminal(LinuxDriver):
    """As Textual's, but what becomes of the terminal is the terminal's affair alone."""

    def __init__(
        self, app: App[object], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._output: Output | None = None

    def start_application_mode(self) -> None:
        if self._output is None:
            loop = asyncio.get_running_loop()
            assert self._file is not None  # on a terminal there is a standard error
            files = self.fileno, self._file.fileno()
            self._output = Output(files, _hang_up, lambda: _soon(loop, self._paint_all))
        super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual gives it no types

    def stop_application_mode(self) -> None:
        if self._output is not None:
            self._output.settle()
        if self._is_elsewhere():
            self.attrs_before = None  # a shell that took it has set it as it needs it
        with _unstopped():
            super().stop_application_mode()

    def disable_input(self) -> None:
        with _unstopped():
            super().disable_input()

    def close(self) -> None:
        output, self._output = self._output, None
        if output is not None:
            output.stop()
        super().close()

    def write(self, data: str) -> None:
        if self._output is not None and self._writer_thread is not None:  # in the background that begins later
            self._output.write(data)

    def run_input_thread(self) -> None:
        with suppress(OSError):  # the output finds out
            super().run_input_thread()

    def _is_elsewhere(self) -> bool:
        """Whether another group of processes holds the terminal."""
        with suppress(OSError):
            return os.tcgetpgrp(self.fileno) != os.getpgrp()
        return False

    def _paint_all(self) -> None:
        self._app.refresh(layout=True)


@contextmanager
def _unstopped() -> Iterator[None]:
    """In the background, setting the terminal stops a process; while that ends, nothing wakes it again."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTTOU, before)


def _hang_up() -> None:
    """The kernel tells only those in the foreground that the terminal is gone."""
    os.kill(os.getpid(), signal.SIGHUP)


def _soon(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # closed meanwhile: nobody paints any more
        loop.call_soon_threadsafe(act)
