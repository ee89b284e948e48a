"""Text taken along: by a real tmux, by the terminal, and always to a file."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console.fleet import copying
from console.fleet.copying import MOST_OSC52_CHARS, copy, homely

Tmux = Callable[..., str]


@pytest.fixture
def osc52() -> list[str]:
    return []


def taken(text: str, osc52: list[str], file: Path, **environ: str) -> str:
    whole = {**os.environ, "TMUX": "", **environ}
    return asyncio.run(copy(text, osc52.append, file=file, environ=whole))


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    """A server of its own; what its commands print."""
    if shutil.which("tmux") is None:
        pytest.skip("this machine has no tmux")
    socket = str(tmp_path / "tmux.sock")

    def run(*words: str) -> str:
        command = ["tmux", "-S", socket, "-f", "/dev/null", *words]
        environ = {name: value for name, value in os.environ.items() if name != "TMUX"}
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10, env=environ).stdout

    run("new-session", "-d", "-x", "80", "-y", "24", "cat")
    yield run
    run("kill-server")


def test_tmux_takes_it_where_there_is_one(tmux: Tmux, osc52: list[str], tmp_path: Path) -> None:
    file = tmp_path / "copied.txt"
    text = "✖ crit  nairobi\n▲ warn  kyoto"
    where = taken(text, osc52, file, TMUX=tmux("display", "-p", "#{socket_path},#{pid},0").strip())
    assert where == f"tmux, {file}"
    assert tmux("show-buffer") == text
    assert osc52 == []
    assert file.read_text() == text + "\n"


def test_a_long_text_goes_to_tmux_whole(tmux: Tmux, osc52: list[str], tmp_path: Path) -> None:
    text = "0123456789\n" * 20_000
    taken(text, osc52, tmp_path / "copied.txt", TMUX=tmux("display", "-p", "#{socket_path},#{pid},0").strip())
    assert tmux("show-buffer") == text


@pytest.mark.parametrize("broken", ["/nowhere/tmux.sock,1,0", "nonsense"])
def test_a_tmux_that_is_gone_leaves_it_to_the_terminal(broken: str, osc52: list[str], tmp_path: Path) -> None:
    assert taken("row", osc52, tmp_path / "copied.txt", TMUX=broken).startswith("terminal (OSC 52), ")
    assert osc52 == ["row"]


def test_without_the_program_tmux_the_terminal_takes_it(
    osc52: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    where = asyncio.run(copy("row", osc52.append, file=tmp_path / "c", environ={"TMUX": "x,1,0", "PATH": "/nowhere"}))
    assert where.startswith("terminal")


def test_a_tmux_that_hangs_is_not_waited_for(osc52: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "tmux"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(copying, "TMUX_LIMIT_S", 0.1)
    assert taken("row", osc52, tmp_path / "copied.txt", TMUX="x,1,0").startswith("terminal")


@pytest.mark.parametrize(("size", "sent"), [(0, True), (75_000, True), (75_001, False), (5_000_000, False)])
def test_the_terminal_is_not_given_more_than_it_takes(size: int, sent: bool, osc52: list[str], tmp_path: Path) -> None:
    file = tmp_path / "copied.txt"
    where = taken("x" * size, osc52, file)
    assert bool(osc52) is sent
    assert where.startswith("terminal (OSC 52)" if sent else "too long for the terminal's clipboard")
    assert len(file.read_text()) == size + 1
    assert MOST_OSC52_CHARS == 100_000


def test_the_file_is_its_owners_alone_and_is_written_anew(osc52: list[str], tmp_path: Path) -> None:
    file = tmp_path / "deep" / "copied.txt"
    taken("the first, a long one", osc52, file)
    file.chmod(0o644)
    taken("second", osc52, file)
    assert file.read_text() == "second\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in file.parent.iterdir()] == ["copied.txt"]


def test_where_no_file_can_be_it_says_so(osc52: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert taken("row", osc52, tmp_path / "file" / "copied.txt") == "terminal (OSC 52), no file: File exists"
    assert taken("row", osc52, tmp_path).startswith("terminal (OSC 52), no file: ")


def test_without_a_file_named_it_is_the_users_own(
    osc52: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    asyncio.run(copy("row", osc52.append, environ={}))
    assert (tmp_path / "heliograph" / "copied.txt").read_text() == "row\n"


def test_a_path_below_the_home_is_written_with_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/mw")
    assert homely(Path("/home/mw/a/b")) == "~/a/b"
    assert homely(Path("/home/mwx/a")) == "/home/mwx/a"
    monkeypatch.setenv("HOME", "/")
    assert homely(Path("/a")) == "/a"
