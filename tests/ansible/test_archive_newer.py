"""Frames that an archive has and a backup does not know: measured first, then brought; refused without room."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

NEWER = Path(__file__).parents[2] / "roles/archive/files/newer.sh"
SINCE = 1_000_000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A folder target with a frame of that time and one from before."""
    frames = tmp_path / "store/alpha/frames"
    frames.mkdir(parents=True)
    for name, time_s in (("new.jpg", SINCE + 5), ("old.jpg", SINCE - 5)):
        (frames / name).write_bytes(b"x" * 3_000_000)
        os.utime(frames / name, (time_s, time_s))
    return tmp_path / "store"


def brought(store: Path, *words: str, free_mib: int = 100, since: int = SINCE) -> subprocess.CompletedProcess[str]:
    """With a disk of that size; what is copied is said instead."""
    fakes = store.parent / "bin"
    fakes.mkdir(exist_ok=True)
    lists = 'for word; do case $word in --files-from=*) tr "\\0" " " < "${word#*=}" ;; esac; done'
    for name, does in {"df": f"echo Avail; echo {free_mib}", "rsync": lists}.items():
        (fakes / name).write_text(f"#!/bin/sh\n{does}\n")
        (fakes / name).chmod(0o755)
    target = {"KIND": "directory", "HOST": "", "PORT": "22", "LOGIN": "", "FOLDER": str(store), "NAME": "disk"}
    environment = {"PATH": f"{fakes}:/usr/bin:/bin", **target, "NODE": "alpha", "SINCE": str(since)}
    command = ["sh", "-c", NEWER.read_text(), "sh", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_frames_since_then_are_brought_and_no_others(store: Path) -> None:
    done = brought(store)
    assert (done.returncode, done.stdout) == (0, "frames/new.jpg "), done.stderr


def test_a_measure_brings_nothing(store: Path) -> None:
    done = brought(store, "measure")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("words", [(), ("measure",)])
def test_what_has_no_room_is_refused_by_the_measure_already(store: Path, words: tuple[str, ...]) -> None:
    done = brought(store, *words, free_mib=2)
    assert done.returncode == 1
    assert done.stderr == "2 MiB of frames since then and 2 MiB free: set node_restore_days lower\n"


def test_a_node_that_has_sent_nothing_yet_has_nothing_to_bring(store: Path) -> None:
    (store / "alpha").rename(store / "bravo")
    done = brought(store)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nothing_new_is_nothing_to_bring(store: Path) -> None:
    assert brought(store, since=SINCE + 60).stdout == ""


def test_a_target_that_is_not_there_is_refused_by_the_measure_already(store: Path) -> None:
    assert brought(store.with_name("unmounted"), "measure").returncode != 0
