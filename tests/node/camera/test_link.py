"""The worker as a real process: late, dying, stopped, talkative, orphaned."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import simplejpeg

import node
from node.camera import link as link_module
from node.camera import pidfile
from node.camera.base import CameraConfig, ShotSpec
from node.camera.link import ProcessLink
from node.camera.supervisor import Supervisor
from node.clock import SystemClock
from node.domain.errors import CameraError, CameraFault, CameraLost, CameraTimeout
from node.domain.recovery import Limits

SOURCE = Path(node.__file__).parent.parent
SPEC = ShotSpec(1_795_000_000_000_000)
OPEN_S, SHOT_S = 30.0, 10.0

pytestmark = pytest.mark.slow


def config(*faults: dict[str, Any], **given: Any) -> CameraConfig:
    options = {"backend": "synthetic", "width": 160, "height": 120, "faults": list(faults)}
    return CameraConfig("main", options, **given)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make(tmp_path: Path, said: list[str]) -> Iterator[Callable[..., ProcessLink]]:
    made: list[ProcessLink] = []

    def build(**given: Any) -> ProcessLink:
        made.append(ProcessLink("main", tmp_path / "run", said=said.append, **given))
        return made[-1]

    yield build
    for link in made:
        link.kill()


def gone(pid: int, within_s: float = 5.0) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if pidfile.identify(pid) is None:
            return True
        time.sleep(0.02)
    return False


def test_a_pid_file_stands_while_the_worker_lives(make: Callable[..., ProcessLink], tmp_path: Path) -> None:
    link = make()
    link.open(config(), OPEN_S)
    known = pidfile.read(tmp_path / "run" / "camera-main.pid")
    assert known
    assert known.pid == link.pid
    assert link.kill()
    assert not (tmp_path / "run" / "camera-main.pid").exists()


def test_a_run_directory_that_cannot_be_written_does_not_stop_the_camera(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words: list[str] = []
    link = ProcessLink("main", tmp_path / "file", said=words.append)
    try:
        assert link.open(config(), OPEN_S).width == 160
        assert any("pid file" in line for line in words)
    finally:
        link.kill()


def test_a_hanging_worker_is_killed_at_the_deadline(make: Callable[..., ProcessLink]) -> None:
    link = make()
    link.open(config({"kind": "stall"}), OPEN_S)
    pid = link.pid
    began = time.monotonic()
    with pytest.raises(CameraTimeout, match=f"worker {pid} killed"):
        link.shoot(SPEC, 0.5)
    assert time.monotonic() - began < 20  # bounded: the stall itself never ends
    assert pid
    assert pidfile.identify(pid) is None
    assert not link.alive
    with pytest.raises(CameraLost):
        link.shoot(SPEC, 0.5)


def test_a_native_crash_is_a_lost_worker_with_its_signal(make: Callable[..., ProcessLink]) -> None:
    link = make()
    link.open(config({"kind": "crash", "after_shots": 1}), OPEN_S)
    assert link.shoot(SPEC, SHOT_S).jpeg
    with pytest.raises(CameraLost, match="signal 11"):
        link.shoot(SPEC, SHOT_S)


def test_a_worker_that_cannot_start_says_its_last_words(make: Callable[..., ProcessLink], tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('numpy is broken here')")
    link = make(env={"PYTHONPATH": str(tmp_path)})
    with pytest.raises(CameraError, match=r"numpy is broken here"):
        link.open(config(), OPEN_S)


def test_a_worker_that_no_process_can_be_made_for_is_a_lost_one(
    make: Callable[..., ProcessLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    link = make()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(CameraLost, match=r"cannot be started: .*No such file"):
        link.open(config(), OPEN_S)
    assert (link.alive, link.pid) == (False, None)


def test_a_leftover_that_cannot_be_looked_for_is_a_lost_worker(
    make: Callable[..., ProcessLink], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_more(_pid: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    itself = pidfile.identify(os.getpid())
    assert itself
    pidfile.write(tmp_path / "run" / "camera-main.pid", itself)
    monkeypatch.setattr(os, "pidfd_open", no_more)
    with pytest.raises(CameraLost, match="Too many open files"):
        make().open(config(), OPEN_S)


def test_another_thread_may_abort_the_request_under_way(make: Callable[..., ProcessLink]) -> None:
    link = make()
    link.open(config({"kind": "stall"}), OPEN_S)
    pid = link.pid
    assert pid
    threading.Timer(0.3, link.abort).start()
    began = time.monotonic()
    with pytest.raises(CameraLost, match="signal 9"):
        link.shoot(SPEC, OPEN_S)
    assert time.monotonic() - began < 5
    assert pidfile.identify(pid) is None
    link.abort()  # its worker is gone by now: no process of that number is touched
    with pytest.raises(CameraLost):
        link.open(config(), OPEN_S)


def test_an_abort_while_the_worker_starts_ends_it(
    make: Callable[..., ProcessLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    link = make()
    pids: list[int] = []

    def aborted(process: subprocess.Popen[bytes]) -> None:
        pids.append(process.pid)
        link.abort()

    monkeypatch.setattr(link, "_record", aborted)
    with pytest.raises(CameraLost, match="aborted while it started"):
        link.open(config(), OPEN_S)
    assert gone(pids[0])


def test_what_a_library_prints_does_not_disturb_the_answers(
    make: Callable[..., ProcessLink], tmp_path: Path, said: list[str]
) -> None:
    (tmp_path / "picamera2.py").write_text(
        "import os\n"
        "class Picamera2:\n"
        "    @staticmethod\n"
        "    def global_camera_info():\n"
        "        print('python talks')\n"
        "        os.write(1, b'C talks\\n' * 40000)\n"
        "        return [{'Id': 'a', 'Model': 'b'}]\n"
    )
    link = make(env={"PYTHONPATH": str(tmp_path)})
    assert link.probe({"backend": "picamera2"}, OPEN_S)[0].identity == "a"
    assert {"python talks", "C talks"} <= set(said)


def test_an_answer_that_is_no_protocol_is_a_lost_worker(
    make: Callable[..., ProcessLink], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "babble.py").write_text("import sys\nsys.stdout.write('hello world, this is no frame')\n")
    monkeypatch.setattr(link_module, "WORKER", "babble")
    link = make(env={"PYTHONPATH": str(tmp_path)})
    with pytest.raises(CameraLost):
        link.open(config(), OPEN_S)


def test_a_stopped_worker_is_late_and_killed(make: Callable[..., ProcessLink]) -> None:
    link = make()
    link.open(config(), OPEN_S)
    assert link.pid
    os.kill(link.pid, signal.SIGSTOP)
    with pytest.raises(CameraTimeout):
        link.ping(0.3)


def test_signals_meant_for_the_service_do_not_end_the_worker(make: Callable[..., ProcessLink]) -> None:
    link = make()
    link.open(config(), OPEN_S)
    assert link.pid
    os.kill(link.pid, signal.SIGINT)
    os.kill(link.pid, signal.SIGTERM)
    assert link.shoot(SPEC, SHOT_S).jpeg


def test_a_large_picture_comes_through_whole(make: Callable[..., ProcessLink]) -> None:
    link = make()
    link.open(config(width=2048, height=1536, jpeg_quality=100), OPEN_S)
    shot = link.shoot(SPEC, SHOT_S)
    assert len(shot.jpeg) > 500_000
    assert simplejpeg.decode_jpeg(shot.jpeg).shape == (1536, 2048, 3)


def test_a_leftover_of_an_earlier_start_is_ended(make: Callable[..., ProcessLink], said: list[str]) -> None:
    leftover, fresh = make(), make()
    leftover.open(config(), OPEN_S)
    pid = leftover.pid
    assert pid
    fresh.open(config(), OPEN_S)
    assert gone(pid)
    assert any(str(pid) in line for line in said)
    assert fresh.shoot(SPEC, SHOT_S).jpeg


ORPHAN = """
import sys, time
from pathlib import Path
from node.camera.base import CameraConfig, ShotSpec
from node.camera.link import ProcessLink
options = {"backend": "synthetic", "width": 64, "height": 48, "faults": FAULTS}
link = ProcessLink("main", Path(sys.argv[1]))
link.open(CameraConfig("main", options), 30)
print(link.pid, flush=True)
link.shoot(ShotSpec(0), 60)
time.sleep(60)
"""


@pytest.mark.parametrize("faults", ["[]", '[{"kind": "stall"}]'])
def test_the_worker_is_gone_two_seconds_after_its_parent_was_killed(faults: str, tmp_path: Path) -> None:
    code = ORPHAN.replace("FAULTS", faults)
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, env=env)
    assert parent.stdout
    pid = int(parent.stdout.readline())
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(pid, 2.0)


def supervised(tmp_path: Path, given: CameraConfig) -> Supervisor:
    limits = Limits(ping_every_s=0.5, ping_s=1.0)
    return Supervisor(given, SystemClock(), lambda: ProcessLink("main", tmp_path), limits=limits)


def until_ok(camera: Supervisor, within_s: float) -> None:
    until = time.monotonic() + within_s
    while camera.state.word != "ok":
        assert time.monotonic() < until
        time.sleep(max(0.0, min(0.2, (camera.next_attempt_s() or 0) - time.monotonic())))
        camera.tend()


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV])
def test_blows_at_random_moments_never_stop_the_capture_for_long(blow: signal.Signals, tmp_path: Path) -> None:
    dice = random.Random(blow)
    camera = supervised(tmp_path, config(shot_margin_s=0.6))
    frames = failures = 0
    try:
        until_ok(camera, 20)
        for _ in range(3 if blow is signal.SIGSTOP else 6):
            pid = camera.state.worker_pid
            assert pid
            timer = threading.Timer(dice.uniform(0, 0.03), os.kill, (pid, blow))
            timer.start()
            for _ in range(4):
                try:
                    shot = camera.shoot(ShotSpec(SystemClock().now_us()))
                    assert simplejpeg.decode_jpeg(shot.jpeg).shape == (120, 160, 3)
                    frames += 1
                except CameraError:
                    failures += 1
                    break
            timer.join()
            time.sleep(0.5)
            camera.tend()
            until_ok(camera, 30)
        assert camera.shoot(ShotSpec(SystemClock().now_us())).jpeg
        assert frames + failures >= 3
    finally:
        camera.close()


@pytest.mark.parametrize("kind", ["stall", "crash", "fault", "absent"])
def test_a_scripted_fault_of_a_real_worker_is_overcome(kind: str, tmp_path: Path) -> None:
    camera = supervised(tmp_path, config({"kind": kind, "after_shots": 2, "shots": 2}, shot_margin_s=2.0))
    try:
        until_ok(camera, 20)
        outcomes = []
        for _ in range(4):
            try:
                camera.shoot(ShotSpec(SystemClock().now_us()))
                outcomes.append("frame")
            except CameraError as error:
                outcomes.append(error.code)
                until_ok(camera, 60)
        expected = {"stall": "CAM-005", "crash": "CAM-007", "fault": "CAM-004", "absent": "CAM-002"}[kind]
        assert outcomes == ["frame", "frame", expected, "frame"]
    finally:
        camera.close()


def test_failed_openings_never_pile_up_descriptors_in_one_worker(tmp_path: Path) -> None:
    camera = supervised(tmp_path, config({"kind": "absent", "shots": 1}))
    pids = set()
    try:
        with pytest.raises(CameraError):
            camera.shoot(ShotSpec(0))
        pids.add(camera.state.worker_pid)
        until_ok(camera, 40)
        pids.add(camera.state.worker_pid)
        assert len(pids) == 2
    finally:
        camera.close()


def test_closing_releases_everything_within_five_seconds(tmp_path: Path) -> None:
    camera = supervised(tmp_path, config())
    until_ok(camera, 20)
    pid = camera.state.worker_pid
    began = time.monotonic()
    camera.close()
    assert time.monotonic() - began < 5
    assert pid
    assert pidfile.identify(pid) is None
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_worker_in_service(make: Callable[..., ProcessLink]) -> None:
    link = make()
    link.open(config({"kind": "fault"}), OPEN_S)
    with pytest.raises(CameraFault):
        link.shoot(SPEC, SHOT_S)
    assert link.alive
    link.open(config(), OPEN_S)
    assert link.shoot(SPEC, SHOT_S).jpeg
