"""What happened: one entry is one transaction, its events with its rows; after the commit every reader is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from node.domain.config import digest
from node.domain.events import (
    CameraHeld,
    CameraResumed,
    ConfigActivated,
    ConfigConfirmed,
    ConfigProvisional,
    ConfigRolledBack,
    Event,
    GapsRecorded,
    ShootClosed,
    ShootOpened,
)
from node.domain.frame import Frame, Gap, SlotKey
from node.domain.hold import CameraHold
from node.domain.times import US
from node.entries import Entries
from node.store import configs, frames, holds, jobs, ledger, log
from node.store.configs import Activation, Proof, Running
from node.store.ledger import Shoot
from node.store.log import Actor, Answer, Change, Request
from node.store.session import Session

BULK = 200
NODE = Actor("node")


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of an entry.  `known`: it was there before, nothing was changed.

    `slot` is None for a frame that has none: it was never asked for, or its slot was settled before (`extra`).
    """

    event_ids: tuple[int, ...] = ()
    slot: SlotKey | None = None
    extra: bool = False
    known: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """What became of an order to hold or to resume: the camera's hold now, and all that are known of it.

    `hold` is None where nothing holds it.
    """

    changed: bool
    hold: CameraHold | None
    known: tuple[CameraHold, ...]


class Journal(Entries):
    """What happened: frames, gaps, shoots, holds, configuration."""

    # --- frames and gaps ----------------------------------------------------------------------------------------

    def keep(
        self, frame: Frame, slot: SlotKey | None, events: Sequence[Event], *, day: str, settled_to_us: int | None = None
    ) -> Kept:
        """A frame whose file is safe, for its slot or for none.  `day` is the site day that counts it, `yyyy-mm-dd`.

        Idempotent by the frame's id.  With `settled_to_us` the camera's ledger is complete until then.
        """
        now_us = self.clock.now_us()

        def work(session: Session) -> Kept:
            kept = _keep(session, frame, slot, day, now_us)
            _settle(session, frame.camera, settled_to_us)
            return kept if kept.known else _with_events(session, kept, events, now_us)

        return self.write(work, urgent=True)

    def quarantine(
        self, frame: Frame, gap: Gap | None, events: Sequence[Event], *, day: str, settled_to_us: int | None = None
    ) -> Kept:
        """A damaged picture put aside, and the gap that its slot became; no gap where no slot had asked for it."""
        now_us = self.clock.now_us()

        def work(session: Session) -> Kept:
            known = not frames.insert(session, frame)
            missed = gap is not None and bool(_miss(session, [(gap, day)], now_us))
            _settle(session, frame.camera, settled_to_us)
            kept = Kept(known=known, extra=gap is not None and not missed)
            return kept if known else _with_events(session, kept, events, now_us)

        return self.write(work, urgent=True)

    def gap(self, gap: Gap, events: Sequence[Event], *, day: str, settled_to_us: int | None = None) -> Kept:
        """A due slot that has no frame."""
        now_us = self.clock.now_us()

        def work(session: Session) -> Kept:
            missed = _miss(session, [(gap, day)], now_us)
            _settle(session, gap.slot.camera, settled_to_us)
            return _with_events(session, Kept(slot=gap.slot), events, now_us) if missed else Kept(known=True)

        return self.write(work, urgent=True)

    def gaps(self, gaps: Sequence[Gap], *, day_of: Callable[[int], str], settled_to_us: int) -> int:
        """Many gaps of one camera, in short transactions; how many were new.

        Each carries an event for those of its gaps that were new, by reason; the last one completes the ledger.
        `day_of` gives the site day of UTC microseconds.
        """
        dated = [(gap, day_of(gap.slot.due_us)) for gap in gaps]
        batches = [dated[start : start + BULK] for start in range(0, len(dated), BULK)]
        return sum(self._gaps(batch, settled_to_us if batch is batches[-1] else None) for batch in batches)

    def _gaps(self, gaps: Sequence[tuple[Gap, str]], settled_to_us: int | None) -> int:
        now_us, camera = self.clock.now_us(), gaps[0][0].slot.camera

        def work(session: Session) -> int:
            new = _miss(session, gaps, now_us)
            log.append(session, _told(new), now_us)
            _settle(session, camera, settled_to_us)
            return len(new)

        return self.write(work)

    def begin_ledgers(self, cameras: Sequence[str]) -> None:
        """At start, before any loop: from here on a slot of theirs that nobody settles is found at the next start."""
        now_us = self.clock.now_us()
        self.write(lambda session: ledger.begin(session, cameras, now_us))

    def settle(self, camera: str, to_us: int) -> None:
        """Every slot of the camera due until then has its frame or its gap."""
        self.write(lambda session: ledger.settle(session, camera, to_us))

    # --- shoots -------------------------------------------------------------------------------------------------

    def open_shoot(self, shoot: str, start_us: int, end_us: int) -> bool:
        """A window has begun; False where it was open already.  `shoot` is camera/schedule/date/profile."""
        now_us = self.clock.now_us()

        def work(session: Session) -> bool:
            new = ledger.open_shoot(session, shoot, start_us, end_us)
            if new:
                camera, schedule, date, profile = shoot.split("/")
                log.append(session, [ShootOpened(shoot, camera, schedule, profile, date)], now_us)
            return new

        return self.write(work)

    def close_shoot(self, shoot: str, *, video: bool = False, least: int = 0) -> Shoot | None:
        """A window is over and its slots are settled: its final counts, once; None where it was closed before.

        With `video` the job that renders it is asked for in the same transaction, so also just once; not of fewer
        than `least` frames where somebody held the camera: nothing has failed then.
        """
        now_us, job = self.clock.now_us(), self.clock.new_id()

        def work(session: Session) -> Shoot | None:
            done = ledger.close_shoot(session, shoot)
            if done is not None:
                log.append(session, [_closed(done)], now_us)
                if video and not (done.captured < least and ledger.count_held(session, shoot)):
                    _ask_video(session, done, job, now_us)
            return done

        return self.write(work)

    # --- holds --------------------------------------------------------------------------------------------------

    def hold(self, wanted: CameraHold, actor: Actor) -> Held:
        """The camera is held, or its hold has this reason and end from now on."""
        now_us = self.clock.now_us()

        def work(session: Session) -> Held:
            before = _lapse(session, wanted.camera, now_us)
            same = before is not None and (before.reason, before.until_us) == (wanted.reason, wanted.until_us)
            if before is None or not same:
                now = holds.change(session, before, wanted) if before else holds.begin(session, wanted)
                told = CameraHeld(now.camera, now.reason, actor.who, now.from_us, now.until_us)
                log.append(session, [told], now_us)
            log.record(session, actor, Change("camera hold", f"camera/{wanted.camera}"), now_us)
            return _held(session, wanted.camera, changed=not same)

        return self.write(work, urgent=True)

    def resume(self, camera: str, actor: Actor) -> Held:
        """The camera is not held any more; nothing changes where it was not."""
        now_us = self.clock.now_us()

        def work(session: Session) -> Held:
            before = _lapse(session, camera, now_us)
            if before is not None:
                _end(session, before, actor, now_us, now_us)
            log.record(session, actor, Change("camera resume", f"camera/{camera}"), now_us)
            return _held(session, camera, changed=before is not None)

        return self.write(work, urgent=True)

    def end_hold(self, camera: str) -> Held:
        """A hold whose time is over ends as of then, once."""
        now_us = self.clock.now_us()

        def work(session: Session) -> Held:
            before = holds.find_open(session, camera)
            left = _lapse(session, camera, now_us)
            return _held(session, camera, changed=before is not None and left is None)

        return self.write(work)

    def forget_holds(self, before_us: int) -> int:
        """Those that ended before then, but for each camera's newest; how many went."""
        return self.write(lambda session: holds.forget(session, before_us))

    # --- what else happened -------------------------------------------------------------------------------------

    def note(self, events: Sequence[Event]) -> tuple[int, ...]:
        """Events that change no row; their ids."""
        now_us = self.clock.now_us()
        return self.write(lambda session: log.append(session, events, now_us))

    def audit(self, actor: Actor, change: Change) -> None:
        """Who did what, or tried to."""
        now_us = self.clock.now_us()
        self.write(lambda session: log.record(session, actor, change, now_us))

    def claim_key(self, request: Request) -> Answer | None:
        """None: do the action.  Else what was answered to the key, or that it is being done.  Raises KeyReused."""
        now_us = self.clock.now_us()
        return self.write(lambda session: log.claim_key(session, request, now_us))

    def answer_key(self, request: Request, answer: Answer) -> None:
        """Remember for 24 hours what was answered."""
        self.write(lambda session: log.answer_key(session, request, answer))

    def release_key(self, request: Request) -> None:
        """The action failed and may be asked for again."""
        self.write(lambda session: log.release_key(session, request))

    def release_unanswered(self) -> int:
        """At start: forget keys whose action an earlier life of this process did not finish."""
        return self.write(log.release_unanswered)

    def trim_events(self, before_us: int, most_rows: int) -> int:
        """Forget events older than that, or beyond the newest `most_rows`, in short transactions; how many went."""
        gone = 0
        while batch := self.database.write(lambda session: log.trim(session, before_us, most_rows)):
            gone += batch
        return gone

    # --- configuration ------------------------------------------------------------------------------------------

    def begin_book(self, document: Mapping[str, Any] | None = None) -> Running:
        """What runs; at the first start that is version 1: this document, or the empty one."""
        now_us = self.clock.now_us()
        return self.write(lambda session: configs.begin(session, now_us, document))

    def put_config(
        self, document: Mapping[str, Any], if_match: int, actor: Actor, from_us: int, proof: Proof | None
    ) -> Running:
        """A new version that decides about slots due after `from_us`.  The same document again changes nothing.

        Raises VersionMoved where another version than `if_match` runs, ProbationRunning.
        """
        now_us = self.clock.now_us()

        def work(session: Session) -> Running:
            before = configs.running(session)
            if before.version.digest == digest(document):
                return before
            configs.check_moved(session, if_match)
            version = configs.add(session, document, now_us, who=actor.who, origin="put")
            return _activate(session, version, _Swap("config put", before, actor, from_us, proof), now_us)

        return self.write(work)

    def activate_config(self, version: int, if_match: int, actor: Actor, from_us: int, proof: Proof | None) -> Running:
        """An earlier version runs again.  Raises VersionMoved, UnknownVersion, ProbationRunning."""
        now_us = self.clock.now_us()

        def work(session: Session) -> Running:
            before = configs.check_moved(session, if_match)
            return _activate(session, version, _Swap("config rollback", before, actor, from_us, proof), now_us)

        return self.write(work)

    def confirm_config(self, version: int) -> Running:
        """What is on probation has proved itself; nothing changes where that version is not (or no more)."""
        now_us = self.clock.now_us()

        def work(session: Session) -> Running:
            now = configs.running(session)
            if now.version.version != version or now.activation.state != configs.PROBATION:
                return now
            done = configs.confirm(session)
            log.append(session, [ConfigConfirmed(version, now.version.digest, done.good_seen)], now_us)
            log.record(session, NODE, _change("config confirmed", now, now), now_us)
            return configs.running(session)

        return self.write(work)

    def roll_back_config(self, version: int, reason: str, from_us: int, actor: Actor = NODE) -> Running:
        """The version on probation failed: the one before it runs again.

        Nothing changes where that version is not on probation (or no more).
        """
        now_us = self.clock.now_us()

        def work(session: Session) -> Running:
            before = configs.running(session)
            if before.version.version != version or before.activation.state != configs.PROBATION:
                return before
            configs.roll_back(session, from_us, reason)
            after = configs.running(session)
            back = ConfigRolledBack(version, after.version.version, after.version.digest, reason)
            log.append(session, [back], now_us)
            log.record(session, actor, _change("config rolled back", before, after), now_us)
            return after

        return self.write(work)

    def make_provisional(self, version: int, unproved: Mapping[str, int]) -> Running:
        """Nothing speaks against what is on probation, and not enough for it; `unproved` is what it still has to show.

        Nothing changes where that version is not on probation (or no more), or runs provisionally already.
        """
        now_us = self.clock.now_us()

        def work(session: Session) -> Running:
            now = configs.running(session)
            on_probation = now.activation.state == configs.PROBATION and not now.activation.provisional
            if now.version.version != version or not on_probation:
                return now
            configs.make_provisional(session, now_us, unproved)
            ways = tuple(sorted(way for way, count in unproved.items() if count))
            told = ConfigProvisional(version, now.version.digest, now.activation.good_seen, ways)
            log.append(session, [told], now_us)
            log.record(session, NODE, _change("config provisional", now, now), now_us)
            return configs.running(session)

        return self.write(work)

    def note_good(self, owed: Mapping[str, int], unproved: Mapping[str, int]) -> Activation:
        """One more good frame on probation; the two are what is still to come, by `camera/profile`."""
        return self.write(lambda session: configs.note_good(session, owed, unproved))

    def count_start(self) -> Activation:
        """The process has started once more while on probation."""
        return self.write(configs.count_start)

    def prune_configs(self, keep: int, ledger_us: int) -> int:
        """Forget versions beyond the newest `keep` that nothing needs; how many went."""
        return self.write(lambda session: configs.prune(session, keep, ledger_us))


