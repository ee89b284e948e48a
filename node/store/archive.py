"""Rows of the archive: receipts, what each target still lacks, how targets stand, and what became of a frame."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, fields
from typing import Literal

from node.domain.times import US
from node.domain.trigger import Cursor
from node.store import cursors
from node.store.query import select
from node.store.session import Session

What = Literal["frame", "video"]
_Shelf = Literal["receipts", "outbox"]
CHUNK = 100
"""Most items that one transaction settles, so that no other process waits long for the write lock."""
FILL = 500
"""Most frames or videos that one transaction looks at for an outbox."""

_SOONER = 0.8  # so that an item is due when a job that failed with it comes again, whose delay jitters

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """That a target held an item at `verified_us`, the last time that it was read there.  `name` is the one there."""

    item: str
    target: str
    what: What
    name: str
    size_bytes: int
    sha256: str
    how: str
    verified_us: int


@dataclass(frozen=True, slots=True)
class TargetRow:
    """How a target stands: cursors into frames and videos, sums of its outbox and of its receipts, its breaker.

    `last_error_code` is empty from the next success on.  Times are UTC microseconds; None = never.
    """

    name: str
    frames_seq: int = 0
    videos_seq: int = 0
    unsent: int = 0
    unsent_bytes: int = 0
    sent: int = 0
    sent_bytes: int = 0
    breaker: str = "closed"
    failures: int = 0
    successes: int = 0
    opened_us: int | None = None
    last_ok_us: int | None = None
    last_failed_us: int | None = None
    last_error_code: str = ""
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class Denied:
    """A receipt that does not say what the item's row says, or whose item has no row: `expected` is empty then."""

    receipt: ReceiptRow
    expected: str


@dataclass(frozen=True, slots=True)
class _Source:
    """A table from which items come, and which of its rows are sent."""

    what: What
    cursor: str
    at: str
    sent: str


_SOURCES = {
    "frames": _Source(
        "frame",
        "frames_seq",
        "captured_us",
        "quarantined = 0 AND NOT EXISTS (SELECT 1 FROM frames_gone WHERE frame_id = id)",
    ),
    "videos": _Source("video", "videos_seq", "created_us", "deleted_us IS NULL"),
}
_RECEIPT = ", ".join(field.name for field in fields(ReceiptRow))
_TARGET = ", ".join(field.name for field in fields(TargetRow))
_RECEIVE = (
    f"INSERT INTO receipts ({_RECEIPT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (item, target) DO UPDATE SET"  # noqa: S608 - the names of our own fields
    " name = excluded.name, size_bytes = excluded.size_bytes, sha256 = excluded.sha256, how = excluded.how,"
    " verified_us = excluded.verified_us"
)
_COUNT = (
    "UPDATE targets SET unsent = unsent + ?2, unsent_bytes = unsent_bytes + ?3, sent = sent + ?4,"
    " sent_bytes = sent_bytes + ?5 WHERE name = ?1"
)
_ENTER = "INSERT INTO outbox (target, item, what, size_bytes, at_us)"
_PUT = f"{_ENTER} VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_UNHELD = "NOT EXISTS (SELECT 1 FROM receipts WHERE item = id AND target = ?1)"
_REFUSE = "UPDATE outbox SET failures = failures + 1, error_code = ?, again_us = ? WHERE target = ? AND item = ?"
_STAND = (
    "UPDATE targets SET breaker = ?, failures = ?, successes = ?, opened_us = ?, last_ok_us = ?, last_failed_us = ?,"
    " last_error_code = ?, last_error = ? WHERE name = ?"
)
_GONE = "INSERT INTO frames_gone (frame_id, deleted_us, rule, receipts) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_LACKING = (
    "SELECT targets.name FROM frames JOIN targets ON frames_seq >= seq WHERE id = ?"
    " AND NOT EXISTS (SELECT 1 FROM receipts WHERE item = id AND target = targets.name)"
)
HELD_NOWHERE = "archive/held-nowhere"
"""The cursor whose count is that of the frames deleted because targets held them, and held by none today."""
_NOWHERE = (
    "frames_gone WHERE rule <> 'without_target' AND receipts <> '[]'"
    " AND NOT EXISTS (SELECT 1 FROM receipts WHERE item = frame_id)"
)
_REMOVE = "UPDATE videos SET deleted_us = ?, deleted_rule = ? WHERE id = ? AND deleted_us IS NULL RETURNING camera"


# --- written inside the transactions of holdings --------------------------------------------------------------------


def know(session: Session, target: str) -> bool:
    """The target has its row; False where it had one before."""
    return bool(session.execute("INSERT INTO targets (name) VALUES (?) ON CONFLICT DO NOTHING", (target,)).rowcount)


