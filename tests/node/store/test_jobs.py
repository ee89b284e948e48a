from __future__ import annotations

from dataclasses import replace

import pytest

from node.domain.errors import MoveIllegal, UnknownJob
from node.domain.job import MOVES, Attempt, JobState, Priority
from node.jobs import Jobs
from node.store import jobs
from node.store.jobs import HOUR_US, Asked, Depth, Job, JobReader
from node.store.tables import JobRow
from tests.stores import Store

MINUTE_US = 60_000_000
KINDS = ("upkeep", "thumbnail", "backup")


@pytest.fixture
def queue(store: Store) -> Jobs:
    return Jobs(store.journal, jitter=lambda: 0.0)


@pytest.fixture
def reader(store: Store) -> JobReader:
    return JobReader(store.database)


def fill(store: Store, count: int, kind: str = "thumbnail", due_us: int | None = None) -> None:
    """So many jobs of a kind at once, in one transaction."""
    now_us = store.clock.now_us()

    def work(session: jobs.Session) -> None:
        for number in range(count):
            payload = {"camera": "main"} if kind == "thumbnail" else {}
            asked = Asked(kind, f"{kind}-{number}", payload, due_us=due_us)
            jobs.enqueue(session, asked, store.clock.new_id(), now_us)

    store.database.write(work, timeout_s=60)


def plan_of(store: Store, sql: str, *values: object) -> str:
    return "; ".join(str(row[3]) for row in store.rows(f"EXPLAIN QUERY PLAN {sql}", *values))


def test_a_job_has_a_field_for_each_column(store: Store) -> None:
    columns = [row[1] for row in store.rows("PRAGMA table_info(jobs)")]
    assert columns == [name for name in Job.__slots__ if name != "new"]
    assert columns == [field.column_name for field in JobRow._meta.sorted_fields]


@pytest.mark.parametrize("to", JobState)
@pytest.mark.parametrize("state", JobState)
def test_a_job_moves_as_the_table_says_and_in_no_other_way(store: Store, state: JobState, to: JobState) -> None:
    fill(store, 1)
    store.database.write(lambda session: session.execute("UPDATE jobs SET state = ?", (state.value,)))
    job = store.database.read(lambda session: jobs.get(session, _only(store)))
    if to in MOVES[state]:
        assert store.database.write(lambda session: jobs.move(session, job, to)).state is to
    else:
        with pytest.raises(MoveIllegal, match=job.id):
            store.database.write(lambda session: jobs.move(session, job, to))
        assert store.rows("SELECT state FROM jobs") == [(state.value,)]


@pytest.mark.parametrize("state", JobState)
def test_only_a_job_that_waits_can_be_leased(store: Store, state: JobState) -> None:
    fill(store, 1)
    store.database.write(lambda session: session.execute("UPDATE jobs SET state = ?", (state.value,)))
    claim = jobs.Claim(KINDS, (), "me", "boot")
    leased = store.database.write(lambda session: jobs.lease(session, _only(store), claim, 5, 7))
    assert (leased is not None) == (JobState.LEASED in MOVES[state])


def _only(store: Store) -> str:
    [(identity,)] = store.rows("SELECT id FROM jobs")
    return str(identity)


def test_the_database_itself_refuses_a_second_live_job_of_a_kind_and_key(store: Store) -> None:
    fill(store, 1)
    with pytest.raises(Exception, match="UNIQUE"):
        store.database.write(
            lambda session: session.execute(
                "INSERT INTO jobs (id, kind, key, state, priority, payload, who, created_us, due_us)"
                " SELECT 'other', kind, key, 'retry', 0, '{}', 'x', 0, 0 FROM jobs"
            )
        )


def test_ten_thousand_jobs_cost_the_next_one_a_look_into_an_index(store: Store) -> None:
    fill(store, 10_000)
    fill(store, 1, "upkeep")
    first = plan_of(store, jobs._FIRST, "thumbnail", store.clock.now_us())
    assert first == "SEARCH jobs USING INDEX jobs_waiting (kind=?)", "a sort, or a look at every row"
    over = plan_of(store, jobs.select(jobs._JOB, jobs._OVER), "boot", 1)
    assert over == "SCAN jobs USING INDEX jobs_leased"
    assert "jobs_one_live (kind=? AND key=?)" in plan_of(store, jobs._LIVE, "thumbnail", "x")
    assert "jobs_ended" in plan_of(store, jobs._FORGET, 1, 1)


def test_the_depth_of_ten_thousand_jobs_is_counted_in_the_index_alone(store: Store, reader: JobReader) -> None:
    fill(store, 10_000)
    sql = "SELECT COUNT(*), MIN(due_us) FROM jobs WHERE kind = ? AND state IN ('queued', 'retry') AND due_us <= ?"
    assert "COVERING INDEX jobs_waiting" in plan_of(store, sql, "thumbnail", 1)
    assert reader.depth(store.clock.now_us()).due == {"thumbnail": 10_000}


def test_an_empty_queue_is_empty(store: Store, reader: JobReader) -> None:
    assert reader.depth(store.clock.now_us()) == Depth()
    assert reader.page() == []
    assert reader.live("upkeep", "node") is None
    with pytest.raises(UnknownJob):
        reader.get("01HZZZZZZZZZZZZZZZZZZZZZZZ")
    with pytest.raises(UnknownJob):
        reader.attempts("")


