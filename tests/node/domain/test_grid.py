"""Grids against plain enumeration."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from node.domain.grid import Grid, count_union, grid_of
from node.domain.times import US

grids = st.integers(1, 40).flatmap(lambda every: st.builds(Grid, st.just(every), st.integers(0, every - 1)))
quiet = settings(derandomize=True, database=None, deadline=None, max_examples=200)


def instants(grid: Grid, start: int, end: int) -> set[int]:
    return {at for at in range(start, end) if at % grid.interval_us == grid.phase_us}


@quiet
@given(grids, st.integers(-100, 300), st.integers(0, 200))
def test_first_and_count_are_those_of_an_enumeration(grid: Grid, start: int, length: int) -> None:
    found = instants(grid, start, start + length)
    assert grid.count(start, start + length) == len(found)
    assert grid.first(start) == min(instants(grid, start, start + grid.interval_us))


@quiet
@given(grids, grids)
def test_two_grids_meet_where_both_have_an_instant(one: Grid, two: Grid) -> None:
    both = instants(one, 0, 4000) & instants(two, 0, 4000)
    meeting = one.meet(two)
    assert both == (instants(meeting, 0, 4000) if meeting else set())


@quiet
@given(st.lists(grids, max_size=5), st.integers(-50, 50), st.integers(0, 300))
def test_a_union_counts_each_instant_once(several: list[Grid], start: int, length: int) -> None:
    found = set().union(*(instants(grid, start, start + length) for grid in several))
    assert count_union(tuple(several), start, start + length) == len(found)


def test_an_automatic_phase_is_stable_and_differs_between_nodes() -> None:
    phases = {grid_of(3600, "auto", f"cam-{number:03}").phase_us // US for number in range(100)}
    assert len(phases) > 90
    assert grid_of(3600, "auto", "cam-001") == grid_of(3600, "auto", "cam-001") == Grid(3600 * US, 1011 * US)


def test_a_phase_longer_than_the_interval_wraps() -> None:
    assert grid_of(60, 150, "any") == Grid(60 * US, 30 * US)
