"""Deletes what was chosen, each file proved right before: row, file and receipts have to agree.

Rows first: a file is marked as gone in a committed entry, then unlinked.  What a crash leaves is finished later.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from node.clock import Clock
from node.crashpoint import crash_point
from node.domain.errors import DiskFull
from node.domain.events import FramesReclaimed
from node.domain.retention import Candidate, Policy, Rule, What
from node.entries import Entries
from node.host import disk
from node.store import log, removing, retention
from node.store.ballast import Ballast
from node.store.files import frames_still
from node.store.retention import GivenUp, Marked, Proof, Terms
from node.store.session import Work

Result = TypeVar("Result")
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Why:
    """By which rule and policy, and the targets of node.yml, whose receipts count."""

    rule: Rule
    policy: Policy
    targets: tuple[str, ...]

    @property
    def terms(self) -> Terms:
        return Terms(self.rule, self.targets, self.policy.retention.receipts_needed)


class Remover:
    """For one thread at a time.  Raises DatabaseError and DiskError: what was not marked is not deleted."""

    def __init__(self, data_dir: Path, entries: Entries, ballast: Ballast) -> None:
        self._data, self._entries, self._ballast = data_dir, entries, ballast
        self._clock: Clock = entries.clock
        self._untold: Counter[Rule] = Counter()
        self._untold_bytes: Counter[Rule] = Counter()
        self._ways: Mapping[What, Callable[[Why, Sequence[Candidate]], Marked]] = {
            "leftover": self._without_row,
            "thumbnail": self._without_row,
            "quarantined": self._frames,
            "video": self._videos,
            "frame": self._frames,
        }

    def remove(self, why: Why, candidates: Sequence[Candidate]) -> Marked:
        """What went of a few candidates of one class; or what keeps all of them from it."""
        return self._ways[why.rule.what](why, candidates)

    def tell(self) -> None:
        """Of files without rows, which went however full the disk was."""
        events = [
            FramesReclaimed(rule.what, rule.name, count, self._untold_bytes[rule])
            for rule, count in self._untold.items()
        ]
        if events:
            self._write(lambda session: log.append(session, events, self._clock.now_us()))
            self._untold.clear()
            self._untold_bytes.clear()

    def finish(self, gone: GivenUp, why: Why) -> bool:
        """A file that was given up and is still there: it goes, or it is kept after all; whether it went."""
        candidate = Candidate(gone.what, gone.frame, gone.path, 0, gone.deleted_us, beside=gone.beside)
        with frames_still(self._data):
            proof = self._proof(candidate, None)
            if proof is None:
                return False
            back = gone.rule == retention.MISSING or _written_us(self._data / gone.path) > gone.deleted_us
            now_us = self._clock.now_us()
            if self._write(lambda session: retention.finish_frame(session, proof, why.terms, now_us, back=back)):
                return bool(removing.remove(self._paths([candidate])))
        return False

    # --- the ways -----------------------------------------------------------------------------------------------

    def _without_row(self, why: Why, candidates: Sequence[Candidate]) -> Marked:
        """On a disk without room for a row these are what makes room for one."""
        removing.remove(self._paths(candidates))
        self._untold[why.rule] += len(candidates)
        self._untold_bytes[why.rule] += sum(each.size_bytes for each in candidates)
        return Marked(tuple(candidates))

    def _frames(self, why: Why, candidates: Sequence[Candidate]) -> Marked:
        proofs = [proof for each in candidates if (proof := self._proof(each, why))]
        if not proofs:
            return Marked()
        crash_point("reclaim_proved")
        now_us = self._clock.now_us()
        with frames_still(self._data):
            marked = self._write(lambda session: retention.mark_frames(session, proofs, why.terms, now_us))
            crash_point("reclaim_marked")
            removing.remove(self._paths(marked.items))
        return marked

    def _videos(self, why: Why, candidates: Sequence[Candidate]) -> Marked:
        now_us = self._clock.now_us()
        marked = self._write(lambda session: retention.mark_videos(session, candidates, why.rule, now_us))
        crash_point("reclaim_marked")
        removing.remove(self._paths(marked.items))
        return marked

    # --- inside -------------------------------------------------------------------------------------------------

    def _proof(self, candidate: Candidate, why: Why | None) -> Proof | None:
        """The file as it is now; None where it is not there, or came back lately and is too young for the rule."""
        path = self._data / candidate.path
        found = removing.found_at(path)
        if found is None:
            LOG.warning("file is missing", extra={"frame": candidate.item, "path": candidate.path})
            return None
        if why is not None and not why.rule.for_room and not self._is_old(path, candidate, why):
            return None
        return Proof(candidate, *found)

    def _is_old(self, path: Path, candidate: Candidate, why: Why) -> bool:
        """A frame that was brought back from the archive begins anew."""
        return why.rule.fits(replace(candidate, at_us=_written_us(path)), why.policy, self._clock.now_us())

    def _paths(self, candidates: Sequence[Candidate]) -> list[Path]:
        return [self._data / path for each in candidates for path in (each.path, *each.beside)]

    def _write(self, work: Work[Result]) -> Result:
        """Where the disk has no room for a row, the ballast makes some."""
        try:
            return self._entries.write(work)
        except DiskFull:
            if not self._ballast.give_up():
                raise
        return self._entries.write(work)


def _written_us(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns // 1000
    except OSError as error:
        raise disk.meaning(error, path.name) from error
