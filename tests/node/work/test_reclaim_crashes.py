"""A process that dies at each point of a deletion, and a disk that is full to the last byte."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from node.crashpoint import VARIABLE
from node.domain.config import parse_document
from node.domain.errors import DiskFull
from node.domain.pressure import Step
from node.host import disk
from node.store.ballast import NAME, Ballast
from node.store.files import hold
from node.work.beside import Beside
from node.work.facts import FactsLoop, Sources
from node.work.reclaim import Ground, Reclaimer
from tests.clocks import START_US, JumpClock
from tests.simulate.holdings import half_gone, here, unaccounted
from tests.simulate.ledger import events, reasons
from tests.simulate.rig import CAMERA, Plan, Rig, rigged
from tests.stores import Store
from tests.yards import DAY_S, TARGETS, Yard, yard_in

FRAMES, DIED = 60, -signal.SIGKILL
MINUTE = 60_000_000
RECLAIMS = """
import sys
from pathlib import Path
import pytest
from tests.clocks import JumpClock
from tests.yards import DAY_S, yard_in

with pytest.MonkeyPatch.context() as patch, yard_in(Path(sys.argv[1]), patch, JumpClock(int(sys.argv[2]))) as yard:
    yard.reclaimer.turn()
    print("done", flush=True)
"""
POINTS = {
    "reclaim_proved": 0,
    "before_commit": 0,
    "after_commit": 25,
    "reclaim_marked": 25,
    "reclaim_unlinked": 0,
}
"""Each with how many files it leaves whose rows say that they are gone."""


def die(folder: Path, planned: str, at_us: int) -> int:
    command = [sys.executable, "-c", RECLAIMS, str(folder), str(at_us)]
    done = subprocess.run(
        command, env={VARIABLE: planned}, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3]
    )
    assert done.returncode in (0, DIED), done.stderr
    return done.returncode


@pytest.mark.slow
@pytest.mark.parametrize("passage", [1, 2])
@pytest.mark.parametrize("point", POINTS)
def test_whatever_the_crash_every_frame_is_here_or_gone_with_its_receipts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, passage: int
) -> None:
    with yard_in(tmp_path, monkeypatch) as yard:
        yard.keep(FRAMES)
        alone = [frame.id for frame in yard.keep(5, held_by=())]
    later_us = START_US + 40 * DAY_S * 1_000_000
    assert die(tmp_path, f"{point}:{passage}", later_us) == DIED
    assert unaccounted(tmp_path) == []
    assert len(half_gone(tmp_path)) == POINTS[point]
    with yard_in(tmp_path, monkeypatch, JumpClock(later_us + 1)) as yard:
        yard.reclaimer.turn()
        assert here(tmp_path) == alone
        assert half_gone(tmp_path) == []
        assert unaccounted(tmp_path) == []
        told = sum(body["count"] for body in yard.told("reclaimed"))
        assert told == FRAMES == len(yard.rules())


@pytest.mark.slow
def test_after_a_crash_receipts_that_are_gone_by_then_keep_the_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with yard_in(tmp_path, monkeypatch) as yard:
        yard.keep(10)
    later_us = START_US + 40 * DAY_S * 1_000_000
    assert die(tmp_path, "reclaim_marked", later_us) == DIED
    with yard_in(tmp_path, monkeypatch, JumpClock(later_us + 1)) as yard:
        yard.plant("DELETE FROM receipts")
        yard.reclaimer.turn()
        assert len(here(tmp_path)) == 10
        assert yard.rules() == {}


# --- full to the last byte ------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Every byte that is left, by somebody else."""
    with (folder / "filler").open("ab", buffering=0) as file:
        for size in (2**20, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    continue
            except OSError:
                continue


def real_disk(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """The yard's free space is what the file system says."""
    monkeypatch.undo()
    assert disk.space(yard.folder).total_bytes == 24 * 2**20


def empty_log(yard: Yard) -> None:
    """The write-ahead log takes no room, so that the next row needs some."""
    with closing(sqlite3.connect(yard.folder / "heliograph.db")) as database:
        assert database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


def test_a_service_can_start_on_a_full_disk_with_what_the_ballast_gives(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with yard_in(small, monkeypatch) as yard:
        real_disk(yard, monkeypatch)
        monkeypatch.setattr("tests.yards.FRAME_BYTES", 40_000)
        yard.keep(120)
        yard.reclaimer.turn()
    fill(small)
    with pytest.raises(DiskFull), yard_in(small, monkeypatch):
        pass
    assert Ballast(small).give_up()
    with yard_in(small, monkeypatch) as yard:
        real_disk(yard, monkeypatch)
        yard.reclaimer.turn()
        assert disk.space(small).free_bytes > 24 * 2**20 * 0.14
        assert unaccounted(small) == []


@pytest.mark.parametrize("with_thumbnails", [True, False])
def test_a_disk_that_is_full_to_the_last_byte_frees_itself_of_what_is_archived(
    small: Path, monkeypatch: pytest.MonkeyPatch, *, with_thumbnails: bool
) -> None:
    with yard_in(small, monkeypatch) as yard:
        real_disk(yard, monkeypatch)
        monkeypatch.setattr("tests.yards.FRAME_BYTES", 40_000)
        yard.reclaimer.turn()
        assert (small / NAME).exists()
        held, alone = yard.keep(120), yard.keep(20, held_by=())
        for frame in held if with_thumbnails else ():
            yard.thumbnail(frame, 5000)
        empty_log(yard)
        fill(small)
        assert disk.space(small).free_bytes == 0
        with pytest.raises(DiskFull):
            yard.plant("CREATE TABLE more AS SELECT zeroblob(100000)")
        for _ in range(3):
            yard.reclaimer.turn()
        assert yard.reclaimer.step is Step.OK
        assert disk.space(small).free_bytes > 24 * 2**20 * 0.14
        assert unaccounted(small) == []
        assert half_gone(small) == []
        assert {frame.id for frame in alone} <= set(here(small))
        assert yard.rules().keys() <= {frame.id for frame in held}
        yard.reclaimer.turn()
        assert (small / NAME).exists()


def test_where_nothing_is_archived_a_full_disk_stays_full_and_whole(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with yard_in(small, monkeypatch) as yard:
        real_disk(yard, monkeypatch)
        monkeypatch.setattr("tests.yards.FRAME_BYTES", 40_000)
        frames = yard.keep(50, held_by=())
        fill(small)
        assert yard.reclaimer.turn() == ()
        assert yard.reclaimer.step is Step.STOPPED
        assert not yard.reclaimer.derivatives
        assert here(small) == [frame.id for frame in frames]
        assert unaccounted(small) == []


def facts_of(rig: Rig) -> FactsLoop:
    live = rig.reload.live
    beside = Beside(rig.database, rig.board, rig.clock, rig.folder, TARGETS, lambda: live.current.document)
    return FactsLoop(
        Sources(
            *(rig.keeper._held, rig.clock, rig.database, rig.journal, rig.board, live, rig.reload),
            cameras={CAMERA: rig.loop},
            backends={CAMERA: "synthetic"},
            newest_event=rig.events.newest,
            beside=beside,
            holds=rig.holds,
            leases=rig.leases,
            release=rig.folder / "release.json",
            targets=TARGETS,
        )
    )


@pytest.mark.slow
def test_capture_stops_on_a_full_disk_says_so_and_goes_on_when_upkeep_has_made_room(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {
        "schedules": {"each": {"interval_s": 60}},
        "alerts": {"disk_reserve_bytes": 0, "hold_down_s": 0},
        "retention": {"reclaim_to_free_pct": 30},
    }
    with rigged(Plan(small, JumpClock(), document)) as rig, hold(small, "lock-work") as held:
        start = rig.clock.now_us()
        ground = Ground(held, rig.journal, rig.clock, lambda: rig.reload.live.current.document, TARGETS)
        store = Store(small, rig.clock, rig.database, rig.journal)
        yard = Yard(store, Reclaimer(ground), parse_document(document))
        facts = facts_of(rig)
        monkeypatch.setattr("tests.yards.FRAME_BYTES", 40_000)
        rig.run(start + 3 * MINUTE, facts.turn)
        yard.keep(250, held_by=("nas",), camera="other")
        fill(small)
        full_us = rig.clock.now_us()
        rig.run(full_us + 5 * MINUTE, facts.turn)
        stopped = Counter(reasons(small))
        assert set(stopped) <= {"disk_full", "late", "busy", "camera_offline"}
        assert stopped["disk_full"] >= 4
        while yard.reclaimer.turn():
            pass
        rig.run(rig.clock.now_us() + 5 * MINUTE, facts.turn)
        after = [frame for frame in rig.frames.every() if frame.camera == "main" and frame.captured_us > full_us]
        assert len(after) >= 4
        assert (small / "filler").exists()
        steps = [(event["before"], event["step"]) for event in events(small, "disk_step")]
        assert steps[0] == ("ok", "stopped")
        assert steps[-1][1] == "ok"
        assert unaccounted(small) == []
        assert all((small / frame.path).stat().st_size == frame.size_bytes for frame in after)
