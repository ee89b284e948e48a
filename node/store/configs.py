"""The version book: every document as it was given, and which of them has run since when.

Exactly one activation is current (active, on probation, or confirmed).  What replaces it makes it superseded, what
fails makes it rolled back; a unique index refuses a second current one, so that no crash can leave two or none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import peewee

from node.domain.config import digest
from node.domain.errors import NothingToRollBack, ProbationRunning, UnknownVersion, VersionMoved
from node.store.database import Database
from node.store.peek import peeked
from node.store.query import PAGE
from node.store.session import Session
from node.store.tables import Activations, Configs

ACTIVE, PROBATION, CONFIRMED, ROLLED_BACK, SUPERSEDED = "active", "probation", "confirmed", "rolled_back", "superseded"
PROVISIONAL = "provisional"
"""On probation in the table, so that the release before can go on from it."""
CURRENT = (ACTIVE, PROBATION, CONFIRMED)
NOT_PROVED = "not_proved"


@dataclass(frozen=True, slots=True)
class Version:
    """One document as it was given.  `origin` says by which way it came: default, put, file."""

    version: int
    digest: str
    document: dict[str, Any]
    created_us: int
    who: str
    origin: str


@dataclass(frozen=True, slots=True)
class Activation:
    """A time of running.  `previous` is the version to go back to; None for the first.

    Since `provisional_us` it is on probation without an end, until its slots come in a light that shows it.
    """

    id: int
    version: int
    from_us: int
    state: str
    previous: int | None
    deadline_us: int | None
    good_needed: int
    good_seen: int
    owed: dict[str, int]
    light: dict[str, float]
    starts: int
    reason: str
    provisional_us: int | None = None
    unproved: dict[str, int] = field(default_factory=dict)

    @property
    def word(self) -> str:
        """Its state as it is told."""
        return PROVISIONAL if self.provisional else self.state

    @property
    def provisional(self) -> bool:
        return self.state == PROBATION and self.provisional_us is not None


@dataclass(frozen=True, slots=True)
class Running:
    """The version that runs, and since when and in what state."""

    version: Version
    activation: Activation


@dataclass(frozen=True, slots=True)
class Proof:
    """What an activation on probation owes until then (UTC microseconds).

    So many good frames in all; `owed` says how many of each camera and profile (`camera/profile`), `light` how bright
    each camera's pictures were before (mean luminance, 0..1).
    """

    deadline_us: int
    good_needed: int
    owed: dict[str, int] = field(default_factory=dict)
    light: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """The document that decides about slots due after `from_us`, until the next span's."""

    from_us: int
    version: int
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """A version in the history, with the state of its latest activation; None where it never ran."""

    version: Version
    activation: Activation | None


# --- inside the journal's transactions ------------------------------------------------------------------------------


def running(session: Session) -> Running:
    """What runs now.  Raises UnknownVersion before `begin`."""
    activation = _first(Activations.select().where(Activations.state.in_(CURRENT)), session)
    if activation is None:
        raise UnknownVersion("no configuration has been activated yet")
    return Running(version_of(session, activation["version"]), _activation(activation))


def version_of(session: Session, version: int) -> Version:
    """Raises UnknownVersion."""
    row = _first(Configs.select().where(Configs.version == version), session)
    if row is None:
        raise UnknownVersion(f"version {version}")
    return _version(row)


def begin(session: Session, at_us: int, document: Mapping[str, Any] | None = None) -> Running:
    """At the first start, version 1 is that document, or the empty one; later what runs already."""
    if _first(Configs.select().limit(1), session) is None:
        add(session, document or {}, at_us, who="node", origin="file" if document else "default")
        activate(session, 1, at_us, None)
    return running(session)


