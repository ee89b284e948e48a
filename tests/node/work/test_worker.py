from __future__ import annotations

import errno
import logging
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from node.clock import SystemClock, boot_id
from node.crashpoint import VARIABLE
from node.domain.errors import (
    CodecUnknown,
    DatabaseBusy,
    DirectoryMissing,
    EncoderFailed,
    JobCancelled,
    JobTimeout,
    LeaseLost,
    TargetUnavailable,
)
from node.domain.events import BackupMade, Event
from node.domain.job import KINDS, STOP_S, JobState, TransferPayload
from node.host.pulse import Pulse
from node.jobs import Jobs
from node.store.database import NAME
from node.store.jobs import Job, JobReader
from node.store.log import Actor
from node.store.session import Session
from node.work import task as task_module
from node.work.task import Desk, Done, Handler, Postponed, Stopping, Task
from node.work.worker import LOOK_S, PROMISE_S, Rules, Worker
from tests.stores import Store, opened

DAY_S = 86_400
ANYBODY = Actor("ana", "operator")


def done(_task: Task) -> Done:
    return Done({"ok": True})


@dataclass
class Bench:
    """A worker over a real database, whose handlers a test changes as it goes."""

    store: Store
    folder: Path
    handlers: dict[str, Handler] = field(default_factory=lambda: dict.fromkeys(("upkeep", "transfer", "render"), done))
    pulses: list[Pulse] = field(default_factory=list)
    rules: Rules = field(default_factory=Rules)

    def __post_init__(self) -> None:
        self.queue = Jobs(self.store.journal, jitter=lambda: 0.0)
        self.reader = JobReader(self.store.database)

    def worker(self, clock: Any = None) -> Worker:
        desk = Desk(self.queue, clock or self.store.clock, self.pulses.append)
        return Worker(desk, self.handlers, self.folder / "scratch", self.rules)

    def run_one(self, act: Callable[[Task], Any] = done, **asked: Any) -> Job:
        """One job of upkeep whose handler is `act`, worked on once; its row after that."""

        def handler(task: Task) -> Done:
            given = act(task)
            return given if isinstance(given, Done) else Done()

        self.handlers["upkeep"] = handler
        job = self.queue.enqueue("upkeep", "node", {}, **asked)
        assert self.worker().turn()
        return self.reader.get(job.id)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with opened(tmp_path) as store:
        yield Bench(store, tmp_path)


def raises(error: Exception) -> Callable[[Task], Any]:
    def act(_task: Task) -> None:
        raise error

    return act


# --- one job --------------------------------------------------------------------------------------------------------


def test_a_handler_gets_its_payload_typed_and_its_result_is_kept(bench: Bench) -> None:
    seen: list[Any] = []

    def send(task: Task) -> Done:
        seen.append((task.payload, task.job.attempt))
        return Done({"sent": 3}, lambda session: [BackupMade("b.tar", 5, 1)])

    bench.handlers["transfer"] = send
    job = bench.queue.enqueue("transfer", "nas", {"target": "nas"})
    assert bench.worker().turn()
    assert seen == [(TransferPayload(target="nas"), 1)]
    assert (bench.reader.get(job.id).state, bench.reader.get(job.id).result) == (JobState.DONE, {"sent": 3})
    assert [row.kind for row in bench.store.events.after(0)] == ["backup"]


