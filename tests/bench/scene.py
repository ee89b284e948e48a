"""A picture as heavy as a real one: smooth sky, rough ground, sensor noise; the same for the same seed."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 4056, 3040  # the 12 MP sensor of Raspberry Pi's HQ camera
QUALITY = 90


def picture(seed: int = 1, width: int = WIDTH, height: int = HEIGHT) -> npt.NDArray[np.uint8]:
    """RGB, about 2 to 3 MB as JPEG at quality 90 when it has 12 MP."""
    dice = np.random.default_rng(seed)
    coarse = dice.normal(0, 25, (height // 64, width // 64, 3)).astype(np.float32)
    fine = dice.normal(0, 12, (height // 4, width // 4, 1)).astype(np.float32)
    scene = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    ground = cv2.resize(fine, (width, height), interpolation=cv2.INTER_LINEAR)[:, :, None]
    light = np.linspace(190, 90, height, dtype=np.float32)[:, None, None]
    scene += light
    scene[height // 2 :] += ground[height // 2 :]
    scene += dice.normal(0, 1.5, (height, width, 1)).astype(np.float32)
    return np.clip(scene, 0, 255).astype(np.uint8)
