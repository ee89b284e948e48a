from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.domain.facts import ReleaseFacts
from node.host.release import LARGEST_BYTES, TEXT_CHARS, last_change

SAID = {
    "state": "rolled_back", "version": "0.5.0", "previous": "0.4.0", "since_us": 1_795_000_000_000_000,
    "until_us": 1_795_000_180_000_000, "reason": "no good frames", "owner": "rollout-1@ops1",
}  # fmt: skip


def said(tmp_path: Path, **changes: object) -> ReleaseFacts:
    path = tmp_path / "release.json"
    path.write_text(json.dumps({**SAID, **changes}))
    return last_change(path)


def test_the_keepers_word_is_read(tmp_path: Path) -> None:
    assert said(tmp_path) == ReleaseFacts(
        "rolled_back", "0.5.0", "0.4.0", 1_795_000_000_000_000, 1_795_000_180_000_000, "no good frames"
    )


def test_what_need_not_be_said_may_be_absent_and_what_is_new_is_passed_over(tmp_path: Path) -> None:
    found = said(tmp_path, until_us=None, previous=None, reason=7, moon="full")
    assert (found.state, found.until_us, found.previous, found.reason) == ("rolled_back", None, "", "")


def test_long_texts_are_cut(tmp_path: Path) -> None:
    assert said(tmp_path, reason="x" * 5000).reason == "x" * TEXT_CHARS


@pytest.mark.parametrize(
    "changes",
    [{"state": "flying"}, {"state": None}, {"state": ["trial"]}, {"version": ""}, {"version": 5}, {"since_us": None},
     {"since_us": "now"}, {"since_us": -1}, {"since_us": 10**18}],
    ids=str,
)  # fmt: skip
def test_a_word_that_says_nothing_is_none(tmp_path: Path, changes: dict[str, object]) -> None:
    assert said(tmp_path, **changes) == ReleaseFacts()


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 50_000, b" " * LARGEST_BYTES + b"{}"], ids=len
)
def test_a_broken_or_huge_file_says_nothing(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "release.json"
    path.write_bytes(data)
    assert last_change(path) == ReleaseFacts()


def test_where_there_is_no_file_or_a_folder_there_was_no_change(tmp_path: Path) -> None:
    assert last_change(tmp_path / "none.json") == ReleaseFacts()
    assert last_change(tmp_path) == ReleaseFacts()
