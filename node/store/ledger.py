"""Slots, gaps, shoots, roll-ups: what was due and what came of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Any

from node.domain.errors import NotFound
from node.domain.frame import Frame, Gap, GapReason, SlotKey
from node.domain.times import US
from node.store.database import Database
from node.store.query import PAGE, beyond, order, select, where
from node.store.session import Session

HOUR_US = 3600 * US
DEGRADED_SHARE = 0.5

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class SlotRow:
    """A settled slot: exactly one of `frame_id` and `reason` is there."""

    slot: SlotKey
    frame_id: str | None
    reason: str | None
    schedules: tuple[str, ...]
    shoots: tuple[str, ...]
    error_code: str
    config_version: int
    settled_us: int


@dataclass(frozen=True, slots=True)
class Shoot:
    """One occurrence of a window.  `failed` counts gaps.

    `degraded` when more than half of what was due failed, slots left out that an operator held.
    """

    shoot: str
    camera: str
    schedule: str
    profile: str
    date: str
    state: str
    start_us: int
    end_us: int
    due: int
    captured: int
    failed: int
    degraded: bool


@dataclass(frozen=True, slots=True)
class DayCount:
    """One camera on one site day.  `score_sum` / `score_n` is the mean score of its judged frames."""

    camera: str
    day: str
    due: int
    captured: int
    gaps: int
    score_sum: int
    score_n: int


# --- written inside the journal's transactions ----------------------------------------------------------------------

_SETTLE = (
    "INSERT INTO slots (camera, profile, due_us, frame_id, reason, schedules, shoots, error_code, config_version,"
    " settled_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_COUNT_DAY = (
    "INSERT INTO day_counts (camera, day, due, captured, gaps) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (camera, day)"
    " DO UPDATE SET due = due + ?3, captured = captured + ?4, gaps = gaps + ?5"
)
_SCORE_DAY = (
    "INSERT INTO day_counts (camera, day, score_sum, score_n) VALUES (?1, ?2, ?3, 1) ON CONFLICT (camera, day)"
    " DO UPDATE SET score_sum = score_sum + ?3, score_n = score_n + 1"
)
_SCORE_HOUR = (
    "INSERT INTO hour_scores (camera, hour, score_sum, score_n) VALUES (?1, ?2, ?3, 1) ON CONFLICT (camera, hour)"
    " DO UPDATE SET score_sum = score_sum + ?3, score_n = score_n + 1"
)
_COUNT_SHOOT = (
    "INSERT INTO shoots (shoot, camera, schedule, profile, date, state, start_us, end_us, due, captured, failed)"
    " VALUES (?1, ?2, ?3, ?4, ?5, 'open', ?6, ?6, ?7, ?8, ?9) ON CONFLICT (shoot)"
    " DO UPDATE SET due = due + ?7, captured = captured + ?8, failed = failed + ?9"
)
_OPEN_SHOOT = (
    "INSERT INTO shoots (shoot, camera, schedule, profile, date, state, start_us, end_us)"
    " VALUES (?, ?, ?, ?, ?, 'open', ?, ?) ON CONFLICT (shoot)"
    " DO UPDATE SET start_us = excluded.start_us, end_us = excluded.end_us"
    " WHERE start_us <> excluded.start_us OR end_us <> excluded.end_us"
)
_COUNT_HELD = (
    "SELECT COUNT(*) FROM shoots CROSS JOIN slots INDEXED BY slots_gaps ON due_us >= start_us AND due_us < end_us"
    " AND slots.camera = shoots.camera WHERE shoot = ?1 AND reason = ?2 AND instr(slots.shoots, ?3)"
)
_BEGIN = "INSERT INTO ledger (camera, settled_to_us) VALUES (?, ?) ON CONFLICT DO NOTHING"
_LEDGER = (
    "INSERT INTO ledger (camera, settled_to_us) VALUES (?1, ?2) ON CONFLICT (camera)"
    " DO UPDATE SET settled_to_us = ?2 WHERE settled_to_us < ?2"
)


def claim(session: Session, frame: Frame, slot: SlotKey, settled_us: int) -> bool:
    """The slot is this frame's.  False where it was settled before; nothing is changed then."""
    values = (frame.id, None, _encode(frame.schedules), _encode(frame.shoots), "", frame.config_version, settled_us)
    return bool(session.execute(_SETTLE, (slot.camera, slot.profile, slot.due_us, *values)).rowcount)


