from __future__ import annotations

import io
from urllib.parse import quote

import pytest
from PIL import Image

from node.api.frames import ESSENTIALS, FIELDS
from node.domain.frame import Frame
from node.domain.times import to_text
from node.store.thumbs import SIZES, Size, path_of
from node.wire.records import FrameRecord, JudgedRecord, Page
from node.wire.work_records import ArchiveRecord
from tests.apis import Served, fill, jpeg, keep_file, keep_receipt, reclaim


def page(api: Served, query: str = "") -> Page[FrameRecord]:
    answer = api.get(f"/v1/frames{query}")
    assert answer.status_code == 200, answer.text
    return Page[FrameRecord].model_validate_json(answer.content)


def ids(api: Served, query: str = "") -> list[str]:
    return [frame.id for frame in page(api, query).items]


def test_frames_come_newest_first_page_by_page_each_once(api: Served) -> None:
    kept = [frame.id for frame in fill(api.store, 4)]
    seen: list[str] = []
    cursor = ""
    while True:
        answer = page(api, f"?limit=3{cursor}")
        seen += [frame.id for frame in answer.items]
        if answer.next is None:
            break
        cursor = f"&cursor={answer.next}"
    assert seen == sorted(kept, reverse=True)


def test_a_page_that_is_full_to_the_last_row_has_no_next(api: Served) -> None:
    fill(api.store, 2)
    assert page(api, "?limit=4").next is None


def test_frames_that_come_while_one_pages_do_not_move_the_pages(api: Served) -> None:
    old = sorted((frame.id for frame in fill(api.store, 3)), reverse=True)
    first = page(api, "?limit=2")
    fill(api.store, 3)
    assert ids(api, f"?limit=10&cursor={first.next}") == old[2:]


def test_filters_choose_and_combine(api: Served) -> None:
    frames = fill(api.store, 2)
    api.store.clock.advance(60)
    bad = keep_file(api.store, None, camera="side", profile="night", verdict="bad", score=10, flagged=True)
    assert ids(api, "?camera=side&verdict=bad") == [bad.id]
    assert ids(api, "?profile=night") == ids(api, "?flagged=true") == [bad.id]
    assert set(ids(api, "?camera=main")) == {frame.id for frame in frames if frame.camera == "main"}
    assert ids(api, "?verdict=unjudged") == []
    assert ids(api, "?quarantined=true") == []
    assert ids(api, "?camera=gone") == []


def test_a_span_of_time_includes_its_start_and_not_its_end(api: Served) -> None:
    frames = [frame for frame in fill(api.store, 3) if frame.camera == "main"]
    start, end = (quote(to_text(frame.captured_us)) for frame in (frames[0], frames[2]))
    chosen = ids(api, f"?camera=main&from={start}&to={end}")
    assert chosen == [frames[1].id, frames[0].id]


def test_frames_of_a_shoot_are_found_by_its_name(api: Served) -> None:
    frames = fill(api.store, 2)
    shoot = frames[0].shoots[0]
    assert set(ids(api, f"?shoot={shoot}")) == {frame.id for frame in frames if shoot in frame.shoots}


def test_only_the_fields_asked_for_come(api: Served) -> None:
    fill(api.store, 1)
    (row, *_) = api.get("/v1/frames").json()["items"]
    assert tuple(row) == ESSENTIALS
    (row, *_) = api.get("/v1/frames?fields=sha256,due").json()["items"]
    assert list(row) == ["id", "sha256", "due"]
    (row, *_) = api.get("/v1/frames?fields=all").json()["items"]
    assert tuple(row) == FIELDS
    problem = api.get("/v1/frames?fields=id,nix,nax").json()
    assert [error["given"] for error in problem["errors"]] == ["nix", "nax"]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=x", "limit=99999", "cursor=nix", "cursor=WzFd", "cursor=eyJhIjoxfQ", "camera=UP", "verdict=ok",
     "flagged=perhaps", "from=yesterday", "from=2026-11-18T10:00:00", "shoot=../..", "to=1e99", "cursor=%C3%A9"],
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_refused(api: Served, query: str) -> None:
    answer = api.get(f"/v1/frames?{query}")
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["path"] == f"query.{query.partition('=')[0]}"


def test_the_document_bounds_a_page(api: Served) -> None:
    fill(api.store, 3)
    api.allow(page_max=2)
    assert len(page(api).items) == 2
    refused = api.get("/v1/frames?limit=3")
    assert "api.page_max, 2" in refused.json()["errors"][0]["message"]


