"""Before any screen: whether there is a terminal to draw on, and settings that cannot be."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.commands.command import no_terminal
from tests.console.commands.conftest import Typed

FILES = ("stdin", "stdout", "stderr")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A terminal, but for these files."""

    def made(*without: str, term: str = "xterm") -> None:
        for name in FILES:
            monkeypatch.setattr(sys, name, io.StringIO() if name in without else Typed(""))
        monkeypatch.setenv("TERM", term)

    return made


def test_a_terminal_is_enough(terminal: Callable[..., None]) -> None:
    terminal()
    assert no_terminal() == ""


@pytest.mark.parametrize(
    ("without", "said"),
    [
        (("stderr",), "standard error is none"),
        (("stdin",), "standard input is none"),
        (("stdin", "stdout"), "standard input and standard output are none"),
    ],
)
def test_it_says_which_file_is_no_terminal(without: tuple[str, ...], said: str, terminal: Callable[..., None]) -> None:
    terminal(*without)
    assert no_terminal() == said


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_be_drawn_on_is_named(terminal: Callable[..., None], term: str) -> None:
    terminal(term=term)
    assert no_terminal() == "TERM is not set, empty or dumb"


def test_without_a_terminal_the_console_says_so_and_ends(run: Callable[..., Any]) -> None:
    ended = run("console")
    assert ended.code
    assert "standard input" in ended.err


@pytest.mark.parametrize("command", ["settings", "console", "demo"])
def test_keys_that_cannot_be_are_told_before_anything_begins(
    command: str, run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"console.commands.{command}.no_terminal", lambda: "", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "heliograph").mkdir()
    (tmp_path / "heliograph" / "console.toml").write_text('[keys]\nhalt = "h"\nhold = "t"\nopen = "g"\n')
    ended = run(command)
    assert ended.code
    assert "keys.halt" in ended.err
    assert "no such action" in ended.err
