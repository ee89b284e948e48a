"""How much lies on the disk, by class: counted in small looks, so that a million rows hold nobody up."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from node.store.database import Database
from node.store.query import select
from node.store.retention import HERE, Search, counted
from node.store.session import Session

ROWS = 5000
"""Rows of frames in one look."""


@dataclass(frozen=True, slots=True)
class Count:
    """Files that are here, by class, and their bytes; `verified` are those frames that enough targets hold."""

    frames: int = 0
    frames_bytes: int = 0
    verified: int = 0
    verified_bytes: int = 0
    quarantined: int = 0
    quarantined_bytes: int = 0
    videos: int = 0
    videos_bytes: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


_KEPT, _ASIDE = "here AND NOT quarantined", "here AND quarantined"
_SUMS = ", ".join(
    f"coalesce(sum({condition}), 0), coalesce(sum(({condition}) * size_bytes), 0)"
    for condition in (_KEPT, f"{_KEPT} AND held >= ?1", _ASIDE)
)


class Counting:
    """For one thread.  A count is complete when a look finds fewer rows than it may take; then it begins anew.

    Not only when it finds none: new frames may come more often than looks.
    """

    def __init__(self, database: Database, targets: tuple[str, ...]) -> None:
        self._database, self._search = database, Search(targets)
        self._seq, self._sum = 0, Count()

    def look(self, receipts_needed: int) -> Count | None:
        """The next rows; all of it where these were the last, None where there are more.

        Raises DatabaseBusy, DatabaseDamaged.
        """
        seq, rows, found = self._database.read(lambda session: self._page(session, receipts_needed))
        if rows == ROWS:
            self._seq, self._sum = seq, self._sum + found
            return None
        whole = self._sum + found + self._database.read(_videos)
        self._seq, self._sum = 0, Count()
        return whole

    def _page(self, session: Session, receipts_needed: int) -> tuple[int, int, Count]:
        held = counted(self._search, "frame")
        columns = f"f.seq, f.size_bytes, f.quarantined, {held} AS held, {HERE} AS here"
        inner = select(columns, "frames AS f WHERE f.seq > ? ORDER BY f.seq LIMIT ?")
        text = select(f"coalesce(MAX(seq), 0), COUNT(*), {_SUMS}", f"({inner})")
        row = session.one(text, (receipts_needed, *self._search.targets, self._seq, ROWS))
        assert row is not None
        return row[0], row[1], Count(*row[2:])


def _videos(session: Session) -> Count:
    row = session.one("SELECT COUNT(*), coalesce(SUM(size_bytes), 0) FROM videos WHERE deleted_us IS NULL")
    assert row is not None
    return Count(videos=row[0], videos_bytes=row[1])
