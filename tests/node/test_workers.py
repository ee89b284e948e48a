"""The processes beside the service, as real ones."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from node.almanac import Sun
from node.clock import US, SystemClock
from node.domain.config import Site
from node.domain.errors import INTERNAL, DirectoryMissing, WorkerHeld
from node.domain.job import LANE_LOOPS
from node.domain.times import to_datetime
from node.host import pulse
from node.host.pulse import Pulse
from node.store.sharing import alone
from node.workers import WATCHDOG_GRACE_S, Pulses
from tests.nodes import EACH_SECOND, Home, Node, beside, heliograph_node, started, wait_for

pytestmark = pytest.mark.slow

HEAVY = ("cv2", "numpy", "simplejpeg", "/av/", "libavcodec", "libx264")
QUICK = {"gather_s": 0, "breaker": {"failures": 2, "pause_s": 1}}
WINDOW_S = 14
GREENWICH: dict[str, Any] = {"latitude": 0.0, "longitude": 0.0}


@pytest.fixture
def shelf() -> Iterator[Path]:
    """A folder on another file system than the tests' own."""
    folder = Path(tempfile.mkdtemp(prefix="heliograph-test-", dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def home_of(tmp_path: Path, shelf: Path | None = None, **document: Any) -> Home:
    archive = {"archive": {"shelf": {"kind": "directory", "path": str(shelf)}}} if shelf else {}
    used = {"archive": {"targets": {"shelf": QUICK}}, "jobs": {"retry_s": {"transfer": [1] * 50, "render": [1, 1]}}}
    clock = {"clock": {"trusted": True}}
    wanted = {**EACH_SECOND, **(used if shelf else {}), **document}
    return Home(tmp_path, document=wanted, node_file={**archive, **clock})


def window(seconds: int, lasts_s: int = WINDOW_S) -> dict[str, Any]:
    """A window that begins in so many seconds: the sun's noon, moved, is an edge that knows seconds."""
    now_us = SystemClock().now_us()
    noon_us = Sun(Site(**GREENWICH)).noon_us(to_datetime(now_us).date())
    start_s = (now_us - noon_us) // US + seconds
    edges = [{"anchor": "noon", "offset_s": start_s + more} for more in (0, lasts_s)]
    return {"kind": "solar", "start": edges[0], "end": edges[1]}


def status(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = node.get("/v1/status")
    return found


def heard(node: Node, *names: str) -> bool:
    workers = status(node)["workers"]
    return workers is not None and all(workers[name] is not None for name in names)


def rows(home: Home, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{home.data}/heliograph.db?mode=ro", uri=True)) as database:
        return database.execute(sql).fetchall()


def looks(home: Home, count: int) -> None:
    """Until each loop of `work` has given so many new pulses."""
    seen: dict[str, set[float]] = {loop: set() for loop in LANE_LOOPS["work"]}

    def enough() -> bool:
        for loop, moments in seen.items():
            felt = pulse.read(home.run, loop)
            moments.update([felt.at_s] if felt else [])
        return min(map(len, seen.values())) > count

    wait_for(enough, f"{count} pulses", 60)


def loaded(process: subprocess.Popen[bytes]) -> str:
    return Path(f"/proc/{process.pid}/maps").read_text()


def test_an_idle_worker_is_seen_writes_nothing_and_has_loaded_no_codec(tmp_path: Path) -> None:
    resting = {"schedules": {"seldom": {"interval_s": 86400, "phase_s": (SystemClock().now_us() // US - 3600) % 86400}}}
    home = home_of(tmp_path, **resting)
    with started(home) as node, beside(home, "work") as work:
        wait_for(lambda: heard(node, "work"), "a pulse")
        looks(home, 3)  # what a start has to do is done
        before = (home.data / "heliograph.db-wal").stat()
        looks(home, 3)
        after = (home.data / "heliograph.db-wal").stat()
        assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
        assert [name for name in HEAVY if name in loaded(work)] == []
        assert work.poll() is None


def test_a_second_one_is_refused_and_names_the_first(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    with started(home), beside(home, "work", "--ship") as first:
        wait_for((home.data / "lock-ship").exists, "its locks")
        time.sleep(0.5)
        for word in ("work", "ship"):
            again = heliograph_node(word, "--config", home.config)
            assert again.returncode == WorkerHeld.exit, again.stderr
            assert WorkerHeld.code in again.stderr
            assert f"pid {first.pid}" in again.stderr


def test_it_waits_for_the_service_to_make_the_database(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    with beside(home, "work") as work:
        wait_for(lambda: "DB-004" in (home.folder / "work.log").read_text(), "that it waits")
        with started(home) as node:
            wait_for(lambda: heard(node, "work"), "a pulse")
            assert work.poll() is None


@contextmanager
def manager(folder: Path) -> Iterator[tuple[str, socket.socket]]:
    """A service manager's ear."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(folder / "notify"))
        channel.settimeout(20)
        yield str(folder / "notify"), channel


def until(channel: socket.socket, word: str) -> list[str]:
    """What is said until that."""
    said: list[str] = []
    while not said or word not in said[-1]:
        said += channel.recv(4096).decode().splitlines()
    return said


def test_the_manager_hears_that_it_is_up_what_it_waits_for_and_that_it_lives(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    with manager(tmp_path) as (address, channel), beside(home, "work", "--ship", NOTIFY_SOCKET=address) as work:
        assert until(channel, "STATUS=")[0] == "READY=1"
        assert until(channel, "STATUS=waits: DB-004")[-2] == "WATCHDOG=1"
        with started(home):
            until(channel, "STATUS=does the jobs of work and ship")
            until(channel, "WATCHDOG=1")
        work.send_signal(signal.SIGTERM)
        until(channel, "STOPPING=1")


def test_a_loop_past_its_promise_starves_the_watchdog(tmp_path: Path) -> None:
    pulses = Pulses(tmp_path)
    assert pulses.kept(0.0)
    pulses.feel("work", Pulse(1, 100.0, 10.0))
    pulses.feel("work-rounds", Pulse(1, 100.0, 60.0))
    assert pulses.kept(110.0 + WATCHDOG_GRACE_S)
    assert not pulses.kept(110.1 + WATCHDOG_GRACE_S)
    pulses.feel("work", Pulse(1, 120.0, 10.0))
    assert pulses.kept(120.1)
    assert (tmp_path / "work.pulse").exists()


def test_a_missing_data_folder_is_said(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    home.data.rmdir()
    ended = heliograph_node("ship", "--config", home.config)
    assert (ended.returncode, DirectoryMissing.code in ended.stderr) == (DirectoryMissing.exit, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_and_its_pulse_with_it(tmp_path: Path, number: signal.Signals) -> None:
    home = home_of(tmp_path)
    with started(home) as node, beside(home, "work", "--ship") as work:
        wait_for(lambda: heard(node, "work"), "a pulse")
        work.send_signal(number)
        assert work.wait(25) == 0
        assert list(home.run.glob("*.pulse")) == []
        wait_for(lambda: status(node)["workers"]["work"] is None, "that it is gone")


def test_the_service_goes_and_comes_beneath_it(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    with beside(home, "work") as work:
        for _ in range(2):
            with started(home) as node:
                wait_for(lambda node=node: heard(node, "work"), "a pulse")
                assert node.stop()[0] == 0
        assert work.poll() is None


def archived(home: Home, shelf: Path) -> bool:
    """Every frame and video that has a row is at the target, by name and hash, with a receipt that says so."""
    items = rows(home, "SELECT id, path, sha256 FROM frames UNION ALL SELECT id, path, sha256 FROM videos")
    receipts = {row[0]: row[1] for row in rows(home, "SELECT item, sha256 FROM receipts")}
    for identity, path, sha256 in items:
        there = shelf / "test" / path
        if receipts.get(identity) != sha256 or not there.is_file():
            return False
        assert hashlib.sha256(there.read_bytes()).hexdigest() == sha256
    return bool(items)


def probed_frames(path: Path) -> int:
    said = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "json", str(path)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return int(json.loads(said.stdout)["streams"][0]["nb_read_frames"])


def test_two_shoots_end_with_one_verified_video_each_also_when_the_node_is_killed_at_the_windows_end(
    tmp_path: Path, shelf: Path
) -> None:
    begins_s = 12
    windows = {
        "first": {"interval_s": 1, "window": window(begins_s)},
        "second": {"interval_s": 1, "window": window(begins_s + WINDOW_S)},
    }
    home = home_of(tmp_path, shelf, schedules=windows, site=GREENWICH)
    assert heliograph_node("archive", "init", "shelf", "--config", home.config).returncode == 0
    with started(home) as node:
        shoots = lambda: node.get("/v1/shoots")["items"]  # noqa: E731 - asked again and again
        work = home.start_beside("work", "--ship")
        wait_for(lambda: [each for each in shoots() if each["schedule"] == "second"], "the second window", 90)
        node.kill()
        work.kill()
        work.wait()
    with started(home) as node, beside(home, "work", "--ship"):
        states = lambda: {each["schedule"]: each["state"] for each in node.get("/v1/shoots")["items"]}  # noqa: E731
        wait_for(lambda: set(states().values()) <= {"done", "degraded"} and len(states()) == 2, "both videos", 120)
        videos = node.get("/v1/videos")["items"]
        assert sorted(each["shoot"].split("/")[1] for each in videos) == ["first", "second"]
        paths = dict(rows(home, "SELECT id, path FROM videos"))
        for video in videos:
            taken = rows(home, f"SELECT COUNT(*) FROM frame_shoots WHERE shoot = '{video['shoot']}'")[0][0]
            path = home.data / paths[video["id"]]
            data = node.ask("GET", f"/v1/videos/{video['id']}/file").content
            assert hashlib.sha256(data).hexdigest() == video["sha256"]
            assert probed_frames(path) == video["frames"] == taken - video["left_out_count"]
            assert hashlib.sha256(path.read_bytes()).hexdigest() == video["sha256"]
        made = {str(path.relative_to(home.data)) for path in (home.data / "videos").rglob("*.mp4")}
        assert made == set(paths.values()), "no file but theirs"
        done = rows(home, "SELECT key, state FROM jobs WHERE kind = 'render'")
        assert sorted(done) == [(video["shoot"], "done") for video in sorted(videos, key=lambda each: each["shoot"])]
        wait_for(lambda: archived(home, shelf), "receipts for everything", 60)


HANGS = """
import sys, threading
from dataclasses import replace
from node import workers
from node.cli import main

makers = workers.CREWS["work"]

def hanging(bench):
    crew = makers(bench)
    return replace(crew, handlers={**crew.handlers, "thumbnail": lambda task: threading.Event().wait()})

workers.JOIN_S, workers.CREWS = 1.0, {"work": hanging}
sys.exit(main(["work", "--config", sys.argv[1]]))
"""


@contextmanager
def hanging(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in the middle of a job that never ends."""
    with (home.folder / "hangs.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-c", HANGS, str(home.config)], stderr=log)
    try:
        wait_for(lambda: ("leased",) in rows(home, "SELECT state FROM jobs WHERE kind = 'thumbnail'"), "a job at work")
        yield process
    finally:
        process.kill()
        process.wait()


def log_of(home: Home) -> str:
    return (home.folder / "hangs.log").read_text()


def test_a_process_whose_thread_hangs_ends_and_its_job_is_given_back(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    with started(home), hanging(home) as process:
        process.terminate()
        assert process.wait(20) == INTERNAL, log_of(home)
        assert rows(home, "SELECT state, attempt FROM jobs WHERE kind = 'thumbnail'") == [("queued", 0)]
    assert list(home.run.glob("work*.pulse")) == []
    assert '"threads hang"' in log_of(home)


def test_no_second_crew_works_beside_a_thread_that_hangs(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    with started(home) as node, hanging(home) as process:
        assert node.stop()[0] == 0
        with alone(home.data, 20):  # as who would put another database there
            assert process.wait(20) == INTERNAL, log_of(home)
    assert log_of(home).count('"working"') == 1
