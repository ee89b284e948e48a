"""Photo-like scenes from a seed, and what weather and faults do to them.  Pictures are rows x columns x RGB, 0..255."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

Scene = NDArray[np.float32]

WIDTH, HEIGHT = 960, 640
GREY = np.array([0.299, 0.587, 0.114], np.float32)


@lru_cache(maxsize=32)
def scene(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Scene:
    """A sky, hills with texture, a town of houses with windows, a meadow."""
    dice = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32) / np.float32([[[height]], [[width]]])
    picture = _colour(235, 225, 210) - rows[..., None] * _colour(90, 50, 10)
    picture += _clouds(dice, width, height, 1.6)[..., None] * 14
    horizon = 0.45 + 0.08 * np.sin(columns[0] * dice.uniform(6, 14) + dice.uniform(0, 6))
    hills = rows > horizon[None, :]
    texture = _clouds(dice, width, height, 0.8)[..., None]
    picture = np.where(hills[..., None], _colour(82, 96, 70) + texture * 26, picture)
    meadow = rows > 0.78
    grass = _clouds(dice, width, height, 0.4)[..., None]
    picture = np.where(meadow[..., None], _colour(96, 112, 66) + grass * 24, picture)
    for _ in range(26):
        _house(picture, dice)
    picture = picture.clip(0, 255)
    picture.flags.writeable = False
    return picture


def live(picture: Scene, dice: np.random.Generator) -> Scene:
    """The next frame of a camera that nothing happens to: noise, exposure, a mount that sways by a few pixels."""
    down, across = dice.integers(-3, 4, 2)
    return noisy(np.roll(picture, (down, across), (0, 1)) * dice.uniform(0.88, 1.08), dice)


def noisy(picture: Scene, dice: np.random.Generator, sigma: float = 2.0) -> Scene:
    return picture + dice.normal(0, sigma, (*picture.shape[:2], 1)).astype(np.float32)


def fogged(picture: Scene, density: float) -> Scene:
    """Koschmieder's law, the distance growing towards the top."""
    through = np.exp(-density * (0.3 + _distance(picture)))
    return picture * through + 210 * (1 - through)


def snowing(picture: Scene, dice: np.random.Generator) -> Scene:
    flakes = (dice.random(picture.shape[:2]) > 0.998).astype(np.float32)
    flakes = cv2.GaussianBlur(flakes, (0, 0), 1.2)
    cover = (flakes / flakes.max())[..., None] * 0.8
    return picture * (1 - cover) + 245 * cover


def snow_covered(picture: Scene) -> Scene:
    ground = (np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]][0] > picture.shape[0] * 0.7)[..., None]
    return np.where(ground, picture * 0.3 + 165, picture)


def raining(picture: Scene, dice: np.random.Generator) -> Scene:
    drops = (dice.random(picture.shape[:2]) > 0.997).astype(np.float32)
    streaks = np.clip(cv2.filter2D(drops, -1, np.eye(15, dtype=np.float32) / 6), 0, 1)[..., None]
    return (picture * 0.8 + 30) * (1 - 0.5 * streaks) + 100 * streaks


def glared(picture: Scene) -> Scene:
    rows, columns = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]]
    width = picture.shape[1]
    return picture + 220 * np.exp(-((columns - width * 0.4) ** 2 + rows**2) / (2 * (width * 0.18) ** 2))[..., None]


def infrared(picture: Scene) -> Scene:
    return (picture @ GREY)[..., None].repeat(3, axis=2)


def sunset(picture: Scene) -> Scene:
    return picture * np.array([1.2, 0.95, 0.65], np.float32)


def blurred(picture: Scene, per_mille: float) -> Scene:
    """Out of focus: a Gaussian of so many thousandths of the width."""
    return cv2.GaussianBlur(picture, (0, 0), per_mille * picture.shape[1] / 1000)


def magenta(picture: Scene, green: float = 0.5) -> Scene:
    return picture * np.array([1.0, green, 1.0], np.float32)


def filled(picture: Scene, share: float, level: float = 128) -> Scene:
    spoilt = picture.copy()
    spoilt[round(picture.shape[0] * (1 - share)) :] = level
    return spoilt


def turned(picture: Scene, across: float, down: float = 0.0) -> Scene:
    """The camera looks so far to the side, as shares of the width; what comes in is mirrored."""
    height, width = picture.shape[:2]
    x, y = round(abs(across) * width), round(abs(down) * width)
    wide = np.pad(picture, ((y, y), (x, x), (0, 0)), mode="reflect")
    left, top = x + round(across * width), y + round(down * width)
    return wide[top : top + height, left : left + width]


def jpeg(picture: Scene, quality: int = 88, **saving: Any) -> bytes:
    """Encoded; with options of Pillow's where some are given (progressive, exif)."""
    pixels = np.ascontiguousarray(picture.clip(0, 255).astype(np.uint8))
    if not saving:
        data: bytes = simplejpeg.encode_jpeg(pixels, quality, "RGB", "420")
        return data
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality, **saving)
    return out.getvalue()


def _colour(red: float, green: float, blue: float) -> NDArray[np.float32]:
    return np.array([red, green, blue], np.float32)


def _clouds(dice: np.random.Generator, width: int, height: int, steepness: float) -> Scene:
    """Noise with a spectrum that falls as in nature: amplitude by frequency to the power of -steepness."""
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    fall = np.maximum(np.hypot(down * height / width, across), 1 / width) ** -steepness
    noise = np.fft.irfft2(np.fft.rfft2(dice.standard_normal((height, width))) * fall, (height, width))
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)


def _house(picture: Scene, dice: np.random.Generator) -> None:
    height, width = picture.shape[:2]
    wide, high = int(width * dice.uniform(0.03, 0.09)), int(height * dice.uniform(0.06, 0.2))
    left, bottom = int(dice.integers(0, width - wide)), int(height * dice.uniform(0.6, 0.8))
    walls = picture[bottom - high : bottom, left : left + wide]
    walls[:] = dice.uniform(70, 220) * dice.uniform(0.85, 1.0, 3).astype(np.float32)
    step = max(6, wide // 5)
    for top in range(step // 2, high - step // 2, step):
        for side in range(step // 2, wide - step // 2, step):
            walls[top : top + step // 2, side : side + step // 2] = dice.uniform(20, 60)


def _distance(picture: Scene) -> Scene:
    return np.linspace(1, 0, picture.shape[0], dtype=np.float32)[:, None, None]
