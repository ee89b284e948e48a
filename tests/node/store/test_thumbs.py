from __future__ import annotations

from node.store import thumbs
from node.store.cursors import newest_seq
from node.store.thumbs import SIZES, path_of, thumb_path
from tests.stores import Store, frame_of, keep_many


def test_a_thumbnail_lies_with_its_camera_and_site_date(store: Store) -> None:
    frame = frame_of(store.clock, path="frames/main/default/2026/11/19/x.jpg")
    expected = store.folder / "thumbs" / "main" / "2026-11-19" / f"{frame.id}_200.jpg"
    assert path_of(store.folder, frame, SIZES[0]) == expected


def test_the_smallest_that_is_there_and_wide_enough_is_given(store: Store) -> None:
    frame = frame_of(store.clock)
    small, large = (path_of(store.folder, frame, size) for size in SIZES)
    assert thumb_path(store.folder, frame, 100) is None
    large.parent.mkdir(parents=True)
    large.write_bytes(b"large")
    assert thumb_path(store.folder, frame, 100) == large
    small.write_bytes(b"small")
    given = [thumb_path(store.folder, frame, width) for width in (100, 200, 201, 800, 801)]
    assert given == [small, small, large, large, None]


def test_frames_that_want_thumbnails_come_in_the_order_of_their_rows(store: Store) -> None:
    kept = keep_many(store, 6)
    keep_many(store, 3, camera="side")
    quarantined = frame_of(store.clock, quarantined=True)
    store.journal.quarantine(quarantined, None, [], day="2026-11-18")
    gone = "INSERT INTO frames_gone (frame_id, deleted_us, rule, receipts) VALUES (?, 1, 'age', '[]')"
    store.database.write(lambda session: session.execute(gone, (kept[2].id,)))
    store.database.write(lambda session: session.execute(gone, (kept[5].id,)))

    def ids(after_seq: int, limit: int = 9) -> list[str]:
        found = store.database.read(lambda session: thumbs.wanting(session, "main", after_seq, limit))
        return [each.frame_id for each in found]

    assert ids(0) == [kept[number].id for number in (0, 1, 3, 4)]
    assert ids(0, limit=2) == [kept[0].id, kept[1].id]
    assert ids(4) == [kept[4].id]
    assert store.database.read(lambda session: thumbs.count_wanting(session, "main")) == 4
    (newest,) = store.database.read(lambda session: thumbs.newest_wanting(session, "main"))
    assert newest.frame_id == kept[4].id
    assert store.database.read(lambda session: thumbs.newest_wanting(session, "other")) == []


def test_a_camera_is_told_whether_it_has_frames_beyond_a_row(store: Store) -> None:
    assert store.database.read(newest_seq) == 0
    keep_many(store, 3)
    keep_many(store, 2, camera="side")

    def beyond(camera: str, after_seq: int, up_to_seq: int) -> bool:
        return store.database.read(lambda session: thumbs.any_beyond(session, camera, after_seq, up_to_seq))

    assert store.database.read(newest_seq) == 5
    assert [beyond("main", 2, 5), beyond("main", 3, 5), beyond("side", 3, 4), beyond("side", 5, 9)] == [
        True, False, True, False,
    ]  # fmt: skip
