from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from node.archive.base import MARKER, Beat, Item, Outcome
from node.archive.targets import open_target
from node.crashpoint import VARIABLE
from node.domain.errors import TargetUnavailable
from node.domain.frame import Frame
from node.domain.job import JobState
from node.domain.pressure import Step, step_of
from node.host.disk import Space
from node.store import archive
from node.store.archive_reader import ArchiveReader, Span
from node.store.files import frames_still
from tests.clocks import JumpClock
from tests.docks import OTHER_DISK, Shipyard, hashes, shipyard


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Shipyard]:
    with shipyard(tmp_path) as made:
        yield made


def sent(yard: Shipyard, count: int, **changes: Any) -> list[Frame]:
    frames = yard.keep(count, **changes)
    yard.ship()
    return frames


def there(yard: Shipyard, frame: Frame) -> Path:
    return yard.nas / "north" / frame.path


def here(yard: Shipyard, frame: Frame) -> bool:
    """Byte for byte, and no row says that it is gone."""
    gone = yard.store.rows("SELECT 1 FROM frames_gone WHERE frame_id = ?", frame.id)
    return hashes(yard.store.folder / "frames").get(frame.path.removeprefix("frames/")) == frame.sha256 and not gone


class Target:
    """A real one, but for what a test replaces."""

    def __init__(self, *arguments: Any) -> None:
        self._target = open_target(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


# --- reading again --------------------------------------------------------------------------------------------------


def test_an_archive_that_is_whole_is_proved_anew(yard: Shipyard) -> None:
    frames, video = yard.keep(3), yard.video()
    yard.ship()
    yard.clock.advance(86400)
    job = yard.asked("verify-archive", "nas", target="nas")
    assert (job.state, job.progress) == (JobState.DONE, 1.0)
    assert job.result == {
        "target": "nas",
        "checked": 4,
        "held": 4,
        "withdrawn": 0,
        "regained": 0,
        "lost": 0,
        "named": [],
    }
    assert {at_us for (at_us,) in yard.store.rows("SELECT verified_us FROM receipts")} == {yard.clock.now_us()}
    assert yard.receipts() == sorted(each.id for each in (*frames, video))
    assert yard.events("receipt_denied") == []


def test_what_a_target_lost_or_spoilt_loses_its_receipt_and_is_sent_again(yard: Shipyard) -> None:
    frames = sent(yard, 6)
    lost, short, spoilt, gone, *_ = frames
    there(yard, lost).unlink()
    there(yard, short).write_bytes(b"x" * 999)
    there(yard, spoilt).write_bytes(b"x" * 1000)
    yard.reclaim(gone)
    there(yard, gone).unlink()
    yard.clock.advance(60)
    yard.ask("verify-archive", "nas", target="nas")
    yard.worker.turn()
    (job,) = yard.jobs_of("verify-archive")
    assert (job.result["checked"], job.result["held"], job.result["withdrawn"]) == (6, 2, 4)
    assert [(each["item"], each["error_code"]) for each in job.result["named"]] == [
        (lost.id, "ARC-008"),
        (short.id, "ARC-005"),
        (spoilt.id, "ARC-005"),
        (gone.id, "ARC-008"),
    ]
    assert [each["item"] for each in yard.events("receipt_denied")] == [frame.id for frame in frames[:4]]
    assert (yard.unsent(), yard.receipts()) == ([lost.id, short.id, spoilt.id], [frame.id for frame in frames[4:]])
    assert yard.counters_are_right()
    yard.ship()
    assert yard.receipts() == [frame.id for frame in frames if frame != gone]
    assert yard.mismatches() == []


def test_a_target_that_took_and_dropped_is_found_out(yard: Shipyard) -> None:
    """The edge swears that it read all of it; only reading there again can tell."""

    class Drops(Target):
        def put(self, items: Sequence[Item], beat: Beat) -> list[Outcome]:
            outcomes: list[Outcome] = self._target.put(items, beat)
            for item in items:
                (yard.nas / item.name).unlink()
            return outcomes

    yard.open = Drops  # type: ignore[assignment]
    frames = sent(yard, 3)
    assert len(yard.receipts()) == 3
    yard.clock.advance(60)
    yard.open = open_target
    job = yard.asked("verify-archive", "nas", target="nas")
    assert job.result["withdrawn"] == 3
    assert hashes(yard.nas) == {f"north/{frame.path}": frame.sha256 for frame in frames}
    assert yard.receipts() == [frame.id for frame in frames]


@pytest.mark.parametrize("moment", ["before", "meanwhile"])
def test_a_disk_that_is_not_mounted_takes_no_receipt_away(yard: Shipyard, moment: str) -> None:
    sent(yard, 3)
    aside = yard.nas.with_name(yard.nas.name + "-away")
    if moment == "before":
        yard.nas.rename(aside)

    class Vanishes(Target):
        def verify(self, items: Sequence[Item], beat: Beat) -> list[Outcome]:
            shutil.copytree(yard.nas, aside)
            for path in yard.nas.iterdir():
                shutil.rmtree(path) if path.is_dir() else None
            outcomes: list[Outcome] = self._target.verify(items, beat)
            shutil.rmtree(yard.nas)
            return outcomes

    yard.open = Vanishes if moment == "meanwhile" else open_target  # type: ignore[assignment]
    yard.clock.advance(60)
    job = yard.asked("verify-archive", "nas", target="nas")
    assert (job.state, job.error_code) == (JobState.RETRY, "ARC-001")
    assert (len(yard.receipts()), yard.unsent(), yard.events("receipt_denied")) == (3, [], [])
    aside.rename(yard.nas)
    yard.open = open_target
    yard.pass_time(400)
    assert yard.jobs_of("verify-archive")[0].result["held"] == 3


def another_disk(yard: Shipyard) -> Path:
    """In place of the right one, with a copy of its marker and nothing else; where the right one is now."""
    aside = yard.nas.with_name(yard.nas.name + "-away")
    yard.nas.rename(aside)
    yard.nas.mkdir()
    shutil.copy(aside / MARKER, yard.nas)
    return aside


def the_right_disk(yard: Shipyard, aside: Path) -> None:
    shutil.rmtree(yard.nas)
    aside.rename(yard.nas)


def test_an_empty_disk_with_a_copied_marker_takes_no_receipt_away(yard: Shipyard) -> None:
    frames = sent(yard, 120)
    for frame in frames[:60]:
        yard.reclaim(frame)
    aside = another_disk(yard)
    yard.clock.advance(60)
    job = yard.asked("verify-archive", "nas", target="nas")
    assert (job.state, job.error_code) == (JobState.RETRY, "ARC-002")
    assert "none of 120 items is there: is this the right disk?" in job.error
    assert (len(yard.receipts()), yard.unsent(), yard.events("receipt_denied")) == (120, [], [])
    the_right_disk(yard, aside)
    yard.pass_time(400)
    assert yard.jobs_of("verify-archive")[0].result["held"] == 120
    assert yard.reader.held_nowhere() == 0


def test_another_disk_put_in_meanwhile_costs_no_more_receipts(yard: Shipyard) -> None:
    sent(yard, 220)
    pages: list[int] = []

    class Swapped(Target):
        def verify(self, items: Sequence[Item], beat: Beat) -> list[Outcome]:
            pages.append(len(items))
            if len(pages) == 2:
                another_disk(yard)
            outcomes: list[Outcome] = self._target.verify(items, beat)
            return outcomes

    yard.open = Swapped  # type: ignore[assignment]
    yard.clock.advance(60)
    job = yard.asked("verify-archive", "nas", target="nas")
    assert (job.state, job.error_code) == (JobState.RETRY, "ARC-002")
    assert (len(yard.receipts()), yard.events("receipt_denied")) == (220, [])


@pytest.mark.parametrize("missing", ["the oldest", "the newest"])
def test_many_that_are_missing_are_withdrawn_where_others_are_there(yard: Shipyard, missing: str) -> None:
    frames = sent(yard, 220)
    lost = frames[:205] if missing == "the oldest" else frames[15:]
    for frame in lost:
        yard.reclaim(frame)
        there(yard, frame).unlink()
    yard.clock.advance(60)
    result = yard.asked("verify-archive", "nas", target="nas").result
    assert (result["checked"], result["held"], result["withdrawn"]) == (220, 15, 205)
    assert yard.receipts() == [frame.id for frame in frames if frame not in lost]
    assert (yard.reader.held_nowhere(), yard.counters_are_right()) == (205, True)


def test_few_that_are_all_missing_are_believed_to_be(yard: Shipyard) -> None:
    frames = sent(yard, 9)
    for frame in frames:
        there(yard, frame).unlink()
    yard.clock.advance(60)
    assert yard.asked("verify-archive", "nas", target="nas").result["withdrawn"] == 9


def withdrawn(yard: Shipyard, frames: Sequence[Frame]) -> None:
    """Reclaimed, and then not found, as on a wrong disk that holds something."""
    for frame in frames:
        yard.reclaim(frame)
    yard.store.database.write(lambda session: archive.withdraw(session, "nas", [frame.id for frame in frames]))
    assert (yard.reader.held_nowhere(), len(yard.receipts())) == (len(frames), 0)


def test_a_reclaimed_frame_that_is_there_after_all_gets_its_receipt_again(yard: Shipyard) -> None:
    frames = sent(yard, 5)
    withdrawn(yard, frames)
    there(yard, frames[0]).unlink()
    there(yard, frames[1]).write_bytes(b"x" * 1000)
    yard.clock.advance(60)
    result = yard.asked("verify-archive", "nas", target="nas").result
    assert (result["checked"], result["held"], result["withdrawn"]) == (5, 3, 0)
    assert (result["regained"], result["lost"]) == (3, 2)
    assert [each["item"] for each in result["named"]] == [frames[0].id, frames[1].id]
    assert yard.receipts() == [frame.id for frame in frames[2:]]
    assert (yard.mismatches(), yard.counters_are_right(), yard.reader.held_nowhere()) == ([], True, 2)
    span = {"from_us": frames[4].captured_us}
    assert yard.asked("verify-archive", "nas", target="nas", **span).result["lost"] == 0


def test_what_was_read_before_the_target_failed_is_not_read_twice(yard: Shipyard) -> None:
    frames = sent(yard, 250)
    there(yard, frames[0]).unlink()
    read: list[str] = []

    class Breaks(Target):
        def verify(self, items: Sequence[Item], beat: Beat) -> list[Outcome]:
            if len(read) >= 200:
                raise TargetUnavailable("cable")
            read.extend(item.id for item in items)
            outcomes: list[Outcome] = self._target.verify(items, beat)
            return outcomes

    yard.open = Breaks  # type: ignore[assignment]
    yard.clock.advance(60)
    assert yard.asked("verify-archive", "nas", target="nas").state is JobState.RETRY
    yard.open = open_target
    yard.pass_time(400)
    (job,) = yard.jobs_of("verify-archive")
    # the last page, and the one that was sent again meanwhile is proved already
    assert (job.state, job.result["checked"]) == (JobState.DONE, 50)
    assert len(yard.receipts()) == 250


def test_only_the_span_that_was_asked_for_is_read(yard: Shipyard) -> None:
    main, side = sent(yard, 2), sent(yard, 2, camera="side")
    yard.clock.advance(60)
    job = yard.asked("verify-archive", "nas/side", target="nas", camera="side", from_us=side[1].captured_us)
    assert job.result["checked"] == 1
    job = yard.asked("verify-archive", "nas/x", target="nas", to_us=main[1].captured_us)
    assert job.result["checked"] == 1


def test_nothing_to_read_is_done_at_once_and_an_unknown_target_is_named(yard: Shipyard) -> None:
    assert yard.asked("verify-archive", "nas", target="nas").result["checked"] == 0
    job = yard.asked("verify-archive", "moon", target="moon")
    assert (job.state, job.error_code) == (JobState.DEAD, "ARC-007")


# --- bringing back --------------------------------------------------------------------------------------------------


def test_reclaimed_frames_come_back_to_where_they_lay_byte_for_byte(yard: Shipyard) -> None:
    frames = sent(yard, 4)
    for frame in frames[:3]:
        yard.reclaim(frame)
    shutil.rmtree(yard.store.folder / "frames")  # folders and all
    yard.write(frames[3].path, (frames[3].id.encode() * 1000)[:1000])
    job = yard.asked("restore", "nas", target="nas")
    assert (job.state, job.result["restored"], job.result["size_bytes"]) == (JobState.DONE, 3, 3000)
    assert all(here(yard, frame) for frame in frames)
    assert yard.events("restored") == [{"target": "nas", "count": 3, "size_bytes": 3000}]
    assert (yard.unsent(), yard.counters_are_right()) == ([], True)
    assert yard.asked("restore", "nas", target="nas").result["restored"] == 0
    assert not list((yard.store.folder / "scratch-ship").iterdir())


def test_only_the_span_that_was_asked_for_comes_back(yard: Shipyard) -> None:
    main, side = sent(yard, 2), sent(yard, 2, camera="side")
    for frame in (*main, *side):
        yard.reclaim(frame)
    yard.asked("restore", "nas/side", target="nas", camera="side", from_us=side[1].captured_us)
    assert [here(yard, frame) for frame in (*main, *side)] == [False, False, False, True]


def test_a_frame_that_came_back_is_sent_to_the_targets_that_lack_it(yard: Shipyard) -> None:
    (frame,) = sent(yard, 1)
    yard.holdings.know("office")
    yard.holdings.fill("office", videos=True)
    yard.reclaim(frame)
    assert yard.unsent("office") == []
    yard.asked("restore", "nas", target="nas")
    assert (yard.unsent("office"), yard.unsent("nas"), yard.counters_are_right()) == ([frame.id], [], True)


def test_a_spoilt_or_lost_copy_never_takes_a_frames_place(yard: Shipyard) -> None:
    spoilt, lost, whole = frames = sent(yard, 3)
    for frame in frames:
        yard.reclaim(frame)
    there(yard, spoilt).write_bytes(b"x" * 1000)
    there(yard, lost).unlink()
    job = yard.asked("restore", "nas", target="nas")
    assert (job.state, job.result["restored"], job.result["refused"]) == (JobState.DONE, 1, 2)
    assert [(each["item"], each["error_code"]) for each in job.result["named"]] == [
        (spoilt.id, "ARC-005"),
        (lost.id, "ARC-008"),
    ]
    assert [here(yard, frame) for frame in frames] == [False, False, True]
    assert not (yard.store.folder / spoilt.path).exists()
    assert whole.id in yard.receipts()


def test_another_file_in_a_frames_place_is_not_overwritten(yard: Shipyard) -> None:
    (frame,) = sent(yard, 1)
    yard.reclaim(frame)
    stranger = yard.write(frame.path, b"somebody else's")
    job = yard.asked("restore", "nas", target="nas")
    assert [each["error_code"] for each in job.result["named"]] == ["DSK-008"]
    assert stranger.read_bytes() == b"somebody else's"
    assert not here(yard, frame)


def test_a_file_that_is_in_its_place_already_is_not_fetched(yard: Shipyard) -> None:
    """An attempt was killed between the file and its row."""
    (frame,) = sent(yard, 1)
    yard.reclaim(frame, unlink=False)
    there(yard, frame).unlink()
    assert yard.asked("restore", "nas", target="nas").result["restored"] == 1
    assert here(yard, frame)


def test_frames_that_the_target_never_held_are_counted_and_named_where_it_holds_none(yard: Shipyard) -> None:
    held, never = sent(yard, 2)
    yard.store.database.write(lambda session: session.execute("DELETE FROM receipts WHERE item = ?", (never.id,)))
    yard.reclaim(never)
    job = yard.asked("restore", "nas", target="nas")
    assert (job.state, job.error_code) == (JobState.DEAD, "ARC-008")
    yard.reclaim(held)
    job = yard.asked("restore", "nas", target="nas")
    assert (job.state, job.result["restored"], job.result["not_held"]) == (JobState.DONE, 1, 1)


def test_a_reclaimed_frame_comes_back_by_the_receipt_it_went_by(yard: Shipyard) -> None:
    frames = sent(yard, 3)
    withdrawn(yard, frames)
    there(yard, frames[0]).write_bytes(b"x" * 1000)
    job = yard.asked("restore", "nas", target="nas")
    assert (job.state, job.result["restored"], job.result["refused"]) == (JobState.DONE, 2, 1)
    assert [here(yard, frame) for frame in frames] == [False, True, True]
    assert yard.receipts() == [frame.id for frame in frames[1:]], "found there as they were to be sent"
    assert (yard.mismatches(), yard.counters_are_right(), yard.reader.held_nowhere()) == ([], True, 1)


def test_a_disk_without_room_keeps_its_reserve_and_what_came_back_so_far(yard: Shipyard) -> None:
    frames = sent(yard, 3)
    for frame in frames:
        yard.reclaim(frame)
    yard.set(alerts={"disk_reserve_bytes": 1 << 60})
    job = yard.asked("restore", "nas", target="nas")
    assert (job.error_code, job.state in (JobState.RETRY, JobState.DEAD)) == ("DSK-001", True)
    assert [here(yard, frame) for frame in frames] == [False] * 3


def test_what_would_be_reclaimed_again_is_not_brought_back_at_all(
    yard: Shipyard, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = sent(yard, 3)
    for frame in frames:
        yard.reclaim(frame)
    yard.set(alerts={"disk_warn_free_pct": 10, "disk_crit_free_pct": 5, "disk_reserve_bytes": 0})
    calm = 110_000 + 1  # a tenth begins the step, and a tenth more leaves it
    free = calm + 3 * 1000 - 1
    monkeypatch.setattr("node.work.recall.disk.space", lambda _: Space(1_000_000, free))
    job = yard.asked("restore", "nas", target="nas")
    assert (job.error_code, job.state) == ("DSK-001", JobState.RETRY)
    assert "they would be deleted again: ask for a shorter span" in job.error
    assert [here(yard, frame) for frame in frames] == [False] * 3
    assert step_of(1_000_000, free - 3000, yard.document.alerts, Step.LOW) is Step.LOW
    free += 1
    yard.pass_time(400)
    assert all(here(yard, frame) for frame in frames)
    assert step_of(1_000_000, free - 3000, yard.document.alerts, Step.LOW) is Step.OK


def test_a_disk_that_fills_meanwhile_ends_it_before_it_is_low(yard: Shipyard, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = sent(yard, 3)
    for frame in frames:
        yard.reclaim(frame)
    yard.set(alerts={"disk_warn_free_pct": 10, "disk_crit_free_pct": 5, "disk_reserve_bytes": 0})
    room = iter([500_000, 500_000])
    monkeypatch.setattr("node.work.recall.disk.space", lambda _: Space(1_000_000, next(room, 110_000)))
    job = yard.asked("restore", "nas", target="nas")
    assert (job.error_code, job.state) == ("DSK-001", JobState.RETRY)
    assert [here(yard, frame) for frame in frames] == [True, False, False]


def test_frames_that_the_target_does_not_hold_want_no_room(yard: Shipyard, monkeypatch: pytest.MonkeyPatch) -> None:
    held, never = sent(yard, 2)
    yard.store.database.write(lambda session: session.execute("DELETE FROM receipts WHERE item = ?", (never.id,)))
    for frame in (held, never):
        yard.reclaim(frame)
    yard.set(alerts={"disk_warn_free_pct": 10, "disk_crit_free_pct": 5, "disk_reserve_bytes": 0})
    monkeypatch.setattr("node.work.recall.disk.space", lambda _: Space(1_000_000, 110_001 + 1000))
    assert yard.asked("restore", "nas", target="nas").result["restored"] == 1


def test_a_target_that_fails_in_the_middle_keeps_what_came_back_so_far(yard: Shipyard) -> None:
    frames = sent(yard, 4)
    for frame in frames:
        yard.reclaim(frame)
    fetched: list[str] = []

    class Breaks(Target):
        def fetch(self, item: Item, into: Path, beat: Beat) -> None:
            if len(fetched) == 2:
                raise TargetUnavailable("cable")
            fetched.append(item.id)
            self._target.fetch(item, into, beat)

    yard.open = Breaks  # type: ignore[assignment]
    job = yard.asked("restore", "nas", target="nas")
    assert (job.state, job.error_code) == (JobState.RETRY, "ARC-001")
    assert [here(yard, frame) for frame in frames] == [True, True, False, False]
    yard.open = open_target
    yard.pass_time(400)
    assert all(here(yard, frame) for frame in frames)


def test_frames_come_back_only_while_nobody_deletes(yard: Shipyard) -> None:
    (frame,) = sent(yard, 1)
    yard.reclaim(frame)
    yard.ask("restore", "nas", target="nas")
    with frames_still(yard.store.folder):
        worker = threading.Thread(target=yard.worker.turn)
        worker.start()
        worker.join(0.5)
        assert worker.is_alive()
        assert not (yard.store.folder / frame.path).exists()
    worker.join(10)
    assert here(yard, frame)


# --- killed at any moment -------------------------------------------------------------------------------------------

ASKS = """
import sys
from pathlib import Path
from tests.clocks import JumpClock
from tests.docks import shipyard

with shipyard(Path(sys.argv[1]), Path(sys.argv[2]), JumpClock(int(sys.argv[3]))) as yard:
    yard.asked(sys.argv[4], "nas", target="nas")
"""
RESTORES = ["after_fetch", "after_fetch:2", "after_rename", "after_rename:130", "after_bring_in", "after_bring_in:2"]
VERIFIES = ["before_proofs", "before_proofs:2", "before_commit:3", "after_commit:3"]
COMMITS = [f"{point}:{passage}" for point in ("before_commit", "after_commit") for passage in (2, 3, 4)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "point"),
    [
        (kind, point)
        for kind, own in (("restore", RESTORES), ("verify-archive", VERIFIES))
        for point in (*own, *COMMITS)
    ],
)
def test_killed_anywhere_frames_are_back_once_and_receipts_are_true(tmp_path: Path, kind: str, point: str) -> None:
    with tempfile.TemporaryDirectory(prefix="heliograph-killed-", dir=OTHER_DISK) as folder:
        nas = Path(folder)
        with shipyard(tmp_path / "node", nas) as yard:
            frames = sent(yard, 150, interval_s=1)
            for frame in frames[:140]:
                yard.reclaim(frame)
            there(yard, frames[149]).unlink()
            later_us = yard.clock.now_us() + 60_000_000
        command = [sys.executable, "-c", ASKS, *map(str, (tmp_path / "node", nas, later_us)), kind]
        killed = subprocess.run(command, env={VARIABLE: point}, capture_output=True, text=True, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        with shipyard(tmp_path / "node", nas, JumpClock(later_us + 60_000_000)) as yard:
            assert yard.counters_are_right()
            yard.pass_time(900)
            assert all(here(yard, frame) for frame in frames) == (kind == "restore")
            assert yard.jobs_of(kind)[0].state is JobState.DONE
            told = sum(each["count"] for each in yard.events("restored"))
            assert told == (140 if kind == "restore" else 0)
            assert len(yard.events("receipt_denied")) == (0 if kind == "restore" else 1)
            assert len(yard.receipts()) == 150
            assert yard.counters_are_right()
            assert yard.mismatches() == ([] if kind != "restore" else [f"north/{frames[149].path}"])
            assert ArchiveReader(yard.store.database).count_gone("nas", Span()) == (0 if kind == "restore" else 140)
            assert not list((yard.store.folder / "scratch-ship").iterdir())
