"""The score that a camera's pictures usually have, by profile and light."""

from __future__ import annotations

import math

from node.clock import US
from node.imaging.baseline import LIGHTS, UNKNOWN_LIGHT
from node.store.frames import FrameReader, Sky

FEWEST = 10
BACK_US = 3 * 86400 * US


class Usual:
    """Read from kept frames, the newest before an instant; asked again for the same, it answers at once."""

    def __init__(self, frames: FrameReader) -> None:
        self._frames = frames
        self._known: dict[tuple[str, str, str, int], float | None] = {}

    def score(self, camera: str, profile: str, light: str, before_us: int) -> float | None:
        """The mean of the three days before; None where fewer than ten pictures are of that light.

        Raises DatabaseBusy, DatabaseDamaged.
        """
        key = (camera, profile, light, before_us)
        if key not in self._known:
            self._known = {each: found for each, found in self._known.items() if each[3] == before_us}
            span = (before_us - BACK_US, before_us)
            self._known[key] = self._frames.mean_score(camera, profile, sky_of(light), span, least=FEWEST)
        return self._known[key]


def sky_of(light: str) -> Sky | None:
    """The sun's elevations of a band of light, from and below; None where its place is not known."""
    if light == UNKNOWN_LIGHT:
        return None
    names = [name for _, name in LIGHTS]
    place = names.index(light)
    return LIGHTS[place][0], math.inf if place == 0 else LIGHTS[place - 1][0]
