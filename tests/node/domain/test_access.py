from __future__ import annotations

from node.domain.access import LATELY_S, TOO_MANY, noted, refused_often
from node.domain.config import AlertLimits
from node.domain.events import AccessRefused
from node.domain.facts import AccessFacts, Learnt, NodeFacts
from node.domain.times import US

NOW = 1_795_000_000 * US
ONE = AccessRefused("10.0.0.9", "SEC-005", 1)


def judged(facts: AccessFacts | None, now_us: int) -> list[tuple[str, str]]:
    known = NodeFacts(access=Learnt(facts, now_us) if facts else None)
    return list(refused_often(known, AlertLimits(), now_us))


def test_a_slip_or_a_few_are_nothing() -> None:
    assert judged(None, NOW) == []
    facts = noted(None, AccessRefused("10.0.0.9", "API-001", TOO_MANY - 1), NOW)
    assert judged(facts, NOW) == []


def test_many_are_told_with_whose_was_the_last_and_why() -> None:
    facts = noted(noted(None, AccessRefused("10.0.0.7", "API-001", TOO_MANY - 1), NOW), ONE, NOW + 90 * US)
    sentence = "10 attempts were refused in 10 minutes, the last from 10.0.0.9 (SEC-005)."
    assert judged(facts, NOW + 90 * US) == [("access", sentence)]


def test_those_of_long_ago_count_no_more() -> None:
    facts = noted(None, AccessRefused("10.0.0.9", "API-001", 1000), NOW)
    assert judged(facts, NOW + LATELY_S * US) == []
    assert noted(facts, ONE, NOW + LATELY_S * US).minutes == ((NOW + LATELY_S * US - (NOW % (60 * US)), 1),)


def test_those_of_the_future_count_no_more() -> None:
    facts = noted(None, AccessRefused("10.0.0.9", "API-001", 1000), NOW)
    assert judged(facts, NOW - 3600 * US) == []


def test_what_is_kept_is_a_number_a_minute_whoever_comes() -> None:
    facts: AccessFacts | None = None
    for second in range(7200):
        facts = noted(facts, AccessRefused(f"10.0.{second % 200}.1", "SEC-005", 1), NOW + second * US)
    assert facts is not None
    assert len(facts.minutes) <= LATELY_S // 60 + 1
