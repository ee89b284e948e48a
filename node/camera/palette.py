"""The colours that a synthetic picture has numbers for: what things are made of, how finely sky and shade divide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from node.camera.dice import Dice

Indices = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float32]

HORIZON_SHARE = 0.60
WINDOW_GROUPS = 6


@dataclass(frozen=True, slots=True)
class Material:
    """Linear albedo, distance in kilometres (for veils), how it glows at night, and whether snow lies on it."""

    albedo: tuple[float, float, float]
    distance_km: float
    glow: tuple[float, float, float] = (0.0, 0.0, 0.0)
    holds_snow: float = 0.0


MATERIALS = (
    Material((0.13, 0.17, 0.14), 9.0, holds_snow=0.7),  # far hills
    Material((0.08, 0.12, 0.05), 3.0, holds_snow=0.5),  # near hills
    Material((0.10, 0.14, 0.045), 0.25, holds_snow=1.0),  # grass
    Material((0.14, 0.135, 0.13), 0.15, holds_snow=0.6),  # road
    Material((0.34, 0.20, 0.14), 0.7),  # brick
    Material((0.42, 0.39, 0.33), 0.8),  # render
    Material((0.26, 0.27, 0.29), 0.9),  # concrete
    Material((0.17, 0.07, 0.05), 0.75, holds_snow=0.95),  # roof
    Material((0.045, 0.075, 0.025), 0.4, holds_snow=0.35),  # leaves
    Material((0.07, 0.05, 0.04), 0.4),  # trunk
    Material((0.05, 0.06, 0.07), 0.1, glow=(34.0, 24.0, 11.0)),  # street lamp
    *(Material((0.055, 0.065, 0.08), 0.8, glow=(2.6, 1.7, 0.75)) for _ in range(WINDOW_GROUPS)),  # windows
)
FAR, NEAR, GRASS, ROAD, BRICK, RENDER, CONCRETE, ROOF, LEAVES, TRUNK, LAMP, WINDOW = range(12)


@dataclass(frozen=True, slots=True)
class Detail:
    """How finely colours are divided: fewer for small pictures, whose cost is the palette."""

    bands: int
    densities: int
    shades: int
    grains: int


SMALL_PIXELS = 100_000
COARSE, FINE = Detail(24, 8, 12, 6), Detail(96, 32, 32, 16)
STAR_LEVELS = 8


def sky_colours(detail: Detail) -> int:
    """How many palette numbers the sky takes; the ground's follow, then the stars'."""
    return detail.bands * detail.densities


def noise(height: int, width: int, cells: float, dice: Dice, octaves: int = 5) -> Floats:
    """Fractal noise 0..1 that repeats along the width; `cells` is the number of lumps over the width."""
    total = np.zeros((height, width), dtype=np.float32)
    weight = 1.0
    for octave in range(octaves):
        across = max(2, int(cells * 2**octave))
        down = max(2, int(np.ceil(across * height / width)) + 1)
        if across > width:
            break
        total += weight * _stretched(dice.shares(down, across), height, width)
        weight *= 0.52
    even: Floats = (total - total.min()) / max(1e-9, float(np.ptp(total)))
    return even


def _stretched(grid: Floats, height: int, width: int) -> Floats:
    """A small grid enlarged with soft edges, repeating along the width."""
    down, across = grid.shape
    y = np.linspace(0, down - 1.001, height, dtype=np.float32)
    x = np.arange(width, dtype=np.float32) * np.float32(across / width)
    top, left = y.astype(np.intp), x.astype(np.intp)
    fy, fx = _soft(y - top)[:, None], _soft(x - left)[None, :]
    # down first, while there are still few columns
    rows = grid[top] + (grid[top + 1] - grid[top]) * fy
    start = rows.take(left, axis=1)
    stretched: Floats = start + (rows.take((left + 1) % across, axis=1) - start) * fx
    return stretched


def _soft(share: Floats) -> Floats:
    return share * share * (3 - 2 * share)
