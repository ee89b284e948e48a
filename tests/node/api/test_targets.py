from __future__ import annotations

import pytest

from node.domain.config import Document
from node.domain.facts import TargetFacts, target_key
from node.wire.records import Page
from node.wire.work_records import JobRecord, TargetRecord
from tests.apis import Served, fill

SPAN = {"from": "2026-11-18T00:00:00Z", "to": "2026-11-19T00:00:00Z"}


def put_row(api: Served, name: str, **columns: object) -> None:
    names, marks = ", ".join(("name", *columns)), ", ".join("?" for _ in ("name", *columns))
    sql = f"INSERT INTO targets ({names}) VALUES ({marks})"
    api.store.database.write(lambda session: session.execute(sql, (name, *columns.values())))


def test_every_target_of_the_node_is_listed_also_one_that_was_never_used(api: Served) -> None:
    put_row(api, "nas", breaker="open", failures=5, opened_us=api.clock.now_us(), sent=12, sent_bytes=120,
            last_error_code="ARC-001", last_error="no route")  # fmt: skip
    found = Page[TargetRecord].model_validate_json(api.get("/v1/targets", "viewer").content).items
    assert [(target.name, target.kind, target.breaker, target.sent) for target in found] == [
        ("nas", "directory", "open", 12), ("usb", "directory", "closed", 0),
    ]  # fmt: skip
    nas = found[0]
    assert (nas.failures, nas.opened, nas.error_code, nas.error) == (
        5,
        "2026-11-18T11:06:40.000Z",
        "ARC-001",
        "no route",
    )


def test_what_a_target_lacks_counts_frames_that_were_not_taken_up_yet(api: Served) -> None:
    frames = fill(api.store, 2)
    target = TargetRecord.model_validate_json(api.get("/v1/targets/nas").content)
    assert (target.unsent, target.failing) == (len(frames), 0)
    assert target.unsent_bytes == pytest.approx(sum(frame.size_bytes for frame in frames), abs=len(frames))
    assert target.oldest_unsent is not None


def test_a_target_shows_how_the_document_uses_it(api: Served) -> None:
    policy = {"enabled": False, "order": "newest", "videos": False}
    api.doer.document = Document.model_validate({"archive": {"targets": {"usb": policy}}})
    target = TargetRecord.model_validate_json(api.get("/v1/targets/usb").content)
    assert (target.enabled, target.order, target.videos) == (False, "newest", False)


def test_a_target_says_when_it_holds_everything_at_the_pace_of_the_last_hour(api: Served) -> None:
    assert api.get("/v1/targets/nas").json()["backlog_eta_s"] is None
    api.board.post(target_key("nas"), TargetFacts("nas", backlog_eta_s=90.0), api.clock.now_us())
    assert api.get("/v1/targets/nas").json()["backlog_eta_s"] == 90.0
    assert [each["backlog_eta_s"] for each in api.get("/v1/targets").json()["items"]] == [90.0, None]


ACTIONS = [("test", "test-target"), ("send", "transfer"), ("verify", "verify-archive"), ("restore", "restore")]


@pytest.mark.parametrize(("action", "kind"), ACTIONS)
def test_what_is_asked_of_a_target_is_a_job_of_the_ship_process(api: Served, action: str, kind: str) -> None:
    answer = api.post(f"/v1/targets/nas/{action}", "operator")
    job = JobRecord.model_validate_json(answer.content)
    assert (answer.status_code, job.kind, job.key, job.state, job.new) == (202, kind, "nas", "queued", True)
    assert api.post(f"/v1/targets/nas/{action}").json()["id"] == job.id
    row = api.get("/v1/audit?limit=1").json()["items"][0]
    assert (row["action"].partition(" ")[2], row["outcome"]) == ("ask", "done")


@pytest.mark.parametrize(("action", "kind"), [("", ""), *[(f"/{action}", kind) for action, kind in ACTIONS]])
def test_an_unknown_target_is_a_404_and_an_impossible_name_a_422(api: Served, action: str, kind: str) -> None:
    method = "POST" if action else "GET"
    assert api.ask(method, f"/v1/targets/gone{action}").json()["code"] == "ARC-007"
    assert api.ask(method, f"/v1/targets/UP{action}").status_code == 422
    assert api.store.rows("SELECT kind FROM jobs") == []


@pytest.mark.parametrize("action", ["verify", "restore"])
def test_a_part_of_what_a_target_holds_may_be_named(api: Served, action: str) -> None:
    whole = api.post(f"/v1/targets/nas/{action}").json()
    part = api.post(f"/v1/targets/nas/{action}", json={"camera": "side", **SPAN}).json()
    assert part["id"] != whole["id"]
    payload = api.get(f"/v1/jobs/{part['id']}").json()["payload"]
    assert (payload["target"], payload["camera"]) == ("nas", "side")
    assert payload["to_us"] - payload["from_us"] == 86_400_000_000


@pytest.mark.parametrize(
    "body", [{"camera": "gone"}, {"camera": 1}, {"from": "never"}, {"since": 1}, {"target": "usb"}]
)
def test_a_part_that_makes_no_sense_is_refused(api: Served, body: dict[str, object]) -> None:
    for action in ("verify", "restore"):
        assert api.post(f"/v1/targets/nas/{action}", json=body).status_code in (404, 422)
    assert api.store.rows("SELECT kind FROM jobs") == []


def test_sending_now_does_not_wait_for_a_pause_to_end(api: Served) -> None:
    jobs = api.doer.jobs
    put_row(api, "nas", breaker="open", failures=5, opened_us=api.clock.now_us())
    jobs.enqueue("transfer", "nas", {"target": "nas"})
    lease = jobs.claim(("transfer",), "test", "boot")
    assert lease is not None
    waits = jobs.give_back(lease, delay_s=3600)
    assert waits.due_us > api.clock.now_us()
    job = JobRecord.model_validate_json(api.post("/v1/targets/nas/send").content)
    assert (job.id, job.new, job.due) == (waits.id, False, "2026-11-18T11:06:40.000Z")
    assert api.get("/v1/targets/nas").json()["breaker"] == "half_open"