def test_the_latest_of_each_camera_is_one_call(api: Served) -> None:
    frames = fill(api.store, 2)
    api.store.clock.advance(60)
    bad = keep_file(api.store, None, camera="side", verdict="bad", score=3, flagged=True)
    newest = api.get("/v1/frames/latest").json()["items"]
    assert [row["id"] for row in newest] == [frames[2].id, bad.id]
    good = api.get("/v1/frames/latest?good=true&camera=side&fields=id").json()
    assert good == {"items": [{"id": frames[3].id}], "next": None}


def test_one_frame_has_every_field(api: Served) -> None:
    frame = fill(api.store, 1)[0]
    row = api.get(f"/v1/frames/{frame.id}").json()
    assert tuple(row) == FIELDS
    assert row["requested"] == {"exposure_s": None, "gain": None, "ev_stops": 0.5}
    assert (row["due"], row["stages"]["captured"]) == (to_text(frame.due_us or 0), to_text(frame.captured_us))
    FrameRecord.model_validate(row)


def test_one_frames_verdict_stands_alone(api: Served) -> None:
    bad = keep_file(api.store, None, verdict="bad", score=12, reasons=("black",), flagged=True)
    judged = JudgedRecord.model_validate_json(api.get(f"/v1/frames/{bad.id}/quality").content)
    assert (judged.verdict, judged.score, judged.reasons, judged.flagged) == ("bad", 12, ("black",), True)


@pytest.mark.parametrize("what", ["", "/quality", "/image", "/small"])
def test_a_frame_that_is_not_there_is_a_404(api: Served, what: str) -> None:
    answer = api.get(f"/v1/frames/{'0' * 26}{what}")
    assert (answer.status_code, answer.json()["code"]) == (404, "API-003")


@pytest.fixture
def frame(api: Served) -> Frame:
    return keep_file(api.store, None, jpeg(640, 480))


def test_a_picture_comes_byte_for_byte_with_its_hash_as_tag(api: Served, frame: Frame) -> None:
    answer = api.get(f"/v1/frames/{frame.id}/image", "viewer")
    assert answer.content == (api.store.folder / frame.path).read_bytes()
    assert answer.headers["etag"] == f'"{frame.sha256}"'
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-length"] == str(frame.size_bytes)
    assert "immutable" in answer.headers["cache-control"]


