"""What is measured in one picture: scalars for the rules, and small maps for the baseline."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.domain.quality import Measures
from node.imaging.decode import Checked, Pixels

Map = NDArray[np.float32]

MAP_ROWS, MAP_COLUMNS = 48, 64
BLOCK = 4  # pixels a side: the coarse scale
CLIPPED = 250.0  # of 255: JPEG rings around white, so it does not stay at 255
FLAT_LEVELS = 2  # that rows of one colour may differ by, after JPEG's rounding
FILL_FROM_ROWS = 2  # the row in which the damage began is mixed
SAMPLE_BYTES = 4096
MOST_MAGENTA = 0.9  # a magenta cast shows in what is grey by nature, also where most of a picture is green
SAMPLED = 8  # each so many rows and columns: some thousand pixels settle a colour
DARK = 12.0  # of 255, the mean below which colour is the sensor's noise

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as JPEG has it


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture measured.  The maps are 48 x 64 blocks of the whole picture, whatever its size.

    `detail` is the energy of the finest contrast (squared Laplacian, levels of 0..255), `edges` that of the contrast
    between 4 x 4 blocks (squared gradient), `light` the luminance (0..255).  `fingerprint` is equal only for pictures
    without any change.
    """

    width: int
    height: int
    measures: Measures
    detail: Map
    edges: Map
    light: Map
    fingerprint: bytes


def measure(data: bytes, checked: Checked, luma: bytes = b"") -> Picture:
    """Measure an intact picture.  `luma` is the sensor's own small plane, where the camera has one."""
    pixels = checked.pixels
    if pixels is None:
        message = f"a picture that is {checked.integrity} cannot be measured"
        raise ValueError(message)
    grey: Map = pixels.astype(np.float32) @ _LUMA
    coarse = _coarse(grey)
    return Picture(
        checked.width,
        checked.height,
        _scalars(pixels, grey, coarse),
        detail=_map(_coarse(_laplacian_energy(grey))),
        edges=_map(_gradient_energy(coarse)),
        light=_map(coarse),
        fingerprint=_fingerprint(data, checked.scan_start, coarse, luma),
    )


def _scalars(pixels: Pixels, grey: Map, coarse: Map) -> Measures:
    tint, warmth = _colour(pixels[::SAMPLED, ::SAMPLED].reshape(-1, 3).astype(np.float32))
    filled, fill_light = _filled(pixels)
    return Measures(
        mean=float(grey.mean()) / 255,
        clipped=float(np.count_nonzero(grey >= CLIPPED)) / grey.size,
        contrast=float(coarse.std()) / 255,
        tint=tint,
        warmth=warmth,
        filled=filled,
        fill_light=fill_light,
    )


def _colour(samples: Map) -> tuple[float, float]:
    """Tint and warmth of samples x RGB; (0, 0) where all of it is dark."""
    brightness = samples.mean(axis=1)
    mean = float(brightness.mean())
    if mean < DARK:
        return 0.0, 0.0
    # against the picture's own brightness, so that dusk does not change what is looked at
    lit = brightness >= mean / 2
    red, green, blue = samples[lit].T
    tints = ((red + blue) / 2 - green) / brightness[lit]
    place = int(MOST_MAGENTA * (len(tints) - 1))
    return float(np.partition(tints, place)[place]), float(((red - blue) / brightness[lit]).mean())


def _filled(pixels: Pixels) -> tuple[float, float]:
    """Share of rows at the end that repeat one flat colour, and that colour's luminance (0..1)."""
    last = pixels[-1, -1].astype(np.int16)
    rows, height = 0, pixels.shape[0]
    # backwards by blocks: a whole picture ends this after one row
    while rows < height:
        row = pixels[height - rows - 1].astype(np.int16)
        if int(np.abs(row - last).max()) > FLAT_LEVELS:
            break
        rows += 1
    share = rows / height if rows >= FILL_FROM_ROWS else 0.0
    return share, float(last @ _LUMA) / 255


def _coarse(grey: Map) -> Map:
    """Means of 4 x 4 pixels; what is left over at the edges is dropped."""
    rows, columns = grey.shape[0] // BLOCK * BLOCK, grey.shape[1] // BLOCK * BLOCK
    # sums of slices: several times faster than a reshape with a mean over two axes
    by_rows = sum((grey[first:rows:BLOCK] for first in range(1, BLOCK)), start=grey[:rows:BLOCK])
    blocks: Map = sum((by_rows[:, first:columns:BLOCK] for first in range(1, BLOCK)), start=by_rows[:, :columns:BLOCK])
    return blocks * np.float32(1 / BLOCK**2)


def _gradient_energy(grey: Map) -> Map:
    across, down = np.diff(grey, axis=1)[:-1], np.diff(grey, axis=0)[:, :-1]
    energy: Map = across * across + down * down
    return energy


def _laplacian_energy(grey: Map) -> Map:
    """Of every second row: half the work, and as many rows as a map needs."""
    middle = grey[1:-1:2]
    laplacian: Map = 4 * middle[:, 1:-1]
    for neighbour in (grey[:-2:2, 1:-1], grey[2::2, 1:-1], middle[:, :-2], middle[:, 2:]):
        laplacian -= neighbour
    laplacian *= laplacian
    return laplacian


def _map(values: Map) -> Map:
    """Means over 48 x 64 blocks that cover all of `values`; in a picture with fewer pixels, some share one."""
    rows, row_sizes = _edges(values.shape[0], MAP_ROWS)
    columns, column_sizes = _edges(values.shape[1], MAP_COLUMNS)
    sums = np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
    means: Map = (sums / np.outer(row_sizes, column_sizes)).astype(np.float32)
    return means


def _edges(length: int, parts: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    bounds = np.arange(parts + 1) * length // parts
    # reduceat gives the single element where a part is empty
    return bounds[:-1], np.maximum(np.diff(bounds), 1)


def _fingerprint(data: bytes, scan_start: int, coarse: Map, luma: bytes) -> bytes:
    """Of compressed data, not of small pixels: those of a dark night are alike though the sensor's noise differs.

    Samples suffice, since entropy coding carries any change on to all that follows.  Headers are left out: some
    cameras write the time there.
    """
    found: Any = hashlib.blake2b(digest_size=16)
    end = data.rfind(b"\xff\xd9")
    found.update(f"{end - scan_start}".encode())
    for start in (scan_start, (scan_start + end - SAMPLE_BYTES) // 2, end - SAMPLE_BYTES):
        found.update(data[max(start, scan_start) : max(start, scan_start) + SAMPLE_BYTES])
    found.update(coarse.tobytes())
    found.update(luma)
    digest: bytes = found.digest()
    return digest
