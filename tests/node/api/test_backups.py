from __future__ import annotations

from node.store import backup
from node.store.database import NAME
from node.wire.records import Page
from node.wire.work_records import BackupRecord, JobRecord
from tests.apis import Served


def test_backups_are_listed_newest_first(api: Served) -> None:
    assert api.get("/v1/backups", "viewer").json() == {"items": [], "next": None}
    made = []
    for _ in range(3):
        api.clock.advance(86_400)
        made.append(backup.make(api.store.folder / NAME, api.clock.now_us(), bool))
    found = Page[BackupRecord].model_validate_json(api.get("/v1/backups").content).items
    assert [each.name for each in found] == [each.path.name for each in reversed(made)]
    assert [each.size_bytes for each in found] == [each.path.stat().st_size for each in reversed(made)]
    assert found[0].created == "2026-11-21T11:06:40.000Z"


def test_a_backup_is_asked_for_by_an_admin_and_answered_with_its_job(api: Served) -> None:
    assert api.post("/v1/backups", "operator").status_code == 403
    answer = api.post("/v1/backups")
    job = JobRecord.model_validate_json(answer.content)
    assert (answer.status_code, job.kind, job.key, job.who) == (202, "backup", "node", "admin")
    assert api.post("/v1/backups").json()["new"] is False
