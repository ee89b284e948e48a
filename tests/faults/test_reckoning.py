"""The count after the faults finds whatever is wrong."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from node.clock import US
from node.store.database import NAME
from tests.archives import corrupts, truncates
from tests.faults.reckoning import reckon
from tests.faults.station import NAS, Shape, Station, in_a_thread, station

pytestmark = pytest.mark.slow

PATIENCE_S = 120.0


def in_database(sql: str) -> Callable[[Station], object]:
    def act(station: Station) -> None:
        with closing(sqlite3.connect(station.home.data / NAME)) as database, database:
            assert database.execute(sql).rowcount, sql

    return act


def repeated(table: str, where: str, **changes: str | None) -> Callable[[Station], object]:
    """A row once more, with other values in some columns; the key of its number is a new one."""

    def act(station: Station) -> None:
        with closing(sqlite3.connect(station.home.data / NAME)) as database, database:
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            row = database.execute(f"SELECT * FROM {table} WHERE {where} LIMIT 1").fetchone()
            values = {name: value for name, value in zip(columns, row, strict=True) if name != "seq"} | changes
            marks = ", ".join("?" for _ in values)
            database.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))

    return act


def in_file(find: Callable[[Station], Path], harm: Callable[[Path], object]) -> Callable[[Station], object]:
    return lambda station: harm(find(station))


HERE = "id NOT IN (SELECT frame_id FROM frames_gone)"


def frame_here(station: Station) -> Path:
    return station.home.data / _one(
        station, "SELECT path FROM frames WHERE id NOT IN (SELECT frame_id FROM frames_gone)"
    )


def frame_there(station: Station) -> Path:
    """Of a frame that is gone here."""
    return station.at(NAS) / _one(station, "SELECT path FROM frames JOIN frames_gone ON frame_id = id")


def video_here(station: Station) -> Path:
    return station.home.data / _one(station, "SELECT path FROM videos")


def _one(station: Station, sql: str) -> str:
    return str(station.rows(sql)[0][0])


def beside(path: Path) -> None:
    path.with_name(".x.tmp").write_bytes(b"")


def reported(station: Station) -> None:
    station.witness.frames["01M7W6SC20TSH8TFCV94CVHHBM"] = ("0" * 64, "frames/x.jpg")


HARMS: dict[str, tuple[Callable[[Station], object], str]] = {
    "a frame's file is gone": (in_file(frame_here, Path.unlink), "lost: frame"),
    "a frame's file is altered": (in_file(frame_here, corrupts), "lost: frame"),
    "a frame that was reported has no row": (reported, "lost: frame"),
    "a slot is missing": (in_database("DELETE FROM slots WHERE frame_id IS NOT NULL"), "lost: slot"),
    "a target lost what is gone here": (in_file(frame_there, Path.unlink), "deleted unverified: frame"),
    "a target altered what is gone here": (in_file(frame_there, corrupts), "deleted unverified: frame"),
    "frames went unproved": (in_database("UPDATE frames_gone SET receipts = '[]'"), "deleted unverified: frame"),
    "a receipt says something else": (
        in_database("UPDATE receipts SET sha256 = '0' WHERE target = 'store'"), "deleted unverified: receipt",
    ),
    "a frame was told of twice": (repeated("events", "kind = 'frame'", id=None), "twice: frame"),
    "a job made two videos": (repeated("videos", "1", id="x", shoot=None), "twice: job"),
    "a shoot was rendered twice": (
        repeated("jobs", "key IN (SELECT shoot FROM shoots) AND state = 'done'", id="x"), "twice: shoot",
    ),
    "a video is cut short": (in_file(video_here, truncates), "twice: video"),
    "a video is missing": (in_database("DELETE FROM videos"), "twice: render"),
    "a job is still leased": (in_database("UPDATE jobs SET state = 'leased' WHERE kind = 'backup'"), "left: backup"),
    "a shoot has no video": (in_database("UPDATE shoots SET state = 'captured'"), "left: shoot"),
    "a frame was not sent": (in_database("DELETE FROM receipts WHERE target = 'nas' AND item NOT IN"
                                         " (SELECT frame_id FROM frames_gone)"), "left: frame"),
    "a sum is off": (in_database("UPDATE targets SET sent = sent + 1"), "left: sums"),
    "an unfinished file lies among the frames": (in_file(frame_here, beside), "left: frames/"),
    "an unfinished file lies at a target": (in_file(frame_there, beside), "left: test/frames/"),
    "a video has no row": (in_database("UPDATE videos SET path = 'x'"), "left: videos/"),
}  # fmt: skip
"""Something that is wrong by hand, and how the count begins to say so."""


@contextmanager
def as_it_was(station: Station) -> Iterator[None]:
    """Whatever the block does to disk and targets."""
    places = {name: disk.behind for name, disk in station.disks.items()}
    for name, place in places.items():
        shutil.copytree(place, station.folder / "before" / name)
    reported = station.witness.frames.copy()
    try:
        yield
    finally:
        station.witness.frames = reported
        for name, place in places.items():
            for each in place.iterdir():
                shutil.rmtree(each) if each.is_dir() else each.unlink()
            shutil.copytree(station.folder / "before" / name, place, dirs_exist_ok=True)
        shutil.rmtree(station.folder / "before")


def test_whatever_is_wrong_the_count_says_so(tmp_path: Path) -> None:
    in_a_thread(partial(count_what_is_wrong, tmp_path))


def count_what_is_wrong(folder: Path) -> None:
    """On a slow machine a window may pass before the service is up: one video is enough."""
    with station(folder, Shape(2, window_s=6, windows=2, document={"triggers": {}})) as made:
        made.wait(partial(at_rest, made), "the windows are over, all is sent and made", PATIENCE_S)
        for path in ("/v1/disk/reclaim", "/v1/backups"):
            assert made.ask("POST", path)
        made.wait(lambda: made.rows("SELECT 1 FROM frames_gone") and at_rest(made), "all frames are gone", PATIENCE_S)
        assert made.ask("POST", "/v1/cameras/main/capture", json={})
        made.wait(partial(at_rest, made), "one that stays here is sent", PATIENCE_S)
        assert set(made.stop().values()) == {0}
        assert reckon(made).all == []
        for harm, (act, said) in HARMS.items():
            with as_it_was(made):
                act(made)
                assert any(each.startswith(said) for each in reckon(made).all), harm
        assert reckon(made).all == []


LEFT = (
    "shoots WHERE state IN ('open', 'captured', 'rendering')",
    "jobs WHERE state IN ('queued', 'leased', 'retry')",
    "targets WHERE unsent > 0",
    "frames WHERE (SELECT COUNT(*) FROM receipts WHERE item = frames.id) < 2",
)


def at_rest(station: Station) -> bool:
    """The last slot is settled, and nothing is left to be made or sent."""
    last_us = (station.days.until_us - 1) // US * US
    settled = station.rows("SELECT 1 FROM slots WHERE due_us >= ?", last_us)
    return bool(settled) and all(station.rows(f"SELECT COUNT(*) FROM {left}") == [(0,)] for left in LEFT)
