"""What is held where: receipts, targets, frames brought back, videos removed.  One entry is one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from node.archive.base import Outcome, Receipt, Refused
from node.domain.breaker import Breaker, BreakerState, failed, succeeded
from node.domain.config import BreakerLimits
from node.domain.errors import FrameAltered, FrameMissing, HeliographError, ReceiptRefused
from node.domain.events import (
    Event,
    FramesRestored,
    ItemsArchived,
    ReceiptDenied,
    TargetMoved,
    VideoRemoved,
)
from node.entries import Entries
from node.store import archive, log
from node.store.archive import Denied, ReceiptRow, Sum, TargetRow
from node.store.session import Session

OURS = (FrameMissing, FrameAltered)
"""Errors of an item for which its target is not to blame."""
OF_AN_ITEM = (ReceiptRefused, *OURS)
"""Errors that say nothing of the other items."""
_MOST_CHARS = 300


@dataclass(frozen=True, slots=True)
class Patience:
    """How failures count: when the target is left alone, and after which delays an item is tried again."""

    limits: BreakerLimits
    delays_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of some outcomes: receipts written, and the items that got none, each with its error."""

    kept: Sum
    refused: tuple[Refused, ...]


class Holdings:
    """Every method raises what Entries says, and can be repeated."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries

    # --- targets ------------------------------------------------------------------------------------------------

    def know(self, target: str) -> None:
        """The target has its row from now on."""
        self._entries.write(lambda session: archive.know(session, target))

    def fill(self, target: str, *, videos: bool) -> int:
        """Takes the next frames, or else videos, up into the outbox of a known target; how many were looked at."""

        def work(session: Session) -> int:
            looked = archive.fill(session, target, "frames")
            return looked or (archive.fill(session, target, "videos") if videos else 0)

        return self._entries.write(work)

    def used(self, target: str, error: HeliographError | None, limits: BreakerLimits) -> TargetRow:
        """The target was used or tested: it went well (None), or failed as a whole."""
        now_us = self._entries.clock.now_us()

        def work(session: Session) -> TargetRow:
            row, moves = _use(session, target, [error], limits, now_us)
            log.append(session, moves, now_us)
            return row

        return self._entries.write(work)

    def hurry(self, target: str) -> None:
        """All that waits for the target is due now, also where its breaker is open: the next use decides about that."""
        now_us = self._entries.clock.now_us()

        def work(session: Session) -> None:
            archive.hurry(session, target)
            row = archive.standing(session, target) or TargetRow(target)
            if row.breaker == BreakerState.OPEN:
                tried = replace(row, breaker=BreakerState.HALF_OPEN.value, opened_us=None)
                archive.save_standing(session, tried)
                log.append(session, [_moved(tried)], now_us)

        self._entries.write(work)

    # --- receipts -----------------------------------------------------------------------------------------------

    def settle(self, target: str, outcomes: Sequence[Outcome], terms: Patience, took_s: float) -> Settled:
        """What a target answered for items, at most CHUNK: a receipt in place of each outbox row, or the failure.

        A receipt that does not repeat size and hash of the item's own row is none: the edge is not believed.  Each
        item counts as a use of the target, but for those that are not what was kept here.
        """
        now_us = self._entries.clock.now_us()

        def work(session: Session) -> Settled:
            answers = _believed(session, target, outcomes)
            settled = _settled(answers)
            for each in settled.refused:
                archive.refuse(session, target, each.item.id, each.error.code, terms.delays_s, now_us)
            theirs = [each for each in answers if not (isinstance(each, Refused) and isinstance(each.error, OURS))]
            uses = [each.error if isinstance(each, Refused) else None for each in theirs]
            _, moves = _use(session, target, uses, terms.limits, now_us)
            denied = _denials(target, _refusals(theirs))
            log.append(session, [*_archived(target, settled.kept, took_s), *denied, *moves], now_us)
            return settled

        return self._entries.write(work)

    def reread(self, target: str, outcomes: Sequence[Outcome]) -> Settled:
        """What was read again at a target, at most CHUNK items: a proof of today, or no receipt any more.

        An item without its receipt goes back into the outbox where its file is still here.
        """
        now_us = self._entries.clock.now_us()

        def work(session: Session) -> Settled:
            settled = _settled(_believed(session, target, outcomes))
            archive.withdraw(session, target, [each.item.id for each in settled.refused])
            log.append(session, _denials(target, settled.refused), now_us)
            return settled

        return self._entries.write(work)

    # --- what goes, and comes back ------------------------------------------------------------------------------

    def restored(self, target: str, frames: Sequence[tuple[str, int]]) -> int:
        """Frames, each with its size, whose files are back from a target; how many were gone until now."""
        now_us = self._entries.clock.now_us()

        def work(session: Session) -> int:
            back = [size_bytes for frame, size_bytes in frames if archive.unmark_gone(session, frame)]
            log.append(session, [FramesRestored(target, len(back), sum(back))] if back else [], now_us)
            return len(back)

        return self._entries.write(work)

    def remove_video(self, video: str, rule: str) -> bool:
        """Its files may be unlinked from now on; False where it was removed before, or never there."""
        now_us = self._entries.clock.now_us()

        def work(session: Session) -> bool:
            camera = archive.remove_video(session, video, rule, now_us)
            log.append(session, [] if camera is None else [VideoRemoved(video, camera, rule)], now_us)
            return camera is not None

        return self._entries.write(work)


def said(error: HeliographError) -> str:
    """The error without its code."""
    return error.detail or error.title


def _believed(session: Session, target: str, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes, each receipt written, or refused where it does not agree with the item's row."""
    rows = [_row(target, each) for each in outcomes if isinstance(each, Receipt)]
    denied = {each.receipt.item: each for each in archive.keep_receipts(session, target, rows)}
    return [_refused(each, denied[each.item.id]) if each.item.id in denied else each for each in outcomes]


