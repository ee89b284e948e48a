"""A command ends by a signal also where its loop stands still."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from console.fleet.ending import is_gone, is_heard

STUCK = """
import asyncio, os, sys
from pathlib import Path
from console.fleet import ending
ending.LAST_S = 0.3

async def main():
    one = ending.Ending()
    one.watch(asyncio.get_running_loop())
    one.at_last.append(lambda: Path(sys.argv[1]).write_text("done"))
    one.at_last.append(lambda: 1 / int(sys.argv[2]))
    print("begins", file=sys.stderr, flush=True)
    while True:
        os.write(1, bytes(1_000_000))

asyncio.run(main())
"""


@pytest.mark.parametrize("divisor", ["1", "0"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_one_that_is_stuck_in_a_write_ends_all_the_same(tmp_path: Path, number: int, divisor: str) -> None:
    words = [sys.executable, "-c", STUCK, str(tmp_path / "kept"), divisor]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as stuck:
        assert stuck.stderr is not None
        assert stuck.stderr.readline() == b"begins\n"
        while Path(f"/proc/{stuck.pid}/wchan").read_text() not in {"pipe_write", "anon_pipe_write"}:
            time.sleep(0.01)
        stuck.send_signal(number)
        stuck.send_signal(number)
        assert stuck.wait(20) == 128 + number
    assert (tmp_path / "kept").read_text() == "done"


def test_a_terminal_is_heard_until_it_takes_nothing_more_or_is_gone() -> None:
    master, slave = pty.openpty()
    os.set_blocking(slave, False)
    assert (is_heard(slave), is_gone(slave)) == (True, False)
    try:
        while os.write(slave, bytes(4096)):
            pass
    except BlockingIOError:
        assert (is_heard(slave), is_gone(slave)) == (False, False)
    os.close(master)
    assert (is_heard(slave), is_gone(slave)) == (False, True)
    os.close(slave)


def test_a_file_and_a_pipe_are_heard(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert is_heard(file.fileno())
    reader, writer = os.pipe()
    assert is_heard(writer)
    os.close(reader)
    assert not is_heard(writer)
    os.close(writer)
