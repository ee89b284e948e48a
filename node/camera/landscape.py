"""The fixed foreground of a synthetic scene, drawn as palette numbers: hills, grass, a road, houses, trees, lamps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from node.camera.dice import Dice
from node.camera.palette import (
    BRICK,
    CONCRETE,
    FAR,
    GRASS,
    HORIZON_SHARE,
    LAMP,
    LEAVES,
    NEAR,
    RENDER,
    ROAD,
    ROOF,
    TRUNK,
    WINDOW,
    WINDOW_GROUPS,
    Detail,
    Indices,
    noise,
    sky_colours,
)

Field = npt.NDArray[np.floating]

_WALLS = (BRICK, RENDER, CONCRETE)
_BUILT_UP = 0.8
_TREES = 5
_LAMPS = ((0.12, 0.20), (0.34, 0.16), (0.83, 0.22))
"""Place across the picture and height, as shares of its size."""


class Landscape:
    """Draws into `numbers` (rows x columns; -1 where sky shows), back to front, all from one generator."""

    def __init__(self, width: int, height: int, detail: Detail, dice: Dice) -> None:
        self.numbers: Indices = np.full((height, width), -1, dtype=np.intp)
        self._width, self._height = width, height
        self._detail, self._dice = detail, dice
        self._texture = noise(height, width, 40, dice, octaves=6)
        self._fine = dice.shares(height, width)
        self._rows, self._columns = np.arange(height)[:, None], np.arange(width)[None, :]
        horizon = HORIZON_SHARE * height
        self._foot = int(horizon + 0.03 * height)
        self._hills(FAR, horizon - 0.01 * height, 0.10, self._texture * 0.5 + 0.25)
        self._hills(NEAR, horizon + 0.02 * height, 0.05, self._texture * 0.6 + 0.2 + 0.15 * self._fine)
        self._fill(GRASS, 0.25 + 0.5 * self._texture + 0.25 * self._fine, self._rows + 0 * self._columns >= self._foot)
        self._road()
        self._houses()
        self._trees()
        self._lamps()

    def _number(self, material: int, shade: Field | float) -> Indices:
        step = np.clip(np.asarray(shade) * self._detail.shades, 0, self._detail.shades - 1).astype(np.intp)
        number: Indices = sky_colours(self._detail) + material * self._detail.shades + step
        return number

    def _fill(self, material: int, shade: Field, where: npt.NDArray[np.bool_]) -> None:
        self.numbers[where] = self._number(material, shade[where])

    def _patch(self, material: int, shade: Field | float, box: tuple[int, int, int, int]) -> None:
        """A rectangle of left, top, right, bottom; parts outside of the picture are left out."""
        left, top, right, bottom = (max(0, edge) for edge in box)
        part = shade[top:bottom, left:right] if isinstance(shade, np.ndarray) else shade
        self.numbers[top:bottom, left:right] = self._number(material, part)

    def _hills(self, material: int, base: float, rise: float, shade: Field) -> None:
        lumps = int(0.3 / rise)
        ridge = base - rise * self._height * noise(2, self._width, lumps, self._dice, octaves=6)[0]
        self._fill(material, shade, self._rows >= ridge[None, :])

    def _road(self) -> None:
        depth = np.clip((self._rows - self._foot) / max(1, self._height - self._foot), 0, 1)
        away = np.abs(self._columns - self._width * (0.62 - 0.25 * depth))
        half = self._width * (0.01 + 0.2 * depth**1.4)
        where = (away < half) & (self._rows >= self._foot)
        self._fill(ROAD, self._texture * 0.3 + 0.35 + self._fine * 0.15, where)
        dashes = (away < half * 0.035) & (np.sin(30 * depth**0.5) > 0) & where
        self.numbers[dashes] = self._number(RENDER, 0.95)

    def _houses(self) -> None:
        left = int(self._width * 0.02)
        while left < self._width * 0.97:
            wide = int(self._width * self._dice.between(0.07, 0.14))
            if self._dice.share() < _BUILT_UP:
                self._house(left, wide)
            left += wide + int(self._width * self._dice.between(0.0, 0.04))

    def _house(self, left: int, wide: int) -> None:
        foot = self._foot + int(self._height * self._dice.between(0.0, 0.03))
        top = max(0, foot - int(self._height * self._dice.between(0.10, 0.34)))
        right = min(self._width, left + wide)
        courses = 0.08 * ((self._rows // max(1, self._height // 180)) % 2)
        shade = self._dice.between(0.35, 0.7) + courses + 0.15 * (self._fine - 0.5)
        self._patch(_WALLS[self._dice.whole(len(_WALLS))], shade, (left, top, right, foot))
        self._roof(left, right, top)
        self._windows((left, top, right, foot))

    def _roof(self, left: int, right: int, top: int) -> None:
        rise = max(1, int(0.04 * self._height))
        for row in range(min(rise, top)):
            inset = int((right - left) * 0.25 * row / rise)
            self._patch(ROOF, 0.35 + 0.4 * self._fine, (left + inset, top - row - 1, right - inset, top - row))

    def _windows(self, house: tuple[int, int, int, int]) -> None:
        left, top, right, foot = house
        storey, pane = max(6, int(0.05 * self._height)), max(2, int(0.022 * self._height))
        tall = int(pane * 1.4)
        for y in range(top + storey // 3, foot - pane, storey):
            for x in range(left + pane, right - pane, int(pane * 2.1)):
                group = self._dice.whole(WINDOW_GROUPS)
                self._patch(WINDOW + group, self._dice.between(0.3, 1.0), (x, y, x + pane, y + tall))
                self._patch(RENDER, 0.9, (x, y + tall, x + pane, y + tall + 1))

    def _trees(self) -> None:
        for _ in range(_TREES):
            x = self._width * self._dice.between(0.02, 0.98)
            ground = self._foot + self._height * self._dice.between(0.02, 0.10)
            radius = self._height * self._dice.between(0.05, 0.10)
            crown = ground - radius * 1.9
            trunk = (np.abs(self._columns - x) < radius * 0.09) & (self._rows > crown) & (self._rows < ground)
            self.numbers[trunk] = self._number(TRUNK, 0.5)
            distance2 = (self._columns - x) ** 2 + ((self._rows - crown) * 0.85) ** 2
            lit = np.clip((crown - self._rows + (self._columns - x) * 0.4) / radius, -1, 1)
            shade = 0.45 + 0.35 * lit + 0.5 * (self._fine - 0.5)
            self._fill(LEAVES, shade, distance2 < (radius * (0.75 + 0.5 * self._texture)) ** 2)

    def _lamps(self) -> None:
        foot, size = int(self._foot + 0.08 * self._height), max(1, int(0.008 * self._height))
        for share, tall in _LAMPS:
            x, top = int(self._width * share), int(foot - tall * self._height)
            self._patch(CONCRETE, 0.25, (x, top, x + max(1, size // 3), foot))
            self._patch(LAMP, 1.0, (x - size, top - size, x + size, top))
