"""A directory that hangs in the kernel: a FIFO in place of a file, which nobody writes to, does just that."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.archive.base import MARKER, Receipt, Target
from node.archive.targets import open_target
from node.clock import SystemClock
from node.domain.config import TargetPolicy
from node.domain.errors import JobCancelled, TargetUnavailable
from node.domain.job import JobState
from node.domain.nodefile import DirectoryTarget
from tests.archives import Yard, earned, quiet, stored, until, wanted
from tests.docks import Shipyard, hashes, shipyard

pytestmark = pytest.mark.slow


def opened(yard: Yard, store: Path, name: str = "usb") -> Target:
    endpoint = DirectoryTarget(kind="directory", path=str(store))
    return open_target(name, endpoint, TargetPolicy(timeout_s=1), yard.where)


def hang(store: Path) -> str:
    """Whoever looks at the marker waits in the kernel from now on; what it was."""
    text = (store / MARKER).read_text()
    (store / MARKER).unlink()
    os.mkfifo(store / MARKER)
    return text


def come_back(store: Path, text: str) -> None:
    """The one that waits gets its answer, all later ones a file."""
    pipe = store / "pipe"
    (store / MARKER).rename(pipe)
    (store / MARKER).write_text(text)
    with pipe.open("w") as writing:  # waits for the reader
        writing.write(text)
    pipe.unlink()


def hung(name: str = "usb") -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"target-{name}"]


def test_a_target_that_hangs_is_given_up_and_not_touched_again_until_it_comes_back(yard: Yard, store: Path) -> None:
    items, target = yard.items(2), opened(yard, store)
    target.init()
    text = hang(store)
    for use in (target.check, target.space, target.init, lambda: target.put(items, quiet)):
        with pytest.raises(TargetUnavailable, match=r"nothing moved for 1 s|hangs in the kernel still"):
            use()
    with pytest.raises(TargetUnavailable, match="hangs in the kernel still"):
        opened(yard, store).verify(items, quiet)
    assert len(hung()) == 1
    come_back(store, text)
    until(lambda: not hung())
    assert earned(opened(yard, store).put(items, quiet)) == [item.name for item in items]
    assert stored(store) == wanted(items)


def test_another_target_is_used_meanwhile(yard: Yard, store: Path) -> None:
    folders = [store / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    one, two = (opened(yard, folder, folder.name) for folder in folders)
    for each in (one, two):
        each.init()
    text = hang(folders[0])
    with pytest.raises(TargetUnavailable):
        one.check()
    items = yard.items(2)
    assert earned(two.put(items, quiet)) == [item.name for item in items]
    come_back(folders[0], text)
    until(lambda: not hung("one"))


def test_whoever_cancels_is_heard_while_it_hangs(yard: Yard, store: Path) -> None:
    target = opened(yard, store)
    target.init()
    text = hang(store)

    def cancel(_progress: float | None, _said: str) -> None:
        raise JobCancelled("by hand")

    with pytest.raises(JobCancelled):
        target.put(yard.items(1), cancel)
    come_back(store, text)
    until(lambda: not hung())
    assert stored(store) == {}


def test_what_a_beat_raises_ends_the_call_and_nothing_of_it_is_left(yard: Yard, store: Path) -> None:
    target = opened(yard, store)
    target.init()

    def cancel(progress: float | None, _said: str) -> None:
        if progress:
            raise JobCancelled("by hand")

    with pytest.raises(JobCancelled):
        target.put([yard.item(size=3_000_000)], cancel)
    assert (hung(), stored(store)) == ([], {})
    assert len(earned(target.put(yard.items(1), quiet))) == 1


@pytest.fixture
def stuck(store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Every sync below the target waits for it."""
    going, real = threading.Event(), os.fsync

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(store):
            going.wait(60)
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield going
        going.set()
        until(lambda: not hung())


def test_what_an_abandoned_call_answers_in_the_end_nobody_hears(
    yard: Yard, store: Path, stuck: threading.Event
) -> None:
    stuck.set()
    items, target = yard.items(3), opened(yard, store)
    target.init()
    stuck.clear()
    told: list[float | None] = []
    with pytest.raises(TargetUnavailable, match="nothing moved"):
        target.put(items, lambda progress, _: told.append(progress))
    heard = len(told)
    stuck.set()
    until(lambda: not hung())
    assert len(told) == heard
    assert len(stored(store)) <= 1, "it ends at its next beat, and does not go on with the other items"
    outcomes = target.put(items, quiet)
    assert all(isinstance(each, Receipt) for each in outcomes)
    assert stored(store) == wanted(items)


def test_a_slow_target_that_moves_is_waited_for(yard: Yard, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second for 30 MB, whoever syncs."""
    pause, synced = threading.Event(), {"bytes": 0}

    def slowly(descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        pause.wait(max(0, size - synced["bytes"]) / 30e6)
        synced["bytes"] = max(size, synced["bytes"])

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, slowly)
    target, item = opened(yard, store), yard.item("video.mp4", 60_000_000)
    target.init()
    assert earned(target.put([item], quiet)) == [item.name]


def test_items_that_are_not_there_are_progress_too(yard: Yard, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items, target = yard.items(8), opened(yard, store)
    target.init()
    real, pause = Path.stat, threading.Event()

    def slowly(path: Path, **how: bool) -> os.stat_result:
        if path.suffix == ".jpg":
            pause.wait(0.3)
        return real(path, **how)

    monkeypatch.setattr(Path, "stat", slowly)
    assert earned(target.verify(items, quiet)) == []


# --- with the queue, the breaker and another target beside it -------------------------------------------------------


@pytest.fixture
def ships(tmp_path: Path, store: Path) -> Iterator[Shipyard]:
    """Two targets, `nas` and `usb`; what hangs takes real time."""
    with shipyard(tmp_path / "node") as made:
        made.open = lambda name, endpoint, policy, where: open_target(
            name, endpoint, policy, replace(where, clock=SystemClock())
        )
        made.endpoints["usb"] = DirectoryTarget(kind="directory", path=str(store))
        made.build()
        made.set(archive={"targets": {"nas": {"timeout_s": 1}, "usb": {"timeout_s": 1}}})
        made.init()
        yield made


def test_a_hung_target_opens_its_breaker_and_the_other_gets_every_frame(ships: Shipyard, store: Path) -> None:
    text = hang(ships.nas)
    frames = ships.keep(4)
    ships.pass_time(900)
    names = {f"north/{frame.path}": frame.sha256 for frame in frames}
    assert hashes(store) == names
    assert (len(ships.receipts("usb")), ships.receipts("nas")) == (4, [])
    assert ships.store.rows("SELECT breaker, last_error_code FROM targets WHERE name = 'nas'") == [("open", "ARC-001")]
    assert len(hung("nas")) == 1
    come_back(ships.nas, text)
    until(lambda: not hung("nas"))
    ships.pass_time(300)
    assert (hashes(ships.nas), len(ships.receipts("nas")), ships.mismatches()) == (names, 4, [])
    assert {job.state for job in ships.jobs_of()} == {JobState.DONE}
    assert ships.counters_are_right()
