"""The list of alerts, in groups: a row, what can be asked of it, and how it is ordered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace

from console.fleet.alerts import SEVERITIES, AlertBoard, AlertRow, By, Group, grouped
from console.fleet.filter import Field, Fields, quoted
from console.fleet.listing import Kind
from console.fleet.state import Ack
from console.fleet.text import ago
from console.fleet.view import FleetModel
from node.wire.times import US, to_text

EVERY: tuple[By, ...] = ("cause", "node", "site")
NOWHERE = "(no site)"
SOON_S = 3600
ROUND_UP_S = 59
"""What holds for 8 h is not said to hold for 7 h a second later."""
SHARED_EVERY_S = 10.0
"""What a group's nodes share is worked out over the whole fleet: no more often than that."""
OPEN, PARTLY, KNOWN = "open", "partly", "acked"


@dataclass(frozen=True, slots=True)
class GroupLine:
    """One group as of now, UTC in microseconds."""

    group: Group
    now_us: int

    @property
    def value(self) -> str:
        return self.group.value or NOWHERE

    @property
    def for_s(self) -> float:
        """Since the first of them."""
        return max(0.0, (self.now_us - self.group.first_us) / US)

    @property
    def acked(self) -> int:
        """How many of its alerts somebody knows of."""
        return sum(row.ack is not None for row in self.group.rows)

    @property
    def known(self) -> str:
        """Whether somebody knows of all, of some, or of none."""
        return KNOWN if self.group.acked is not None else PARTLY if self.acked else OPEN

    @property
    def stale(self) -> bool:
        """Its nodes are silent: this is what they last said."""
        return all(row.stale for row in self.group.rows)

    @property
    def note(self) -> str:
        """What the nodes of a cause have in common; of a single alert its sentence, of others which there are."""
        rows, codes = self.group.rows, Counter(row.code for row in self.group.rows)
        if len(rows) == 1:
            return rows[0].sentence
        return self.group.note or ", ".join(f"{code} {count}" for code, count in codes.items() if code != self.value)


def _joined(value: Callable[[AlertRow], str]) -> Callable[[GroupLine], str]:
    """Each different one of its alerts', for a filter to look in."""
    return lambda row: " ".join(dict.fromkeys(map(value, row.group.rows)))


def left(ack: Ack, now_us: int) -> str:
    """How long it still holds."""
    return "until over" if ack.until_us is None else f"{ago(max(0, ack.until_us - now_us) / US + ROUND_UP_S)} left"


@dataclass(slots=True)
class Groups:
    """The groups of a board, made anew only when it has changed.  `by` may be set at any time."""

    model: FleetModel
    board: AlertBoard
    by: By = "cause"
    groups: dict[str, Group] = field(default_factory=dict)
    _of: tuple[int, By] | None = None
    _noted: tuple[int, By] | None = None
    _noted_s: float = float("-inf")

    def take(self) -> set[str]:
        """The keys of those that came, changed or went."""
        now = (self.board.revision, self.by)
        anew = self._noted is None or self._noted[1] != self.by
        notes = now != self._noted and (anew or self.model.clock.monotonic() - self._noted_s >= SHARED_EVERY_S)
        if now == self._of and not notes:
            return set()
        before, self.groups = self.groups, self._with_notes() if notes else self._as_noted()
        self._of = now
        both = before.keys() | self.groups.keys()
        return {key for key in both if before.get(key) != self.groups.get(key)}

    def _with_notes(self) -> dict[str, Group]:
        self._noted, self._noted_s = (self.board.revision, self.by), self.model.clock.monotonic()
        model = self.model if self.by == "cause" else None
        return {group.key: group for group in grouped(self.board.rows(), self.by, model)}

    def _as_noted(self) -> dict[str, Group]:
        found = ((group, self.groups.get(group.key)) for group in grouped(self.board.rows(), self.by))
        return {
            group.key: replace(group, note=before.note) if before and before.note else group for group, before in found
        }


def nodes_of(group: Group, by: By) -> str:
    """The filter of the fleet that shows its nodes, and no others."""
    if by == "cause":
        return f"alert:{quoted(group.value)}"
    return f"site={quoted(group.value)} alerts>0" if by == "site" else f"node={group.value}"


def as_known(line: GroupLine) -> dict[str, object]:
    """All that is known of it."""
    group = line.group
    return {
        "group": group.key,
        "severity": group.severity,
        "nodes": list(group.nodes),
        "first": to_text(group.first_us),
        "shared": group.note,
        "alerts": [_known(row) for row in group.rows],
    }


def _known(row: AlertRow) -> dict[str, object]:
    ack = row.ack
    known = None if ack is None else {**asdict(ack), "at_us": to_text(ack.at_us), "until_us": _until(ack)}
    told = {name: value for name, value in asdict(row).items() if name not in {"since_us", "ack"}}
    return {**told, "since": to_text(row.since_us), "ack": known}


def _until(ack: Ack) -> str | None:
    return None if ack.until_us is None else to_text(ack.until_us)


@dataclass(frozen=True, slots=True)
class Counts:
    """Of all alerts: how many there are, how many of them somebody knows of, and how many of those for under 1 h."""

    firing: int
    acked: int
    soon: int


def counted(rows: Iterable[AlertRow], now_us: int) -> Counts:
    rows = list(rows)
    acks = [row.ack for row in rows if row.ack is not None]
    soon = sum(ack.until_us is not None and ack.until_us - now_us < SOON_S * US for ack in acks)
    return Counts(len(rows), len(acks), soon)


def _texts(row: GroupLine) -> Iterator[str]:
    yield row.value
    yield from row.group.nodes
    yield from (one.sentence for one in row.group.rows)
    yield row.group.note


ALERTS: Kind[GroupLine] = Kind(
    name="alerts",
    fields=Fields(
        {
            "severity": Field("severity:crit", text=lambda row: row.group.severity, words=tuple(SEVERITIES)),
            "cause": Field("code of one of its alerts", text=_joined(lambda row: row.code)),
            "node": Field("name of one of its nodes", text=lambda row: " ".join(row.group.nodes)),
            "site": Field("name of the site of one of them", text=_joined(lambda row: row.site)),
            "ack": Field("whether somebody knows: ack:open", text=lambda row: row.known, words=(OPEN, PARTLY, KNOWN)),
            "by": Field("who knows of it", text=_joined(lambda row: row.ack.by if row.ack is not None else "")),
            "nodes": Field("how many nodes: nodes>5", number=lambda row: len(row.group.nodes)),
            "age": Field("since the first of them: age>1h", number=lambda row: row.for_s, timed=True),
        },
        _texts,
    ),
    sorts={
        "severity": lambda row: (SEVERITIES[row.group.severity], row.group.acked is not None),
        "cause": lambda row: row.value,
        "nodes": lambda row: len(row.group.nodes),
        "first": lambda row: row.group.first_us,
        "for": lambda row: -row.group.first_us,
        "ack": lambda row: (OPEN, PARTLY, KNOWN).index(row.known),
        "note": lambda row: row.note,
    },
    order=("severity", "-nodes"),
)
