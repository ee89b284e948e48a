"""The bench at a terminal sees what is painted, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import terminal
from tests.bench.terminal import LISTED, Terminal, Unanswered, keys_ms, opened

PAINTER = """
import sys, termios, time, tty
tty.setcbreak(0)
row, top = 4, 4
def paint():
    sys.stdout.write(f"\\x1b[1;1Hfleet › nodes\\x1b[{row};1H\\x1b[0m\\x1b[1m› cam\\x1b[0m")
    sys.stdout.flush()
paint()
while (key := sys.stdin.read(1)) != "q":
    row += {"j": 1, "k": -1}.get(key, 0)
    time.sleep(0.02)
    paint()
"""


@pytest.fixture
def painter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "painter.py").write_text(PAINTER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "painter"


def test_a_key_takes_as_long_as_its_painting(painter: str) -> None:
    with opened(painter) as screen:
        screen.until(lambda: screen.row == LISTED[0])
        taken = keys_ms(screen, 8, LISTED)
        assert len(taken) == 8
        assert all(20 <= each < 2000 for each in taken)
        assert screen.row == LISTED[0] + 8
        assert screen.signs == 18  # two of each painting, the first one included
        assert 0 < screen.cpu_s() < 10
        rss, pss = screen.memory_mb()
        assert 1 < pss <= rss < 100
        screen.type("q")
        screen.until(screen.ended)


def test_what_never_comes_is_not_waited_for(painter: str) -> None:
    with opened(painter) as screen:
        screen.until(lambda: screen.row > 0)
        with pytest.raises(Unanswered, match="cam"):
            screen.until(lambda: screen.row == 99, within_s=0.1)
        screen.type("q")
        screen.until(screen.ended)
        with pytest.raises(Unanswered):
            screen.until(lambda: screen.row == 99, within_s=0.1)


def test_a_sign_that_comes_in_two_pieces_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = [b"\x1b[7;1H\x1b[0", b"m\xe2\x80", b"\xba cam", b"\x1b[1;1Hfleet \xe2\x80\xba nodes"]
    with opened("this") as screen:
        screen.until(screen.ended)
        screen.last, screen.row = b"", 0
        monkeypatch.setattr(terminal.select, "select", lambda *_: ([1], [], []))
        monkeypatch.setattr(terminal.os, "read", lambda *_: pieces.pop(0))
        rows = [(screen.read(1), screen.row)[1] for _ in range(4)]
    assert rows == [0, 0, 7, 7]


def test_a_stall_is_the_median_of_the_seconds() -> None:
    late_ms = [1.0] * 300
    late_ms[50], late_ms[150], late_ms[250] = 9.0, 500.0, 11.0
    assert terminal._stall_ms(late_ms) == 11.0


def _fail(screens: list[Terminal], screen: Terminal) -> None:
    screens.append(screen)
    raise ZeroDivisionError


def test_it_is_closed_whatever_happens() -> None:
    screens: list[Terminal] = []
    with pytest.raises(ZeroDivisionError), opened("http.server", "0") as screen:
        _fail(screens, screen)
    assert screens[0].ended()
