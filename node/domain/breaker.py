"""The circuit breaker of one archive target: when it is left alone, and when it is believed again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from node.domain.config import BreakerLimits

US = 1_000_000


class BreakerState(StrEnum):
    """closed = used; open = left alone for the pause; half_open = used, and one failure opens it again."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


MOVES: Mapping[tuple[BreakerState, bool], tuple[BreakerState, BreakerState]] = {
    # state, use went well: with fewer in a row than the limit, with as many
    (BreakerState.CLOSED, True): (BreakerState.CLOSED, BreakerState.CLOSED),
    (BreakerState.CLOSED, False): (BreakerState.CLOSED, BreakerState.OPEN),
    (BreakerState.OPEN, True): (BreakerState.HALF_OPEN, BreakerState.CLOSED),
    (BreakerState.OPEN, False): (BreakerState.OPEN, BreakerState.OPEN),
    (BreakerState.HALF_OPEN, True): (BreakerState.HALF_OPEN, BreakerState.CLOSED),
    (BreakerState.HALF_OPEN, False): (BreakerState.OPEN, BreakerState.OPEN),
}
"""Where each use leads."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """Failures in a row until it is closed again, successes in a row while half open, `opened_us` (UTC) while open."""

    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    successes: int = 0
    opened_us: int | None = None


def wait_s(breaker: Breaker, limits: BreakerLimits, now_us: int) -> float:
    """Seconds until the target may be used; 0 = now.

    Opened in the future means that the clock was set back: one try too early harms less than a day of silence.
    """
    if breaker.opened_us is None or breaker.opened_us > now_us:
        return 0.0
    return max(0.0, limits.pause_s - (now_us - breaker.opened_us) / US)


def may_try(breaker: Breaker, limits: BreakerLimits, now_us: int) -> bool:
    """Whether the target may be used now."""
    return wait_s(breaker, limits, now_us) <= 0


def failed(breaker: Breaker, limits: BreakerLimits, now_us: int) -> Breaker:
    """After a failure of the target itself; the pause begins, or begins anew."""
    failures = breaker.failures + 1
    state = MOVES[breaker.state, False][failures >= limits.failures]
    return Breaker(state, failures, 0, now_us if state is BreakerState.OPEN else None)


def succeeded(breaker: Breaker, limits: BreakerLimits) -> Breaker:
    """After a use, or a test, that went well."""
    successes = breaker.successes + 1
    state = MOVES[breaker.state, True][successes >= limits.successes]
    return Breaker() if state is BreakerState.CLOSED else Breaker(state, breaker.failures, successes)
