from __future__ import annotations

from node.api.limits import CLIENTS_KEPT, CLIENTS_TOLD, OTHERS, TOLD_EVERY_S, Buckets, Refusals
from node.domain.config import ApiLimits
from node.domain.events import AccessRefused

LIMITS = ApiLimits(requests_per_s=2.0, burst=3)


def test_a_burst_is_served_then_one_request_for_each_share_of_a_second() -> None:
    buckets = Buckets()
    assert [buckets.wait_s("a", 100.0, LIMITS) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.wait_s("a", 100.5, LIMITS) == 0
    assert buckets.wait_s("a", 100.75, LIMITS) == 0.25
    assert [buckets.wait_s("a", 1000.0, LIMITS) for _ in range(4)] == [0, 0, 0, 0.5]


def test_one_client_does_not_pay_for_another() -> None:
    buckets = Buckets()
    for _ in range(10):
        buckets.wait_s("a", 1.0, LIMITS)
    assert buckets.wait_s("b", 1.0, LIMITS) == 0


def test_the_least_recent_clients_are_forgotten() -> None:
    buckets = Buckets()
    for number in range(CLIENTS_KEPT + 50):
        buckets.wait_s(str(number), 1.0, LIMITS)
    assert len(buckets._buckets) == CLIENTS_KEPT
    assert "0" not in buckets._buckets


def test_a_limit_that_is_lowered_takes_effect_at_once() -> None:
    buckets = Buckets()
    assert buckets.wait_s("a", 1.0, ApiLimits(requests_per_s=1.0, burst=100)) == 0
    assert [buckets.wait_s("a", 1.0, ApiLimits(requests_per_s=1.0, burst=1)) for _ in range(2)] == [0, 1]


def test_refusals_are_told_at_once_then_summed_up_for_a_minute() -> None:
    refusals = Refusals()
    assert refusals.note("a", "API-001", 0.0) == (AccessRefused("a", "API-001", 1),)
    assert refusals.note("a", "API-001", 1.0) == ()
    assert refusals.note("a", "API-002", 59.9) == ()
    assert refusals.note("b", "API-001", 59.9) == (AccessRefused("b", "API-001", 1),)
    assert refusals.note("a", "API-001", 60.0) == (AccessRefused("a", "API-001", 2), AccessRefused("a", "API-002", 1))


def test_what_waits_is_told_when_its_minute_is_over_and_nothing_is_told_twice() -> None:
    refusals = Refusals()
    for _ in range(3):
        refusals.note("a", "API-001", 0.0)
    assert refusals.due(TOLD_EVERY_S - 1) == ()
    assert refusals.due(TOLD_EVERY_S) == (AccessRefused("a", "API-001", 2),)
    assert refusals.any()
    assert refusals.due(2 * TOLD_EVERY_S) == refusals.rest(2 * TOLD_EVERY_S) == ()
    assert not refusals.any()


def test_at_the_end_all_that_waits_is_told() -> None:
    refusals = Refusals()
    for _ in range(3):
        refusals.note("a", "API-001", 0.0)
    assert refusals.rest(1.0) == (AccessRefused("a", "API-001", 2),)


def test_a_scan_from_many_addresses_is_counted_whole_and_told_in_few_words() -> None:
    refusals, told = Refusals(), list[AccessRefused]()
    for number in range(5000):
        told += refusals.note(str(number), "SEC-005", number / 100)
    told += refusals.rest(50.0)
    assert sum(event.count for event in told) == 5000
    assert len(told) == CLIENTS_TOLD + 2
    assert told[-1].client == OTHERS
    assert refusals.note("later", "SEC-005", 200.0) == (AccessRefused("later", "SEC-005", 1),)
