from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.clock import US, SystemClock
from node.domain.errors import CodecUnknown, EncoderFailed
from node.domain.events import restore
from node.domain.job import JobState, Priority
from node.host import disk
from node.jobs import Jobs
from node.journal import Journal
from node.render.plan import Plan, choose, plan_of, settings_of
from node.store import videos
from node.store.log import Actor
from node.work import rendering
from node.work.rendering import Rendering, Studio, foreseen_bytes, said
from node.work.task import Desk
from node.work.worker import Worker
from tests.stores import opened
from tests.workshop import SMALL, Workshop, equipped, shoot

SHOOT = "main/default/2026-11-18/auto"
MB = 1024 * 1024


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    with equipped(tmp_path, **SMALL) as made:
        yield made


def closed(shop: Workshop, count: int = 6, **changes: Any) -> str:
    """A shoot that has ended; its render is asked for."""
    frames = shoot(shop.store, count, **changes)
    shop.store.journal.close_shoot(frames[0].shoots[0], video=True)
    return frames[0].shoots[0]


def state_of(shop: Workshop, name: str = SHOOT) -> str:
    return shop.store.ledger.shoot(name).state


def the_job(shop: Workshop, name: str = SHOOT) -> str:
    ((identity,),) = shop.store.rows(
        "SELECT id FROM jobs WHERE kind = 'render' AND key = ? ORDER BY seq DESC LIMIT 1", name
    )
    return str(identity)


def told(shop: Workshop, *kinds: str) -> list[Any]:
    rows = shop.store.events.after(0, 1000, kinds)
    return [restore(row.kind, row.body) for row in rows]


def probed(path: Path) -> tuple[int, int, int]:
    """Frames, width and height, as somebody else's program counts them."""
    command = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0", "-of", "json"]
    entries = ["-show_entries", "stream=nb_read_frames,width,height"]
    done = subprocess.run([*command, *entries, str(path)], capture_output=True, check=True)
    (stream,) = json.loads(done.stdout)["streams"]
    return int(stream["nb_read_frames"]), stream["width"], stream["height"]


def test_a_shoot_that_has_ended_gets_its_video_and_is_done(shop: Workshop) -> None:
    name = closed(shop)
    assert state_of(shop) == "captured"
    assert shop.work() == 1
    (video,) = shop.videos()
    path = shop.store.folder / video.path
    assert probed(path) == (6, 160, 120)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == video.sha256
    assert path.stat().st_size == video.size_bytes
    assert (video.shoot, video.frames, video.camera, video.profile) == (name, 6, "main", "auto")
    assert (video.title, video.tier, video.codec, video.left_out.count) == ("default 2026-11-18", "standard", "h264", 0)
    assert shop.files("videos") == {video.path, video.poster}
    assert video.path == f"videos/main/2026-11-18_default_auto_{the_job(shop)[-8:]}.mp4"
    assert state_of(shop) == "done"
    moves = [(event.state, event.video) for event in told(shop, "shoot_moved")]
    assert moves == [("rendering", ""), ("done", video.id)]
    (made,) = told(shop, "video")
    assert (made.video, made.shoot, made.frames, made.left_out) == (video.id, name, 6, 0)
    result = shop.job(the_job(shop)).result
    assert (result["video"], result["frames"], result["left_out"]) == (video.id, 6, {})
    assert result["peak_bytes"] > 0
    assert not set(result) & {"every", "lighter"}


def test_frames_that_a_video_cannot_show_are_named(shop: Workshop) -> None:
    good = shoot(shop.store, 4)
    bad = {
        "flagged": shoot(shop.store, 1, flagged=True, verdict="bad")[0],
        "missing": shoot(shop.store, 1)[0],
        "empty": shoot(shop.store, 1, data=b"")[0],
        "other_size": shoot(shop.store, 1, width=200, height=150)[0],
        "undecodable": shoot(shop.store, 1, data=b"GIF89a" + bytes(100))[0],
    }
    (shop.store.folder / bad["missing"].path).unlink()
    shop.store.journal.close_shoot(SHOOT, video=True)
    shop.work()
    (video,) = shop.videos()
    assert video.frames == len(good) == probed(shop.store.folder / video.path)[0]
    assert {why: frame for frame, why in video.left_out.frames} == {why: each.id for why, each in bad.items()}
    assert shop.job(the_job(shop)).result["left_out"] == dict.fromkeys(bad, 1)
    assert told(shop, "video")[0].left_out == 5


