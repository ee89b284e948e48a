"""The data disk is full at each write of `work` and `ship`: nothing half gets a name, and all is done afterwards."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from node.domain.errors import DiskFull
from tests.faults.mischief import ask_for_a_video, children_with
from tests.faults.ordeal import in_the_end
from tests.faults.reckoning import probed
from tests.faults.station import MB, NAS, Shape, Station, in_a_thread, station
from tests.nodes import wait_for

pytestmark = pytest.mark.slow

FULL_S, LOOK_S, PATIENCE_S = 2.5, 0.05, 60.0
LEAVES = (0, 4096, 20_000, 100_000, 400_000)
"""Bytes that are left, so that another write is the one that fails."""
DOCUMENT = {
    "triggers": {},
    # derivatives go on until the disk is full, so that it is their writes that fail
    "alerts": {"disk_reserve_bytes": 0, "disk_warn_free_pct": 0.02, "disk_crit_free_pct": 0.01},
}


@dataclass(frozen=True)
class Work:
    """A kind of job: how it is asked for, and when it is at its writes."""

    ask: Callable[[Station], object]
    begun: Callable[[Station], object] = bool


def order(path: str, **body: object) -> Callable[[Station], object]:
    return lambda station: station.ask("POST", path, json=body)


def bring_back(station: Station) -> None:
    """What has just gone."""
    station.ask("POST", "/v1/disk/reclaim")
    with suppress(AssertionError):
        wait_for(lambda: station.rows("SELECT 1 FROM frames_gone"), "frames are gone", 5.0)
    station.ask("POST", f"/v1/targets/{NAS}/restore")


def leased(kind: str) -> Callable[[Station], object]:
    return lambda station: station.rows("SELECT 1 FROM jobs WHERE kind = ? AND state = 'leased'", kind)


WORKS = {
    "render": Work(ask_for_a_video, lambda station: children_with(station, "work", "node.render.child")),
    "thumbnail-repair": Work(
        order("/v1/thumbnails/repair", camera="main", everything=True), leased("thumbnail-repair")
    ),
    "backup": Work(order("/v1/backups"), leased("backup")),
    "restore": Work(bring_back, leased("restore")),
    "verify-archive": Work(order(f"/v1/targets/{NAS}/verify"), leased("verify-archive")),
}
STAYS, GOES = ({"retention": {"frames_days": 0, "receipts_needed": needed, "backups": 100}} for needed in (8, 2))
"""Frames have to stay here for what is made of them; or they go as soon as both targets hold them."""


@contextmanager
def filled(station: Station, leave: int) -> Iterator[None]:
    """Again and again, whatever is freed."""
    over = threading.Event()

    def fill() -> None:
        while not over.wait(LOOK_S):
            station.disks["data"].fill(leave)

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        station.disks["data"].free()


class Onlooker:
    """Looks at each file that has its final name, once for each content; what is not whole is in `found`."""

    def __init__(self, station: Station) -> None:
        self._data, self._copy = station.home.data, station.folder / "looked-at"
        self._known: set[tuple[Path, int]] = set()
        self.found: list[str] = []

    def look(self) -> None:
        for pattern, look in LOOKS.items():
            for path in self._data.glob(pattern):
                with suppress(FileNotFoundError):  # it went meanwhile
                    self._look(path, look)

    def _look(self, path: Path, look: Callable[[Path], object]) -> None:
        seen = path, path.stat().st_mtime_ns
        if seen in self._known:
            return
        shutil.copy(path, self._copy)
        self._known.add(seen)
        try:
            look(self._copy)
        except (OSError, AssertionError, sqlite3.Error, subprocess.CalledProcessError) as error:
            self.found.append(f"{path.relative_to(self._data)}: {error!r}")


def seen(path: Path) -> None:
    with Image.open(path) as picture:
        picture.load()


def checked(path: Path) -> None:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


LOOKS: dict[str, Callable[[Path], object]] = {"videos/**/*.mp4": probed, "**/[!.]*.jpg": seen, "backup/*.db": checked}


@pytest.mark.parametrize(
    ("kinds", "retention"),
    [(("render",), STAYS), (("thumbnail-repair", "backup"), STAYS), (("restore", "verify-archive"), GOES)],
)
def test_on_a_full_disk_nothing_half_gets_a_name_and_afterwards_all_is_done(
    tmp_path: Path, kinds: Sequence[str], retention: Mapping[str, Any]
) -> None:
    in_a_thread(partial(fill_at_each_write, tmp_path, kinds, retention))


def fill_at_each_write(folder: Path, kinds: Sequence[str], retention: Mapping[str, Any]) -> None:
    shape = Shape(2, window_s=15, windows=2, data_bytes=24 * MB, document={**DOCUMENT, **retention})
    with station(folder, shape) as made:
        made.wait(lambda: made.rows("SELECT 1 FROM shoots WHERE state = 'done'"), "a video", PATIENCE_S)
        onlooker = Onlooker(made)
        for kind in kinds:
            for leave in LEAVES:
                fill_during(made, kind, leave, onlooker)
                assert onlooker.found == [], (kind, leave)
        assert DiskFull.code in "".join(path.read_text() for path in made.folder.glob("*log"))
        assert in_the_end(made, shape) == []


def fill_during(made: Station, kind: str, leave: int, onlooker: Onlooker) -> None:
    work = WORKS[kind]
    before = done(made, kind)
    work.ask(made)
    with suppress(AssertionError):  # it may be over before it is seen
        wait_for(lambda: work.begun(made), kind, 5.0)
    with filled(made, leave):
        until_s = time.monotonic() + FULL_S
        while time.monotonic() < until_s:
            onlooker.look()
            made.tend()
    made.wait(lambda: done(made, kind) > before, f"{kind} is done after {leave} bytes were left", PATIENCE_S)
    onlooker.look()


def done(made: Station, kind: str) -> int:
    return int((made.rows("SELECT COUNT(*) FROM jobs WHERE kind = ? AND state = 'done'", kind) or [(0,)])[0][0])
