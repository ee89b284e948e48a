"""The queue's rows: one live job for each kind and key, leases, attempts; states change by the table of moves."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from node.domain.config import DAY_S, Section
from node.domain.errors import JobDiffers, LeaseLost, MoveIllegal, PayloadInvalid, UnknownJob
from node.domain.job import AGEING_S, KINDS, MOVES, Attempt, JobState, Priority, lease_ms, parse_payload
from node.domain.times import US
from node.store.database import Database
from node.store.query import PAGE, select, where
from node.store.session import Session
from node.store.tables import JobRow

HOUR_US = 3600 * US
BATCH = 100
ERROR_CHARS = 1000
SLACK_US = US
"""A clock that is set back by less than this is no reason to move due times."""

Held = Collection[tuple[str, str]]
"""Kind and key of jobs that are left alone for now."""

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Job:
    """One row.  Leased, it is its own lease: `owner` and `attempt` say whose.

    `due_us` is when it may begin, `delay_us` how long before that the time was set.  `new` is not stored: it says that
    the asking made this job, and did not find it.
    """

    seq: int
    id: str
    kind: str
    key: str
    state: JobState
    priority: int
    payload: dict[str, Any]
    who: str
    created_us: int
    due_us: int
    delay_us: int
    attempt: int
    owner: str
    lease_boot: str
    lease_until_ms: int
    started_us: int | None
    finished_us: int | None
    cancel_asked: bool
    progress: float
    said: str
    result: dict[str, Any]
    error_code: str
    error: str
    new: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A job that somebody wants done.  `due_us` None = at once."""

    kind: str
    key: str
    payload: Mapping[str, Any]
    priority: Priority = Priority.SCHEDULED
    who: str = "node"
    due_us: int | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """When a job may begin, and how long before that the time was set."""

    at_us: int
    delay_us: int = 0

    @classmethod
    def after(cls, now_us: int, delay_s: float) -> Due:
        delay_us = round(delay_s * US)
        return cls(now_us + delay_us, delay_us)


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One attempt that has ended.  Those given back are not charged: the next has the same number."""

    attempt: int
    started_us: int
    ended_us: int
    outcome: str
    error_code: str
    error: str


@dataclass(frozen=True, slots=True)
class Depth:
    """The queue at a moment.  `due` counts by kind what could begin now; `oldest_us` is when the oldest of it came due.

    `running` are the leased jobs, oldest first; `stuck` counts those that run for too long.
    """

    due: Mapping[str, int] = field(default_factory=dict)
    oldest_us: int | None = None
    running: tuple[Job, ...] = ()
    stuck: int = 0
    dead: int = 0


# --- written inside the transactions of jobs and journal --------------------------------------------------------------

_COLUMNS = tuple(each.name for each in fields(Job) if each.name != "new")
_JOB = ", ".join(_COLUMNS)
_ONE = select(_JOB, "jobs WHERE id = ?")
_LIVE = select(_JOB, "jobs WHERE kind = ? AND key = ? AND state IN ('queued', 'leased', 'retry')")
_DEAD = select("id", "jobs WHERE state = 'dead' AND (?1 IS NULL OR kind = ?1) ORDER BY seq")
_OVER = "jobs WHERE state = 'leased' AND (lease_boot <> ? OR lease_until_ms <= ?)"
_IS_WAITING = "state IN ('queued', 'retry')"
# lowest goes first; the index jobs_waiting holds the same words
_RANK = f"due_us - priority * {AGEING_S * US}"
_FIRST = select(
    f"{_RANK}, seq, id, key",
    f"jobs WHERE kind = ? AND {_IS_WAITING} AND due_us <= ? ORDER BY {_RANK}, due_us",
)
_LEASE = (
    "UPDATE jobs SET state = 'leased', attempt = attempt + 1, owner = ?, lease_boot = ?, lease_until_ms = ?,"  # noqa: S608 - the names of our own fields
    f" started_us = ?, progress = 0, said = '' WHERE id = ? AND {_IS_WAITING} RETURNING {_JOB}"
)
_BEAT = (
    "UPDATE jobs SET lease_until_ms = ?, progress = MAX(progress, ?), said = ?"
    " WHERE id = ? AND owner = ? AND attempt = ? AND state = 'leased'"
)
_ATTEMPT = (
    "INSERT OR REPLACE INTO job_attempts (job_id, attempt, started_us, ended_us, outcome, error_code, error)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_FORGET = (
    "DELETE FROM jobs WHERE seq IN (SELECT seq FROM jobs WHERE state IN ('done', 'cancelled') AND finished_us < ?"
    " ORDER BY finished_us LIMIT ?)"
)
_PULL_IN = (
    "UPDATE jobs SET due_us = ?1 + delay_us WHERE id = ?2 AND state IN ('queued', 'retry') AND due_us - delay_us > ?1"
)
_LET_GO = {"owner": "", "lease_boot": "", "lease_until_ms": 0}


def enqueue(session: Session, asked: Asked, identity: str, now_us: int) -> Job:
    """The new job under that id; where one of that kind and key is live, that one, with the higher priority of both.

    If it waits for something else than is asked for, whoever asks with no less priority changes it.
    Raises UnknownKind, PayloadInvalid; JobDiffers where a person wants something else than what runs.
    """
    wanted = parse_payload(asked.kind, asked.payload)
    payload = wanted.model_dump(mode="json", exclude_unset=True)
    known = live(session, asked.kind, asked.key)
    if known is not None:
        return _ask_again(session, known, _Again(asked, payload, differs=not _same(wanted, known)), now_us)
    due_us = now_us if asked.due_us is None else asked.due_us
    values = {
        "id": identity, "kind": asked.kind, "key": asked.key, "state": JobState.QUEUED.value,
        "priority": int(asked.priority), "payload": _encode(payload), "who": asked.who, "created_us": now_us,
        "due_us": due_us, "delay_us": max(0, due_us - now_us),
    }  # fmt: skip
    JobRow.insert(**values).execute(session.db)
    return get(session, identity, new=True)


@dataclass(frozen=True, slots=True)
class _Again:
    """What is asked for while a job of its kind and key is live, and whether that is to do something else."""

    asked: Asked
    payload: Mapping[str, Any]
    differs: bool


def _same(wanted: Section, known: Job) -> bool:
    """Whether it comes to the same, with all that was left to the defaults."""
    try:
        return parse_payload(known.kind, known.payload).model_dump() == wanted.model_dump()
    except PayloadInvalid:  # another release's
        return False


def _ask_again(session: Session, known: Job, again: _Again, now_us: int) -> Job:
    by_hand = again.asked.priority >= Priority.MANUAL
    if known.state is JobState.LEASED:
        if again.differs and by_hand:
            raise JobDiffers(f"{known.kind} {known.id}")
        return known
    changes = _changes(known, again, now_us, by_hand=by_hand)
    if not changes:
        return known
    JobRow.update(**changes).where(JobRow.id == known.id).execute(session.db)
    return get(session, known.id)


def _changes(known: Job, again: _Again, now_us: int, *, by_hand: bool) -> dict[str, int | str]:
    """What waits for its next attempt goes on waiting, unless a person asks; a machine changes no person's wishes."""
    asked, changes = again.asked, dict[str, int | str]()
    if asked.priority > known.priority:
        changes["priority"] = int(asked.priority)
    if again.differs and asked.priority >= known.priority:
        changes |= {"payload": _encode(again.payload), "who": asked.who}
    due_us = now_us if asked.due_us is None else asked.due_us
    if by_hand and due_us < known.due_us:
        changes |= {"due_us": due_us, "delay_us": max(0, due_us - now_us)}
    return changes


