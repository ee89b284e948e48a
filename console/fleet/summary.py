"""The fleet in one line, one object, one exit status."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

from console.fleet.stir import Stir
from console.fleet.view import LOOKS, RANK, FleetModel, Word, cause, last_good_age_s
from node.wire.errors import HeliographError


def counts(model: FleetModel) -> dict[Word, int]:
    """How many nodes are in each state that occurs, worst first."""
    found = Counter(model.word(name) for name in model.views)
    return {word: found[word] for word in LOOKS if found[word]}


class Tally:
    """The same, kept in step with a model at the cost of what changes."""

    def __init__(self, model: FleetModel) -> None:
        self._model = model
        self._stir = Stir(model)
        self._words: dict[str, Word] = {}
        self._found: Counter[Word] = Counter()

    def counts(self) -> dict[Word, int]:
        for name in self._stir.take():
            self._count(name)
        return {word: self._found[word] for word in LOOKS if self._found[word]}

    def _count(self, name: str) -> None:
        before = self._words.pop(name, None)
        if before is not None:
            self._found[before] -= 1
        if name in self._model.views:
            self._words[name] = word = self._model.word(name)
            self._found[word] += 1


def worst_first(model: FleetModel) -> list[str]:
    """Every node's name, by state, then by name."""
    return sorted(model.views, key=lambda name: (RANK[model.word(name)], name))


def oldest_s(model: FleetModel) -> float | None:
    """Age in seconds of the oldest status on the screen; None while a node has never answered."""
    heard_s = [view.heard_s for view in model.views.values()]
    known_s = [each for each in heard_s if each is not None]
    return model.clock.monotonic() - min(known_s) if known_s and len(known_s) == len(heard_s) else None


def exit_status(model: FleetModel) -> int:
    """0 all well, 1 something warns, 2 something is critical or does not answer."""
    return max((LOOKS[model.word(name)].exit for name in model.views), default=0)


def as_json(model: FleetModel) -> dict[str, Any]:
    """The whole fleet for programs: `status` is the node's own object, or null where none came."""
    return {"exit": exit_status(model), "nodes": [node_as_json(model, name) for name in worst_first(model)]}


def node_as_json(model: FleetModel, name: str) -> dict[str, Any]:
    view, now_word, now_s = model.views[name], model.word(name), model.clock.monotonic()
    return {
        "node": name,
        "url": view.host.url,
        "state": now_word.value,
        "cause": cause(view, now_word, now_s),
        "last_good_age_s": _finite(last_good_age_s(view, now_s)),
        "error": _error(view.error),
        "status": json.loads(view.status.model_dump_json()) if view.status is not None else None,
    }


def _finite(value: float | None) -> float | None:
    # a node may say NaN; JSON may not
    return value if value is not None and math.isfinite(value) else None


def _error(error: HeliographError | None) -> dict[str, str] | None:
    if error is None:
        return None
    return {"code": error.code, "title": error.title, "detail": error.detail, "hint": error.hint}
