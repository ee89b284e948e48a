"""Finds a job on any node by the end of its id, also one that no list has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from console.fleet.acts import JOB
from console.fleet.client import NodeClient
from console.fleet.jobs import OVER, PATH, STATES, JobRow, lean, listed
from console.fleet.source import Source
from console.fleet.view import OLD_WORDS, FleetModel
from node.wire.errors import HeliographError
from node.wire.work_records import JobRecord

LEAST_LETTERS = 3
MOST_NODES = 200
"""So many are asked: those that have jobs now come first."""
MOST_OF_ONE_NODE = 300
AT_ONCE = 8


@dataclass(slots=True)
class Found:
    """What came of it: the jobs, how many nodes were asked, how many of them gave no answer, and how many were not."""

    rows: list[JobRow]
    asked: int = 0
    silent: int = 0
    left: int = 0


def ending(rows: Iterable[JobRow], letters: str) -> list[JobRow]:
    return [row for row in rows if row.job.id.upper().endswith(letters.upper())]


async def search(source: Source, letters: str) -> Found:
    """Asks the nodes that are heard."""
    names = _to_ask(source.model)
    found = Found([], asked=min(MOST_NODES, len(names)), left=max(0, len(names) - MOST_NODES))
    async for rows in _each(source, names[:MOST_NODES], letters):
        if rows is None:
            found.silent += 1
        else:
            found.rows += rows
    return found


def _to_ask(model: FleetModel) -> list[str]:
    heard = [
        name for name, view in model.views.items() if view.status is not None and model.word(name) not in OLD_WORDS
    ]
    return sorted(heard, key=lambda name: (-_busy(model, name), name))


def _busy(model: FleetModel, name: str) -> int:
    status = model.views[name].status
    queue = status.queue if status is not None else None
    return 0 if queue is None else queue.dead + queue.running + queue.due


async def _each(source: Source, names: list[str], letters: str) -> AsyncIterator[list[JobRow] | None]:
    """Node by node as they answer; None for one that does not."""
    room = asyncio.Semaphore(AT_ONCE)

    async def ask(name: str) -> list[JobRow] | None:
        client = source.client(name)
        if client is None:
            return None
        async with room:
            try:
                return ending([JobRow(name, job) for job in await _jobs(client, letters)], letters)
            except HeliographError:
                return None

    for answer in asyncio.as_completed([ask(name) for name in names]):
        yield await answer


async def _jobs(client: NodeClient, letters: str) -> list[JobRecord]:
    if JOB.fullmatch(letters.upper()):
        return [lean(await client.fetch(f"{PATH}/{letters.upper()}", JobRecord))]
    found = await listed(client, (*STATES, *OVER), MOST_OF_ONE_NODE)
    return list(found.jobs.values())
