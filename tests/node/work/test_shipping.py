from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.archive.base import Beat, Item, Outcome, Receipt, Refused, Target
from node.archive.targets import open_target
from node.clock import SystemClock
from node.crashpoint import VARIABLE
from node.domain.config import BreakerLimits
from node.domain.errors import ReceiptRefused, TargetUnavailable
from node.domain.job import JobState
from node.domain.nodefile import DirectoryTarget
from node.store.log import Actor
from node.work.rounds import Round, Rounds
from tests import sshd
from tests.clocks import JumpClock
from tests.docks import OTHER_DISK, Shipyard, hashes, shipyard

HOUR_S = 3600.0
MANY = (
    "WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < 11000) INSERT INTO frames"
    " SELECT v, printf('%026d', v), 'north', 'main', 'auto', NULL, '[]', '[]', v, 1, 'frames/' || v || '.jpg', 9, '',"
    " 1, 1, '{}', '{}', 1, '', 1, 'intact', 'good', 9, '[]', 0, 0, 0, NULL, '{}' FROM n"
)


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Shipyard]:
    with shipyard(tmp_path) as made:
        yield made


class Wrapped:
    """A target as it is, but for what a test makes of its answers."""

    def __init__(self, target: Target, answer: Callable[[Outcome], Outcome]) -> None:
        self._target, self._answer = target, answer

    def put(self, items: Sequence[Item], beat: Beat) -> list[Outcome]:
        return [self._answer(each) for each in self._target.put(items, beat)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


def answering(answer: Callable[[Outcome], Outcome]) -> Any:
    """In place of `open_target`."""
    return lambda *arguments: Wrapped(open_target(*arguments), answer)


def away(yard: Shipyard) -> Path:
    """The disk is unmounted."""
    return yard.nas.rename(yard.nas.with_name(yard.nas.name + "-away"))


def back(yard: Shipyard) -> None:
    yard.nas.with_name(yard.nas.name + "-away").rename(yard.nas)


def all_sent(yard: Shipyard, frames: Sequence[Any]) -> bool:
    """By files and rows, counted independently."""
    kept = {f"north/{frame.path}": frame.sha256 for frame in frames}
    held = hashes(yard.nas)
    same_files = {name: held.get(name) for name in kept} == kept
    ids = sorted(frame.id for frame in frames)
    return same_files and yard.receipts() == ids and yard.unsent() == [] and yard.counters_are_right()


# --- all goes well --------------------------------------------------------------------------------------------------


def test_every_frame_and_video_gets_one_receipt_and_lies_at_the_target_byte_for_byte(yard: Shipyard) -> None:
    frames, video = yard.keep(5), yard.video()
    assert yard.ship() == 1
    assert all_sent(yard, [*frames, video])
    assert yard.mismatches() == []
    assert yard.events("archived") == [{"target": "nas", "count": 6, "size_bytes": 5 * 1000 + 2600, "took_s": 0.0}]
    (job,) = yard.jobs_of()
    assert (job.state, job.result["sent"], job.result["refused"]) == (JobState.DONE, 6, 0)


def test_nothing_to_do_writes_nothing(yard: Shipyard) -> None:
    yard.keep(2)
    yard.ship()
    before = yard.store.database.data_version()
    for _ in range(5):
        yard.clock.advance(60)
        assert yard.ship() == 0
    assert yard.store.database.data_version() == before


def test_new_frames_are_sent_as_they_come(yard: Shipyard) -> None:
    frames = []
    for _ in range(4):
        frames += yard.keep(1)
        assert yard.ship() == 1
    assert all_sent(yard, frames)


def test_a_backlog_goes_in_batches_of_so_many_frames_and_bytes(yard: Shipyard) -> None:
    frames = yard.keep(10)
    yard.set(archive={"targets": {"nas": {"batch_frames": 4}}})
    assert yard.ship() == 3
    frames += yard.keep(5)
    yard.set(archive={"targets": {"nas": {"batch_bytes": 2100}}})
    assert yard.ship() == 3
    assert [job.result["sent"] for job in reversed(yard.jobs_of())] == [4, 4, 2, 2, 2, 1]
    assert all_sent(yard, frames)


def test_new_frames_are_gathered_and_a_full_batch_goes_at_once(yard: Shipyard) -> None:
    yard.set(archive={"targets": {"nas": {"gather_s": 60, "batch_frames": 4}}})
    frames = yard.keep(2, interval_s=1)
    yard.look()
    assert not yard.worker.turn()
    yard.clock.advance(61)
    assert yard.worker.turn()
    assert len(yard.receipts()) == len(frames)
    frames += yard.keep(5, interval_s=1)
    yard.look()
    assert yard.worker.turn()
    assert len(yard.receipts()) == len(frames) - 1


def test_a_frame_larger_than_a_batch_goes_alone(yard: Shipyard) -> None:
    yard.keep(1)
    video = yard.video()
    yard.set(archive={"targets": {"nas": {"batch_bytes": 1024}}})
    assert yard.ship() == 2
    assert video.id in yard.receipts()


@pytest.mark.parametrize("order", ["oldest", "newest"])
def test_a_backlog_is_sent_from_the_end_that_the_document_names(yard: Shipyard, order: str) -> None:
    yard.set(archive={"targets": {"nas": {"batch_frames": 1, "order": order}}})
    frames = yard.keep(3)
    sent = []
    for _ in frames:
        yard.look()
        yard.worker.turn()
        sent += [each for each in yard.receipts() if each not in sent]
    assert sent == [frame.id for frame in (frames if order == "oldest" else frames[::-1])]


def test_videos_stay_here_where_the_document_says_so_and_go_when_it_no_longer_does(yard: Shipyard) -> None:
    yard.set(archive={"targets": {"nas": {"videos": False}}})
    frames, video = yard.keep(1), yard.video()
    yard.ship()
    assert all_sent(yard, frames)
    yard.set()
    yard.ship()
    assert all_sent(yard, [*frames, video])


def test_each_of_several_targets_holds_everything_and_one_that_is_new_begins_with_the_first(
    yard: Shipyard, tmp_path: Path
) -> None:
    frames = yard.keep(3)
    yard.ship()
    other = yard.nas.with_name(yard.nas.name + "-other")
    other.mkdir()
    try:
        yard.endpoints["office"] = DirectoryTarget(kind="directory", path=str(other))
        yard.init()
        frames += yard.keep(2)
        assert yard.ship() == 2
        assert all_sent(yard, frames)
        assert yard.receipts("office") == yard.receipts()
        assert hashes(other) == hashes(yard.nas)
    finally:
        shutil.rmtree(other)


def test_ten_thousand_frames_at_once_are_taken_up_without_one_missed_or_twice(yard: Shipyard) -> None:
    yard.store.database.write(lambda session: session.execute(MANY))
    yard.look()
    assert len(yard.unsent()) == 10_000
    yard.look()
    assert yard.unsent() == [f"{number:026d}" for number in range(1, 11_001)]
    assert yard.counters_are_right()


# --- targets that are not used --------------------------------------------------------------------------------------


def test_a_target_that_is_switched_off_keeps_its_rows_and_is_not_sent_to(yard: Shipyard) -> None:
    frames = yard.keep(2)
    yard.look()
    yard.set(archive={"targets": {"nas": {"enabled": False}}})
    frames += yard.keep(1)
    yard.ship()
    assert (hashes(yard.nas), len(yard.unsent())) == ({}, 2)
    (job,) = yard.jobs_of()
    assert (job.state, job.result["sent"]) == (JobState.DONE, 0)
    yard.set()
    yard.ship()
    assert all_sent(yard, frames)


def test_a_target_that_left_node_yml_keeps_its_rows_and_is_not_sent_to(yard: Shipyard) -> None:
    frames = yard.keep(2)
    yard.look()
    endpoint = yard.endpoints.pop("nas")
    yard.ship()
    assert (hashes(yard.nas), len(yard.unsent())) == ({}, 2)
    yard.endpoints["nas"] = endpoint
    yard.ship()
    assert all_sent(yard, frames)


# --- what must not be sent, or believed -----------------------------------------------------------------------------


def test_a_frame_that_is_not_here_any_more_is_named_and_keeps_nobody_waiting(yard: Shipyard) -> None:
    lost, *frames = yard.keep(3)
    (yard.store.folder / lost.path).unlink()
    yard.ship()
    (job,) = yard.jobs_of()
    assert [(each["item"], each["error_code"]) for each in job.result["named"]] == [(lost.id, "DSK-005")]
    assert (yard.receipts(), yard.unsent()) == ([frame.id for frame in frames], [lost.id])
    # looked at again 4 minutes later, 12 after that, then each 48: never at full speed, and others go on meanwhile
    began_us, tried = yard.clock.now_us(), []
    for _ in range(90):
        yard.clock.advance(60)
        if yard.ship():
            tried.append((yard.clock.now_us() - began_us) // 60_000_000)
    assert tried == [4, 16, 64]
    frames += yard.keep(1)
    assert yard.ship() == 1
    assert yard.receipts() == [frame.id for frame in frames]
    assert (yard.store.rows("SELECT breaker FROM targets"), yard.events("receipt_denied")) == ([("closed",)], [])
    yard.write(lost.path, (lost.id.encode() * 1000)[:1000])
    yard.pass_time(HOUR_S)
    assert all_sent(yard, [lost, *frames])


@pytest.mark.parametrize("data", [b"", b"x" * 1000], ids=["empty", "other bytes of the same size"])
def test_a_file_that_is_not_what_was_kept_gets_no_receipt(yard: Shipyard, data: bytes) -> None:
    altered, whole = yard.keep(2)
    yard.write(altered.path, data)
    yard.ship()
    assert (yard.receipts(), yard.unsent()) == ([whole.id], [altered.id])
    assert hashes(yard.nas) == {f"north/{whole.path}": whole.sha256}
    assert yard.store.rows("SELECT error_code FROM outbox") == [("DSK-008",)]


def test_a_receipt_of_other_bytes_is_none(yard: Shipyard) -> None:
    frames = yard.keep(3)

    def lie(outcome: Outcome) -> Outcome:
        return replace(outcome, sha256="6" * 64) if outcome.item.id == frames[1].id else outcome

    yard.open = answering(lie)
    yard.ship()
    assert yard.receipts() == [frames[0].id, frames[2].id]
    assert [each["item"] for each in yard.events("receipt_denied")] == [frames[1].id]
    assert yard.counters_are_right()
    yard.open = open_target
    yard.pass_time(HOUR_S)
    assert all_sent(yard, frames)


def test_a_target_that_lies_about_everything_is_left_alone_and_nothing_is_believed(yard: Shipyard) -> None:
    frames = yard.keep(20)
    tried = []

    def lie(outcome: Outcome) -> Outcome:
        tried.append(outcome)
        return Refused(outcome.item, ReceiptRefused(outcome.item.name), "nothing")

    yard.open = answering(lie)
    yard.ship()
    (job,) = yard.jobs_of()
    assert (job.state, job.error_code) == (JobState.RETRY, "ARC-005")
    assert (yard.receipts(), len(yard.unsent()), len(tried)) == ([], 20, 20)
    assert [each["state"] for each in yard.events("target")] == ["open"]
    yard.pass_time(HOUR_S)
    assert len(tried) <= 20 * 4
    assert len(yard.jobs_of()) == 1
    yard.open = open_target
    yard.pass_time(2 * HOUR_S)
    assert all_sent(yard, frames)
    assert [each["state"] for each in yard.events("target")][-1] == "closed"


# --- targets that are not there -------------------------------------------------------------------------------------


def test_a_disk_that_was_unmounted_is_left_alone_and_drained_soon_after_it_is_back(yard: Shipyard) -> None:
    frames = yard.keep(2)
    yard.ship()
    away(yard)
    frames += yard.keep(3)
    yard.ship()
    (job, _) = yard.jobs_of()
    assert (job.state, job.error_code) == (JobState.RETRY, "ARC-001")
    yard.pass_time(5 * 60)
    assert yard.store.rows("SELECT breaker, last_error_code FROM targets") == [("open", "ARC-001")]
    assert yard.rounds.held() == {("transfer", "nas")}
    yard.pass_time(8 * HOUR_S)
    assert len(yard.jobs_of()) == 2
    (job, _) = yard.jobs_of()
    assert job.attempt <= 2
    back(yard)
    yard.pass_time(90)
    assert all_sent(yard, frames)
    yard.keep(1)
    yard.ship()
    assert [each["state"] for each in yard.events("target")] == ["open", "half_open", "closed"]


def test_what_waits_for_its_next_attempt_is_sent_when_a_test_sees_that_the_cause_has_gone(yard: Shipyard) -> None:
    frames = yard.keep(2)
    away(yard)
    yard.pass_time(100)
    back(yard)
    yard.pass_time(60)  # the next attempt was due after 300
    assert all_sent(yard, frames)
    assert yard.events("target") == []


def test_a_folder_without_its_marker_gets_nothing(yard: Shipyard) -> None:
    frames = yard.keep(2)
    marker = next(yard.nas.glob(".heliograph*"))
    text = marker.read_text()
    marker.unlink()
    yard.ship()
    assert yard.jobs_of()[0].error_code == "ARC-002"
    assert list(yard.nas.iterdir()) == []
    yard.pass_time(10 * 60)
    marker.write_text(text)
    yard.pass_time(90)
    assert all_sent(yard, frames)


def test_a_new_target_is_sent_to_soon_after_it_got_its_marker(yard: Shipyard) -> None:
    frames = yard.keep(2)
    marker = next(yard.nas.glob(".heliograph*"))
    text = marker.read_text()
    marker.unlink()
    yard.ship()
    assert yard.jobs_of()[0].error_code == "ARC-002"
    yard.pass_time(10)  # before any test of it
    marker.write_text(text)
    yard.pass_time(70)  # the next attempt was due after 300
    assert all_sent(yard, frames)


def test_a_target_on_the_frames_own_disk_ends_as_one_dead_letter_and_mends_itself(tmp_path: Path) -> None:
    nas = tmp_path / "nas"
    nas.mkdir()
    with shipyard(tmp_path / "node") as yard:
        good = yard.endpoints["nas"]
        shutil.copytree(yard.nas, nas, dirs_exist_ok=True)  # with its marker
        yard.endpoints["nas"] = DirectoryTarget(kind="directory", path=str(nas))
        frames = yard.keep(2)
        yard.pass_time(HOUR_S)
        assert [(job.state, job.error_code) for job in yard.jobs_of()] == [(JobState.DEAD, "ARC-006")]
        assert yard.store.rows("SELECT breaker FROM targets") == [("open",)]
        assert (hashes(nas), yard.receipts()) == ({}, [])
        yard.endpoints["nas"] = good
        yard.pass_time(90)
        assert all_sent(yard, frames)


def test_a_short_failure_waits_for_its_next_attempt_where_no_test_sees_it(yard: Shipyard) -> None:
    """Else a target that answers every test and takes nothing would be sent to each minute."""
    yard.keep(1)
    tried = []

    class Refuses(Wrapped):
        def put(self, items: Sequence[Item], beat: Beat) -> list[Outcome]:
            tried.append(yard.clock.now_us())
            raise TargetUnavailable("cable")

    yard.open = lambda *arguments: Refuses(open_target(*arguments), lambda outcome: outcome)  # type: ignore[assignment]
    began_us = yard.clock.now_us()
    yard.ship()
    yard.pass_time(3 * HOUR_S, step_s=60)
    # after 5, 15 and 60 minutes more
    assert [round((at_us - began_us) / 60_000_000) for at_us in tried] == [0, 5, 20, 80, 140]


def test_what_is_broken_in_the_middle_keeps_what_was_earned_and_blames_no_other_item(yard: Shipyard) -> None:
    frames = yard.keep(6)
    seen = []

    def half(outcome: Outcome) -> Outcome:
        seen.append(outcome)
        return outcome if len(seen) <= 3 else Refused(outcome.item, TargetUnavailable("cable"))

    yard.open = answering(half)
    yard.look()
    yard.worker.turn()
    assert yard.receipts() == [frame.id for frame in frames[:3]]
    assert yard.store.rows("SELECT DISTINCT failures, again_us FROM outbox") == [(0, 0)]
    assert yard.store.rows("SELECT failures FROM targets") == [(1,)]
    (job,) = yard.jobs_of()
    assert (job.state, job.result["sent"]) == (JobState.DONE, 3)
    yard.open = open_target
    yard.pass_time(120)
    assert all_sent(yard, frames)


def test_a_full_target_takes_the_rest_soon_after_there_is_room(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=True)
    try:
        with shipyard(tmp_path / "node", small) as yard:
            (small / "ballast").write_bytes(bytes(40_000))
            frames = yard.keep(20)
            yard.ship()
            assert 0 < len(yard.receipts()) < 20
            assert yard.store.rows("SELECT failures, last_error_code FROM targets") == [(1, "ARC-004")]
            assert yard.mismatches() == []
            yard.pass_time(3 * HOUR_S)
            assert yard.store.rows("SELECT breaker, last_error_code FROM targets") == [("open", "ARC-004")]
            subprocess.run(["mount", "-o", "remount,size=1m", str(small)], check=True)
            yard.pass_time(90)
            assert all_sent(yard, frames)
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)


def test_a_hurry_sends_to_an_open_target_at_once(yard: Shipyard) -> None:
    frames = yard.keep(2)
    away(yard)
    yard.pass_time(HOUR_S)
    assert yard.rounds.held()
    back(yard)
    yard.holdings.hurry("nas")
    yard.jobs.hasten("transfer", "nas")
    yard.ship()
    assert all_sent(yard, frames)


def test_a_half_open_target_with_nothing_to_send_closes_by_itself(yard: Shipyard) -> None:
    yard.keep(1)
    yard.ship()
    limits = BreakerLimits()
    for _ in range(5):
        yard.holdings.used("nas", TargetUnavailable("cable"), limits)
    yard.pass_time(180)
    assert [each["state"] for each in yard.events("target")] == ["open", "half_open", "closed"]


def test_a_clock_that_was_set_back_by_a_year_keeps_nothing_waiting(yard: Shipyard) -> None:
    lost, other = yard.keep(2)
    (yard.store.folder / lost.path).unlink()
    away(yard)
    yard.pass_time(HOUR_S)
    yard.clock.step(-366 * 86400)
    yard.write(lost.path, (lost.id.encode() * 1000)[:1000])
    back(yard)
    yard.pass_time(120)
    assert all_sent(yard, [lost, other])


# --- what goes on beside --------------------------------------------------------------------------------------------


def test_a_frame_that_goes_while_it_is_sent_leaves_a_receipt_and_right_sums(yard: Shipyard) -> None:
    frames = yard.keep(3)

    def meanwhile(outcome: Outcome) -> Outcome:
        if outcome.item.id == frames[0].id and isinstance(outcome, Receipt):
            yard.reclaim(frames[0])
        return outcome

    yard.open = answering(meanwhile)
    yard.ship()
    assert yard.receipts() == [frame.id for frame in frames]
    assert (yard.unsent(), yard.counters_are_right()) == ([], True)


def test_a_target_that_a_job_uses_is_not_tested_meanwhile(yard: Shipyard) -> None:
    frames = yard.keep(2)
    away(yard)
    yard.pass_time(60)
    back(yard)
    opened = []

    class Slow(Wrapped):
        def put(self, items: Sequence[Item], beat: Beat) -> list[Outcome]:
            yard.clock.advance(120)
            opened.append("put")
            yard.look()
            opened.append("put")
            return super().put(items, beat)

        def check(self) -> None:
            opened.append("check")

    yard.open = lambda *arguments: Slow(open_target(*arguments), lambda outcome: outcome)  # type: ignore[assignment]
    yard.jobs.hasten("transfer", "nas")
    yard.worker.turn()
    assert opened == ["put", "put"]
    assert all_sent(yard, frames)


def test_a_cancelled_transfer_leaves_all_unsent_and_the_next_one_sends_it(yard: Shipyard) -> None:
    frames = yard.keep(2)

    class Slow(Wrapped):
        def put(self, items: Sequence[Item], beat: Beat) -> list[Outcome]:
            (job,) = yard.jobs_of()
            yard.jobs.cancel(job.id, Actor("op"))
            yard.clock.advance(5)
            beat(0.5, "on its way")
            raise AssertionError("the beat ends it")

    yard.open = lambda *arguments: Slow(open_target(*arguments), lambda outcome: outcome)  # type: ignore[assignment]
    yard.look()
    yard.worker.turn()
    assert yard.jobs_of()[0].state is JobState.CANCELLED
    assert (yard.receipts(), len(yard.unsent())) == ([], 2)
    assert yard.store.rows("SELECT failures FROM targets") == [(0,)]
    yard.open = open_target
    yard.ship()
    assert all_sent(yard, frames)


def test_a_failure_that_nobody_thought_of_at_one_target_keeps_no_other_and_is_told_of_once(tmp_path: Path) -> None:
    with shipyard(tmp_path / "node") as yard:
        yard.endpoints = {"broken": DirectoryTarget(kind="directory", path=str(yard.nas)), **yard.endpoints}
        yard.build()
        yard.init()

        def fails(name: str, *rest: Any) -> Target:
            if name == "broken":
                raise OSError(28, "No space left on device", "scratch")
            return open_target(name, *rest)

        yard.keep(2)
        yard.ship()
        yard.open = fails
        yard.store.database.write(
            lambda session: session.execute("UPDATE targets SET breaker = 'open', opened_us = 1, last_failed_us = 1")
        )
        looks = {name: Round(1.0, look) for name, look in yard.rounds.looks().items()}
        rounds = Rounds("ship", looks, yard.store.journal, yard.clock, lambda pulse: None)
        for _ in range(5):
            yard.clock.advance(61)
            rounds.turn()
        assert [each["loop"] for each in yard.events("loop_failed")] == ["ship/broken"]
        assert yard.store.rows("SELECT breaker FROM targets WHERE name = 'nas'") == [("closed",)]


# --- over the network -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_host_that_was_cut_off_gets_its_backlog_soon_after_and_gives_frames_back(tmp_path: Path) -> None:
    with sshd.running(tmp_path / "sshd") as host, shipyard(tmp_path / "node") as yard:
        # its children take real time
        yard.open = lambda name, endpoint, policy, where: open_target(
            name, endpoint, policy, replace(where, clock=SystemClock())
        )
        yard.endpoints.pop("nas")
        yard.endpoints["host"] = host.endpoint()
        (yard.store.folder / "run").mkdir()
        yard.init()
        frames = [*yard.keep(3), yard.video()]
        yard.ship()
        assert host.store.is_dir()
        assert hashes(host.store) == {f"north/{frame.path}": frame.sha256 for frame in frames}
        yard.endpoints["host"] = host.endpoint(port=1)  # nobody answers there
        frames += yard.keep(2)
        yard.pass_time(600)
        assert yard.store.rows("SELECT breaker, last_error_code FROM targets") == [("open", "ARC-001")]
        yard.endpoints["host"] = host.endpoint()
        yard.pass_time(90)
        assert hashes(host.store) == {f"north/{frame.path}": frame.sha256 for frame in frames}
        assert (len(yard.receipts("host")), yard.unsent("host"), yard.counters_are_right()) == (6, [], True)
        yard.reclaim(frames[0])
        job = yard.asked("restore", "host", target="host")
        assert (job.error, job.result.get("restored")) == ("", 1)
        assert (yard.store.folder / frames[0].path).read_bytes() == (frames[0].id.encode() * 1000)[:1000]
        yard.clock.advance(60)
        job = yard.asked("verify-archive", "host", target="host")
        assert (job.result["checked"], job.result["withdrawn"]) == (6, 0)


# --- killed at any moment -------------------------------------------------------------------------------------------

SENDS = """
import sys
from pathlib import Path
from tests import sshd
from tests.clocks import JumpClock
from tests.docks import shipyard

with shipyard(Path(sys.argv[1]), Path(sys.argv[2]), JumpClock(int(sys.argv[3]))) as yard:
    yard.set(archive={"targets": {"nas": {"batch_frames": 150}}})
    yard.pass_time(1800)
"""
POINTS = [
    *(f"before_commit:{passage}" for passage in range(1, 10)),
    *(f"after_commit:{passage}" for passage in (2, 4, 5, 6, 7)),
    *("job_claimed", "target_half_written:7", "target_before_rename:7", "target_after_rename:7", "after_put"),
    *("before_receipts", "before_receipts:2", "before_receipts:3", "job_handled", "job_settled", "job_claimed:2"),
]


@pytest.fixture
def other_disk() -> Iterator[Path]:
    """A folder there that outlives the processes of a test."""
    with tempfile.TemporaryDirectory(prefix="heliograph-killed-", dir=OTHER_DISK) as folder:
        (nas := Path(folder, "nas")).mkdir()
        yield nas


def kill_at(point: str, node: Path, nas: Path, now_us: int) -> None:
    command = [sys.executable, "-c", SENDS, str(node), str(nas), str(now_us)]
    killed = subprocess.run(command, env={VARIABLE: point}, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_each_item_has_exactly_one_receipt_in_the_end(
    tmp_path: Path, other_disk: Path, point: str
) -> None:
    with shipyard(tmp_path / "node", other_disk) as yard:
        frames, later_us = yard.keep(210, interval_s=1), yard.clock.now_us()
    kill_at(point, tmp_path / "node", other_disk, later_us)
    with shipyard(tmp_path / "node", other_disk, JumpClock(later_us + 1_800_000_000)) as yard:
        assert yard.counters_are_right()
        assert yard.mismatches() == []
        assert sum(each["count"] for each in yard.events("archived")) == len(yard.receipts())
        yard.pass_time(1800)
        assert all_sent(yard, frames)
        assert sum(each["count"] for each in yard.events("archived")) == len(frames)
        assert list(other_disk.rglob("*.tmp")) == []


@pytest.mark.slow
def test_killed_when_a_target_is_well_again_the_next_life_sends(tmp_path: Path, other_disk: Path) -> None:
    with shipyard(tmp_path / "node", other_disk) as yard:
        frames = yard.keep(2)
        away(yard)
        yard.pass_time(100)
        back(yard)
        later_us = yard.clock.now_us()
    kill_at("after_hasten", tmp_path / "node", other_disk, later_us)
    with shipyard(tmp_path / "node", other_disk, JumpClock(later_us + 60_000_000)) as yard:
        yard.pass_time(90)
        assert all_sent(yard, frames)
