"""Rows of videos: in when verified, out by page and key; and the frames that a video is made of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from node.domain.errors import NotFound
from node.domain.events import Event, ShootMoved
from node.domain.job import JobState, RenderPayload
from node.store import archive
from node.store.cursors import SLACK_US
from node.store.database import Database
from node.store.jobs import Job
from node.store.ledger import move_shoot
from node.store.query import PAGE, beyond, first_id, last_id, order, select, where
from node.store.session import Session

VIDEOS = "videos"
"""Their folder in the data directory."""
NAMED_LEFT_OUT = 1000
_BATCH = 2000

_WITHOUT_VIDEO = {JobState.DEAD: "failed", JobState.CANCELLED: "captured"}
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Frames that a video does not show: how many, and the first thousand of them as (frame id, why)."""

    count: int = 0
    frames: tuple[tuple[str, str], ...] = ()

    def to_text(self) -> str:
        return _encode({"count": self.count, "frames": self.frames[:NAMED_LEFT_OUT]})

    @classmethod
    def from_text(cls, text: str) -> LeftOut:
        given = json.loads(text)
        return cls(given["count"], tuple((frame, why) for frame, why in given["frames"]))


@dataclass(frozen=True, slots=True)
class Video:
    """A verified video: everything that its row holds.

    `path` and `poster` are relative to the data directory, POSIX style; `shoot` is None for a span of time.  A row
    outlives its file: `deleted_us` says since when it is gone.
    """

    id: str
    camera: str
    profile: str
    shoot: str | None
    job_id: str
    title: str
    from_us: int
    to_us: int
    path: str
    poster: str
    size_bytes: int
    sha256: str
    width: int
    height: int
    fps: float
    frames: int
    duration_s: float
    codec: str
    encoder: str
    tier: str
    left_out: LeftOut
    created_us: int
    pinned: bool = False
    deleted_us: int | None = None
    deleted_rule: str = ""


@dataclass(frozen=True, slots=True)
class Material:
    """A frame as a video needs it; `path` is relative to the data directory."""

    frame_id: str
    path: str
    size_bytes: int
    width: int
    height: int
    captured_us: int
    integrity: str
    flagged: bool
    quarantined: bool


_NAMES = tuple(field.name for field in fields(Video))
_COLUMNS = ", ".join(_NAMES)
_LEFT_OUT, _PINNED = _NAMES.index("left_out"), _NAMES.index("pinned")
_INSERT = f"INSERT INTO videos ({_COLUMNS}) VALUES ({', '.join('?' for _ in _NAMES)})"  # noqa: S608 - the names of our own fields
_MATERIAL = "frames.id, path, size_bytes, width, height, captured_us, integrity, flagged, quarantined"


# --- written inside others' transactions ----------------------------------------------------------------------------


def insert(session: Session, video: Video) -> None:
    """A new video; a shoot has one at a time, so retire the one before first."""
    values = [getattr(video, name) for name in _NAMES]
    values[_LEFT_OUT] = video.left_out.to_text()
    session.execute(_INSERT, values)


def of_shoot(session: Session, shoot: str) -> Video | None:
    """The one video that a shoot has."""
    return _one(session, "shoot = ? AND deleted_us IS NULL", shoot)


def find(session: Session, identity: str) -> Video | None:
    """Also one whose file is gone."""
    return _one(session, "id = ?", identity)


def retire(session: Session, identity: str, rule: str, at_us: int) -> bool:
    """Its file goes, by this rule, and nobody sends it any more; False where it was gone before."""
    return archive.remove_video(session, identity, rule, at_us) is not None


def change(session: Session, identity: str, *, title: str | None = None, pinned: bool | None = None) -> Video | None:
    """The video after it got another title, or was pinned or released; None = there is none, or its file is gone."""
    sql = (
        "UPDATE videos SET title = coalesce(?, title), pinned = coalesce(?, pinned) WHERE id = ? AND deleted_us IS NULL"
    )
    return find(session, identity) if session.execute(sql, (title, pinned, identity)).rowcount else None


def given_up(session: Session, job: Job) -> list[Event]:
    """What becomes of the shoot whose render ended without a video: failed when it died, waiting when cancelled."""
    shoot, state = job.payload.get("shoot"), _WITHOUT_VIDEO.get(job.state)
    if job.kind != "render" or shoot is None or state is None or not move_shoot(session, shoot, state):
        return []
    return [ShootMoved(shoot, job.payload["camera"], state)]


