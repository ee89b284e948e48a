from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from node.crashpoint import VARIABLE
from node.domain.errors import (
    CodecUnknown,
    DirectoryMissing,
    DiskFull,
    EncoderFailed,
    JobCancelled,
    NoFrames,
    VideoWrong,
)
from node.render import process
from node.render.plan import LeftOut, Plan, Still, Why
from node.render.process import Rendered, render
from tests.films import COUNT, HEIGHT, WIDTH, film, probed

PATIENCE_S = 60.0

Child = subprocess.Popen[bytes]


def ignore(*_said: object) -> None:
    pass


class Desk:
    """A place to render to, and what was heard meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.video, self.poster = folder / ".out.mp4.tmp", folder / ".out.jpg.tmp"
        self.beats: list[tuple[int, float]] = []
        self.children: list[Child] = []

    def render(self, plan: Plan, register: Callable[[Child], None] = ignore) -> Rendered:
        def take(child: Child) -> None:
            self.children.append(child)
            register(child)

        return render(plan, self.video, self.poster, beat=self.beat, register=take)

    def beat(self, done: int, fps: float) -> None:
        self.beats.append((done, fps))

    def is_clean(self) -> bool:
        """Nothing is left of a failed render: no file, no process."""
        return not self.video.exists() and not self.poster.exists() and not self.running()

    def running(self) -> list[int]:
        return [child.pid for child in self.children if child.returncode is None]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return film(tmp_path / "frames")


@pytest.mark.slow
def test_a_render_says_of_its_video_what_ffprobe_says(desk: Desk, plan: Plan) -> None:
    made, found = desk.render(plan), probed(desk.video)
    assert made.frames == int(found["nb_read_packets"]) == int(found["nb_read_frames"]) == COUNT
    assert (made.width, made.height) == (found["width"], found["height"]) == (WIDTH, HEIGHT)
    assert made.duration_s == pytest.approx(float(found["duration"]))
    assert made.fps == pytest.approx(25)
    assert made.size_bytes == desk.video.stat().st_size
    assert made.sha256 == hashlib.sha256(desk.video.read_bytes()).hexdigest()
    assert made.encoder == "libx264 veryfast crf 21"
    assert made.left_out == ()
    assert desk.poster.read_bytes().startswith(b"\xff\xd8")
    assert not desk.running()


@pytest.mark.slow
def test_peak_memory_is_about_what_was_foreseen(desk: Desk, tmp_path: Path) -> None:
    plan = film(tmp_path / "frames", 40, 1280, 960)
    assert 0.6 < plan.predicted_bytes / desk.render(plan).peak_bytes < 1.7


@pytest.mark.slow
def test_frames_that_cannot_be_used_are_named_and_the_rest_is_shown(desk: Desk, plan: Plan) -> None:
    Path(plan.frames[3].path).write_bytes(b"")
    Path(plan.frames[7].path).unlink()
    made = desk.render(plan)
    assert made.left_out == (LeftOut("frame-00003", Why.EMPTY), LeftOut("frame-00007", Why.MISSING))
    assert made.frames == int(probed(desk.video)["nb_read_frames"]) == COUNT - 2


@pytest.mark.slow
def test_progress_never_runs_back_and_ends_with_all_frames(desk: Desk, tmp_path: Path) -> None:
    desk.render(film(tmp_path / "frames", 250, 640, 480, preset="slow"))
    done = [done for done, _ in desk.beats]
    assert done == sorted(done)
    assert 0 < done[-1] <= 250
    assert all((fps > 0) == (done > 0) for done, fps in desk.beats)


@pytest.mark.slow
@pytest.mark.parametrize(
    "point", ["render_encode", "render_packet:3", "render_closed", "render_synced", "render_poster", "render_verify"]
)
def test_a_child_killed_at_any_step_is_a_failed_encoder_and_leaves_nothing(
    desk: Desk, plan: Plan, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    monkeypatch.setenv(VARIABLE, point)
    with pytest.raises(EncoderFailed, match="ended by signal 9"):
        desk.render(plan)
    assert desk.is_clean()
    monkeypatch.delenv(VARIABLE)
    assert desk.render(plan).frames == COUNT


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2])
def test_why_a_child_was_killed_is_asked_for_before_it_is_called_a_failure(desk: Desk, plan: Plan, number: int) -> None:
    def kill(child: Child) -> None:
        if len(desk.children) == number:
            child.kill()

    def say_why(_done: int, _fps: float) -> None:
        raise JobCancelled("by admin")

    desk.beat = say_why  # type: ignore[method-assign]
    with pytest.raises(JobCancelled, match="by admin"):
        desk.render(plan, kill)
    assert desk.is_clean()


@pytest.mark.slow
def test_a_beat_that_refuses_ends_the_child(desk: Desk, tmp_path: Path) -> None:
    def refuse(done: int, fps: float) -> None:
        raise JobCancelled(f"after {done} at {fps}")

    desk.beat = refuse  # type: ignore[method-assign]
    with pytest.raises(JobCancelled):
        desk.render(film(tmp_path / "frames", 600, 640, 480, preset="slow"))
    assert desk.is_clean()
    assert desk.children[0].returncode == -signal.SIGKILL


def spoilt(desk: Desk, change: Callable[[Path], None]) -> Callable[[Child], None]:
    """Changes the video after it was encoded and before it is read again."""

    def register(_child: Child) -> None:
        if len(desk.children) == 2:
            change(desk.video)

    return register


def torn(video: Path) -> None:
    os.truncate(video, video.stat().st_size - 400)


def shortened(video: Path) -> None:
    other = video.with_name("other.mp4")
    asked = ["-c", "copy", "-frames:v", str(COUNT - 1)]
    subprocess.run(["ffmpeg", "-v", "error", "-f", "mp4", "-i", str(video), *asked, str(other)], check=True)
    other.replace(video)


def emptied(video: Path) -> None:
    os.truncate(video, 0)


@pytest.mark.slow
@pytest.mark.parametrize("change", [torn, shortened, emptied])
def test_a_video_that_is_not_what_was_planned_is_refused_whatever_the_exit_code_was(
    desk: Desk, plan: Plan, change: Callable[[Path], None]
) -> None:
    with pytest.raises(VideoWrong):
        desk.render(plan, spoilt(desk, change))
    assert desk.is_clean()


@pytest.mark.slow
def test_a_video_that_vanishes_is_refused(desk: Desk, plan: Plan) -> None:
    with pytest.raises(DirectoryMissing):
        desk.render(plan, spoilt(desk, Path.unlink))


@pytest.mark.slow
def test_the_childs_errors_come_through(desk: Desk, plan: Plan) -> None:
    with pytest.raises(CodecUnknown, match="h264_v4l2m2m"):
        desk.render(replace(plan, encoder="h264_v4l2m2m"))
    with pytest.raises(NoFrames, match=f"{COUNT} of 13"):
        desk.render(replace(plan, min_frames=COUNT + 1))
    assert desk.is_clean()


@pytest.mark.slow
def test_requests_and_answers_larger_than_a_pipe_pass(desk: Desk, plan: Plan) -> None:
    gone = tuple(Still(f"gone-{number:026}", f"/nowhere/{number:060}") for number in range(20_000))
    made = desk.render(replace(plan, frames=gone + plan.frames))
    assert made.frames == COUNT
    assert len(made.left_out) == 20_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_disk_that_is_full_in_the_middle_is_named_and_freed_again(small_disk: Path, tmp_path: Path) -> None:
    desk = Desk(small_disk)
    with pytest.raises(DiskFull, match=r"out\.mp4\.tmp: No space left on device"):
        desk.render(film(tmp_path / "frames", 100, 640, 480, crf=0))
    assert desk.is_clean()
    assert os.statvfs(small_disk).f_bavail > 0


def test_a_child_that_cannot_be_started_is_a_failed_encoder(
    desk: Desk, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process.sys, "executable", "/nowhere/python")
    with pytest.raises(EncoderFailed, match="cannot be started"):
        desk.render(plan)


@pytest.mark.slow
def test_what_a_child_said_last_is_in_the_error(desk: Desk, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "CHILD", "node.render.nothing")
    with pytest.raises(EncoderFailed, match=r"status 1; last words: .*No module named node[.]render[.]nothing"):
        desk.render(plan)


# --- the child --------------------------------------------------------------------------------------------------------


def asked(plan: Plan, desk: Desk) -> bytes:
    request: dict[str, Any] = {"plan": asdict(plan), "video": str(desk.video), "poster": str(desk.poster)}
    return json.dumps(request).encode() + b"\n"


def started(verb: str = "encode") -> Child:
    return subprocess.Popen(
        [sys.executable, "-m", "node.render.child", verb], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.slow
def test_a_child_ends_with_its_pipe_in_the_middle_of_its_work(desk: Desk, tmp_path: Path) -> None:
    plan = film(tmp_path / "frames", 600, 640, 480, preset="slow")
    with started() as child:
        assert child.stdin
        assert child.stdout
        child.stdin.write(asked(plan, desk))
        child.stdin.flush()
        assert b'"done"' in child.stdout.readline()
        child.stdin.close()
        assert child.wait(PATIENCE_S) == -signal.SIGKILL


PARENT = """
import json, sys
from pathlib import Path
from node.render.plan import plan_from
from node.render.process import render
plan = plan_from(json.loads(Path(sys.argv[1]).read_text()))
render(plan, Path(sys.argv[2]), Path(sys.argv[3]), beat=lambda done, fps: print("going", flush=True),
    register=lambda child: print(child.pid, flush=True))
