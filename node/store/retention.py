"""What might be deleted, page by page in the order of each rule, and the rows that a deletion needs.

Candidates are looked for beside the write lock; what is marked is read again inside the transaction that marks it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from node.domain.events import FramesReclaimed, ReclaimStopped, VideoRemoved
from node.domain.retention import Candidate, Rule, What
from node.domain.trigger import Cursor
from node.store import archive, cursors, log, videos
from node.store.archive import ReceiptRow
from node.store.database import Database
from node.store.query import select
from node.store.session import Session

PAGE = 500
MISSING = "missing"
"""The rule by which a frame counts as gone whose file was lost, and that a target holds: so it can be brought back."""
STOPPED = "reclaim/"
SIDECAR = ".json"
"""What the file beside a picture put aside is called more."""
_PREFIX = {"frame": f"{STOPPED}frame/", "quarantined": f"{STOPPED}quarantined/", "video": f"{STOPPED}video/"}


UNSCORED = 101
"""What a frame without a score counts as: the scores end at 100."""
FIRST_THIN = (-1, "")
"""Before any score and id."""


@dataclass(frozen=True, slots=True)
class Search:
    """How candidates are looked for.

    Receipts of these `targets` count.  Frames of a shoot that ended after `wanted_since_us` and has no video yet are
    wanted.  With `ends`, those of each shoot are told from the rest.  No frame before the id `from_id` is here; none
    whose score and id come before `from_thin` may go.
    """

    targets: tuple[str, ...]
    wanted_since_us: int = 0
    ends: bool = False
    from_id: str = ""
    from_thin: tuple[int, str] = FIRST_THIN


_THIN = f"coalesce(f.score, {UNSCORED})"
_FRAME = "f.id, f.path, f.size_bytes, f.captured_us, f.clock_synced, f.score"
HERE = "NOT EXISTS (SELECT 1 FROM frames_gone WHERE frame_id = f.id)"
_LEFT_ALONE = "NOT EXISTS (SELECT 1 FROM cursors WHERE name = ? || f.id)"
_WANTED = (
    "EXISTS (SELECT 1 FROM json_each(f.shoots) AS named JOIN shoots ON shoots.shoot = named.value"
    " WHERE shoots.state IN ('open', 'captured', 'rendering') AND shoots.end_us > ?)"
)
_END_OF = (
    "(SELECT frame_id FROM frame_shoots CROSS JOIN frames AS other ON other.id = frame_id"
    " WHERE frame_shoots.shoot = named.value AND other.quarantined = 0 ORDER BY frame_id {way} LIMIT 1)"
)
_ENDS = (
    f"EXISTS (SELECT 1 FROM json_each(f.shoots) AS named WHERE f.id = {_END_OF.format(way='ASC')}"  # noqa: S608 - text of our own
    f" OR f.id = {_END_OF.format(way='DESC')})"
)


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A frame whose file was given up at `deleted_us`, by that rule."""

    frame: str
    path: str
    quarantined: bool
    deleted_us: int
    rule: str

    @property
    def what(self) -> What:
        return "quarantined" if self.quarantined else "frame"

    @property
    def beside(self) -> tuple[str, ...]:
        """Files that go with it."""
        return (self.path + SIDECAR,) if self.quarantined else ()


@dataclass(frozen=True, slots=True)
class Here:
    """A frame whose file has to be here; `held` = some target has a receipt for it."""

    seq: int
    frame: str
    path: str
    size_bytes: int
    held: bool


