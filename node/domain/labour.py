"""What speaks for trouble beside capture: silent workers, a queue that grows, dead letters, targets, late videos.

Each function yields subject and sentence for `domain.health`, whose table names code and severity.
"""

from __future__ import annotations

from collections.abc import Iterator

from node.domain.config import DAY_S, AlertLimits
from node.domain.facts import Learnt, NodeFacts, TargetFacts, WorkerFacts
from node.domain.times import US

START_GRACE_S, PULSE_GRACE_S = 30.0, 10.0
FAILURES = 3
Finding = tuple[str, str]


def silent_workers(facts: NodeFacts, _limits: AlertLimits, now_us: int) -> Iterator[Finding]:
    """Processes without a pulse, once they have had time to start."""
    if facts.identity is None or now_us - facts.identity.value.started_us < START_GRACE_S * US:
        return
    for worker in facts.workers:
        if is_silent(worker, now_us):
            yield worker.value.name, f"The {worker.value.name} process gives no pulse: its jobs wait."


def is_silent(worker: Learnt[WorkerFacts], now_us: int) -> bool:
    """Whether the process has not given the pulse that it promised."""
    pulse_us = worker.value.pulse_us
    return pulse_us is None or now_us - pulse_us > (worker.value.promise_s + PULSE_GRACE_S) * US


def deep_queue(facts: NodeFacts, limits: AlertLimits, _now_us: int) -> Iterator[Finding]:
    """More jobs are due than usual, and not yet too many."""
    if facts.queue and limits.queue_depth_warn <= facts.queue.value.due < limits.queue_depth_crit:
        yield "queue", f"{facts.queue.value.due} jobs are due."


def flooded_queue(facts: NodeFacts, limits: AlertLimits, _now_us: int) -> Iterator[Finding]:
    """Far more jobs are due than get done."""
    if facts.queue and facts.queue.value.due >= limits.queue_depth_crit:
        yield "queue", f"{facts.queue.value.due} jobs are due: more come than get done."


def stuck_jobs(facts: NodeFacts, limits: AlertLimits, _now_us: int) -> Iterator[Finding]:
    """Jobs that run for too long."""
    if facts.queue and facts.queue.value.stuck:
        yield "queue", f"Jobs that run for longer than {limits.job_stuck_s / 60:.0f} min: {facts.queue.value.stuck}."


def dead_letters(facts: NodeFacts, _limits: AlertLimits, _now_us: int) -> Iterator[Finding]:
    """Jobs whose last attempt failed, until somebody redrives or discards them."""
    if facts.queue and facts.queue.value.dead:
        yield "queue", f"Jobs that failed for good, to redrive or discard: {facts.queue.value.dead}."


def late_videos(facts: NodeFacts, _limits: AlertLimits, _now_us: int) -> Iterator[Finding]:
    """Shoots that should have had their video long ago, whatever became of its job."""
    for shoot in facts.queue.value.late_shoots if facts.queue else ():
        yield shoot, f"Shoot {shoot} has no video yet."


def failing_targets(facts: NodeFacts, _limits: AlertLimits, now_us: int) -> Iterator[Finding]:
    """Targets that are left alone for a while because they fail, or failed several times in a row within a day."""
    for target in _targets(facts):
        if target.breaker != "closed" or _keeps_failing(target, now_us):
            yield target.name, f"Archive target {target.name} fails ({target.error_code or 'cause not known'})."


def _keeps_failing(target: TargetFacts, now_us: int) -> bool:
    failed_us = target.last_failed_us
    return target.failures >= FAILURES and failed_us is not None and now_us - failed_us < DAY_S * US


def outgrown_links(facts: NodeFacts, _limits: AlertLimits, _now_us: int) -> Iterator[Finding]:
    """Targets that are well, and are sent less than is captured."""
    for target in _targets(facts):
        if target.outgrown and target.breaker == "closed":
            said = f"{target.unsent_bytes / 1e9:.1f} GB wait for archive target {target.name}, and more come than go."
            yield target.name, said


def unsent_for_long(facts: NodeFacts, limits: AlertLimits, now_us: int) -> Iterator[Finding]:
    """Targets that have not been given everything for too long."""
    for target in _targets(facts):
        if target.oldest_us is not None and now_us - target.oldest_us > limits.unsent_warn_s * US:
            yield target.name, f"{target.unsent} items wait for archive target {target.name}, the oldest for too long."


def held_nowhere(facts: NodeFacts, _limits: AlertLimits, _now_us: int) -> Iterator[Finding]:
    """Frames that were deleted here because targets held them, and no target holds any more."""
    if facts.archive and facts.archive.value.held_nowhere:
        count = facts.archive.value.held_nowhere
        yield "archive", f"Frames that were deleted here and that no target holds any more: {count}."


def _targets(facts: NodeFacts) -> Iterator[TargetFacts]:
    return (fact.value for fact in facts.targets)
