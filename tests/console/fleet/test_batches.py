"""One table says in what order a fleet is changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.fleet.batches import SHARES, batches


def sizes(count: int, canaries: int = 0) -> list[tuple[str, int]]:
    names = [f"cam-{number:03}" for number in range(count)]
    return [(batch.name, len(batch.nodes)) for batch in batches(names, set(names[-canaries:] if canaries else ()))]


@pytest.mark.parametrize(
    ("count", "canaries", "cut"),
    [
        (0, 0, []),
        (1, 0, [("canary", 1)]),
        (2, 0, [("canary", 1), ("rest", 1)]),
        (5, 0, [("canary", 1), ("25 %", 1), ("rest", 3)]),
        (100, 0, [("canary", 1), ("10 %", 9), ("25 %", 15), ("rest", 75)]),
        (100, 20, [("canary", 20), ("25 %", 5), ("rest", 75)]),
        (10, 10, [("canary", 10)]),
        (500, 2, [("canary", 2), ("10 %", 48), ("25 %", 75), ("rest", 375)]),
    ],
)
def test_a_fleet_is_cut_as_the_table_says(count: int, canaries: int, cut: list[tuple[str, int]]) -> None:
    assert sizes(count, canaries) == cut


def test_only_the_canaries_soak_and_only_where_somebody_follows() -> None:
    assert [batch.soak_s for batch in batches("abcdefghij", "c", 7.0)] == [7.0, 0.0, 0.0]
    assert [batch.soak_s for batch in batches("a", (), 7.0)] == [0.0]


def test_canaries_that_are_not_meant_count_for_nothing() -> None:
    assert batches(["a", "b"], {"z"})[0].nodes == ("a",)


@given(st.lists(st.integers(0, 300).map(str), max_size=300), st.sets(st.integers(0, 300).map(str), max_size=20))
def test_each_node_is_in_one_batch(names: list[str], canaries: set[str]) -> None:
    cut = batches(names, canaries)
    members = [name for batch in cut for name in batch.nodes]
    assert sorted(members) == sorted(set(names))
    assert all(batch.nodes for batch in cut)
    assert len(cut) <= 1 + len(SHARES)
