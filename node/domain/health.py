"""Facts in, conditions out: alerts, the node's state and its cameras' states.

`RULES` is the one table of conditions.  Facts lie on the board with the time each was learnt; a loop that hangs shows
as a fact with an old time.  Expected idle, probation and warming up are information, not sickness.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from node.domain import access, labour, room
from node.domain.config import AlertLimits
from node.domain.events import AlertCleared, AlertRaised, Event
from node.domain.facts import (
    Alert,
    CameraFacts,
    Learnt,
    LoopFacts,
    NodeFacts,
    Severity,
    camera_key,
    loop_key,
)
from node.domain.pressure import Step

US = 1_000_000
DAY_US = 86400 * US
CERTIFICATE_WARN_DAYS, CERTIFICATE_CRIT_DAYS = 21, 3
"""A node's certificate is renewed below 120 days: at these, nobody has run the playbook for long."""
SILENT_AFTER_S = 4.0  # with the usual hold-down of 5 s and a judge that looks each second: within 10 s
SILENT_AT_LAST_S = 10.0

State = Literal["ok", "warn", "crit"]
CameraState = Literal["ok", "idle", "warming", "recovering", "offline", "disabled"]

# --- conditions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class View:
    """What a rule looks at: the facts, the limits of the live document, and the UTC microseconds of now."""

    facts: NodeFacts
    limits: AlertLimits
    now_us: int


