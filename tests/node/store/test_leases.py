"""The lease's file: two processes, power cuts, boots, and what others may have left in its place."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from node.clock import SystemClock
from node.crashpoint import VARIABLE
from node.domain.errors import DirectoryMissing, LeaseBusy, LeaseGone, LeaseHeld
from node.domain.lease import Wish
from node.store.leases import FILE, LARGEST_BYTES, LOCK, Leases
from tests.clocks import JumpClock

OURS, THEIRS = "push-1@ops1", "push-2@ops2"
KILLED = -9
TAKE = """
import sys
from pathlib import Path
from node.clock import SystemClock
from node.domain.lease import Wish
from node.store.leases import Leases
lease = Leases(Path(sys.argv[1]), SystemClock()).take(Wish(sys.argv[2], "a test", "test", 60))
print(lease.owner)
"""


def wish(owner: str = OURS, ttl_s: int = 60) -> Wish:
    return Wish(owner, "Ann pushes", "ann", ttl_s)


@pytest.fixture
def clock() -> JumpClock:
    return JumpClock()


@pytest.fixture
def leases(tmp_path: Path, clock: JumpClock) -> Leases:
    return Leases(tmp_path, clock, "boot-a")


def test_it_is_taken_renewed_and_released(leases: Leases, clock: JumpClock) -> None:
    assert leases.current() is None
    leases.take(wish())
    clock.advance(50)
    assert leases.renew(wish()).ttl_s == 60
    clock.advance(50)
    held = leases.current()
    assert held is not None
    assert held.owner == OURS
    assert leases.release(OURS) == held
    assert leases.current() is None
    assert leases.release(OURS) is None


def test_another_waits_until_it_ends_or_is_ended_by_force(leases: Leases, clock: JumpClock) -> None:
    leases.take(wish())
    for act in (leases.take, leases.renew):
        with pytest.raises(LeaseHeld):
            act(wish(THEIRS))
    with pytest.raises(LeaseHeld):
        leases.release(THEIRS)
    with pytest.raises(LeaseHeld), leases.respected(THEIRS):
        pass
    released = leases.release(THEIRS, force=True)
    assert released is not None
    assert released.owner == OURS
    leases.take(wish(THEIRS))
    clock.advance(60)
    assert leases.take(wish()).owner == OURS


def test_one_that_has_ended_is_not_renewed(leases: Leases, clock: JumpClock) -> None:
    leases.take(wish())
    clock.advance(60)
    with pytest.raises(LeaseGone):
        leases.renew(wish())


def test_a_renewal_without_words_keeps_those_of_before(leases: Leases) -> None:
    leases.take(wish())
    assert leases.renew(Wish(OURS, "", "ann", 60)).message == "Ann pushes"


def test_the_wall_clock_may_go_where_it_wants(leases: Leases, clock: JumpClock) -> None:
    leases.take(wish())
    for seconds in (7200, -86_400):
        clock.step(seconds)
        assert leases.current() is not None
    clock.advance(60)
    assert leases.current() is None


def test_the_first_look_under_another_boot_writes_it_down_for_that_one(leases: Leases, tmp_path: Path) -> None:
    leases.take(wish())
    later = JumpClock(JumpClock().now_us() - 3600 * 10**6)  # without a clock of its own: an hour behind
    after = Leases(tmp_path, later, "boot-b")
    seen = after.settle()
    assert seen is not None
    assert json.loads((tmp_path / FILE).read_text())["boot"] == "boot-b"
    later.step(3600)
    later.advance(59)
    assert after.settle() is not None
    later.advance(1)
    assert after.settle() is None


def test_a_boot_later_than_its_end_finds_nobody(leases: Leases, tmp_path: Path, clock: JumpClock) -> None:
    leases.take(wish())
    clock.step(61)
    assert Leases(tmp_path, clock, "boot-b").settle() is None


@pytest.mark.parametrize("data", [b"", b"{", b"x" * (LARGEST_BYTES + 1)], ids=["empty", "torn", "huge"])
def test_a_file_that_is_none_binds_nobody_and_gives_way(leases: Leases, tmp_path: Path, data: bytes) -> None:
    (tmp_path / FILE).write_bytes(data)
    assert leases.current() is None
    assert leases.settle() is None
    with leases.respected(""):
        assert leases.current() is None
    leases.take(wish())
    assert leases.current() is not None


def test_without_a_data_directory_that_is_said(tmp_path: Path, clock: JumpClock) -> None:
    nowhere = Leases(tmp_path / "nowhere", clock, "boot-a")
    assert nowhere.current() is None
    with pytest.raises(DirectoryMissing):
        nowhere.take(wish())


def test_whoever_does_not_let_go_of_the_lock_is_not_waited_for_for_ever(leases: Leases, tmp_path: Path) -> None:
    leases.take(wish())
    descriptor = os.open(tmp_path / LOCK, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(LeaseBusy):
            leases.renew(wish())
        assert leases.current() is not None  # to look needs no lock
    finally:
        os.close(descriptor)
    leases.renew(wish())


def test_nobody_takes_it_while_a_change_is_being_made(leases: Leases, tmp_path: Path) -> None:
    order: list[str] = []
    with leases.respected(""):
        other = threading.Thread(target=lambda: order.append(Leases(tmp_path, SystemClock()).take(wish()).owner))
        other.start()
        other.join(0.2)
        order.append("changed")
    other.join()
    assert order == ["changed", OURS]


def take(folder: Path, owner: str, crash_at: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, VARIABLE: crash_at}
    return subprocess.run(
        [sys.executable, "-c", TAKE, str(folder), owner], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "held"),
    [("before_lease", None), ("before_rename", None), ("after_rename", OURS), ("lease_written", OURS)],
)
def test_a_kill_leaves_it_whole_or_not_at_all_and_the_lock_free(tmp_path: Path, point: str, held: str | None) -> None:
    assert take(tmp_path, OURS, point).returncode == KILLED
    second = take(tmp_path, THEIRS)
    assert (second.returncode == 0) == (held is None)
    assert (second.stdout.strip() or None) == (None if held else THEIRS)
    assert (OURS in second.stderr) == (held is not None)


@pytest.mark.slow
def test_of_many_at_once_one_gets_it(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE, str(tmp_path), f"push-{number}@ops"], stdout=-1, stderr=-3, text=True
        )
        for number in range(6)
    ]
    said = [process.communicate()[0].strip() for process in processes]
    assert len([owner for owner in said if owner]) == 1
