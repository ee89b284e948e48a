"""Attempts that were refused: how many lately, and when they are too many."""

from __future__ import annotations

from collections.abc import Iterator

from node.domain.config import AlertLimits
from node.domain.events import AccessRefused
from node.domain.facts import AccessFacts, NodeFacts
from node.domain.times import US

LATELY_S, MINUTE_S = 600, 60
TOO_MANY = 10
"""A mistyped token is tried a few times; a console that was locked out asks every few seconds, a stranger goes on."""


def noted(before: AccessFacts | None, event: AccessRefused, now_us: int) -> AccessFacts:
    """With one telling more."""
    minute_us = now_us - now_us % (MINUTE_S * US)
    counts = dict(_lately(before, now_us))
    counts[minute_us] = counts.get(minute_us, 0) + event.count
    return AccessFacts(tuple(counts.items()), event.client, event.code)


def refused_often(facts: NodeFacts, _: AlertLimits, now_us: int) -> Iterator[tuple[str, str]]:
    """Far more than slips."""
    if facts.access is None:
        return
    last, count = facts.access.value, sum(count for _, count in _lately(facts.access.value, now_us))
    if count >= TOO_MANY:
        lately = f"{count} attempts were refused in {LATELY_S // 60} minutes"
        yield "access", f"{lately}, the last from {last.client} ({last.code})."


def _lately(facts: AccessFacts | None, now_us: int) -> Iterator[tuple[int, int]]:
    """Those of the future too are forgotten: the clock was set back."""
    minutes = facts.minutes if facts else ()
    return ((at_us, count) for at_us, count in minutes if 0 <= now_us - at_us < LATELY_S * US)
