"""Attempts that are refused, in the handshake or after it: counted, and told of in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from anyio.to_thread import run_sync

from node.api.limits import TOLD_EVERY_S, Refusals
from node.domain.errors import HeliographError
from node.domain.events import AccessRefused

_LOG = logging.getLogger(__name__)


class Access:
    """Used in the thread of the server's loop alone; `tell` is called in others, one at a time."""

    def __init__(self, tell: Callable[[AccessRefused], None], monotonic: Callable[[], float]) -> None:
        self._told_to, self._monotonic = tell, monotonic
        self._refusals = Refusals()
        self._timer: asyncio.TimerHandle | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    async def refused(self, client: str, code: str) -> None:
        """Returns when what is due was told."""
        await self._tell(self._note(client, code))

    def turned_away(self, client: str, code: str) -> None:
        """As `refused`, without waiting."""
        self._begin(self._note(client, code))

    def look(self) -> None:
        """Tells what has waited for its minute to be over."""
        self._timer = None
        self._begin(self._refusals.due(self._monotonic()))
        self._watch()

    async def close(self) -> None:
        """Tells all that waits."""
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*self._telling)
        await self._tell(self._refusals.rest(self._monotonic()))

    def _note(self, client: str, code: str) -> Sequence[AccessRefused]:
        due = self._refusals.note(client, code, self._monotonic())
        self._watch()
        return due

    def _watch(self) -> None:
        if self._timer is None and self._refusals.any():
            self._timer = asyncio.get_running_loop().call_later(TOLD_EVERY_S, self.look)

    def _begin(self, events: Sequence[AccessRefused]) -> None:
        if events:
            task = asyncio.get_running_loop().create_task(self._tell(events))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, events: Sequence[AccessRefused]) -> None:
        async with self._turn:
            for event in events:
                await self._tell_one(event)

    async def _tell_one(self, event: AccessRefused) -> None:
        try:
            await run_sync(self._told_to, event)
        except HeliographError as error:  # the refusal stands, whether or not it could be written down
            _LOG.warning("refused access not recorded", extra={"code": error.code, "client": event.client})
