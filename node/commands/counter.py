"""The running service, as commands ask it for work: through its API."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote

from node.api.local import change, get, post
from node.commands.desk import Order
from node.domain.nodefile import NodeFile
from node.wire.work_records import BackupRecord, JobRecord, QueueRecord, ReclaimPreview, TargetRecord, VideoRecord

PAGE = 1000


class Counter:
    """A desk in another process; jobs are done by the processes beside it."""

    def __init__(self, settings: NodeFile, token_file: Path) -> None:
        self._settings, self._token_file = settings, token_file

    def jobs(self, state: str | None, kind: str | None, key: str | None, limit: int) -> list[JobRecord]:
        rows = self._rows("/v1/jobs", {"state": state, "kind": kind, "key": key}, limit)
        return [JobRecord.model_validate(each) for each in rows]

    def job(self, identity: str) -> JobRecord:
        return JobRecord.model_validate(self._get(f"/v1/jobs/{identity}"))

    def move(self, action: str, identity: str) -> JobRecord:
        return JobRecord.model_validate(self._post(f"/v1/jobs/{identity}/{action}"))

    def move_all(self, action: str, kind: str | None) -> int:
        return int(self._post(f"/v1/jobs/{action}", {"all": True} if kind is None else {"kind": kind})["count"])

    def ask(self, order: Order) -> JobRecord:
        return JobRecord.model_validate(self._post(order.path, order.body))

    def preview(self) -> ReclaimPreview:
        return ReclaimPreview.model_validate(self._post("/v1/disk/preview"))

    def target(self, name: str) -> TargetRecord:
        return TargetRecord.model_validate(self._get(f"/v1/targets/{name}"))

    def backups(self) -> list[BackupRecord]:
        return [BackupRecord.model_validate(each) for each in self._get("/v1/backups")["items"]]

    def videos(self, camera: str | None, shoot: str | None, *, removed: bool, limit: int) -> list[VideoRecord]:
        query = {"camera": camera, "shoot": shoot, "removed": "true" if removed else None}
        return [VideoRecord.model_validate(each) for each in self._rows("/v1/videos", query, limit)]

    def video(self, identity: str) -> VideoRecord:
        return VideoRecord.model_validate(self._get(f"/v1/videos/{quote(identity, safe='')}"))

    def change_video(self, identity: str, title: str | None, pinned: bool | None) -> VideoRecord:
        given = {"title": title, "pinned": pinned}
        body = {name: value for name, value in given.items() if value is not None}
        return self._changed("PATCH", identity, body)

    def remove_video(self, identity: str) -> VideoRecord:
        return self._changed("DELETE", identity, {})

    def silent(self) -> Collection[str]:
        return QueueRecord.model_validate(self._get("/v1/queue")).silent

    def at_work(self, kind: str) -> AbstractContextManager[object]:  # noqa: ARG002 - the processes beside the service do
        return nullcontext()

    def _rows(self, path: str, query: Mapping[str, object], limit: int) -> list[Any]:
        """At most `limit` items, page after page."""
        found: list[Any] = []
        cursor: str | None = None
        while len(found) < limit:
            page = self._get(path, {**query, "limit": min(PAGE, limit - len(found)), "cursor": cursor})
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
        return found

    def _changed(self, method: str, video: str, body: dict[str, Any]) -> VideoRecord:
        path = f"/v1/videos/{quote(video, safe='')}"
        return VideoRecord.model_validate(change(self._settings, method, path, body, self._token_file))

    def _get(self, path: str, query: Mapping[str, object] | None = None) -> dict[str, Any]:
        return get(self._settings, path, query or {}, self._token_file)

    def _post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return post(self._settings, path, dict(body or {}), self._token_file)
