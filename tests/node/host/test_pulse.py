"""Pulses: what a process beside the service says of itself, and what is left when it has gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from node.host import pulse
from node.host.pulse import Pulse


def test_a_pulse_is_read_as_it_was_written(tmp_path: Path) -> None:
    said = Pulse(os.getpid(), 12.5, 10.0, "01J")
    pulse.write(tmp_path, "work", said)
    assert pulse.read(tmp_path, "work") == said
    assert [path.name for path in tmp_path.iterdir()] == ["work.pulse"]


def test_a_loop_that_ended_in_order_leaves_nothing(tmp_path: Path) -> None:
    pulse.write(tmp_path, "work", Pulse(os.getpid(), 1.0, 1.0))
    pulse.end(tmp_path, "work")
    pulse.end(tmp_path, "work")
    assert pulse.read(tmp_path, "work") is None


def test_the_pulse_of_a_process_that_has_ended_is_none(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    pulse.write(tmp_path, "work", Pulse(child.pid, 1.0, 3600.0))
    assert pulse.read(tmp_path, "work") is None


def test_the_pulse_of_another_users_process_is_felt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(pid: int, signal: int) -> None:
        raise PermissionError

    said = Pulse(os.getpid(), 1.0, 3600.0)
    pulse.write(tmp_path, "ship", said)
    monkeypatch.setattr(os, "kill", refused)
    assert pulse.read(tmp_path, "ship") == said


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": 1, "at_s": 1, "promise_s": 1, "colour": 1}'])
def test_a_file_that_is_no_pulse_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "work.pulse").write_text(text)
    assert pulse.read(tmp_path, "work") is None


def test_a_folder_that_cannot_be_written_raises_nothing(tmp_path: Path) -> None:
    pulse.write(tmp_path / "missing", "work", Pulse(1, 1.0, 1.0))
    assert pulse.read(tmp_path / "missing", "work") is None