"""


@pytest.mark.slow
def test_a_child_dies_with_its_parent(desk: Desk, tmp_path: Path) -> None:
    told = tmp_path / "plan.json"
    told.write_text(json.dumps(asdict(film(tmp_path / "frames", 600, 640, 480, preset="slow"))))
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(told), str(desk.video), str(desk.poster)], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert parent.stdout.readline() == b"going\n"
        parent.kill()
    assert eventually(lambda: not is_there(pid))


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_a_child_stands_back_and_leaves_signals_to_its_parent() -> None:
    with started() as child:
        assert eventually(lambda: os.getpriority(os.PRIO_PROCESS, child.pid) == 19)
        for number in (signal.SIGTERM, signal.SIGINT):
            child.send_signal(number)
        assert child.stdin
        child.stdin.write(b"{}\n")  # not understood
        child.stdin.flush()
        assert child.wait(PATIENCE_S) == 1


IMPORTS = """
import sys
import node.render.plan, node.render.process
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_a_worker_that_waits_for_renders_holds_no_library_of_pictures() -> None:
    said = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True).stdout.split()
    assert "node" in said
    assert {"av", "cv2", "numpy", "simplejpeg", "PIL"}.isdisjoint(said)


def test_a_child_holds_no_library_that_it_does_not_need() -> None:
    source = "import sys, node.render.child, node.render.encode, node.render.verify; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True).stdout.split()
    assert "av" in said
    assert {"pydantic", "cv2", "peewee", "fastapi"}.isdisjoint(said)