def live(session: Session, kind: str, key: str) -> Job | None:
    """The job of that kind and key that waits or runs."""
    row = session.one(_LIVE, (kind, key))
    return None if row is None else _job(row)


def newest_dead(session: Session, kind: str, key: str) -> Job | None:
    """The dead letter of that kind and key that died last."""
    row = session.one(select(_JOB, "jobs WHERE state = 'dead' AND kind = ? AND key = ? ORDER BY seq DESC"), (kind, key))
    return None if row is None else _job(row)


def get(session: Session, identity: str, *, new: bool = False) -> Job:
    """Raises UnknownJob."""
    row = session.one(_ONE, (identity,))
    if row is None:
        raise UnknownJob(f"job {identity[:40]!r}")
    return _job(row, new=new)


def held_by(session: Session, lease: Job) -> Job:
    """The row as it is now.  Raises LeaseLost where it is not that attempt's any more."""
    row = session.one(_ONE, (lease.id,))
    now = None if row is None else _job(row)
    if now is None or now.state is not JobState.LEASED or _attempt_of(now) != _attempt_of(lease):
        raise LeaseLost(f"{lease.kind} {lease.id}, attempt {lease.attempt}")
    return now


def _attempt_of(job: Job) -> tuple[str, int, int | None]:
    """Its start too: attempts that were given back had the same number."""
    return job.owner, job.attempt, job.started_us


def move(session: Session, job: Job, to: JobState, **changes: object) -> Job:
    """The one way to another state but for `lease`; whoever had it lets go.  Raises MoveIllegal."""
    if to not in MOVES[job.state]:
        raise MoveIllegal(f"job {job.id} is {job.state}")
    JobRow.update(state=to.value, **_LET_GO, **changes).where(JobRow.id == job.id).execute(session.db)
    return get(session, job.id)


