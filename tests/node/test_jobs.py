from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from node.domain.errors import (
    CodecUnknown,
    JobCancelled,
    JobDiffers,
    JobTimeout,
    LeaseLost,
    MoveIllegal,
    PayloadInvalid,
    TargetUnavailable,
    UnknownJob,
    UnknownKind,
)
from node.domain.events import BackupMade, Event
from node.domain.job import LIVE, MOVES, JobState, Priority, lease_ms
from node.jobs import Jobs
from node.store import jobs as rows_of_jobs
from node.store.jobs import Asked, Job, JobReader
from node.store.log import Actor, AuditReader
from node.store.session import Session
from tests.clocks import JumpClock
from tests.stores import Store, opened

US = 1_000_000
DAY_S = 86_400
SHOOT = "main/default/2026-11-18/auto"
RENDER = {"camera": "main", "shoot": SHOOT}
FAILS = TargetUnavailable("no route")
ANYBODY = Actor("ana", "operator")
KINDS = ("render", "upkeep", "thumbnail", "backup", "transfer")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as made:
        yield made


@pytest.fixture
def queue(store: Store) -> Jobs:
    return Jobs(store.journal, jitter=lambda: 0.0)


@pytest.fixture
def reader(store: Store) -> JobReader:
    return JobReader(store.database)


def claimed(queue: Jobs, *kinds: str, owner: str = "me", boot: str = "boot") -> Job:
    job = queue.claim(kinds or KINDS, owner, boot)
    assert job is not None, "nothing was due"
    return job


def told(store: Store) -> list[tuple[str, Any]]:
    """Kind and state of every event about jobs."""
    return [(row.kind, row.body.get("state")) for row in store.events.after(0, 1000)]


def writes_note(session: Session) -> Iterable[Event]:
    session.execute("INSERT INTO meta (key, value) VALUES ('note', 'kept')")
    return [BackupMade("b.tar", 5, 1)]


# --- asking ---------------------------------------------------------------------------------------------------------


def test_a_job_that_is_asked_for_waits_with_all_that_was_said(store: Store, queue: Jobs, reader: JobReader) -> None:
    job = queue.enqueue("render", SHOOT, RENDER, priority=Priority.MANUAL, who="ana")
    assert job == replace(reader.get(job.id), new=True)
    assert (job.state, job.priority, job.payload, job.who) == (JobState.QUEUED, 30, RENDER, "ana")
    assert job.created_us == job.due_us == store.clock.now_us()
    assert reader.live("render", SHOOT) == replace(job, new=False)


def test_the_same_asked_for_again_is_the_same_job(store: Store, queue: Jobs) -> None:
    first = queue.enqueue("render", SHOOT, RENDER)
    assert queue.enqueue("render", SHOOT, RENDER) == replace(first, new=False)
    assert queue.enqueue("upkeep", SHOOT, {}).new, "another kind is another job"
    running = claimed(queue, "render")
    assert queue.enqueue("render", SHOOT, RENDER, priority=Priority.MANUAL) == running
    queue.finish(running, {})
    assert queue.enqueue("render", SHOOT, RENDER).new, "what is done may be asked for anew"
    assert store.rows("SELECT COUNT(*) FROM jobs") == [(3,)]


REPAIR = {"camera": "main"}


@pytest.mark.parametrize("state", ["queued", "retry"])
def test_other_wishes_take_the_place_of_those_that_still_wait(store: Store, queue: Jobs, state: str) -> None:
    first = queue.enqueue("thumbnail-repair", "main", REPAIR, who="ana", priority=Priority.MANUAL)
    if state == "retry":
        queue.fail(claimed(queue, "thumbnail-repair"), FAILS)
    wanted = {**REPAIR, "everything": True}
    changed = queue.enqueue("thumbnail-repair", "main", wanted, who="ben", priority=Priority.MANUAL)
    assert (changed.id, changed.new, changed.payload, changed.who) == (first.id, False, wanted, "ben")
    assert claimed(queue, "thumbnail-repair").payload == wanted
    assert store.rows("SELECT COUNT(*) FROM jobs") == [(1,)]


def test_what_is_said_and_what_is_left_to_the_default_are_the_same_wish(store: Store, queue: Jobs) -> None:
    first = queue.enqueue("thumbnail-repair", "main", REPAIR, who="ana", priority=Priority.MANUAL)
    said = {**REPAIR, "everything": False}
    again = queue.enqueue("thumbnail-repair", "main", said, who="ben", priority=Priority.MANUAL)
    assert again == replace(first, new=False)
    running = claimed(queue, "thumbnail-repair")
    assert queue.enqueue("thumbnail-repair", "main", said, priority=Priority.MANUAL) == running


