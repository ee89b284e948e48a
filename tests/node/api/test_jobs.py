from __future__ import annotations

import pytest

from node.domain.job import Priority
from node.wire.records import AuditRecord, Page
from node.wire.work_records import JobRecord
from tests.apis import Served, dead_job

PAGE = Page[JobRecord]


def ids(api: Served, query: str = "") -> list[str]:
    answer = api.get(f"/v1/jobs{query}", "viewer")
    assert answer.status_code == 200, answer.text
    return [job.id for job in PAGE.model_validate_json(answer.content).items]


def last_change(api: Served) -> AuditRecord:
    return Page[AuditRecord].model_validate_json(api.get("/v1/audit?limit=1").content).items[0]


def waiting(api: Served, key: str = "main") -> str:
    return api.doer.jobs.enqueue("thumbnail", key, {"camera": key}).id


def test_jobs_come_newest_first_page_by_page_each_once(api: Served) -> None:
    made = [waiting(api, f"c{number}") for number in range(7)]
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        page = PAGE.model_validate_json(api.get(f"/v1/jobs?limit=3{cursor and f'&cursor={cursor}'}").content)
        seen += [job.id for job in page.items]
        cursor = page.next
    assert seen == made[::-1]


def test_jobs_are_chosen_by_state_kind_and_key(api: Served) -> None:
    dead = dead_job(api.doer.jobs)
    thumbs = [waiting(api, name) for name in ("main", "side")]
    assert ids(api, "?state=dead") == ids(api, "?kind=transfer") == [dead.id]
    assert ids(api, "?state=queued") == thumbs[::-1]
    assert ids(api, "?key=side") == [thumbs[1]]
    assert ids(api, "?kind=transfer&state=done") == []
    for wrong in ("state=asleep", "kind=nap", f"key={'x' * 401}", "order=age", "cursor=WyJhIl0"):
        assert api.get(f"/v1/jobs?{wrong}").status_code == 422


def test_a_list_leaves_out_what_one_job_shows_whole(api: Served) -> None:
    dead = dead_job(api.doer.jobs)
    listed = api.get("/v1/jobs").json()["items"][0]
    assert (listed["payload"], listed["result"], listed["attempts"]) == (None, None, None)
    whole = JobRecord.model_validate_json(api.get(f"/v1/jobs/{dead.id}", "viewer").content)
    assert (whole.payload, whole.state, whole.error_code, whole.attempt) == ({"target": "nas"}, "dead", "REN-002", 1)
    (attempt,) = whole.attempts or ()
    assert (attempt.attempt, attempt.outcome, attempt.error_code, attempt.error) == (1, "failed", "REN-002", "h266")


def test_a_job_that_is_not_there_is_a_404_and_an_impossible_id_a_422(api: Served) -> None:
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/redrive"), ("POST", "/discard")):
        assert api.ask(method, f"/v1/jobs/{'0' * 26}{path}").json()["code"] == "JOB-003"
        assert api.ask(method, f"/v1/jobs/none{path}").status_code == 422


def test_a_waiting_job_is_cancelled_and_the_audit_says_by_whom(api: Served) -> None:
    job = waiting(api)
    answer = api.post(f"/v1/jobs/{job}/cancel", "operator", headers={"X-Request-ID": "shift-3"})
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    row = last_change(api)
    assert (row.action, row.target, row.who, row.outcome, row.request_id) == (
        "job cancel", f"job/{job}", "operator", "done", "shift-3",
    )  # fmt: skip


def test_a_running_job_says_that_it_is_to_end(api: Served) -> None:
    job = waiting(api)
    assert api.doer.jobs.claim(("thumbnail",), "test", "boot") is not None
    answer = api.post(f"/v1/jobs/{job}/cancel").json()
    assert (answer["state"], answer["cancel_asked"]) == ("leased", True)


def test_a_dead_job_waits_again_or_is_given_up(api: Served) -> None:
    again, never = dead_job(api.doer.jobs), dead_job(api.doer.jobs, key="usb")
    assert api.post(f"/v1/jobs/{again.id}/redrive", "operator").json()["state"] == "queued"
    assert api.post(f"/v1/jobs/{never.id}/discard", "operator").json()["state"] == "cancelled"
    assert ids(api, "?state=dead") == []


@pytest.mark.parametrize(("state", "action"), [("queued", "redrive"), ("queued", "discard"), ("dead", "cancel")])
def test_a_move_that_the_state_does_not_allow_is_refused_and_audited(api: Served, state: str, action: str) -> None:
    job = waiting(api) if state == "queued" else dead_job(api.doer.jobs).id
    refused = api.post(f"/v1/jobs/{job}/{action}")
    assert (refused.status_code, refused.json()["code"]) == (409, "JOB-004")
    assert api.get(f"/v1/jobs/{job}").json()["state"] == state
    assert (last_change(api).action, last_change(api).outcome) == (f"job {action}", "JOB-004")


def test_all_dead_jobs_of_a_kind_or_every_one_are_moved_at_once(api: Served) -> None:
    jobs = api.doer.jobs
    for key in ("nas", "usb"):
        dead_job(jobs, key=key)
    dead_job(jobs, "backup", "node")
    assert api.post("/v1/jobs/redrive", "operator", json={"kind": "transfer"}).json() == {"count": 2}
    assert len(ids(api, "?state=queued&kind=transfer")) == 2
    assert api.post("/v1/jobs/discard", "operator", json={"all": True}).json() == {"count": 1}
    assert ids(api, "?state=dead") == []
    assert (last_change(api).action, last_change(api).target) == ("job discard", "jobs/all")


@pytest.mark.parametrize("body", [{}, {"kind": "nap"}, {"all": True, "kind": "render"}, {"all": False}, {"all": "x"}])
@pytest.mark.parametrize("action", ["redrive", "discard"])
def test_several_are_moved_only_where_it_is_said_which(api: Served, action: str, body: dict[str, object]) -> None:
    dead_job(api.doer.jobs)
    assert api.post(f"/v1/jobs/{action}", json=body).status_code == 422
    assert len(ids(api, "?state=dead")) == 1


def test_a_key_moves_a_job_once(api: Served) -> None:
    dead = dead_job(api.doer.jobs)
    key = {"Idempotency-Key": "again-1"}
    first = api.post(f"/v1/jobs/{dead.id}/redrive", headers=key)
    second = api.post(f"/v1/jobs/{dead.id}/redrive", headers=key)
    assert (second.status_code, second.content) == (200, first.content)
    assert second.headers["idempotency-replayed"] == "true"


def test_a_page_holds_as_many_as_are_asked_for(api: Served) -> None:
    jobs = api.doer.jobs
    for number in range(300):
        jobs.enqueue("thumbnail", f"c{number}", {"camera": f"c{number}"}, priority=Priority.PER_CAPTURE)
    assert len(ids(api, "?limit=250")) == 250
    assert len(ids(api, "?limit=1000")) == 300
