"""Videos of 12 MP frames, 1920 wide: the node's renderer beside ffmpeg as timelapse programs call it."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from node.render.plan import MB, Plan, Settings, Source, choose, plan_of
from node.render.process import render
from tests.bench.figure import Figure
from tests.bench.scene import HEIGHT, QUALITY, WIDTH, picture

NAME = "render 12 MP to 1920"
PHOTOGRAPHS = Path("/usr/share/backgrounds/mate/nature")
SCENES = ("Wood", "TwoWings", "LadyBird", "generated")
"""Photographs under a camera that pans and zooms; a generated one under a fixed camera."""
NOISE, SHARE = 1.5, 0.9
OUTPUT = (1920, 1440)
POLL_S = 0.02
LUMA = {"bt709": (0.2126, 0.7152, 0.0722), "bt470bg": (0.299, 0.587, 0.114)}  # red, green, blue
# as the peers call it; as low in priority as the node's own
PEER = ("nice", "-n", "19", "ffmpeg", "-v", "error", "-y", "-framerate", "25", "-i", "{frames}/%05d.jpg")
PEER_OUTPUT = ("-c:v", "libx264", "-preset", "medium", "-crf", "23", "-vf", "scale=1920:-2", "-pix_fmt", "yuv420p")
FACTS = ("ffprobe", "-v", "error", "-show_entries", "stream=color_space", "-of", "default=nw=1:nk=1")

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Run:
    """One video: CPU and wall milliseconds a frame, peak bytes, bytes of the file."""

    cpu_ms: float
    wall_ms: float
    peak_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Compared:
    """One scene: medians of both, and the likeness (SSIM of luma) of each to the scene."""

    scene: str
    ours: Run
    peer: Run
    ssim: float
    peer_ssim: float
    predicted_bytes: int


def figures(frames: int, passes: int, rounds: int, scenes: tuple[str, ...] = SCENES) -> Iterator[Figure]:
    """So many pictures of each scene, shown to and fro so many times, as starts of processes count little in a day."""
    found = []
    for scene in scenes:
        with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder:
            found.append(_compare(scene, Path(folder), frames, passes, rounds))
    yield from _costs(found)
    yield from _worth(found)


def _costs(found: list[Compared]) -> Iterator[Figure]:
    """Medians over the scenes; of memory, the most."""
    for kind, field, limit in (("CPU", "cpu_ms", 1.5), ("wall", "wall_ms", 1.7)):
        pairs = [(getattr(each.ours, field), getattr(each.peer, field)) for each in found]
        mine, theirs = (statistics.median(values) for values in zip(*pairs, strict=True))
        note = _each(found, [f"{peer / ours:.2f}" for ours, peer in pairs]) + "; libx264 medium crf 23, scale=1920"
        yield Figure(f"{NAME}, a frame", f"{kind} ms", mine, theirs, limit, of_ratio=True, note=note)
    ours, peer = max(each.ours.peak_bytes for each in found), max(each.peer.peak_bytes for each in found)
    yield Figure(f"{NAME}, peak memory", "MiB", ours / MB, peer / MB, limit=250.0)
    off = max(abs(each.predicted_bytes / each.ours.peak_bytes - 1) for each in found)
    yield Figure(f"{NAME}, memory foreseen off by", "%", 100 * off, limit=20.0)


def _worth(found: list[Compared]) -> Iterator[Figure]:
    """Medians over the scenes: likeness to the scene reduced by Lanczos in floats, and size."""
    lost = [(each.peer_ssim - each.ssim) * 1000 for each in found]
    note = _each(found, [f"{each.ssim:.4f}/{each.peer_ssim:.4f}" for each in found])
    yield Figure(f"{NAME}, SSIM below the peers'", "1/1000", statistics.median(lost), limit=1.0, note=note)
    more = [100 * (each.ours.size_bytes / each.peer.size_bytes - 1) for each in found]
    note = _each(found, [f"{percent:+.0f}" for percent in more])
    yield Figure(f"{NAME}, larger than the peers'", "%", statistics.median(more), limit=15.0, note=note)


def _each(found: list[Compared], values: list[str]) -> str:
    return ", ".join(f"{each.scene} {value}" for each, value in zip(found, values, strict=True))


def _compare(scene: str, folder: Path, frames: int, passes: int, rounds: int) -> Compared:
    sources = _shoot(scene, folder, frames, passes)
    plan = _plan(sources)
    ours, peer = folder / "ours.mp4", folder / "peer.mp4"
    turns = [(_ours(plan, ours), _peer(folder / "sequence", peer, len(sources))) for _ in range(rounds)]
    return Compared(
        scene,
        _middle([mine for mine, _ in turns]),
        _middle([theirs for _, theirs in turns]),
        ssim=_likeness(ours, sources[:frames], folder),
        peer_ssim=_likeness(peer, sources[:frames], folder),
        predicted_bytes=plan.predicted_bytes,
    )


def _plan(sources: list[Source]) -> Plan:
    """As on a machine of two cores."""
    plan = plan_of(choose(sources), Settings(min_frames=2), cores=2)
    assert (plan.width, plan.height) == OUTPUT
    return plan


def _middle(runs: list[Run]) -> Run:
    return Run(
        cpu_ms=statistics.median(run.cpu_ms for run in runs),
        wall_ms=statistics.median(run.wall_ms for run in runs),
        peak_bytes=max(run.peak_bytes for run in runs),
        size_bytes=runs[0].size_bytes,
    )


# --- both ways --------------------------------------------------------------------------------------------------


def _ours(plan: Plan, video: Path) -> Run:
    """Encoded and read again."""

    def act() -> int:
        poster = video.with_suffix(".jpg")
        return render(plan, video, poster, beat=lambda _done, _fps: None, register=lambda _child: None).peak_bytes

    return _timed(act, video, len(plan.frames))


def _peer(sequence: Path, video: Path, frames: int) -> Run:
    def act() -> int:
        command = [word.format(frames=sequence) for word in PEER]
        with subprocess.Popen([*command, *PEER_OUTPUT, str(video)]) as process:
            peak = 0
            while process.poll() is None:
                peak = _peak_bytes(process.pid) or peak
                time.sleep(POLL_S)
        assert process.returncode == 0
        return peak

    return _timed(act, video, frames)


def _timed(act: Callable[[], int], video: Path, frames: int) -> Run:
    before, began = getrusage(RUSAGE_CHILDREN), time.perf_counter()
    peak = act()
    wall_s, after = time.perf_counter() - began, getrusage(RUSAGE_CHILDREN)
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Run(cpu_s * 1000 / frames, wall_s * 1000 / frames, peak, video.stat().st_size)


def _peak_bytes(pid: int) -> int:
    """0 where it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


