"""The inventory looked at again while a fleet runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from console.fleet.inventory import Host
from console.fleet.poller import Fleet
from console.fleet.watch import AGAIN_S, LOOK_S, RELOOK_S, Means, aside, watch_inventory
from node.wire.errors import InventoryUnreadable

OLD, NEW = (Host("old", "127.0.0.1", 1, "http"),), (Host("new", "127.0.0.1", 2, "http"),)


class Story:
    """Each look at the inventory is a step; a step may change the file, the answer or the time."""

    def __init__(self, path: Path, hand: Any, *steps: Callable[[Story], None]) -> None:
        self.path, self.hand, self.steps = path, hand, list(steps)
        self.answer: Sequence[Host] | InventoryUnreadable = NEW
        self.reads = 0
        self.fleet = Fleet(OLD)
        self.remembered: list[Sequence[Host]] = []

    def read(self, path: Path | None) -> Sequence[Host]:
        self.reads += 1
        if isinstance(self.answer, InventoryUnreadable):
            raise self.answer
        return self.answer

    async def pause(self, seconds: float) -> None:
        self.hand.now_s += seconds
        if not self.steps:
            raise asyncio.CancelledError
        self.steps.pop(0)(self)

    def play(self, *, fresh: bool) -> Story:
        means = Means(self.read, self.pause, self.hand.as_clock())

        async def whole() -> None:
            with pytest.raises(asyncio.CancelledError):
                await watch_inventory(self.fleet, self.path, self.remembered.append, fresh=fresh, means=means)

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
    async def whole() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await aside(lambda: __import__("time").sleep(0.1))
        with pytest.raises(ZeroDivisionError):
            await aside(lambda: 1 // 0)

    asyncio.run(whole())
