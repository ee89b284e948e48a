"""Demo nodes that are there at once: a small program in the place of the real service."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.demo import grounds

PROGRAM = Path(__file__).parent / "fake_program.py"
Modes = dict[str, str]


@pytest.fixture(autouse=True)
def _no_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would end the tests, where they are slow and a demo gets its signal in their process."""
    monkeypatch.setattr("console.fleet.ending.LAST_S", 600.0)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's folders land here, and nobody else's do."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def shelves(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's archive lands here."""
    folder = tmp_path_factory.mktemp("shelves")
    monkeypatch.setattr(grounds, "SHELVES", folder)
    return folder


@pytest.fixture
def modes(monkeypatch: pytest.MonkeyPatch, make_status: Callable[..., Any], make_camera: Callable[..., Any]) -> Modes:
    """How the stand-in behaves, by node; `well` where it is not said."""
    chosen: Modes = {}

    def service(folder: Path) -> list[str]:
        status = make_status(folder.name, cameras=[make_camera(due=9, captured=7, gaps=2)])
        mode = chosen.get(folder.name, "well")
        return [sys.executable, str(PROGRAM), str(folder), json.dumps(status.model_dump(mode="json")), mode]

    monkeypatch.setattr(grounds, "service", service)
    monkeypatch.setattr(grounds, "worker", lambda _: ["sleep", "600"])
    monkeypatch.setattr(grounds, "marking", lambda _: ["true"])
    return chosen


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.fixture
def alive() -> Callable[[int], bool]:
    return is_alive
