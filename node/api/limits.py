"""Per client: how many requests it may make, and how its refused attempts are told."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from node.domain.config import ApiLimits
from node.domain.events import AccessRefused

CLIENTS_KEPT = 1024
CLIENTS_TOLD = 16
OTHERS = "others"
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
    """Counts refused attempts; the first of a client is told at once, then at most one telling a minute.

    So are so many clients; whatever comes from more addresses is told as the others', so that a scan fills no log.
    """

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}

    def note(self, client: str, code: str, now_s: float) -> tuple[AccessRefused, ...]:
        """One more; returns what is due to be told now."""
        due = self.due(now_s) if client not in self._counts else ()
        name = client if client in self._counts or len(self._counts) < CLIENTS_TOLD else OTHERS
        codes = self._counts.setdefault(name, _Count(now_s - TOLD_EVERY_S)).codes
        codes[code] = codes.get(code, 0) + 1
        return (*due, *self.due(now_s))

    def due(self, now_s: float) -> tuple[AccessRefused, ...]:
        """What has waited for its minute to be over.  Clients of whom nothing waited for so long are forgotten."""
        over = [client for client, count in self._counts.items() if now_s - count.told_s >= TOLD_EVERY_S]
        return tuple(event for client in over for event in self._told(client, now_s))

    def rest(self, now_s: float) -> tuple[AccessRefused, ...]:
        """All that waits."""
        return tuple(event for client in tuple(self._counts) for event in self._told(client, now_s))

    def any(self) -> bool:
        """Whether there may be something to tell in a minute."""
        return bool(self._counts)

    def _told(self, client: str, now_s: float) -> tuple[AccessRefused, ...]:
        codes = self._counts.pop(client).codes
        if codes:
            self._counts[client] = _Count(now_s)
        return tuple(AccessRefused(client, code, seen) for code, seen in sorted(codes.items()))
