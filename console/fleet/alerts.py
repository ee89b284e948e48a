"""What somebody should look at over the whole fleet: the nodes' own alerts, and what only a console can know."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from console.fleet.state import Ack, Book
from console.fleet.stir import Stir
from console.fleet.text import clean
from console.fleet.times import to_us
from console.fleet.view import OLD_WORDS, FleetModel, NodeView, Word
from node.wire.times import US

Severity = Literal["crit", "warn"]
By = Literal["cause", "node", "site"]
SEVERITIES: dict[str, int] = {"crit": 0, "warn": 1}
MOST_OF_ONE_NODE = 64
CODE_CHARS, SUBJECT_CHARS = 64, 128
SHORT_DIGEST = 8
WHOLE_POLL = 0.8
"""Share of the time between polls for which a condition has to be gone; polls come a little early or late."""
SHARED_BY, SHARED_MORE = 0.5, 0.3
"""What so large a share of the nodes have in common, and so much larger a share than of the others, may be a cause."""


@dataclass(frozen=True, slots=True)
class Own:
    """A condition that this console finds."""

    code: str
    severity: Severity
    sentence: str


OWN: dict[Word, Own] = {
    Word.UNREACHABLE: Own("node.unreachable", "crit", "does not answer"),
    Word.UNTRUSTED: Own("node.untrusted", "crit", "cannot prove that it is this node"),
    Word.REFUSED: Own("node.refused", "crit", "refuses this console"),
    Word.GARBLED: Own("node.garbled", "crit", "answers what cannot be understood"),
    Word.UNASKED: Own("node.unasked", "crit", "is not asked: a file of this console cannot be used"),
    Word.STALE: Own("node.stale", "warn", "has been silent for some polls"),
}
SUBJECT = "node"
OWN_KEYS = frozenset(f"{own.code}/{SUBJECT}" for own in OWN.values())


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One condition of one node.  `stale`: as last heard, the node is silent; `ack` None = nobody knows of it yet."""

    key: str
    code: str
    node: str
    site: str
    subject: str
    severity: Severity
    sentence: str
    since_us: int
    stale: bool
    ack: Ack | None


@dataclass(frozen=True, slots=True)
class Group:
    """Alerts that have something in common; `acked` only where all are: the acknowledgement that ends first."""

    key: str
    severity: Severity
    value: str
    nodes: tuple[str, ...]
    rows: tuple[AlertRow, ...]
    first_us: int
    acked: Ack | None
    note: str


