"""The running service, as commands ask it for work: through its API."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from node.api.local import get, post
from node.commands.desk import Order
from node.domain.nodefile import NodeFile
from node.wire.work_records import JobRecord, ReclaimPreview, TargetRecord

PAGE = 1000


class Counter:
    """A desk in another process; jobs are done by the processes beside it."""

    def __init__(self, settings: NodeFile, token_file: Path) -> None:
        self._settings, self._token_file = settings, token_file

    def jobs(self, state: str | None, kind: str | None, key: str | None, limit: int) -> list[JobRecord]:
        found: list[JobRecord] = []
        cursor: str | None = None
        while len(found) < limit:
            query = {"state": state, "kind": kind, "key": key, "limit": min(PAGE, limit - len(found)), "cursor": cursor}
            page = self._get("/v1/jobs", query)
            found += [JobRecord.model_validate(each) for each in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        return found

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

    def at_work(self, kind: str) -> AbstractContextManager[object]:  # noqa: ARG002 - the processes beside the service do
        return nullcontext()

    def _get(self, path: str, query: Mapping[str, object] | None = None) -> dict[str, Any]:
        return get(self._settings, path, query or {}, self._token_file)

    def _post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return post(self._settings, path, dict(body or {}), self._token_file)
