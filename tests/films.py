"""Small moving pictures on disk, a plan of them, and ffprobe's word on what became of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from node.render.plan import Plan, Settings, Source, choose, plan_of

WIDTH, HEIGHT, COUNT = 320, 240, 12
EDGE = 40


def pixels(number: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """RGB: a red square that moves by its number, over a gradient from dark to bright."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = np.linspace(40, 200, width).astype(np.uint8)[None, :, None]
    left = (number * 8) % max(1, width - EDGE)
    picture[:EDGE, left : left + EDGE] = (220, 60, 40)
    return picture


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    jpeg: bytes = simplejpeg.encode_jpeg(pixels(number, width, height), 90)
    return jpeg


def shoot(folder: Path, count: int = COUNT, width: int = WIDTH, height: int = HEIGHT) -> list[Source]:
    """So many frames in a folder, as their rows tell them."""
    folder.mkdir(exist_ok=True)
    sources = []
    for number in range(count):
        path = folder / f"{number:05}.jpg"
        path.write_bytes(picture(number, width, height))
        sources.append(Source(f"frame-{number:05}", path, width, height, number * 1_000_000))
    return sources


def film(folder: Path, count: int = COUNT, width: int = WIDTH, height: int = HEIGHT, **asked: Any) -> Plan:
    """The plan of a small video of fresh frames."""
    settings = Settings(**{"min_frames": 2, "threads": 1, **asked})
    return plan_of(choose(shoot(folder, count, width, height)), settings, cores=1)


def probed(video: Path) -> dict[str, Any]:
    """What ffprobe, which shares no code with the product, finds in the file's one stream."""
    asked = ["ffprobe", "-v", "error", "-of", "json", "-count_packets", "-count_frames", "-show_streams"]
    said = subprocess.run([*asked, "-f", "mp4", str(video)], capture_output=True, text=True, check=True).stdout
    streams = json.loads(said)["streams"]
    assert len(streams) == 1
    found: dict[str, Any] = streams[0]
    return found


def shown(video: Path) -> list[NDArray[np.uint8]]:
    """Every frame as ffmpeg decodes it, RGB, by the colours that the file names."""
    facts = probed(video)
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "mp4", "-i", str(video), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True,
        check=True,
    ).stdout
    return list(np.frombuffer(raw, np.uint8).reshape(-1, facts["height"], facts["width"], 3))