class RetentionReader:
    """Every method raises DatabaseBusy and DatabaseDamaged.  What was left alone after a mismatch is no candidate."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def held(self, search: Search, after: Candidate | None, limit: int = PAGE) -> list[Candidate]:
        """Frames that are here and have receipts that say what their rows say, in the order of their ids."""
        if not search.targets:
            return []
        text = select(
            f"{_FRAME}, COUNT(*), {_WANTED}, {_ENDS if search.ends else 0}",
            "receipts AS r CROSS JOIN frames AS f ON f.id = r.item WHERE r.item >= ? AND r.item > ?"
            f" AND r.what = 'frame' AND {_counts(search)} AND f.quarantined = 0 AND {HERE} AND {_LEFT_ALONE}"
            " GROUP BY r.item ORDER BY r.item LIMIT ?",
        )
        key = (search.from_id, after.item if after else "")
        return self._frames("frame", text, (search.wanted_since_us, *key, *search.targets, _PREFIX["frame"], limit))

    def thinnest(self, search: Search, after: Candidate | None, limit: int = PAGE) -> list[Candidate]:
        """The same frames, the lowest scores first, those without a score last."""
        if not search.targets:
            return []
        score, item = _thin_key(after) if after else search.from_thin
        # not as one row value: the index would be searched by its first term, an expression, alone
        of_score = self._thin(search, f"{_THIN} = ? AND f.id > ?", "f.id", (score, item), limit)
        rest = limit - len(of_score)
        return of_score + (self._thin(search, f"{_THIN} > ?", f"{_THIN}, f.id", (score,), rest) if rest else [])

    def before_thinnest(self, search: Search) -> tuple[int, str]:
        """Nothing that may go has a score and id up to these."""
        found = self.thinnest(search, None, 1)
        return (_thin_key(found[0])[0], found[0].item[:-1]) if found else FIRST_THIN

    def _thin(self, search: Search, beyond: str, order: str, place: Sequence[object], limit: int) -> list[Candidate]:
        text = select(
            f"{_FRAME}, {counted(search, 'frame')} AS held, {_WANTED}, {_ENDS if search.ends else 0}",
            f"frames AS f INDEXED BY frames_thin WHERE {beyond} AND f.id >= ? AND f.quarantined = 0 AND {HERE}"
            f" AND {_LEFT_ALONE} AND held > 0 ORDER BY {order} LIMIT ?",
        )
        known = (*search.targets, search.wanted_since_us)
        return self._frames("frame", text, (*known, *place, search.from_id, _PREFIX["frame"], limit))

    def oldest(self, search: Search, after: Candidate | None, limit: int = PAGE) -> list[Candidate]:
        """All frames that are here, whoever holds them or not, in the order of their ids."""
        rest = (
            f"frames AS f WHERE f.id >= ? AND f.id > ? AND f.quarantined = 0 AND {HERE} AND {_LEFT_ALONE}"
            " ORDER BY f.id LIMIT ?"
        )
        values = (search.from_id, after.item if after else "", _PREFIX["frame"], limit)
        return self._frames("frame", select(f"{_FRAME}, 0, 0, 0", rest), values)

    def quarantined(self, _search: Search, after: Candidate | None, limit: int = PAGE) -> list[Candidate]:
        """Pictures put aside that are here, in the order of their ids."""
        # every one of them is flagged, and flagged frames have an index
        rest = (
            f"frames AS f WHERE f.flagged = 1 AND f.id > ? AND f.quarantined = 1 AND {HERE} AND {_LEFT_ALONE}"
            " ORDER BY f.id LIMIT ?"
        )
        values = (after.item if after else "", _PREFIX["quarantined"], limit)
        return self._frames("quarantined", select(f"{_FRAME}, 0, 0, 0", rest), values)

    def videos(self, search: Search, after: Candidate | None, limit: int = PAGE) -> list[Candidate]:
        """Videos that are here, the oldest first."""
        receipts = counted(search, "video")
        text = select(
            f"f.id, f.path, f.size_bytes, f.created_us, {receipts}, f.pinned, f.poster",
            f"videos AS f WHERE f.deleted_us IS NULL AND (f.created_us, f.id) > (?, ?) AND {_LEFT_ALONE}"
            " ORDER BY f.created_us, f.id LIMIT ?",
        )
        key = (after.at_us, after.item) if after else (-1, "")
        rows = self._database.read(lambda session: session.rows(text, (*search.targets, *key, _PREFIX["video"], limit)))
        return [
            Candidate("video", item, path, size, at_us, receipts=receipts, pinned=bool(pinned), beside=(poster,))
            for item, path, size, at_us, receipts, pinned, poster in rows
        ]

    def gone(self, after: str, since_us: int = 0, limit: int = PAGE) -> list[GivenUp]:
        """Frames whose files were given up since then, in the order of their ids, those beyond the id `after`."""
        text = select(
            "frame_id, path, quarantined, deleted_us, rule",
            "frames_gone JOIN frames ON id = frame_id WHERE frame_id > ? AND deleted_us >= ? ORDER BY frame_id LIMIT ?",
        )
        rows = self._database.read(lambda session: session.rows(text, (after, since_us, limit)))
        return [GivenUp(item, path, bool(aside), *rest) for item, path, aside, *rest in rows]

    def last_gone_us(self) -> int:
        """When a frame's file was given up last; 0 = never."""
        row = self._database.read(lambda session: session.one("SELECT MAX(deleted_us) FROM frames_gone"))
        return row[0] or 0 if row else 0

    def here(self, after_seq: int, limit: int = PAGE) -> list[Here]:
        """Frames whose files have to be here, quarantined ones too, in the order of their rows."""
        held = "EXISTS (SELECT 1 FROM receipts AS r WHERE r.item = f.id AND r.sha256 = f.sha256)"
        rest = f"frames AS f WHERE f.seq > ? AND {HERE} ORDER BY f.seq LIMIT ?"
        text = select(f"f.seq, f.id, f.path, f.size_bytes, {held}", rest)
        rows = self._database.read(lambda session: session.rows(text, (after_seq, limit)))
        return [Here(seq, item, path, size, bool(held)) for seq, item, path, size, held in rows]

    def known(self, frames: Collection[str]) -> set[str]:
        """Those of these ids that are frames', here or gone."""
        sql = "SELECT id FROM frames WHERE id IN (SELECT value FROM json_each(?))"
        rows = self._database.read(lambda session: session.rows(sql, (json.dumps([*frames]),)))
        return {identity for (identity,) in rows}

    def removed_videos(self) -> list[tuple[str, str]]:
        """Path and poster of each video whose files were given up and that no other video has."""
        text = select(
            "path, poster",
            "videos WHERE deleted_us IS NOT NULL AND path NOT IN (SELECT path FROM videos WHERE deleted_us IS NULL)",
        )
        return [(path, poster) for path, poster in self._database.read(lambda session: session.rows(text))]

    def stops(self) -> dict[str, Cursor]:
        """What was left alone after a mismatch: `<class>/<id>` to when (`at_us`), and whether seen (`count`)."""
        found = self._database.read(lambda session: cursors.of(session, STOPPED))
        return {name.removeprefix(STOPPED): cursor for name, cursor in found.items()}

    def _frames(self, what: What, text: str, values: Sequence[object]) -> list[Candidate]:
        rows = self._database.read(lambda session: session.rows(text, values))
        return [
            Candidate(
                *(what, item, path, size, at_us, bool(dated), receipts, score, bool(wanted), bool(ends)),
                beside=(path + SIDECAR,) if what == "quarantined" else (),
            )
            for item, path, size, at_us, dated, score, receipts, wanted, ends in rows
        ]