def fill(session: Session, target: str, table: Literal["frames", "videos"], most: int = FILL) -> int:
    """Puts the next rows of the table into the target's outbox and moves its cursor; how many were looked at.

    Quarantined frames, deleted files and what the target holds already are passed over.
    """
    source = _SOURCES[table]
    after = (session.one(select(source.cursor, "targets WHERE name = ?"), (target,)) or (0,))[0]
    seqs = session.rows(select("seq", f"{table} WHERE seq > ? ORDER BY seq LIMIT ?"), (after, most))
    if not seqs:
        return 0
    (last,) = seqs[-1]
    added = session.rows(_fill_text(table, source), (target, after, last))
    session.execute(f"UPDATE targets SET {source.cursor} = ? WHERE name = ?", (last, target))  # noqa: S608 - a name of our own
    _count(session, target, unsent=Sum(len(added), sum(size_bytes for (size_bytes,) in added)))
    return len(seqs)


def _fill_text(table: str, source: _Source) -> str:
    columns = f"?1, id, '{source.what}', size_bytes, {source.at}"
    rest = f"{table} WHERE seq > ?2 AND seq <= ?3 AND {source.sent} AND {_UNHELD}"
    return f"{_ENTER} {select(columns, rest)} ON CONFLICT DO NOTHING RETURNING size_bytes"


def keep_receipts(session: Session, target: str, receipts: Sequence[ReceiptRow]) -> list[Denied]:
    """Receipts of one target, at most CHUNK, in place of their outbox rows; those that are denied change nothing.

    A receipt is denied unless size and hash are those of the frame's or the video's row.
    """
    originals = _originals(session, [receipt.item for receipt in receipts])
    kept: dict[str, ReceiptRow] = {}
    denied = []
    for receipt in receipts:
        size_bytes, sha256 = originals.get(receipt.item, (-1, ""))
        if (receipt.size_bytes, receipt.sha256) == (size_bytes, sha256):
            kept[receipt.item] = receipt
        else:
            denied.append(Denied(receipt, sha256))
    before = _sizes(session, "receipts", target, kept)
    with _held_nowhere(session, kept):
        session.many(_RECEIVE, [astuple(each) for each in kept.values()])
    waited = _take(session, "outbox", target, kept)
    came = Sum(len(kept) - len(before), sum(each.size_bytes for each in kept.values()) - sum(before.values()))
    _count(session, target, unsent=-waited, sent=came)
    return denied


def refuse(session: Session, target: str, item: str, error_code: str, delays_s: Sequence[float], at_us: int) -> None:
    """The item stays in the outbox, with the error, and is left alone for the delay of its n-th failure."""
    row = session.one("SELECT failures FROM outbox WHERE target = ? AND item = ?", (target, item))
    if row is not None:
        delay_s = delays_s[min(row[0], len(delays_s) - 1)] if delays_s else 0.0
        session.execute(_REFUSE, (error_code, at_us + round(delay_s * _SOONER * US), target, item))


def hurry(session: Session, target: str) -> None:
    """What was tried in vain is due now."""
    session.execute(
        "UPDATE outbox INDEXED BY outbox_failed SET again_us = 0 WHERE target = ? AND failures > 0", (target,)
    )


def withdraw(session: Session, target: str, items: Collection[str]) -> None:
    """Takes back the receipts of these items, at most CHUNK; what is still here goes back into the target's outbox."""
    held = _sizes(session, "receipts", target, items)
    with _held_nowhere(session, held):
        _count(session, target, sent=-_take(session, "receipts", target, held))
    for item in held:
        _put_back(session, target, item)


def save_standing(session: Session, row: TargetRow) -> None:
    """The target's breaker, last times and last error."""
    standing = (row.breaker, row.failures, row.successes, row.opened_us, row.last_ok_us, row.last_failed_us)
    session.execute(_STAND, (*standing, row.last_error_code, row.last_error, row.name))


def standing(session: Session, target: str) -> TargetRow | None:
    """The target's row; None where it has none yet."""
    row = session.one(select(_TARGET, "targets WHERE name = ?"), (target,))
    return None if row is None else TargetRow(*row)


def receipts_of(session: Session, items: Collection[str]) -> dict[str, tuple[ReceiptRow, ...]]:
    """The receipts of each of these items, at most CHUNK, in the order of their targets."""
    found: dict[str, list[ReceiptRow]] = {item: [] for item in items}
    for row in session.rows(select(_RECEIPT, f"receipts WHERE item IN ({_marks(items)}) ORDER BY target"), (*items,)):
        found[row[0]].append(ReceiptRow(*row))
    return {item: tuple(receipts) for item, receipts in found.items()}


