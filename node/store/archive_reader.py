"""What is known about the archive, read: where items are held, what waits, what is gone, how targets stand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from node.domain.errors import NotFound
from node.domain.trigger import Cursor
from node.store import cursors
from node.store.archive import CHUNK, HELD_NOWHERE, ReceiptRow, TargetRow, What, receipts_of, standing
from node.store.database import Database
from node.store.jobs import Job, live
from node.store.query import Where, select, where
from node.store.session import Session

FAR_US = 8 * 86_400_000_000
"""No item is left alone for so long; one that seems to be was put off by a clock that was wrong."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An item of an outbox; `path` is relative to the data directory, size and hash are those of its own row."""

    item: str
    what: What
    path: str
    size_bytes: int
    sha256: str
    failures: int
    error_code: str


@dataclass(frozen=True, slots=True)
class Look:
    """What the ship process decides by.

    The target's row and whether it is stored, whether new rows wait to be taken up, whether anything is to be sent
    now, and the transfer that waits or runs.
    """

    row: TargetRow
    known: bool
    behind: bool
    due: bool
    job: Job | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a target does not hold: items, their bytes, when the oldest came to be; `failing` of them failed before.

    What the ship process has not taken up yet is among them, its bytes by the mean size of the newest frames.
    """

    target: str
    count: int
    size_bytes: int
    oldest_us: int | None
    failing: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What became of a frame.  `receipts` are those of today; `deleted_by` those for which its file could go."""

    frame: str
    captured_us: int
    path: str
    size_bytes: int
    sha256: str
    deleted_us: int | None
    deleted_rule: str
    receipts: tuple[ReceiptRow, ...]
    deleted_by: tuple[ReceiptRow, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A receipt and its item: the path here, and whether the file here was deleted by a rule."""

    receipt: ReceiptRow
    path: str
    gone: bool


@dataclass(frozen=True, slots=True)
class Gone:
    """A reclaimed frame; `name` is the one at the target asked for, by its receipt of today or of when the file went.

    None where it gave none.
    """

    frame: str
    path: str
    size_bytes: int
    sha256: str
    name: str | None


@dataclass(frozen=True, slots=True)
class Span:
    """Which items: of a camera, captured (videos: beginning) from_us (included) to to_us (not included); None = any."""

    camera: str | None = None
    from_us: int | None = None
    to_us: int | None = None

    def conditions(self, camera: str, at: str) -> list[tuple[str, object]]:
        """By the names of their columns."""
        return [(f"{camera} = ?", self.camera), (f"{at} >= ?", self.from_us), (f"{at} < ?", self.to_us)]


_ITEM = "LEFT JOIN frames f ON f.id = {0} LEFT JOIN videos v ON v.id = {0}"
_WAITING = "item, what, COALESCE(f.path, v.path), COALESCE(f.size_bytes, v.size_bytes), COALESCE(f.sha256, v.sha256)"
# the planner knows of the key only, and there may be a million rows under it
_FAILED = "INDEXED BY outbox_failed WHERE target = ? AND failures > 0"
_DUE = "target = ? AND (again_us <= ? OR again_us > ?)"
_HELD = "receipts r " + _ITEM.format("item") + " LEFT JOIN frames_gone g ON g.frame_id = item"
_HELD_ROW = (
    ", ".join(f"r.{name}" for name in ReceiptRow.__slots__)
    + ", COALESCE(f.path, v.path), g.frame_id IS NOT NULL OR v.deleted_us IS NOT NULL"
)
_GONE = "frames_gone g JOIN frames f ON f.id = g.frame_id LEFT JOIN receipts r ON r.item = f.id AND r.target = ?1"
_NAME = (
    "COALESCE(r.name, (SELECT json_extract(value, '$.name') FROM json_each(g.receipts)"
    " WHERE json_extract(value, '$.target') = ?1))"
)
_GONE_ROW = f"f.id, f.path, f.size_bytes, f.sha256, {_NAME}"
_LOST = "frames_gone g CROSS JOIN frames f ON f.id = g.frame_id CROSS JOIN json_each(g.receipts) e"
_LOST_ROW = "g.frame_id, e.value, f.path"
_NEXT = (
    "SELECT captured_us FROM frames WHERE seq > ? AND quarantined = 0"
    " AND NOT EXISTS (SELECT 1 FROM frames_gone WHERE frame_id = id) ORDER BY seq LIMIT 1"
)
_AUDIT = (
    "SELECT id, captured_us, path, size_bytes, sha256, deleted_us, COALESCE(rule, ''), COALESCE(receipts, '[]')"
    " FROM frames LEFT JOIN frames_gone ON frame_id = id WHERE id = ?"
)


class ArchiveReader:
    """Every method raises DatabaseBusy and DatabaseDamaged."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- for whoever asks ---------------------------------------------------------------------------------------

    def target(self, name: str) -> TargetRow:
        """How it stands; a row of zeros where the ship process has not seen it yet."""
        return self._database.read(lambda session: standing(session, name)) or TargetRow(name)

    def backlog(self, name: str) -> Backlog:
        """Costs the same for a million unsent items as for one."""
        return self._database.read(lambda session: _backlog(session, name))

    def receipts(self, item: str) -> tuple[ReceiptRow, ...]:
        """Of a frame or a video, in the order of their targets."""
        return self._database.read(lambda session: receipts_of(session, [item]))[item]

    def audit(self, frame: str) -> Audit:
        """Raises NotFound."""
        return self._database.read(lambda session: _audit(session, frame))

    def failing(self, name: str, most: int = CHUNK) -> list[Waiting]:
        """Unsent items that were tried in vain, the oldest first."""
        return self._waiting(_FAILED, (name,), most, newest=False)

    # --- for the ship process -----------------------------------------------------------------------------------

    def look(self, name: str, now_us: int, *, videos: bool) -> Look:
        """`videos`: they are sent, too."""
        return self._database.read(lambda session: _look(session, name, now_us, videos=videos))

    def batch(self, name: str, now_us: int, most: int, *, newest: bool) -> list[Waiting]:
        """At most so many items that are to be sent now, in the order of their ids."""
        return self._waiting(f"WHERE {_DUE}", (name, now_us, now_us + FAR_US), most, newest=newest)

    def count_held(self, name: str, span: Span, verified: tuple[int, int]) -> int:
        """How many receipts `held` would give."""
        return self._number(_HELD, _held_where(name, span, verified, ""))

    def held(self, name: str, span: Span, verified: tuple[int, int]) -> Iterator[list[Held]]:
        """Receipts of a target in the order of their items, a page at a time: those last verified outside of that time.

        `verified` is (from, to) in UTC microseconds; what lies in it is proved already, what lies beyond is no proof.
        """
        after = ""
        while rows := self._page(_HELD_ROW, _HELD, _held_where(name, span, verified, after), "item"):
            yield [Held(ReceiptRow(*row[:-2]), row[-2] or "", bool(row[-1])) for row in rows]
            after = rows[-1][0]

    def count_lost(self, name: str, span: Span) -> int:
        """How many frames `lost` would give."""
        return self._number(_LOST, _lost_where(name, span, ""))

    def lost(self, name: str, span: Span) -> Iterator[list[Held]]:
        """Reclaimed frames whose receipt of the target was withdrawn since, with that receipt, a page at a time."""
        after = ""
        while rows := self._page(_LOST_ROW, _LOST, _lost_where(name, span, after), "g.frame_id"):
            yield [Held(ReceiptRow(**json.loads(receipt)), path, gone=True) for _, receipt, path in rows]
            after = rows[-1][0]

    def held_nowhere(self) -> int:
        """How many frames were deleted because targets held them, and are held by none today."""
        known = self._database.read(lambda session: cursors.get(session, HELD_NOWHERE))
        return (known or Cursor()).count

    def count_gone(self, name: str, span: Span) -> int:
        """How many reclaimed frames `gone` would give."""
        return self._number(_GONE, _gone_where(name, span, ""))

    def bytes_gone(self, name: str, span: Span) -> int:
        """The size of all of them that the target holds, or held when they went."""
        chosen = _gone_where(name, span, "")
        text = select("COALESCE(SUM(f.size_bytes), 0)", f"{_GONE} {chosen.text} AND {_NAME} IS NOT NULL")
        return int(_first(self._database.read(lambda session: session.one(text, chosen.values))))

    def gone(self, name: str, span: Span) -> Iterator[list[Gone]]:
        """Reclaimed frames in the order of their ids, a page at a time, with their names at the target."""
        after = ""
        while rows := self._page(_GONE_ROW, _GONE, _gone_where(name, span, after), "f.id"):
            yield [Gone(*row) for row in rows]
            after = rows[-1][0]

    def _waiting(self, condition: str, values: tuple[object, ...], most: int, *, newest: bool) -> list[Waiting]:
        chosen = select("*", f"outbox {condition} ORDER BY item {'DESC' if newest else 'ASC'} LIMIT ?")
        tail = f"ORDER BY item {'DESC' if newest else 'ASC'}"
        text = select(f"{_WAITING}, failures, error_code", f"({chosen}) {_ITEM.format('item')} {tail}")
        return [Waiting(*row) for row in self._database.read(lambda session: session.rows(text, (*values, most)))]

    def _page(self, columns: str, source: str, chosen: Where, key: str) -> list[tuple[Any, ...]]:
        text = select(columns, f"{source} {chosen.text} ORDER BY {key} LIMIT ?")
        return self._database.read(lambda session: session.rows(text, (*chosen.values, CHUNK)))

    def _number(self, source: str, chosen: Where) -> int:
        text = select("COUNT(*)", f"{source} {chosen.text}")
        number: int = _first(self._database.read(lambda session: session.one(text, chosen.values)))
        return number


def _backlog(session: Session, name: str) -> Backlog:
    row = standing(session, name) or TargetRow(name)
    behind = max(0, _first(session.one("SELECT MAX(seq) FROM frames")) - row.frames_seq)
    mean = "SELECT AVG(size_bytes) FROM (SELECT size_bytes FROM frames ORDER BY seq DESC LIMIT 200)"
    size_bytes = row.unsent_bytes + (round(behind * _first(session.one(mean))) if behind else 0)
    oldest = session.one("SELECT at_us FROM outbox WHERE target = ? ORDER BY item LIMIT 1", (name,))
    if oldest is None and behind:
        oldest = session.one(_NEXT, (row.frames_seq,))
    failing = _first(session.one(select("COUNT(*)", f"outbox {_FAILED}"), (name,)))
    return Backlog(name, row.unsent + behind, size_bytes, oldest[0] if oldest else None, failing)


def _look(session: Session, name: str, now_us: int, *, videos: bool) -> Look:
    known = standing(session, name)
    row = known or TargetRow(name)
    behind = row.frames_seq < _first(session.one("SELECT MAX(seq) FROM frames"))
    if videos:
        behind = behind or row.videos_seq < _first(session.one("SELECT MAX(seq) FROM videos"))
    due = session.one(select("1", f"outbox WHERE {_DUE} LIMIT 1"), (name, now_us, now_us + FAR_US)) is not None
    return Look(row, known is not None, behind, due, live(session, "transfer", name))


def _audit(session: Session, frame: str) -> Audit:
    row = session.one(_AUDIT, (frame,))
    if row is None:
        raise NotFound(f"no frame {frame[:40]!r}")
    then = tuple(ReceiptRow(**each) for each in json.loads(row[-1]))
    receipts = receipts_of(session, [frame])[frame]
    return Audit(*(*row[:-1], receipts, then))


def _held_where(name: str, span: Span, verified: tuple[int, int], after: str) -> Where:
    camera, at = "COALESCE(f.camera, v.camera)", "COALESCE(f.captured_us, v.from_us)"
    own = [("r.target = ?", name), ("item > ?", after), ("(verified_us < ? OR verified_us > ?)", verified)]
    return where([*own, *span.conditions(camera, at)])


def _lost_where(name: str, span: Span, after: str) -> Where:
    own = [
        ("g.frame_id > ?", after),
        ("NOT EXISTS (SELECT 1 FROM receipts r WHERE r.item = g.frame_id AND r.target = ?)", name),
        ("json_extract(e.value, '$.target') = ?", name),
    ]
    return where([*own, *span.conditions("f.camera", "f.captured_us")])


def _gone_where(name: str, span: Span, after: str) -> Where:
    chosen = where([("f.id > ?", after), *span.conditions("f.camera", "f.captured_us")])
    return Where(chosen.text, (name, *chosen.values))


def _first(row: tuple[Any, ...] | None) -> Any:  # noqa: ANN401 - whatever number that is
    return row[0] if row and row[0] is not None else 0
