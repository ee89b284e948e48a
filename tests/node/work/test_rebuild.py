from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg

from node.clock import US
from node.domain.errors import DirectoryHeld
from node.domain.frame import Frame, GapReason
from node.domain.sidecar import to_sidecar
from node.domain.times import from_text
from node.imaging.exif import with_sidecar
from node.journal import NODE
from node.store.backup import make
from node.store.database import NAME
from node.store.files import hold, write_atomic
from node.store.replace import open_sound
from node.work.rebuild import adopt_recent, rebuild, recover
from tests.clocks import JumpClock
from tests.stores import Store, day, frame_of, gap_of, keep_many, kept_event, opened, slot_of


@pytest.fixture(scope="module")
def picture() -> bytes:
    noise = np.random.default_rng(7).integers(0, 255, (48, 64, 3), np.uint8)
    return bytes(simplejpeg.encode_jpeg(noise))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as made:
        yield made


def written(store: Store, picture: bytes, **changes: Any) -> Frame:
    """A frame whose file is safe, and that has no row yet."""
    store.clock.advance(600)
    due_us = changes.pop("due_us", store.clock.now_us())
    frame = frame_of(store.clock, due_us, **changes)
    data = picture if frame.quarantined else with_sidecar(picture, to_sidecar(frame))
    path = store.folder / frame.path
    if frame.quarantined:
        write_atomic(path.with_name(path.name + ".json"), json.dumps(to_sidecar(frame)).encode())
    write_atomic(path, data)
    return replace(frame, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def kept(store: Store, picture: bytes, **changes: Any) -> Frame:
    frame = written(store, picture, **changes)
    slot = None if frame.due_us is None else slot_of(frame)
    store.journal.keep(frame, slot, [kept_event(frame)], day=day(frame.captured_us))
    return frame


def rows(store: Store, *tables: str) -> dict[str, list[tuple[Any, ...]]]:
    """Without what tells only the order or the time of writing."""
    skip = {"frames": {"seq"}, "slots": {"settled_us"}}
    found = {}
    for table in tables:
        names = [row[1] for row in store.rows(f"PRAGMA table_info({table})")]
        chosen = ", ".join(str(name) for name in names if name not in skip.get(table, set()))
        found[table] = sorted(store.rows(f"SELECT {chosen} FROM {table}"))
    return found


FROM_FILES = ("frames", "slots", "frame_shoots", "day_counts", "hour_scores")


def adopt(store: Store) -> Any:
    return adopt_recent(store.folder, store.journal, store.frames)


def test_files_alone_give_every_column_of_every_row_again(tmp_path: Path, picture: bytes) -> None:
    with opened(tmp_path) as store:
        for number in range(5):
            kept(store, picture, score=80 + number, sun_elevation_deg=None if number else -3.25)
        kept(store, picture, verdict="bad", score=7, flagged=True, reasons=("black", "stuck"), recaptured=True)
        kept(store, picture, camera="side", profile="night", clock_synced=False, settled=False, config_version=4)
        kept(store, picture, due_us=None, schedules=(), shoots=(), score=None, verdict="unjudged")
        aside = written(store, picture, quarantined=True, integrity="truncated", score=None, verdict="unjudged")
        gap = replace(gap_of(aside.due_us or 0, GapReason.DAMAGED), shoots=aside.shoots, error_code="")
        store.journal.quarantine(aside, gap, [kept_event(aside)], day=day(aside.captured_us))
        before, clock = rows(store, *FROM_FILES), store.clock
    (tmp_path / NAME).unlink()
    report = rebuild(tmp_path, clock)
    assert (report.files, len(report.adopted), report.foreign, report.missing, report.changed) == (9, 9, (), (), ())
    with opened(tmp_path, clock) as store:
        assert rows(store, *FROM_FILES) == before


def test_a_frame_of_an_unset_clock_widens_no_look_at_start(store: Store, picture: bytes) -> None:
    kept(store, picture)
    store.clock.advance(40 * 86400)
    keep_many(store, 99)
    today_us = store.clock.now_us()
    store.clock.step(-today_us / US)
    kept(store, picture, clock_synced=False)
    store.clock.step((today_us - store.clock.now_us()) / US)
    orphan = written(store, picture)
    report = adopt(store)
    assert (report.files, report.adopted) == (1, (orphan.id,))


def test_where_no_clock_was_ever_set_the_last_rows_say_where_to_look(store: Store, picture: bytes) -> None:
    kept(store, picture, clock_synced=False)
    orphan = written(store, picture, clock_synced=False)
    assert adopt(store).adopted == (orphan.id,)


def test_a_frame_between_its_file_and_its_row_is_adopted_at_start(store: Store, picture: bytes) -> None:
    known = [kept(store, picture) for _ in range(3)]
    orphan = written(store, picture)
    before = store.events.newest()
    report = adopt(store)
    assert report.adopted == (orphan.id,)
    assert store.frames.get(orphan.id) == orphan
    assert store.ledger.slot(slot_of(orphan)).frame_id == orphan.id
    (event,) = store.events.after(before)
    assert (event.kind, event.frame, event.body["took_ms"]) == ("frame", orphan.id, 20)
    assert adopt(store).adopted == ()
    assert [frame.id for frame in store.frames.every()] == [frame.id for frame in (*known, orphan)]


def test_a_first_frame_is_adopted_though_no_row_says_where_to_look(store: Store, picture: bytes) -> None:
    orphan = written(store, picture)
    assert adopt(store).adopted == (orphan.id,)


def test_a_start_looks_only_around_the_rows_written_last(store: Store, picture: bytes) -> None:
    old = written(store, picture)
    store.clock.advance(10 * 86_400)
    kept(store, picture)
    recent = written(store, picture)
    assert adopt(store).adopted == (recent.id,)
    assert not store.frames.known(old.id)


def test_an_orphan_whose_slot_became_a_gap_is_an_extra_frame(store: Store, picture: bytes) -> None:
    orphan = written(store, picture)
    store.journal.gap(gap_of(orphan.due_us or 0), [], day=day(orphan.captured_us))
    assert adopt(store).adopted == (orphan.id,)
    assert store.frames.get(orphan.id) == replace(orphan, due_us=None)
    assert store.ledger.slot(slot_of(orphan)).reason == "timeout"


def test_a_quarantined_orphan_makes_its_slot_a_gap_unless_a_good_picture_has_it(store: Store, picture: bytes) -> None:
    alone = written(store, picture, quarantined=True, integrity="truncated", score=None, verdict="unjudged")
    first = written(store, picture, quarantined=True, integrity="damaged", score=None, verdict="unjudged")
    second = written(store, picture, due_us=first.due_us, recaptured=True)
    report = adopt(store)
    assert set(report.adopted) == {alone.id, first.id, second.id}
    assert store.ledger.slot(slot_of(alone)).reason == "damaged"
    assert store.ledger.slot(slot_of(first)).frame_id == second.id
    assert [row.kind for row in store.events.after(0)] == ["frame", "quarantine", "gap", "quarantine"]
    commanded = written(store, picture, due_us=None, quarantined=True, score=None)
    assert adopt(store).adopted == (commanded.id,)


def test_a_sidecar_beside_a_picture_put_aside_may_be_broken_or_alone(store: Store, picture: bytes) -> None:
    for number, text in enumerate(["{", "[]", json.dumps({"schema": 7})]):
        frame = written(store, picture, quarantined=True, score=None)
        (store.folder / f"{frame.path}.json").write_text(text)
        if number == 0:
            (store.folder / f"{frame.path}x.json").write_text("alone")
    report = adopt(store)
    assert report.adopted == ()
    assert report.files == 3
    assert [".json: " in each.why or "schema 7" in each.why for each in report.foreign] == [True] * 3


def test_a_frame_counts_on_the_site_day_of_its_slot(store: Store, picture: bytes) -> None:
    store.journal.begin_book()
    berlin = {"site": {"timezone": "Europe/Berlin"}}
    store.journal.put_config(berlin, 1, NODE, store.clock.now_us(), None)
    midnight_us = from_text("2026-11-20T23:00:00Z")
    store.clock.advance((midnight_us - store.clock.now_us()) / US - 599)
    before = written(store, picture, due_us=midnight_us - US, config_version=2)
    after = written(store, picture, due_us=midnight_us, camera="side", config_version=2)
    unknown = written(store, picture, due_us=midnight_us, camera="third", config_version=77)
    assert set(adopt(store).adopted) == {before.id, after.id, unknown.id}
    assert {each.camera: each.day for each in store.ledger.days()} == {
        "main": "2026-11-20", "side": "2026-11-21", "third": "2026-11-20",
    }  # fmt: skip


def test_unfinished_files_go_and_foreign_ones_are_named_and_stay(store: Store, picture: bytes) -> None:
    frame = kept(store, picture)
    folder = (store.folder / frame.path).parent
    (folder / ".x.jpg.tmp").write_bytes(b"half")
    (folder / "holiday.jpg").write_bytes(picture)
    (folder / "notes.txt").write_text("hello")
    newer = to_sidecar(frame_of(store.clock)) | {"schema": 99}
    (folder / "newer.jpg").write_bytes(with_sidecar(picture, newer))
    shutil.copy(store.folder / frame.path, folder / "copy.jpg")
    report = adopt(store)
    assert report.swept == 1
    assert not (folder / ".x.jpg.tmp").exists()
    said = {each.path.rpartition("/")[2]: each.why for each in report.foreign}
    assert set(said) == {"holiday.jpg", "notes.txt", "newer.jpg", "copy.jpg"}
    assert said["holiday.jpg"] == "it carries no sidecar"
    assert "schema 99" in said["newer.jpg"]
    assert frame.id in said["copy.jpg"]
    assert len(list(folder.iterdir())) == 5


def test_a_file_that_cannot_be_read_is_named(store: Store, picture: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    orphan = written(store, picture)
    real = Path.open

    def fail(self: Path, *arguments: Any, **named: Any) -> Any:
        if self.name == Path(orphan.path).name:
            raise PermissionError(13, "Permission denied")
        return real(self, *arguments, **named)

    monkeypatch.setattr(Path, "open", fail)
    assert [each.why for each in adopt(store).foreign] == ["Permission denied"]


def test_rows_without_files_and_files_of_another_size_are_reported_not_removed(tmp_path: Path, picture: bytes) -> None:
    with opened(tmp_path) as store:
        gone, grown, fine = (kept(store, picture) for _ in range(3))
        clock = store.clock
    (tmp_path / gone.path).unlink()
    with (tmp_path / grown.path).open("ab") as file:
        file.write(b"more")
    report = rebuild(tmp_path, clock)
    assert (report.files, report.adopted, report.missing, report.changed) == (2, (), (gone.path,), (grown.path,))
    with opened(tmp_path, clock) as store:
        assert [frame.id for frame in store.frames.every()] == [gone.id, grown.id, fine.id]


@pytest.mark.parametrize("clean", [True, False])
def test_a_damaged_database_is_put_aside_and_made_anew(tmp_path: Path, picture: bytes, *, clean: bool) -> None:
    with opened(tmp_path) as store:
        frames = [kept(store, picture) for _ in range(40)]
        clock = store.clock
    path = tmp_path / NAME
    data = bytearray(path.read_bytes())
    for page in range(3, len(data) // 2048, 3):
        data[page * 2048 : page * 2048 + 8] = bytes(8)
    path.write_bytes(data)
    if not clean:
        (tmp_path / (NAME + "-wal")).write_bytes(b"")  # as a release before left it
    report = rebuild(tmp_path, clock)
    assert (tmp_path / report.aside).read_bytes() == data
    assert len(report.adopted) == 40
    with opened(tmp_path, clock) as store:
        assert list(store.frames.every()) == frames
        assert [(event.kind, event.body["adopted"]) for event in store.events.after(0)] == [("database_restored", 40)]


def test_damage_that_only_a_check_finds_is_found(tmp_path: Path, picture: bytes) -> None:
    with opened(tmp_path) as store:
        frames = [kept(store, picture) for _ in range(40)]
        clock = store.clock
        (root,) = store.rows("SELECT rootpage FROM sqlite_master WHERE name = 'frames_camera'")[0]
    with (tmp_path / NAME).open("r+b") as file:
        file.seek((int(str(root)) - 1) * 2048)
        file.write(bytes(2048))
    report = rebuild(tmp_path, clock)
    assert (report.aside != "", len(report.adopted)) == (True, 40)
    with opened(tmp_path, clock) as store:
        assert list(store.frames.every()) == frames


def test_a_large_file_is_hashed_whole_and_an_empty_folder_is_no_trouble(store: Store, picture: bytes) -> None:
    orphan = written(store, picture + bytes(3_000_000))
    (store.folder / "frames/main/default/2026/11/17").mkdir()
    assert adopt(store).adopted == (orphan.id,)
    assert store.frames.get(orphan.id) == orphan


def test_a_file_that_is_no_database_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"garbage" * 1000)
    report = rebuild(tmp_path, JumpClock())
    assert report.aside.startswith(f"{NAME}.damaged-2026")
    assert (tmp_path / report.aside).read_bytes() == b"garbage" * 1000


def test_a_rebuild_beside_a_running_service_is_refused(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(DirectoryHeld):
        rebuild(tmp_path, JumpClock())


def test_a_frame_that_a_rule_deleted_is_not_missing(tmp_path: Path, picture: bytes) -> None:
    with opened(tmp_path) as store:
        gone, lost, here = (kept(store, picture) for _ in range(3))
        for frame in (gone, lost):
            (tmp_path / frame.path).unlink()
        store.database.write(
            lambda session: session.execute("INSERT INTO frames_gone VALUES (?, 1, 'age', '[]')", (gone.id,))
        )
        clock = store.clock
    report = rebuild(tmp_path, clock)
    assert (report.missing, report.adopted, report.files) == ((lost.path,), (), 1)
    assert here.path not in report.missing


def test_after_a_restore_frames_are_looked_for_everywhere_and_it_is_told_once(tmp_path: Path, picture: bytes) -> None:
    with opened(tmp_path) as store:
        kept(store, picture)
        made = make(store.database.path, store.clock.now_us(), bool)
        today_us = store.clock.now_us()
        store.clock.step(-today_us / US)
        unset = kept(store, picture, clock_synced=False)
        store.clock.step((today_us - store.clock.now_us()) / US)
        since = kept(store, picture)
        clock = store.clock
    (tmp_path / NAME).write_bytes(b"garbled" * 999)
    open_sound(tmp_path, clock.now_us()).close()
    with opened(tmp_path, clock) as store:
        report = recover(tmp_path, store.journal, store.frames)
        assert (set(report.adopted), report.backup) == ({unset.id, since.id}, made.path.name)
        assert recover(tmp_path, store.journal, store.frames).adopted == ()
        (event,) = store.events.after(0, 1000, ["database_restored"])
        assert event.body == {"aside": report.aside, "backup": made.path.name, "adopted": 2}
        assert sum(count.captured for count in store.ledger.days()) == 3


def test_slots_that_were_gaps_since_the_backup_are_open_to_the_next_settlement(tmp_path: Path, picture: bytes) -> None:
    with opened(tmp_path) as store:
        store.journal.begin_ledgers(("main",))
        kept(store, picture)
        make(store.database.path, store.clock.now_us(), bool)
        settled_us = store.ledger.settled_to()
        gap = gap_of(store.clock.now_us() + US)
        store.journal.gap(gap, [], day=day(gap.slot.due_us), settled_to_us=gap.slot.due_us)
        clock = store.clock
    (tmp_path / NAME).unlink()
    report = rebuild(tmp_path, clock)
    assert report.aside == ""
    with opened(tmp_path, clock) as store:
        assert store.ledger.settled_to() == settled_us
        assert store.rows("SELECT COUNT(*) FROM slots WHERE reason IS NOT NULL") == [(0,)]
