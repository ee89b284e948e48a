"""A changed document proves itself with fresh good frames, or the node puts the old one back.

The version book says what runs; `Live` is its image in memory.  Both change together, between two captures.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from node.clock import US, Clock
from node.crashpoint import crash_point
from node.domain.config import Document, Quality, differing
from node.domain.errors import DatabaseError, DiskError, NothingToRollBack
from node.domain.facts import ConfigFacts
from node.domain.nodefile import Probation
from node.domain.quality import is_day
from node.imaging.baseline import EVERY_LIGHT
from node.journal import NODE, Journal
from node.store import configs
from node.store.configs import Proof, Running, VersionBook
from node.store.log import Actor
from node.work.live import Compiler, Live, Segment
from node.work.proof import FINE, Seen, Shown, Trial, Way

MOST_STARTS = 3
INTERVALS = 4
NEXT_SLOTS = 3
DAY_US = 86400 * US
LOOK_US = 7 * DAY_US
OWN_HISTORY_US = 3 * DAY_US
DARK_FOR_US, STRIDE_US = 2 * DAY_US, 600 * US
"""Slots of so many days all by night: then a night's pictures are the proof.  One is looked at each ten minutes."""
KEPT_SPAN_US = 400 * DAY_US
PROOFS_PER_FRAME = 3
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cameras:
    """What the reload asks of the capture loops: which cameras work now, a look again, a proof shot.

    `light` is the mean luminance of each camera's last good frame, where that is not long ago.  `held` says whether
    a slot of the camera due then will be left out, because somebody holds it.  `usual` is the mean score of a camera's
    pictures with a profile in that light before an instant, None = too few; `compare` has two shots taken, one under
    the version before and one under what is on probation.
    """

    working: Callable[[], tuple[str, ...]]
    light: Callable[[], dict[str, float]]
    wake: Callable[[], None]
    prove: Callable[[str, str], None]
    held: Callable[[str, int], bool]
    usual: Callable[[str, str, str, int], float | None]
    compare: Callable[[str, str], None]


NO_CAMERAS = Cameras(tuple, dict, lambda: None, lambda *_: None, lambda *_: False, lambda *_: None, lambda *_: None)
"""Before the loops are there."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The running version after a change.  `changed` is False where that document was running already."""

    running: Running
    previous: int
    changed: bool


@dataclass(frozen=True, slots=True)
class CameraOutlook:
    """What a document would ask of one camera: its next slots, and its slots of a day, now and then."""

    camera: str
    next_due_us: tuple[int, ...]
    per_day: float
    per_day_now: float


