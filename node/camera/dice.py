"""Seeded random numbers without numpy's generator, whose import costs a worker six megabytes."""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
_MIXERS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST_SHIFT = 31
_FRACTION_BITS = 24


def scramble(number: int) -> int:
    """64 well mixed bits (splitmix64: Steele, Lea, Flood, Fast splittable pseudorandom number generators, 2014)."""
    mixed = (number + _STEP) & _MASK
    for shift, factor in _MIXERS:
        mixed = ((mixed ^ mixed >> shift) * factor) & _MASK
    return mixed ^ mixed >> _LAST_SHIFT


def chance(seed: int, number: int) -> float:
    """A random value 0..1 of two integers: no state, so that any moment can be asked for."""
    return scramble(seed * _STEP + number) / 2**64


class Dice:
    """A sequence of random numbers from a seed: splitmix64, many at once."""

    def __init__(self, seed: int) -> None:
        self._state = scramble(seed)

    def shares(self, *shape: int) -> npt.NDArray[np.float32]:
        """Uniform in 0..1, 1 not included."""
        count = prod(shape)
        bits = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_STEP) + np.uint64(self._state)
        self._state = (self._state + count * _STEP) & _MASK
        for shift, factor in _MIXERS:
            bits = (bits ^ bits >> np.uint64(shift)) * np.uint64(factor)
        bits ^= bits >> np.uint64(_LAST_SHIFT)
        fraction = (bits >> np.uint64(64 - _FRACTION_BITS)).astype(np.float32)
        return (fraction * np.float32(2.0**-_FRACTION_BITS)).reshape(shape)

    def share(self) -> float:
        return float(self.shares(1)[0])

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.share()

    def whole(self, below: int) -> int:
        """A whole number from 0, `below` not included."""
        return int(self.share() * below)

    def wholes(self, below: int, *shape: int) -> npt.NDArray[np.intp]:
        return (self.shares(*shape) * below).astype(np.intp)

    def normals(self, *shape: int) -> npt.NDArray[np.float32]:
        """Mean 0, standard deviation 1 (Box and Muller's method)."""
        radius = np.sqrt(-2 * np.log(1 - self.shares(*shape)))
        normals: npt.NDArray[np.float32] = radius * np.cos(2 * np.pi * self.shares(*shape))
        return normals
