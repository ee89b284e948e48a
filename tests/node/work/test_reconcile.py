"""Files against rows: what has a rule is mended, all of it is named, no original is deleted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from node.domain.job import JobState
from node.domain.sidecar import to_sidecar
from node.imaging.exif import with_sidecar
from node.store.archive import CHUNK, ReceiptRow, mark_gone
from node.store.database import Database
from node.store.session import Work
from tests.simulate.holdings import half_gone, here, unaccounted
from tests.stores import frame_of
from tests.yards import Yard, do, yard_in

HOURS_S = 2 * 3600
PICTURE = bytes.fromhex("ffd8ffe000104a46494600010100000100010000") + bytes(2000) + bytes.fromhex("ffd9")


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    with yard_in(tmp_path, monkeypatch) as made:
        yield made


def compared(yard: Yard) -> dict[str, object]:
    job = do(yard, "reconcile")
    assert job.state is JobState.DONE, job.error
    (told,) = yard.told("reconciled")[-1:]
    assert told == {name: job.result[name] for name in ("orphan_files", "orphan_rows", "repaired")}
    return dict(job.result)


def test_where_all_fits_nothing_is_said_and_nothing_changes(yard: Yard) -> None:
    frames = yard.keep(3)
    yard.thumbnail(frames[0])
    yard.video()
    yard.clock.advance(HOURS_S)
    found = compared(yard)
    assert (found["orphan_files"], found["orphan_rows"], found["repaired"]) == (0, 0, 0)
    assert len(here(yard.folder)) == 3


def test_an_empty_node_is_compared_too(yard: Yard) -> None:
    assert compared(yard)["repaired"] == 0


def test_no_transaction_marks_more_than_a_chunk(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = yard.keep(2 * CHUNK + 50)
    for frame in frames:
        (yard.folder / frame.path).unlink()
    yard.clock.advance(HOURS_S)
    counts, write = [0], Database.write

    def counted(database: Database, work: Work[object], **how: bool) -> object:
        done = write(database, work, **how)
        counts.append(len(yard.rules()))
        return done

    monkeypatch.setattr(Database, "write", counted)
    assert compared(yard)["repaired"] == len(frames)
    assert set(yard.rules().values()) == {"missing"}
    assert {after - before for before, after in pairwise(counts)} - {0} == {CHUNK, 50}


def gone(yard: Yard, count: int, rule: str = "room_frames") -> list[str]:
    """Frames whose rows say that they are gone while their files are still here, as a crash leaves them."""
    frames = yard.keep(count)
    yard.clock.advance(60)
    now_us = yard.clock.now_us()
    for frame in frames:
        row = ReceiptRow(frame.id, "nas", "frame", "n", frame.size_bytes, frame.sha256, "read", 1)
        yard.store.database.write(lambda session, id_=frame.id, row=row: mark_gone(session, id_, rule, (row,), now_us))
    return [frame.id for frame in frames]


def test_a_deletion_that_was_cut_in_two_is_finished(yard: Yard) -> None:
    gone(yard, 3)
    found = compared(yard)
    assert (found["orphan_files"], found["repaired"]) == (3, 3)
    assert half_gone(yard.folder) == []
    assert unaccounted(yard.folder) == []


def test_it_is_not_finished_where_the_receipts_are_gone_the_frame_is_kept_after_all(yard: Yard) -> None:
    frames = gone(yard, 2)
    yard.plant("DELETE FROM receipts WHERE item = ?", frames[0])
    found = compared(yard)
    assert found["orphan_files"] == 2
    assert found["repaired"] == 1
    assert here(yard.folder) == [frames[0]]
    assert set(yard.rules()) == {frames[1]}
    assert unaccounted(yard.folder) == []


def test_what_was_overwritten_without_a_target_is_finished_without_receipts(yard: Yard) -> None:
    frames = gone(yard, 2, "without_target")
    yard.plant("DELETE FROM receipts")
    compared(yard)
    assert here(yard.folder) == []
    assert set(yard.rules()) == set(frames)


def test_a_file_that_is_not_what_was_kept_is_named_and_left_alone(yard: Yard) -> None:
    (frame,) = gone(yard, 1)
    path = yard.folder / yard.made[0].path
    os.utime(path, (1, 1))
    path.write_bytes(b"something else")
    for _ in range(2):
        found = compared(yard)
        assert found["files"] == [yard.made[0].path]
        assert found["repaired"] == 0
    assert path.read_bytes() == b"something else"
    assert [body["item"] for body in yard.told("reclaim_stopped")] == [frame]


def test_a_file_that_was_brought_back_is_kept_and_its_row_says_so(yard: Yard) -> None:
    (frame,) = gone(yard, 1)
    yard.clock.advance(60)
    yard.write(yard.made[0].path, (yard.folder / yard.made[0].path).read_bytes())
    compared(yard)
    assert here(yard.folder) == [frame]
    assert yard.rules() == {}


def test_a_row_without_a_file_is_named_and_can_be_brought_back_where_a_target_holds_it(yard: Yard) -> None:
    held, lost = yard.keep()[0], yard.keep(held_by=())[0]
    for frame in (held, lost):
        (yard.folder / frame.path).unlink()
    found = compared(yard)
    assert (found["orphan_rows"], found["repaired"], found["lost"]) == (2, 1, [lost.path])
    assert yard.rules() == {held.id: "missing"}
    assert compared(yard)["orphan_rows"] == 1


def test_a_folder_that_comes_back_with_its_frames_loses_none_of_them(yard: Yard) -> None:
    yard.keep(3)
    away = yard.folder.parent / f"{yard.folder.name}-away"
    (yard.folder / "frames").rename(away)
    assert compared(yard)["orphan_rows"] == 3
    away.rename(yard.folder / "frames")
    compared(yard)
    assert len(here(yard.folder)) == 3
    assert yard.rules() == {}


def test_frames_without_a_row_get_theirs_and_what_is_none_is_named(yard: Yard) -> None:
    frame = frame_of(yard.clock)
    yard.write(frame.path, with_sidecar(PICTURE, to_sidecar(frame)))
    alien = yard.write("frames/main/default/2026/11/18/holiday.jpg", PICTURE)
    assert compared(yard)["orphan_files"] == 0, "the service may still be at it"
    yard.clock.advance(HOURS_S)
    found = compared(yard)
    assert (found["orphan_files"], found["repaired"]) == (2, 1)
    assert here(yard.folder) == [frame.id]
    assert alien.exists()


def test_leftovers_go_when_nobody_can_be_at_them_any_more(yard: Yard) -> None:
    (frame,) = yard.keep()
    folder = Path(frame.path).parent
    old = yard.write(f"{folder}/.a.jpg.tmp", b"half")
    yard.clock.advance(HOURS_S)
    young = yard.write(f"{folder}/.b.jpg.tmp", b"half")
    found = compared(yard)
    assert (found["orphan_files"], found["repaired"]) == (1, 1)
    assert not old.exists()
    assert young.exists()


def test_a_video_that_no_row_knows_is_named_and_stays_and_a_removed_one_goes(yard: Yard) -> None:
    kept, removed, lost = yard.video(), yard.video(), yard.video()
    yard.plant("UPDATE videos SET deleted_us = 1, deleted_rule = 'asked' WHERE id = ?", removed.id)
    (yard.folder / lost.path).unlink()
    alien = yard.write("videos/main/holiday.mp4", b"x")
    yard.clock.advance(HOURS_S)
    found = compared(yard)
    assert found["files"] == [removed.poster, removed.path, "videos/main/holiday.mp4"]
    assert found["rows"] == [lost.path]
    assert found["repaired"] == 2
    assert alien.exists()
    assert (yard.folder / kept.path).exists()
    assert not (yard.folder / removed.path).exists()


def test_thumbnails_of_frames_that_nobody_knows_go(yard: Yard) -> None:
    (frame,) = yard.keep()
    kept, alien = yard.thumbnail(frame), yard.thumbnail(frame_of(yard.clock))
    yard.clock.advance(HOURS_S)
    assert compared(yard)["repaired"] == 1
    assert kept.exists()
    assert not alien.exists()


def test_after_a_restored_backup_nothing_that_is_here_is_taken_for_gone(yard: Yard) -> None:
    yard.keep(4)
    shutil.rmtree(yard.folder / "frames")
    yard.plant("DELETE FROM receipts")
    found = compared(yard)
    assert (found["orphan_rows"], found["repaired"], len(found["lost"])) == (4, 0, 4)
    assert yard.rules() == {}
