"""What every kind of target promises."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from unittest.mock import ANY

import pytest

from node.archive.base import MARKER, Item, Outcome, Receipt, Refused
from node.domain.errors import (
    FrameAltered,
    FrameMissing,
    HeliographError,
    MarkerMissing,
    NotArchived,
    ReceiptRefused,
    SameDevice,
    TargetUnavailable,
)
from tests.archives import Ground, corrupts, earned, quiet, stored, truncates, wanted

ODD_NAMES = [
    "with spaces  two.jpg",
    "-rf.jpg",
    "größe 照片.jpg",
    'it\'s "quoted" $(id) `id`;&.jpg',
    "new\nline.jpg",
    "#x",
    ";y",
]


def errors(outcomes: list[Outcome]) -> list[type[HeliographError]]:
    return [type(outcome.error) for outcome in outcomes if isinstance(outcome, Refused)]


def test_receipts_tell_what_lies_there_in_the_order_asked_for(ground: Ground) -> None:
    items = ground.yard.items(7)[::-1]
    outcomes = ground.ready().put(items, quiet)
    assert outcomes == [Receipt(item, item.name, item.size_bytes, item.sha256, ANY, ANY) for item in items]
    assert stored(ground.store) == wanted(items)
    now_us = ground.yard.where.clock.now_us()
    assert all(now_us - 60_000_000 < outcome.at_us <= now_us for outcome in outcomes if isinstance(outcome, Receipt))


def test_names_are_the_same_there_whatever_they_are(ground: Ground) -> None:
    items = [ground.yard.item(name) for name in ODD_NAMES]
    target = ground.ready()
    assert earned(target.put(items, quiet)) == [item.name for item in items]
    assert stored(ground.store) == wanted(items)
    assert earned(target.verify(items, quiet)) == [item.name for item in items]
    target.fetch(items[4], ground.yard.data / "back", quiet)
    assert (ground.yard.data / "back").read_bytes() == items[4].path.read_bytes()


def test_an_empty_file_and_a_large_one_are_files_too(ground: Ground) -> None:
    items = [ground.yard.item("empty", 0), ground.yard.item("large.mp4", 50_000_000)]
    assert earned(ground.ready().put(items, quiet)) == [item.name for item in items]
    assert stored(ground.store) == wanted(items)


def test_nothing_to_send_is_sent(ground: Ground) -> None:
    target = ground.ready()
    assert target.put([], quiet) == []
    assert target.verify([], quiet) == []


def test_an_item_lies_there_under_another_name_than_here(ground: Ground) -> None:
    item = ground.yard.item()
    moved = Item(item.id, "video", item.path, "north/videos/other.mp4", item.size_bytes, item.sha256)
    ground.ready().put([moved], quiet)
    assert stored(ground.store) == {"north/videos/other.mp4": item.sha256}


def test_what_is_there_is_not_sent_again(ground: Ground) -> None:
    items, target = ground.yard.items(3), ground.ready()
    target.put(items, quiet)
    before = [(ground.store / item.name).stat() for item in items]
    assert earned(target.put(items, quiet)) == [item.name for item in items]
    assert [(ground.store / item.name).stat().st_ino for item in items] == [each.st_ino for each in before]
    assert [(ground.store / item.name).stat().st_mtime_ns for item in items] == [each.st_mtime_ns for each in before]


def test_other_bytes_under_the_name_are_replaced_and_proved(ground: Ground) -> None:
    items, target = ground.yard.items(3), ground.ready()
    target.put(items, quiet)
    times = [(ground.store / item.name).stat().st_mtime_ns for item in items]
    corrupts(ground.store / items[0].name)
    truncates(ground.store / items[1].name)
    os.utime(ground.store / items[0].name, ns=(times[0], times[0]))  # of the same size and time: no look tells
    assert earned(target.put(items, quiet)) == [item.name for item in items]
    assert stored(ground.store) == wanted(items)


def test_a_file_that_is_not_what_was_kept_gives_no_receipt_and_names_the_node(ground: Ground) -> None:
    gone, altered, cut, sound = ground.yard.items(4)
    gone.path.unlink()
    corrupts(altered.path)
    truncates(cut.path)
    outcomes = ground.ready().put([gone, altered, cut, sound], quiet)
    assert errors(outcomes) == [FrameMissing, FrameAltered, FrameAltered]
    assert earned(outcomes) == [sound.name]


def test_a_disk_here_that_cannot_be_read_is_not_the_targets_fault(ground: Ground) -> None:
    unreadable, sound = ground.yard.items(2)
    unreadable.path.unlink()
    unreadable.path.mkdir()
    size = unreadable.path.stat().st_size
    item = Item(unreadable.id, "frame", unreadable.path, unreadable.name, size, unreadable.sha256)
    outcomes = ground.ready().put([item, sound], quiet)
    assert errors(outcomes) == [FrameAltered]
    assert earned(outcomes) == [sound.name]


@pytest.mark.parametrize("in_the_way", ["folder", "file"])
def test_a_name_that_is_taken_there_by_something_else_holds_nobody_up(ground: Ground, in_the_way: str) -> None:
    target, item, other = ground.ready(), ground.yard.item("a/b.jpg"), ground.yard.item("other.jpg")
    path = ground.store / item.name
    path.parent.parent.mkdir(parents=True)
    if in_the_way == "folder":
        (path / "c").mkdir(parents=True)
    else:
        path.parent.write_text("")
    outcomes = target.put([item, other], quiet)
    assert set(errors(outcomes)) <= {ReceiptRefused}  # rsync can put a folder in a file's place
    assert other.name in earned(outcomes)
    assert set(earned(outcomes)) <= set(stored(ground.store))


def test_a_good_copy_there_outlives_a_spoilt_file_here(ground: Ground) -> None:
    items, target = ground.yard.items(3), ground.ready()
    target.put(items, quiet)
    items[0].path.unlink()
    corrupts(items[1].path)
    truncates(items[2].path)
    assert earned(target.put(items, quiet)) == [item.name for item in items]
    assert stored(ground.store) == wanted(items)


def test_a_folder_without_the_marker_is_not_the_target(ground: Ground) -> None:
    target, items = ground.target(), ground.yard.items(1)
    for use in (
        target.check, target.space, lambda: target.put(items, quiet), lambda: target.verify(items, quiet),
        lambda: target.fetch(items[0], ground.yard.data / "back", quiet),
    ):  # fmt: skip
        with pytest.raises(MarkerMissing):
            use()
    assert list(ground.store.iterdir()) == []


@pytest.mark.parametrize("text", ["", "not JSON", "[]", '{"schema": 2}', '{"schema": "x"}'])
def test_a_marker_of_another_kind_is_none(ground: Ground, text: str) -> None:
    (ground.store / MARKER).write_text(text)
    with pytest.raises(MarkerMissing):
        ground.target().check()


def test_a_marker_is_written_once(ground: Ground) -> None:
    target = ground.ready()
    first = (ground.store / MARKER).read_text()
    target.init()
    assert (ground.store / MARKER).read_text() == first
    assert '"node": "north"' in first
    assert [path.name for path in ground.store.iterdir()] == [MARKER]
    target.check()


def test_a_target_that_is_not_there_is_not_made(ground: Ground) -> None:
    shutil.rmtree(ground.store)
    for use in (ground.target().check, ground.target().init):
        with pytest.raises(TargetUnavailable):
            use()
    assert not ground.store.exists()
    ground.store.mkdir()  # for the fixture to remove


def test_the_frames_own_file_system_gives_no_receipts(ground: Ground) -> None:
    ground.ready()
    beside = ground.yard.data.parent / "beside"
    shutil.copytree(ground.store, beside)
    ground.endpoint = ground.endpoint.model_copy(update={"path": str(beside)})
    with pytest.raises(SameDevice):
        ground.target().put(ground.yard.items(1), quiet)
    with pytest.raises(SameDevice):
        ground.target().init()
    assert stored(beside) == {}


def test_reading_again_finds_what_became_of_the_files(ground: Ground) -> None:
    items, target = ground.yard.items(4), ground.ready()
    target.put(items, quiet)
    corrupts(ground.store / items[0].name)
    truncates(ground.store / items[1].name)
    (ground.store / items[2].name).unlink()
    outcomes = target.verify(items, quiet)
    assert errors(outcomes) == [ReceiptRefused, ReceiptRefused, NotArchived]
    assert earned(outcomes) == [items[3].name]
    cut = outcomes[1]
    assert isinstance(cut, Refused)
    assert cut.found.startswith("10,000 bytes, SHA-256 ")


def test_reading_again_needs_no_file_here(ground: Ground) -> None:
    items, target = ground.yard.items(2), ground.ready()
    target.put(items, quiet)
    shutil.rmtree(ground.yard.data / "frames")
    assert earned(target.verify(items, quiet)) == [item.name for item in items]


def test_an_item_comes_back_whole(ground: Ground) -> None:
    item, target = ground.yard.item(size=3_000_000), ground.ready()
    target.put([item], quiet)
    back = ground.yard.data / "frames" / "new folder" / "back.jpg"
    target.fetch(item, back, quiet)
    assert hashlib.sha256(back.read_bytes()).hexdigest() == item.sha256
    assert [path.name for path in back.parent.iterdir()] == ["back.jpg"]


@pytest.mark.parametrize("spoil", [corrupts, truncates, Path.unlink])
def test_what_comes_back_wrong_does_not_come_at_all(ground: Ground, spoil: object) -> None:
    item, target = ground.yard.item(), ground.ready()
    target.put([item], quiet)
    assert callable(spoil)
    spoil(ground.store / item.name)
    with pytest.raises(NotArchived if spoil is Path.unlink else ReceiptRefused):
        target.fetch(item, ground.yard.data / "back.jpg", quiet)
    assert not (ground.yard.data / "back.jpg").exists()
    assert not (ground.yard.data / ".back.jpg.tmp").exists()


def test_a_beat_that_raises_ends_it_and_the_next_time_finishes(ground: Ground) -> None:
    items, target = ground.yard.items(30, 1_000_000), ground.ready()

    def stop(_progress: float | None, _said: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        target.put(items, stop)
    assert earned(target.put(items, quiet)) == [item.name for item in items]
    assert stored(ground.store) == wanted(items)


def test_progress_goes_up_to_the_end(ground: Ground) -> None:
    told: list[float] = []
    ground.ready().put(ground.yard.items(20, 2_000_000), lambda progress, _said: told.append(progress or 0.0))
    assert told == sorted(told)
    assert 0.5 < told[-1] <= 1


def test_room_is_told(ground: Ground) -> None:
    room = ground.ready().space()
    assert 0 < room.free_bytes <= room.total_bytes


def test_a_target_that_was_closed_is_used_again(ground: Ground) -> None:
    items, target = ground.yard.items(1), ground.ready()
    target.close()
    assert earned(target.put(items, quiet)) == [items[0].name]


@pytest.mark.slow
def test_five_thousand_items_in_one_batch(ground: Ground) -> None:
    items = ground.yard.items(5000, 500)
    assert earned(ground.ready().put(items, quiet)) == [item.name for item in items]
    assert stored(ground.store) == wanted(items)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a//b", "a/./b", "", "a\0b", ".heliograph-target", "a/.x.tmp"])
def test_no_name_leads_out_of_the_target(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        Item("1", "frame", tmp_path, name, 1, "0" * 64)
