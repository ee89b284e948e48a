"""A worker that ends by SIGKILL at each named point of a job, and once more at random; then another life of it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from node.crashpoint import VARIABLE
from node.store.videos import VideoReader
from tests.clocks import START_US, JumpClock
from tests.workshop import SMALL, Workshop, equipped, shoot

FRAMES = 8
SHOOT = "main/default/2026-11-18/auto"
LIFE = """
import json
import sys
import threading
from pathlib import Path
from node.clock import SystemClock
from node.domain.config import Document
from node.jobs import Jobs
from node.journal import Journal
from node.store.database import NAME, Database
from node.work.rendering import Rendering, Studio
from node.work.task import Desk
from node.work.thumbs import Darkroom, Thumbnails, ThumbRounds
from node.work.worker import Worker

folder, clock = Path(sys.argv[1]), SystemClock(trusted=True)
document = Document.model_validate(json.loads(sys.argv[2]))
database = Database(folder / NAME)
journal = Journal(database, clock)
rendering = Rendering(Studio(journal, folder, lambda: document))
thumbnails = Thumbnails(Darkroom(database, folder, lambda: document))
handlers = {"render": rendering, "thumbnail": thumbnails.make, "thumbnail-repair": thumbnails.repair}
jobs = Jobs(journal, lambda: document.jobs.retry_s)
worker = Worker(Desk(jobs, clock), handlers, folder / "scratch")
rendering.sweep()
ThumbRounds(journal, ["main"], lambda: document).turn()
waiting = "SELECT 1 FROM jobs WHERE state IN ('queued', 'leased', 'retry')"
while worker.turn() or (sys.argv[3] and database.read(lambda session: session.one(waiting))):
    clock.wait(threading.Event(), 0.02)
