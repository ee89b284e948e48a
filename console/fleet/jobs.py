"""Jobs over all nodes: asked for where the queue's figures say that there are some, and only when those change."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from console.fleet.client import NodeClient
from console.fleet.source import Source
from console.fleet.text import clean
from console.fleet.view import OLD_WORDS
from node.wire.errors import HeliographError, NodeAnswerWrong, OrderRefused
from node.wire.records import Page
from node.wire.status import QueueStatus
from node.wire.work_records import JobRecord

PATH = "/v1/jobs"
STATES = ("dead", "retry", "leased", "queued")
OVER = ("done", "cancelled")
"""Nothing changes about these any more."""
KINDS = frozenset({"job", "job_dead"})
"""Events that tell of jobs."""
PAGE = 100
MOST = 500
"""Rows of one node; the rest is counted."""
MOST_IN_ALL, LEAST = 20_000, 5
"""With so many rows in all, a further node gives only so few."""
AT_ONCE = 8
EVERY_S = 2.0
"""A node is asked at most so often."""
AFTER_TROUBLE_S = 15.0
RENEW_S, RENEWED_A_SECOND = 10.0, 20
"""How far one that runs is, no status says: its node is asked again so often, and of many nodes only so many."""
OLD_S = 30.0
"""What was said so long ago of one that runs is old."""
MOST_KEPT = 50
NO_SUCH = "API-003"
LOOK_S = 0.25

Facts = tuple[int, int, int, int]
"""Due, running, stuck, dead."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job and the node that has it."""

    node: str
    job: JobRecord

    @property
    def key(self) -> str:
        return f"{self.node}/{self.job.id}"


@dataclass(slots=True)
class _Known:
    """What the board knows of a node: the figures of its last listing, when that was, and its rows."""

    facts: Facts | None = None
    asked_s: float = float("-inf")
    heard_s: float | None = None
    rows: tuple[JobRow, ...] = ()


@dataclass(slots=True)
class Listed:
    """What is listed of one node, as it comes in."""

    room: int
    jobs: dict[str, JobRecord] = field(default_factory=dict)
    cut: bool = False