def test_a_picture_that_the_client_has_is_not_sent_again(api: Served, frame: Frame) -> None:
    for what in ("image", "small"):
        first = api.get(f"/v1/frames/{frame.id}/{what}")
        again = api.get(f"/v1/frames/{frame.id}/{what}", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_one_range_of_a_picture_is_served(api: Served, frame: Frame) -> None:
    data = (api.store.folder / frame.path).read_bytes()
    path, size = f"/v1/frames/{frame.id}/image", len(data)
    part = api.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, data[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{size}"
    clamped = api.get(path, headers={"Range": "bytes=10-99999999999999999999"})
    assert (clamped.status_code, clamped.content) == (206, data[10:])
    tail = api.get(path, headers={"Range": "bytes=-5"})
    assert tail.content == data[-5:]
    assert api.get(path, headers={"Range": "bytes=0-1,4-5"}).content == data
    beyond = api.get(path, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.json()["code"]) == (416, "API-009")
    assert beyond.headers["content-range"] == f"bytes */{size}"


def test_a_range_of_another_version_becomes_the_whole(api: Served, frame: Frame) -> None:
    path = f"/v1/frames/{frame.id}/image"
    ranged = {"Range": "bytes=0-9"}
    assert api.get(path, headers={**ranged, "If-Range": f'"{frame.sha256}"'}).status_code == 206
    assert api.get(path, headers={**ranged, "If-Range": '"other"'}).status_code == 200


def test_head_says_what_get_would_send(api: Served, frame: Frame) -> None:
    for what in ("image", "small"):
        path = f"/v1/frames/{frame.id}/{what}"
        head, whole = api.ask("HEAD", path), api.get(path)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("etag", "content-type", "content-length"):
            assert head.headers[name] == whole.headers[name]


def test_a_file_that_is_gone_is_said_to_be(api: Served, frame: Frame) -> None:
    (api.store.folder / frame.path).unlink()
    for what in ("image", "small"):
        answer = api.get(f"/v1/frames/{frame.id}/{what}")
        assert (answer.status_code, answer.json()["code"]) == (404, "DSK-005")


def test_a_damaged_picture_is_served_as_bytes_but_has_no_small_one(api: Served) -> None:
    bad = keep_file(api.store, None, b"not a picture", quarantined=True, integrity="wrong_type", score=None)
    answer = api.get(f"/v1/frames/{bad.id}/image")
    assert (answer.content, answer.headers["content-type"]) == (b"not a picture", "application/octet-stream")
    small = api.get(f"/v1/frames/{bad.id}/small")
    assert (small.status_code, small.json()["code"]) == (422, "QUA-001")


def test_an_empty_file_is_served_as_nothing(api: Served) -> None:
    empty = keep_file(api.store, None, b"", quarantined=True, integrity="empty", score=None)
    answer = api.get(f"/v1/frames/{empty.id}/image")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("width", [160, 320, 640])
def test_small_pictures_have_the_width_asked_for(api: Served, width: int) -> None:
    frame = keep_file(api.store, None, jpeg(1280, 960))
    answer = api.get(f"/v1/frames/{frame.id}/small?width={width}")
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.width == width
    assert answer.headers["etag"] == f'"{frame.sha256}-{width}"'


def test_a_width_of_ones_own_is_not_taken(api: Served, frame: Frame) -> None:
    assert api.get(f"/v1/frames/{frame.id}/small?width=321").status_code == 422


def test_a_small_picture_is_made_once(api: Served, frame: Frame) -> None:
    for _ in range(3):
        assert api.get(f"/v1/frames/{frame.id}/small").status_code == 200
    text = api.get("/metrics").text
    assert 'heliograph_small_pictures_total{source="cache"} 2.0' in text
    assert 'heliograph_small_pictures_total{source="made"} 1.0' in text


# --- what became of a frame -----------------------------------------------------------------------------------------


def test_the_archive_of_a_frame_says_who_holds_it_since_when(api: Served, frame: Frame) -> None:
    assert api.get(f"/v1/frames/{frame.id}/archive").json()["receipts"] == []
    for target in ("usb", "nas"):
        keep_receipt(api.store, frame, target)
    record = ArchiveRecord.model_validate_json(api.get(f"/v1/frames/{frame.id}/archive", "viewer").content)
    assert [receipt.target for receipt in record.receipts] == ["nas", "usb"]
    nas = record.receipts[0]
    assert (nas.sha256, nas.size_bytes, nas.how, nas.name) == (
        frame.sha256, frame.size_bytes, "sha256sum", f"north/{frame.path}",
    )  # fmt: skip
    assert (record.sha256, record.deleted, record.deleted_rule) == (frame.sha256, None, "")
    assert api.get(f"/v1/frames/{'0' * 26}/archive").json()["code"] == "API-003"


def test_a_reclaimed_frame_is_gone_and_names_its_rule(api: Served, frame: Frame) -> None:
    reclaim(api.store, frame)
    for what in ("image", "small"):
        answer = api.get(f"/v1/frames/{frame.id}/{what}")
        assert (answer.status_code, answer.json()["code"]) == (410, "DSK-007")
        assert "frames_days" in answer.json()["detail"]
    record = ArchiveRecord.model_validate_json(api.get(f"/v1/frames/{frame.id}/archive").content)
    assert (record.deleted, record.deleted_rule) == (to_text(api.clock.now_us()), "frames_days")
    assert api.get(f"/v1/frames/{frame.id}").status_code == 200


def put_thumb(api: Served, frame: Frame, size: Size, data: bytes) -> None:
    path = path_of(api.store.folder, frame, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def width_of(picture: bytes) -> int:
    with Image.open(io.BytesIO(picture)) as opened:
        return opened.width


def test_a_small_picture_of_a_reclaimed_frame_is_made_from_its_thumbnail(api: Served, frame: Frame) -> None:
    put_thumb(api, frame, SIZES[0], jpeg(200, 150))
    reclaim(api.store, frame)
    assert width_of(api.get(f"/v1/frames/{frame.id}/small?width=160").content) == 160
    assert width_of(api.get(f"/v1/frames/{frame.id}/small?width=640").content) == 200


def test_a_small_picture_comes_from_the_smallest_thumbnail_that_is_large_enough(api: Served, frame: Frame) -> None:
    for size, shade in zip(SIZES, (10, 200), strict=True):
        put_thumb(api, frame, size, jpeg(size.width, size.height, shade))
    for width, shade in ((160, 10), (320, 200)):
        data = api.get(f"/v1/frames/{frame.id}/small?width={width}").content
        with Image.open(io.BytesIO(data)) as picture:
            assert abs(picture.getpixel((5, 5))[0] - shade) < 20  # type: ignore[index]


def test_a_thumbnail_that_is_broken_does_not_keep_the_picture_from_being_shown(api: Served, frame: Frame) -> None:
    for size in SIZES:
        put_thumb(api, frame, size, b"not a picture")
    assert width_of(api.get(f"/v1/frames/{frame.id}/small?width=320").content) == 320