database.close()
"""
DOCUMENT = {**SMALL, "jobs": {"retry_s": {"render": [0.1] * 5, "thumbnail": [0.1] * 5}}}


def prepared(folder: Path) -> None:
    with equipped(folder, **DOCUMENT) as shop:
        shoot(shop.store, FRAMES)
        shop.store.journal.close_shoot(SHOOT, video=True)


def life(folder: Path, planned: str = "", *, patient: bool = False, kill_after_s: float | None = None) -> int:
    """Until nothing is due; a patient one until nothing waits."""
    command = [sys.executable, "-c", LIFE, str(folder), json.dumps(DOCUMENT), "patient" if patient else ""]
    environment = {**os.environ, VARIABLE: planned}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        _, said = process.communicate(timeout=60 if kill_after_s is None else kill_after_s)
    except subprocess.TimeoutExpired:
        process.kill()
        _, said = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), said
    return process.returncode


def settled(folder: Path) -> None:
    """A life without a fault; one more finds nothing to do."""
    assert [life(folder, patient=True), life(folder, patient=True)] == [0, 0]


def assert_exactly_once(shop: Workshop) -> None:
    """One row, its file and its poster, nothing else; counted by a program that knows nothing of how it was made."""
    folder = shop.store.folder
    (video,) = VideoReader(shop.store.database).page(removed=True)
    assert shop.files("videos") == {video.path, video.poster}
    assert hashlib.sha256((folder / video.path).read_bytes()).hexdigest() == video.sha256
    assert counted(folder / video.path) == video.frames == FRAMES
    assert shop.store.rows("SELECT shoot, state FROM shoots") == [(SHOOT, "done")]
    assert shop.store.rows("SELECT state, COUNT(*) FROM jobs WHERE kind = 'render' GROUP BY state") == [("done", 1)]
    kinds = "SELECT kind, COUNT(*) FROM events WHERE kind IN ('video', 'video_removed', 'job_dead') GROUP BY kind"
    assert shop.store.rows(kinds) == [("video", 1)]
    states = "SELECT json_extract(body, '$.state') FROM events WHERE kind = 'shoot_moved' ORDER BY id"
    assert shop.store.rows(states) == [("rendering",), ("done",)]
    assert len(shop.files("thumbs")) == 2 * FRAMES
    assert not any(path.name.endswith(".tmp") for path in folder.rglob("*"))
    assert shop.store.rows("SELECT seq FROM cursors WHERE name = 'thumbs/main'") == [(FRAMES,)]
    assert not list((folder / "scratch").glob("*"))


def counted(path: Path) -> int:
    command = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0", "-of", "json"]
    done = subprocess.run(
        [*command, "-show_entries", "stream=nb_read_frames", str(path)], capture_output=True, check=True
    )
    streams: list[dict[str, Any]] = json.loads(done.stdout)["streams"]
    return int(streams[0]["nb_read_frames"])


POINTS = [
    *(f"before_commit:{passage}" for passage in range(1, 7)),
    *(f"after_commit:{passage}" for passage in range(1, 7)),
    "job_claimed:1", "job_claimed:2", "job_handled:1", "job_handled:2",
    "render_verified", "after_rename:1", "after_rename:2", "after_rename:5", "render_named", "render_committed",
    "before_rename:1", "before_rename:4", "thumbs_made",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("planned", POINTS)
def test_a_worker_killed_at_any_step_makes_everything_once(tmp_path: Path, planned: str) -> None:
    prepared(tmp_path)
    assert life(tmp_path, planned) == -signal.SIGKILL
    settled(tmp_path)
    with equipped(tmp_path, JumpClock(START_US)) as shop:
        assert_exactly_once(shop)


@pytest.mark.slow
@pytest.mark.parametrize(
    "planned", ["render_verified", "after_rename:2", "job_handled", "before_commit:3", "render_committed"]
)
def test_a_shoot_always_has_one_whole_video_while_another_takes_its_place(tmp_path: Path, planned: str) -> None:
    prepared(tmp_path)
    settled(tmp_path)
    with equipped(tmp_path, JumpClock(START_US)) as shop:
        (old,) = VideoReader(shop.store.database).page()
        shop.ask("render", SHOOT, camera="main", shoot=SHOOT, tier="preview")
    assert life(tmp_path, planned) == -signal.SIGKILL
    with equipped(tmp_path, JumpClock(START_US)) as shop:
        (current,) = VideoReader(shop.store.database).page()
        assert hashlib.sha256((tmp_path / current.path).read_bytes()).hexdigest() == current.sha256
    settled(tmp_path)
    with equipped(tmp_path, JumpClock(START_US)) as shop:
        new, before = VideoReader(shop.store.database).page(removed=True)
        assert (before.id, before.deleted_rule, new.tier, new.deleted_us) == (old.id, "replaced", "preview", None)
        assert shop.files("videos") == {new.path, new.poster}
        assert counted(tmp_path / new.path) == new.frames == FRAMES
        assert shop.store.rows("SELECT state FROM shoots") == [("done",)]


@pytest.mark.slow
def test_a_job_that_dies_each_time_leaves_a_dead_letter_a_failed_shoot_and_no_file(tmp_path: Path) -> None:
    prepared(tmp_path)
    for _ in range(6):
        assert life(tmp_path, "render_named", patient=True) == -signal.SIGKILL
    settled(tmp_path)  # the last attempt is found lost; what it left belongs to nobody any more
    with equipped(tmp_path, JumpClock(START_US)) as shop:
        assert shop.store.rows("SELECT state, attempt, error_code FROM jobs WHERE kind = 'render'") == [
            ("dead", 6, "JOB-008")
        ]
        assert shop.store.rows("SELECT COUNT(*) FROM job_attempts WHERE outcome = 'lost'") == [(6,)]
        assert shop.store.rows("SELECT state FROM shoots") == [("failed",)]
        assert (shop.files("videos"), shop.videos(removed=True)) == (set(), [])
        (died,) = shop.store.rows("SELECT body FROM events WHERE kind = 'job_dead'")
        assert json.loads(str(died[0]))["shoot"] == SHOOT


# points inside the child: it ends, the worker lives on and tries again
CHILD_POINTS = ["render_packet:3", "render_closed", "render_synced", "render_poster", "render_verify"]


@pytest.mark.slow
@pytest.mark.parametrize("planned", CHILD_POINTS)
def test_an_encoder_killed_at_any_step_leaves_nothing_and_another_attempt_makes_the_video(
    tmp_path: Path, planned: str
) -> None:
    prepared(tmp_path)
    assert life(tmp_path, planned) == 0
    with equipped(tmp_path, JumpClock(START_US)) as shop:
        assert shop.files("videos") == set()
        assert shop.store.rows("SELECT DISTINCT outcome, error_code FROM job_attempts") == [("failed", "REN-004")]
    settled(tmp_path)
    with equipped(tmp_path, JumpClock(START_US)) as shop:
        assert_exactly_once(shop)


@pytest.mark.slow
def test_a_worker_killed_at_random_moments_makes_everything_once(tmp_path: Path) -> None:
    prepared(tmp_path)
    dice = random.Random(11)
    for _ in range(4):
        life(tmp_path, kill_after_s=dice.uniform(0.3, 1.6))
    settled(tmp_path)
    with equipped(tmp_path, JumpClock(START_US)) as shop:
        assert_exactly_once(shop)