class JobBoard:
    """The jobs of the fleet that wait, run or have failed for good.

    `revision` grows when rows or troubles change; `more` counts what is not listed of a node, at least one.
    """

    def __init__(self, source: Source, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._source, self._model, self._pause = source, source.model, pause
        self.revision = 0
        self.trouble: dict[str, HeliographError] = {}
        self.more: dict[str, int] = {}
        self._known: dict[str, _Known] = {}
        self._kept: dict[str, JobRow] = {}
        """What was looked for, by `node/id`."""
        self._moving: set[str] = set()
        """The nodes that are asked again although no figure changes."""
        self._wanted: dict[str, float] = {}
        """The nodes to be asked, and the earliest moment for it."""
        self._queue: deque[str] = deque()
        self._asking: set[str] = set()
        self._seen = self._told = 0
        self._count = 0
        self._rows: list[JobRow] = []
        self._rows_of = 0

    def rows(self) -> list[JobRow]:
        """Node by node, of each the dead ones first.  The list is made anew only when something has changed."""
        if self._rows_of != self.revision:
            listed = {row.key: row for name in sorted(self._known) for row in self._known[name].rows}
            self._rows = [*listed.values(), *(row for key, row in self._kept.items() if key not in listed)]
            self._rows_of = self.revision
        return self._rows

    def keep(self, rows: Iterable[JobRow]) -> None:
        """These stay among the rows until others are kept, and are asked for as those that run."""
        self._kept = {row.key: row for row in islice(rows, MOST_KEPT) if row.node in self._model.views}
        for row in self._kept.values():
            self._want(row.node)
        self.revision += 1

    def age_s(self, name: str) -> float | None:
        """Since that node last listed its jobs."""
        known = self._known.get(name)
        return None if known is None or known.heard_s is None else self._model.clock.monotonic() - known.heard_s

    def is_old(self, row: JobRow) -> bool:
        """Whether it may have changed since: its node is silent, or gives no list, or gave it long ago."""
        if row.node in self.trouble or self._model.word(row.node) in OLD_WORDS:
            return True
        return self._moves(row) and (self.age_s(row.node) or 0.0) > OLD_S

    def _moves(self, row: JobRow) -> bool:
        return row.job.state == "leased" or (row.key in self._kept and row.job.state not in OVER)

    def jobs(self) -> Mapping[str, JobRecord]:
        """By `node/id`."""
        return {row.key: row.job for row in self.rows()}

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._look()
                self._begin(tasks)
                await self._pause(LOOK_S)

    async def catch_up(self) -> None:
        """Asks all that are to be asked now, and ends."""
        self._look()
        async with asyncio.TaskGroup() as tasks:
            self._begin(tasks)

    # --- whom to ask ----------------------------------------------------------------------------------------------

    def _begin(self, tasks: asyncio.TaskGroup) -> None:
        while self._queue and len(self._asking) < AT_ONCE:
            name = self._queue.popleft()
            client = self._source.client(name) if name in self._known else None
            self._wanted.pop(name, None)
            if client is not None:
                self._asking.add(name)
                tasks.create_task(self._ask(tasks, name, client))

    def _look(self) -> None:
        """Who is to be asked by now; a queue that is not done with is left as it is: sorting costs."""
        self._note()
        if not self._queue:
            self._queue.extend(self._due())

    def _note(self) -> None:
        """What has changed since the last look."""
        for name in self._model.changed_since(self._seen):
            self._note_node(name)
        self._seen = self._model.revision
        for happening in self._model.fresh(self._told):
            if happening.event.kind in KINDS and happening.node in self._model.views:
                self._want(happening.node)
        self._told = self._model.told

    def _note_node(self, name: str) -> None:
        if name not in self._model.views:
            self._forget(name)
            return
        facts, known = self._facts(name), self._known.get(name)
        if known is None and not any(facts):
            return
        if known is None or known.facts != facts or name in self.trouble:
            self._want(name)

    def _want(self, name: str) -> None:
        known = self._known.setdefault(name, _Known())
        every_s = AFTER_TROUBLE_S if name in self.trouble else EVERY_S
        self._wanted[name] = known.asked_s + every_s

    def _due(self) -> list[str]:
        """Those with dead jobs first; who cannot be asked now is asked when it is heard again."""
        now_s = self._model.clock.monotonic()
        due = [name for name, at_s in self._wanted.items() if at_s <= now_s and name not in self._asking]
        return sorted((name for name in due if self._model.word(name) not in OLD_WORDS), key=self._rank)

    def _rank(self, name: str) -> tuple[bool, float]:
        return not self._facts(name)[-1], self._wanted[name]

    def _facts(self, name: str) -> Facts:
        status = self._model.views[name].status
        queue = QueueStatus() if status is None or status.queue is None else status.queue
        return queue.due, queue.running, queue.stuck, queue.dead

    def _forget(self, name: str) -> None:
        self._wanted.pop(name, None)
        self.trouble.pop(name, None)
        self.more.pop(name, None)
        self._moving.discard(name)
        self._kept = {key: row for key, row in self._kept.items() if row.node != name}
        known = self._known.pop(name, None)
        if known is not None and known.rows:
            self._count -= len(known.rows)
            self.revision += 1

    # --- asking ---------------------------------------------------------------------------------------------------

    async def _ask(self, tasks: asyncio.TaskGroup, name: str, client: NodeClient) -> None:
        try:
            await self._list(name, client)
        except HeliographError as error:
            self._failed(name, error)
        except Exception as error:  # noqa: BLE001 - loop boundary: one node's oddity must not end the console
            self._failed(name, NodeAnswerWrong(f"unexpected {type(error).__name__}"))
        finally:
            self._asking.discard(name)
            self._begin(tasks)

    async def _list(self, name: str, client: NodeClient) -> None:
        """Raises as `fetch` does."""
        known = self._known.get(name)
        if known is None or name not in self._model.views:  # it left the inventory before it was its turn
            return
        facts, known.asked_s = self._facts(name), self._model.clock.monotonic()
        room = MOST if self._count - len(known.rows) < MOST_IN_ALL else LEAST
        self._learnt(name, known, facts, await listed(client, _states(facts), room))
        await self._renew(name, client)
        self._ask_later(name)

    async def _renew(self, name: str, client: NodeClient) -> None:
        """What is kept and was not listed.  Raises as `fetch` does."""
        listed_ones = {row.key for row in self._known[name].rows} if name in self._known else set()
        for key, row in self._kept.items():
            if row.node == name and key not in listed_ones and self._moves(row):
                self._renewed(key, await _one(client, row))

    def _renewed(self, key: str, row: JobRow | None) -> None:
        before = self._kept.get(key)
        if before is None or before == row:  # others are kept by now, or nothing has changed
            return
        self._kept = {each: kept for each, kept in (self._kept | {key: row}).items() if kept is not None}
        self.revision += 1

    def _ask_later(self, name: str) -> None:
        """Where something runs, or was looked for."""
        known = self._known.get(name)
        rows = (*known.rows, *self._kept.values()) if known is not None else ()
        if known is None or not any(row.node == name and self._moves(row) for row in rows):
            self._moving.discard(name)
            return
        self._moving.add(name)
        every_s = max(RENEW_S, len(self._moving) / RENEWED_A_SECOND)
        self._wanted.setdefault(name, known.asked_s + every_s)

    def _learnt(self, name: str, known: _Known, facts: Facts, listing: Listed) -> None:
        if self._known.get(name) is not known:  # it left the inventory meanwhile
            return
        rows = tuple(JobRow(name, job) for job in listing.jobs.values())
        due, running, _, dead = facts
        more = max(1, due + running + dead - len(rows)) if listing.cut else 0
        changed = (known.rows, self.more.get(name, 0), name in self.trouble) != (rows, more, False)
        self._count += len(rows) - len(known.rows)
        known.facts, known.heard_s = facts, self._model.clock.monotonic()
        known.rows = rows if changed else known.rows
        self.trouble.pop(name, None)
        self.more.pop(name, None)
        if more:
            self.more[name] = more
        self.revision += changed

    def _failed(self, name: str, error: HeliographError) -> None:
        if name in self._known and name in self._model.views:
            self.trouble[name] = error
            self.revision += 1


def _states(facts: Facts) -> list[str]:
    """What the figures rule out is not asked for: they do not count who waits for another attempt."""
    due, running, stuck, dead = facts
    there = {"dead": dead, "leased": running + stuck, "queued": due}
    return [state for state in STATES if there.get(state, 1)]


async def _one(client: NodeClient, row: JobRow) -> JobRow | None:
    """As it is now; None where its node has it no longer.  Raises as `fetch` does."""
    try:
        return JobRow(row.node, lean(await client.fetch(f"{PATH}/{row.job.id}", JobRecord)))
    except OrderRefused as error:
        if error.theirs != NO_SUCH:
            raise
        return None


async def listed(client: NodeClient, states: Iterable[str], room: int = MOST) -> Listed:
    """The jobs of one node in those states, so many at most.  Raises as `fetch` does."""
    listing = Listed(room)
    for state in states:
        await _pages(client, state, listing)
    return listing


async def _pages(client: NodeClient, state: str, listing: Listed) -> None:
    cursor: str | None = None
    for _ in range(MOST // PAGE):
        left = listing.room - len(listing.jobs)
        if left <= 0:
            listing.cut = True
            return
        query = {"state": state, "limit": str(min(PAGE, left)), **({"cursor": cursor} if cursor else {})}
        page = await client.fetch(PATH, Page[JobRecord], query)
        for job in page.items[:left]:
            listing.jobs[job.id] = lean(job)
        cursor = page.next
        if cursor is None:
            return
    listing.cut = True


def lean(job: JobRecord) -> JobRecord:
    """Bounded, whatever the node says; fit for a terminal."""
    words = {name: clean(value) for name, value in job if isinstance(value, str)}
    return job.model_copy(update={**words, "payload": None, "result": None, "attempts": None})