def _keep(session: Session, frame: Frame, slot: SlotKey | None, day: str, now_us: int) -> Kept:
    if not frames.insert(session, frame):
        return Kept(known=True)
    if frame.score is not None and not frame.quarantined:
        ledger.count_score(session, frame, day)
    if slot is None:
        return Kept()
    if not ledger.claim(session, frame, slot, now_us):
        frames.release_slot(session, frame.id)
        return Kept(extra=True)
    ledger.count_captured(session, frame, slot, day)
    return Kept(slot=slot)


def _miss(session: Session, gaps: Sequence[tuple[Gap, str]], settled_us: int) -> list[Gap]:
    """Those that were new."""
    new = [(gap, day) for gap, day in gaps if ledger.miss(session, gap, settled_us)]
    ledger.count_missed(session, new)
    return [gap for gap, _ in new]


def _told(gaps: Sequence[Gap]) -> Iterator[GapsRecorded]:
    for reason in dict.fromkeys(gap.reason for gap in gaps):
        slots = [gap.slot for gap in gaps if gap.reason is reason]
        yield GapsRecorded(slots[0].camera, reason.value, len(slots), slots[0].due_us, slots[-1].due_us)


def _settle(session: Session, camera: str, to_us: int | None) -> None:
    if to_us is not None:
        ledger.settle(session, camera, to_us)


