from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.camera import pidfile


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def identity(process: subprocess.Popen[bytes]) -> pidfile.Process:
    known = pidfile.identify(process.pid)
    assert known
    return known


def test_a_leftover_is_ended_and_its_file_removed(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    path = tmp_path / "run" / "camera-main.pid"
    pidfile.write(path, identity(sleeper))
    assert pidfile.end_leftover(path, 5) == sleeper.pid
    assert sleeper.wait(5) == -9
    assert not path.exists()


def test_a_process_that_got_a_recycled_pid_is_left_alone(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    path = tmp_path / "camera-main.pid"
    known = identity(sleeper)
    for other in (replace(known, started_ticks=known.started_ticks - 1), replace(known, boot="another boot")):
        pidfile.write(path, other)
        assert pidfile.end_leftover(path, 5) is None
        assert sleeper.poll() is None
        assert not path.exists()


def test_a_pid_that_nobody_has_is_no_leftover(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    path = tmp_path / "camera-main.pid"
    pidfile.write(path, identity(sleeper))
    sleeper.kill()
    sleeper.wait()
    assert pidfile.end_leftover(path, 5) is None
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "12", "{}", '{"pid": 1}', "[1]", "\x00\x01"])
def test_a_file_that_is_not_ours_is_ignored(content: str, tmp_path: Path) -> None:
    path = tmp_path / "camera-main.pid"
    path.write_text(content)
    assert pidfile.end_leftover(path, 1) is None


def test_without_a_file_there_is_no_leftover(tmp_path: Path) -> None:
    assert pidfile.end_leftover(tmp_path / "camera-main.pid", 1) is None


def test_a_dead_process_that_nobody_waited_for_has_no_identity() -> None:
    process = subprocess.Popen(["true"], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.read()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert pidfile.identify(process.pid) is None
    process.stdout.close()
    process.wait()


def test_a_process_that_survives_is_said(
    monkeypatch: pytest.MonkeyPatch, sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    path = tmp_path / "camera-main.pid"
    pidfile.write(path, identity(sleeper))
    monkeypatch.setattr(pidfile.signal, "pidfd_send_signal", lambda _handle, _signal: None)
    with pytest.raises(TimeoutError, match=str(sleeper.pid)):
        pidfile.end_leftover(path, 0.05)
    assert path.exists()