def test_a_machine_does_not_undo_what_a_person_wished(queue: Jobs) -> None:
    wanted = {**RENDER, "tier": "preview"}
    first = queue.enqueue("render", SHOOT, wanted, who="ana", priority=Priority.MANUAL)
    assert queue.enqueue("render", SHOOT, RENDER, who="window") == replace(first, new=False)


def test_other_wishes_than_what_runs_are_refused_to_a_person_and_not_to_a_machine(
    queue: Jobs, reader: JobReader
) -> None:
    queue.enqueue("render", SHOOT, RENDER)
    running, wanted = claimed(queue, "render"), {**RENDER, "fps": 12.5}
    with pytest.raises(JobDiffers) as caught:
        queue.enqueue("render", SHOOT, wanted, priority=Priority.MANUAL)
    assert (caught.value.http, running.id in caught.value.detail) == (409, True)
    assert queue.enqueue("render", SHOOT, wanted, priority=Priority.MILESTONE) == running
    assert reader.get(running.id) == running


def test_wishes_of_another_release_give_way(store: Store, queue: Jobs) -> None:
    queue.enqueue("thumbnail-repair", "main", REPAIR)
    store.database.write(lambda session: session.execute("""UPDATE jobs SET payload = '{"mood": 1}'"""))
    assert queue.enqueue("thumbnail-repair", "main", REPAIR).payload == REPAIR


def test_the_queue_works_on_the_schema_of_a_successor(store: Store, queue: Jobs, reader: JobReader) -> None:
    store.database.write(lambda session: session.execute("ALTER TABLE jobs ADD COLUMN mood TEXT NOT NULL DEFAULT 'x'"))
    job = queue.enqueue("upkeep", "node", {})
    assert queue.enqueue("upkeep", "node", {}, priority=Priority.MANUAL).id == job.id
    queue.beat(claimed(queue), 0.5, "on the way")
    assert queue.take_back(KINDS) == 1
    store.clock.advance(60)
    queue.give_back(claimed(queue))
    queue.fail(claimed(queue), CodecUnknown("h266"))
    queue.redrive(job.id, ANYBODY)
    assert queue.finish(claimed(queue), {"ok": True}, writes_note).state is JobState.DONE
    queue.enqueue("backup", "node", {})
    assert [each.kind for each in reader.page()] == ["backup", "upkeep"]
    queue.cancel(reader.page()[0].id, ANYBODY)
    assert (reader.depth(store.clock.now_us()).dead, reader.live("backup", "node")) == (0, None)
    assert "done" in {each.outcome for each in reader.attempts(job.id)}
    assert queue.forget(store.clock.now_us() + 1) == 2


@pytest.mark.parametrize(
    ("kind", "payload", "path"), [("render", {"camera": "main", "shoot": 5}, "shoot"), ("transfer", {}, "target")]
)
def test_a_bad_payload_is_refused_before_anything_is_written(
    store: Store, queue: Jobs, kind: str, payload: dict[str, Any], path: str
) -> None:
    with pytest.raises(PayloadInvalid) as caught:
        queue.enqueue(kind, "key", payload)
    assert [fault.path for fault in caught.value.fields] == [path]
    with pytest.raises(UnknownKind):
        queue.enqueue("hologram", "key", {})
    assert store.rows("SELECT * FROM jobs") == []


def test_a_person_who_asks_again_ends_the_wait_for_the_next_attempt_and_a_routine_does_not(
    store: Store, queue: Jobs
) -> None:
    queue.enqueue("render", SHOOT, RENDER)
    waiting = queue.fail(claimed(queue), FAILS)
    assert queue.enqueue("render", SHOOT, RENDER).due_us == waiting.due_us
    assert queue.claim(KINDS, "me", "boot") is None
    assert queue.enqueue("render", SHOOT, RENDER, priority=Priority.MANUAL).due_us == store.clock.now_us()
    assert claimed(queue).attempt == 2


def test_a_job_for_later_waits_until_then(store: Store, queue: Jobs) -> None:
    queue.enqueue("upkeep", "node", {}, due_us=store.clock.now_us() + 100 * US)
    store.clock.advance(99)
    assert queue.claim(KINDS, "me", "boot") is None
    store.clock.advance(1)
    assert claimed(queue).key == "node"


