from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from node.archive.base import Receipt, Refused
from node.crashpoint import VARIABLE
from node.domain.config import TargetPolicy
from node.domain.errors import (
    DiskFull,
    MarkerMissing,
    ReceiptRefused,
    SameDevice,
    TargetFull,
    TargetRefused,
    TargetUnavailable,
)
from tests.archives import LIES, Lie, Lying, Yard, directory, earned, mounted, quiet, stored, wanted
from tests.clocks import JumpClock

SENDING = """
import sys
from pathlib import Path
from tests.archives import Yard, directory, quiet
yard, store = Yard(Path(sys.argv[1])), Path(sys.argv[2])
directory(store, yard.where).put(yard.items(3, 3_000_000), quiet)
"""


@pytest.mark.parametrize("lie", LIES)
def test_a_target_that_lies_gives_no_receipt(yard: Yard, store: Path, lie: Lie) -> None:
    target = Lying(store, yard.where, lie)
    target.init()
    outcomes = target.put(yard.items(3), quiet)
    assert [type(outcome.error) for outcome in outcomes if isinstance(outcome, Refused)] == [ReceiptRefused] * 3
    target.lie = lambda path: None
    assert all(isinstance(outcome, Receipt) for outcome in target.put(yard.items(3), quiet))


def test_a_full_target_keeps_what_it_took_and_goes_on_when_there_is_room(yard: Yard, tmp_path: Path) -> None:
    with mounted(tmp_path / "small") as small:
        target = directory(small, yard.where)
        target.init()
        ballast = small / "ballast"
        ballast.write_bytes(bytes(600_000))
        items = yard.items(5, 150_000)
        outcomes = target.put(items, quiet)
        assert earned(outcomes) == [item.name for item in items[:2]]
        assert [type(outcome.error) for outcome in outcomes[2:] if isinstance(outcome, Refused)] == [TargetFull] * 3
        ballast.unlink()
        assert stored(small) == wanted(items[:2])
        assert earned(target.put(items, quiet)) == [item.name for item in items]
        assert stored(small) == wanted(items)


