"""A node with all its processes on a small disk that somebody else fills to the last byte: it mends that by itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes import PROGRAM, Home, Node, beside, started, wait_for
from tests.simulate.holdings import half_gone, unaccounted
from tests.simulate.ledger import events, reasons

CAMERA = {"backend": "synthetic", "width": 1920, "height": 1080}
DOCUMENT = {
    "schedules": {"each": {"interval_s": 1}},
    "alerts": {"disk_reserve_bytes": 0, "hold_down_s": 0},
    "retention": {"reclaim_to_free_pct": 22},
    "render": {"enabled": False},
    "archive": {"targets": {"shelf": {"gather_s": 1}}},
}
MB = 2**20
ENOUGH_BYTES = 5 * MB


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """Its data folder is a file system of 24 MB, its target is a folder of another one; the tests run as root."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    archive = {"shelf": {"kind": "directory", "path": str(shelf)}}
    made = Home(tmp_path / "node", {"main": CAMERA}, DOCUMENT, {"archive": archive})
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(made.data)], check=True)
    try:
        yield made
    finally:
        subprocess.run(["umount", "--lazy", str(made.data)], check=True)


def fill(folder: Path) -> Path:
    """Every byte that is left."""
    path = folder / "filler"
    with path.open("ab", buffering=0) as file:
        for size in (MB, 4096):
            try:
                while file.write(bytes(size)) == size:
                    continue
            except OSError:
                continue
    return path


def sent_bytes(node: Node) -> int:
    return sum(target["sent_bytes"] for target in node.get("/v1/targets")["items"])


@pytest.mark.slow
def test_what_is_archived_makes_room_and_capture_goes_on(home: Home) -> None:
    with started(home) as node:
        subprocess.run([PROGRAM, "archive", "init", "shelf", "--config", str(home.config)], check=True)
        with beside(home, "work"), beside(home, "ship"):
            wait_for(lambda: sent_bytes(node) > ENOUGH_BYTES, "frames in the archive", 120)
        # the worker looks at the disk as often as the service does: beside it the step may have passed unseen
        filler = fill(home.data)
        wait_for(lambda: node.get("/v1/disk")["step"] == "stopped", "a full disk", 30)
        with beside(home, "work"), beside(home, "ship"):
            wait_for(lambda: node.get("/v1/disk")["step"] == "ok", "room again", 60)
            newest = max(frame["id"] for frame in node.frames())
            wait_for(lambda: max(frame["id"] for frame in node.frames()) > newest, "frames again", 30)
            assert filler.exists()
            size = os.statvfs(home.data)
            assert size.f_bavail > size.f_blocks * 0.1
            assert node.stop()[0] == 0
    assert unaccounted(home.data) == []
    assert half_gone(home.data) == []
    assert events(home.data, "reclaimed")
    assert "disk_full" in reasons(home.data)
