"""The inventory looked at again while a fleet runs."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from console.fleet import inventory
from console.fleet.inventory import Host
from console.fleet.poller import Fleet
from console.fleet.watch import AGAIN_S, LOOK_S, RELOOK_S, Means, aside, watch_inventory
from node.wire.errors import InventoryUnreadable

OLD, NEW = (Host("old", "127.0.0.1", 1, "http"),), (Host("new", "127.0.0.1", 2, "http"),)
NEWER = (Host("newer", "127.0.0.1", 3, "http"),)


class Story:
    """Each look at the inventory is a step; a step may change the file, the answer or the time."""

    def __init__(self, path: Path, hand: Any, *steps: Callable[[Story], None]) -> None:
        self.path, self.hand, self.steps = path, hand, list(steps)
        self.answer: Sequence[Host] | InventoryUnreadable = NEW
        self.fault: OSError | None = None
        self.reads = 0
        self.fleet = Fleet(OLD)
        self.remembered: list[Sequence[Host]] = []

    def read(self, path: Path | None) -> Sequence[Host]:
        self.reads += 1
        if isinstance(self.answer, InventoryUnreadable):
            raise self.answer
        return self.answer

    def fingerprint(self, path: Path | None) -> object:
        if self.fault is not None:
            raise self.fault
        return inventory.fingerprint(path)

    def remember(self, hosts: Sequence[Host]) -> None:
        self.remembered.append(hosts)

    async def pause(self, seconds: float) -> None:
        self.hand.now_s += seconds
        if not self.steps:
            raise asyncio.CancelledError
        self.steps.pop(0)(self)

    def play(self, *, fresh: bool) -> Story:
        means = Means(self.read, self.fingerprint, self.pause, self.hand.as_clock())

        async def whole() -> None:
            with pytest.raises(asyncio.CancelledError):
                await watch_inventory(self.fleet, self.path, self.remember, fresh=fresh, means=means)

        asyncio.run(whole())
        return self

    @property
    def names(self) -> list[str]:
        return list(self.fleet.model.views)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "hosts.yml"
    path.write_text("all: {}\n")
    return path


def touch(story: Story) -> None:
    os.utime(story.path, ns=(1, story.path.stat().st_mtime_ns + 1))


def nothing(story: Story) -> None:
    pass


def broken(story: Story) -> None:
    story.answer = InventoryUnreadable("hosts.yml is no inventory")
    touch(story)


def repaired(story: Story) -> None:
    assert "no inventory; the nodes of before stay" in story.fleet.notice
    assert story.names == ["old"]
    story.answer = NEW
    touch(story)


def test_remembered_nodes_yield_at_once_to_the_inventory(path: Path, hand: Any) -> None:
    story = Story(path, hand).play(fresh=False)
    assert (story.names, story.remembered, story.reads) == (["new"], [NEW], 1)


def test_nodes_just_read_are_read_again_only_when_the_file_changes(path: Path, hand: Any) -> None:
    assert Story(path, hand, nothing, nothing).play(fresh=True).reads == 0
    story = Story(path, hand, nothing, touch).play(fresh=True)
    assert (story.reads, story.names) == (1, ["new"])


def test_a_broken_inventory_is_told_and_a_repaired_one_is_taken(path: Path, hand: Any) -> None:
    story = Story(path, hand, broken, repaired).play(fresh=True)
    assert (story.names, story.fleet.notice, story.remembered) == (["new"], "", [NEW])


@pytest.mark.parametrize("fresh", [True, False])
def test_one_that_cannot_be_looked_at_ends_nothing_and_is_read_once_it_can_be(
    path: Path, hand: Any, fresh: bool
) -> None:
    def closed(story: Story) -> None:
        story.fault = PermissionError(13, "Permission denied", str(story.path))

    def opened(story: Story) -> None:
        assert "Permission denied" in story.fleet.notice
        story.fault, story.answer = None, NEWER

    looks = [nothing] * int(AGAIN_S / LOOK_S)
    story = Story(path, hand, closed, nothing, opened, *looks).play(fresh=fresh)
    assert (story.names, story.fleet.notice) == (["newer"], "")


@pytest.mark.parametrize("fresh", [True, False])
def test_one_that_cannot_be_looked_at_from_the_start_ends_nothing(path: Path, hand: Any, fresh: bool) -> None:
    def opened(story: Story) -> None:
        assert "Stale file handle" in story.fleet.notice
        assert story.names == ["old"]
        story.fault = None

    story = Story(path, hand, opened, *[nothing] * int(AGAIN_S / LOOK_S))
    story.fault = OSError(116, "Stale file handle")
    story.play(fresh=fresh)
    assert (story.names, story.fleet.notice) == (["new"], "")


def test_nodes_that_cannot_be_remembered_end_nothing(path: Path, hand: Any) -> None:
    story = Story(path, hand, nothing, nothing)
    story.remember = lambda _: 1 // 0  # type: ignore[method-assign,assignment]
    assert story.play(fresh=False).names == ["new"]


def test_they_are_remembered_beside_the_loop(path: Path, hand: Any) -> None:
    story = Story(path, hand)
    remembered = []
    story.remember = lambda _: remembered.append(threading.current_thread())  # type: ignore[method-assign,assignment]
    story.play(fresh=False)
    assert remembered
    assert threading.main_thread() not in remembered


def test_a_file_that_is_gone_is_a_change(path: Path, hand: Any) -> None:
    assert Story(path, hand, lambda story: story.path.unlink()).play(fresh=True).reads == 1


def test_it_is_read_now_and_then_however_old_the_file_is(path: Path, hand: Any) -> None:
    looks = [nothing] * int(RELOOK_S / LOOK_S)
    assert Story(path, hand, *looks[:-1]).play(fresh=True).reads == 0
    assert Story(path, hand, *looks).play(fresh=True).reads == 1


def test_one_that_could_not_be_read_is_tried_sooner(path: Path, hand: Any) -> None:
    looks = [nothing] * int(AGAIN_S / LOOK_S)
    assert Story(path, hand, broken, *looks).play(fresh=True).reads == 2


def test_a_real_inventory_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text("fleet: {hosts: {cam-1: {ansible_host: 127.0.0.1, heliograph_scheme: http}}}\n")

    async def whole() -> list[str]:
        fleet, taken = Fleet(OLD), asyncio.Event()
        watching = asyncio.create_task(watch_inventory(fleet, path, lambda _: taken.set(), fresh=False))
        async with asyncio.timeout(20):
            await taken.wait()
        watching.cancel()
        return list(fleet.model.views)

    assert asyncio.run(whole()) == ["cam-1"]


def test_an_answer_after_the_end_is_nobodys() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        may_end.wait(10)
        ended.set()

    async def whole() -> None:
        waiting = asyncio.create_task(aside(slow))
        await asyncio.to_thread(begun.wait, 10)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        may_end.set()
        await asyncio.to_thread(ended.wait, 10)
        with pytest.raises(ZeroDivisionError):
            await aside(lambda: 1 // 0)

    asyncio.run(whole())


def test_an_answer_after_the_loop_has_ended_is_nobodys_either() -> None:
    begun, may_end, left = threading.Event(), threading.Event(), list[threading.Thread]()

    def slow() -> None:
        left.append(threading.current_thread())
        begun.set()
        may_end.wait(10)

    async def whole() -> None:
        waiting = asyncio.create_task(aside(slow))
        await asyncio.to_thread(begun.wait, 10)
        waiting.cancel()

    asyncio.run(whole())
    may_end.set()
    left[0].join(10)
    assert not left[0].is_alive()
