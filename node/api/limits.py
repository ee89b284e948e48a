"""Per client: how many requests it may make, and how its refused attempts are told."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from node.domain.config import ApiLimits
from node.domain.events import AccessRefused

CLIENTS_KEPT = 1024
TOLD_EVERY_S = 60.0


class Buckets:
    """A token bucket per client, the least recent ones forgotten.  Used in one thread; seconds are monotonic."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str, now_s: float, limits: ApiLimits) -> float:
        """0.0 = go on, one token is taken; else the seconds until there is one again."""
        left, since_s = self._buckets.pop(client, (float(limits.burst), now_s))
        left = min(float(limits.burst), left + (now_s - since_s) * limits.requests_per_s)
        granted = left >= 1
        self._buckets[client] = (left - granted, now_s)
        if len(self._buckets) > CLIENTS_KEPT:
            self._buckets.popitem(last=False)
        return 0.0 if granted else (1 - left) / limits.requests_per_s


@dataclass(slots=True)
class _Count:
    told_s: float
    codes: dict[str, int] = field(default_factory=dict)


class Refusals:
    """Counts refused attempts; the first of a client is told at once, then at most one telling a minute."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def note(self, client: str, code: str, now_s: float) -> tuple[AccessRefused, ...]:
        """One more; returns what is due to be told now."""
        count = self._counts.pop(client, None) or _Count(now_s - TOLD_EVERY_S)
        self._counts[client] = count
        if len(self._counts) > CLIENTS_KEPT:
            self._counts.popitem(last=False)
        count.codes[code] = count.codes.get(code, 0) + 1
        if now_s - count.told_s < TOLD_EVERY_S:
            return ()
        told = tuple(AccessRefused(client, each, seen) for each, seen in sorted(count.codes.items()))
        count.told_s, count.codes = now_s, {}
        return told