class Reload:
    """The one owner of the document in force.  Safe from any thread."""

    def __init__(self, book: VersionBook, journal: Journal, compiler: Compiler, rules: Probation, clock: Clock) -> None:
        """Loads what runs.  Raises DocumentInvalid where that document cannot be used by this release."""
        self._book, self._journal, self._compiler = book, journal, compiler
        self._rules, self._clock = rules, clock
        self._lock = threading.RLock()
        self._cameras = NO_CAMERAS
        self._running = book.current()
        self.live = Live(self._segments(clock.now_us()))
        self._trial: Trial | None = None
        self._in_doubt = False

    def begin(self, cameras: Cameras) -> None:
        """At start, once the capture loops are there: go on with a probation, unless it brings the service down."""
        self._cameras = cameras
        if self._running.activation.state != configs.PROBATION:
            return
        starts = self._journal.count_start().starts
        if starts >= MOST_STARTS:
            self.roll_back_trial("crash_loop")
        else:
            self._start_trial()

    # --- changes ----------------------------------------------------------------------------------------------

    def check(self, given: Mapping[str, Any]) -> Document:
        """The document, valid for this node.  Raises DocumentInvalid with every wrong field."""
        return self._compiler.check(given, self._clock.now_us())

    def put(self, given: Mapping[str, Any], if_match: int, actor: Actor) -> Outcome:
        """A new document, on probation from now.  Raises DocumentInvalid, VersionMoved, ProbationRunning."""
        document = self.check(given)
        return self._swap(
            document, lambda from_us, proof: self._journal.put_config(given, if_match, actor, from_us, proof)
        )

    def roll_back(self, version: int | None, actor: Actor) -> Outcome:
        """That version again, on probation; without a number the one before.  What is on probation is given up.

        Raises UnknownVersion, NothingToRollBack.
        """
        with self._lock:
            before = self._running
            wanted = before.activation.previous if version is None else version
            if wanted is None:
                raise NothingToRollBack
            given = self._book.get(wanted).document
            if before.activation.state == configs.PROBATION:
                self.roll_back_trial("operator", actor)
                if self._running.version.version == wanted:
                    return Outcome(self._running, before.version.version, changed=True)
            now = self._running.version.version
            return self._swap(
                self._compiler.compile(0, wanted, given).document,
                lambda from_us, proof: self._journal.activate_config(wanted, now, actor, from_us, proof),
            )

    def outlook(self, given: Mapping[str, Any]) -> tuple[CameraOutlook, ...]:
        """What a document would ask for, beside what the one in force does.  Raises DocumentInvalid."""
        document, now_us = self.check(given), self._clock.now_us()
        _, calendar = self._compiler.calendar(document)
        current = self.live.current.calendar
        return tuple(
            CameraOutlook(
                camera,
                tuple(due.slot.due_us for due in islice(calendar.due(camera, now_us, now_us + LOOK_US), NEXT_SLOTS)),
                float(calendar.count(camera, now_us, now_us + DAY_US)),
                float(current.count(camera, now_us, now_us + DAY_US)),
            )
            for camera in self._compiler.cameras
        )

    def differing(self, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Dotted paths at which a document differs from the one in force, as both were given."""
        with self._lock:
            running = self._running.version.document
        return differing(running, given)

    # --- probation --------------------------------------------------------------------------------------------

    def judged(self, camera: str, profile: str, version: int, seen: Seen) -> None:
        """One fresh shot, taken under that version.  Cheap where nothing is on probation."""
        if self._trial is None:
            return
        with self._lock:
            if self._trial is None or self._trial.version != version:
                return
            self._take(self._trial, (camera, profile), seen)
            self._unless_busy(self._decide)

    def compared(self, camera: str, profile: str, version: int, better: float | None) -> None:
        """Two shots of one moment: by how many points the version before was better; None = no pair came about."""
        with self._lock:
            if self._trial is not None and self._trial.version == version:
                self._trial.compared((camera, profile), better)
                self._unless_busy(self._decide)

    def before_trial(self) -> Segment | None:
        """The version that what is on probation would go back to."""
        with self._lock:
            previous = self._running.activation.previous
            if self._trial is None or previous is None:
                return None
            return self._compiler.compile(self._clock.now_us(), previous, self._book.get(previous).document)

    def tick(self) -> None:
        """Once a second: the deadline, and proof shots where no slot comes in time."""
        with self._lock:
            if self._in_doubt:
                self._unless_busy(self._look_up)
            trial = self._trial
            if trial is None:
                return
            self._watch(trial)
            self._unless_busy(self._decide)
            for way in [way for way in trial.owed if self._wants_proof(trial, way)]:
                trial.proof_s[way] = self._clock.monotonic()
                self._cameras.prove(*way)
            for way in [way for way in trial.suspected if self._wants_pair(trial, way)]:
                trial.proof_s[way] = self._clock.monotonic()
                self._cameras.compare(*way)

    def roll_back_trial(self, reason: str, actor: Actor = NODE) -> None:
        """The version on probation failed: the one before it decides about slots from now on."""
        with self._lock, self.live.steady():
            version, now_us = self._running.version.version, self._clock.now_us()
            crash_point("before_rollback")
            with self._doubted():
                self._running = self._journal.roll_back_config(version, reason, now_us, actor)
            crash_point("rolled_back")
            self._trial = None
            self._take_over(now_us)
        LOG.warning("configuration rolled back", extra={"version": version, "reason": reason})

    def quality_of(self, segment: Segment) -> Quality:
        """What the pictures of that document are judged by."""
        trial = self._trial
        return trial.quality if trial is not None and trial.version == segment.version else segment.document.quality

    def usual_light(self, camera: str, segment: Segment) -> float | None:
        """The camera's mean luminance before that document, while it is on probation."""
        trial = self._trial
        return trial.light.get(camera) if trial is not None and trial.version == segment.version else None

    def facts(self) -> ConfigFacts:
        """For the board."""
        with self._lock:
            running, trial, segment = self._running, self._trial, self.live.current
        owed = sum((trial.unproved if trial.provisional else trial.owed).values()) if trial else 0
        needed = len(trial.owed) * self._rules.good_frames if trial else 0
        return ConfigFacts(
            version=running.version.version,
            digest=running.version.digest,
            site=segment.document.site.name,
            timezone=segment.document.site.timezone,
            probation_until_us=trial.deadline_us if trial and not trial.provisional else None,
            provisional=trial is not None and trial.provisional,
            good_needed=needed,
            good_seen=needed - owed,
            unknown_fields=segment.unknown_fields,
        )

    # --- inside -----------------------------------------------------------------------------------------------

    def _swap(self, document: Document, enter: Callable[[int, Proof], Running]) -> Outcome:
        with self._lock, self.live.steady():
            before, now_us = self._running, self._clock.now_us()
            ways = self._owing(document)
            owed = dict.fromkeys(ways, self._rules.good_frames)
            proof = Proof(
                now_us + round(self._span_s(document) * US), sum(owed.values()), _text(owed), self._cameras.light()
            )
            crash_point("before_activation")
            with self._doubted():
                self._running = enter(now_us, proof)
            crash_point("activated")
            changed = self._running.activation.id != before.activation.id
            if changed:
                self._take_over(now_us)
                self._start_trial()
        return Outcome(self._running, before.version.version, changed)

    def _take_over(self, from_us: int) -> None:
        """The version that runs in the book now decides in memory too."""
        version = self._running.version
        self.live.swap(self._compiler.compile(from_us, version.version, version.document))
        self._cameras.wake()

    @contextmanager
    def _doubted(self) -> Iterator[None]:
        """A change that the database did not confirm in time may have been made all the same: the next tick looks."""
        try:
            yield
        except (DatabaseError, DiskError):
            self._in_doubt = True
            raise

    def _look_up(self) -> None:
        """What the book says runs, where that was in doubt."""
        before, self._running = self._running, self._book.current()
        self._in_doubt = False
        if self._running.activation.id == before.activation.id:
            return
        with self.live.steady():
            self._take_over(self._running.activation.from_us)
        self._trial = None
        if self._running.activation.state == configs.PROBATION:
            self._start_trial()

    def _take(self, trial: Trial, way: Way, seen: Seen) -> None:
        """Into the trial and, where it counts, into the book."""
        usual = None if seen.score is None else self._usual(way, seen.light)
        if not trial.take(way, self._weighed(seen, way) if usual is None else seen.shown):
            return
        if usual is not None and seen.score is not None:
            trial.note_below(way, usual - seen.score)
        if trial.provisional:
            trial.due_s[way] = self._clock.monotonic() + self._span_s(self.live.current.document)
        owed, unproved = _text(trial.owed), _text(trial.unproved)
        self._unless_busy(lambda: self._journal.note_good(owed, unproved))

    def _usual(self, way: Way, of_light: str) -> float | None:
        """The score before the document that runs.  A database that does not answer knows none."""
        try:
            return self._cameras.usual(*way, of_light, self._running.activation.from_us)
        except DatabaseError as error:
            LOG.warning("usual score is not known", extra={"error": str(error)})
            return None

    def _weighed(self, seen: Seen, way: Way) -> Shown:
        """A history that only this document's own pictures made proves nothing where there is one of another light.

        After three days it does: that light may not come again.
        """
        known = seen.shown in FINE and seen.score is not None and any(self._usual(way, each) for each in EVERY_LIGHT)
        recent = self._clock.now_us() - self._running.activation.from_us < OWN_HISTORY_US
        return Shown.PLAUSIBLE if known and recent else seen.shown

    def _start_trial(self) -> None:
        """Of what is on probation in the book.  What a release before has not counted is not proved."""
        activation, document = self._running.activation, self.live.current.document
        now_us, span_s = self._clock.now_us(), self._span_s(document)
        deadline_us = activation.deadline_us or now_us
        left_s = min(max(0.0, (deadline_us - now_us) / US), span_s)
        owed = {_way(text): count for text, count in activation.owed.items()}
        self._trial = Trial(
            activation.version,
            deadline_us,
            self._clock.monotonic() + left_s,
            owed,
            {way: activation.unproved.get("/".join(way), self._rules.good_frames) for way in owed},
            self._trial_quality(activation.previous, document),
            activation.light,
            frozenset(way for way in owed if self._first_by_light(way, DARK_FOR_US) is None),
            activation.provisional,
        )

    def _first_by_light(self, way: Way, within_us: int) -> int | None:
        """When its next slot comes by light; None = not within that time."""
        segment, (camera, profile), now_us = self.live.current, way, self._clock.now_us()
        at_us, until_us = now_us, now_us + within_us
        while at_us < until_us:
            coming = segment.calendar.due(camera, at_us, until_us)
            due_us = next((due.slot.due_us for due in coming if due.slot.profile == profile), until_us)
            if due_us < until_us and self._shows(segment, due_us):
                return due_us
            at_us = due_us + STRIDE_US
        return None

    def _shows(self, segment: Segment, at_us: int) -> bool:
        """Whether there is light then; where the sun's place is not known, every hour may be bright."""
        if segment.sun is None:
            return True
        return is_day(segment.sun.elevation_deg(at_us), self.quality_of(segment).limits) is True

    def _watch(self, trial: Trial) -> None:
        """While it runs provisionally: until when each way has to show something.

        Nothing is wanted of a camera that is held, or where no slot came since the last fine picture: its window is
        over, and the next one tells.
        """
        if not trial.provisional:
            return
        now_s, span_s = self._clock.monotonic(), self._span_s(self.live.current.document)
        for way in trial.doubted:
            held = self._cameras.held(way[0], self._clock.now_us())
            if held or (now_s >= trial.due_s.get(way, math.inf) and not self._came(trial, way, span_s)):
                trial.due_s.pop(way, None)
            if not held and way not in trial.due_s:
                trial.due_s[way] = now_s + self._until_light_s(trial, way) + span_s

    def _until_light_s(self, trial: Trial, way: Way) -> float:
        """Seconds until its next slot that tells; where none comes in a week, it is looked at again then."""
        now_us = self._clock.now_us()
        if way in trial.by_night:
            coming = self.live.current.calendar.due(way[0], now_us, now_us + LOOK_US)
            first_us = next((due.slot.due_us for due in coming if due.slot.profile == way[1]), None)
        else:
            first_us = self._first_by_light(way, LOOK_US)
        return (LOOK_US if first_us is None else first_us - now_us) / US

    def _came(self, trial: Trial, way: Way, span_s: float) -> bool:
        """Whether a slot that tells has come due in the last `span_s`."""
        segment, now_us = self.live.current, self._clock.now_us()
        past = segment.calendar.due(way[0], max(segment.from_us, now_us - round(span_s * US)), now_us)
        return any(
            due.slot.profile == way[1] and (way in trial.by_night or self._shows(segment, due.slot.due_us))
            for due in past
        )

    def _trial_quality(self, previous: int | None, document: Document) -> Quality:
        """The judge of the version before, where it judged at all: no document says by itself what good is."""
        if previous is None:
            return document.quality
        before = self._compiler.compile(0, previous, self._book.get(previous).document).document.quality
        return before if before.enabled else document.quality

    def _owing(self, document: Document) -> tuple[Way, ...]:
        """What must show good frames: the cameras that work now, or all where none does, with all their profiles."""
        enabled = tuple(camera for camera in self._compiler.cameras if document.camera(camera).enabled)
        working = tuple(camera for camera in self._cameras.working() if camera in enabled)
        return tuple((camera, profile) for camera in working or enabled for profile in document.profiles_of(camera))

    def _span_s(self, document: Document) -> float:
        """Seconds that a document has to prove itself."""
        intervals = [each.interval_s for each in document.effective_schedules().values() if each.enabled]
        return max(self._rules.min_s, INTERVALS * max(intervals, default=0))

    def _unless_busy(self, act: Callable[[], object]) -> None:
        """A database that does not take the write delays a decision; the next tick comes to it again."""
        try:
            act()
        except (DatabaseError, DiskError) as error:
            LOG.warning("probation goes on undecided", extra={"error": str(error)})

    def _decide(self) -> None:
        trial = self._trial
        if trial is None:
            return
        if trial.failure:
            self.roll_back_trial(trial.failure)
        elif trial.done and trial.suspected:
            return  # the version before is tried beside it
        elif trial.proved:
            self._running = self._journal.confirm_config(trial.version)
            crash_point("confirmed")
            self._trial = None
            LOG.info("configuration confirmed", extra={"version": trial.version})
        elif trial.done and not trial.provisional:
            self._make_provisional(trial)
        elif trial.late(self._clock.monotonic()):
            self.roll_back_trial("no_confirmation")

    def _make_provisional(self, trial: Trial) -> None:
        """What has shown nothing beyond doubt shows all of it again, in a light that tells."""
        unproved = {way: self._rules.good_frames if count else 0 for way, count in trial.unproved.items()}
        crash_point("before_provisional")
        self._running = self._journal.make_provisional(trial.version, _text(unproved))
        crash_point("provisional")
        trial.provisional, trial.unproved = True, unproved
        trial.begin_again()
        LOG.info("configuration runs provisionally", extra={"version": trial.version, "unproved": _text(unproved)})

    def _wants_proof(self, trial: Trial, way: Way) -> bool:
        """Where the slots to come are too few to confirm, and the last proof shot is a while ago."""
        if self._trial is not trial or trial.provisional or not trial.owed[way]:
            return False
        camera, profile = way
        now_us, now_s = self._clock.now_us(), self._clock.monotonic()
        until_us = now_us + round((trial.deadline_s - now_s) * US)
        coming = (
            due
            for due in self.live.current.calendar.due(camera, now_us, until_us)
            if due.slot.profile == profile and not self._cameras.held(camera, due.slot.due_us)
        )
        if len(list(islice(coming, trial.owed[way]))) == trial.owed[way]:
            return False
        return self._paused(trial, way)

    def _wants_pair(self, trial: Trial, way: Way) -> bool:
        return self._trial is trial and trial.done and self._paused(trial, way)

    def _paused(self, trial: Trial, way: Way) -> bool:
        """Whether the last shot of that way that no slot asked for is a while ago."""
        pause_s = self._rules.min_s / (PROOFS_PER_FRAME * self._rules.good_frames)
        return self._clock.monotonic() - trial.proof_s.get(way, -pause_s) >= pause_s

    def _segments(self, now_us: int) -> list[Segment]:
        """The documents of the time whose slots may not be settled yet, up to the one that runs."""
        spans = self._book.timeline(now_us - KEPT_SPAN_US, now_us)
        return [self._compiler.compile(span.from_us, span.version, span.document) for span in spans]


def _text(owed: Mapping[Way, int]) -> dict[str, int]:
    """As the version book keeps it."""
    return {"/".join(way): count for way, count in owed.items()}


def _way(text: str) -> Way:
    camera, _, profile = text.partition("/")
    return camera, profile
