"""Makes room by the rules of retention, and says what would go: the `work` process asks for a turn each few seconds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from node.clock import US, Clock
from node.domain.config import DAY_S, Document, Retention
from node.domain.errors import DiskError
from node.domain.pressure import FLOORS, LEAVE_AT, Step, need_bytes, reached, step_of
from node.domain.retention import RULES, Candidate, Policy, Preview, Rule, Tally, What
from node.domain.trigger import Cursor
from node.host import disk
from node.journal import Journal
from node.store import retention
from node.store.ballast import Ballast
from node.store.files import Hold
from node.store.retention import FIRST_THIN, RetentionReader, Search
from node.work.remover import Remover, Why
from node.work.stock import Plan, Stock, Walk

Beat = Callable[[str], object]
"""Told what is done, before each few files; whatever it raises ends the walk between two of them."""

TURN_S, PREVIEW_S = 30.0, 3.0
AGES_EVERY_S, FIRST_EVERY_S, SHORT_S = 3600.0, 3600.0, 60.0
STOPPED_US, HOUR_US = DAY_S * US, 3600 * US
LOG = logging.getLogger(__name__)


def _silent(_said: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What room is made on; `targets` are those of node.yml."""

    held: Hold
    journal: Journal
    clock: Clock
    document: Callable[[], Document]
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """Deletions that a crash had cut in two: paths of files that went now, and of files that stay after all."""

    went: tuple[str, ...] = ()
    stay: tuple[str, ...] = ()


