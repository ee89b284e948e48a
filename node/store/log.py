"""The event log, the audit, and the keys of actions that were asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from peewee import Expression

from node.domain.errors import KeyReused
from node.domain.events import Event
from node.domain.times import US
from node.store.database import Database
from node.store.query import PAGE, select, where
from node.store.session import Session
from node.store.tables import Audit, Idempotency

KEY_AGE_US = 24 * 3600 * US
TRIM_BATCH = 500

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class EventRow:
    """One row of the log.  `body` is the event's published fields; `node.domain.events.restore` makes the event."""

    id: int
    at_us: int
    kind: str
    level: str
    body: dict[str, Any]
    camera: str | None
    frame: str | None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, in which role, from which address, by which request."""

    who: str
    role: str = "node"
    client: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One change, or one that was refused.  Digests are empty where there is nothing to compare."""

    id: int
    at_us: int
    who: str
    role: str
    client: str
    request_id: str
    action: str
    target: str
    before_digest: str
    after_digest: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Request:
    """An action that was asked for under a key: the key, the route, and a digest of what was sent."""

    key: str
    route: str
    digest: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What an action answered; `status` is None while it is being done."""

    status: int | None
    body: str | None


# --- written inside the journal's transactions ----------------------------------------------------------------------

# the newest row is never trimmed, so that the next id is always one more: no holes, and no number twice
_APPEND = "INSERT INTO events (at_us, kind, level, body, camera, frame) VALUES (?, ?, ?, ?, ?, ?)"
_TRIM = (
    "DELETE FROM events WHERE id <= (SELECT MAX(id) FROM (SELECT id, at_us FROM events ORDER BY id LIMIT ?3)"
    " WHERE id < (SELECT MAX(id) FROM events) AND (at_us < ?1 OR id <= (SELECT MAX(id) FROM events) - ?2))"
)


def append(session: Session, events: Iterable[Event], at_us: int) -> tuple[int, ...]:
    """The ids that the events got."""
    return tuple(session.execute(_APPEND, _event_values(event, at_us)).lastrowid or 0 for event in events)


def trim(session: Session, before_us: int, most_rows: int) -> int:
    """Drops at most one batch of events that are older, or beyond the newest `most_rows`; how many went."""
    gone: int = session.execute(_TRIM, (before_us, most_rows, TRIM_BATCH)).rowcount
    return gone


def newest_id(session: Session) -> int:
    """0 where there is none yet."""
    return _number(session.one("SELECT MAX(id) FROM events"))


def _number(row: tuple[Any, ...] | None) -> int:
    return int(row[0]) if row and row[0] is not None else 0


def _event_values(event: Event, at_us: int) -> tuple[object, ...]:
    body = event.body()
    return at_us, event.kind, event.level, _encode(body), body.get("camera"), body.get("frame")


@dataclass(frozen=True, slots=True)
class Change:
    """What an audit row says was done."""

    action: str
    target: str
    before_digest: str = ""
    after_digest: str = ""
    outcome: str = "done"


def record(session: Session, actor: Actor, change: Change, at_us: int) -> int:
    """The id of the audit row."""
    identity: int = Audit.insert(at_us=at_us, **asdict(actor), **asdict(change)).execute(session.db)
    return identity


def claim_key(session: Session, request: Request, at_us: int) -> Answer | None:
    """None: the key is new, do the action.  Else what was answered to it, or that it is being done.

    Raises KeyReused where the key stands for another request.
    """
    Idempotency.delete().where(Idempotency.at_us < at_us - KEY_AGE_US).execute(session.db)
    known = Idempotency.select().where(_is(request)).dicts().execute(session.db)
    for row in known:
        if row["request_digest"] != request.digest:
            raise KeyReused(f"key {request.key[:80]!r}")
        return Answer(row["status"], row["body"])
    values = {"key": request.key, "route": request.route, "request_digest": request.digest, "at_us": at_us}
    Idempotency.insert(**values).execute(session.db)
    return None


def answer_key(session: Session, request: Request, answer: Answer) -> None:
    """Remember what was answered."""
    Idempotency.update(status=answer.status, body=answer.body).where(_is(request)).execute(session.db)


def release_key(session: Session, request: Request) -> None:
    """The action failed and may be asked for again under the same key."""
    Idempotency.delete().where(_is(request)).execute(session.db)


def release_unanswered(session: Session) -> int:
    """At start: keys whose action an earlier life of this process did not finish."""
    gone: int = Idempotency.delete().where(Idempotency.status.is_null()).execute(session.db)
    return gone


def _is(request: Request) -> Expression:
    return (Idempotency.key == request.key) & (Idempotency.route == request.route)


# --- read -----------------------------------------------------------------------------------------------------------


class EventReader:
    """The log by id.  Every method raises DatabaseBusy and DatabaseDamaged."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def after(self, event_id: int, limit: int = PAGE, kinds: Sequence[str] = ()) -> list[EventRow]:
        """At most `limit` events with higher ids, in their order; of those kinds only, where any are named."""
        marks = ", ".join("?" for _ in kinds)
        sql = where([("id > ?", event_id), (f"kind IN ({marks})", tuple(kinds) or None)])
        text = select(_EVENT, f"events {sql.text} ORDER BY id LIMIT ?")
        return [_event(row) for row in self._database.read(lambda session: session.rows(text, (*sql.values, limit)))]

    def newest(self) -> int:
        """The highest id; 0 = none yet."""
        return self._database.read(newest_id)

    def oldest(self) -> int:
        """The lowest id that is kept; 0 = none yet."""
        return self._database.read(lambda session: _number(session.one("SELECT MIN(id) FROM events")))


class AuditReader:
    """Who changed what."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, *, limit: int = PAGE, after: int | None = None) -> list[AuditRow]:
        """At most `limit` rows, newest first, those older than the id `after`."""
        query = Audit.select().order_by(Audit.id.desc()).limit(limit).dicts()
        if after is not None:
            query = query.where(Audit.id < after)
        return self._database.read(lambda session: [AuditRow(**row) for row in query.execute(session.db)])


_EVENT = "id, at_us, kind, level, body, camera, frame"


def _event(row: Sequence[Any]) -> EventRow:
    identity, at_us, kind, level, body, camera, frame = row
    return EventRow(identity, at_us, kind, level, json.loads(body), camera, frame)
