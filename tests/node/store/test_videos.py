from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from node.clock import US
from node.domain.errors import NotFound
from node.domain.job import RenderPayload
from node.store import videos
from node.store.query import first_id
from node.store.videos import LeftOut, Video, VideoReader
from tests.clocks import START_US
from tests.stores import Store, frame_of, keep_many

SHOOT = "main/default/2026-11-18/auto"


def video_of(number: int, **changes: object) -> Video:
    made = Video(
        id=first_id(number * 1000), camera="main", profile="auto", shoot=None, job_id=f"JOB{number}", title="a day",
        from_us=START_US, to_us=START_US + 1, path=f"videos/main/{number}.mp4", poster=f"videos/main/{number}.jpg",
        size_bytes=1234, sha256="5" * 64, width=640, height=480, fps=25.0, frames=30, duration_s=1.2, codec="h264",
        encoder="libx264", tier="standard", left_out=LeftOut(1, (("F1", "flagged"),)), created_us=START_US,
    )  # fmt: skip
    return replace(made, **changes)


def put(store: Store, *made: Video) -> VideoReader:
    store.database.write(lambda session: [videos.insert(session, each) for each in made])
    return VideoReader(store.database)


def test_a_video_comes_back_as_it_went_in(store: Store) -> None:
    video = video_of(1, shoot=SHOOT, pinned=True)
    reader = put(store, video)
    assert reader.get(video.id) == video
    assert store.database.read(lambda session: videos.of_shoot(session, SHOOT)) == video
    with pytest.raises(NotFound):
        reader.get("nothing")


def test_videos_come_in_pages_newest_first(store: Store) -> None:
    made = [video_of(number, camera="side" if number % 3 == 0 else "main") for number in range(1, 10)]
    reader = put(store, *made)
    store.database.write(lambda session: videos.retire(session, made[7].id, "age", 5))
    first = reader.page(limit=4)
    assert [each.id for each in first] == [made[number].id for number in (8, 6, 5, 4)]
    assert [each.id for each in reader.page(after=first[-1].id)] == [made[number].id for number in (3, 2, 1, 0)]
    assert len(reader.page(removed=True)) == 9
    assert {each.camera for each in reader.page(camera="side")} == {"side"}


def test_a_shoot_has_one_video_at_a_time(store: Store) -> None:
    reader = put(store, video_of(1, shoot=SHOOT))
    with pytest.raises(sqlite3.IntegrityError):
        put(store, video_of(2, shoot=SHOOT))
    store.database.write(lambda session: videos.retire(session, video_of(1).id, "replaced", 5))
    put(store, video_of(2, shoot=SHOOT))
    assert [each.id for each in reader.page(shoot=SHOOT)] == [video_of(2).id]
    assert [each.deleted_rule for each in reader.page(shoot=SHOOT, removed=True)] == ["", "replaced"]
    assert reader.files() == {"videos/main/2.mp4", "videos/main/2.jpg"}


def test_a_video_is_retired_once_and_not_changed_after(store: Store) -> None:
    reader, identity = put(store, video_of(1)), video_of(1).id

    def retire(rule: str) -> bool:
        return store.database.write(lambda session: videos.retire(session, identity, rule, 5))

    assert [retire("age"), retire("asked")] == [True, False]
    assert reader.get(identity).deleted_rule == "age"
    assert store.database.write(lambda session: videos.change(session, identity, pinned=True)) is None
    assert not reader.get(identity).pinned


def test_a_video_is_renamed_and_pinned(store: Store) -> None:
    reader, identity = put(store, video_of(1)), video_of(1).id
    renamed = store.database.write(lambda session: videos.change(session, identity, title="first snow"))
    assert renamed == replace(video_of(1), title="first snow")
    pinned = store.database.write(lambda session: videos.change(session, identity, pinned=True))
    assert reader.get(identity) == pinned == replace(video_of(1), title="first snow", pinned=True)


def test_a_thousand_frames_left_out_are_named_and_all_are_counted() -> None:
    many = LeftOut(5000, tuple((f"F{number}", "missing") for number in range(5000)))
    told = LeftOut.from_text(many.to_text())
    assert (told.count, told.frames) == (5000, many.frames[:1000])


def test_a_shoot_shows_its_own_frames_in_their_order(store: Store) -> None:
    kept = keep_many(store, 30)
    keep_many(store, 5, camera="side")
    flagged = keep_many(store, 1, flagged=True, verdict="bad")
    wanted = RenderPayload(camera="main", shoot=SHOOT)
    reader = VideoReader(store.database)
    material = list(reader.material(wanted))
    assert [each.frame_id for each in material] == [each.id for each in (*kept, *flagged)]
    assert reader.count_material(wanted) == 31
    assert [each.flagged for each in material] == [False] * 30 + [True]
    assert (material[0].path, material[0].captured_us) == (kept[0].path, kept[0].captured_us)


def test_a_span_holds_what_was_captured_in_it(store: Store) -> None:
    kept = keep_many(store, 20, interval_s=60)
    keep_many(store, 3, interval_s=1, profile="night")
    wanted = RenderPayload(camera="main", from_us=kept[5].captured_us, to_us=kept[12].captured_us)
    reader = VideoReader(store.database)
    assert [each.frame_id for each in reader.material(wanted)] == [each.id for each in kept[5:12]]
    assert reader.count_material(wanted) == 7
    night = wanted.model_copy(update={"profile": "night", "to_us": START_US + 3600 * US})
    assert reader.count_material(night) == 3


def test_a_long_shoot_is_read_in_batches(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(videos, "_BATCH", 7)
    kept = keep_many(store, 23, interval_s=60)
    wanted = RenderPayload(camera="main", shoot=SHOOT)
    assert [each.frame_id for each in VideoReader(store.database).material(wanted)] == [each.id for each in kept]


def test_a_span_without_frames_has_none(store: Store) -> None:
    wanted = RenderPayload(camera="main", from_us=0, to_us=1)
    reader = VideoReader(store.database)
    assert (list(reader.material(wanted)), reader.count_material(wanted)) == ([], 0)
    assert frame_of(store.clock).camera == "main"


@pytest.mark.parametrize("wanted", [
    RenderPayload(camera="main", shoot=SHOOT),
    RenderPayload(camera="main", from_us=START_US, to_us=START_US + 86400 * US),
])  # fmt: skip
def test_no_search_for_frames_goes_through_the_whole_table(store: Store, wanted: RenderPayload) -> None:
    source = videos._source_of(wanted)
    sql = f"EXPLAIN QUERY PLAN SELECT path FROM {source.tables} WHERE {source.conditions} ORDER BY {source.key}"
    steps = " ".join(str(row[-1]) for row in store.rows(sql, *source.values))
    assert "SCAN" not in steps
    assert "TEMP B-TREE" not in steps
