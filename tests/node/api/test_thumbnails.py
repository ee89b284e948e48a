from __future__ import annotations

import pytest

from node.wire.work_records import JobRecord
from tests.apis import Served


def test_thumbnails_of_a_camera_are_repaired_by_a_job(api: Served) -> None:
    answer = api.post("/v1/thumbnails/repair", "operator", json={"camera": "side", "everything": True})
    job = JobRecord.model_validate_json(answer.content)
    assert (answer.status_code, job.kind, job.key) == (202, "thumbnail-repair", "side")
    assert api.get(f"/v1/jobs/{job.id}").json()["payload"] == {"camera": "side", "everything": True}


def test_everything_is_made_anew_also_where_a_lesser_repair_waits_already(api: Served) -> None:
    first = api.post("/v1/thumbnails/repair", json={"camera": "main"}).json()
    again = api.post("/v1/thumbnails/repair", json={"camera": "main", "everything": True}).json()
    assert (again["id"], again["new"]) == (first["id"], False)
    assert api.get(f"/v1/jobs/{first['id']}").json()["payload"]["everything"] is True


@pytest.mark.parametrize(
    ("body", "status"), [({}, 422), ({"camera": "gone"}, 404), ({"camera": "main", "everything": "x"}, 422)]
)
def test_a_repair_of_nothing_is_refused(api: Served, body: dict[str, object], status: int) -> None:
    assert api.post("/v1/thumbnails/repair", json=body).status_code == status
    assert api.store.rows("SELECT kind FROM jobs") == []
