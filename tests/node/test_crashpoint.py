from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter

import pytest

from node import crashpoint
from node.crashpoint import VARIABLE, crash_point

PASSES = """
from node.crashpoint import crash_point
for number in range(5):
    print(number, flush=True)
    crash_point("other")
    crash_point("here")
"""


def run(planned: str | None) -> tuple[int, list[str]]:
    environment = {} if planned is None else {VARIABLE: planned}
    done = subprocess.run([sys.executable, "-c", PASSES], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.split()


@pytest.mark.parametrize(
    ("planned", "passed"), [("here", 1), ("here:3", 3), ("here:9", 5), ("nowhere", 5), ("", 5), (None, 5)]
)
def test_the_process_ends_at_the_named_passage_and_only_there(planned: str | None, passed: int) -> None:
    status, numbers = run(planned)
    assert len(numbers) == passed
    assert status == (-signal.SIGKILL if passed < 5 else 0)


def test_passages_are_counted_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[tuple[int, int]] = []
    monkeypatch.setattr(crashpoint, "_planned", "here:2")
    monkeypatch.setattr(crashpoint, "_passages", Counter())
    monkeypatch.setattr(os, "kill", lambda *call: ended.append(call))
    crash_point("here")
    crash_point("there")
    assert ended == []
    crash_point("here")
    assert ended == [(os.getpid(), signal.SIGKILL)]
