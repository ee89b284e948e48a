"""Rows of kept frames: in by id, out by page, by key, by camera."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from node.domain.errors import NotFound
from node.domain.frame import Exposure, Frame, StageTimes
from node.domain.times import US
from node.store.database import Database
from node.store.peek import peeked
from node.store.query import PAGE, beyond, first_id, last_id, order, select, where
from node.store.session import Session

_SLACK_US = 3600 * US  # an id is made before its shot; no shot takes an hour
_BATCH = 500
SAMPLE = 200
"""Frames by whose size the next ones are foreseen."""

Sky = tuple[float, float]
"""Elevations of the sun in degrees, from and below."""
_MEAN_SCORE = (
    "SELECT AVG(score), COUNT(*) FROM (SELECT score FROM frames WHERE camera = ? AND id BETWEEN ? AND ? AND profile = ?"
    " AND captured_us < ? AND quarantined = 0 AND score IS NOT NULL AND {} ORDER BY id DESC LIMIT ?)"
)
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_NAMES = tuple(field.name for field in fields(Frame))
_COLUMNS = ", ".join(_NAMES)
_INSERT = f"INSERT INTO frames ({_COLUMNS}) VALUES ({', '.join('?' for _ in _NAMES)}) ON CONFLICT (id) DO NOTHING"  # noqa: S608 - the names of our own fields


@lru_cache(maxsize=256)
def _exposure(text: str) -> Exposure:
    return Exposure(**json.loads(text))


@lru_cache(maxsize=256)
def _texts(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def _stages(text: str) -> StageTimes:
    return StageTimes(**json.loads(text))


def _plain_text(value: Exposure | StageTimes) -> str:
    return _encode({name: getattr(value, name) for name in value.__slots__})  # asdict copies, at five times the cost


_TO_TEXT: Mapping[str, Callable[[Any], str]] = {
    **dict.fromkeys(("schedules", "shoots", "reasons"), lru_cache(maxsize=256)(_encode)),
    **dict.fromkeys(("requested", "actual", "stages"), _plain_text),
}
_FROM_COLUMN: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("schedules", "shoots", "reasons"), _texts),
    **dict.fromkeys(("requested", "actual"), _exposure),
    **dict.fromkeys(("clock_synced", "settled", "flagged", "quarantined", "recaptured"), bool),
    "stages": _stages,
}
_CONVERT = tuple((place, _FROM_COLUMN[name]) for place, name in enumerate(_NAMES) if name in _FROM_COLUMN)


def to_row(frame: Frame) -> tuple[object, ...]:
    """The frame's columns, in the order of its fields."""
    return tuple(_TO_TEXT[name](getattr(frame, name)) if name in _TO_TEXT else getattr(frame, name) for name in _NAMES)


def from_row(row: Sequence[Any]) -> Frame:
    """The frame of a row made by to_row."""
    values = list(row)
    for place, convert in _CONVERT:
        values[place] = convert(values[place])
    return Frame(*values)


def insert(session: Session, frame: Frame) -> bool:
    """False where a frame of that id is there already; nothing is changed then."""
    if not session.execute(_INSERT, to_row(frame)).rowcount:
        return False
    session.many(
        "INSERT INTO frame_shoots (shoot, frame_id) VALUES (?, ?)", [(each, frame.id) for each in frame.shoots]
    )
    return True


def release_slot(session: Session, frame_id: str) -> None:
    """The frame is an extra one: its slot was settled by something else."""
    session.execute("UPDATE frames SET due_us = NULL WHERE id = ?", (frame_id,))


@dataclass(frozen=True, slots=True)
class FrameFilter:
    """Which frames; None = any.  Since (included) and until (not included) are UTC microseconds of the capture."""

    camera: str | None = None
    profile: str | None = None
    verdict: str | None = None
    flagged: bool | None = None
    quarantined: bool | None = None
    since_us: int | None = None
    until_us: int | None = None
    shoot: str | None = None