def add(session: Session, document: Mapping[str, Any], at_us: int, *, who: str, origin: str) -> int:
    """The number of the new version."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    values = {"digest": digest(document), "document": text, "created_us": at_us, "who": who, "origin": origin}
    version: int = Configs.insert(**values).execute(session.db)
    return version


def activate(session: Session, version: int, from_us: int, proof: Proof | None) -> Activation:
    """Run that version for slots due after `from_us`; what ran is superseded and becomes the one to go back to.

    What runs provisionally has not proved itself: the one before it stays the one to go back to.  Raises
    UnknownVersion; ProbationRunning where what runs is on probation otherwise.
    """
    version_of(session, version)
    row = _first(Activations.select().where(Activations.state.in_(CURRENT)), session)
    if row is None:
        return _start(session, version, from_us, None, proof)
    current = _activation(row)
    if current.state == PROBATION and not current.provisional:
        raise ProbationRunning(f"version {current.version}")
    _end(session, current.id, SUPERSEDED, NOT_PROVED if current.provisional else "")
    previous = current.previous if current.provisional else current.version
    return _start(session, version, from_us, previous, proof)


def make_provisional(session: Session, at_us: int, unproved: Mapping[str, int]) -> Activation:
    """Nothing speaks against what is on probation, and not enough for it: starts are counted anew."""
    _on_probation(session)
    return _count(session, provisional_us=at_us, unproved=json.dumps(unproved), starts=0)


def confirm(session: Session) -> Activation:
    """What is on probation has proved itself.  Raises NothingToRollBack where nothing is on probation."""
    activation = _on_probation(session)
    Activations.update(state=CONFIRMED).where(Activations.id == activation.id).execute(session.db)
    return running(session).activation


def roll_back(session: Session, from_us: int, reason: str) -> tuple[Activation, Activation]:
    """What is on probation goes, the version before it runs again without a proof: (what ended, what runs)."""
    failed = _on_probation(session)
    if failed.previous is None:
        raise NothingToRollBack(f"version {failed.version} is the first")
    _end(session, failed.id, ROLLED_BACK, reason)
    before = _previous_of(session, failed.previous, failed.id)
    return failed, _start(session, failed.previous, from_us, before, None)


def note_good(session: Session, owed: Mapping[str, int], unproved: Mapping[str, int]) -> Activation:
    """One more good frame was seen on probation; `owed` and `unproved` are what is still to come."""
    values = {"owed": json.dumps(owed), "unproved": json.dumps(unproved)}
    return _count(session, good_seen=Activations.good_seen + 1, **values)


def count_start(session: Session) -> Activation:
    """The process has started once more while on probation."""
    return _count(session, starts=Activations.starts + 1)


def check_moved(session: Session, if_match: int) -> Running:
    """What runs.  Raises VersionMoved unless it is version `if_match`."""
    now = running(session)
    if now.version.version != if_match:
        raise VersionMoved(f"made from version {if_match}, version {now.version.version} runs")
    return now


def prune(session: Session, keep: int, ledger_us: int) -> int:
    """Forget versions beyond the newest `keep`; how many went.

    What runs, what it would go back to, and what decided about slots due after `ledger_us` stay.
    """
    current = running(session).activation
    needed = {current.version, current.previous, *(span.version for span in spans(session, ledger_us, current.from_us))}
    newest = [
        row["version"]
        for row in _rows(Configs.select(Configs.version).order_by(Configs.version.desc()).limit(keep), session)
    ]
    stay = sorted({version for version in (*needed, *newest) if version is not None})
    Activations.update(previous=None).where(Activations.previous.not_in(stay) & Activations.version.in_(stay)).execute(
        session.db
    )
    Activations.delete().where(Activations.version.not_in(stay)).execute(session.db)
    gone: int = Configs.delete().where(Configs.version.not_in(stay)).execute(session.db)
    return gone


def spans(session: Session, from_us: int, until_us: int) -> list[Span]:
    """The documents of a time, in order.  Where a clock went back, the later activation decides from its start on."""
    chosen: list[dict[str, Any]] = []
    first_us = until_us + 1
    for row in _rows(Activations.select().order_by(Activations.id.desc()), session):
        if row["from_us"] < first_us:
            chosen.append(row)
            first_us = row["from_us"]
        if first_us <= from_us:
            break
    return [
        Span(max(from_us, row["from_us"]), row["version"], version_of(session, row["version"]).document)
        for row in reversed(chosen)
    ]


def _start(session: Session, version: int, from_us: int, previous: int | None, proof: Proof | None) -> Activation:
    owed = {} if proof is None else asdict(proof) | {"owed": json.dumps(proof.owed), "light": json.dumps(proof.light)}
    state = ACTIVE if proof is None else PROBATION
    Activations.insert(version=version, from_us=from_us, previous=previous, state=state, **owed).execute(session.db)
    return running(session).activation


def _end(session: Session, identity: int, state: str, reason: str) -> None:
    Activations.update(state=state, reason=reason).where(Activations.id == identity).execute(session.db)


def _on_probation(session: Session) -> Activation:
    row = _first(Activations.select().where(Activations.state == PROBATION), session)
    if row is None:
        raise NothingToRollBack("nothing is on probation")
    return _activation(row)


def _previous_of(session: Session, version: int, before_id: int) -> int | None:
    """What the last earlier activation of that version would have gone back to."""
    earlier = Activations.select().where((Activations.version == version) & (Activations.id < before_id))
    row = _first(earlier.order_by(Activations.id.desc()).limit(1), session)
    return None if row is None else row["previous"]


def _count(session: Session, **values: peewee.Expression | str | int) -> Activation:
    Activations.update(**values).where(Activations.state == PROBATION).execute(session.db)
    return running(session).activation


def _rows(query: Any, session: Session) -> list[dict[str, Any]]:  # noqa: ANN401 - peewee's own type says nothing more
    return list(query.dicts().execute(session.db))


def _first(query: Any, session: Session) -> dict[str, Any] | None:  # noqa: ANN401 - as above
    return next(iter(_rows(query, session)), None)


def _activation(row: Mapping[str, Any]) -> Activation:
    return Activation(**{**row, **{name: json.loads(row[name]) for name in ("owed", "light", "unproved")}})


def _version(row: Mapping[str, Any]) -> Version:
    return Version(**{**row, "document": json.loads(row["document"])})


# --- read -----------------------------------------------------------------------------------------------------------


class VersionBook:
    """What is known about versions.  Every method raises DatabaseBusy and DatabaseDamaged."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self) -> Running:
        """What runs.  Raises UnknownVersion before the journal's `begin_book`."""
        return self._database.read(running)

    def begun(self) -> bool:
        """Whether there is any version yet."""
        return self._database.read(lambda session: session.one("SELECT 1 FROM configs LIMIT 1")) is not None

    def get(self, version: int) -> Version:
        """Raises UnknownVersion."""
        return self._database.read(lambda session: version_of(session, version))

    def history(self, *, limit: int = PAGE, before: int | None = None) -> list[Entry]:
        """At most `limit` versions, newest first, those before version `before`."""
        return self._database.read(lambda session: _history(session, limit, before))

    def timeline(self, from_us: int, until_us: int) -> list[Span]:
        """Which document decided when, so that due slots are those that were asked for at their time.

        The first span starts at `from_us`, or where the first activation came later, there.
        """
        return self._database.read(lambda session: spans(session, from_us, until_us))


def _history(session: Session, limit: int, before: int | None) -> list[Entry]:
    query = Configs.select().order_by(Configs.version.desc()).limit(limit)
    if before is not None:
        query = query.where(Configs.version < before)
    versions = [_version(row) for row in _rows(query, session)]
    ran = Activations.select().where(Activations.version.in_([each.version for each in versions]))
    latest = {row["version"]: _activation(row) for row in _rows(ran.order_by(Activations.id), session)}
    return [Entry(version, latest.get(version.version)) for version in versions]


def peek(path: Path) -> Version | None:
    """What runs, read beside a service that may be running; None where there is no database yet.

    Raises DatabaseDamaged, DatabaseBusy, UnknownVersion.
    """
    return peeked(path, lambda session: running(session).version)