def test_a_shoot_with_more_gaps_than_frames_is_degraded(shop: Workshop) -> None:
    frames = shoot(shop.store, 3)
    update = "UPDATE shoots SET failed = 5, due = 8 WHERE shoot = ?"
    shop.store.database.write(lambda session: session.execute(update, (frames[0].shoots[0],)))
    shop.store.journal.close_shoot(SHOOT, video=True)
    shop.work()
    assert state_of(shop) == "degraded"


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_frames_are_a_dead_letter_and_a_failed_shoot(shop: Workshop, count: int) -> None:
    shoot(shop.store, 3, flagged=True, verdict="bad")
    shoot(shop.store, count)
    shop.store.journal.close_shoot(SHOOT, video=True)
    assert shop.work() == 1
    job = shop.job(the_job(shop))
    assert (job.state, job.error_code, job.attempt) == (JobState.DEAD, "REN-001", 1)
    assert job.error == f"{count} of at least 2; left out: 3 flagged"
    assert (state_of(shop), shop.videos(), shop.files("videos")) == ("failed", [], set())
    (died,) = told(shop, "job_dead")
    assert (died.shoot, died.job_kind) == (SHOOT, "render")
    assert [event.state for event in told(shop, "shoot_moved")] == ["rendering", "failed"]


def test_a_failed_shoot_whose_job_is_redriven_may_still_be_done(shop: Workshop) -> None:
    closed(shop, 1)
    shop.work()
    assert state_of(shop) == "failed"
    frame = shoot(shop.store, 1)[0]
    assert frame.shoots == (SHOOT,)
    shop.jobs.redrive(the_job(shop), Actor("operator"))
    shop.work()
    assert state_of(shop) == "done"
    assert len(shop.videos()) == 1


