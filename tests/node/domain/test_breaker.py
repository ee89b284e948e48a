from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domain.breaker import MOVES, US, Breaker, BreakerState, failed, may_try, succeeded, wait_s
from node.domain.config import BreakerLimits

LIMITS = BreakerLimits()
NOW_US = 1_795_000_000 * US


def after(uses: str, breaker: Breaker | None = None, limits: BreakerLimits = LIMITS) -> Breaker:
    """`+` = it went well, `-` = it failed; all at one instant."""
    breaker = breaker or Breaker()
    for use in uses:
        breaker = succeeded(breaker, limits) if use == "+" else failed(breaker, limits, NOW_US)
    return breaker


@pytest.mark.parametrize(
    ("uses", "state"),
    [
        ("", "closed"),
        ("----", "closed"),
        ("-----", "open"),
        ("----+----", "closed"),
        ("-----+", "half_open"),
        ("-----++", "closed"),
        ("-----+-", "open"),
        ("-----+-+", "half_open"),
        ("-----+-++", "closed"),
        ("-----++----", "closed"),
        ("-----++-----", "open"),
        ("------", "open"),
    ],
)
def test_five_failures_open_it_and_two_successes_close_it(uses: str, state: str) -> None:
    assert after(uses).state == state


def test_failures_are_counted_until_it_is_closed() -> None:
    assert after("-----").failures == 5
    assert after("-----+-").failures == 6
    assert after("-----++") == Breaker()


def test_an_open_one_is_left_alone_for_its_pause() -> None:
    opened = after("-----")
    assert opened.opened_us == NOW_US
    assert not may_try(opened, LIMITS, NOW_US + 59 * US)
    assert wait_s(opened, LIMITS, NOW_US + 59 * US) == 1.0
    assert may_try(opened, LIMITS, NOW_US + 60 * US)


def test_a_try_that_fails_begins_the_pause_anew() -> None:
    again = failed(after("-----"), LIMITS, NOW_US + 60 * US)
    assert wait_s(again, LIMITS, NOW_US + 60 * US) == 60.0


def test_the_others_may_be_used_at_once() -> None:
    assert may_try(Breaker(), LIMITS, NOW_US)
    assert may_try(after("-----+"), LIMITS, NOW_US)


def test_a_clock_that_was_set_back_does_not_keep_it_open() -> None:
    opened = after("-----")
    assert may_try(opened, LIMITS, NOW_US - US)
    assert not may_try(failed(opened, LIMITS, NOW_US - US), LIMITS, NOW_US)


def test_a_single_success_may_be_enough_and_a_single_failure_too() -> None:
    limits = BreakerLimits(failures=1, successes=1)
    assert after("-", limits=limits).state == "open"
    assert after("-+", limits=limits).state == "closed"


def test_every_use_in_every_state_leads_somewhere() -> None:
    assert set(MOVES) == set(product(BreakerState, (True, False)))


@given(
    st.text("+-", max_size=60),
    st.builds(BreakerLimits, failures=st.integers(1, 9), successes=st.integers(1, 9)),
    st.integers(-(10**13), 10**13),
)
def test_it_never_waits_longer_than_its_pause(uses: str, limits: BreakerLimits, moved_us: int) -> None:
    breaker = after(uses, limits=limits)
    assert 0 <= wait_s(breaker, limits, NOW_US + moved_us) <= limits.pause_s
    assert (breaker.opened_us is not None) == (breaker.state == "open")
    assert breaker.state == "closed" or breaker.failures >= limits.failures
