from __future__ import annotations

import io
import json

import pytest
from PIL import Image

from node.store import videos
from node.wire.records import Page
from node.wire.work_records import JobRecord, VideoRecord
from tests.apis import Served, fill, keep_video

PAGE = Page[VideoRecord]
SPAN = {"camera": "main", "from": "2026-11-18T00:00:00Z", "to": "2026-11-19T00:00:00Z"}


def ids(api: Served, query: str = "") -> list[str]:
    answer = api.get(f"/v1/videos{query}", "viewer")
    assert answer.status_code == 200, answer.text
    return [video.id for video in PAGE.model_validate_json(answer.content).items]


def outcomes(api: Served) -> list[tuple[str, str, str]]:
    return [(row["action"], row["target"], row["outcome"]) for row in api.get("/v1/audit").json()["items"]]


def test_videos_come_newest_first_page_by_page(api: Served) -> None:
    made = []
    for _ in range(5):
        api.clock.advance(1)
        made.append(keep_video(api.store).id)
    first = PAGE.model_validate_json(api.get("/v1/videos?limit=3").content)
    assert [video.id for video in first.items] + ids(api, f"?cursor={first.next}") == made[::-1]


def test_videos_are_chosen_by_camera_and_shoot(api: Served) -> None:
    shoot = "side/default/2026-11-18/auto"
    other, wanted = keep_video(api.store), keep_video(api.store, camera="side", shoot=shoot)
    assert ids(api, "?camera=side") == ids(api, f"?shoot={shoot}") == [wanted.id]
    assert ids(api, "?camera=main") == [other.id]
    for wrong in ("shoot=x", "camera=UP", "state=done", "cursor=WzFd"):
        assert api.get(f"/v1/videos?{wrong}").status_code == 422


def test_one_video_names_the_frames_that_it_does_not_show(api: Served) -> None:
    video = keep_video(api.store)
    assert api.get("/v1/videos").json()["items"][0]["left_out"] is None
    record = VideoRecord.model_validate_json(api.get(f"/v1/videos/{video.id}", "viewer").content)
    assert (record.sha256, record.frames, record.left_out_count) == (video.sha256, 30, 1)
    assert [(each.frame, each.why) for each in record.left_out or ()] == [("01M7Q5EJ30BZPEPSQZS1QKHPAJ", "flagged")]


