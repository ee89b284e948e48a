"""One 12 MP frame from the sensor's pixels to the committed row, ours beside the way that peers go."""

from __future__ import annotations

import hashlib
import io
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from node.camera.base import ExposurePlan, Shot
from node.clock import SystemClock
from node.domain.config import Quality
from node.domain.frame import Exposure, StageTimes
from node.imaging import thumbnail
from node.imaging.decode import check
from node.journal import Journal
from node.store.database import NAME, Database
from node.store.files import hold
from node.work.judge import Judge
from node.work.keeping import Keeper, Taken
from node.work.live import Compiler
from tests.bench.figure import Figure, cpu_ms, pairwise, percentile
from tests.bench.scene import HEIGHT, QUALITY, WIDTH, picture

SMALL_WIDTH = 400
CAMERA, PROFILE = "main", "auto"
Pixels = npt.NDArray[np.uint8]


def figures(rounds: int) -> Iterator[Figure]:
    pixels = [picture(seed) for seed in range(3)]
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder:
        ours, peer = Ours(Path(folder) / "ours"), Peer(Path(folder) / "peer")
        turns = [iter(pixels * rounds), iter(pixels * rounds)]
        ours.frame(pixels[0])
        peer.frame(pixels[0])
        mine, theirs = pairwise(lambda: ours.frame(next(turns[0])), lambda: peer.frame(next(turns[1])), rounds)
        ours.close()
        peer.close()
    jpeg = encoded(pixels[0])
    note = f"{len(jpeg) / 1e6:.1f} MB JPEG; Pillow + full decodes + sqlite3 is the peers' way"
    yield Figure("12 MP frame, pixels to committed", "CPU ms", mine, theirs, 3.0, of_ratio=True, note=note)
    yield Figure("12 MP frame, pixels to committed", "CPU ms", mine, limit=65.0)
    mine, theirs = pairwise(lambda: check(jpeg), lambda: _two_decodes(jpeg), rounds)
    yield Figure("check of a stored 12 MP JPEG", "CPU ms", mine, theirs, 20.0, note="Pillow verify + full decode")
    judging = [cpu_ms(lambda: Judge(None, CAMERA).assess(jpeg, PROFILE, 30.0, Quality())) for _ in range(rounds)]
    yield Figure("judge one 12 MP JPEG", "CPU ms", percentile(judging, 0.5))


def encoded(pixels: Pixels) -> bytes:
    """As the camera's worker encodes it."""
    jpeg: bytes = simplejpeg.encode_jpeg(pixels, quality=QUALITY, colorspace="RGB", colorsubsampling="420")
    return jpeg


class Ours:
    """The node's own parts, in the order of its capture loop."""

    def __init__(self, data: Path) -> None:
        data.mkdir()
        self._stack = ExitStack()
        held = self._stack.enter_context(hold(data))
        self._clock = SystemClock()
        self._database = Database(data / NAME)
        journal = Journal(self._database, self._clock)
        self._judge = Judge(data / "baseline", CAMERA)
        self._keeper = Keeper("bench", CAMERA, held, self._clock, journal)
        self._segment = Compiler("bench", (CAMERA,)).compile(0, 1, {})

    def frame(self, pixels: Pixels) -> None:
        began_us = self._clock.now_us()
        jpeg = encoded(pixels)
        assessed = self._judge.assess(jpeg, PROFILE, 30.0, Quality())
        shot = Shot(
            jpeg=jpeg,
            width=WIDTH,
            height=HEIGHT,
            captured_us=began_us,
            requested=Exposure(),
            actual=Exposure(0.01, 1.0),
            settled=True,
            frames_used=1,
            backend="bench",
        )
        stages = StageTimes(0, began_us, began_us, began_us, self._clock.now_us())
        taken = Taken(
            id=self._clock.new_id(),
            shot=shot,
            assessed=assessed,
            profile=PROFILE,
            plan=ExposurePlan(),
            quality=Quality(),
            segment=self._segment,
            due=None,
            stages=stages,
            sun_elevation_deg=30.0,
        )
        self._keeper.keep(taken)
        self._judge.learn(assessed)
        assert assessed.pixels is not None
        thumbnail.shrink(assessed.pixels, assessed.width, assessed.height, SMALL_WIDTH)

    def close(self) -> None:
        self._database.close()
        self._stack.close()


class Peer:
    """What timelapse programs do: Pillow encodes, each step decodes the whole picture again."""

    def __init__(self, data: Path) -> None:
        data.mkdir()
        self._data = data
        self._rows = sqlite3.connect(data / "frames.db", isolation_level=None)
        self._rows.execute("PRAGMA journal_mode=WAL")
        self._rows.execute("PRAGMA synchronous=FULL")
        self._rows.execute("CREATE TABLE frames (id INTEGER PRIMARY KEY, path, sha256, mean, sharpness, shares)")
        self._number = 0

    def frame(self, pixels: Pixels) -> None:
        self._number += 1
        path = self._data / f"{self._number:06}.jpg"
        Image.fromarray(pixels).save(path, "JPEG", quality=QUALITY)
        with path.open("rb") as written:
            os.fsync(written.fileno())
        with Image.open(path) as whole:
            whole.thumbnail((SMALL_WIDTH, SMALL_WIDTH), Image.Resampling.LANCZOS)
            whole.save(path.with_suffix(".small.jpg"), "JPEG")
        grey = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2GRAY)
        sharpness = cv2.Laplacian(grey, cv2.CV_64F).var()
        shares = cv2.calcHist([grey], [0], None, [256], [0, 256]).tobytes()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        row = (str(path), digest, float(grey.mean()), float(sharpness), shares)
        self._rows.execute("INSERT INTO frames (path, sha256, mean, sharpness, shares) VALUES (?, ?, ?, ?, ?)", row)

    def close(self) -> None:
        self._rows.close()


def _two_decodes(jpeg: bytes) -> None:
    """A peer's two tiers: Pillow's verify, then the whole picture."""
    with Image.open(io.BytesIO(jpeg)) as quick:
        quick.verify()
    with Image.open(io.BytesIO(jpeg)) as whole:
        whole.load()
        np.asarray(whole.convert("L")).std()