def _with_events(session: Session, kept: Kept, events: Sequence[Event], now_us: int) -> Kept:
    return replace(kept, event_ids=log.append(session, events, now_us))


def _held(session: Session, camera: str, *, changed: bool) -> Held:
    return Held(changed, holds.find_open(session, camera), holds.of_camera(session, camera))


def _lapse(session: Session, camera: str, now_us: int) -> CameraHold | None:
    """What holds the camera now; what did until its time was over is ended first."""
    hold = holds.find_open(session, camera)
    if hold is None or not hold.lapsed(now_us):
        return hold
    _end(session, hold, NODE, now_us if hold.until_us is None else hold.until_us, now_us)
    log.record(session, NODE, Change("camera resume", f"camera/{camera}"), now_us)
    return None


def _end(session: Session, hold: CameraHold, actor: Actor, ended_us: int, now_us: int) -> None:
    holds.end(session, hold, ended_us)
    held_s = round(max(0, ended_us - hold.from_us) / US, 3)
    log.append(session, [CameraResumed(hold.camera, actor.who, held_s)], now_us)


def _ask_video(session: Session, shoot: Shoot, job: str, now_us: int) -> None:
    ledger.ask_video(session, shoot.shoot)
    payload = {"camera": shoot.camera, "profile": shoot.profile, "shoot": shoot.shoot}
    jobs.enqueue(session, jobs.Asked("render", shoot.shoot, payload, who="window"), job, now_us)


def _closed(shoot: Shoot) -> ShootClosed:
    return ShootClosed(
        shoot=shoot.shoot,
        camera=shoot.camera,
        schedule=shoot.schedule,
        profile=shoot.profile,
        date=shoot.date,
        due=shoot.due,
        captured=shoot.captured,
        failed=shoot.failed,
        degraded=shoot.degraded,
    )


@dataclass(frozen=True, slots=True)
class _Swap:
    """One version in place of another: what it is called, what ran before, who wants it, from when, what it owes."""

    action: str
    before: Running
    actor: Actor
    from_us: int
    proof: Proof | None


def _activate(session: Session, version: int, swap: _Swap, now_us: int) -> Running:
    configs.activate(session, version, swap.from_us, swap.proof)
    after = configs.running(session)
    previous, probation = swap.before.version.version, swap.proof is not None
    event = ConfigActivated(version, after.version.digest, previous, probation, swap.actor.who)
    log.append(session, [event], now_us)
    log.record(session, swap.actor, _change(swap.action, swap.before, after), now_us)
    return after


def _change(action: str, before: Running, after: Running) -> Change:
    return Change(action, f"config/{after.version.version}", before.version.digest, after.version.digest)