def test_the_depth_tells_what_is_due_runs_is_stuck_and_dead(store: Store, queue: Jobs, reader: JobReader) -> None:
    start_us = store.clock.now_us()
    queue.enqueue("upkeep", "stuck", {})
    stuck = queue.claim(("upkeep",), "me", "boot")
    assert stuck
    for _ in range(19):
        store.clock.advance(100)
        queue.beat(stuck)
    for number in range(3):
        queue.enqueue("thumbnail", f"{number}", {"camera": "main"})
    queue.enqueue("thumbnail", "tomorrow", {"camera": "main"}, due_us=start_us + 86_400_000_000)
    done = queue.claim(("thumbnail",), "me", "boot")
    dead = queue.claim(("thumbnail",), "me", "boot")
    assert done
    assert dead
    queue.finish(done, {})
    queue.fail(dead, MoveIllegal("no use"))
    store.clock.advance(60)
    fast = queue.enqueue("backup", "fresh", {})
    queue.claim(("backup",), "me", "boot")
    depth = reader.depth(store.clock.now_us(), stuck_s=1800)
    assert depth.due == {"thumbnail": 1}
    assert depth.oldest_us == start_us + 1900 * 1_000_000
    assert [job.id for job in depth.running] == [stuck.id, fast.id]
    assert (depth.stuck, depth.dead) == (1, 1)
    assert reader.done_since(store.clock.now_us() - HOUR_US) == {"thumbnail": 1}
    assert reader.depth(store.clock.now_us(), held={("thumbnail", "2")}).due == {}
    store.clock.advance(3600)
    assert reader.done_since(store.clock.now_us() - HOUR_US) == {}


def test_pages_go_by_number_newest_first_without_holes_or_repeats(store: Store, reader: JobReader) -> None:
    fill(store, 25)
    fill(store, 5, "upkeep", due_us=store.clock.now_us() + 5)
    seen: list[int] = []
    after = None
    while rows := reader.page(limit=7, after=after):
        seen += [job.seq for job in rows]
        after = rows[-1].seq
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen)) == len(store.rows("SELECT seq FROM jobs"))


def test_pages_are_filtered_by_state_kind_and_key(store: Store, queue: Jobs, reader: JobReader) -> None:
    queue.enqueue("upkeep", "node", {})
    queue.enqueue("backup", "node", {})
    leased = queue.claim(("backup",), "me", "boot")
    assert leased
    assert [job.kind for job in reader.page(state=JobState.LEASED)] == ["backup"]
    assert [job.kind for job in reader.page(kind="upkeep")] == ["upkeep"]
    assert [job.kind for job in reader.page(key="node")] == ["backup", "upkeep"]
    assert reader.page(kind="backup", state=JobState.QUEUED) == []


def test_of_attempts_given_back_the_last_of_a_number_is_kept(store: Store) -> None:
    fill(store, 1)
    job = replace(store.database.read(lambda session: jobs.get(session, _only(store))), attempt=1)
    for started_us in range(5):
        one = replace(job, started_us=started_us)
        store.database.write(lambda session, one=one: jobs.note_attempt(session, one, Attempt.GIVEN_BACK, 9))
    assert store.rows("SELECT started_us FROM job_attempts") == [(4,)]


def test_a_long_error_is_cut(store: Store, queue: Jobs, reader: JobReader) -> None:
    queue.enqueue("upkeep", "node", {})
    leased = queue.claim(("upkeep",), "me", "boot")
    assert leased
    failed = queue.fail(leased, ValueError("x" * 100_000))
    assert len(failed.error) == len(reader.attempts(failed.id)[0].error) == jobs.ERROR_CHARS


def test_forgetting_takes_what_ended_before_then_with_its_attempts(
    store: Store, queue: Jobs, reader: JobReader
) -> None:
    for number in range(jobs.BATCH + 20):
        queue.enqueue("upkeep", f"{number}", {})
        leased = queue.claim(("upkeep",), "me", "boot")
        assert leased
        queue.finish(leased, {})
        store.clock.advance(1)
    cut_us = store.clock.now_us()
    queue.enqueue("upkeep", "dead", {})
    dead = queue.claim(("upkeep",), "me", "boot")
    assert dead
    queue.fail(dead, MoveIllegal("no use"))
    queue.enqueue("upkeep", "waits", {})
    assert queue.forget(cut_us) == jobs.BATCH + 20
    assert {job.key for job in reader.page()} == {"dead", "waits"}
    assert store.rows("SELECT COUNT(DISTINCT job_id) FROM job_attempts") == [(1,)]
    assert queue.forget(cut_us) == 0


def test_a_job_asked_for_again_takes_the_higher_priority_and_waits_on(store: Store, queue: Jobs) -> None:
    first = queue.enqueue("upkeep", "node", {}, priority=Priority.PER_CAPTURE)
    again = queue.enqueue("upkeep", "node", {}, priority=Priority.MILESTONE)
    lower = queue.enqueue("upkeep", "node", {}, priority=Priority.SCHEDULED)
    assert (first.new, again.new, lower.new) == (True, False, False)
    assert (again.id, again.priority, lower.priority) == (first.id, Priority.MILESTONE, Priority.MILESTONE)