def test_a_job_can_be_asked_for_inside_another_transaction(store: Store, reader: JobReader) -> None:
    def work(session: Session) -> None:
        rows_of_jobs.enqueue(session, Asked("render", SHOOT, RENDER), "01HZZZZZZZZZZZZZZZZZZZZZZZ", 5)
        raise LeaseLost

    with pytest.raises(LeaseLost):
        store.journal.write(work)
    assert reader.page() == []


# --- which goes next ------------------------------------------------------------------------------------------------


def test_the_higher_priority_goes_first_and_of_equals_the_older(store: Store, queue: Jobs) -> None:
    for number, priority in enumerate((0, 10, 30, 20, 10)):
        store.clock.advance(1)
        queue.enqueue("upkeep", f"{number}", {}, priority=Priority(priority))
    assert [claimed(queue).key for _ in range(5)] == ["2", "3", "1", "4", "0"]


def test_nothing_starves_behind_a_stream_of_better_jobs(store: Store, queue: Jobs) -> None:
    queue.enqueue("thumbnail", "poor", {"camera": "main"}, priority=Priority.PER_CAPTURE)
    for minute in range(60):
        store.clock.advance(60)
        queue.enqueue("upkeep", f"rich-{minute}", {}, priority=Priority.MANUAL)
        job = claimed(queue)
        if job.key == "poor":
            assert minute + 1 == 30, "thirty points of priority are thirty minutes"
            return
        queue.finish(job, {})
    pytest.fail("it starved")


def test_only_wanted_kinds_are_claimed_and_what_is_held_is_left_alone(queue: Jobs) -> None:
    for target in ("nas", "vault"):
        queue.enqueue("transfer", target, {"target": target})
    assert queue.claim(("render", "upkeep"), "me", "boot") is None
    job = queue.claim(("transfer",), "me", "boot", held={("transfer", "nas")})
    assert job is not None
    assert job.key == "vault"
    assert queue.claim(("transfer",), "me", "boot", held={("transfer", "nas")}) is None


def test_a_look_that_finds_nothing_writes_nothing(store: Store, queue: Jobs) -> None:
    queue.enqueue("upkeep", "node", {}, due_us=store.clock.now_us() + US)
    held = {("transfer", "nas")}
    queue.enqueue("transfer", "nas", {"target": "nas"})
    before = store.database.data_version(), store.database.wal_bytes()
    for _ in range(20):
        assert queue.claim(KINDS, "me", "boot", held) is None
        assert queue.take_back(KINDS) == 0
        assert queue.pull_in() == 0
    assert (store.database.data_version(), store.database.wal_bytes()) == before


# --- a lease --------------------------------------------------------------------------------------------------------


def test_a_claim_is_an_attempt_with_an_owner(store: Store, queue: Jobs) -> None:
    queue.enqueue("upkeep", "node", {})
    store.clock.advance(5)
    job = claimed(queue)
    assert (job.state, job.attempt, job.owner, job.lease_boot) == (JobState.LEASED, 1, "me", "boot")
    assert job.started_us == store.clock.now_us()
    assert job.lease_until_ms == round(store.clock.monotonic() * 1000) + lease_ms("upkeep")
    assert queue.claim(KINDS, "other", "boot") is None


def test_beats_keep_a_lease_for_ever_and_progress_never_goes_back(store: Store, queue: Jobs, reader: JobReader) -> None:
    queue.enqueue("upkeep", "node", {})
    job = claimed(queue)
    for progress, shown in ((0.25, 0.25), (0.125, 0.25), (None, 0.25), (7.0, 1.0), (-3.0, 1.0)):
        store.clock.advance(100)
        queue.beat(job, progress, "on the way")
        queue.check(job)
        assert queue.claim(KINDS, "other", "boot") is None
        assert (reader.get(job.id).progress, reader.get(job.id).said) == (shown, "on the way")


def test_a_zombie_can_do_nothing_to_the_attempt_that_followed(store: Store, queue: Jobs, reader: JobReader) -> None:
    queue.enqueue("upkeep", "node", {})
    zombie = claimed(queue, owner="zombie")
    store.clock.advance(lease_ms("upkeep") / 1000)
    assert queue.claim(KINDS, "me", "boot") is None, "the lease ended; its delay has not"
    store.clock.advance(31)
    heir = claimed(queue)
    assert (heir.id, heir.attempt) == (zombie.id, 2)
    acts = (
        lambda: queue.finish(zombie, {"by": "zombie"}, writes_note),
        lambda: queue.fail(zombie, FAILS),
        lambda: queue.give_back(zombie),
        lambda: queue.beat(zombie, 0.9),
        lambda: queue.check(zombie),
    )
    for act in acts:
        with pytest.raises(LeaseLost):
            act()
    assert reader.get(heir.id) == heir
    assert store.rows("SELECT * FROM meta WHERE key = 'note'") == []
    assert queue.finish(heir, {"by": "heir"}).result == {"by": "heir"}
    assert [(each.attempt, each.outcome) for each in reader.attempts(heir.id)] == [(1, "lost"), (2, "done")]


