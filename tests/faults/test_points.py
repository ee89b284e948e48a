"""SIGKILL of `work`, of `ship` and of encoders at every named point, on real processes: all is done, and done once."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import node as product
from node.clock import SystemClock
from node.crashpoint import VARIABLE
from node.domain.errors import EncoderFailed
from node.render.child import VERBS
from tests.faults.mischief import ask_for_a_video, take_a_frame
from tests.faults.ordeal import Ordeal, Plan
from tests.faults.reckoning import reckon
from tests.faults.station import NAS, TARGETS, Shape, Station, in_a_thread, station
from tests.nodes import PROGRAM, Home, clean_environment, heliograph_node, started, wait_for

TREE, TESTS = Path(product.__file__).parent, Path(__file__).parents[1]
PATIENCE_S, AGAIN_S = 120.0, 1.5


def order(path: str) -> Callable[[Station], object]:
    return lambda station: station.ask("POST", path)


def nothing(_station: Station) -> None:
    """New frames alone bring the process there."""


def make_a_video(station: Station) -> None:
    """Unless one waits: more of them than a slow machine makes would keep all that is less urgent waiting."""
    if not station.rows("SELECT 1 FROM jobs WHERE kind = 'render' AND state IN ('queued', 'leased', 'retry')"):
        ask_for_a_video(station)


def bring_back(station: Station) -> None:
    for path in ("/v1/disk/reclaim", *(f"/v1/targets/{target}/restore" for target in TARGETS)):
        station.ask("POST", path)


def lose_a_target(station: Station) -> None:
    """For as long as it takes until its absence is noticed; a test does so when all frames have been sent."""
    disk = station.disks[NAS]
    disk.vanish()
    station.ask("POST", f"/v1/targets/{NAS}/test")
    failed = "SELECT 1 FROM targets WHERE name = 'nas' AND last_error_code <> ''"
    wait_for(lambda: station.rows(failed) or station.pid("ship") is None, "that it is noticed")
    disk.attach()


make_room, back_up = order("/v1/disk/reclaim"), order("/v1/backups")
WORK: dict[str, Callable[[Station], object]] = {
    "thumbs_made": nothing,
    "before_rename": nothing,
    "job_claimed": make_a_video,
    "job_handled": make_a_video,
    "job_settled": make_a_video,
    "before_commit:4": make_a_video,
    "after_commit:4": make_a_video,
    "render_verified": make_a_video,
    "after_rename": make_a_video,
    "after_rename:2": make_a_video,
    "render_named": make_a_video,
    "render_committed": make_a_video,
    "reclaim_proved": make_room,
    "reclaim_marked": make_room,
    "reclaim_unlinked": make_room,
    "backup_written": back_up,
    "backup_named": back_up,
}
SHIP: dict[str, Callable[[Station], object]] = {
    "job_claimed": nothing,
    "job_handled": nothing,
    "job_settled": nothing,
    "before_commit:3": nothing,
    "after_commit:3": nothing,
    "target_half_written": nothing,
    "target_before_rename": nothing,
    "target_after_rename": nothing,
    "target_sent": nothing,
    "after_put": nothing,
    "before_receipts:2": nothing,
    "before_proofs": order(f"/v1/targets/{NAS}/verify"),
    "after_fetch": bring_back,
    "after_bring_in": bring_back,
    "after_hasten": lose_a_target,
}
ENCODER = [f"render_{verb}" for verb in VERBS]
ENCODER += ["render_packet", "render_packet:3", "render_closed", "render_synced", "render_poster"]
ELSEWHERE = {
    "faults/test_kill.py": {
        *("before_shot", "shot_taken", "before_rename", "after_rename", "file_written", "before_commit"),
        *("after_commit", "frame_committed", "quarantine_written", "before_activation", "activated", "confirmed"),
        *("before_rollback", "rolled_back"),
    },
    "node/store/test_migrations.py": {"copy_made", "steps_taken"},
    "node/store/test_replace.py": {"restore_made", "restore_aside", "restore_placed"},
    "node/work/test_holds.py": {"hold_entered"},
    "node/work/test_bundle.py": {"bundle_restored"},
    "faults/test_points.py": {"bundle_written"},
    "node/work/test_provisional.py": {"before_provisional", "provisional"},
    "node/store/test_leases.py": {"before_lease", "lease_written"},
}
"""By the tests that kill a process there."""


def test_every_named_point_of_the_tree_is_one_at_which_some_test_kills() -> None:
    text = "\n".join(path.read_text() for path in TREE.rglob("*.py"))
    found = set(re.findall(r'crash_point\("(\w+)"\)', text))
    named = len(re.findall(r"(?<!def )crash_point\(", text))
    assert named == len(re.findall(r'crash_point\("\w+"\)', text)) + len(
        re.findall(r'crash_point\(f"render_{verb}"', text)
    )
    found |= {f"render_{verb}" for verb in VERBS}
    here = {point.partition(":")[0] for point in (*WORK, *SHIP, *ENCODER)}
    assert found == here.union(*ELSEWHERE.values())
    for name, points in ELSEWHERE.items():
        words = (TESTS / name).read_text()
        assert [point for point in points if f'"{point}"' not in words] == []


def until(came: Callable[[], object], made: Station, provoke: Callable[[Station], object], what: str) -> None:
    """Provoked again and again: an order may meet a service that is busy, or a process that is only just starting."""
    begun_s, asked_s = time.monotonic(), -AGAIN_S
    while not came():
        now_s = time.monotonic()
        assert now_s - begun_s < PATIENCE_S, f"not provoked: {what}"
        if now_s - asked_s > AGAIN_S:
            take_a_frame(made)
            provoke(made)
            asked_s = now_s
        time.sleep(0.05)


def die(made: Station, name: str, point: str, provoke: Callable[[Station], object]) -> None:
    """The process is killed, and its next life ends at the point."""
    made.planned[name] = point
    made.kill(name)
    made.wait(lambda: name not in made.planned and made.pid(name), f"another life, {point}")
    until(lambda: made.status_of(name) is not None, made, provoke, f"{name} {made.pid(name)} at {point}")
    assert made.status_of(name) == -signal.SIGKILL, point


def die_as_encoder(made: Station, point: str) -> None:
    """The child of that life ends there, and its parent goes on."""
    since_us = SystemClock().now_us()
    died = f"SELECT 1 FROM job_attempts WHERE error_code = '{EncoderFailed.code}' AND ended_us > {since_us}"
    made.planned["work"] = point
    made.kill("work")
    made.wait(lambda: "work" not in made.planned and made.pid("work"), f"another life, {point}")
    until(lambda: made.rows(died), made, make_a_video, f"an encoder that died at {point}")
    made.kill("work")


def in_the_end(made: Station, shape: Shape) -> list[str]:
    """In peace, whatever was cut is done; what the count says then."""
    ordeal = Ordeal(made, Plan(shape, 0, 1.0), threading.Event())
    ordeal.in_peace()
    return [*ordeal.in_vain, *reckon(made).all]


@contextmanager
def at_work(folder: Path, windows: int) -> Iterator[Station]:
    """A station whose windows are so short that videos are due all the time; in the end its books are in order.

    They last as long as the kills on a quiet machine: where those take longer, frames are taken by hand.
    """
    shape = Shape(window_s=6, windows=windows, document={"triggers": {}})
    with station(folder, shape) as made:
        made.wait(lambda: made.up, "the service is up", PATIENCE_S)
        until(lambda: made.rows("SELECT 1 FROM frames LIMIT 1 OFFSET 2"), made, nothing, "frames for a video")
        yield made
        assert in_the_end(made, shape) == []


@pytest.mark.slow
def test_work_killed_at_every_point_of_every_kind_does_each_job_once(tmp_path: Path) -> None:
    def kill_everywhere() -> None:
        with at_work(tmp_path, 4) as made:
            for point, provoke in WORK.items():
                die(made, "work", point, provoke)

    in_a_thread(kill_everywhere)


@pytest.mark.slow
def test_encoders_killed_at_every_point_leave_nothing_and_the_videos_are_made(tmp_path: Path) -> None:
    def kill_everywhere() -> None:
        with at_work(tmp_path, 2) as made:
            for point in ENCODER:
                die_as_encoder(made, point)

    in_a_thread(kill_everywhere)


@pytest.mark.slow
def test_ship_killed_at_every_point_of_every_kind_does_each_job_once(tmp_path: Path) -> None:
    def kill_everywhere() -> None:
        with at_work(tmp_path, 4) as made:
            for point, provoke in SHIP.items():
                die(made, "ship", point, provoke)

    in_a_thread(kill_everywhere)


@pytest.mark.slow
def test_a_backup_that_is_killed_before_it_is_whole_has_no_name_and_the_next_one_is_whole(tmp_path: Path) -> None:
    home, target = Home(tmp_path), tmp_path / "bundle.tar"
    with started(home) as node:
        wait_for(lambda: len(node.frames()) > 2, "frames")
        words = [PROGRAM, "backup", str(target), "--config", str(home.config)]
        killed = subprocess.run(words, env=clean_environment({VARIABLE: "bundle_written"}), check=False, timeout=30)
        assert killed.returncode == -signal.SIGKILL
        assert not target.exists()
        again = heliograph_node("backup", target, "--config", home.config)
        assert again.returncode == 0, again.stderr
    assert {path.name for path in tmp_path.iterdir() if "bundle" in path.name} == {"bundle.tar"}