Finding = tuple[str, str]
"""Subject (a camera, a loop, `node`, `disk` ...) and sentence."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition.  Its place in RULES is its priority within its severity."""

    code: str
    severity: Severity
    meaning: str
    find: Callable[[View], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Condition:
    """A rule that applies now to one subject."""

    code: str
    severity: Severity
    subject: str
    sentence: str

    @property
    def key(self) -> tuple[str, str]:
        return self.code, self.subject


def _disk_unwritable(view: View) -> Iterator[Finding]:
    if view.facts.disk and view.facts.disk.value.error_code:
        yield "disk", f"The data directory cannot be written ({view.facts.disk.value.error_code})."


def _database_fault(view: View) -> Iterator[Finding]:
    if view.facts.database and view.facts.database.value.error_code:
        yield "database", f"The database does not take writes ({view.facts.database.value.error_code})."


def _unrecorded(view: View) -> Iterator[Finding]:
    if view.facts.database and view.facts.database.value.unrecorded:
        yield (
            "database",
            f"{view.facts.database.value.unrecorded} entries wait for the database; the frames among them are on disk.",
        )


def is_silent(pulse: Learnt[LoopFacts], now_us: int, grace_s: float = SILENT_AFTER_S) -> bool:
    """Whether a loop is overdue.  A pulse from the future is as bad: the clock was set back and the loop is gone."""
    return abs(now_us - pulse.at_us) > (pulse.value.interval_s + grace_s) * US


def _silence(name: str) -> str:
    return f"The {name} loop is silent."


def _loop_silent(view: View) -> Iterator[Finding]:
    for pulse in view.facts.loops:
        if is_silent(pulse, view.now_us):
            yield pulse.value.name, _silence(pulse.value.name)


def _loop_failing(view: View) -> Iterator[Finding]:
    for pulse in view.facts.loops:
        if pulse.value.failures:
            yield pulse.value.name, f"The {pulse.value.name} loop fails and goes on ({pulse.value.error})."


def _enabled(view: View) -> Iterator[CameraFacts]:
    return (fact.value for fact in view.facts.cameras if fact.value.enabled)


def _camera_offline(view: View) -> Iterator[Finding]:
    for camera in _enabled(view):
        if camera.word == "offline":
            yield camera.name, f"Camera {camera.name} is offline ({camera.error_code or 'cause not known'})."


def _camera_recovering(view: View) -> Iterator[Finding]:
    for camera in _enabled(view):
        if camera.word == "recovering":
            yield camera.name, f"Camera {camera.name} is being recovered ({camera.error_code or 'cause not known'})."


def stale_after_s(interval_s: int, limits: AlertLimits) -> float:
    """How old the last good frame may be, in seconds."""
    return max(limits.stale_min_s, limits.stale_intervals * interval_s)


def _no_good_frame(view: View) -> Iterator[Finding]:
    started_us = view.facts.identity.value.started_us if view.facts.identity else view.now_us
    for camera in _enabled(view):
        if camera.interval_s is None or camera.expected_since_us is None:
            continue
        # a camera that never gave a good frame is measured from the start; one that did, from its last
        before_us = started_us if camera.last_good_us is None else camera.last_good_us
        waited_s = (view.now_us - max(before_us, camera.expected_since_us)) / US
        if waited_s > stale_after_s(camera.interval_s, view.limits):
            yield camera.name, f"Camera {camera.name} has given no good frame, though one was due."


def _clock_unsynced(view: View) -> Iterator[Finding]:
    if view.facts.clock and not view.facts.clock.value.synced:
        yield "clock", "The clock is not synchronised; times of frames may be wrong."


def _hot(view: View) -> Iterator[Finding]:
    degrees = view.facts.host.value.temperature_c if view.facts.host else None
    if degrees is not None and degrees >= view.limits.temperature_warn_c:
        yield "host", f"The processor is at {degrees:.0f} °C."


def _certificate_ends(least_days: float, most_days: float) -> Callable[[View], Iterator[Finding]]:
    """From so many days before its end to so many."""

    def find(view: View) -> Iterator[Finding]:
        if view.facts.certificate is None:
            return
        days = (view.facts.certificate.value.until_us - view.now_us) / DAY_US
        if least_days <= days < most_days:
            yield "certificate", _of_certificate(days)

    return find


def _of_certificate(days: float) -> str:
    return f"The node's certificate expires in {days:.0f} days." if days > 0 else "The node's certificate has expired."


def _unknown_fields(view: View) -> Iterator[Finding]:
    if view.facts.config and view.facts.config.value.unknown_fields:
        count = len(view.facts.config.value.unknown_fields)
        yield "config", f"The document holds {count} fields that this release does not know."


def _rolled_back(view: View) -> Iterator[Finding]:
    """Not where another release than the one before runs by now: then somebody has gone on since."""
    if not (view.facts.release and view.facts.identity):
        return
    release, runs = view.facts.release.value, view.facts.identity.value.version
    if release.state == "rolled_back" and runs == release.previous:
        yield "release", f"Release {release.version} was rolled back to {runs} ({release.reason or 'no reason said'})."


def _stuck_between(view: View) -> Iterator[Finding]:
    if view.facts.release and view.facts.release.value.state == "rollback_failed":
        release = view.facts.release.value
        reason = release.reason or "no reason said"
        yield "release", f"Going back from release {release.version} to {release.previous} failed ({reason})."


def _beside(find: Callable[[NodeFacts, AlertLimits, int], Iterator[Finding]]) -> Callable[[View], Iterator[Finding]]:
    return lambda view: find(view.facts, view.limits, view.now_us)


RULES: tuple[Rule, ...] = (
    Rule("database_fault", "crit", "The database does not take writes.", _database_fault),
    Rule("disk_unwritable", "crit", "The data directory cannot be written.", _disk_unwritable),
    Rule("disk_full", "crit", "The data disk is full; capture stops.", _beside(room.at(Step.STOPPED))),
    Rule(
        "disk_critical",
        "crit",
        "The data disk is almost full: no videos are made, then fewer slots are taken.",
        _beside(room.at(Step.CRITICAL, Step.STRETCHED)),
    ),
    Rule(
        "frames_held_nowhere",
        "crit",
        "Frames deleted here are not in the archive any more.",
        _beside(labour.held_nowhere),
    ),
    Rule("loop_silent", "crit", "A loop of the service gives no pulse.", _loop_silent),
    Rule("camera_offline", "crit", "A camera is offline.", _camera_offline),
    Rule("no_good_frame", "crit", "No good frame for too long while one was due.", _no_good_frame),
    Rule(
        "certificate_ending",
        "crit",
        "The node's certificate has expired, or does so within 3 days.",
        _certificate_ends(-math.inf, CERTIFICATE_CRIT_DAYS),
    ),
    Rule("release_rollback_failed", "crit", "Going back to the release before has failed.", _stuck_between),
    Rule("queue_flooded", "crit", "Far more jobs are due than get done.", _beside(labour.flooded_queue)),
    Rule("camera_recovering", "warn", "A camera is being recovered.", _camera_recovering),
    Rule("disk_low", "warn", "The data disk is filling up.", _beside(room.at(Step.LOW))),
    Rule(
        "reclaim_stopped",
        "warn",
        "A file, its row and its receipts disagree; its class is not reclaimed.",
        _beside(room.reclaim_stopped),
    ),
    Rule(
        "frames_unrecorded", "warn", "Entries wait for the database; frames among them are safe on disk.", _unrecorded
    ),
    Rule("loop_failing", "warn", "A loop of the service fails and goes on.", _loop_failing),
    Rule("worker_silent", "warn", "A process beside the service gives no pulse.", _beside(labour.silent_workers)),
    Rule("target_failing", "warn", "An archive target fails again and again.", _beside(labour.failing_targets)),
    Rule("backlog_grows", "warn", "A target is sent less than is captured.", _beside(labour.outgrown_links)),
    Rule("unsent_for_long", "warn", "Frames wait too long for a target.", _beside(labour.unsent_for_long)),
    Rule("dead_letters", "warn", "Jobs have failed for good.", _beside(labour.dead_letters)),
    Rule("video_late", "warn", "A shoot has no video, though its time is over.", _beside(labour.late_videos)),
    Rule("job_stuck", "warn", "A job runs for too long.", _beside(labour.stuck_jobs)),
    Rule("queue_deep", "warn", "Many jobs are due.", _beside(labour.deep_queue)),
    Rule(
        "certificate_expires",
        "warn",
        "The node's certificate expires within 21 days.",
        _certificate_ends(CERTIFICATE_CRIT_DAYS, CERTIFICATE_WARN_DAYS),
    ),
    Rule("access_refused", "warn", "Many attempts were refused lately.", _beside(access.refused_often)),
    Rule("release_rolled_back", "warn", "The last release did not prove itself and was rolled back.", _rolled_back),
    Rule("temperature_high", "warn", "The processor is hot.", _hot),
    Rule("clock_unsynced", "warn", "The clock is not synchronised.", _clock_unsynced),
    Rule("config_unknown_fields", "warn", "The document was written for a newer release.", _unknown_fields),
)
_GRAVITY: dict[str, int] = {"crit": 0, "warn": 1}
_PLACE = {rule.code: place for place, rule in enumerate(RULES)}


def conditions(facts: NodeFacts, limits: AlertLimits, now_us: int) -> tuple[Condition, ...]:
    """Every rule that applies now, gravest first, then in the order of RULES, then by subject."""
    view = View(facts, limits, now_us)
    found = [
        Condition(rule.code, rule.severity, subject, sentence)
        for rule in RULES
        for subject, sentence in rule.find(view)
    ]
    return tuple(sorted(found, key=_order))


def _order(found: Condition | Alert) -> tuple[int, int, str]:
    return _GRAVITY[found.severity], _PLACE[found.code], found.subject


# --- hold-down ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """A condition, since when it has applied, and whether it has become an alert."""

    condition: Condition
    since_us: int
    raised: bool = False

    def alert(self) -> Alert:
        found = self.condition
        return Alert(found.code, found.severity, found.subject, self.since_us, found.sentence)


@dataclass(frozen=True, slots=True)
class Stepped:
    """The state for the next step, and the events that this one made."""

    held: tuple[Held, ...]
    events: tuple[Event, ...]

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """Gravest first."""
        return tuple(held.alert() for held in self.held if held.raised)


def step(previous: Sequence[Held], found: Sequence[Condition], now_us: int, hold_down_s: float) -> Stepped:
    """One look: a condition that has lasted `hold_down_s` is raised, a raised one that is gone is cleared."""
    before = {held.condition.key: held for held in previous}
    held = tuple(_carry(before.get(condition.key), condition, now_us, hold_down_s) for condition in found)
    raised = [_raised(now) for now in held if now.raised and not _was_raised(before.get(now.condition.key))]
    current = {condition.key for condition in found}
    cleared = [_cleared(old, now_us) for key, old in before.items() if old.raised and key not in current]
    return Stepped(held, (*raised, *cleared))


def _carry(old: Held | None, condition: Condition, now_us: int, hold_down_s: float) -> Held:
    # a clock that was set back must not hold an alert down for hours
    since_us = now_us if old is None else min(old.since_us, now_us)
    lasted = now_us - since_us >= hold_down_s * US
    return Held(condition, since_us, raised=lasted or _was_raised(old))


def _was_raised(old: Held | None) -> bool:
    return old is not None and old.raised


def _raised(held: Held) -> AlertRaised:
    found = held.condition
    return AlertRaised(found.code, found.severity, found.subject, found.sentence)


def _cleared(held: Held, now_us: int) -> AlertCleared:
    return AlertCleared(held.condition.code, held.condition.subject, round((now_us - held.since_us) / US, 3))


# --- folds ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """The whole node in a word, why, and what is active."""

    state: State
    reasons: tuple[str, ...]
    alerts: tuple[Alert, ...] = ()


def fold(facts: NodeFacts, now_us: int) -> NodeHealth:
    """The node's word from its alerts.  A judging loop that is itself silent cannot say so: it is looked at here."""
    raised = facts.health.value.alerts if facts.health else ()
    known = {(alert.code, alert.subject) for alert in raised}
    silent = (
        Alert("loop_silent", "crit", pulse.value.name, pulse.at_us, _silence(pulse.value.name))
        for pulse in facts.loops
        if ("loop_silent", pulse.value.name) not in known and is_silent(pulse, now_us, SILENT_AT_LAST_S)
    )
    alerts = tuple(sorted((*raised, *silent), key=_order))
    state: State = alerts[0].severity if alerts else "ok"
    return NodeHealth(state, tuple(dict.fromkeys(alert.sentence for alert in alerts)), alerts)


def camera_state(camera: CameraFacts) -> CameraState:
    """A camera in a word: trouble goes before idleness."""
    if not camera.enabled:
        return "disabled"
    if camera.word in ("recovering", "offline") or camera.interval_s is not None:
        return camera.word
    return "idle"


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing that was looked at: how it is, how old the look is, and what it cost.  None = not looked at yet."""

    name: str
    state: Literal["ok", "warn", "crit", "unknown"]
    sentence: str = ""
    age_s: float | None = None
    took_ms: float | None = None


_PROBED: dict[str, tuple[str, ...]] = {
    "config": ("config_unknown_fields",),
    "clock": ("clock_unsynced",),
    "disk": ("disk_unwritable", "disk_full", "disk_critical", "disk_low", "reclaim_stopped"),
    "host": ("temperature_high",),
    "database": ("database_fault", "frames_unrecorded"),
}


def probes(facts: NodeFacts, limits: AlertLimits, now_us: int) -> tuple[Probe, ...]:
    """Every probe as it is now, without hold-down."""
    found = conditions(facts, limits, now_us)
    parts = [_part_probe(name, getattr(facts, name), found, now_us) for name in _PROBED]
    camera = ("camera_offline", "no_good_frame", "camera_recovering")
    cameras = [_probe(camera_key(fact.value.name), fact, _about(found, camera, fact.value.name), now_us)
               for fact in facts.cameras]  # fmt: skip
    loop = ("loop_silent", "loop_failing")
    loops = [_probe(loop_key(fact.value.name), fact, _about(found, loop, fact.value.name), now_us)
             for fact in facts.loops]  # fmt: skip
    return (*parts, *cameras, *loops)


def _about(found: Sequence[Condition], codes: Sequence[str], subject: str) -> list[Condition]:
    return [condition for condition in found if condition.code in codes and condition.subject == subject]


def _part_probe(name: str, fact: Learnt[Any] | None, found: Sequence[Condition], now_us: int) -> Probe:
    if fact is None:
        return Probe(name, "unknown", "Not looked at yet.")
    return _probe(name, fact, [condition for condition in found if condition.code in _PROBED[name]], now_us)


def _probe(name: str, fact: Learnt[Any], found: Sequence[Condition], now_us: int) -> Probe:
    state = found[0].severity if found else "ok"
    sentence = found[0].sentence if found else ""
    age_s = round(max(0, now_us - fact.at_us) / US, 3)
    return Probe(name, state, sentence, age_s, fact.took_ms)


def not_ready(facts: NodeFacts, limits: AlertLimits, now_us: int) -> tuple[str, ...]:
    """Why this node cannot do its work, in words; empty = camera, database, disk, loops and config are usable."""
    blocking = ("database_fault", "disk_unwritable", "disk_full", "loop_silent")
    reasons = [condition.sentence for condition in conditions(facts, limits, now_us) if condition.code in blocking]
    reasons += [f"The {name} is not known yet." for name in ("config", "disk", "database") if not getattr(facts, name)]
    reasons += [] if facts.loops else ["The loops have not started yet."]
    return (*reasons, *_no_camera(facts))


def _no_camera(facts: NodeFacts) -> tuple[str, ...]:
    enabled = [fact.value for fact in facts.cameras if fact.value.enabled]
    if not facts.cameras:
        return ("The cameras have not started yet.",)
    if not enabled or any(camera.word == "ok" for camera in enabled):
        return ()
    return tuple(f"Camera {camera.name} is {camera.word}." for camera in enabled)
