"""Open event streams: each event goes to every listener; one that does not keep up is cut, never waited for."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

Item = TypeVar("Item")
DEPTH = 256


class Ending(StrEnum):
    """Why a stream ended (closed)."""

    SLOW = "slow"
    STOPPING = "stopping"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Ended:
    """What a listener gets last, again and again."""

    why: Ending


class Listener(Generic[Item]):
    """One stream's end: filled from any thread, read in the event loop that it was made in."""

    def __init__(self, loop: asyncio.AbstractEventLoop, depth: int) -> None:
        self._loop = loop
        self._depth = depth
        self._items: deque[Item] = deque()
        self._ended: Ended | None = None
        self._lock = threading.Lock()
        self._wake = asyncio.Event()

    async def next(self) -> Item | Ended:
        """The next item; Ended once the stream is cut or over.  A cancelled wait loses nothing."""
        while True:
            self._wake.clear()
            with self._lock:
                if self._items:
                    return self._items.popleft()
                if self._ended:
                    return self._ended
            await self._wake.wait()

    def offer(self, item: Item) -> bool:
        """Hand over one item; False when there was no room: then the stream is cut."""
        with self._lock:
            room = self._ended is None and len(self._items) < self._depth
            if room:
                self._items.append(item)
        if not room:
            self.end(Ending.SLOW)
        return self._ring() and room

    def end(self, why: Ending) -> None:
        """Over: what the listener has not read yet is dropped when it was slow, else still delivered."""
        with self._lock:
            self._ended = self._ended or Ended(why)
            if why is Ending.SLOW:
                self._items.clear()
        self._ring()

    def _ring(self) -> bool:
        try:
            self._loop.call_soon_threadsafe(self._wake.set)
        except RuntimeError:  # the loop is closed: nobody reads any more
            return False
        return True


class Hub(Generic[Item]):
    """All listeners of one process."""

    def __init__(self) -> None:
        self._listeners: set[Listener[Item]] = set()
        self._lock = threading.Lock()
        self._stopping = False
        self.cut = 0

    def subscribe(self, depth: int = DEPTH) -> Listener[Item]:
        """A new listener for the event loop that is running now; at most `depth` items wait for it."""
        listener: Listener[Item] = Listener(asyncio.get_running_loop(), depth)
        with self._lock:
            if self._stopping:
                listener.end(Ending.STOPPING)
            else:
                self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener[Item]) -> None:
        """The reader has gone.  Harmless for one that was cut before."""
        with self._lock:
            self._listeners.discard(listener)
        listener.end(Ending.LEFT)

    def publish(self, item: Item) -> None:
        """To every listener, from any thread; never waits."""
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            if not listener.offer(item):
                self._drop(listener)

    def stop(self) -> None:
        """End every stream, now and later."""
        with self._lock:
            self._stopping = True
            listeners, self._listeners = self._listeners, set()
        for listener in listeners:
            listener.end(Ending.STOPPING)

    def count(self) -> int:
        """Streams open now."""
        with self._lock:
            return len(self._listeners)

    def _drop(self, listener: Listener[Item]) -> None:
        with self._lock:
            self._listeners.discard(listener)
            self.cut += 1