def mark_gone(session: Session, frame: str, rule: str, receipts: Sequence[ReceiptRow], at_us: int) -> bool:
    """The frame's file may go now, by that rule, because of those receipts; False where it was marked before.

    Nobody sends it any more.  The file is unlinked after the commit; a crash in between is finished by reconcile.
    Both, and reconcile too, under `files.frames_still`: else a frame that is just restored might be unlinked.
    """
    new = session.execute(_GONE, (frame, at_us, rule, _encode([asdict(each) for each in receipts]))).rowcount
    forget(session, frame)
    return bool(new)


def unmark_gone(session: Session, frame: str) -> bool:
    """The frame's file is back; targets that lack it get it into their outbox.  False where it was not gone."""
    with _held_nowhere(session, [frame]):
        back = session.execute("DELETE FROM frames_gone WHERE frame_id = ?", (frame,)).rowcount
    if not back:
        return False
    for (target,) in session.rows(_LACKING, (frame,)):
        _put_back(session, target, frame)
    return True


def remove_video(session: Session, video: str, rule: str, at_us: int) -> str | None:
    """The video's files may go now, by that rule; its camera, or None where it was removed before or never there."""
    row = session.one(_REMOVE, (at_us, rule, video))
    if row is None:
        return None
    forget(session, video)
    return str(row[0])


def forget(session: Session, item: str) -> None:
    """Out of every outbox: its file goes.  Its receipts stay, since the targets still hold it."""
    for (target,) in session.rows("SELECT name FROM targets"):
        _count(session, target, unsent=-_take(session, "outbox", target, [item]))


@dataclass(frozen=True, slots=True)
class Sum:
    """How many items, and their bytes."""

    count: int = 0
    size_bytes: int = 0

    def __neg__(self) -> Sum:
        return Sum(-self.count, -self.size_bytes)


def _originals(session: Session, items: Collection[str]) -> dict[str, tuple[int, str]]:
    """Size and hash of each frame and video of these ids."""
    marks = _marks(items)
    text = " UNION ALL ".join(select("id, size_bytes, sha256", f"{table} WHERE id IN ({marks})") for table in _SOURCES)
    return {item: (size_bytes, sha256) for item, size_bytes, sha256 in session.rows(text, (*items, *items))}


def _sizes(session: Session, table: _Shelf, target: str, items: Collection[str]) -> dict[str, int]:
    """The size of each of these items that has a row there."""
    text = select("item, size_bytes", f"{table} WHERE target = ? AND item IN ({_marks(items)})")
    return dict(session.rows(text, (target, *items)))


def _take(session: Session, table: _Shelf, target: str, items: Collection[str]) -> Sum:
    """Deletes the rows of these items; what went."""
    sizes = _sizes(session, table, target, items)
    rest = f"FROM {table} WHERE target = ? AND item = ?"
    session.many(f"DELETE {rest}", [(target, item) for item in sizes])
    return Sum(len(sizes), sum(sizes.values()))


@contextmanager
def _held_nowhere(session: Session, items: Collection[str]) -> Iterator[None]:
    """Keeps the count of frames held nowhere, while receipts or deletions of these items change."""
    before = _count_nowhere(session, items)
    yield
    change = _count_nowhere(session, items) - before
    if change:
        known = cursors.get(session, HELD_NOWHERE)
        count = known.count + change if known else _number(session, _NOWHERE)
        cursors.put(session, HELD_NOWHERE, Cursor(count=count))


def _count_nowhere(session: Session, items: Collection[str]) -> int:
    return _number(session, f"{_NOWHERE} AND frame_id IN ({_marks(items)})", *items)


def _number(session: Session, rest: str, *values: object) -> int:
    row = session.one(select("COUNT(*)", rest), values)
    return int(row[0]) if row else 0


def _put_back(session: Session, target: str, item: str) -> None:
    """Into the outbox again, where its file is still here."""
    for table, source in _SOURCES.items():
        row = session.one(select(f"size_bytes, {source.at}", f"{table} WHERE id = ? AND {source.sent}"), (item,))
        if row and session.execute(_PUT, (target, item, source.what, *row)).rowcount:
            _count(session, target, unsent=Sum(1, row[0]))


_NOTHING = Sum()


def _count(session: Session, target: str, *, unsent: Sum = _NOTHING, sent: Sum = _NOTHING) -> None:
    if unsent != _NOTHING or sent != _NOTHING:
        session.execute(_COUNT, (target, unsent.count, unsent.size_bytes, sent.count, sent.size_bytes))


def _marks(items: Collection[str]) -> str:
    return ", ".join("?" for _ in items)
