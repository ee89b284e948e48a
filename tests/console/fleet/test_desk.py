"""What goes on beside the screens: the loop waits for no disk, and the end leaves nothing in memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.fleet import keep, record
from console.fleet.desk import LOOK_S, SNAPSHOT_S, Desk
from console.fleet.inventory import Host
from console.fleet.poller import Fleet
from console.fleet.state import Ack, Book
from console.fleet.view import Patience
from node.wire.errors import RecordingUnusable

ACK = Ack("cam/camera_offline/main", "mw", "lens visit", 1)


class Quiet(Fleet):
    async def run(self) -> None:
        await asyncio.Event().wait()


@pytest.fixture
def desk(tmp_path: Path, hand: Any, make_status: Callable[..., Any]) -> Desk:
    fleet = Quiet([Host("cam", "127.0.0.1", 1, "http")], patience=Patience(), clock=hand.as_clock())
    fleet.model.heard("cam", make_status("cam"))
    return Desk(fleet, Book.open(tmp_path / "state", None, hand.as_clock()), operator="mw", clock=hand.as_clock())


def runs(desk: Desk, hand: Any, *steps: Callable[[], object]) -> None:
    """A step at each look; the last is its end."""
    left = list(steps)

    async def pause(seconds: float) -> None:
        hand.now_s += seconds
        if not left:
            raise asyncio.CancelledError
        left.pop(0)()

    async def whole() -> None:
        running = asyncio.create_task(desk._keep(pause))
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(whole())


def test_nothing_is_written_on_the_loop(
    desk: Desk, hand: Any, monkeypatch: pytest.MonkeyPatch, make_status: Callable[..., Any]
) -> None:
    path, seen = desk.begin_recording(), set[tuple[str, bool]]()

    def watched(module: Any, name: str) -> None:
        real = getattr(module, name)

        def noted(*given: Any) -> Any:
            seen.add((name, threading.current_thread() is threading.main_thread()))
            return real(*given)

        monkeypatch.setattr(module, name, noted)

    def step() -> None:
        desk.model.heard("cam", make_status("cam"))

    watched(record.os, "write")
    watched(keep.os, "fsync")
    runs(desk, hand, *[step] * int(SNAPSHOT_S / LOOK_S))
    assert seen == {("write", False), ("fsync", False)}
    known_before = 1
    assert path.read_text().count('"status"') == known_before + SNAPSHOT_S / LOOK_S
    assert (path.parent.parent / "snapshot.json").exists()


def test_what_could_not_be_saved_is_saved_at_the_end(desk: Desk, hand: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert desk.book is not None

    async def whole() -> None:
        running = asyncio.create_task(desk.run(lambda _: asyncio.Event().wait()))
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    with monkeypatch.context() as full:
        full.setattr(keep.os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        assert not desk.book.acknowledge(ACK)
    asyncio.run(whole())
    assert list(Book.open(desk.book.folder, None, hand.as_clock()).acks) == [ACK.key]


def test_a_recording_that_cannot_be_named_is_refused_in_words(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", closed)
    with pytest.raises(RecordingUnusable, match="Permission denied"):
        desk.begin_recording()
    assert desk.recorder is None
