"""Small pictures for lists and grids."""

from __future__ import annotations

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from node.domain.errors import PictureUnreadable
from node.imaging.decode import Pixels, check, decode_small

QUALITY = 70


def small(jpeg: bytes, max_width: int) -> bytes:
    """A JPEG at most `max_width` pixels wide, never wider than the original, of the same shape.

    Raises PictureUnreadable where the original is not intact.
    """
    checked = check(jpeg)
    if checked.pixels is None:
        raise PictureUnreadable(checked.integrity.value)
    wanted = min(max_width, checked.width)
    pixels = checked.pixels
    if pixels.shape[1] < wanted:
        eighths = min(8, -(-8 * wanted // checked.width))
        pixels = decode_small(jpeg, checked.width, checked.height, eighths)
    return shrink(pixels, checked.width, checked.height, max_width)


def shrink(pixels: Pixels, width: int, height: int, max_width: int) -> bytes:
    """As `small`, from pixels that were decoded already; `width` and `height` are the original's."""
    columns = max(1, min(max_width, width, pixels.shape[1]))
    rows = max(1, min(pixels.shape[0], round(columns * height / width)))
    shrunk = _area(_area(pixels, rows), columns, axis=1)
    data: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(shrunk.astype(np.uint8)), QUALITY, "RGB", "420")
    return data


def _area(values: NDArray[np.generic], parts: int, axis: int = 0) -> NDArray[np.float32]:
    """Means over `parts` equal parts along an axis, exact also where they cut through an element."""
    length = values.shape[axis]
    if parts == length:
        return values.astype(np.float32)
    moved = np.moveaxis(values, axis, 0)
    sums = np.zeros((length + 1, *moved.shape[1:]), np.float64)
    np.cumsum(moved, axis=0, out=sums[1:])
    bounds = np.arange(parts + 1) * (length / parts)
    whole = np.minimum(bounds.astype(np.intp), length - 1)
    inside = (bounds - whole).reshape(-1, *[1] * (moved.ndim - 1))
    at_bounds = sums[whole] + (sums[whole + 1] - sums[whole]) * inside
    means: NDArray[np.float32] = (np.diff(at_bounds, axis=0) * (parts / length)).astype(np.float32)
    return np.moveaxis(means, 0, axis)
