"""The ladder: each step at its floor, back only where it is worth it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domain.config import AlertLimits
from node.domain.pressure import DOES, FLOORS, Step, need_bytes, reached, spares, step_of

LIMITS = AlertLimits(disk_reserve_bytes=0)
TOTAL = 1_000_000
ORDER = list(Step)


@pytest.mark.parametrize(
    ("free", "step"),
    [
        (TOTAL, Step.OK),
        (100_000, Step.OK),
        (99_999, Step.LOW),
        (50_000, Step.LOW),
        (49_999, Step.CRITICAL),
        (25_000, Step.CRITICAL),
        (24_999, Step.STRETCHED),
        (10_000, Step.STRETCHED),
        (9_999, Step.STOPPED),
        (0, Step.STOPPED),
    ],
)
def test_each_step_begins_below_its_floor(free: int, step: Step) -> None:
    assert step_of(TOTAL, free, LIMITS) is step


@pytest.mark.parametrize(
    ("before", "free", "step"),
    [
        (Step.STOPPED, 11_000, Step.STOPPED),
        (Step.STOPPED, 11_001, Step.STRETCHED),
        (Step.STOPPED, 27_500, Step.STRETCHED),
        (Step.STOPPED, 27_501, Step.CRITICAL),
        (Step.CRITICAL, 55_000, Step.CRITICAL),
        (Step.CRITICAL, 55_001, Step.LOW),
        (Step.LOW, 110_000, Step.LOW),
        (Step.LOW, 110_001, Step.OK),
        (Step.STOPPED, TOTAL, Step.OK),
    ],
)
def test_a_step_is_left_a_tenth_beyond_its_floor(before: Step, free: int, step: Step) -> None:
    assert step_of(TOTAL, free, LIMITS, before) is step


def test_a_small_disk_keeps_its_reserve_and_has_every_step_above_it() -> None:
    limits, mib = AlertLimits(disk_reserve_bytes=64 * 2**20), 2**20
    steps = [step_of(200 * mib, free * mib, limits) for free in (129, 127, 95, 79, 63)]
    assert steps == [Step.OK, Step.LOW, Step.CRITICAL, Step.STRETCHED, Step.STOPPED]


def test_without_limits_there_is_no_ladder() -> None:
    none = AlertLimits(disk_warn_free_pct=0, disk_crit_free_pct=0, disk_reserve_bytes=0)
    assert [step_of(TOTAL, 0, none, before) for before in Step] == [Step.OK] * len(ORDER)


def test_a_disk_of_no_size_takes_nothing() -> None:
    assert step_of(0, 0, AlertLimits()) is Step.STOPPED


limits = st.builds(
    lambda low, high, reserve: AlertLimits(
        disk_warn_free_pct=max(low, high), disk_crit_free_pct=min(low, high), disk_reserve_bytes=reserve
    ),
    st.floats(0, 100),
    st.floats(0, 100),
    st.integers(0, 2**40),
)


@given(limits, st.integers(0, 2**50), st.data())
def test_less_room_is_never_a_lower_step(limits: AlertLimits, total: int, data: st.DataObject) -> None:
    more, before = data.draw(st.integers(0, total)), data.draw(st.sampled_from(Step))
    less = data.draw(st.integers(0, more))
    assert reached(step_of(total, less, limits, before), step_of(total, more, limits, before))


@given(limits, st.integers(0, 2**50), st.data())
def test_a_step_taken_before_only_ever_holds_the_ladder_back(
    limits: AlertLimits, total: int, data: st.DataObject
) -> None:
    free, before = data.draw(st.integers(0, total)), data.draw(st.sampled_from(Step))
    fresh, held = step_of(total, free, limits), step_of(total, free, limits, before)
    assert reached(held, fresh)
    assert held in (fresh, before) or reached(before, held)


@given(limits, st.integers(0, 2**50), st.floats(0, 100), st.data())
def test_what_must_go_is_enough_to_leave_the_ladder(
    limits: AlertLimits, total: int, percent: float, data: st.DataObject
) -> None:
    free = data.draw(st.integers(0, total))
    need = need_bytes(total, free, limits, percent)
    assert need >= 0
    assert step_of(total, free + need, limits, Step.STOPPED) is Step.OK


def test_one_slot_of_four_is_taken_while_stretched() -> None:
    assert [spares(Step.STRETCHED, nth) for nth in range(9)] == [False, True, True, True] * 2 + [False]
    assert not any(spares(step, nth) for step in Step if step is not Step.STRETCHED for nth in range(9))


def test_every_step_has_its_floor_and_its_words() -> None:
    assert [Step.OK, *FLOORS] == ORDER
    assert set(DOES) == set(Step)
