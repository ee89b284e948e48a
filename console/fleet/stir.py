"""Which nodes want another look: they have changed, or are old by now.  The rest cost nothing."""

from __future__ import annotations

import heapq

from console.fleet.view import FleetModel, NodeView


class Stir:
    """One reader's view of what moves in a model."""

    def __init__(self, model: FleetModel) -> None:
        self._model = model
        self._seen = 0
        self._due_s: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def take(self) -> set[str]:
        """The names since the last call; also of nodes that are gone."""
        names = set(self._model.changed_since(self._seen))
        self._seen = self._model.revision
        now_s = self._model.clock.monotonic()
        names |= self._aged(now_s)
        for name in names:
            self._expect(name, now_s)
        return names

    def _aged(self, now_s: float) -> set[str]:
        aged = set()
        while self._heap and self._heap[0][0] < now_s:
            due_s, name = heapq.heappop(self._heap)
            if self._due_s.get(name) == due_s:
                aged.add(name)
                del self._due_s[name]
        return aged

    def _expect(self, name: str, now_s: float) -> None:
        view = self._model.views.get(name)
        due_s = self._next_s(view, now_s) if view is not None else None
        if due_s is None:
            self._due_s.pop(name, None)
        elif self._due_s.get(name) != due_s:
            self._due_s[name] = due_s
            heapq.heappush(self._heap, (due_s, name))

    def _next_s(self, view: NodeView, now_s: float) -> float | None:
        """When silence next makes another word of it."""
        patience, silence_s = self._model.patience, view.silence_s(now_s)
        limit_s = next((each for each in (patience.stale_s, patience.silence_s) if silence_s <= each), None)
        return None if limit_s is None else now_s - silence_s + limit_s