def test_even_the_same_owner_cannot_end_a_later_attempt_as_an_earlier_one(queue: Jobs, store: Store) -> None:
    queue.enqueue("upkeep", "node", {})
    first = claimed(queue)
    queue.fail(first, FAILS)
    store.clock.advance(60)
    second = claimed(queue)
    assert second.owner == first.owner
    with pytest.raises(LeaseLost):
        queue.finish(first, {})


def test_another_boot_voids_every_lease_at_once(store: Store, queue: Jobs, reader: JobReader) -> None:
    for key in ("a", "b"):
        queue.enqueue("upkeep", key, {})
        claimed(queue, boot="before")
    assert claimed(queue, boot="after").attempt == 2
    assert {job.state for job in reader.page()} == {JobState.RETRY, JobState.LEASED}
    assert [row.error_code for job in reader.page() for row in reader.attempts(job.id) if row.error_code] == [
        "JOB-008",
        "JOB-008",
    ]


@pytest.mark.parametrize(("boot", "waits"), [("before", True), (None, True), ("after", False)])
def test_a_job_under_which_the_power_went_is_due_at_once_the_first_time(
    queue: Jobs, boot: str | None, waits: bool
) -> None:
    queue.enqueue("transfer", "nas", {"target": "nas"})
    claimed(queue, boot="before")
    queue.take_back(KINDS, boot)
    assert (queue.claim(KINDS, "me", "before") is None) is waits


def test_a_job_under_which_the_power_goes_again_and_again_waits(store: Store, queue: Jobs) -> None:
    queue.enqueue("transfer", "nas", {"target": "nas"})
    claimed(queue, boot="1")
    assert claimed(queue, boot="2").attempt == 2
    assert queue.claim(KINDS, "me", "3") is None
    store.clock.advance(17 * 60)
    assert claimed(queue, boot="3").attempt == 3


def test_a_start_takes_back_the_leases_of_its_own_kinds_only(queue: Jobs, reader: JobReader) -> None:
    queue.enqueue("upkeep", "node", {})
    queue.enqueue("transfer", "nas", {"target": "nas"})
    for _ in range(2):
        claimed(queue)
    assert queue.take_back(("upkeep", "render")) == 1
    assert {job.kind: job.state for job in reader.page()} == {"upkeep": JobState.RETRY, "transfer": JobState.LEASED}


def test_a_lease_given_back_costs_no_attempt(store: Store, queue: Jobs, reader: JobReader) -> None:
    queue.enqueue("upkeep", "node", {})
    for _ in range(10):
        job = claimed(queue)
        assert job.attempt == 1
        back = queue.give_back(job, 60, "waits for the target")
        assert (back.state, back.attempt, back.said) == (JobState.QUEUED, 0, "waits for the target")
        assert queue.claim(KINDS, "me", "boot") is None
        store.clock.advance(60)
    assert [each.outcome for each in reader.attempts(job.id)] == ["given_back"], "the last of them stands for all"


# --- how it ends ----------------------------------------------------------------------------------------------------


def test_what_a_job_wrote_is_there_with_its_end_or_not_at_all(store: Store, queue: Jobs, reader: JobReader) -> None:
    def fails(session: Session) -> Iterable[Event]:
        writes_note(session)
        raise ZeroDivisionError

    queue.enqueue("upkeep", "node", {})
    job = claimed(queue)
    with pytest.raises(ZeroDivisionError):
        queue.finish(job, {}, fails)
    assert store.rows("SELECT * FROM meta WHERE key = 'note'") == []
    assert reader.get(job.id).state is JobState.LEASED
    done = queue.finish(job, {"count": 3}, writes_note)
    assert (done.state, done.progress, done.result, done.owner) == (JobState.DONE, 1.0, {"count": 3}, "")
    assert done.finished_us == store.clock.now_us()
    assert store.rows("SELECT value FROM meta WHERE key = 'note'") == [("kept",)]
    assert told(store) == [("backup", None), ("job", "done")]


