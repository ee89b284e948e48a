"""What commands may ask of a node's work, whoever answers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from node.wire.work_records import JobRecord, ReclaimPreview, TargetRecord


@dataclass(frozen=True, slots=True)
class Order:
    """Work to be asked for: as the queue takes it, and as the API does."""

    kind: str
    payload: Mapping[str, Any]
    path: str
    body: Mapping[str, Any] = field(default_factory=dict)


class Desk(Protocol):
    """Every method raises what stands in the way, as the API would name it."""

    def jobs(self, state: str | None, kind: str | None, key: str | None, limit: int) -> list[JobRecord]:
        """Newest first."""

    def job(self, identity: str) -> JobRecord:
        """With payload, result and attempts."""

    def move(self, action: str, identity: str) -> JobRecord:
        """cancel, redrive or discard."""

    def move_all(self, action: str, kind: str | None) -> int:
        """Redrive or discard dead letters of a kind, or all; how many."""

    def ask(self, order: Order) -> JobRecord:
        """The job that does it."""

    def preview(self) -> ReclaimPreview:
        """What would be deleted now."""

    def target(self, name: str) -> TargetRecord:
        """How it stands."""

    def at_work(self, kind: str) -> AbstractContextManager[object]:
        """Meanwhile somebody does jobs of that kind."""
