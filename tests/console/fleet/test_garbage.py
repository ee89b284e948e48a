"""Garbage is searched for seldom where there are many nodes, and as ever where there are few."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from console.fleet.garbage import EVERY_S, LARGE, NEVER, Garbage


@pytest.fixture(autouse=True)
def usual() -> Iterator[tuple[int, int, int]]:
    before = gc.get_threshold()
    yield before
    gc.set_threshold(*before)


def test_a_small_fleet_changes_nothing(hand: Any, usual: tuple[int, int, int]) -> None:
    garbage = Garbage(hand.as_clock())
    garbage.mind(LARGE - 1)
    assert gc.get_threshold() == usual
    garbage.leave()
    assert gc.get_threshold() == usual


def test_a_large_one_searches_now_and_then(hand: Any, usual: tuple[int, int, int]) -> None:
    searched: list[float] = []
    garbage = Garbage(hand.as_clock(), lambda: searched.append(hand.now_s))
    began_s = hand.now_s
    for _ in range(50):
        garbage.mind(LARGE)
        hand.now_s += EVERY_S / 20
    assert [at_s - began_s for at_s in searched] == [EVERY_S, 2 * EVERY_S]
    assert gc.get_threshold() == (*usual[:2], NEVER)
    garbage.leave()
    garbage.leave()
    assert gc.get_threshold() == usual


def test_what_is_young_is_found_all_the_same(hand: Any) -> None:
    garbage = Garbage(hand.as_clock())
    garbage.mind(LARGE)
    before = gc.get_stats()[1]["collections"]
    young, middle, _ = gc.get_threshold()
    kept: list[list[Any]] = [[] for _ in range(2 * young * middle)]
    for each in kept:
        each.append(each)
    assert gc.get_stats()[1]["collections"] > before
