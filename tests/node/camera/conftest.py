"""What the camera tests share: small sources for each backend, and the fake picamera2 in place of the real one."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg

from node.camera.base import CameraConfig

FAKES = Path(__file__).parents[2] / "fakes"
WIDTH, HEIGHT = 160, 120


def picture(shade: int, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    pixels = np.full((height, width, 3), shade, dtype=np.uint8)
    pixels[:, ::7] = 255 - shade
    return simplejpeg.encode_jpeg(pixels, 90)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photographs of mixed sizes."""
    place = tmp_path / "photographs"
    place.mkdir()
    for number, width in enumerate((WIDTH, 200, 320)):
        (place / f"{number}.jpg").write_bytes(picture(40 + 60 * number, width))
    return place


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Five frames of motion JPEG."""
    place = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(place), cv2.VideoWriter_fourcc(*"MJPG"), 25, (WIDTH, HEIGHT))
    for shade in range(0, 250, 50):
        writer.write(np.full((HEIGHT, WIDTH, 3), shade, dtype=np.uint8))
    writer.release()
    return place


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The fake picamera2, healthy."""
    monkeypatch.syspath_prepend(str(FAKES))
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    module = importlib.import_module("picamera2")
    yield module
    module.reset()
    del sys.modules["picamera2"]


@pytest.fixture
def config_of(folder: Path, video: Path) -> Callable[..., CameraConfig]:
    """How each backend is opened in the tests."""
    options: dict[str, dict[str, Any]] = {
        "synthetic": {"width": WIDTH, "height": HEIGHT},
        "replay": {"folder": str(folder)},
        "opencv": {"source": str(video)},
        "picamera2": {"number": 0},
    }

    def make(backend: str, **given: Any) -> CameraConfig:
        return CameraConfig("main", {"backend": backend, **options[backend]}, **given)

    return make
