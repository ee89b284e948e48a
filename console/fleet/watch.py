"""The inventory looked at again while the console runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from console.fleet import inventory
from console.fleet.clock import Clock
from console.fleet.inventory import Host
from console.fleet.poller import Fleet
from console.fleet.text import SAID_CHARS
from node.wire.errors import HeliographError

LOOK_S = 5.0
"""Between two looks at the files' times."""
RELOOK_S = 300.0
"""However old the files are: a script may answer differently, a folder beside may have changed."""
AGAIN_S = 60.0
"""After an inventory that could not be read."""
ABOUT = "inventory"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Means:
    """What the watch works with; tests pass their own."""

    read: Callable[[Path | None], Sequence[Host]] = inventory.read
    fingerprint: Callable[[Path | None], object] = inventory.fingerprint
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep
    clock: Clock = field(default_factory=Clock)


async def watch_inventory(
    fleet: Fleet,
    path: Path | None,
    remember: Callable[[Sequence[Host]], object],
    *,
    fresh: bool,
    means: Means | None = None,
) -> None:
    """Until cancelled.  `fresh`: the fleet's nodes were read just now, and not remembered by an earlier console.

    An inventory that cannot be looked at or read leaves the nodes as they are and is told as a notice.
    """
    watch = _Watch(fleet, path, remember, means or Means(), settled=fresh)
    while True:
        await watch.look()
        await watch.means.pause(LOOK_S)


@dataclass(slots=True)
class _Watch:
    fleet: Fleet
    path: Path | None
    remember: Callable[[Sequence[Host]], object]
    means: Means
    settled: bool
    """Whether the fleet has the nodes of the inventory as it was first seen."""
    seen: object = None
    due_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.due_s = self.means.clock.monotonic() + RELOOK_S

    async def look(self) -> None:
        again_s = AGAIN_S
        try:
            if not await self._is_due():
                return
            await self._apply()
            again_s = RELOOK_S
        except HeliographError as error:
            self._say(f"{error.code} {error.detail or error.title}")
        except Exception as error:  # noqa: BLE001 - the console goes on, whatever a file system or its files are like
            self._say(f"it cannot be read: {error}"[:SAID_CHARS])
        self.due_s = self.means.clock.monotonic() + again_s

    async def _is_due(self) -> bool:
        now = await aside(lambda: self.means.fingerprint(self.path))
        before, self.seen = self.seen, now
        changed = now != before and not (self.settled and before is None)
        return changed or self.means.clock.monotonic() >= self.due_s

    async def _apply(self) -> None:
        hosts = await aside(lambda: self.means.read(self.path))
        self._say("")
        self.fleet.set_hosts(hosts)
        await aside(lambda: self.remember(hosts))

    def _say(self, what: str) -> None:
        self.fleet.note(ABOUT, what and f"{what}; the nodes of before stay")


async def aside(act: Callable[[], T]) -> T:
    """In a thread that nobody waits for at the end: reading a large inventory takes many seconds."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()
    threading.Thread(target=_answer, args=(act, loop, answer), name="inventory", daemon=True).start()
    return await answer


def _answer(act: Callable[[], T], loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T]) -> None:
    try:
        result = act()
    except Exception as error:  # noqa: BLE001 - thread boundary: it is raised where it is waited for
        _tell(loop, answer, partial(answer.set_exception, error))
    else:
        _tell(loop, answer, partial(answer.set_result, result))


def _tell(loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T], tell: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(lambda: None if answer.done() else tell())