def test_a_routine_success_is_not_told_but_its_failures_are(store: Store, queue: Jobs) -> None:
    queue.enqueue("thumbnail", "a", {"camera": "main"})
    queue.enqueue("thumbnail", "b", {"camera": "main"})
    queue.finish(claimed(queue), {})
    assert told(store) == []
    queue.fail(claimed(queue), FAILS)
    assert told(store) == [("job", "retry")]
    assert store.rows("SELECT outcome FROM job_attempts") == [("failed",)]


def test_a_failing_job_is_tried_again_as_its_kind_says_and_then_it_is_dead(
    store: Store, queue: Jobs, reader: JobReader
) -> None:
    queue.enqueue("render", SHOOT, RENDER)
    for number, delay_s in enumerate((300, 900, 3600), start=1):
        job = queue.fail(claimed(queue), TargetUnavailable(f"try {number}"))
        assert (job.state, job.due_us - store.clock.now_us()) == (JobState.RETRY, delay_s * US)
        store.clock.advance(delay_s - 1)
        assert queue.claim(KINDS, "me", "boot") is None
        store.clock.advance(1)
    dead = queue.fail(claimed(queue), JobTimeout("stood still"))
    assert (dead.state, dead.attempt, dead.error_code, dead.error) == (JobState.DEAD, 4, "JOB-007", "stood still")
    assert queue.claim(KINDS, "me", "boot") is None
    assert [(each.outcome, each.error_code, each.error) for each in reader.attempts(dead.id)] == [
        ("failed", "ARC-001", "try 1"),
        ("failed", "ARC-001", "try 2"),
        ("failed", "ARC-001", "try 3"),
        ("timeout", "JOB-007", "stood still"),
    ]
    [*_, last] = store.events.after(0, 100)
    assert (last.kind, last.level, last.body["shoot"]) == ("job_dead", "error", SHOOT)
    assert told(store) == [("job", "retry")] * 3 + [("job_dead", None)]


def test_an_error_that_will_not_pass_makes_a_dead_letter_at_once(queue: Jobs) -> None:
    queue.enqueue("render", SHOOT, RENDER)
    dead = queue.fail(claimed(queue), CodecUnknown("av2"))
    assert (dead.state, dead.attempt, dead.error_code) == (JobState.DEAD, 1, "REN-002")


def test_a_later_success_makes_up_for_what_died_before_it_of_the_same_key_alone(
    store: Store, queue: Jobs, reader: JobReader
) -> None:
    for key in ("nas", "vault"):
        queue.enqueue("transfer", key, {"target": key})
        queue.fail(claimed(queue), CodecUnknown("permanent"))
    queue.enqueue("render", SHOOT, RENDER)
    lost = queue.fail(claimed(queue), CodecUnknown("permanent"))
    queue.enqueue("transfer", "nas", {"target": "nas"})
    queue.finish(claimed(queue), {})
    queue.enqueue("render", SHOOT, RENDER)
    queue.finish(claimed(queue), {})
    left = {(job.kind, job.key) for job in reader.page(state=JobState.DEAD)}
    assert left == {("transfer", "vault"), ("render", lost.key)}
    assert told(store)[-2:] == [("job", "cancelled"), ("job", "done")]


def test_a_mistake_of_ours_is_tried_again(queue: Jobs) -> None:
    queue.enqueue("render", SHOOT, RENDER)
    failed = queue.fail(claimed(queue), KeyError("frame"))
    assert (failed.state, failed.error_code, failed.error) == (JobState.RETRY, "API-013", "KeyError: 'frame'")


def test_a_job_whose_process_dies_each_time_ends_as_a_dead_letter(store: Store, queue: Jobs, reader: JobReader) -> None:
    job = queue.enqueue("upkeep", "poison", {})
    lives = 0
    while queue.claim(KINDS, f"life {lives}", "boot"):
        lives += 1
        queue.take_back(KINDS)
        store.clock.advance(400)
    assert (lives, reader.get(job.id).state) == (4, JobState.DEAD)
    assert [(each.attempt, each.outcome) for each in reader.attempts(job.id)] == [(n, "lost") for n in (1, 2, 3, 4)]


def test_the_documents_delays_stand_instead_of_the_kinds_own(store: Store) -> None:
    document: dict[str, list[float]] = {"render": [7.0]}
    queue = Jobs(store.journal, lambda: document, lambda: 1.0)
    queue.enqueue("render", SHOOT, RENDER)
    assert queue.fail(claimed(queue), FAILS).delay_us == 7_700_000, "with its jitter"
    document.clear()
    store.clock.advance(10)
    assert queue.fail(claimed(queue), FAILS).delay_us == 990 * US
    document["render"] = []
    store.clock.advance(1000)
    assert queue.fail(claimed(queue), FAILS).state is JobState.DEAD