def end(session: Session, job: Job, to: JobState, now_us: int, **changes: object) -> Job:
    """Done, dead or cancelled.  Raises MoveIllegal."""
    return move(session, job, to, finished_us=now_us, **changes)


def wait(session: Session, job: Job, to: JobState, due: Due, **changes: object) -> Job:
    """Queued or for another attempt.  Raises MoveIllegal."""
    return move(session, job, to, due_us=due.at_us, delay_us=due.delay_us, **changes)


def redrive(session: Session, job: Job, now_us: int) -> Job:
    """Waits as if it had never been tried; its attempts stay on record.  Raises MoveIllegal."""
    anew = {"attempt": 0, "finished_us": None, "cancel_asked": 0, "progress": 0.0, "said": ""}
    return wait(session, job, JobState.QUEUED, Due(now_us), error_code="", error="", **anew)


def set_due(session: Session, job: Job, now_us: int) -> None:
    """A waiting job may begin now."""
    JobRow.update(due_us=now_us, delay_us=0).where(JobRow.id == job.id).execute(session.db)


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants to work on what: on these kinds but for what is held, in a lease of that boot until that moment."""

    kinds: tuple[str, ...]
    held: Held
    owner: str
    boot: str


def first_due(session: Session, kinds: Iterable[str], held: Held, now_us: int) -> str | None:
    """The id of the job that goes next; one look into the index for each kind."""
    found = [row for kind in kinds for row in _first_of(session, kind, held, now_us)]
    return min(found)[2] if found else None


def _first_of(session: Session, kind: str, held: Held, now_us: int) -> list[tuple[int, int, str]]:
    for rank, seq, identity, key in session.execute(_FIRST, (kind, now_us)):
        if (kind, key) not in held:
            return [(rank, seq, identity)]
    return []


def lease(session: Session, identity: str, claim: Claim, now_us: int, now_ms: int) -> Job | None:
    """One more attempt begins; None where the job is not waiting."""
    kind = get(session, identity).kind
    row = session.one(_LEASE, (claim.owner, claim.boot, now_ms + lease_ms(kind), now_us, identity))
    return None if row is None else _job(row)


def over(session: Session, boot: str, now_ms: int) -> list[Job]:
    """Leases that have run out, or are of another boot."""
    return [_job(row) for row in session.rows(select(_JOB, _OVER), (boot, now_ms))]


def leased(session: Session, kinds: Collection[str]) -> list[Job]:
    """Leased jobs of these kinds."""
    return [job for job in _leased(session) if job.kind in kinds]


def renew(session: Session, job: Job, until_ms: int, progress: float, said: str) -> Job:
    """The row after it; progress never goes back.  Raises LeaseLost."""
    session.execute(_BEAT, (until_ms, min(1.0, max(0.0, progress)), said, job.id, job.owner, job.attempt))
    return held_by(session, job)


def note_attempt(session: Session, job: Job, outcome: Attempt, now_us: int, error: tuple[str, str] = ("", "")) -> None:
    """How the attempt ended, with the error's code and text.  Of those given back the last one of a number stays."""
    if outcome is Attempt.GIVEN_BACK:
        gone = "DELETE FROM job_attempts WHERE job_id = ? AND attempt = ? AND outcome = 'given_back'"
        session.execute(gone, (job.id, job.attempt))
    code, text = error
    started_us = now_us if job.started_us is None else job.started_us
    session.execute(_ATTEMPT, (job.id, job.attempt, started_us, now_us, outcome.value, code, text[:ERROR_CHARS]))


def dead_of(session: Session, job: Job) -> list[Job]:
    """Dead letters of the job's kind and key."""
    sql = select(_JOB, "jobs WHERE state = 'dead' AND kind = ? AND key = ?")
    return [_job(row) for row in session.rows(sql, (job.kind, job.key))]


def dead(session: Session, kind: str | None) -> list[str]:
    """The ids of dead letters, of that kind or of all, in the order of their making."""
    return [identity for (identity,) in session.rows(_DEAD, (kind,))]


def ask_cancel(session: Session, job: Job) -> Job:
    """Whoever works on it is told at its next step."""
    JobRow.update(cancel_asked=1).where(JobRow.id == job.id).execute(session.db)
    return get(session, job.id)


def too_far(session: Session, now_us: int) -> list[str]:
    """Waiting jobs whose due time is further away than the delay that it was set with: the clock went back."""
    sql = select("id", f"jobs WHERE {_IS_WAITING} AND due_us - delay_us > ?")
    return [identity for (identity,) in session.rows(sql, (now_us + SLACK_US,))]


