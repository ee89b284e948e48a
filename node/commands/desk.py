"""What commands may ask of a node's work, whoever answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from node.wire.work_records import BackupRecord, JobRecord, ReclaimPreview, TargetRecord, VideoRecord


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

    def backups(self) -> list[BackupRecord]:
        """Of the database, newest first."""

    def videos(self, camera: str | None, shoot: str | None, *, removed: bool, limit: int) -> list[VideoRecord]:
        """Newest first; `removed`: with those whose files are gone."""

    def video(self, identity: str) -> VideoRecord:
        """With the frames that it does not show."""

    def change_video(self, identity: str, title: str | None, pinned: bool | None) -> VideoRecord:
        """None = as it was."""

    def remove_video(self, identity: str) -> VideoRecord:
        """Its file and poster are deleted here."""

    def silent(self) -> Collection[str]:
        """Processes that should do jobs and give no pulse."""

    def at_work(self, kind: str) -> AbstractContextManager[object]:
        """Meanwhile somebody does jobs of that kind."""
