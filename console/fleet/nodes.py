"""The list of nodes: a row, what can be asked of it, and how it is ordered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from console.fleet.alerts import codes
from console.fleet.filter import Field, Fields, parse
from console.fleet.listing import Kind
from console.fleet.text import clean
from console.fleet.view import (
    OLD_WORDS,
    RANK,
    FleetModel,
    NodeView,
    Word,
    cause,
    counts_today,
    dead_jobs,
    disk_used_pct,
    last_good_age_s,
    lowest_quality,
    open_jobs,
    unsent,
)


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node, its state now, and the console's monotonic time in seconds."""

    view: NodeView
    word: Word
    now_s: float

    @property
    def name(self) -> str:
        return self.view.host.name

    @property
    def old(self) -> bool:
        return self.word in OLD_WORDS

    @property
    def site(self) -> str:
        return self.view.status.site if self.view.status is not None else ""

    @property
    def zone(self) -> str:
        """IANA name; empty = not known."""
        return self.view.status.timezone if self.view.status is not None else ""

    @property
    def cause(self) -> str:
        return cause(self.view, self.word, self.now_s)


def row_of(model: FleetModel, name: str) -> NodeRow | None:
    """None where the inventory no longer names it."""
    view = model.views.get(name)
    return None if view is None else NodeRow(view, model.word(name), model.clock.monotonic())


def _today(index: int) -> Callable[[NodeRow], float | None]:
    return lambda row: None if row.view.status is None else counts_today(row.view.status)[index]


def _status(value: Callable[..., float | None]) -> Callable[[NodeRow], float | None]:
    return lambda row: None if row.view.status is None else value(row.view.status)


def _version(row: NodeRow) -> str:
    return "" if row.view.status is None else row.view.status.version


def _digest(row: NodeRow) -> str:
    return "" if row.view.status is None else row.view.status.config.digest


def _age(row: NodeRow) -> float | None:
    return last_good_age_s(row.view, row.now_s)


def _alerts(row: NodeRow) -> list[str]:
    return codes(row.view, row.word)


def _texts(row: NodeRow) -> Iterator[str]:
    yield row.name
    yield row.site
    yield row.word
    yield row.cause


FIELDS: Fields[NodeRow] = Fields(
    {
        "state": Field("state in a word: state:crit,warn", text=lambda row: row.word, words=tuple(Word)),
        "node": Field("name of the node", text=lambda row: row.name),
        "site": Field("name of its site", text=lambda row: clean(row.site)),
        "group": Field("one of its inventory groups", text=lambda row: " ".join(row.view.host.groups)),
        "ver": Field("its version: ver:!1.4.2", text=_version),
        "cfg": Field("digest of its configuration", text=_digest),
        "cause": Field("why it is as it is", text=lambda row: row.cause),
        "alert": Field("code of one of its alerts", text=lambda row: "\n".join(_alerts(row)), lines=True),
        "alerts": Field("how many fire: alerts>0", number=lambda row: len(_alerts(row))),
        "age": Field("of the last good frame: age>10m", number=_age, timed=True),
        "due": Field("slots due today", number=_today(0)),
        "captured": Field("frames captured today", number=_today(1)),
        "gaps": Field("gaps today: gaps>0", number=_today(2)),
        "q": Field("quality, 100 = perfect: q<60", number=_status(lowest_quality)),
        "jobs": Field("jobs due or running", number=_status(open_jobs)),
        "dead": Field("jobs failed for good: dead>0", number=_status(dead_jobs)),
        "unsent": Field("items that the archive lacks", number=_status(unsent)),
        "disk": Field("percent of the disk in use: disk>80", number=_status(disk_used_pct)),
    },
    _texts,
)
NODES: Kind[NodeRow] = Kind(
    name="nodes",
    fields=FIELDS,
    sorts={
        "state": lambda row: RANK[row.word],
        "node": lambda row: row.name,
        "site": lambda row: row.site,
        "version": _version,
        "digest": _digest,
        "seen": lambda row: row.view.silence_s(row.now_s),
        "last": _age,
        "today": _today(2),
        "quality": _status(lowest_quality),
        "disk": _status(disk_used_pct),
        "jobs": _status(open_jobs),
        "unsent": _status(unsent),
        "cause": lambda row: row.cause,
    },
    order=("state", "node"),
)


def select(model: FleetModel, text: str) -> list[str]:
    """The nodes that pass a filter, by name.  Raises FilterWrong."""
    test = parse(text, FIELDS)
    rows = (row_of(model, name) for name in sorted(model.views))
    return [row.name for row in rows if row is not None and test(row)]