def test_delays_differ_by_themselves_within_a_tenth(store: Store) -> None:
    queue, delays = Jobs(store.journal), []
    for number in range(20):
        queue.enqueue("upkeep", f"{number}", {})
        delays.append(queue.fail(claimed(queue), FAILS).delay_us / US)
    assert 27 <= min(delays) < max(delays) <= 33


# --- clocks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [-1, 1])
def test_a_lease_does_not_mind_the_wall_clock(store: Store, queue: Jobs, days: int) -> None:
    queue.enqueue("upkeep", "node", {})
    job = claimed(queue)
    store.clock.step(days * DAY_S)
    assert queue.claim(KINDS, "other", "boot") is None
    queue.beat(job, 0.5)
    assert queue.finish(job, {}).state is JobState.DONE


def test_a_clock_set_back_by_a_day_costs_a_waiting_job_no_more_than_its_own_delay(store: Store, queue: Jobs) -> None:
    queue.enqueue("render", SHOOT, RENDER)
    queue.fail(claimed(queue), FAILS)
    queue.enqueue("upkeep", "now", {})
    queue.enqueue("upkeep", "later", {}, due_us=store.clock.now_us() + 50 * US)
    store.clock.step(-DAY_S)
    assert queue.claim(KINDS, "me", "boot") is None
    assert queue.pull_in() == 3
    assert queue.pull_in() == 0, "once is enough"
    assert claimed(queue).key == "now"
    store.clock.advance(50)
    assert claimed(queue).key == "later"
    store.clock.advance(250)
    assert claimed(queue).kind == "render"


def test_a_clock_set_forward_by_a_day_makes_what_waits_due(store: Store, queue: Jobs) -> None:
    queue.enqueue("render", SHOOT, RENDER)
    queue.fail(claimed(queue), FAILS)
    store.clock.step(DAY_S)
    assert queue.pull_in() == 0
    assert claimed(queue).attempt == 2


def test_a_clock_that_creeps_back_moves_nothing(store: Store, queue: Jobs) -> None:
    queue.enqueue("upkeep", "later", {}, due_us=store.clock.now_us() + 50 * US)
    store.clock.step(-0.9)
    assert queue.pull_in() == 0


# --- what people ask for --------------------------------------------------------------------------------------------


def test_a_waiting_job_is_cancelled_at_once(store: Store, queue: Jobs) -> None:
    job = queue.enqueue("render", SHOOT, RENDER)
    assert queue.cancel(job.id, ANYBODY).state is JobState.CANCELLED
    assert queue.claim(KINDS, "me", "boot") is None
    assert told(store) == [("job", "cancelled")]
    [entry] = AuditReader(store.database).page()
    assert (entry.who, entry.action, entry.target, entry.outcome) == ("ana", "job cancel", f"job/{job.id}", "done")


def test_a_running_job_is_cancelled_at_its_next_step(queue: Jobs, reader: JobReader) -> None:
    queue.enqueue("render", SHOOT, RENDER)
    job = claimed(queue)
    asked = queue.cancel(job.id, ANYBODY)
    assert (asked.state, asked.cancel_asked) == (JobState.LEASED, True)
    for act in (lambda: queue.beat(job, 0.5), lambda: queue.check(job)):
        with pytest.raises(JobCancelled) as caught:
            act()
    assert queue.fail(job, caught.value).state is JobState.CANCELLED
    assert [each.outcome for each in reader.attempts(job.id)] == ["cancelled"]


@pytest.mark.parametrize("end", ["fail", "give_back", "lose"])
def test_a_job_that_is_to_be_cancelled_never_runs_again(store: Store, queue: Jobs, reader: JobReader, end: str) -> None:
    queue.enqueue("render", SHOOT, RENDER)
    job = claimed(queue)
    queue.cancel(job.id, ANYBODY)
    ends = {"fail": lambda: queue.fail(job, FAILS), "give_back": lambda: queue.give_back(job)}
    ends.get(end, lambda: queue.take_back(KINDS))()
    assert reader.get(job.id).state is JobState.CANCELLED
    store.clock.advance(DAY_S)
    assert queue.claim(KINDS, "me", "boot") is None


def test_a_job_that_was_done_before_it_heard_of_its_cancelling_is_done(queue: Jobs) -> None:
    queue.enqueue("render", SHOOT, RENDER)
    job = claimed(queue)
    queue.cancel(job.id, ANYBODY)
    assert queue.finish(job, {}).state is JobState.DONE


