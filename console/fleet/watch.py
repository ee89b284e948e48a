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

    An inventory that cannot be read leaves the nodes as they are and is told as a notice.
    """
    means = means or Means()
    seen = await aside(lambda: inventory.fingerprint(path)) if fresh else None
    due_s = means.clock.monotonic() + RELOOK_S
    while True:
        now = await aside(lambda: inventory.fingerprint(path))
        if now != seen or means.clock.monotonic() >= due_s:
            applied = await _apply(fleet, path, remember, means)
            due_s = means.clock.monotonic() + (RELOOK_S if applied else AGAIN_S)
        seen = now
        await means.pause(LOOK_S)


async def _apply(fleet: Fleet, path: Path | None, remember: Callable[[Sequence[Host]], object], means: Means) -> bool:
    try:
        hosts = await aside(lambda: means.read(path))
    except HeliographError as error:
        fleet.note(ABOUT, f"{error.code} {error.detail or error.title}; the nodes of before stay")
        return False
    fleet.note(ABOUT, "")
    fleet.set_hosts(hosts)
    remember(hosts)
    return True


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