def _row(target: str, receipt: Receipt) -> ReceiptRow:
    item = receipt.item
    return ReceiptRow(
        item.id, target, item.what, receipt.name, receipt.size_bytes, receipt.sha256, receipt.how, receipt.at_us
    )


def _refused(outcome: Outcome, denied: Denied) -> Refused:
    found = f"{denied.receipt.size_bytes} bytes, SHA-256 {denied.receipt.sha256}"
    return Refused(outcome.item, ReceiptRefused(f"{denied.receipt.name}: {found}"), found)


def _refusals(outcomes: Iterable[Outcome]) -> list[Refused]:
    return [each for each in outcomes if isinstance(each, Refused)]


def _settled(answers: Sequence[Outcome]) -> Settled:
    kept = [each.size_bytes for each in answers if isinstance(each, Receipt)]
    return Settled(Sum(len(kept), sum(kept)), tuple(_refusals(answers)))


def _archived(target: str, kept: Sum, took_s: float) -> Iterator[Event]:
    if kept.count:
        yield ItemsArchived(target, kept.count, kept.size_bytes, round(took_s, 3))


def _denials(target: str, refusals: Iterable[Refused]) -> Iterator[Event]:
    for each in refusals:
        yield ReceiptDenied(target, each.item.id, each.item.sha256, each.found or each.error.code)


def _use(
    session: Session, target: str, uses: Sequence[HeliographError | None], limits: BreakerLimits, now_us: int
) -> tuple[TargetRow, list[Event]]:
    """The target after these uses, and each move of its breaker."""
    row = before = archive.standing(session, target) or TargetRow(target)
    moves: list[Event] = []
    for error in uses:
        row, last = _after(row, error, limits, now_us), row
        if row.breaker != last.breaker:
            moves.append(_moved(row))
    if row != before:
        archive.save_standing(session, row)
    return row, moves


def _after(row: TargetRow, error: HeliographError | None, limits: BreakerLimits, now_us: int) -> TargetRow:
    before = Breaker(BreakerState(row.breaker), row.failures, row.successes, row.opened_us)
    if error is None:
        return _standing(replace(row, last_ok_us=now_us, last_error_code="", last_error=""), succeeded(before, limits))
    named = replace(row, last_failed_us=now_us, last_error_code=error.code, last_error=said(error)[:_MOST_CHARS])
    return _standing(named, failed(before, limits, now_us))


def _standing(row: TargetRow, after: Breaker) -> TargetRow:
    standing = after.failures, after.successes, after.opened_us
    return replace(row, breaker=after.state.value, failures=standing[0], successes=standing[1], opened_us=standing[2])


def _moved(row: TargetRow) -> TargetMoved:
    return TargetMoved(row.name, row.breaker, row.failures, row.last_error_code, row.last_error)
