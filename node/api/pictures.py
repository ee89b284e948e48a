"""Small pictures, made once and kept while there is room: a cache bounded by bytes and age."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

LIMIT_BYTES = 4 * 1024 * 1024
KEPT_S = 600.0
Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Kept:
    data: bytes
    at_s: float


class SmallPictures:
    """Least recently asked for goes first.  One picture is made at a time: they never take more than one core."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        count: Callable[[str], object],
        limit_bytes: int = LIMIT_BYTES,
        kept_s: float = KEPT_S,
    ) -> None:
        """`count` is told `cache` or `made` for each picture given."""
        self._monotonic, self._count = monotonic, count
        self._limit_bytes, self._kept_s = limit_bytes, kept_s
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._making = threading.Lock()

    def get(self, key: Key, make: Callable[[], bytes]) -> bytes:
        """The picture of that frame and width; what `make` raises is raised, nothing is kept then."""
        found = self._find(key)
        if found is None:
            with self._making:
                # somebody may have made it while this one waited
                found = self._find(key)
                if found is None:
                    return self._made(key, make)
        self._count("cache")
        return found

    def _made(self, key: Key, make: Callable[[], bytes]) -> bytes:
        data = make()
        self._keep(key, data)
        self._count("made")
        return data

    def _find(self, key: Key) -> bytes | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or self._monotonic() - kept.at_s > self._kept_s:
                return None
            self._kept.move_to_end(key)
            return kept.data

    def _keep(self, key: Key, data: bytes) -> None:
        with self._lock:
            self._drop(key)
            self._kept[key] = _Kept(data, self._monotonic())
            self._bytes += len(data)
            while self._bytes > self._limit_bytes:
                self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        self._bytes -= len(kept.data) if kept else 0