class Reclaimer:
    """Safe from any thread; one turn at a time.  Every method raises DatabaseError and DiskError."""

    def __init__(self, ground: Ground) -> None:
        self.ground, self._clock = ground, ground.clock
        self._data, self._ballast = ground.held.data_dir, Ballast(ground.held.data_dir)
        self._reader = RetentionReader(ground.journal.database)
        self._stock = Stock(self._data, self._reader)
        self._remover = Remover(self._data, ground.journal, self._ballast)
        self._lock, self._step = threading.Lock(), Step.OK
        self._ages_at_s = self._first_at_s = self._thin_until_s = float("-inf")
        self._first_id, self._first_thin, self._finished = "", FIRST_THIN, False

    @property
    def step(self) -> Step:
        """Of the ladder, as of the last turn."""
        return self._step

    @property
    def derivatives(self) -> bool:
        """Whether videos and thumbnails may be made."""
        return not reached(self._step, Step.CRITICAL)

    def turn(self, beat: Beat = _silent, *, ages: bool = False) -> tuple[Tally, ...]:
        """A look at the disk: what is too old goes once an hour (or now), more where room is short; what went.

        At most half a minute; what is left then goes next time.
        """
        if not self._finished:
            self.finish()
            self._finished = True
        with self._lock:
            self.ground.held.check()
            document, space = self.ground.document(), disk.space(self._data)
            self._step = step_of(space.total_bytes, space.free_bytes, document.alerts, self._step)
            ages = ages or self._clock.monotonic() - self._ages_at_s >= AGES_EVERY_S
            need = _need(self._step, space, document)
            if not need:
                self._take_ballast(space, document)
            if not need and not ages:
                return ()
            return self._make_room(self._plan(document, document.retention, need, ages=ages), beat)

    def preview(self, section: Retention | None = None) -> Preview:
        """What would go now under the document's retention section, or under another one; nothing does.

        Somebody waits for the answer: what is not counted in a few seconds is `more`.
        """
        until_s = self._clock.monotonic() + PREVIEW_S
        document, space = self.ground.document(), disk.space(self._data)
        step = step_of(space.total_bytes, space.free_bytes, document.alerts, self._step)
        plan = self._plan(document, section or document.retention, _need(step, space, document), ages=True)
        over = self._over(until_s)
        walk = Walk(self._stock, plan, lambda _, candidates: candidates, self._closed(), over)
        return Preview(tuple(walk.tallies()), walk.cut)

    def go_on(self) -> int:
        """A person has seen what stopped classes: they go on, without those items; how many there were."""
        names = [name for name, stop in self._reader.stops().items() if not stop.count]
        if names:
            self.ground.journal.write(lambda session: retention.note_seen(session, names))
        return len(names)

    def finish(self, since_us: int | None = None, beat: Beat = _silent) -> Finished:
        """Deletions that a crash cut in two: of the last hour in which anything went (None), or since then."""
        since_us = max(0, self._reader.last_gone_us() - HOUR_US) if since_us is None else since_us
        went: dict[str, bool] = {}
        after = ""
        while page := self._reader.gone(after, since_us):
            beat("deletions are finished")
            with self._lock:  # for a page only: else a disk that fills meanwhile waits for all of them
                left = [gone for gone in page if (self._data / gone.path).exists()]
                went |= {gone.path: self._remover.finish(gone, self._why(gone.rule)) for gone in left}
            after = page[-1].frame
        return Finished(*(tuple(path for path, gone in went.items() if gone is which) for which in (True, False)))

    # --- what is to be done -------------------------------------------------------------------------------------

    def _plan(self, document: Document, section: Retention, need: int, *, ages: bool) -> Plan:
        now_us, targets = self._clock.now_us(), self.ground.targets
        policy = Policy(section, targets, self._clock.synced())
        wanted_since_us = now_us - round(document.alerts.video_limit_s * US)
        search = Search(targets, wanted_since_us, from_id=self._first())
        if section.order == "thin":
            search = replace(search, ends=True, from_thin=self._thinnest())
        return Plan(policy, search, tuple(rule for rule in RULES if rule.for_room or ages), need, now_us)

    def _why(self, name: str) -> Why:
        """The rule by which a file went once; one of another release asks for receipts."""
        document, targets = self.ground.document(), self.ground.targets
        rule = next((rule for rule in RULES if rule.name == name), RULES[0])
        policy = Policy(document.retention, targets, self._clock.synced())
        return Why(rule, policy, targets)

    def _first(self) -> str:
        """No frame before that id is here; looked for anew now and then, since frames come back from the archive."""
        now_s = self._clock.monotonic()
        if now_s - self._first_at_s >= FIRST_EVERY_S:
            found = self._reader.oldest(Search(()), None, 1)
            self._first_id, self._first_at_s = found[0].item if found else "", now_s
        return self._first_id

    def _thinnest(self) -> tuple[int, str]:
        """The same by score and id; sooner where room stays short, since receipts came meanwhile."""
        now_s = self._clock.monotonic()
        if now_s >= self._thin_until_s:
            self._first_thin = self._reader.before_thinnest(Search(self.ground.targets, from_id=self._first()))
            self._thin_until_s = now_s + FIRST_EVERY_S
        return self._first_thin

    def _closed(self) -> set[What]:
        """Classes that a mismatch stopped less than a day ago, and nobody has seen it."""
        since_us = self._clock.now_us() - STOPPED_US
        stopped = {name.partition("/")[0] for name, stop in self._reader.stops().items() if _stops(stop, since_us)}
        return {rule.what for rule in RULES if rule.what in stopped}

    # --- and is done --------------------------------------------------------------------------------------------

    def _make_room(self, plan: Plan, beat: Beat) -> tuple[Tally, ...]:
        over, closed = self._over(self._clock.monotonic() + TURN_S), self._closed()

        def act(rule: Rule, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
            beat(f"{rule.name}: {len(candidates)} more {rule.what}s")
            marked = self._remover.remove(Why(rule, plan.policy, self.ground.targets), candidates)
            if marked.mismatch:
                LOG.error("reclaim stopped", extra={"item": marked.mismatch.item, "why": marked.mismatch.why})
                closed.add(rule.what)
            return marked.items

        walk = Walk(self._stock, plan, act, closed, over)
        tallies = tuple(walk.tallies())
        if walk.freed_bytes < plan.need_bytes:  # what had no receipts when it was looked for may have them by now
            self._thin_until_s = min(self._thin_until_s, self._clock.monotonic() + SHORT_S)
        if not walk.cut and any(not rule.for_room for rule in plan.rules):
            self._ages_at_s = self._clock.monotonic()
        self._remover.tell()
        return tallies

    def _over(self, until_s: float) -> Callable[[], bool]:
        return lambda: self._clock.monotonic() > until_s

    def _take_ballast(self, space: disk.Space, document: Document) -> None:
        reserve = FLOORS[Step.LOW].free_bytes(space.total_bytes, document.alerts) * LEAVE_AT
        try:
            self._ballast.take(space, round(reserve))
        except DiskError as error:
            LOG.warning("no ballast was taken", extra={"error": str(error)})


def _need(step: Step, space: disk.Space, document: Document) -> int:
    if not reached(step, Step.LOW):
        return 0
    to_pct = document.retention.reclaim_to_free_pct
    return need_bytes(space.total_bytes, space.free_bytes, document.alerts, to_pct)


def _stops(stop: Cursor, since_us: int) -> bool:
    return not stop.count and stop.at_us > since_us
