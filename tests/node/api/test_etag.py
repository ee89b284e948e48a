from __future__ import annotations

import pytest

from node.api.etag import matches, strong, weak


@pytest.mark.parametrize(
    ("header", "known"),
    [('"a"', True), ('W/"a"', True), ('"b", "a"', True), ("*", True), ('"b"', False), ("", False), ("a", False)],
)
def test_if_none_match_names_one_tag_of_a_list(header: str, known: bool) -> None:
    assert matches(header, strong("a")) is known
    assert matches(header, weak("a")) is known