class AlertBoard:
    """All alerts, kept in step with a model and a book at the cost of what changes.

    Without a book (a recording) nothing is acknowledged.  Several consoles may share a book and not reach the same
    nodes.  So that a node does not answer is over for others when theirs says so, not when this console reaches it: of
    what a console finds itself it withdraws only what its own operator knows of, and counts others' no longer.
    """

    def __init__(self, model: FleetModel, book: Book | None = None, operator: str = "") -> None:
        self.revision = 0
        self.raised_crit = 0
        """How many critical alerts have come since the board was made: where it grows, a bell may ring."""
        self._model = model
        self._book = book
        self._operator = clean(operator)
        self._stir = Stir(model)
        self._of_node: dict[str, tuple[AlertRow, ...]] = {}
        self._acks: Mapping[str, Ack] = {}
        self._acked_keys: dict[str, set[str]] = {}
        self._gone_s: dict[str, float] = {}
        self._over: dict[str, Ack] = {}
        """Others' acknowledgements of what they find themselves and this console has seen the end of."""
        self._listed: tuple[int, list[AlertRow]] = (0, [])
        self.unacked = 0

    def refresh(self) -> None:
        """Takes up what has changed; acknowledgements end whose condition has been gone for a whole poll."""
        names = self._stir.take() | self._take_acks()
        recovered = [key for name in names for key in self._look(name)]
        for key in recovered:
            del self._gone_s[key]
        ended = [key for key in recovered if self._may_end(self._acks[key])]
        self._over |= {key: self._acks[key] for key in recovered if key not in ended}
        if ended and self._book is not None:
            self._book.withdraw(*ended, lasting=False)  # after a crash it is found again

    def _may_end(self, ack: Ack) -> bool:
        """Not what somebody else's console finds, and this one may have no part in."""
        return clean(ack.by) == self._operator or not _is_own(ack.key)

    def rows(self) -> list[AlertRow]:
        """The worst first, then the oldest."""
        if self._listed[0] != self.revision:
            rows = sorted((row for each in self._of_node.values() for row in each), key=_place)
            self._listed = (self.revision, rows)
        return list(self._listed[1])

    def of(self, node: str) -> tuple[AlertRow, ...]:
        return self._of_node.get(node, ())

    def _take_acks(self) -> set[str]:
        """The nodes whose acknowledgements have changed."""
        if self._book is None or self._book.acks is self._acks:
            return set()
        before, self._acks = self._acks, self._book.acks
        changed = {key for key in before.keys() | self._acks.keys() if before.get(key) != self._acks.get(key)}
        self._acked_keys = defaultdict(set)
        for key in self._acks:
            self._acked_keys[_node(key)].add(key)
        self._gone_s = {key: gone_s for key, gone_s in self._gone_s.items() if key in self._acks}
        self._over = {key: ack for key, ack in self._over.items() if self._acks.get(key) == ack}
        return {_node(key) for key in changed}

    def _look(self, name: str) -> list[str]:
        """One node anew; the acknowledged conditions that it has recovered from."""
        view, before = self._model.views.get(name), self._of_node.get(name, ())
        rows = self._found(view, {row.key: row for row in before}) if view is not None else ()
        if rows != before:
            self.revision += 1
            self.unacked += _unacked(rows) - _unacked(before)
            known = {row.key for row in before if row.severity == "crit"}
            self.raised_crit += sum(_rings(row) and row.key not in known for row in rows)
            self._of_node[name] = rows
            if not rows:
                del self._of_node[name]
        return list(self._recovered(view, {row.key for row in rows})) if view is not None else []

    def _found(self, view: NodeView, before: Mapping[str, AlertRow]) -> tuple[AlertRow, ...]:
        rows = _rows(view, self._model.word(view.host.name))
        return tuple(self._filled(row, before.get(row.key), view) for row in rows)

    def _filled(self, row: AlertRow, before: AlertRow | None, view: NodeView) -> AlertRow:
        """With its acknowledgement, and since when it is so, where the node does not say."""
        return AlertRow(
            row.key, row.code, row.node, row.site, row.subject, row.severity, row.sentence,
            since_us=row.since_us or (before.since_us if before is not None else self._silent_since_us(view)),
            stale=row.stale,
            ack=self._acks.get(row.key) if row.key not in self._over else None,
        )  # fmt: skip

    def _silent_since_us(self, view: NodeView) -> int:
        clock = self._model.clock
        return clock.utc_us() - round(view.silence_s(clock.monotonic()) * US)

    def _recovered(self, view: NodeView, firing: Collection[str]) -> Iterator[str]:
        heard_s, whole_s = view.heard_s, self._model.patience.poll_s * WHOLE_POLL
        if heard_s is None or self._model.word(view.host.name) in OLD_WORDS:
            return  # silence is no recovery
        for key in self._acked_keys.get(view.host.name, ()):
            if key in firing:
                self._gone_s.pop(key, None)
            elif key in self._over:
                continue
            elif heard_s - self._gone_s.setdefault(key, heard_s) >= whole_s:
                yield key


def codes(view: NodeView, word: Word) -> list[str]:
    """Of each alert of a node in that state, as a board has them."""
    return [row.code for row in _rows(view, word)]


def _rows(view: NodeView, word: Word) -> list[AlertRow]:
    rows = [*_own(view, word), *_told(view, stale=word in OLD_WORDS)]
    found = {row.key: row for row in reversed(rows)}
    return list(reversed(found.values()))


def _own(view: NodeView, word: Word) -> Iterator[AlertRow]:
    own = OWN.get(word)
    if own is None or (view.remembered and view.error is None):  # not asked yet: no news of it
        return
    error = view.error
    sentence = own.sentence if error is None else f"{own.sentence}: {error.code} {error.detail or error.title}"
    yield _row(view, own.code, SUBJECT, own.severity, sentence, 0, stale=False)


def _told(view: NodeView, *, stale: bool) -> Iterator[AlertRow]:
    alerts = view.status.alerts if view.status is not None else ()
    for alert in islice(alerts, MOST_OF_ONE_NODE):
        since_us = _instant_us(alert.since)
        yield _row(view, alert.code, alert.subject, alert.severity, alert.sentence, since_us, stale=stale)