# --- written when files go ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proof:
    """A candidate, and its file as it was read just now."""

    candidate: Candidate
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Terms:
    """By which rule files go, and from which targets how many receipts that takes."""

    rule: Rule
    targets: tuple[str, ...]
    receipts_needed: int


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A file, its row and its receipts that do not agree."""

    what: What
    item: str
    why: str


@dataclass(frozen=True, slots=True)
class Marked:
    """What may be unlinked now; or what keeps every one of them from it."""

    items: tuple[Candidate, ...] = ()
    mismatch: Mismatch | None = None


def mark_frames(session: Session, proofs: Sequence[Proof], terms: Terms, at_us: int) -> Marked:
    """Row and receipts are read again; frames that still agree with their files are marked as gone, and told of.

    A mismatch marks none of them: it is noted, and stops the class.  A frame that lost a receipt meanwhile stays.
    """
    held = archive.receipts_of(session, [proof.candidate.item for proof in proofs])
    for proof in proofs:
        why = _disagreement(session, proof, held[proof.candidate.item])
        if why:
            mismatch = Mismatch(proof.candidate.what, proof.candidate.item, why)
            stop(session, mismatch, at_us)
            return Marked(mismatch=mismatch)
    gone = []
    for proof in proofs:
        receipts = [each for each in held[proof.candidate.item] if each.target in terms.targets]
        saved = len(receipts) >= terms.receipts_needed
        if (saved or terms.rule.unsaved) and archive.mark_gone(
            session, proof.candidate.item, terms.rule.name, receipts, at_us
        ):
            gone.append(proof.candidate)
    tell(session, terms.rule, gone, at_us)
    return Marked(tuple(gone))


def _disagreement(session: Session, proof: Proof, receipts: Sequence[ReceiptRow]) -> str:
    """Why row, file and receipts cannot all be true; empty = they agree."""
    row = session.one("SELECT path, size_bytes, sha256 FROM frames WHERE id = ?", (proof.candidate.item,))
    if row is None:
        return "it has no row"
    path, size_bytes, sha256 = row
    if path != proof.candidate.path:
        return f"its row says that it lies at {path}"
    if (size_bytes, sha256) != (proof.size_bytes, proof.sha256):
        return f"its file has SHA-256 {proof.sha256}, its row says {sha256}"
    wrong = [each.target for each in receipts if (each.size_bytes, each.sha256) != (size_bytes, sha256)]
    return f"the receipt of {wrong[0]} says another SHA-256 than its row" if wrong else ""


def finish_frame(session: Session, proof: Proof, terms: Terms, at_us: int, *, back: bool) -> bool:
    """A file that was given up and is still there: whether it goes now.

    It is kept, and its row says so, where receipts are missing by now or the file came `back` later.  Where it is not
    what was kept, it stays as it is.
    """
    item, what = proof.candidate.item, proof.candidate.what
    receipts = archive.receipts_of(session, [item])[item]
    why = _disagreement(session, proof, receipts)
    if why:
        known = cursors.get(session, f"{STOPPED}{what}/{item}")
        if known is None:
            stop(session, Mismatch(what, item, why), at_us)
        return False
    saved = sum(each.target in terms.targets for each in receipts) >= terms.receipts_needed
    if not back and (saved or terms.rule.unsaved):
        return True
    archive.unmark_gone(session, item)
    return False


def mark_missing(session: Session, lost: Sequence[Here], at_us: int) -> int:
    """Frames without a file, at most CHUNK, that some target holds count as gone from now on; how many of them."""
    held = archive.receipts_of(session, [each.frame for each in lost if each.held])
    return sum(archive.mark_gone(session, frame, MISSING, receipts, at_us) for frame, receipts in held.items())


def mark_videos(session: Session, chosen: Sequence[Candidate], rule: Rule, at_us: int) -> Marked:
    """Videos that may be unlinked now; one that was pinned meanwhile stays."""
    gone = []
    for video in chosen:
        row = session.one("SELECT camera FROM videos WHERE id = ? AND pinned = 0", (video.item,))
        if row is not None and videos.retire(session, video.item, rule.name, at_us):
            archive.forget(session, video.item)
            log.append(session, [VideoRemoved(video.item, row[0], rule.name)], at_us)
            gone.append(video)
    tell(session, rule, gone, at_us)
    return Marked(tuple(gone))


def tell(session: Session, rule: Rule, gone: Sequence[Candidate], at_us: int) -> None:
    """Of files that go; those that nobody else may hold stand in the audit, too."""
    if not gone:
        return
    size_bytes = sum(each.size_bytes for each in gone)
    log.append(session, [FramesReclaimed(rule.what, rule.name, len(gone), size_bytes)], at_us)
    if rule.unsaved:
        first, last = gone[0].item, gone[-1].item
        target = f"{rule.what}s/{first}..{last} ({len(gone)})"
        log.record(session, log.Actor("node"), log.Change(f"reclaimed by {rule.name}", target), at_us)


def stop(session: Session, mismatch: Mismatch, at_us: int) -> None:
    """Nothing more of that class goes for a day, or until a person has seen it; that item never."""
    cursors.put(session, f"{STOPPED}{mismatch.what}/{mismatch.item}", Cursor(0, at_us, 0))
    log.append(session, [ReclaimStopped(mismatch.what, mismatch.item, mismatch.why)], at_us)


def note_seen(session: Session, names: Collection[str]) -> None:
    """A person has seen these stops, named as `stops` names them: their classes go on, without the items."""
    for name in names:
        known = cursors.get(session, f"{STOPPED}{name}")
        if known is not None:
            cursors.put(session, f"{STOPPED}{name}", Cursor(known.seq, known.at_us, 1))


def _thin_key(after: Candidate) -> tuple[int, str]:
    return UNSCORED if after.score is None else after.score, after.item


def counted(search: Search, what: archive.What) -> str:
    """How many targets hold it."""
    return f"({select('COUNT(*)', f'receipts AS r WHERE r.item = f.id AND r.what = {what!r} AND {_counts(search)}')})"


def _counts(search: Search) -> str:
    """The receipt is of a target that the node has, and says what the row says."""
    return f"r.target IN ({_marks(search.targets)}) AND r.sha256 = f.sha256 AND r.size_bytes = f.size_bytes"


def _marks(items: Collection[str]) -> str:
    return ", ".join("?" for _ in items)
