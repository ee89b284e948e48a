from __future__ import annotations

from dataclasses import replace

from node.domain.facts import DISK, ClassFacts, DiskFacts
from node.domain.frame import Frame
from node.wire.work_records import DiskRecord, JobRecord, ReclaimPreview
from tests.apis import GB, Served, fill, keep_receipt

DAY_S = 86_400


def test_the_disk_is_shown_with_its_step_and_what_may_go(api: Served) -> None:
    facts = DiskFacts(64 * GB, 5 * GB, 2.5, step="low", reclaimable_bytes=3 * GB)
    api.board.post(DISK, facts, api.clock.now_us())
    disk = DiskRecord.model_validate_json(api.get("/v1/disk", "viewer").content)
    assert (disk.total_bytes, disk.free_bytes, disk.level, disk.step) == (64 * GB, 5 * GB, "warn", "low")
    assert (disk.full_in_days, disk.reclaimable_bytes) == (2.5, 3 * GB)


def test_a_disk_that_cannot_be_asked_says_its_code_and_no_sizes(api: Served) -> None:
    api.board.post(DISK, DiskFacts(error_code="DSK-004"), api.clock.now_us())
    disk = DiskRecord.model_validate_json(api.get("/v1/disk").content)
    assert (disk.total_bytes, disk.level, disk.error_code) == (None, None, "DSK-004")
    api.board.forget(DISK)
    assert api.get("/v1/disk").json()["free_bytes"] is None


def test_reclaim_is_asked_for_and_answered_with_its_job(api: Served) -> None:
    answer = api.post("/v1/disk/reclaim", "operator")
    job = JobRecord.model_validate_json(answer.content)
    assert (answer.status_code, job.kind, job.key) == (202, "upkeep", "node")
    assert api.post("/v1/disk/reclaim", json={"everything": True}).status_code == 422


def test_what_lies_on_the_disk_and_what_is_stopped_is_shown(api: Served) -> None:
    facts = DiskFacts(64 * GB, 5 * GB, classes=(ClassFacts("frames", 3, 6000),), stopped=("frame/01M7",))
    api.board.post(DISK, facts, api.clock.now_us())
    disk = DiskRecord.model_validate_json(api.get("/v1/disk").content)
    assert [(each.name, each.count, each.size_bytes) for each in disk.classes] == [("frames", 3, 6000)]
    assert disk.stopped == ("frame/01M7",)
    assert (disk.counted, disk.reclaimable_bytes) == (None, None)
    api.board.post(DISK, replace(facts, counted_us=1_795_000_000_000_000), api.clock.now_us())
    assert api.get("/v1/disk").json()["counted"] == "2026-11-18T11:06:40.000Z"


def held_frames(api: Served, count: int, age_s: int) -> list[Frame]:
    frames = fill(api.store, count)
    for frame in frames:
        keep_receipt(api.store, frame)
    api.clock.advance(age_s)
    return frames


def test_a_preview_says_what_would_go_and_nothing_does(api: Served) -> None:
    frames = held_frames(api, 2, 31 * DAY_S)
    body = ReclaimPreview.model_validate_json(api.post("/v1/disk/preview", "operator").content)
    assert [(each.what, each.rule, each.count) for each in body.reclaim] == [("frame", "frames_days", 4)]
    assert (body.count, body.size_bytes) == (4, sum(frame.size_bytes for frame in frames))
    assert all((api.store.folder / frame.path).exists() for frame in frames)
    assert api.get("/v1/jobs").json()["items"] == []


def test_a_preview_of_another_retention_says_what_that_would_delete(api: Served) -> None:
    held_frames(api, 2, 2 * DAY_S)
    assert api.post("/v1/disk/preview").json() == {"reclaim": [], "count": 0, "size_bytes": 0, "more": False}
    assert api.post("/v1/disk/preview", json={"retention": {"frames_days": 1}}).json()["count"] == 4
    assert (
        api.post("/v1/disk/preview", json={"retention": {"frames_days": 1, "receipts_needed": 2}}).json()["count"] == 0
    )
    for wrong in ({"retention": {"frames_days": -1}}, {"retention": {"years": 1}}, {"frames_days": 1}):
        answer = api.post("/v1/disk/preview", json=wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, "API-004")