class FrameReader:
    """What is known about kept frames.  Every method raises DatabaseBusy and DatabaseDamaged."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def get(self, identity: str) -> Frame:
        """Raises NotFound."""
        rows = self._frames("WHERE id = ?", (identity,))
        if not rows:
            raise NotFound(f"no frame {identity[:40]!r}")
        return rows[0]

    def known(self, identity: str) -> bool:
        """Whether a frame of that id has its row."""
        return bool(self.database.read(lambda session: session.one("SELECT 1 FROM frames WHERE id = ?", (identity,))))

    def page(
        self, chosen: FrameFilter, *, limit: int = PAGE, after: str | None = None, descending: bool = True
    ) -> list[Frame]:
        """At most `limit` frames in the order of their ids, those beyond the id `after`."""
        sql = where(_conditions(chosen, after, descending=descending))
        source = "frame_shoots CROSS JOIN frames ON id = frame_id " if chosen.shoot else ""
        column = "frame_id" if chosen.shoot else "id"
        tail = f"{sql.text} {order([column], descending=descending)} LIMIT ?"
        return self._frames(tail, (*sql.values, limit), source or "frames ")

    def latest(self, camera: str, *, good: bool = False) -> Frame | None:
        """The newest frame of a camera, or its newest good one; quarantined ones do not count.

        Good is what speaks against no camera: not found bad, nor left unjudged by a judge that failed.
        """
        flagged = "AND flagged = 0 " if good else ""
        tail = f"WHERE camera = ? AND quarantined = 0 {flagged}ORDER BY id DESC LIMIT 1"
        return next(iter(self._frames(tail, (camera,))), None)

    def mean_bytes(self, sample: int = SAMPLE) -> float | None:
        """The mean size of the newest frames; None where there is none."""
        return self.database.read(lambda session: _mean_bytes(session, sample))

    def mean_score(
        self, camera: str, profile: str, sky: Sky | None, span_us: tuple[int, int], *, least: int
    ) -> float | None:
        """Of the newest judged frames of that span (end not included) and sky; None where fewer than `least` are."""
        from_us, until_us = span_us
        where_sky = "sun_elevation_deg IS NULL" if sky is None else "sun_elevation_deg >= ? AND sun_elevation_deg < ?"
        values = (camera, first_id(from_us), last_id(until_us), profile, until_us, *(sky or ()), SAMPLE)
        row = self.database.read(lambda session: session.one(_MEAN_SCORE.format(where_sky), values))
        return None if row is None or row[1] < least else float(row[0])

    def paths(self, camera: str, from_us: int, until_us: int) -> dict[str, str]:
        """Path to id of the camera's frames whose ids are of that span, give or take an hour."""
        bounds = (camera, first_id(from_us - _SLACK_US), last_id(until_us + _SLACK_US))
        sql = "SELECT path, id FROM frames WHERE camera = ? AND id BETWEEN ? AND ?"
        return dict(self.database.read(lambda session: session.rows(sql, bounds)))

    def every(self) -> Iterator[Frame]:
        """All frames in the order of their ids, read in batches."""
        after = ""
        while batch := self.page(FrameFilter(), limit=_BATCH, after=after, descending=False):
            yield from batch
            after = batch[-1].id

    def reclaimed(self, identity: str) -> bool:
        """Whether a rule deleted its file from this node."""
        sql = "SELECT 1 FROM frames_gone WHERE frame_id = ?"
        return self.database.read(lambda session: session.one(sql, (identity,))) is not None

    def last_committed(self, sample: int = 100) -> list[Frame]:
        """The frames whose rows were written last, newest first."""
        return self._frames("ORDER BY seq DESC LIMIT ?", (sample,))

    def _frames(self, tail: str, values: tuple[object, ...], source: str = "frames ") -> list[Frame]:
        sql = select(_COLUMNS, source + tail)
        return [from_row(row) for row in self.database.read(lambda session: session.rows(sql, values))]


def peek_mean_bytes(path: Path, sample: int = SAMPLE) -> float | None:
    """The mean size of the newest frames of a database, read beside a service that may be running.

    None where there is no database, or no frame in it.  Raises DatabaseDamaged, DatabaseBusy.
    """
    return peeked(path, lambda session: _mean_bytes(session, sample))


def _mean_bytes(session: Session, sample: int) -> float | None:
    sql = "SELECT AVG(size_bytes) FROM (SELECT size_bytes FROM frames ORDER BY seq DESC LIMIT ?)"
    row = session.one(sql, (sample,))
    return None if row is None or row[0] is None else float(row[0])


def _conditions(chosen: FrameFilter, after: str | None, *, descending: bool) -> list[tuple[str, object]]:
    """`verdict <> 'good'` and `flagged = 1` stand there literally: only so their partial indexes are used."""
    since = None if chosen.since_us is None else (chosen.since_us, first_id(chosen.since_us - _SLACK_US))
    until = None if chosen.until_us is None else (chosen.until_us, last_id(chosen.until_us + _SLACK_US))
    return [
        ("shoot = ?", chosen.shoot),
        ("camera = ?", chosen.camera),
        ("profile = ?", chosen.profile),
        ("verdict = ?", chosen.verdict),
        ("verdict <> 'good'", () if chosen.verdict not in (None, "good") else None),
        (f"flagged = {int(bool(chosen.flagged))}", None if chosen.flagged is None else ()),
        ("quarantined = ?", chosen.quarantined),
        ("captured_us >= ? AND id >= ?", since),
        ("captured_us < ? AND id <= ?", until),
        (beyond(["frame_id" if chosen.shoot else "id"], descending=descending), after),
    ]
