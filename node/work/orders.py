"""Work that somebody asks for by hand, through the API or a command: each order leaves its row in the audit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from node.domain.config import Retention, Section
from node.domain.errors import (
    DatabaseError,
    DiskError,
    HeliographError,
    NoFrames,
    NotFound,
    UnknownCamera,
    UnknownTarget,
)
from node.domain.job import Priority, RenderPayload, key_of, parse_payload
from node.domain.retention import Preview
from node.holdings import Holdings
from node.jobs import Jobs
from node.journal import Journal
from node.store import log, removing, videos
from node.store.jobs import Job
from node.store.ledger import LedgerReader
from node.store.log import Actor, Change
from node.store.session import Session
from node.store.videos import Video, VideoReader
from node.work.reclaim import Reclaimer

Answer = TypeVar("Answer")

BY_HAND = "by_hand"
"""The rule by which a video went that somebody deleted."""
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reach:
    """What orders may be about: the node's cameras and targets by name, and its data directory."""

    data: Path
    cameras: Collection[str]
    targets: Collection[str]


class Orders:
    """Every method leaves its row in the audit, also where it is refused."""

    def __init__(self, jobs: Jobs, journal: Journal, reclaimer: Reclaimer, reach: Reach) -> None:
        self._jobs, self._journal, self._reclaimer, self._reach = jobs, journal, reclaimer, reach
        self._ledger, self._videos = LedgerReader(journal.database), VideoReader(journal.database)
        self._holdings = Holdings(journal)

    # --- jobs ---------------------------------------------------------------------------------------------------

    def ask(self, kind: str, payload: Mapping[str, Any], actor: Actor) -> Job:
        """The new job, or the one of that kind and key that waits already.

        Raises UnknownKind, PayloadInvalid, UnknownCamera, UnknownTarget, NotFound where there is no such shoot,
        NoFrames where too few are there and no more will come, JobDiffers where one with other wishes runs; one that
        waits takes on the new ones.
        """
        wanted = parse_payload(kind, payload)
        key = key_of(wanted)

        def act() -> Job:
            self._check(wanted)
            return self._jobs.enqueue(kind, key, payload, priority=Priority.MANUAL, who=actor.who)

        return self._audited(Change(f"{kind} ask", f"{kind}/{key}"), actor, act)

    def send_now(self, target: str, actor: Actor) -> Job:
        """What waits for that target is due now, whatever its breaker says.  Raises UnknownTarget."""

        def act() -> Job:
            self._check_target(target)
            self._holdings.hurry(target)
            return self._jobs.enqueue("transfer", target, {"target": target}, priority=Priority.MANUAL, who=actor.who)

        return self._audited(Change("transfer ask", f"target/{target}"), actor, act)

    def cancel(self, job: str, actor: Actor) -> Job:
        """A waiting job at once, a running one at its next step.  Raises UnknownJob, MoveIllegal."""
        return self._attempted(Change("job cancel", f"job/{job}"), actor, lambda: self._jobs.cancel(job, actor))

    def redrive(self, job: str, actor: Actor) -> Job:
        """A dead job waits again.  Raises UnknownJob, MoveIllegal."""
        return self._attempted(Change("job redrive", f"job/{job}"), actor, lambda: self._jobs.redrive(job, actor))

    def discard(self, job: str, actor: Actor) -> Job:
        """A dead job is given up.  Raises UnknownJob, MoveIllegal."""
        return self._attempted(Change("job discard", f"job/{job}"), actor, lambda: self._jobs.discard(job, actor))

    def redrive_all(self, kind: str | None, actor: Actor) -> int:
        """Every dead job of that kind, or every one; how many."""
        return self._attempted(_of_kind("redrive", kind), actor, lambda: self._jobs.redrive_all(kind, actor))

    def discard_all(self, kind: str | None, actor: Actor) -> int:
        """Every dead job of that kind, or every one; how many."""
        return self._attempted(_of_kind("discard", kind), actor, lambda: self._jobs.discard_all(kind, actor))

    # --- disk ---------------------------------------------------------------------------------------------------

    def preview_reclaim(self, section: Retention | None = None) -> Preview:
        """What would go now under the document's retention section, or under another one; nothing does."""
        return self._reclaimer.preview(section)

    # --- videos -------------------------------------------------------------------------------------------------

    def change_video(self, video: str, title: str | None, pinned: bool | None, actor: Actor) -> Video:
        """None = as it was.  Raises NotFound, also where its file is gone."""
        now_us, change = self._journal.clock.now_us(), Change("video change", f"video/{video}")

        def work(session: Session) -> Video:
            changed = videos.change(session, video, title=title, pinned=pinned)
            if changed is None:
                raise NotFound(f"no video {video[:40]!r}")
            log.record(session, actor, change, now_us)
            return changed

        return self._attempted(change, actor, lambda: self._journal.write(work))

    def remove_video(self, video: str, actor: Actor) -> Video:
        """Its file and poster are deleted here.  Raises NotFound, also where they were before."""
        change = Change("video delete", f"video/{video}")

        def act() -> Video:
            known = self._videos.get(video)
            if not self._holdings.remove_video(video, BY_HAND):
                raise NotFound(f"no video {video[:40]!r}")
            removing.remove([self._reach.data / known.path, self._reach.data / known.poster])
            return self._videos.get(video)

        return self._audited(change, actor, act)

    # --- what is asked for, and its row ---------------------------------------------------------------------------

    def _check(self, wanted: Section) -> None:
        """Raises UnknownTarget, UnknownCamera, NotFound, NoFrames."""
        target, camera = getattr(wanted, "target", None), getattr(wanted, "camera", None)
        if target is not None:
            self._check_target(target)
        if camera is not None and camera not in self._reach.cameras:
            raise UnknownCamera(f"{camera!r}; there are {', '.join(self._reach.cameras)}")
        if isinstance(wanted, RenderPayload):
            self._check_frames(wanted)

    def _check_frames(self, wanted: RenderPayload) -> None:
        """Too few, and no more to come: refused here, it leaves no dead letter."""
        if wanted.shoot is not None and self._ledger.shoot(wanted.shoot).state == "open":
            return
        count, least = self._videos.count_material(wanted), self._reclaimer.ground.document().render.min_frames
        if count < least and (wanted.to_us or 0) <= self._journal.clock.now_us():
            raise NoFrames(f"{count} of at least {least}")

    def _check_target(self, target: str) -> None:
        if target not in self._reach.targets:
            raise UnknownTarget(f"{target!r}; there are {', '.join(self._reach.targets) or 'none'}")

    def _audited(self, change: Change, actor: Actor, act: Callable[[], Answer]) -> Answer:
        """Done or refused, it leaves its row."""
        answer = self._attempted(change, actor, act)
        self._record(change, actor)
        return answer

    def _attempted(self, change: Change, actor: Actor, act: Callable[[], Answer]) -> Answer:
        """For what leaves its row by itself once it is done."""
        try:
            return act()
        except HeliographError as error:
            self._record(replace(change, outcome=error.code), actor)
            raise

    def _record(self, change: Change, actor: Actor) -> None:
        """A row that cannot be written changes nothing of what was done."""
        try:
            self._journal.audit(actor, change)
        except (DatabaseError, DiskError) as error:
            LOG.warning("audit row was not written", extra={**asdict(change), "who": actor.who, "error": str(error)})


def _of_kind(action: str, kind: str | None) -> Change:
    return Change(f"jobs {action}", f"jobs/{kind or 'all'}")