def test_a_video_comes_byte_for_byte_with_its_hash_as_tag_and_by_ranges(api: Served) -> None:
    data = bytes(range(256)) * 40
    video = keep_video(api.store, data)
    path = f"/v1/videos/{video.id}/file"
    whole = api.get(path, "viewer")
    assert (whole.content, whole.headers["etag"]) == (data, f'"{video.sha256}"')
    assert whole.headers["content-type"] == "video/mp4"
    part = api.get(path, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, data[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(data)}"
    again = api.get(path, headers={"If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert api.get(path, headers={"Range": f"bytes={len(data)}-"}).json()["code"] == "API-009"
    head = api.ask("HEAD", path)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(data)))


def test_a_poster_is_a_jpeg_with_a_tag_of_its_own(api: Served) -> None:
    video = keep_video(api.store)
    answer = api.get(f"/v1/videos/{video.id}/poster", "viewer")
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.format == "JPEG"
    assert answer.headers["etag"] == f'"{video.sha256}-poster"'
    assert api.ask("HEAD", f"/v1/videos/{video.id}/poster").headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize("what", ["file", "poster"])
def test_a_file_that_is_gone_is_said_to_be(api: Served, what: str) -> None:
    video = keep_video(api.store)
    (api.store.folder / (video.path if what == "file" else video.poster)).unlink()
    answer = api.get(f"/v1/videos/{video.id}/{what}")
    assert (answer.status_code, answer.json()["code"]) == (404, "REN-006")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("GET", "/file"), ("GET", "/poster"), ("PATCH", ""), ("DELETE", "")]
)
def test_a_video_that_is_not_there_is_a_404(api: Served, method: str, path: str) -> None:
    answer = api.ask(method, f"/v1/videos/{'0' * 26}{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "API-003")


# --- asked for ------------------------------------------------------------------------------------------------------


def test_a_video_of_a_span_is_asked_for_and_answered_with_its_job(api: Served) -> None:
    answer = api.post("/v1/videos", "operator", json={**SPAN, "tier": "preview", "title": "a day", "fps": 30})
    job = JobRecord.model_validate_json(answer.content)
    assert (answer.status_code, job.kind, job.state, job.new, job.who) == (202, "render", "queued", True, "operator")
    payload = api.get(f"/v1/jobs/{job.id}").json()["payload"]
    assert (payload["camera"], payload["profile"], payload["tier"], payload["title"]) == (
        "main", "auto", "preview", "a day",
    )  # fmt: skip
    assert payload["to_us"] - payload["from_us"] == 86_400_000_000
    assert outcomes(api)[0] == ("render ask", f"render/{job.key}", "done")


def test_the_same_video_again_is_the_same_job(api: Served) -> None:
    first, second = (api.post("/v1/videos", json=SPAN).json() for _ in range(2))
    assert (first["id"], first["new"], second["new"]) == (second["id"], True, False)
    assert api.post("/v1/videos", json={**SPAN, "camera": "side"}).json()["id"] != first["id"]


def test_the_same_video_with_other_wishes_changes_the_job_that_waits_and_is_refused_while_it_runs(api: Served) -> None:
    first = api.post("/v1/videos", json=SPAN).json()
    second = api.post("/v1/videos", "operator", json={**SPAN, "tier": "preview", "title": "a day"}).json()
    assert (second["id"], second["new"], second["who"]) == (first["id"], False, "operator")
    payload = api.get(f"/v1/jobs/{first['id']}").json()["payload"]
    assert (payload["tier"], payload["title"]) == ("preview", "a day")
    assert api.doer.jobs.claim(("render",), "test", "boot") is not None
    refused = api.post("/v1/videos", json={**SPAN, "fps": 30})
    assert (refused.status_code, refused.json()["code"]) == (409, "JOB-011")
    assert api.get(f"/v1/jobs/{first['id']}").json()["payload"] == payload
    assert api.post("/v1/videos", json={**SPAN, "tier": "preview", "title": "a day"}).json()["id"] == first["id"]
    asked = ("render ask", f"render/{first['key']}")
    assert outcomes(api) == [(*asked, outcome) for outcome in ("done", "JOB-011", "done", "done")]


def test_a_video_of_a_shoot_takes_camera_and_profile_from_its_name(api: Served) -> None:
    shoot = fill(api.store, 1)[0].shoots[0]
    job = api.post("/v1/videos", json={"shoot": shoot}).json()
    assert job["key"] == shoot
    payload = api.get(f"/v1/jobs/{job['id']}").json()["payload"]
    assert (payload["camera"], payload["profile"], payload["shoot"]) == ("main", "auto", shoot)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "JOB-002"),
        ({"camera": "main"}, "JOB-002"),
        ({"camera": "main", "from": "2026-11-18T00:00:00Z"}, "JOB-002"),
        ({**SPAN, "from": "2026-11-20T00:00:00Z"}, "JOB-002"),
        ({**SPAN, "shoot": "main/default/2026-11-18/auto"}, "JOB-002"),
        ({**SPAN, "camera": "gone"}, "CAM-009"),
        ({"shoot": "main/default/1999-01-01/auto"}, "API-003"),
        ({"shoot": "../../etc"}, "API-004"),
        ({**SPAN, "from": "yesterday"}, "API-004"),
        ({**SPAN, "from": "2026-11-18T00:00:00"}, "API-004"),
        ({**SPAN, "fps": 0}, "API-004"),
        ({**SPAN, "fps": 1e999}, "API-004"),
        ({**SPAN, "codec": "h266"}, "API-004"),
        ({**SPAN, "tier": "best"}, "API-004"),
        ({**SPAN, "title": "x" * 121}, "API-004"),
        ({**SPAN, "colour": "red"}, "API-004"),
    ],
)
def test_a_video_that_makes_no_sense_is_refused_and_nothing_is_asked(
    api: Served, body: dict[str, object], code: str
) -> None:
    answer = api.post("/v1/videos", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.json()["code"] == code
    assert answer.status_code in (404, 422)
    assert api.get("/v1/jobs").json()["items"] == []


# --- named, pinned, deleted -----------------------------------------------------------------------------------------


def test_a_video_is_renamed_and_pinned_and_what_is_not_named_stays(api: Served) -> None:
    video = keep_video(api.store, title="first")
    changed = api.ask("PATCH", f"/v1/videos/{video.id}", "operator", json={"pinned": True}).json()
    assert (changed["pinned"], changed["title"]) == (True, "first")
    changed = api.ask("PATCH", f"/v1/videos/{video.id}", "operator", json={"title": ""}).json()
    assert (changed["pinned"], changed["title"]) == (True, "")
    assert outcomes(api) == [("video change", f"video/{video.id}", "done")] * 2
    for wrong in ({"pinned": 2}, {"title": "x" * 121}, {"name": "a"}):
        assert api.ask("PATCH", f"/v1/videos/{video.id}", json=wrong).status_code == 422


def test_a_deleted_video_leaves_no_file_and_says_when_and_why(api: Served) -> None:
    video, other = keep_video(api.store), keep_video(api.store)
    assert api.ask("DELETE", f"/v1/videos/{video.id}", "operator").status_code == 403
    gone = api.ask("DELETE", f"/v1/videos/{video.id}").json()
    assert (gone["deleted_rule"], gone["deleted"] is not None) == ("by_hand", True)
    left = {path.name for path in (api.store.folder / "videos").rglob("*") if path.is_file()}
    assert left == {f"{other.id}.mp4", f"{other.id}.jpg"}
    assert (ids(api), set(ids(api, "?removed=true"))) == ([other.id], {video.id, other.id})
    answer = api.get(f"/v1/videos/{video.id}/file")
    assert (answer.json()["code"], "by_hand" in answer.json()["detail"]) == ("REN-006", True)
    assert api.get(f"/v1/videos/{video.id}").status_code == 200
    assert outcomes(api)[0] == ("video delete", f"video/{video.id}", "done")
    assert api.store.rows("SELECT kind FROM events ORDER BY id DESC LIMIT 1") == [("video_removed",)]


def test_a_video_that_is_gone_can_neither_be_changed_nor_deleted_again(api: Served) -> None:
    video = keep_video(api.store)
    api.store.database.write(lambda session: videos.retire(session, video.id, "videos_days", 5))
    for method in ("PATCH", "DELETE"):
        assert api.ask(method, f"/v1/videos/{video.id}").json()["code"] == "API-003"
    assert [outcome for _, _, outcome in outcomes(api)] == ["API-003", "API-003"]