# --- what is shown ----------------------------------------------------------------------------------------------


def _shoot(scene: str, folder: Path, frames: int, passes: int) -> list[Source]:
    """A scene under changing light, with a sensor's noise; as files and as rows."""
    shots, sequence = folder / "shots", folder / "sequence"
    shots.mkdir()
    sequence.mkdir()
    view, dice = _view(scene), np.random.default_rng(1)
    for number in range(frames):
        pixels = view(number / frames) * np.float32(1 + 0.1 * np.sin(number / 12))  # the light changes
        pixels += dice.normal(0, NOISE, (HEIGHT, WIDTH, 1)).astype(np.float32)
        jpeg = simplejpeg.encode_jpeg(np.clip(pixels, 0, 255).astype(np.uint8), QUALITY, "RGB", "420")
        (shots / f"{number:05}.jpg").write_bytes(jpeg)
    order = [*range(frames), *reversed(range(frames))] * passes
    sources = []
    for number, shot in enumerate(order[: frames * passes]):
        path = sequence / f"{number:05}.jpg"
        os.link(shots / f"{shot:05}.jpg", path)
        sources.append(Source(f"{number:05}", path, WIDTH, HEIGHT, number))
    return sources


def _view(scene: str) -> Callable[[float], NDArray[np.float32]]:
    """What the camera sees at a share of its way, RGB; a generated scene where there is no such photograph."""
    path = PHOTOGRAPHS / f"{scene}.jpg"
    if not path.exists():
        still = picture(3).astype(np.float32)
        return lambda _share: still
    whole = np.asarray(Image.open(path).convert("RGB"))
    height, width = whole.shape[:2]
    wide = min(width, height * WIDTH / HEIGHT) * SHARE

    def view(share: float) -> NDArray[np.float32]:
        scale = wide * (1 + 0.01 * share) / WIDTH
        left, top = (width - WIDTH * scale) * (0.4 + 0.1 * share), (height - HEIGHT * scale) / 2
        matrix = np.array([[scale, 0, left], [0, scale, top]], np.float32)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        seen = cv2.warpAffine(whole, matrix, (WIDTH, HEIGHT), flags=flags, borderMode=cv2.BORDER_REFLECT)
        return seen.astype(np.float32)

    return view


def _likeness(video: Path, sources: list[Source], folder: Path) -> float:
    """Mean SSIM of luma over the first pass, to the same pictures reduced without loss, in the video's own colours."""
    said = subprocess.run([*FACTS, str(video)], capture_output=True, text=True, check=True).stdout.strip()
    reference = folder / "reference.y"
    with reference.open("wb") as file:
        for source in sources:
            file.write(_reduced(source.path.read_bytes(), LUMA[said]).tobytes())
    size = f"{OUTPUT[0]}x{OUTPUT[1]}"
    compare = f"[0:v]trim=end_frame={len(sources)},extractplanes=y[luma];[luma][1:v]ssim"
    raw = ("-f", "rawvideo", "-framerate", "25", "-s", size, "-pix_fmt", "gray", "-i", str(reference))
    command = ("ffmpeg", "-hide_banner", "-i", str(video), *raw, "-lavfi", compare, "-f", "null", "-")
    words = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    found = re.search(r"SSIM Y:([\d.]+)", words)
    assert found, words[-500:]
    return float(found[1])


def _reduced(jpeg: bytes, weights: tuple[float, float, float]) -> Pixels:
    """Luma of the whole picture, by Lanczos in floating point; rounded once, to the limited range of a video."""
    pixels = simplejpeg.decode_jpeg(jpeg, "RGB").astype(np.float32)
    luma = Image.fromarray(pixels @ np.array(weights, np.float32)).resize(OUTPUT, Image.Resampling.LANCZOS)
    return np.clip(np.rint(16 + np.asarray(luma) * (219 / 255)), 16, 235).astype(np.uint8)
