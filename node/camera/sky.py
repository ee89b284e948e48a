"""Light and weather over a synthetic scene: pure functions of seed, time and the sun's elevation."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, floor

import numpy as np

from node.camera.dice import chance
from node.camera.sensor import Floats, luminance

_ELEVATIONS = (-90.0, -18.0, -12.0, -8.0, -6.0, -4.0, -2.0, 0.0, 2.0, 5.0, 10.0, 20.0, 40.0, 90.0)
# illuminance in lux, common logarithm, at those elevations; the floor is a town's own glow
_LOG_LUX = (-0.1, -0.1, -0.08, 0.1, 0.6, 1.2, 2.0, 2.65, 3.1, 3.6, 4.05, 4.5, 4.85, 5.05)
_SKY_ELEVATIONS = (-18.0, -8.0, -4.0, 0.0, 5.0, 20.0)
_ZENITH = (
    (0.42, 0.46, 0.62),
    (0.22, 0.30, 0.62),
    (0.20, 0.30, 0.66),
    (0.24, 0.36, 0.68),
    (0.26, 0.42, 0.80),
    (0.22, 0.42, 0.90),
)
_HORIZON = (
    (0.72, 0.62, 0.50),
    (0.78, 0.56, 0.52),
    (1.55, 0.72, 0.40),
    (1.75, 0.95, 0.52),
    (1.15, 0.96, 0.74),
    (0.74, 0.86, 1.02),
)
_WARM_SUN = (
    (0.80, 0.85, 1.0),
    (0.80, 0.90, 1.1),
    (0.90, 0.90, 1.05),
    (1.10, 0.92, 0.75),
    (1.12, 0.97, 0.82),
    (1.03, 1.0, 0.94),
)
_NIGHT_FROM_DEG, _NIGHT_FULL_DEG = -2.0, -7.0
_PATCH_S = 1800.0


@dataclass(frozen=True, slots=True)
class Weather:
    """Cloud cover from..to (0..1), cloud thickness 0..1, veil per kilometre, share of precipitation, ground white."""

    cover: tuple[float, float]
    thickness: float
    veil: float
    precipitation: float = 0.0
    white_ground: float = 0.0


WEATHERS = {
    "clear": Weather((0.02, 0.25), 0.25, 0.02),
    "cloudy": Weather((0.35, 0.8), 0.55, 0.04),
    "fog": Weather((0.95, 1.0), 0.6, 2.4),
    "rain": Weather((0.9, 1.0), 0.85, 0.35, precipitation=0.012),
    "snow": Weather((0.9, 1.0), 0.5, 0.5, precipitation=0.02, white_ground=0.85),
}


@dataclass(frozen=True, slots=True)
class Light:
    """What a scene is lit by.  Colours are linear RGB luminances; `night` 0..1 is how far lamps are lit."""

    ambient: Floats
    zenith: Floats
    horizon: Floats
    cloud_bright: Floats
    cloud_dark: Floats
    cover: float
    weather: Weather
    night: float
    lux: float

    @property
    def fog(self) -> Floats:
        """The colour of the air itself."""
        return (0.55 * self.horizon + 0.45 * self.cloud_bright).astype(np.float32)


def at(elevation_deg: float, weather: str, seed: int, at_s: float) -> Light:
    """The light at one moment."""
    kind = WEATHERS[weather]
    cover = kind.cover[0] + (kind.cover[1] - kind.cover[0]) * wander(seed, at_s / _PATCH_S)
    lux = 10.0 ** float(np.interp(elevation_deg, _ELEVATIONS, _LOG_LUX))
    dimmed = lux * (1 - 0.75 * kind.thickness * cover)
    scale = dimmed / np.pi
    sky_scale = scale * 0.5
    grey = 0.9 * cover * max(kind.thickness, min(1.0, 2 * kind.veil))
    horizon = _mixed(_colour(elevation_deg, _HORIZON), grey) * sky_scale
    zenith = _mixed(_colour(elevation_deg, _ZENITH), grey) * sky_scale
    sunlit = _mixed(_colour(elevation_deg, _WARM_SUN), grey)
    lit = 0.55 * sunlit + 0.45 * horizon / np.float32(sky_scale)
    bright = (lit * np.float32(sky_scale * 1.9 * (1 - 0.45 * kind.thickness))).astype(np.float32)
    return Light(
        ambient=sunlit * np.float32(scale),
        zenith=zenith,
        horizon=horizon,
        cloud_bright=bright,
        cloud_dark=bright * np.array([0.46, 0.49, 0.54], dtype=np.float32) * np.float32(1.25 - 0.6 * kind.thickness),
        cover=cover,
        weather=kind,
        night=float(np.clip((_NIGHT_FROM_DEG - elevation_deg) / (_NIGHT_FROM_DEG - _NIGHT_FULL_DEG), 0, 1)),
        lux=dimmed,
    )


def scene_luminance(light: Light) -> float:
    """What a light meter sees: half of it sky with its clouds, half ground."""
    air = 0.5 * luminance(light.zenith) + 0.5 * luminance(light.horizon)
    clouds = 0.5 * luminance(light.cloud_bright) + 0.5 * luminance(light.cloud_dark)
    sky_part = air + (clouds - air) * light.cover * 0.8
    ground = luminance(light.ambient) * (0.16 + 0.45 * light.weather.white_ground) + 0.12 * light.night
    veiled = 1 - exp(-light.weather.veil * 0.5)
    ground += (luminance(light.fog) - ground) * veiled
    return 0.5 * sky_part + 0.5 * ground


def wander(seed: int, position: float) -> float:
    """Smooth seeded noise 0..1 over a line: the cosine between random values at whole positions."""
    left = floor(position)
    share = 0.5 - 0.5 * float(np.cos(np.pi * (position - left)))
    return chance(seed, left) * (1 - share) + chance(seed, left + 1) * share


def _colour(elevation_deg: float, table: tuple[tuple[float, float, float], ...]) -> Floats:
    channels = zip(*table, strict=True)
    return np.array([np.interp(elevation_deg, _SKY_ELEVATIONS, values) for values in channels], dtype=np.float32)


def _mixed(colour: Floats, grey: float) -> Floats:
    """A colour on its way to the grey of the same luminance."""
    return (colour + (luminance(colour) - colour) * np.float32(grey)).astype(np.float32)
