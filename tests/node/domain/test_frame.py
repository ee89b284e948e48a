"""Ids are time-ordered and readable; the table of gap reasons is closed and complete."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.domain.errors import RequestInvalid
from node.domain.frame import GAP_REASONS, ID_LENGTH, GapReason, SlotKey, id_time_ms, make_id, short_id

quiet = settings(derandomize=True, database=None, deadline=None)
moments, entropy = st.integers(0, (1 << 48) - 1), st.binary(min_size=10, max_size=10)


@quiet
@given(moments, entropy)
def test_an_id_has_26_characters_and_gives_its_time_back(unix_ms: int, random: bytes) -> None:
    identity = make_id(unix_ms, random)
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}", identity)
    assert id_time_ms(identity) == unix_ms
    assert identity.endswith(short_id(identity))
    assert len(short_id(identity)) == 8


@quiet
@given(moments, moments, entropy, entropy)
def test_ids_are_ordered_by_time(one: int, two: int, first: bytes, second: bytes) -> None:
    if one < two:
        assert make_id(one, first) < make_id(two, second)


def test_a_clock_before_1970_still_gives_an_id() -> None:
    assert id_time_ms(make_id(-5, bytes(10))) == 0


@pytest.mark.parametrize("count", [0, 9, 11])
def test_an_id_takes_ten_random_bytes(count: int) -> None:
    with pytest.raises(ValueError, match="10 random bytes"):
        make_id(1, bytes(count))


@pytest.mark.parametrize("text", ["", "x" * ID_LENGTH, "0" * 25, "0" * 27, "../../etc/passwd0000000000", "é" * 26])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(RequestInvalid, match="is not an id"):
        id_time_ms(text)


def test_every_gap_reason_has_a_sentence_and_says_whether_it_is_a_fault() -> None:
    assert set(GAP_REASONS) == set(GapReason)
    assert all(meaning.sentence.endswith(".") for meaning in GAP_REASONS.values())


def test_slots_sort_by_camera_profile_and_time() -> None:
    assert min(SlotKey("b", "x", 1), SlotKey("a", "y", 9), SlotKey("a", "y", 3)) == SlotKey("a", "y", 3)
