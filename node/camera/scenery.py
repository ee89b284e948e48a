"""The fixed part of a synthetic scene, as maps of palette numbers: sky rows, clouds, hills, houses, trees, grain.

A picture is one look-up of every pixel's number in a palette of colours, so that light, weather, exposure and noise
are computed for some thousand colours and not for a million pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from node.camera.dice import Dice
from node.camera.landscape import Landscape
from node.camera.palette import COARSE, FINE, HORIZON_SHARE, SMALL_PIXELS, Detail, Indices, noise
from node.camera.sensor import Floats

Bytes = npt.NDArray[np.uint8]

QUANTILES = 65
CLOUD_SUMS = 511
EPSILON = 1e-9
WIDEST_MAP = 1440
_FLAKE_PART, _FLAKE_SPACE = 240, 260


@dataclass(frozen=True, slots=True)
class Scenery:
    """Maps of one size and seed.  Rows run down; numbers are those of the palette, times the count of grain colours.

    `ground` covers the picture (1 / `enlarge` of it in each direction), `open_sky` and `bands` the rows that hold sky.
    `clouds` are two tiles of 0..255, repeating over twice the width; `cloud_quantiles` is the spread of their sum.
    `grain` is twice as wide as the picture.
    """

    width: int
    height: int
    enlarge: int
    detail: Detail
    bands: Indices
    clouds: tuple[Bytes, Bytes]
    cloud_quantiles: Floats
    ground: npt.NDArray[np.int32]
    open_sky: npt.NDArray[np.bool_]
    grain: Bytes
    grain_colours: Floats
    stars: Floats


def build(width: int, height: int, seed: int, *, precipitation: bool) -> Scenery:
    """The scenery of a seed at a size in pixels; with flakes or drops in its grain where they fall."""
    dice = Dice(seed)
    detail = COARSE if width * height <= SMALL_PIXELS else FINE
    enlarge = -(-width // WIDEST_MAP)
    across, down = -(-width // enlarge), -(-height // enlarge)
    ground = Landscape(across, down, detail, Dice(seed + 1)).numbers
    sky_rows = int(np.flatnonzero((ground < 0).any(axis=1)).max(initial=0)) + 1
    depth = np.arange(sky_rows) / max(1.0, HORIZON_SHARE * down)
    bands = np.minimum(depth * detail.bands, detail.bands - 1).astype(np.intp)
    clouds = (_clouds(across, sky_rows, dice, 1.0), _clouds(across, sky_rows, dice, 1.7))
    tile = dice.wholes(detail.grains - 1, down, 2 * across).astype(np.uint8)
    grain = np.tile(tile, (enlarge, enlarge))[:height, : 2 * width]
    if precipitation:
        _let_fall(grain, detail.grains - 1, dice)
    return Scenery(
        width=width,
        height=height,
        enlarge=enlarge,
        detail=detail,
        bands=(bands * detail.densities * detail.grains)[:, None],
        clouds=clouds,
        cloud_quantiles=_quantiles(clouds),
        ground=(ground * detail.grains).astype(np.int32),
        open_sky=ground[:sky_rows] < 0,
        grain=grain,
        grain_colours=_grain_colours(detail.grains, dice),
        stars=_stars(dice),
    )


def _quantiles(clouds: tuple[Bytes, Bytes]) -> Floats:
    both = clouds[0].astype(np.uint16) + clouds[1]
    below = np.cumsum(np.bincount(both.ravel(), minlength=CLOUD_SUMS)) / both.size
    return np.searchsorted(below, np.linspace(0, 1, QUANTILES) - EPSILON).astype(np.float32)


def _clouds(width: int, rows: int, dice: Dice, scale: float) -> Bytes:
    """One layer: lumps that get flatter and smaller towards the horizon, as a flat layer of clouds looks."""
    flat = noise(rows, 2 * width, 7 * scale, dice, octaves=6)
    nearness = np.linspace(1.0, 0.0, rows) ** 0.6
    source = ((1 - nearness) * (rows - 1)).astype(int)
    tile = (flat[source] * 255).astype(np.uint8)
    return np.concatenate([tile, tile[:, :width]], axis=1)


def _let_fall(grain: Bytes, flake: int, dice: Dice) -> None:
    """Sets patches a few pixels high to the last grain colour."""
    height, width = grain.shape
    size = max(1, height // _FLAKE_PART)
    count = height * width // (size * size * _FLAKE_SPACE)
    rows, columns = dice.wholes(height - size, count), dice.wholes(width - size, count)
    for down in range(size):
        for right in range(max(1, size // 2)):
            grain[rows + down, columns + right] = flake


def _grain_colours(grains: int, dice: Dice) -> Floats:
    """Noise in standard deviations: mostly of brightness, a little of colour; mean 0; the last one is the flake's."""
    values = dice.normals(grains, 1) * 0.85 + dice.normals(grains, 3) * 0.5
    values[:-1] -= values[:-1].mean(axis=0)
    values[:-1] /= max(1e-9, float(values[:-1].std()))
    values[-1] = 0
    return values.astype(np.float32)


def _stars(dice: Dice) -> Floats:
    """Angle and distance about the celestial pole in turns and picture widths, and brightness 0..1."""
    count = 900
    return np.stack([dice.shares(count), np.sqrt(dice.shares(count)) * 1.3, dice.shares(count) ** 3], axis=1).astype(
        np.float32
    )