def pull_in(session: Session, identity: str, now_us: int) -> bool:
    """Its delay begins now; False where it waits no more."""
    return bool(session.execute(_PULL_IN, (now_us, identity)).rowcount)


def forget(session: Session, before_us: int) -> int:
    """Drops at most a batch of jobs that ended well before then, with their attempts; how many went."""
    gone: int = session.execute(_FORGET, (before_us, BATCH)).rowcount
    return gone


# --- read -----------------------------------------------------------------------------------------------------------


class JobReader:
    """The queue.  Every method raises DatabaseBusy and DatabaseDamaged."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self,
        *,
        state: JobState | None = None,
        kind: str | None = None,
        key: str | None = None,
        limit: int = PAGE,
        after: int | None = None,
    ) -> list[Job]:
        """At most `limit` jobs, newest first, those older than the number `after`."""
        sql = where([("state = ?", state), ("kind = ?", kind), ("key = ?", key), ("seq < ?", after)])
        text = select(_JOB, f"jobs {sql.text} ORDER BY seq DESC LIMIT ?")
        return [_job(row) for row in self._database.read(lambda session: session.rows(text, (*sql.values, limit)))]

    def get(self, identity: str) -> Job:
        """Raises UnknownJob."""
        return self._database.read(lambda session: get(session, identity))

    def live(self, kind: str, key: str) -> Job | None:
        """The job of that kind and key that waits or runs."""
        return self._database.read(lambda session: live(session, kind, key))

    def attempts(self, identity: str) -> list[AttemptRow]:
        """In their order.  Raises UnknownJob."""
        return self._database.read(lambda session: _attempts(session, identity))

    def depth(self, now_us: int, stuck_s: float = DAY_S, held: Held = ()) -> Depth:
        """How much waits, runs and is dead, without what is held."""
        return self._database.read(lambda session: _depth(session, now_us, stuck_s, held))

    def done_since(self, since_us: int) -> dict[str, int]:
        """How many jobs were done from then on, by kind."""
        return self._database.read(lambda session: _done(session, since_us))


def _attempts(session: Session, identity: str) -> list[AttemptRow]:
    sql = (
        "SELECT attempt, started_us, ended_us, outcome, error_code, error FROM job_attempts WHERE job_id = ?"
        " ORDER BY ended_us, attempt"
    )
    get(session, identity)
    return [AttemptRow(*row) for row in session.rows(sql, (identity,))]


def _depth(session: Session, now_us: int, stuck_s: float, held: Held) -> Depth:
    counts = {kind: _due(session, kind, held, now_us) for kind in KINDS}
    due = {kind: count for kind, (count, _) in counts.items() if count}
    oldest = [oldest_us for _, oldest_us in counts.values() if oldest_us is not None]
    running = tuple(_leased(session))
    stuck = sum(job.started_us is not None and now_us - job.started_us > stuck_s * US for job in running)
    number = session.one("SELECT COUNT(*) FROM jobs WHERE state = 'dead'")
    dead_letters = 0 if number is None else int(number[0])
    return Depth(due, min(oldest, default=None), running, stuck, dead_letters)


def _due(session: Session, kind: str, held: Held, now_us: int) -> tuple[int, int | None]:
    """How many of the kind could begin, and since when the first of them."""
    keys = [key for name, key in held if name == kind]
    marks = ", ".join("?" for _ in keys)
    without = f" AND key NOT IN ({marks})" if keys else ""
    sql = select("COUNT(*), MIN(due_us)", f"jobs WHERE kind = ? AND {_IS_WAITING} AND due_us <= ?{without}")
    count, oldest_us = session.rows(sql, (kind, now_us, *keys))[0]
    return count, oldest_us


def _done(session: Session, since_us: int) -> dict[str, int]:
    sql = (
        "SELECT kind, COUNT(*) FROM jobs WHERE state IN ('done', 'cancelled') AND finished_us >= ? AND state = 'done'"
        " GROUP BY kind"
    )
    return dict(session.rows(sql, (since_us,)))


def _leased(session: Session) -> list[Job]:
    return [_job(row) for row in session.rows(select(_JOB, "jobs WHERE state = 'leased' ORDER BY seq"))]


def _job(row: Sequence[Any], *, new: bool = False) -> Job:
    values = dict(zip(_COLUMNS, row, strict=True))
    parsed = {
        "state": JobState(values["state"]),
        "payload": json.loads(values["payload"]),
        "cancel_asked": bool(values["cancel_asked"]),
        "progress": float(values["progress"]),
        "result": json.loads(values["result"]),
    }
    return Job(**{**values, **parsed}, new=new)