def test_a_dead_letter_is_driven_again_with_all_its_attempts_and_its_past_on_record(
    store: Store, queue: Jobs, reader: JobReader
) -> None:
    queue.enqueue("render", SHOOT, RENDER)
    dead = queue.fail(claimed(queue), CodecUnknown("av2"))
    store.clock.advance(5)
    again = queue.redrive(dead.id, ANYBODY)
    assert (again.state, again.attempt, again.error_code, again.finished_us) == (JobState.QUEUED, 0, "", None)
    job = claimed(queue)
    assert job.attempt == 1
    assert queue.fail(job, FAILS).state is JobState.RETRY
    assert [(each.attempt, each.error_code) for each in reader.attempts(dead.id)] == [(1, "REN-002"), (1, "ARC-001")]
    assert [entry.action for entry in AuditReader(store.database).page()] == ["job redrive"]


def test_a_dead_letter_is_not_driven_beside_a_job_that_does_the_same(queue: Jobs, reader: JobReader) -> None:
    queue.enqueue("render", SHOOT, RENDER)
    dead = queue.fail(claimed(queue), CodecUnknown("av2"))
    newer = queue.enqueue("render", SHOOT, RENDER)
    with pytest.raises(MoveIllegal, match=newer.id):
        queue.redrive(dead.id, ANYBODY)
    assert queue.redrive_all(None, ANYBODY) == 0
    assert reader.get(dead.id).state is JobState.DEAD


def test_a_dead_letter_that_is_discarded_keeps_why(store: Store, queue: Jobs) -> None:
    queue.enqueue("render", SHOOT, RENDER)
    dead = queue.fail(claimed(queue), CodecUnknown("av2"))
    gone = queue.discard(dead.id, ANYBODY)
    assert (gone.state, gone.error_code) == (JobState.CANCELLED, "REN-002")
    assert [entry.action for entry in AuditReader(store.database).page()] == ["job discard"]


@pytest.mark.parametrize("act", ["cancel", "redrive", "discard"])
def test_what_cannot_be_done_to_a_job_is_refused_and_not_audited_as_done(store: Store, queue: Jobs, act: str) -> None:
    wrong = {"cancel": ("done", "dead", "cancelled"), "redrive": set(JobState) - {JobState.DEAD}}
    for number, state in enumerate(wrong.get(act, set(JobState) - {JobState.DEAD})):
        job = queue.enqueue("upkeep", f"{number}", {})
        store.database.write(
            lambda session, job=job, state=state: session.execute(
                "UPDATE jobs SET state = ? WHERE id = ?", (str(state), job.id)
            )
        )
        with pytest.raises(MoveIllegal):
            getattr(queue, act)(job.id, ANYBODY)
    with pytest.raises(UnknownJob):
        getattr(queue, act)("01HZZZZZZZZZZZZZZZZZZZZZZZ", ANYBODY)
    assert AuditReader(store.database).page() == []


def test_all_dead_letters_of_a_kind_or_of_every_kind_are_driven_or_discarded(store: Store, queue: Jobs) -> None:
    for kind, count in (("upkeep", 230), ("backup", 5)):
        for number in range(count):
            queue.enqueue(kind, f"{number}", {})
            queue.fail(claimed(queue), CodecUnknown("x"))
    assert queue.redrive_all("upkeep", ANYBODY) == 230
    assert store.rows("SELECT kind, state, COUNT(*) FROM jobs GROUP BY kind, state ORDER BY kind") == [
        ("backup", "dead", 5),
        ("upkeep", "queued", 230),
    ]
    assert queue.discard_all(None, ANYBODY) == 5
    assert queue.discard_all(None, ANYBODY) == 0
    assert [(row.action, row.target) for row in AuditReader(store.database).page()] == [
        ("job discard", "jobs/all"),
        ("job discard", "jobs/all"),
        ("job redrive", "jobs/upkeep"),
    ]
    with pytest.raises(UnknownKind):
        queue.redrive_all("hologram", ANYBODY)


def test_a_waiting_job_can_be_hastened_and_a_running_one_is_let_be(store: Store, queue: Jobs) -> None:
    assert not queue.hasten("transfer", "nas")
    queue.enqueue("transfer", "nas", {"target": "nas"})
    queue.fail(claimed(queue), FAILS)
    assert queue.hasten("transfer", "nas")
    job = claimed(queue)
    assert not queue.hasten("transfer", "nas")
    assert queue.finish(job, {}).state is JobState.DONE