def _instant_us(text: str) -> int:
    """0 for what is no time."""
    return max(0, to_us(text) or 0)


def _row(  # noqa: PLR0913 - the parts of a row
    view: NodeView, code: str, subject: str, severity: Severity, sentence: str, since_us: int, *, stale: bool
) -> AlertRow:
    name, site = view.host.name, view.status.site if view.status is not None else ""
    code, subject = clean(code)[:CODE_CHARS], clean(subject)[:SUBJECT_CHARS]
    key = f"{name}/{code}/{subject}"
    return AlertRow(key, code, name, clean(site), subject, severity, clean(sentence), since_us, stale, None)


def _unacked(rows: Iterable[AlertRow]) -> int:
    return sum(row.ack is None for row in rows)


def _rings(row: AlertRow) -> bool:
    return row.severity == "crit" and row.ack is None and not row.stale


def _node(key: str) -> str:
    return key.partition("/")[0]


def _is_own(key: str) -> bool:
    """Whether it is of a condition that a console finds."""
    return key.partition("/")[2] in OWN_KEYS


def _place(row: AlertRow) -> tuple[int, int, str]:
    return SEVERITIES[row.severity], row.since_us, row.key


VALUES: dict[By, Callable[[AlertRow], str]] = {
    "cause": lambda row: row.code,
    "node": lambda row: row.node,
    "site": lambda row: row.site,
}


def grouped(rows: Iterable[AlertRow], by: By = "cause", model: FleetModel | None = None) -> list[Group]:
    """The worst first, unacknowledged before acknowledged, then the larger; with a model also what the nodes share."""
    members: dict[str, list[AlertRow]] = defaultdict(list)
    for row in rows:
        members[VALUES[by](row)].append(row)
    common = _Common(model) if model is not None and by != "node" else None
    groups = [_group(f"{by}:{value}", value, sorted(found, key=_place), common) for value, found in members.items()]
    return sorted(groups, key=lambda one: (SEVERITIES[one.severity], one.acked is not None, -len(one.nodes), one.value))


def _group(key: str, value: str, rows: list[AlertRow], common: _Common | None) -> Group:
    nodes = tuple(sorted({row.node for row in rows}))
    acks = [row.ack for row in rows if row.ack is not None]
    whole = len(acks) == len(rows)
    return Group(
        key=key,
        severity=rows[0].severity,
        value=value,
        nodes=nodes,
        rows=tuple(rows),
        first_us=min(row.since_us for row in rows),
        acked=min(acks, key=lambda ack: (ack.until_us is None, ack.until_us or 0)) if whole else None,
        note=" · ".join(common.of(nodes)) if common is not None else "",
    )


class _Common:
    """What nodes have in common and the others have not, most telling first: `dam-3 8/11`.

    The traits of every node are counted once for many questions.
    """

    def __init__(self, model: FleetModel) -> None:
        self._traits = {name: _traits(view) for name, view in model.views.items()}
        self._everywhere = Counter(trait for traits in self._traits.values() for trait in traits)

    def of(self, names: Collection[str]) -> list[str]:
        inside = [self._traits[name] for name in names if name in self._traits]
        outside = len(self._traits) - len(inside)
        if len(inside) < 2 or not outside:  # noqa: PLR2004 - one node shares nothing, nor do all
            return []
        here = Counter(trait for traits in inside for trait in traits)
        parts = {trait: count / len(inside) for trait, count in here.items() if count > 1}
        more = {trait: part - (self._everywhere[trait] - here[trait]) / outside for trait, part in parts.items()}
        telling = [trait for trait, part in parts.items() if part >= SHARED_BY and more[trait] >= SHARED_MORE]
        return [f"{trait} {here[trait]}/{len(inside)}" for trait in sorted(telling, key=lambda one: (-more[one], one))]


def _traits(view: NodeView) -> set[str]:
    groups = {f"group {clean(group)}" for group in view.host.groups}
    status = view.status
    if status is None:
        return groups
    said = (status.site, status.version, f"cfg {status.config.digest[:SHORT_DIGEST]}")
    return groups | {clean(each) for each in said if each}
