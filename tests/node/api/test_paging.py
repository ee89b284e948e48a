from __future__ import annotations

import pytest

from node.api.paging import cursor_key, cursor_text, paged
from node.domain.errors import RequestInvalid


@pytest.mark.parametrize("key", [("abc",), (5, "a/b", "c"), (-1, ""), (2**62,)])
def test_a_cursor_is_a_key_as_text(key: tuple[str | int, ...]) -> None:
    text = cursor_text(key)
    assert text.isascii()
    assert not set(text) & set("+/=&?# ")
    assert cursor_key(text, *(type(part) for part in key)) == key
    assert cursor_key(None, str) is None


@pytest.mark.parametrize("key", [(1,), ("a", "b"), (True,), (None,), (), ("a\x00",), ("\ud800",)])
def test_a_cursor_of_another_list_is_refused(key: tuple[object, ...]) -> None:
    with pytest.raises(RequestInvalid):
        cursor_key(cursor_text(key), str)  # type: ignore[arg-type]
    with pytest.raises(RequestInvalid):
        cursor_key(cursor_text((2**64,)), int)


def test_a_page_knows_whether_there_is_another() -> None:
    assert paged([1, 2], 2, lambda row: (row,)) == ([1, 2], None)
    assert paged([1, 2, 3], 2, lambda row: (row,)) == ([1, 2], cursor_text((2,)))
    assert paged([], 2, lambda row: (row,)) == ([], None)
