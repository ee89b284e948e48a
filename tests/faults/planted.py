"""`heliograph-node` with a bug: the first word names it, the rest are the true program's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from node import cli
from node.archive import directory, rsync
from node.archive.base import Item, Outcome, Receipt
from node.clock import SystemClock
from node.domain.events import Event
from node.domain.retention import Policy
from node.jobs import Jobs
from node.store import videos
from node.store.retention import RetentionReader, Terms
from node.store.session import Session
from node.work import rendering
from node.work.remover import Why

patch: Callable[[object, str, object], None] = setattr


def believe_what_was_sent() -> None:
    """A receipt for everything, whatever lies there: deleted before it is verified."""

    def judged(item: Item, _found: object, how: str, at_us: int) -> Outcome:
        return Receipt(item, item.name, item.size_bytes, item.sha256, how, at_us)

    for edge in (directory, rsync):
        patch(edge, "judged", judged)


def delete_what_nobody_holds() -> None:
    patch(RetentionReader, "held", RetentionReader.oldest)
    patch(Policy, "verified", lambda *_: True)
    patch(Why, "terms", property(lambda why: Terms(why.rule, why.targets, 0)))


def lose_jobs() -> None:
    """What was under way when the process died is forgotten at the next start."""

    def take_back(jobs: Jobs, *_: object) -> int:
        gone = "DELETE FROM jobs WHERE state = 'leased'"
        return jobs._entries.database.write(lambda session: int(session.execute(gone).rowcount))

    patch(Jobs, "take_back", take_back)


def make_videos_twice() -> None:
    written = rendering._written

    def twice(session: Session, take: Any, video: videos.Video) -> Iterable[Event]:
        told = written(session, take, video)
        videos.insert(session, replace(video, id=SystemClock().new_id(), shoot=None))
        return told

    patch(rendering, "_written", twice)


BUGS = {bug.__name__: bug for bug in (believe_what_was_sent, delete_what_nobody_holds, lose_jobs, make_videos_twice)}


def program(bug: str) -> list[str]:
    """Words that start it."""
    return [sys.executable, "-m", __name__, bug]


if __name__ == "__main__":
    BUGS[sys.argv[1]]()
    sys.exit(cli.main(sys.argv[2:]))
