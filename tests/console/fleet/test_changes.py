"""What differs between two documents, fit to be shown."""

from __future__ import annotations

from typing import Any

import pytest

from console.fleet.changes import changes


def told(before: Any, after: Any, hidden: tuple[str, ...] = ()) -> list[str]:
    return [str(each) for each in changes(before, after, lambda path: path in hidden)]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({}, {}, []),
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, ["a: 1 → 2"]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}}, ["a.b: 1 → 3"]),
        ({}, {"a": {"b": 1, "c": [2]}}, ["a.b: - → 1", "a.c: - → [2]"]),
        ({"a": {"b": {"c": "x"}}}, {}, ['a.b.c: "x" → -']),
        ({}, {"a": {}}, ["a: - → {}"]),
        ({"a": {}}, {"a": {"b": 1}}, ["a.b: - → 1"]),
        ({"a": None}, {}, ["a: null → -"]),
        ({"a": {"b": 1}}, {"a": 1}, ['a: {"b": 1} → 1']),
        ({"a": "\x1b[31m"}, {"a": "é"}, ['a: "\\u001b[31m" → "é"']),
        ({"b": 1, "a": 1}, {}, ["a: 1 → -", "b: 1 → -"]),
    ],
)
def test_each_field_that_differs_is_told_with_both_values(before: Any, after: Any, said: list[str]) -> None:
    assert told(before, after) == said


def test_of_a_secret_only_that_it_differs_is_told() -> None:
    assert told({"a": "hush"}, {"a": "hush!"}, ("a",)) == ["a: (secret) → (secret)"]
    assert told({}, {"a": "hush!"}, ("a",)) == ["a: - → (secret)"]


def test_a_long_value_is_cut() -> None:
    (line,) = told({}, {"a": "x" * 5000})
    assert len(line) < 140
    assert line.endswith("…")