def _one(session: Session, condition: str, value: str) -> Video | None:
    row = session.one(select(_COLUMNS, f"videos WHERE {condition}"), (value,))
    return None if row is None else _video(row)


def _video(row: Sequence[Any]) -> Video:
    values = list(row)
    values[_LEFT_OUT], values[_PINNED] = LeftOut.from_text(values[_LEFT_OUT]), bool(values[_PINNED])
    return Video(*values)


# --- read -----------------------------------------------------------------------------------------------------------


class VideoReader:
    """What is known about videos.  Every method raises DatabaseBusy and DatabaseDamaged."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, identity: str) -> Video:
        """Also one whose file is gone.  Raises NotFound."""
        found = self._database.read(lambda session: find(session, identity))
        if found is None:
            raise NotFound(f"no video {identity[:40]!r}")
        return found

    def page(
        self,
        *,
        camera: str | None = None,
        shoot: str | None = None,
        removed: bool = False,
        limit: int = PAGE,
        after: str | None = None,
    ) -> list[Video]:
        """At most `limit` videos, newest first, those older than the id `after`; with those removed where wanted."""
        sql = where(
            [
                ("camera = ?", camera),
                ("shoot = ?", shoot),
                ("deleted_us IS NULL", None if removed else ()),
                (beyond(["id"], descending=True), after),
            ]
        )
        text = select(_COLUMNS, f"videos {sql.text} {order(['id'], descending=True)} LIMIT ?")
        return [_video(row) for row in self._database.read(lambda session: session.rows(text, (*sql.values, limit)))]

    def of_shoots(self, shoots: Sequence[str]) -> dict[str, str]:
        """The ids of the videos that these shoots have, by shoot."""
        text = select("shoot, id", f"videos WHERE deleted_us IS NULL AND shoot IN ({', '.join('?' for _ in shoots)})")
        return dict(self._database.read(lambda session: session.rows(text, shoots)))

    def files(self) -> set[str]:
        """Paths of all videos and posters that have to be there, relative to the data directory."""
        sql = "SELECT path, poster FROM videos WHERE deleted_us IS NULL"
        rows = self._database.read(lambda session: session.rows(sql))
        return {path for row in rows for path in row}

    def given_up(self) -> list[tuple[str, int, int]]:
        """Of each render job that died or was cancelled the id, when it was asked for, and when it ended."""
        sql = select("id, created_us, finished_us", "jobs WHERE kind = 'render' AND state IN ('dead', 'cancelled')")
        rows = self._rows(f"{sql} AND finished_us IS NOT NULL", ())
        return [(identity, began_us, ended_us) for identity, began_us, ended_us in rows]

    def count_material(self, wanted: RenderPayload) -> int:
        """How many frames the shoot, or the span, has."""
        source = _source_of(wanted)
        text = select("COUNT(*)", f"{source.tables} WHERE {source.conditions}")
        row = self._database.read(lambda session: session.one(text, source.values))
        return row[0] if row else 0

    def material(self, wanted: RenderPayload) -> Iterator[Material]:
        """Those frames in the order of their ids, read in batches."""
        source, after = _source_of(wanted), ""
        tail = f"AND {source.key} > ? ORDER BY {source.key} LIMIT {_BATCH}"
        text = select(_MATERIAL, f"{source.tables} WHERE {source.conditions} {tail}")
        while rows := self._rows(text, (*source.values, after)):
            yield from map(_material, rows)
            after = rows[-1][0]

    def _rows(self, text: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        return self._database.read(lambda session: session.rows(text, values))


@dataclass(frozen=True, slots=True)
class _Source:
    """Where frames are looked for; `key` is their id, in the table whose order the search follows."""

    tables: str
    key: str
    conditions: str
    values: tuple[object, ...]


def _material(row: Sequence[Any]) -> Material:
    values = (*row[:-2], bool(row[-2]), bool(row[-1]))
    return Material(*values)


def _source_of(wanted: RenderPayload) -> _Source:
    if wanted.shoot is not None:
        tables = "frame_shoots CROSS JOIN frames ON frames.id = frame_id"
        return _Source(tables, "frame_id", "shoot = ?", (wanted.shoot,))
    from_us, to_us = wanted.from_us or 0, wanted.to_us or 0
    span = first_id(max(0, from_us - SLACK_US)), last_id(to_us + SLACK_US)
    conditions = "camera = ? AND frames.id BETWEEN ? AND ? AND profile = ? AND captured_us >= ? AND captured_us < ?"
    return _Source("frames", "frames.id", conditions, (wanted.camera, *span, wanted.profile, from_us, to_us))