def miss(session: Session, gap: Gap, settled_us: int) -> bool:
    """The slot is a gap.  False where it was settled before; nothing is changed then."""
    texts = (_encode(gap.schedules), _encode(gap.shoots), gap.error_code, gap.config_version, settled_us)
    key = (gap.slot.camera, gap.slot.profile, gap.slot.due_us)
    return bool(session.execute(_SETTLE, (*key, None, gap.reason.value, *texts)).rowcount)


def count_captured(session: Session, frame: Frame, slot: SlotKey, day: str) -> None:
    """Roll-ups of a slot that has its frame."""
    session.execute(_COUNT_DAY, (slot.camera, day, 1, 1, 0))
    for shoot in frame.shoots:
        _count_shoot(session, shoot, slot.due_us, (1, 1, 0))


def count_missed(session: Session, gaps: Sequence[tuple[Gap, str]]) -> None:
    """Roll-ups of gaps, each with its site day."""
    days = Counter((gap.slot.camera, day) for gap, day in gaps)
    for (camera, day), number in days.items():
        session.execute(_COUNT_DAY, (camera, day, number, 0, number))
    shoots = Counter(shoot for gap, _ in gaps for shoot in gap.shoots)
    dues = {shoot: gap.slot.due_us for gap, _ in gaps for shoot in gap.shoots}
    for shoot, number in shoots.items():
        _count_shoot(session, shoot, dues[shoot], (number, 0, number))


