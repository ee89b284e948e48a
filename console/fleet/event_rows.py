"""The list of what has happened: a row, what can be asked of it, and how it is ordered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from console.fleet.filter import Field, Fields
from console.fleet.lines import told
from console.fleet.listing import Kind
from console.fleet.text import clean
from console.fleet.view import EVENTS_KEPT, FleetModel, Happening
from node.wire.stream import StreamEvent

LEVELS = {"error": 0, "warning": 1, "info": 2, "debug": 3}
"""Worst first."""
KIND_CHARS = 64


@dataclass(frozen=True, slots=True)
class EventLine:
    """One event of one node; `number` counts them as they came here, `zone` is its site's."""

    number: int
    node: str
    event: StreamEvent
    site: str
    zone: str
    words: str

    @property
    def key(self) -> str:
        return str(self.number)

    @property
    def kind(self) -> str:
        return clean(self.event.kind)[:KIND_CHARS]


@dataclass(slots=True)
class Feed:
    """The latest events of a model, or of one of its nodes; while `paused` nothing is taken, only counted."""

    model: FleetModel
    node: str | None = None
    most: int = EVENTS_KEPT
    paused: bool = False
    lines: dict[str, EventLine] = field(default_factory=dict)
    _told: int = 0
    _kept: int = 0

    @property
    def waiting(self) -> int:
        """How many have come since it was paused, as far as they are kept."""
        return sum(1 for _ in self._fresh())

    def take(self) -> int:
        """What has come since the last time; how many."""
        if self.paused:
            return 0
        if self._went_back():
            self.lines.clear()
        fresh = list(map(self._line, self._fresh()))
        self._told, self._kept = self.model.told, len(self.model.happenings)
        self.lines |= {line.key: line for line in fresh}
        for key in list(islice(self.lines, max(0, len(self.lines) - self.most))):
            del self.lines[key]
        return len(fresh)

    def _went_back(self) -> bool:
        """A recording was set back: the model has forgotten what has not happened yet."""
        expected = min(EVENTS_KEPT, self._kept + self.model.told - self._told)
        return len(self.model.happenings) < expected

    def _fresh(self) -> Iterator[Happening]:
        """Of all that the model still has; what came before that is gone."""
        return (one for one in self.model.fresh(self._told) if self.node in {None, one.node})

    def _line(self, one: Happening) -> EventLine:
        view = self.model.views.get(one.node)
        status = view.status if view is not None else None
        site, zone = (clean(status.site), status.timezone) if status is not None else ("", "")
        return EventLine(one.number, one.node, one.event, site, zone, told(one.event))


def as_known(line: EventLine) -> Mapping[str, object]:
    """All that is known of it."""
    return {"node": line.node, "site": line.site, **line.event.model_dump()}


def _texts(row: EventLine) -> Iterator[str]:
    yield row.node
    yield row.site
    yield row.kind
    yield row.words


EVENTS: Kind[EventLine] = Kind(
    name="events",
    fields=Fields(
        {
            "node": Field("name of the node that told it", text=lambda row: row.node),
            "kind": Field("what happened: kind:gap,job_dead", text=lambda row: row.kind),
            "level": Field("how grave: level:error,warning", text=lambda row: row.event.level, words=tuple(LEVELS)),
            "site": Field("name of the node's site", text=lambda row: row.site),
            "text": Field("in its words", text=lambda row: row.words),
        },
        _texts,
    ),
    sorts={
        "time": lambda row: (row.event.at, row.number),
        "level": lambda row: LEVELS.get(row.event.level, len(LEVELS)),
        "node": lambda row: row.node,
        "kind": lambda row: row.kind,
        "site": lambda row: row.site,
    },
    order=("-time",),
)