# --- whatever the order ---------------------------------------------------------------------------------------------

HAS_MOVED = "CREATE TABLE moved (id TEXT, before TEXT, after TEXT)"
RECORDS_MOVES = (
    "CREATE TRIGGER moves AFTER UPDATE OF state ON jobs WHEN old.state <> new.state BEGIN"
    " INSERT INTO moved VALUES (new.id, old.state, new.state); END"
)
OWNERS, KEYS = st.sampled_from(("one", "two")), st.sampled_from(("a", "b", "c"))


class Queue(RuleBasedStateMachine):
    """Two workers and a person; every change of state is recorded by the database itself."""

    leases = Bundle("leases")

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.opening = opened(Path(self.folder.name), JumpClock())
        self.store = self.opening.__enter__()
        for statement in (HAS_MOVED, RECORDS_MOVES):
            self.store.database.write(lambda session, statement=statement: session.execute(statement))
        self.queue, self.reader = Jobs(self.store.journal, jitter=lambda: 0.0), JobReader(self.store.database)
        self.finished: dict[str, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "opening"):
            self.opening.__exit__(None, None, None)
            self.folder.cleanup()

    @rule(key=KEYS, kind=st.sampled_from(("upkeep", "backup")), priority=st.sampled_from(Priority))
    def ask(self, key: str, kind: str, priority: Priority) -> None:
        self.queue.enqueue(kind, key, {}, priority=priority)

    @rule(target=leases, owner=OWNERS, boot=st.sampled_from(("b1", "b1", "b1", "b2")))
    def claim(self, owner: str, boot: str) -> Job | None:
        return self.queue.claim(("upkeep", "backup"), owner, boot)

    @rule(lease=leases, end=st.sampled_from(("finish", "fail", "die", "give_back", "beat")))
    def work(self, lease: Job | None, end: str) -> None:
        if lease is None:
            return
        mine = self.reader.get(lease.id)
        attempt = lease.owner, lease.attempt, lease.started_us
        holds = mine.state is JobState.LEASED and attempt == (mine.owner, mine.attempt, mine.started_us)
        acts = {
            "finish": lambda: self.queue.finish(lease, {}),
            "fail": lambda: self.queue.fail(lease, FAILS),
            "die": lambda: self.queue.fail(lease, CodecUnknown("x")),
            "give_back": lambda: self.queue.give_back(lease),
            "beat": lambda: self.queue.beat(lease, 0.5),
        }
        try:
            acts[end]()
        except LeaseLost:
            assert not holds
        except JobCancelled:
            assert mine.cancel_asked
        else:
            assert holds
            if end == "finish":
                self.finished[lease.id] = self.finished.get(lease.id, 0) + 1

    @rule(number=st.integers(0, 5), act=st.sampled_from(("cancel", "redrive", "discard")))
    def person(self, number: int, act: str) -> None:
        known = self.reader.page()
        if number < len(known):
            with suppress(MoveIllegal):
                getattr(self.queue, act)(known[number].id, ANYBODY)

    @rule(seconds=st.sampled_from((1, 40, 400, 4000)), step=st.sampled_from((0, 0, DAY_S, -DAY_S)))
    def time(self, seconds: int, step: int) -> None:
        self.store.clock.advance(seconds)
        self.store.clock.step(step)
        self.queue.pull_in()

    @invariant()
    def every_move_is_legal_and_nothing_is_done_twice(self) -> None:
        if not hasattr(self, "store"):
            return
        moved = self.store.rows("SELECT DISTINCT before, after FROM moved")
        assert all(JobState(after) in MOVES[JobState(before)] for before, after in moved)
        assert all(count == 1 for count in self.finished.values())
        assert {identity for (identity,) in self.store.rows("SELECT id FROM jobs WHERE state = 'done'")} == set(
            self.finished
        )
        leased = self.store.rows("SELECT COUNT(*) FROM jobs WHERE (state = 'leased') <> (owner <> '')")
        assert leased == [(0,)], "who holds nothing owns nothing"
        twice = self.store.rows(
            "SELECT kind, key FROM jobs WHERE state IN ('queued', 'leased', 'retry') GROUP BY kind, key"
            " HAVING COUNT(*) > 1"
        )
        assert twice == []


Queue.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestWhateverTheOrder = Queue.TestCase


def test_live_states_are_those_of_the_unique_index(store: Store) -> None:
    [(sql,)] = store.rows("SELECT sql FROM sqlite_master WHERE name = 'jobs_one_live'")
    assert all(f"'{state}'" in str(sql) for state in LIVE)
