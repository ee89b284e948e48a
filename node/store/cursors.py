"""How far each follower of the frames has looked, and what has come since: so a late look misses nothing."""

from __future__ import annotations

from collections.abc import Collection

from node.domain.times import US
from node.domain.trigger import Cursor
from node.store.query import first_id, last_id
from node.store.session import Session

SLACK_US = 3600 * US  # an id is made before its shot; no shot takes an hour
_PUT = (
    "INSERT INTO cursors (name, seq, at_us, count) VALUES (?, ?, ?, ?) ON CONFLICT (name)"
    " DO UPDATE SET seq = excluded.seq, at_us = excluded.at_us, count = excluded.count"
)


def get(session: Session, name: str) -> Cursor | None:
    """None = it has not looked yet."""
    row = session.one("SELECT seq, at_us, count FROM cursors WHERE name = ?", (name,))
    return None if row is None else Cursor(*row)


def begin(session: Session, since_us: int) -> Cursor:
    """For a follower of the frames since that instant, who looks only now."""
    row = session.one("SELECT seq FROM frames WHERE id < ? ORDER BY id DESC LIMIT 1", (first_id(since_us),))
    return Cursor(row[0] if row else 0, since_us)


def of(session: Session, prefix: str) -> dict[str, Cursor]:
    """All whose names begin so."""
    sql = "SELECT name, seq, at_us, count FROM cursors WHERE name >= ? AND name < ?"
    return {name: Cursor(*values) for name, *values in session.rows(sql, (prefix, prefix + "\U0010ffff"))}


def put(session: Session, name: str, cursor: Cursor) -> None:
    """It has looked so far."""
    session.execute(_PUT, (name, cursor.seq, cursor.at_us, cursor.count))


def drop(session: Session, names: Collection[str]) -> None:
    """They look no more; should they again, then from the beginning."""
    session.many("DELETE FROM cursors WHERE name = ?", [(name,) for name in names])


# --- what has come since --------------------------------------------------------------------------------------------


def newest_seq(session: Session) -> int:
    """The row of a frame written last; 0 = none."""
    row = session.one("SELECT MAX(seq) FROM frames")
    return row[0] or 0 if row else 0


def count_between(session: Session, camera: str, profile: str, after_seq: int, up_to_seq: int) -> int:
    """Kept frames among those rows.  Their order is that of the rows: an index would have all of the camera's read."""
    sql = (
        "SELECT COUNT(*) FROM frames NOT INDEXED WHERE seq > ? AND seq <= ? AND camera = ? AND profile = ?"
        " AND quarantined = 0"
    )
    row = session.one(sql, (after_seq, up_to_seq, camera, profile))
    return row[0] if row else 0


def newest_us(session: Session, camera: str, profile: str) -> int | None:
    """When the newest kept frame was captured; None = there is none."""
    sql = "SELECT captured_us FROM frames WHERE camera = ? AND profile = ? AND quarantined = 0 ORDER BY id DESC LIMIT 1"
    row = session.one(sql, (camera, profile))
    return row[0] if row else None


def count_clean(session: Session, camera: str, profile: str, span: tuple[int, int], most: int) -> int:
    """Frames that a video of that span (from included, to not) could show, counted up to `most`."""
    sql = (
        "SELECT COUNT(*) FROM (SELECT 1 FROM frames WHERE camera = ? AND quarantined = 0 AND flagged = 0"
        " AND id BETWEEN ? AND ? AND profile = ? AND captured_us >= ? AND captured_us < ? LIMIT ?)"
    )
    ids = first_id(max(0, span[0] - SLACK_US)), last_id(span[1] + SLACK_US)
    row = session.one(sql, (camera, *ids, profile, *span, most))
    return row[0] if row else 0