def count_score(session: Session, frame: Frame, day: str) -> None:
    """Roll-ups of a judged frame."""
    session.execute(_SCORE_DAY, (frame.camera, day, frame.score))
    session.execute(_SCORE_HOUR, (frame.camera, frame.captured_us // HOUR_US, frame.score))


def _count_shoot(session: Session, shoot: str, due_us: int, counts: tuple[int, int, int]) -> None:
    camera, schedule, date, profile = shoot.split("/")
    session.execute(_COUNT_SHOOT, (shoot, camera, schedule, profile, date, due_us, *counts))


def settle(session: Session, camera: str, to_us: int) -> None:
    """Every slot due until then is settled.  Never goes back."""
    session.execute(_LEDGER, (camera, to_us))


def begin(session: Session, cameras: Sequence[str], now_us: int) -> None:
    """Cameras without a ledger begin theirs: with the first document where none has one yet, now where they are new."""
    first = session.one("SELECT MIN(from_us) FROM activations WHERE NOT EXISTS (SELECT 1 FROM ledger)")
    since_us = now_us if first is None or first[0] is None else first[0]
    for camera in cameras:
        session.execute(_BEGIN, (camera, since_us))


def open_shoot(session: Session, shoot: str, start_us: int, end_us: int) -> bool:
    """False where it is there already with these times."""
    camera, schedule, date, profile = shoot.split("/")
    values = (shoot, camera, schedule, profile, date, start_us, end_us)
    return bool(session.execute(_OPEN_SHOOT, values).rowcount)


def close_shoot(session: Session, shoot: str) -> Shoot | None:
    """The shoot with its final counts; None where it was closed before, or never there."""
    sql = (
        "UPDATE shoots SET state = 'captured', degraded = failed - ?1 > ?2 * (due - ?1)"
        " WHERE shoot = ?3 AND state = 'open'"
    )
    if not session.execute(sql, (count_held(session, shoot), DEGRADED_SHARE, shoot)).rowcount:
        return None
    return _shoot(session.rows(_ONE_SHOOT, (shoot,))[0])


def count_held(session: Session, shoot: str) -> int:
    """How many of its slots an operator held."""
    found = session.one(_COUNT_HELD, (shoot, GapReason.HELD.value, _encode(shoot)))
    return int(found[0]) if found else 0


SHOOT_MOVES: Mapping[str, tuple[str, ...]] = {
    "captured": ("rendering",),  # nobody renders it any more: the job was cancelled
    "rendering": ("captured", "failed"),
    "done": ("captured", "rendering", "failed"),
    "degraded": ("captured", "rendering", "failed"),
    "failed": ("captured", "rendering"),
}
"""What a shoot may become once it is closed, and from where.  One that has its video stays so."""


def move_shoot(session: Session, shoot: str, state: str) -> bool:
    """False where it may not become that: it is there already, has its video, is still open, or was never there."""
    before = SHOOT_MOVES[state]
    marks = ", ".join("?" for _ in before)
    sql = f"UPDATE shoots SET state = ? WHERE shoot = ? AND state IN ({marks})"  # noqa: S608 - question marks only
    return bool(session.execute(sql, (state, shoot, *before)).rowcount)


def ask_video(session: Session, shoot: str) -> None:
    """From now on a video of it is expected."""
    session.execute("UPDATE shoots SET asked = 1 WHERE shoot = ?", (shoot,))


def find_shoot(session: Session, shoot: str) -> Shoot | None:
    """None where there is none of that name."""
    row = session.one(_ONE_SHOOT, (shoot,))
    return None if row is None else _shoot(row)


# --- read -----------------------------------------------------------------------------------------------------------

_SHOOT_NAMES = tuple(field.name for field in fields(Shoot))
_SHOOT = ", ".join(_SHOOT_NAMES)
_ONE_SHOOT = select(_SHOOT, "shoots WHERE shoot = ?")
_DAY = "camera, day, due, captured, gaps, score_sum, score_n"
_SLOT = "camera, profile, due_us, frame_id, reason, schedules, shoots, error_code, config_version, settled_us"
_SLOT_KEY = ("due_us", "camera", "profile")


def _shoot(row: Sequence[Any]) -> Shoot:
    return Shoot(**{**dict(zip(_SHOOT_NAMES, row, strict=True)), "degraded": bool(row[-1])})


def _slot(row: Sequence[Any]) -> SlotRow:
    camera, profile, due_us, frame_id, reason, schedules, shoots, *rest = row
    texts = tuple(json.loads(schedules)), tuple(json.loads(shoots))
    return SlotRow(SlotKey(camera, profile, due_us), frame_id, reason, *texts, *rest)


@dataclass(frozen=True, slots=True)
class SlotFilter:
    """Which settled slots; None = any.  Since (included) and until (not included) are UTC microseconds of `due`.

    `gaps` leaves only gaps; `reason` implies it.
    """

    camera: str | None = None
    profile: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    gaps: bool = False
    reason: str | None = None


class LedgerReader:
    """What was due and what came of it.  Every method raises DatabaseBusy and DatabaseDamaged."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def slots(
        self, chosen: SlotFilter, *, limit: int = PAGE, after: SlotKey | None = None, descending: bool = True
    ) -> list[SlotRow]:
        """At most `limit` settled slots in the order of (due, camera, profile), those beyond the slot `after`."""
        if chosen.camera or chosen.gaps or chosen.reason:
            return self._database.read(lambda session: _slots(session, chosen, limit, after, descending=descending))
        return self._database.read(lambda session: _slots_of_all(session, chosen, limit, after, descending=descending))

    def slot(self, slot: SlotKey) -> SlotRow:
        """Raises NotFound where it is not settled."""
        sql = select(_SLOT, "slots WHERE camera = ? AND due_us = ? AND profile = ?")
        row = self._database.read(lambda session: session.one(sql, (slot.camera, slot.due_us, slot.profile)))
        if row is None:
            raise NotFound(f"slot {slot.camera}/{slot.profile}/{slot.due_us} is not settled")
        return _slot(row)

    def settled(self, camera: str, after_us: int, until_us: int) -> set[SlotKey]:
        """The camera's slots with after < due <= until that are settled."""
        sql = "SELECT camera, profile, due_us FROM slots WHERE camera = ? AND due_us > ? AND due_us <= ?"
        rows = self._database.read(lambda session: session.rows(sql, (camera, after_us, until_us)))
        return {SlotKey(*row) for row in rows}

    def settled_to(self) -> dict[str, int]:
        """Up to when each camera's ledger is complete, in UTC microseconds."""
        return dict(self._database.read(lambda session: session.rows("SELECT camera, settled_to_us FROM ledger")))

    def shoot(self, shoot: str) -> Shoot:
        """Raises NotFound."""
        found = self._database.read(lambda session: find_shoot(session, shoot))
        if found is None:
            raise NotFound(f"no shoot {shoot[:200]!r}")
        return found

    def shoots(
        self, *, camera: str | None = None, state: str | None = None, limit: int = PAGE, after: Shoot | None = None
    ) -> list[Shoot]:
        """At most `limit` shoots, newest start first, those beyond `after`."""
        key = ("start_us", "shoot")
        beyond_key = None if after is None else (after.start_us, after.shoot)
        sql = where(
            [("camera = ?", camera), ("state = ?", state), (beyond(key, descending=True), beyond_key)],
        )
        text = select(_SHOOT, f"shoots {sql.text} {order(key, descending=True)} LIMIT ?")
        rows = self._database.read(lambda session: session.rows(text, (*sql.values, limit)))
        return [_shoot(row) for row in rows]

    def open_shoots(self, ended_by_us: int | None = None) -> list[Shoot]:
        """Open ones in the order of their ends, or those of them that have ended by then."""
        sql = where([("state = 'open'", ()), ("end_us <= ?", ended_by_us)])
        text = select(_SHOOT, f"shoots {sql.text} ORDER BY end_us, shoot")
        return [_shoot(row) for row in self._database.read(lambda session: session.rows(text, sql.values))]

    def late_shoots(self, now_us: int, limit_s: float) -> list[Shoot]:
        """Those that should have their video by now: asked for, ended that long ago, neither there nor given up."""
        sql = select(_SHOOT, "shoots WHERE asked = 1 AND state IN ('captured', 'rendering') AND end_us <= ? ")
        before_us = now_us - round(limit_s * US)
        rows = self._database.read(lambda session: session.rows(f"{sql} ORDER BY end_us, shoot", (before_us,)))
        return [_shoot(row) for row in rows]

    def days(self, *, camera: str | None = None, since: str | None = None, until: str | None = None) -> list[DayCount]:
        """Counts by camera and site day, since and until (`yyyy-mm-dd`) both included; oldest first."""
        sql = where([("camera = ?", camera), ("day >= ?", since), ("day <= ?", until)])
        text = select(_DAY, f"day_counts {sql.text} ORDER BY day, camera")
        return [DayCount(*row) for row in self._database.read(lambda session: session.rows(text, sql.values))]

    def totals(self) -> list[DayCount]:
        """Counts by camera over all days; `day` is empty."""
        sql = (
            "SELECT camera, '', SUM(due), SUM(captured), SUM(gaps), SUM(score_sum), SUM(score_n) FROM day_counts"
            " GROUP BY camera"
        )
        return [DayCount(*row) for row in self._database.read(lambda session: session.rows(sql))]

    def hour_scores(self, camera: str, since_us: int) -> dict[int, float]:
        """Start of each UTC hour (microseconds) from `since_us` on to the mean score of its judged frames."""
        sql = "SELECT hour, score_sum, score_n FROM hour_scores WHERE camera = ? AND hour >= ? ORDER BY hour"
        rows = self._database.read(lambda session: session.rows(sql, (camera, since_us // HOUR_US)))
        return {hour * HOUR_US: total / number for hour, total, number in rows}


def _slots(
    session: Session, chosen: SlotFilter, limit: int, after: SlotKey | None, *, descending: bool
) -> list[SlotRow]:
    key = None if after is None else (after.due_us, after.camera, after.profile)
    gaps = chosen.gaps or chosen.reason is not None
    # left alone, a camera's few gaps would be looked for among all its slots
    source = "slots INDEXED BY slots_gaps" if gaps else "slots"
    sql = where(
        [
            ("camera = ?", chosen.camera),
            ("profile = ?", chosen.profile),
            ("due_us >= ?", chosen.since_us),
            ("due_us < ?", chosen.until_us),
            ("reason IS NOT NULL", () if gaps else None),
            ("reason = ?", chosen.reason),
            (beyond(_SLOT_KEY, descending=descending), key),
        ]
    )
    text = select(_SLOT, f"{source} {sql.text} {order(_SLOT_KEY, descending=descending)} LIMIT ?")
    return [_slot(row) for row in session.rows(text, (*sql.values, limit))]


def _slots_of_all(
    session: Session, chosen: SlotFilter, limit: int, after: SlotKey | None, *, descending: bool
) -> list[SlotRow]:
    """Each camera's page by its own key, merged: the table needs no second index for it."""
    pages: Iterable[list[SlotRow]] = [
        _slots(session, _of(chosen, camera), limit, after, descending=descending) for camera in _cameras(session)
    ]
    by_key = attrgetter("slot.due_us", "slot.camera", "slot.profile")
    return list(islice(merge(*pages, key=by_key, reverse=descending), limit))


def _of(chosen: SlotFilter, camera: str) -> SlotFilter:
    return SlotFilter(camera, chosen.profile, chosen.since_us, chosen.until_us)


def _cameras(session: Session) -> list[str]:
    return [camera for (camera,) in session.rows("SELECT DISTINCT camera FROM day_counts")]
