from __future__ import annotations

from node.domain.config import Document
from node.domain.facts import WorkerFacts, worker_key
from node.wire.work_records import QueueRecord
from tests.apis import Served, dead_job


def asked(api: Served) -> QueueRecord:
    return QueueRecord.model_validate_json(api.get("/v1/queue", "viewer").content)


def test_a_queue_with_nothing_in_it_is_empty(api: Served) -> None:
    assert asked(api) == QueueRecord()


def test_the_queue_says_what_is_due_runs_stands_still_and_was_done(api: Served) -> None:
    api.doer.document = Document.model_validate({"alerts": {"job_stuck_s": 60}})
    jobs, began_us = api.doer.jobs, api.clock.now_us()
    dead_job(jobs)
    jobs.enqueue("backup", "node", {})
    done = jobs.claim(("backup",), "test", "boot")
    assert done is not None
    jobs.finish(done, {})
    stuck = jobs.enqueue("upkeep", "node", {})
    jobs.claim(("upkeep",), "test", "boot")
    for name in ("main", "side"):
        jobs.enqueue("thumbnail", name, {"camera": name})
    api.clock.advance(90)
    found = asked(api)
    assert (found.due, found.stuck, found.dead, found.done_last_hour) == ({"thumbnail": 2}, 1, 1, {"backup": 1})
    assert [(job.id, job.state, job.age_s) for job in found.running] == [(stuck.id, "leased", 90.0)]
    assert found.oldest is not None
    assert api.clock.now_us() - began_us == 90_000_000
    api.clock.advance(3600)
    assert asked(api).done_last_hour == {}


def test_what_an_open_breaker_holds_is_named_and_not_due(api: Served) -> None:
    sql = "INSERT INTO targets (name, breaker, opened_us) VALUES ('nas', 'open', 1)"
    api.store.database.write(lambda session: session.execute(sql))
    for name in ("nas", "usb"):
        api.doer.jobs.enqueue("transfer", name, {"target": name})
    found = asked(api)
    assert (found.held, found.due) == (("nas",), {"transfer": 1})


def test_processes_that_give_no_pulse_are_named(api: Served) -> None:
    now_us = api.clock.now_us()
    api.board.post(worker_key("work"), WorkerFacts("work", now_us, 10.0), now_us)
    api.board.post(worker_key("ship"), WorkerFacts("ship"), now_us)
    assert asked(api).silent == ("ship",)
    api.clock.advance(21)
    assert asked(api).silent == ("ship", "work")