def test_a_target_that_fills_up_under_the_hand_keeps_no_part(
    yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer takes the room that was there when it was asked for."""
    with mounted(tmp_path / "small") as small:
        target = directory(small, yard.where)
        target.init()
        item = yard.item(size=3_000_000)
        monkeypatch.setattr("node.archive.directory._space", lambda root: type("Room", (), {"free_bytes": 1 << 40}))
        (outcome,) = target.put([item], quiet)
        assert isinstance(outcome, Refused)
        assert isinstance(outcome.error, TargetFull)
        assert stored(small) == {}


def test_a_read_only_target_refuses(yard: Yard, tmp_path: Path) -> None:
    with mounted(tmp_path / "small") as small:
        target = directory(small, yard.where)
        target.init()
        subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
        outcomes = target.put(yard.items(2), quiet)
        assert [type(outcome.error) for outcome in outcomes if isinstance(outcome, Refused)] == [TargetRefused] * 2


def test_a_mount_that_goes_away_on_the_way_uncovers_a_folder_that_stays_empty(yard: Yard, tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "size=9m") as small:
        target, items = directory(small, yard.where), yard.items(3)
        target.init()

        def unmount(_progress: float | None, _said: str) -> None:
            subprocess.run(["umount", "--lazy", str(small)], check=False, stderr=subprocess.DEVNULL)

        target.put(items, unmount)
        assert list(small.iterdir()) == []
        with pytest.raises(MarkerMissing):
            target.put(items, quiet)
        assert list(small.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT])
def test_a_medium_that_fails_ends_the_batch_and_spares_what_was_earned(
    yard: Yard, store: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    target, items = directory(store, yard.where), yard.items(4)
    target.init()
    real, left = os.fsync, iter([True] * 11)  # of the first item: nine new folders, the file, its folder

    def fsync(descriptor: int) -> None:
        if next(left, False):
            return real(descriptor)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    outcomes = target.put(items, quiet)
    monkeypatch.undo()
    assert earned(outcomes) == [items[0].name]
    assert [type(outcome.error) for outcome in outcomes if isinstance(outcome, Refused)] == [TargetUnavailable] * 3
    assert stored(store) == wanted(items[:1])
    assert len(earned(target.put(items, quiet))) == 4


def test_a_name_too_long_for_the_target_holds_nobody_up(yard: Yard, store: Path) -> None:
    target = directory(store, yard.where)
    target.init()
    long = replace(yard.item("a.jpg"), name="n" * 256)
    first, second = target.put([long, yard.item("b.jpg")], quiet)
    assert isinstance(first, Refused)
    assert isinstance(first.error, ReceiptRefused)
    assert isinstance(second, Receipt)


def test_a_path_that_is_a_file_is_no_target(yard: Yard, store: Path) -> None:
    (store / "file").write_text("")
    with pytest.raises(TargetUnavailable):
        directory(store / "file", yard.where).check()


def test_a_link_back_to_the_frames_gives_no_receipts(yard: Yard, store: Path) -> None:
    """All looks well: marker, device, and of course the hashes."""
    target, items = directory(store, yard.where), yard.items(2)
    target.init()
    (store / "north").symlink_to(yard.data)
    for outcomes in (target.put(items, quiet), target.verify(items, quiet)):
        assert [type(outcome.error) for outcome in outcomes if isinstance(outcome, Refused)] == [SameDevice] * 2


def test_reading_back_comes_after_the_sync_and_drops_the_cache_first(
    yard: Yard, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item, steps = yard.item(), []
    target = directory(store, yard.where)
    target.init()
    real = {name: getattr(os, name) for name in ("fsync", "posix_fadvise", "readv")}
    for name in real:

        def noted(descriptor: int, *rest: object, _name: str = name) -> object:
            if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(store):
                steps.append(_name)
            return real[_name](descriptor, *rest)

        monkeypatch.setattr(os, name, noted)
    target.put([item], quiet)
    assert steps[-5:] == ["fsync", "posix_fadvise", "readv", "readv", "posix_fadvise"]


def test_what_an_interrupted_sender_left_is_synced_before_it_counts(
    yard: Yard, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have ended between the rename and the sync."""
    item, synced = yard.item(), []
    target, real = directory(store, yard.where), os.fsync
    target.init()
    (store / item.name).parent.mkdir(parents=True)
    (store / item.name).write_bytes(item.path.read_bytes())

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert earned(target.put([item], quiet)) == [item.name]
    path = store / item.name
    assert synced == [path, *path.parents[: len(path.parents) - len(store.parents)]]


def test_a_bandwidth_cap_holds_and_the_beat_goes_on(tmp_path: Path, store: Path) -> None:
    clock = JumpClock()
    yard, told = Yard(tmp_path / "yard", clock), []
    target = directory(store, yard.where, TargetPolicy(limit_bytes_per_s=100_000))
    target.init()
    began = clock.monotonic()
    target.put(yard.items(3, 2_000_000), lambda progress, said: told.append(clock.monotonic()))
    assert 60 <= clock.monotonic() - began < 61
    assert max(later - earlier for earlier, later in pairwise(told)) <= 1.01


def test_what_does_not_fit_here_does_not_come_back(yard: Yard, store: Path, tmp_path: Path) -> None:
    target, item = directory(store, yard.where), yard.item(size=3_000_000)
    target.init()
    target.put([item], quiet)
    with mounted(tmp_path / "small") as small, pytest.raises(DiskFull):
        target.fetch(item, small / "frames" / "back.jpg", quiet)


@pytest.mark.slow
@pytest.mark.parametrize("passage", ["", ":2", ":5"])
@pytest.mark.parametrize("point", ["target_half_written", "target_before_rename", "target_after_rename"])
def test_a_sender_that_is_killed_leaves_whole_files_and_the_next_one_finishes(
    tmp_path: Path, store: Path, point: str, passage: str
) -> None:
    if passage == ":5" and point != "target_half_written":
        passage = ":3"
    yard = Yard(tmp_path / "yard")
    items = yard.items(3, 3_000_000)
    target = directory(store, yard.where)
    target.init()
    words = [sys.executable, "-c", SENDING, str(tmp_path / "twin"), str(store)]
    ended = subprocess.run(words, check=False, env={**os.environ, VARIABLE: point + passage})
    assert ended.returncode == -9
    whole = {name: found for name, found in stored(store).items() if not Path(name).name.startswith(".")}
    assert whole.items() <= wanted(items).items()
    assert len(earned(target.put(items, quiet))) == 3
    assert stored(store) == wanted(items)


@pytest.mark.slow
def test_what_a_killed_sender_left_goes_though_its_item_is_never_sent_again(yard: Yard, store: Path) -> None:
    words = [sys.executable, "-c", SENDING, str(yard.data.parent / "twin"), str(store)]
    target = directory(store, yard.where)
    target.init()
    assert subprocess.run(words, check=False, env={**os.environ, VARIABLE: "target_half_written"}).returncode == -9
    assert len(stored(store)) == 1
    other = yard.item("other.jpg")
    target.put([other], quiet)
    assert stored(store) == wanted([other])
