"""What sending, reading again and bringing back have in common: the targets, how they are used, and their items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock
from typing import Any, TypeVar

from node.archive.base import Item, Outcome, Refused, Target, Where, name_at
from node.archive.targets import open_target
from node.domain.config import Document, TargetPolicy
from node.domain.errors import HeliographError, UnknownTarget
from node.domain.job import KINDS
from node.domain.nodefile import ArchiveTarget
from node.holdings import OF_AN_ITEM, Holdings, Patience, said
from node.store.archive import CHUNK
from node.store.archive_reader import ArchiveReader, Waiting

NAMED = 100
"""Most items that a result names."""
Open = Callable[[str, ArchiveTarget, TargetPolicy, Where], Target]
Each = TypeVar("Each")


@dataclass(frozen=True, slots=True)
class Dock:
    """The targets of node.yml, the document in force, the node's side of a transfer, and what is held where."""

    endpoints: Mapping[str, ArchiveTarget]
    document: Callable[[], Document]
    where: Where
    holdings: Holdings
    reader: ArchiveReader
    open: Open = open_target
    _uses: dict[str, Lock] = field(default_factory=dict)

    def used(self, name: str) -> TargetPolicy | None:
        """How the target is used; None where it is not: switched off, or not in node.yml any more."""
        policy = self.document().archive.policy(name)
        return policy if policy.enabled and name in self.endpoints else None

    def terms(self, name: str) -> Patience:
        """How failures of the target count."""
        document = self.document()
        delays_s = document.jobs.retry_s.get("transfer") or KINDS["transfer"].delays_s
        return Patience(document.archive.policy(name).breaker, tuple(delays_s))

    def item(self, waiting: Waiting) -> Item:
        """Under its name at every target."""
        name = name_at(self.where.node, waiting.path)
        path = self.where.data_dir / waiting.path
        return Item(waiting.item, waiting.what, path, name, waiting.size_bytes, waiting.sha256)

    @contextmanager
    def opened(self, name: str) -> Iterator[Target]:
        """The target, for one thread of this process at a time, closed at the end.  Raises UnknownTarget."""
        with self._use(name), self._open(name) as target:
            yield target

    @contextmanager
    def opened_unless_used(self, name: str) -> Iterator[Target | None]:
        """The same, but None where another thread uses it just now."""
        use = self._use(name)
        if not use.acquire(blocking=False):
            yield None
            return
        try:
            with self._open(name) as target:
                yield target
        finally:
            use.release()

    def _use(self, name: str) -> Lock:
        return self._uses.setdefault(name, Lock())

    @contextmanager
    def _open(self, name: str) -> Iterator[Target]:
        if name not in self.endpoints:
            raise UnknownTarget(repr(name[:40]))
        target = self.open(name, self.endpoints[name], self.document().archive.policy(name), self.where)
        try:
            yield target
        finally:
            target.close()


def chunks(things: Iterable[Each], most: int = CHUNK) -> Iterator[list[Each]]:
    """In their order, at most so many at a time."""
    rest = iter(things)
    while chunk := list(islice(rest, most)):
        yield chunk


def of_items(outcomes: Sequence[Outcome], errors: tuple[type[HeliographError], ...] = OF_AN_ITEM) -> list[Outcome]:
    """Receipts, and refusals that say nothing of the other items."""
    return [each for each in outcomes if not isinstance(each, Refused) or isinstance(each.error, errors)]


def broken(
    outcomes: Sequence[Outcome], errors: tuple[type[HeliographError], ...] = OF_AN_ITEM
) -> HeliographError | None:
    """What failed the target as a whole in the middle of its work."""
    refused = (each.error for each in outcomes if isinstance(each, Refused))
    return next((error for error in refused if not isinstance(error, errors)), None)


def named(refused: Sequence[Refused]) -> list[dict[str, Any]]:
    """Items and their errors as a job's result names them."""
    return [
        {"item": each.item.id, "name": each.item.name, "error_code": each.error.code, "error": said(each.error)}
        for each in refused[:NAMED]
    ]
