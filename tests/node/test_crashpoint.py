from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from node.crashpoint import VARIABLE

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