@pytest.mark.parametrize("error", [None, EncoderFailed("x"), ValueError("x")])
def test_scratch_is_empty_at_the_start_and_gone_at_the_end_however_it_ends(
    bench: Bench, error: Exception | None
) -> None:
    left = bench.folder / "scratch" / "of-an-earlier-life"
    left.mkdir(parents=True)
    (left / "video.tmp").write_bytes(b"x")

    def act(task: Task) -> None:
        assert list(task.scratch.iterdir()) == []
        assert list((bench.folder / "scratch").iterdir()) == [task.scratch]
        (task.scratch / "big").write_bytes(bytes(100))
        if error:
            raise error

    bench.run_one(act)
    assert list((bench.folder / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [
        (TargetUnavailable("no route"), JobState.RETRY, "ARC-001"),
        (CodecUnknown("av2"), JobState.DEAD, "REN-002"),
        (ValueError("ours"), JobState.RETRY, "API-013"),
        (OSError(errno.ENOSPC, "No space left on device"), JobState.RETRY, "DSK-001"),
        (OSError(errno.EROFS, "Read-only file system"), JobState.RETRY, "DSK-002"),
        (JobTimeout("stood still"), JobState.RETRY, "JOB-007"),
    ],
)
def test_what_a_handler_raises_is_how_the_attempt_ended(
    bench: Bench, error: Exception, state: JobState, code: str
) -> None:
    job = bench.run_one(raises(error))
    assert (job.state, job.error_code, job.attempt) == (state, code, 1)
    assert [each.error_code for each in bench.reader.attempts(job.id)] == [code]


def test_a_mistake_in_a_handler_is_logged_with_its_job(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        bench.run_one(raises(ZeroDivisionError("ours")))
    [line] = [record for record in caplog.records if record.message == "handler failed"]
    assert line.exc_info is not None


def test_a_handler_may_put_its_job_off_uncharged(bench: Bench) -> None:
    job = bench.run_one(raises(Postponed(90, "waits for the target")))
    assert (job.state, job.attempt, job.said) == (JobState.QUEUED, 0, "waits for the target")
    assert job.due_us == bench.store.clock.now_us() + 90_000_000


def test_what_the_end_of_a_job_could_not_write_is_a_failed_attempt(bench: Bench) -> None:
    def rows(session: Session) -> Iterable[Event]:
        session.execute("INSERT INTO meta (key, value) VALUES ('note', 'half')")
        raise sqlite3.IntegrityError("twice")

    job = bench.run_one(lambda task: Done({}, rows))
    assert (job.state, job.error) == (JobState.RETRY, "IntegrityError: twice")
    assert bench.store.rows("SELECT * FROM meta WHERE key = 'note'") == []


def test_a_payload_of_another_release_makes_a_dead_letter(bench: Bench) -> None:
    job = bench.queue.enqueue("upkeep", "node", {})
    bench.store.database.write(lambda session: session.execute("""UPDATE jobs SET payload = '{"mood": 1}'"""))
    assert bench.worker().turn()
    assert (bench.reader.get(job.id).state, bench.reader.get(job.id).error_code) == (JobState.DEAD, "JOB-002")


def test_scratch_that_cannot_be_made_says_nothing_of_the_job(bench: Bench) -> None:
    mount = bench.folder / "mount"
    before_the_claim = iter([True])

    def check() -> None:
        if not next(before_the_claim, mount.exists()):
            raise DirectoryMissing("unmounted")

    desk = Desk(bench.queue, bench.store.clock)
    worker = Worker(desk, bench.handlers, mount / "scratch" / "work", Rules(check=check))
    job = bench.queue.enqueue("upkeep", "node", {})
    assert worker.turn()
    back = bench.reader.get(job.id)
    assert (back.state, back.attempt) == (JobState.QUEUED, 0)
    assert "DSK-004" in back.said
    assert not mount.exists(), "what is not mounted is not made"
    mount.mkdir()
    bench.store.clock.advance(60)
    assert worker.turn()
    assert bench.reader.get(job.id).state is JobState.DONE


MISSING = (
    (OSError(errno.ENOENT, "No such file or directory"), "API-013"),
    (OSError(errno.ENOTDIR, "Not a directory"), "API-013"),
    (DirectoryMissing("videos/main"), "DSK-004"),
)


@pytest.mark.parametrize(("error", "code"), MISSING)
def test_what_is_missing_while_the_data_directory_is_there_costs_attempts_and_ends_dead(
    bench: Bench, error: Exception, code: str
) -> None:
    bench.handlers["upkeep"] = raises(error)
    job, worker = bench.queue.enqueue("upkeep", "node", {}), bench.worker()
    for _ in range(4):
        assert worker.turn()
        bench.store.clock.advance(3600)
    assert not worker.turn()
    assert (bench.reader.get(job.id).state, bench.reader.get(job.id).error_code) == (JobState.DEAD, code)
    assert [each.attempt for each in bench.reader.attempts(job.id)] == [1, 2, 3, 4]


@pytest.mark.parametrize(("error", "_code"), MISSING)
def test_what_is_missing_because_the_data_directory_went_costs_nothing(
    bench: Bench, error: Exception, _code: str
) -> None:
    there = iter([True])

    def check() -> None:
        if not next(there, False):
            raise DirectoryMissing("unmounted")

    bench.rules = Rules(check=check)
    job = bench.run_one(raises(error))
    assert (job.state, job.attempt) == (JobState.QUEUED, 0)
    assert "DSK-004" in job.said


def test_nothing_begins_while_the_data_directory_is_another(bench: Bench) -> None:
    there = [False]

    def check() -> None:
        if not there[0]:
            raise DirectoryMissing("unmounted")

    bench.rules = Rules(check=check)
    job = bench.queue.enqueue("upkeep", "node", {})
    worker = bench.worker()
    for _ in range(3):
        assert worker.guarded_turn(), "it pauses by itself"
    assert bench.reader.get(job.id) == replace(job, new=False)
    there[0] = True
    assert worker.guarded_turn()
    assert bench.reader.get(job.id).state is JobState.DONE


def test_an_end_that_the_database_is_late_to_take_is_not_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    finish, refused = bench.queue.finish, iter([DatabaseBusy("locked")] * 5)

    def late(*given: Any) -> Job:
        for error in refused:
            raise error
        return finish(*given)

    monkeypatch.setattr(bench.queue, "finish", late)
    assert bench.run_one().state is JobState.DONE


# --- which jobs -----------------------------------------------------------------------------------------------------


def test_derivatives_wait_while_they_are_not_allowed(bench: Bench) -> None:
    allowed = [False]
    bench.rules = Rules(derivatives=lambda: allowed[0])
    bench.queue.enqueue("render", "s", {"camera": "main", "from_us": 1, "to_us": 2})
    worker = bench.worker()
    assert not worker.turn()
    allowed[0] = True
    assert worker.turn()


def test_jobs_that_are_held_wait(bench: Bench) -> None:
    bench.rules = Rules(held=lambda: {("transfer", "nas")})
    bench.queue.enqueue("transfer", "nas", {"target": "nas"})
    assert not bench.worker().turn()


def test_kinds_without_a_handler_are_left_to_others(bench: Bench) -> None:
    bench.queue.enqueue("backup", "node", {})
    assert not bench.worker().turn()
    assert bench.store.rows("SELECT state FROM jobs") == [("queued",)]


def test_an_idle_worker_writes_nothing_and_gives_its_pulse(bench: Bench) -> None:
    worker = bench.worker()
    worker.turn()
    before = bench.store.database.data_version(), bench.store.database.wal_bytes()
    bench.pulses.clear()
    for _ in range(50):
        assert not worker.guarded_turn()
        worker._rest()
    assert (bench.store.database.data_version(), bench.store.database.wal_bytes()) == before
    assert len(bench.pulses) == 50
    gaps = [after.at_s - one.at_s for one, after in zip(bench.pulses, bench.pulses[1:], strict=False)]
    assert max(gaps) < PROMISE_S
    assert {pulse.job for pulse in bench.pulses} == {""}


def test_a_rest_ends_when_the_database_moves(bench: Bench) -> None:
    worker = bench.worker()
    worker.turn()
    start_s = bench.store.clock.monotonic()
    worker._rest()
    assert bench.store.clock.monotonic() - start_s == pytest.approx(LOOK_S)
    start_s = bench.store.clock.monotonic()
    bench.store.clock.at(bench.store.clock.now_us() + 100_000, lambda: bench.queue.enqueue("upkeep", "node", {}))
    worker._rest()
    assert bench.store.clock.monotonic() - start_s < LOOK_S / 2
    assert worker.turn()


# --- beats ----------------------------------------------------------------------------------------------------------


def test_many_beats_cost_few_writes_and_all_of_them_a_pulse_a_second(bench: Bench) -> None:
    writes: list[str] = []
    beat = bench.queue.beat
    bench.queue.beat = lambda *given: (writes.append(given[2]), beat(*given))[1]  # type: ignore[method-assign]

    def act(task: Task) -> None:
        for number in range(3000):
            bench.store.clock.advance(0.01)
            task.beat(number / 30_000, f"{number} frames")
        assert bench.reader.get(task.job.id).progress == pytest.approx(0.09, abs=0.02)

    bench.pulses.clear()
    assert bench.run_one(act).state is JobState.DONE
    assert 5 <= len(writes) <= 15, "30 seconds, ten steps of a percent"
    assert 28 <= len([pulse for pulse in bench.pulses if pulse.job]) <= 34


def test_a_standing_job_that_beats_keeps_its_lease(bench: Bench) -> None:
    def act(task: Task) -> None:
        for _ in range(70):
            bench.store.clock.advance(100)
            task.beat()
            assert bench.queue.claim(("upkeep",), "other", boot_id()) is None

    assert bench.run_one(act).state is JobState.DONE


def test_a_cancelled_job_hears_of_it_within_a_second_of_its_beats(bench: Bench) -> None:
    heard: list[float] = []

    def act(task: Task) -> None:
        start_s = bench.store.clock.monotonic()
        bench.queue.cancel(task.job.id, ANYBODY)
        try:
            for _ in range(100):
                bench.store.clock.advance(0.1)
                task.beat(0.5)
        finally:
            heard.append(bench.store.clock.monotonic() - start_s)

    assert bench.run_one(act).state is JobState.CANCELLED
    assert heard[0] <= 1.1


def test_an_attempt_that_was_overtaken_hears_of_it_and_changes_nothing(bench: Bench) -> None:
    def act(task: Task) -> None:
        bench.queue.take_back(("upkeep",))
        bench.store.clock.advance(2)
        with pytest.raises(LeaseLost):
            task.beat(0.5)
        task.beat(0.6)

    job = bench.run_one(act)
    assert (job.state, job.error_code) == (JobState.RETRY, "JOB-008")


def test_a_database_that_is_late_does_not_end_a_job_that_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def act(task: Task) -> None:
        with monkeypatch.context() as patch:
            for name in ("beat", "check"):
                patch.setattr(bench.queue, name, lambda *_: (_ for _ in ()).throw(DatabaseBusy("locked")))
            for _ in range(30):
                bench.store.clock.advance(1)
                task.beat(0.5)

    assert bench.run_one(act).state is JobState.DONE


@pytest.mark.parametrize(("step_s", "said"), [(121, "nothing said for 120 s"), (100, "longer than 7200 s")])
def test_a_beat_past_a_limit_ends_the_attempt_as_a_timeout(bench: Bench, step_s: float, said: str) -> None:
    def act(task: Task) -> None:
        for _ in range(100):
            bench.store.clock.advance(step_s)
            task.beat()

    job = bench.run_one(act)
    assert (job.state, job.error_code, job.error) == (JobState.RETRY, "JOB-007", said)
    assert [each.outcome for each in bench.reader.attempts(job.id)] == ["timeout"]


# --- stopping -------------------------------------------------------------------------------------------------------


def stopped_after(bench: Bench, act: Callable[[Task], Any]) -> Job:
    """A job during which the process is asked to end."""
    stop = threading.Event()

    def handler(task: Task) -> Done:
        stop.set()
        assert task.stopping.is_set()
        act(task)
        return Done()

    bench.handlers["upkeep"] = handler
    job = bench.queue.enqueue("upkeep", "node", {})
    bench.queue.enqueue("upkeep", "next", {})
    bench.worker().run(stop)
    assert bench.reader.page(key="next")[0].state is JobState.QUEUED, "it went on claiming"
    return bench.reader.get(job.id)


def beats_for(bench: Bench, seconds: float) -> Callable[[Task], None]:
    def act(task: Task) -> None:
        for _ in range(round(seconds)):
            task.beat()
            bench.store.clock.advance(1)
        task.beat()

    return act


def test_a_job_that_ends_in_time_after_a_stop_is_done(bench: Bench) -> None:
    assert stopped_after(bench, beats_for(bench, STOP_S - 1)).state is JobState.DONE


def test_a_job_that_does_not_end_in_time_after_a_stop_is_given_back_uncharged(bench: Bench) -> None:
    job = stopped_after(bench, beats_for(bench, STOP_S + 2))
    assert (job.state, job.attempt, job.due_us) == (JobState.QUEUED, 0, bench.store.clock.now_us())


def test_a_stop_that_took_a_jobs_children_first_costs_it_no_attempt(bench: Bench) -> None:
    job = stopped_after(bench, raises(EncoderFailed("killed by SIGTERM")))
    assert (job.state, job.attempt) == (JobState.QUEUED, 0)


def test_a_stop_does_not_keep_a_hopeless_job_alive(bench: Bench) -> None:
    assert stopped_after(bench, raises(CodecUnknown("av2"))).state is JobState.DEAD


def test_a_job_that_never_beats_is_given_back_from_outside(bench: Bench) -> None:
    entered, leave = threading.Event(), threading.Event()

    def hangs(task: Task) -> Done:
        entered.set()
        leave.wait(10)
        return Done({"late": True})

    bench.handlers["upkeep"] = hangs
    job = bench.queue.enqueue("upkeep", "node", {})
    worker, stop = bench.worker(), threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    assert entered.wait(10)
    stop.set()
    worker.abandon()
    assert (bench.reader.get(job.id).state, bench.reader.get(job.id).attempt) == (JobState.QUEUED, 0)
    leave.set()
    thread.join(10)
    assert bench.reader.get(job.id).result == {}, "its late end changed what was given back"


def test_nobody_is_abandoned_where_nothing_runs(bench: Bench) -> None:
    bench.worker().abandon()
    assert bench.reader.page() == []


# --- children -------------------------------------------------------------------------------------------------------


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"])


def limits(monkeypatch: pytest.MonkeyPatch, **changes: float) -> None:
    monkeypatch.setitem(KINDS, "upkeep", replace(KINDS["upkeep"], **changes))  # type: ignore[arg-type]


def with_real_time(bench: Bench, act: Callable[[Task], Any], stop: threading.Event | None = None) -> Job:
    bench.handlers["upkeep"] = lambda task: act(task) or Done()
    job = bench.queue.enqueue("upkeep", "node", {})
    worker = bench.worker(SystemClock())
    worker._stop = stop or threading.Event()
    assert worker.turn()
    return bench.reader.get(job.id)


def waits_for_its_child(task: Task) -> None:
    child = sleeper()
    task.watch(child)
    status = child.wait(30)
    assert status == -signal.SIGKILL
    raise EncoderFailed(f"ended with {status}")


def test_a_child_that_stands_still_is_killed_and_the_attempt_is_a_timeout(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits(monkeypatch, stall_s=0.3)
    job = with_real_time(bench, waits_for_its_child)
    assert (job.state, job.error_code, job.error) == (JobState.RETRY, "JOB-007", "nothing said for 0.3 s")


def test_a_child_that_takes_too_long_is_killed_however_it_beats(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    limits(monkeypatch, hard_s=0.5)

    def act(task: Task) -> None:
        child = sleeper()
        task.watch(child)
        while child.poll() is None:
            time.sleep(0.02)
            task.beat(0.5)

    job = with_real_time(bench, act)
    assert (job.error_code, job.error) == ("JOB-007", "longer than 0.5 s")


def test_a_child_that_outlasts_a_stop_is_killed_and_its_job_given_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_module, "STOP_S", 0.3)
    stop = threading.Event()

    def act(task: Task) -> None:
        stop.set()
        waits_for_its_child(task)

    job = with_real_time(bench, act, stop)
    assert (job.state, job.attempt) == (JobState.QUEUED, 0)


@pytest.mark.parametrize("error", [None, ValueError("x"), Postponed(5), JobCancelled("x"), Stopping("x")])
def test_no_child_outlives_its_attempt(bench: Bench, error: Exception | None) -> None:
    children: list[subprocess.Popen[bytes]] = []

    def act(task: Task) -> None:
        for _ in range(3):
            children.append(sleeper())
            task.watch(children[-1])
        if error:
            raise error

    with_real_time(bench, act)
    assert [child.poll() for child in children] == [-signal.SIGKILL] * 3
    assert [thread.name for thread in threading.enumerate() if thread.name == "watch"] == []


# --- the loop -------------------------------------------------------------------------------------------------------


def test_a_loop_that_fails_pauses_and_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, clock = bench.worker(), bench.store.clock
    with monkeypatch.context() as patch:
        patch.setattr(bench.queue, "claim", lambda *_: (_ for _ in ()).throw(DatabaseBusy("locked")))
        pauses = []
        for _ in range(8):
            start_s = clock.monotonic()
            worker.guarded_turn()
            pauses.append(clock.monotonic() - start_s)
            assert bench.pulses[-1].promise_s > pauses[-1]
    assert pauses == sorted(pauses)
    assert 1 <= pauses[0] < pauses[-1] <= 30
    bench.queue.enqueue("upkeep", "node", {})
    assert worker.guarded_turn()
    assert bench.reader.page()[0].state is JobState.DONE


def test_a_start_takes_back_what_an_earlier_life_held_and_begins_only_once(bench: Bench) -> None:
    bench.queue.enqueue("upkeep", "node", {})
    bench.queue.enqueue("backup", "node", {})
    for kind in ("upkeep", "backup"):
        bench.queue.claim((kind,), "earlier", boot_id())
    worker = bench.worker()
    assert not worker.turn()
    assert {job.kind: job.state for job in bench.reader.page()} == {"upkeep": JobState.RETRY, "backup": JobState.LEASED}
    bench.queue.claim(("upkeep",), "other", boot_id())
    assert not worker.turn()


def test_a_clock_that_is_set_back_under_way_makes_no_job_wait_longer(bench: Bench) -> None:
    worker = bench.worker()
    job = bench.run_one(raises(TargetUnavailable("no route")))
    assert not worker.turn()
    bench.store.clock.step(-DAY_S)
    assert not worker.turn()
    assert bench.reader.get(job.id).due_us == bench.store.clock.now_us() + 30_000_000
    bench.store.clock.step(DAY_S)
    assert worker.turn(), "forward, what waits is due"


def test_a_small_correction_of_the_clock_writes_nothing(bench: Bench) -> None:
    worker = bench.worker()
    bench.queue.enqueue("upkeep", "later", {}, due_us=bench.store.clock.now_us() + 9_000_000)
    worker.turn()
    before = bench.store.database.data_version()
    for _ in range(3):
        bench.store.clock.step(-0.3)
        worker.turn()
    assert bench.store.database.data_version() == before


# --- real processes -------------------------------------------------------------------------------------------------

WORKS = """
import signal, sys, threading, time
from pathlib import Path
from node.clock import SystemClock
from node.entries import Entries
from node.jobs import Jobs
from node.store.database import NAME, Database
from node.work import task as task_module
from node.work.task import Desk, Done
from node.work.worker import Worker

folder, mode = Path(sys.argv[1]), sys.argv[2]
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
clock, database = SystemClock(), Database.join(folder / NAME)
queue = Jobs(Entries(database, clock), lambda: {"upkeep": [0.0, 0.0, 0.0]})

def upkeep(task):
    with (folder / "runs").open("a") as runs:
        runs.write(task.job.key + "\\n")
    effect = folder / f"{task.job.key}.done"
    (task.scratch / "tmp").write_text(task.job.id)
    (task.scratch / "tmp").rename(effect)
    while mode == "stands":
        task.beat()
        time.sleep(0.02)

    def rows(session):
        session.execute("INSERT INTO effects VALUES (?, ?)", (task.job.key, task.job.attempt))
        return ()

    return Done({}, rows)

worker = Worker(Desk(queue, clock), {"upkeep": upkeep}, folder / "scratch")
if mode == "stands":
    task_module.STOP_S = 0.5
    worker.run(stop)
else:
    idle = 0
    while idle < 3 and not stop.is_set():
        idle = 0 if worker.guarded_turn() else idle + 1
        time.sleep(0.01)
database.close()
"""
POINTS = ("job_claimed", "job_handled", "job_settled", "before_commit", "after_commit")


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Bench]:
    """A database with a table in which jobs leave their effects, and five jobs."""
    with opened(tmp_path, clock=SystemClock()) as store:  # type: ignore[arg-type]
        store.database.write(lambda session: session.execute("CREATE TABLE effects (key TEXT, attempt INTEGER)"))
        bench = Bench(store, tmp_path)
        for number in range(5):
            bench.queue.enqueue("upkeep", f"job-{number}", {})
        yield bench


def live(folder: Path, mode: str = "drains", planned: str = "") -> int:
    command = [sys.executable, "-c", WORKS, str(folder), mode]
    ended = subprocess.run(command, env={VARIABLE: planned}, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode


@pytest.mark.slow
@pytest.mark.parametrize("passage", [1, 4])
@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_at_any_point_costs_an_attempt_and_no_effect(ground: Bench, point: str, passage: int) -> None:
    assert live(ground.folder, planned=f"{point}:{passage}") == -signal.SIGKILL
    assert live(ground.folder) == 0
    effects = ground.store.rows("SELECT key, COUNT(*) FROM effects GROUP BY key ORDER BY key")
    assert effects == [(f"job-{number}", 1) for number in range(5)]
    assert ground.store.rows("SELECT DISTINCT state FROM jobs") == [("done",)]
    runs = (ground.folder / "runs").read_text().split()
    assert set(runs) == {f"job-{number}" for number in range(5)}
    assert len(runs) <= 6, "more than the one attempt that was lost ran again"
    assert len(list(ground.folder.glob("*.done"))) == 5
    assert list((ground.folder / "scratch").iterdir()) == []
    lost = ground.store.rows("SELECT COUNT(*) FROM job_attempts WHERE outcome = 'lost'")
    assert lost[0][0] == ground.store.rows("SELECT SUM(attempt) - 5 FROM effects")[0][0]


@pytest.mark.slow
def test_a_job_that_kills_its_worker_each_time_becomes_a_dead_letter_with_every_attempt(ground: Bench) -> None:
    ground.store.database.write(lambda session: session.execute("DELETE FROM jobs WHERE key <> 'job-0'"))
    for _ in range(4):
        assert live(ground.folder, planned="job_handled") == -signal.SIGKILL
    assert live(ground.folder) == 0
    [job] = ground.reader.page()
    assert (job.state, job.error_code) == (JobState.DEAD, "JOB-008")
    assert [(each.attempt, each.outcome) for each in ground.reader.attempts(job.id)] == [
        (number, "lost") for number in (1, 2, 3, 4)
    ]
    assert [row.kind for row in ground.store.events.after(0)] == ["job"] * 3 + ["job_dead"]
    assert ground.store.rows("SELECT * FROM effects") == []


@pytest.mark.slow
def test_a_worker_asked_to_end_gives_its_job_back_and_exits_in_order(ground: Bench) -> None:
    process = subprocess.Popen([sys.executable, "-c", WORKS, str(ground.folder), "stands"])
    try:
        while not ground.reader.page(state=JobState.LEASED):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.wait()
    assert ground.store.rows("SELECT DISTINCT state, attempt, owner FROM jobs") == [("queued", 0, "")]


DRAINS = """
import sys
from pathlib import Path
from node.clock import SystemClock
from node.entries import Entries
from node.jobs import Jobs
from node.store.database import NAME, Database

folder, owner = Path(sys.argv[1]), sys.argv[2]
database = Database.join(folder / NAME)
queue = Jobs(Entries(database, SystemClock()))
count = 0
while (job := queue.claim(("thumbnail",), owner, "boot")) is not None:
    def rows(session):
        session.execute("INSERT INTO effects VALUES (?, ?)", (job.key, job.attempt))
        return ()
    queue.finish(job, {}, rows)
    count += 1
database.close()
print(count)
"""


@pytest.mark.slow
def test_ten_thousand_jobs_are_each_done_once_by_two_processes_that_compete(tmp_path: Path) -> None:
    count = 10_000
    with opened(tmp_path) as store:
        now_us = SystemClock().now_us() - 1
        seed = (
            "INSERT INTO jobs (id, kind, key, state, priority, payload, who, created_us, due_us)"
            " VALUES (?, 'thumbnail', ?, 'queued', ?, '{\"camera\": \"main\"}', 'x', ?, ?)"
        )
        rows = [(f"id-{number}", f"{number}", number % 4 * 10, now_us, now_us) for number in range(count)]
        store.database.write(lambda session: session.execute("CREATE TABLE effects (key TEXT, attempt INTEGER)"))
        store.database.write(lambda session: session.many(seed, rows), timeout_s=30)
        command = [sys.executable, "-c", DRAINS, str(tmp_path)]
        drains = [
            subprocess.Popen([*command, owner], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for owner in ("one", "two")
        ]
        said = [process.communicate(timeout=240) for process in drains]
    assert [process.returncode for process in drains] == [0, 0], said
    counts = [int(out) for out, _ in said]
    assert sum(counts) == count
    assert min(counts) > 0, "one of them never came to work"
    plain = sqlite3.connect(tmp_path / NAME)
    assert plain.execute("SELECT COUNT(*), COUNT(DISTINCT key), MAX(attempt) FROM effects").fetchone() == (
        count,
        count,
        1,
    )
    assert plain.execute("SELECT state, COUNT(*) FROM jobs GROUP BY state").fetchall() == [("done", count)]
    plain.close()
