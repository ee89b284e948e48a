from __future__ import annotations

import pytest

from node.wire.work_records import JobRecord
from tests.apis import Served


@pytest.mark.parametrize("kind", ["reconcile", "integrity-check"])
def test_care_of_files_and_database_is_asked_for_and_answered_with_its_job(api: Served, kind: str) -> None:
    assert api.post(f"/v1/{kind}", "viewer").status_code == 403
    answer = api.post(f"/v1/{kind}", "operator")
    job = JobRecord.model_validate_json(answer.content)
    assert (answer.status_code, job.kind, job.key, job.priority, job.new) == (202, kind, "node", 30, True)
    assert api.post(f"/v1/{kind}").json()["id"] == job.id
    assert api.post(f"/v1/{kind}", json={"all": True}).status_code == 422
    assert api.store.rows("SELECT action, outcome FROM audit ORDER BY id DESC LIMIT 1") == [(f"{kind} ask", "done")]
