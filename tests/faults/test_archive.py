"""Hundreds of random faults between capture and archive, on real processes: nothing lost, nothing done twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.mischief import FAULTS
from tests.faults.ordeal import Plan, endure_all, table
from tests.faults.planted import program
from tests.faults.station import Shape

pytestmark = pytest.mark.slow

LEAST, SEED = 200, 20261120
FAULTS_IN_ALL = int(os.environ.get("SOAK_FAULTS") or 210)
HOMES, APART_S, WINDOW_S, MOST_WINDOWS = 3, 2.2, 20, 20
CLOCKS = "jumps of the wall clock are not among them: other tests pass clocks that jump"


def plans(faults: int, seed: int) -> list[Plan]:
    """One receipt is enough here, two are needed there; work and ship are one process here, two there."""
    each = -(-faults // HOMES)
    windows = min(MOST_WINDOWS, int(each * APART_S) // WINDOW_S + 1)
    window_s = max(WINDOW_S, round(each * APART_S / windows))
    return [
        Plan(Shape(1 + number % 2, number == 1, window_s, windows), each, APART_S, seed=seed + number)
        for number in range(HOMES)
    ]


def test_in_hundreds_of_faults_no_frame_is_lost_and_nothing_is_done_twice(tmp_path: Path) -> None:
    seed = int(os.environ.get("SOAK_SEED") or SEED)
    outcomes = endure_all(tmp_path, plans(FAULTS_IN_ALL, seed))
    print(f"\nseed {seed}; {CLOCKS}\n{table(outcomes)}")
    assert [said for each in outcomes for said in each.complaints] == []
    assert sum(each.tally.times.total() for each in outcomes) >= min(LEAST, FAULTS_IN_ALL)
    assert set().union(*(each.tally.times for each in outcomes)) == set(FAULTS)
    # whoever was killed last may have nothing left to do, and so gives no sign: that nothing is owed was counted above
    assert [len(each.tally.waiting) for each in outcomes if len(each.tally.waiting) > 1] == [], "not overcome"
    for each in outcomes:
        assert each.reckoning.gone > 0, "frames were reclaimed while it went wrong"
        assert each.reported > 0
    assert sum(each.reckoning.denied for each in outcomes) > 0, "lies were found out and told of"


# --- the harness itself -----------------------------------------------------------------------------------------------

BUGS = {
    "believe_what_was_sent": ("ship", ("directory spoilt unsent", "host spoilt unsent"), "deleted unverified"),
    "delete_what_nobody_holds": ("work", ("host silent",), "deleted unverified"),
    "lose_jobs": ("work", ("work killed in a render",), "left"),
    "make_videos_twice": ("work", ("ship killed",), "twice"),
}
"""Each with the process that has it, the faults that bring it out, and what the count has to say."""


def test_a_planted_bug_is_found(tmp_path: Path) -> None:
    bugs = [
        Plan(Shape(window_s=12, windows=2, programs={name: program(bug)}), 8, 2.0, names, drain_s=20, late_s=30)
        for bug, (name, names, _) in BUGS.items()
    ]
    outcomes = dict(zip(BUGS, endure_all(tmp_path, bugs), strict=True))
    for bug, outcome in outcomes.items():
        print(bug, *outcome.complaints[:5], sep="\n  ")
    for bug, (*_, said) in BUGS.items():
        assert [each for each in outcomes[bug].complaints if each.startswith(said)], bug