def test_a_render_that_is_cancelled_leaves_its_shoot_waiting(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    closed(shop)

    def cancelled(*_: object, **__: object) -> None:
        shop.jobs.cancel(the_job(shop), Actor("operator"))
        raise EncoderFailed("killed")

    monkeypatch.setattr(rendering, "render", cancelled)
    shop.work()
    assert shop.job(the_job(shop)).state is JobState.CANCELLED
    assert state_of(shop) == "captured"
    assert [event.state for event in told(shop, "shoot_moved")] == ["rendering", "captured"]
    end_us = shop.store.ledger.shoot(SHOOT).end_us
    assert [late.shoot for late in shop.store.ledger.late_shoots(end_us + 60 * US, 60)] == [SHOOT]


def test_the_last_failure_leaves_a_failed_shoot_and_no_file(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    closed(shop)
    monkeypatch.setattr(rendering, "render", _fails)
    for _ in range(4):
        shop.work()
        shop.store.clock.advance(7200)
    job = shop.job(the_job(shop))
    assert (job.state, job.attempt, job.error_code) == (JobState.DEAD, 4, "REN-004")
    assert (state_of(shop), shop.files("videos")) == ("failed", set())


def _fails(*_: object, **__: object) -> None:
    raise EncoderFailed("out of luck")


def test_a_new_video_takes_the_place_of_the_shoots_older_one(shop: Workshop) -> None:
    name = closed(shop)
    shop.work()
    (old,) = shop.videos()
    shoot(shop.store, 2)
    shop.ask("render", name, camera="main", shoot=name, tier="preview")
    shop.work()
    (new,) = shop.videos()
    assert (new.frames, new.tier, probed(shop.store.folder / new.path)[0]) == (8, "preview", 8)
    assert shop.files("videos") == {new.path, new.poster}
    (before,) = [video for video in shop.videos(removed=True) if video.id == old.id]
    assert (before.deleted_us is not None, before.deleted_rule) == (True, "replaced")
    assert [(event.video, event.rule) for event in told(shop, "video_removed")] == [(old.id, "replaced")]
    assert state_of(shop) == "done"


def test_a_new_video_that_fails_leaves_the_older_one(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    name = closed(shop)
    shop.work()
    shop.ask("render", name, camera="main", shoot=name)
    monkeypatch.setattr(rendering, "render", _fails)
    for _ in range(4):
        shop.work()
        shop.store.clock.advance(7200)
    (video,) = shop.videos()
    assert shop.files("videos") == {video.path, video.poster}
    assert state_of(shop) == "done"


def test_a_pinned_title_survives_a_new_video(shop: Workshop) -> None:
    name = closed(shop)
    shop.work()
    change = "UPDATE videos SET title = 'first snow', pinned = 1"
    shop.store.database.write(lambda session: session.execute(change))
    shop.ask("render", name, camera="main", shoot=name)
    shop.work()
    (video,) = shop.videos()
    assert (video.title, video.pinned) == ("first snow", True)


def test_a_span_of_time_becomes_a_video_of_its_own(shop: Workshop) -> None:
    frames = shoot(shop.store, 8)
    span = {"from_us": frames[2].captured_us, "to_us": frames[6].captured_us}
    job = shop.ask("render", "by hand", camera="main", title="noon", fps=12.5, **span)
    shop.work()
    (video,) = shop.videos()
    assert (video.shoot, video.title, video.frames, video.fps) == (None, "noon", 4, 12.5)
    assert (video.from_us, video.to_us) == tuple(span.values())
    assert video.path == f"videos/main/2026-11-18_range_auto_{job[-8:]}.mp4"
    assert state_of(shop) == "open"


def test_a_name_has_the_date_that_the_site_shows(shop: Workshop) -> None:
    shop.configure(**SMALL, site={"timezone": "Pacific/Kiritimati"})
    frames = shoot(shop.store, 3)
    shop.ask("render", "k", camera="main", from_us=frames[0].captured_us, to_us=frames[0].captured_us + 3600 * US)
    shop.work()
    assert shop.videos()[0].path.startswith("videos/main/2026-11-19_range_auto_")


def test_an_open_shoot_is_waited_for(shop: Workshop) -> None:
    frames = shoot(shop.store, 4)
    end_us = shop.store.clock.now_us() + 90 * US
    shop.store.journal.open_shoot(SHOOT, frames[0].captured_us, end_us)
    job = shop.ask("render", SHOOT, camera="main", shoot=SHOOT)
    shop.work()
    assert (shop.job(job).state, shop.job(job).said) == (JobState.QUEUED, "the shoot is still open")
    assert shop.job(job).attempt == 0
    shoot(shop.store, 1)
    shop.store.clock.advance(60)
    shop.store.journal.close_shoot(SHOOT, video=True)
    shop.work()
    assert the_job(shop) == job
    (video,) = shop.videos()
    assert video.frames == 5


def test_an_unknown_shoot_is_refused_at_once(shop: Workshop) -> None:
    job = shop.ask("render", "x", camera="main", shoot="main/default/1999-01-01/auto")
    shop.work()
    assert (shop.job(job).state, shop.job(job).error_code) == (JobState.DEAD, "API-003")


def test_a_long_span_shows_every_nth_frame(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "MOST_FRAMES", 4)
    closed(shop, 10)
    shop.work()
    (video,) = shop.videos()
    assert video.frames == 4
    assert shop.job(the_job(shop)).result["every"] == 3


# --- room -------------------------------------------------------------------------------------------------------------


def test_a_disk_without_room_for_the_video_is_found_out_first(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    closed(shop)
    monkeypatch.setattr(disk, "space", lambda _: disk.Space(10**9, 64 * MB + 100))
    monkeypatch.setattr(rendering, "render", _fails)
    shop.work()
    job = shop.job(the_job(shop))
    assert (job.state, job.error_code) == (JobState.RETRY, "DSK-001")
    assert shop.files("videos") == set()
    monkeypatch.undo()
    shop.store.clock.advance(7200)
    shop.work()
    assert state_of(shop) == "done"


@pytest.mark.slow
def test_a_disk_that_fills_while_the_video_is_written_leaves_no_part_of_it(shop: Workshop) -> None:
    closed(shop)
    with tiny(shop.store.folder / "videos" / "main"):
        shop.work()
        assert shop.files("videos") == set()
    job = shop.job(the_job(shop))
    assert (job.state, job.error_code, state_of(shop)) == (JobState.RETRY, "DSK-001", "rendering")
    shop.store.clock.advance(7200)
    shop.work()
    assert state_of(shop) == "done"


@pytest.mark.slow
def test_a_running_render_is_cancelled_within_moments(shop: Workshop) -> None:
    shop.configure(render={"preset": "slow", "threads": 1})
    closed(shop, 300, width=960, height=640)
    journal = Journal(shop.store.database, SystemClock(trusted=True))
    jobs = Jobs(journal)
    handler = Rendering(Studio(journal, shop.store.folder, lambda: shop.document))
    worker = Worker(Desk(jobs, journal.clock), {"render": handler}, shop.store.folder / "scratch")
    thread = threading.Thread(target=worker.turn)
    thread.start()
    while not shop.files("videos"):
        thread.join(0.02)
        assert thread.is_alive()
    jobs.cancel(the_job(shop), Actor("operator"))
    thread.join(60)
    assert shop.job(the_job(shop)).state is JobState.CANCELLED
    assert (shop.files("videos"), shop.videos(), state_of(shop)) == (set(), [], "captured")


@contextmanager
def tiny(folder: Path) -> Iterator[None]:
    """A file system of its own that holds next to nothing."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_without_memory_it_waits_and_is_not_charged(shop: Workshop) -> None:
    closed(shop)
    shop.free_bytes = 40 * MB
    shop.work()
    job = shop.job(the_job(shop))
    assert (job.state, job.attempt, job.due_us) == (JobState.QUEUED, 0, shop.store.clock.now_us() + 60 * US)
    assert job.said.startswith("waits for memory")
    shop.free_bytes = 10_000 * MB
    shop.store.clock.advance(60)
    shop.work()
    assert state_of(shop) == "done"


def test_with_little_memory_it_gives_up_something_and_says_what(shop: Workshop) -> None:
    shop.configure(render={"min_frames": 2, "threads": 4})
    asked = plan_for(shop, closed(shop))
    shop.free_bytes = asked.predicted_bytes + rendering.SPARE_BYTES - 1
    shop.work()
    result = shop.job(the_job(shop)).result
    assert result["lighter"]["threads"] == 1
    assert result["predicted_bytes"] < asked.predicted_bytes


def plan_for(shop: Workshop, name: str) -> Plan:
    frames = [frame for frame in shop.store.frames.every() if name in frame.shoots]
    material = [
        rendering.Source(each.id, shop.store.folder / each.path, each.width, each.height, each.captured_us)
        for each in frames
    ]
    return plan_of(choose(material), settings_of(shop.document.render), cores=len(os.sched_getaffinity(0)))


def test_the_size_foreseen_is_not_below_the_size_made(shop: Workshop) -> None:
    name = closed(shop, 12)
    shop.work()
    plan = plan_for(shop, name)
    assert foreseen_bytes(plan) > shop.videos()[0].size_bytes
    finer = foreseen_bytes(replace(plan, crf=plan.crf - rendering.CRF_PER_HALF))
    assert finer == pytest.approx(2 * foreseen_bytes(plan), abs=1)


# --- words and leftovers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("done", "speed", "expected"),
    [
        (0, 0.0, "0 of 100 frames, 0.0 a second"),
        (25, 12.5, "25 of 100 frames, 12.5 a second, 6 s left"),
        (100, 12.5, "100 frames, reading it again"),
    ],
)
def test_progress_says_frames_rate_and_what_is_left(done: int, speed: float, expected: str) -> None:
    assert said(done, 100, speed) == expected


def left(shop: Workshop, job: str) -> str:
    """A whole video that the job wrote, without a row."""
    path = shop.store.folder / "videos" / "main" / f"2026-11-17_range_auto_{job[-8:]}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"left")
    now_s = shop.store.clock.now_us() / US
    os.utime(path, (now_s, now_s))
    return path.relative_to(shop.store.folder).as_posix()


def test_a_sweep_removes_what_is_unfinished_and_what_was_given_up(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    closed(shop)
    shop.work()
    (video,) = shop.videos()
    waiting = shop.ask("render", "later", camera="main", from_us=1, to_us=2)
    kept = left(shop, waiting)
    monkeypatch.setattr(rendering, "render", lambda *_, **__: left(shop, dead) and _dies())
    frames = list(shop.store.frames.every())
    span = {"from_us": frames[0].captured_us, "to_us": frames[-1].captured_us + 1}
    dead = shop.ask("render", "dies", Priority.MANUAL, camera="main", **span)
    shop.worker.turn()
    assert shop.job(dead).state is JobState.DEAD
    half = "videos/main/.2026-11-17_default_auto_ABCDEFGH.mp4.tmp"
    (shop.store.folder / half).write_bytes(b"half")
    with caplog.at_level("WARNING"):
        assert shop.rendering.sweep() == 2
    assert {line.path for line in caplog.records} == {half, f"videos/main/2026-11-17_range_auto_{dead[-8:]}.mp4"}
    assert shop.files("videos") == {video.path, video.poster, kept}
    assert shop.rendering.sweep() == 0


def _dies() -> None:
    raise CodecUnknown("h266")


def test_a_sweep_finishes_the_removal_of_a_video(shop: Workshop) -> None:
    closed(shop)
    shop.work()
    (video,) = shop.videos()
    gone = lambda session: videos.retire(session, video.id, "by_hand", shop.store.clock.now_us())  # noqa: E731
    assert shop.store.database.write(gone)
    assert shop.rendering.sweep() == 2
    assert shop.files("videos") == set()


def test_videos_that_a_restored_database_does_not_know_stay(shop: Workshop, tmp_path: Path) -> None:
    closed(shop)
    shop.work()
    before = shop.files("videos")
    assert len(before) == 2
    (tmp_path / "other").mkdir()
    with opened(tmp_path / "other") as empty:
        assert Rendering(Studio(empty.journal, shop.store.folder, lambda: shop.document)).sweep() == 0
    assert shop.files("videos") == before


def test_a_video_made_after_its_jobs_row_was_backed_up_as_dead_stays(shop: Workshop) -> None:
    name = closed(shop, 1)
    shop.work()
    job = the_job(shop)
    assert shop.job(job).state is JobState.DEAD
    shop.store.clock.advance(3600)
    kept = left(shop, job)  # a later life redrove it; then the older rows came back
    assert shop.rendering.sweep() == 0
    assert (shop.files("videos"), state_of(shop, name)) == ({kept}, "failed")
