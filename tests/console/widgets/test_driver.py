"""What is written to a terminal that is slow, stuck or gone."""

from __future__ import annotations

import os
import pty
import select
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from console.widgets import driver
from console.widgets.driver import ABORT, MOST_QUEUED, Output

MUCH = "x" * 50_000


@dataclass
class Line:
    """A pseudo terminal and what is written to it."""

    lost: threading.Event = field(default_factory=threading.Event)
    again: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.output = Output((self.slave, self.slave), self.lost.set, self.again.set)

    def read(self, until: str) -> str:
        seen = b""
        while until.encode() not in seen:
            assert select.select([self.master], [], [], 10)[0], seen[-200:]
            seen += os.read(self.master, 65536)
        return seen.decode()

    def hang_up(self) -> None:
        os.close(self.master)
        self.master = -1

    def close(self) -> None:
        if self.master >= 0:
            self.hang_up()
        self.output.stop()
        os.close(self.slave)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STUCK_S", "FLUSH_S", "LOOK_S"):
        monkeypatch.setattr(driver, name, 0.2)


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


def fill(line: Line) -> None:
    for _ in range(MOST_QUEUED + 2):
        line.output.write(MUCH)


def test_what_is_written_arrives_in_its_order_and_the_last_of_it_before_the_end(line: Line) -> None:
    for number in range(200):
        line.output.write(f"<{number}é>")
        if number % MOST_QUEUED == 0:
            line.read(f"<{number}é>")
    line.output.settle()
    line.output.write("the end")
    line.output.stop()
    assert "<199é>the end" in line.read("the end")


def test_one_that_is_stuck_holds_nobody_up_and_is_painted_anew_when_it_goes_on(line: Line) -> None:
    fill(line)
    began_s = time.monotonic()
    for _ in range(1000):
        line.output.write("dropped")
    assert time.monotonic() - began_s < 0.1
    assert not line.again.is_set()
    while not line.again.wait(0.01):
        os.read(line.master, 65536)
    line.output.write("anew")
    assert "dropped" not in line.read("anew")
    assert not line.lost.is_set()


def test_one_that_is_stuck_gets_the_last_words_and_no_more_pictures(line: Line) -> None:
    fill(line)
    began_s = time.monotonic()
    line.output.settle()
    line.output.write("the end")
    line.output.stop()
    assert time.monotonic() - began_s < 2
    seen = line.read("the end")
    assert seen.endswith(ABORT + "the end")
    assert len(seen) < len(MUCH)


@pytest.mark.parametrize("stuck", [False, True])
def test_one_that_is_gone_is_told_once_and_takes_anything(line: Line, stuck: bool) -> None:
    if stuck:
        fill(line)
    line.hang_up()
    assert line.lost.wait(10), "nobody needs to write for that"
    fill(line)
    line.output.settle()
    line.output.stop()


def test_what_is_gone_at_the_end_is_no_news(line: Line) -> None:
    line.output.stop()
    line.hang_up()
    assert not line.lost.wait(0.5)
