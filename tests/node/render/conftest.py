"""What the render tests share: small moving pictures on disk, and a plan of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg

from node.render.plan import Plan, Settings, Source, choose, plan_of

WIDTH, HEIGHT, COUNT = 320, 240, 12

Shoot = Callable[..., list[Source]]
Film = Callable[..., Plan]


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """A square that moves by its number, over a gradient with grain."""
    dice = np.random.default_rng(number)
    pixels = np.linspace(40, 200, width, dtype=np.float32)[None, :, None] + dice.normal(0, 4, (height, width, 3))
    edge = height // 4
    left = (number * 5) % (width - edge)
    pixels[edge : 2 * edge, left : left + edge] = (230, 60, 40)
    return simplejpeg.encode_jpeg(np.clip(pixels, 0, 255).astype(np.uint8), 90)


@pytest.fixture
def shoot(tmp_path: Path) -> Shoot:
    """So many frames in a folder, as their rows tell them."""

    def take(count: int = COUNT, width: int = WIDTH, height: int = HEIGHT) -> list[Source]:
        folder = tmp_path / "frames"
        folder.mkdir(exist_ok=True)
        sources = []
        for number in range(count):
            path = folder / f"{number:04}.jpg"
            path.write_bytes(picture(number, width, height))
            sources.append(Source(f"frame-{number:04}", path, width, height, number * 1_000_000))
        return sources

    return take


@pytest.fixture
def film(shoot: Shoot) -> Film:
    """The plan of a small video."""

    def plan(count: int = COUNT, width: int = WIDTH, height: int = HEIGHT, **asked: Any) -> Plan:
        settings = Settings(**{"min_frames": 2, "threads": 1, **asked})
        return plan_of(choose(shoot(count, width, height)), settings, cores=1)

    return plan


def probed(video: Path) -> dict[str, Any]:
    """What ffprobe, which shares no code with the product, finds in a file."""
    asked = [
        "ffprobe",
        "-v",
        "error",
        "-of",
        "json",
        "-count_packets",
        "-count_frames",
        "-show_streams",
        "-show_format",
    ]
    said = subprocess.run([*asked, "-f", "mp4", str(video)], capture_output=True, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(said)
    return found
