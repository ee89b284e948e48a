from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import node
from node.camera import messages, worker
from node.camera.base import CameraConfig, ExposurePlan, ShotSpec
from node.camera.messages import Message
from node.camera.synthetic import SyntheticCamera
from node.camera.worker import BACKENDS, Worker
from node.clock import SystemClock
from node.domain.errors import CameraAbsent

CONFIG = CameraConfig("main", {"backend": "synthetic", "width": 64, "height": 48})
OPEN = Message({"do": "open", "config": messages.from_config(CONFIG)})
SHOOT = Message({"do": "shoot", "deadline_s": 5, "spec": messages.from_spec(ShotSpec(0, ExposurePlan()))})


class Broken:
    """A backend whose library surprises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def probe(self) -> Any:
        raise self.error

    def close(self) -> None:
        pass


def test_it_opens_shoots_answers_pings_and_closes() -> None:
    made = Worker()
    assert made.answer(OPEN).header["width"] == 64
    assert messages.to_shot(made.answer(SHOOT)).jpeg.startswith(b"\xff\xd8")
    assert made.answer(Message({"do": "ping"})).header == {"open": True, "shots": 1, "detail": ""}
    assert made.answer(Message({"do": "close"})).header == {}
    assert not made.answer(Message({"do": "ping"})).header["open"]


def test_requests_before_any_opening_are_answered_with_an_error() -> None:
    assert Worker().answer(SHOOT).header["error"] == "CAM-007"


@pytest.mark.parametrize(
    ("error", "code"),
    [(CameraAbsent("cable"), "CAM-002"), (ValueError("odd"), "CAM-004"), (MemoryError("full"), "CAM-003")],
)
def test_whatever_a_library_raises_becomes_an_answer(
    error: Exception, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Worker(lambda _backend: Broken(error))  # type: ignore[arg-type,return-value] # only what is called
    answer = made.answer(Message({"do": "probe", "options": {"backend": "x"}}))
    assert answer.header["error"] == code
    assert error.args[0] in answer.header["detail"]
    assert ("Traceback" in capsys.readouterr().err) is isinstance(error, ValueError)


def test_another_backend_takes_the_place_of_the_first() -> None:
    made: list[str] = []

    def make(backend: str) -> SyntheticCamera:
        made.append(backend)
        return SyntheticCamera(SystemClock())

    host = Worker(make)
    host.answer(OPEN)
    other = {**CONFIG.options, "backend": "another"}
    host.answer(Message({"do": "open", "config": messages.from_config(CameraConfig("main", other))}))
    host.answer(OPEN)
    assert made == ["synthetic", "another", "synthetic"]


def test_serving_ends_at_the_end_of_the_pipe_even_inside_a_request() -> None:
    whole = b"".join(bytes(buffer) for buffer in messages.pack(Message({"do": "close"})))
    answers = io.BytesIO()
    worker.serve(Worker(), io.BytesIO(whole + whole[:5]), answers)
    header_size, _ = messages.lengths(answers.getvalue()[: messages.PREFIX.size])
    assert len(answers.getvalue()) == messages.PREFIX.size + header_size


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_worker_holds_only_its_own_backends_libraries(backend: str) -> None:
    code = (
        "import sys\n"
        "from node.camera.worker import make_camera\n"
        f"make_camera({backend!r})\n"
        "heavy = {'cv2', 'PIL', 'pydantic', 'peewee', 'picamera2', 'astral', 'fastapi', 'numpy.random', 'yaml'}\n"
        "print(','.join(sorted(heavy & set(sys.modules))))"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(node.__file__).parent.parent)}
    held = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert held.stdout.strip() == {"opencv": "cv2"}.get(backend, "")
