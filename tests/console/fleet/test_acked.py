"""Acknowledgements in the log: lines that can be run as they stand, and read again however long they are."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from console.fleet.acked import Acked, logged_ack
from console.fleet.keep import LONGEST_LINE_BYTES
from console.fleet.state import Book

NOW_US = 1_800_000_000_000_000


def logged(book: Book, keys: list[str], *, saved: bool = True) -> list[str]:
    logged_ack(book, NOW_US, "mw", Acked(("ack",), keys, ("--reason", "x"), "known"), saved=saved)
    again = Book.open(book.folder, None, book._clock)
    return [entry.command for entry in again.commands(1000)]


@pytest.mark.parametrize("subject", ["main", "'" * 128, "\N{PILE OF POO}" * 128, "\\" * 128])
@pytest.mark.parametrize("count", [1, 89, 90, 91, 400])
def test_every_key_is_in_the_log_once_whatever_it_is(tmp_path: Path, hand: Any, subject: str, count: int) -> None:
    keys = [f"cam-{number}/{'c' * 64}/{subject}" for number in range(count)]
    book = Book.open(tmp_path, None, hand.as_clock())
    words = [shlex.split(line) for line in logged(book, keys)]
    assert sorted(word for line in words for word in line if "/c" in word) == sorted(keys)
    assert all(len(line) < LONGEST_LINE_BYTES for line in (tmp_path / "commands.jsonl").read_bytes().split(b"\n"))


def test_it_says_of_which_inventory_and_state_from_wherever_it_is_run(
    tmp_path: Path, hand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    clock = hand.as_clock()
    assert Book.open(Path("state"), Path("hosts.yml"), clock).options == (
        "-i", f"{tmp_path}/hosts.yml", "--state", f"{tmp_path}/state",
    )  # fmt: skip
    assert Book.open(None, Path("a,b"), clock).options == ("-i", "a,b")
    assert Book.open(None, None, clock).options == ()


def test_what_is_not_saved_is_said_not_to_be_and_of_nothing_nothing_is_said(tmp_path: Path, hand: Any) -> None:
    book = Book.open(tmp_path, None, hand.as_clock())
    assert logged(book, []) == []
    logged(book, ["cam/a/b"], saved=False)
    assert [entry.outcome for entry in book.commands(9)] == ["1 known, not saved"]
