"""Paints a synthetic picture: the palette of a moment, looked up for every pixel's number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import floor

import numpy as np
import numpy.typing as npt

from node.camera.dice import chance, scramble
from node.camera.palette import MATERIALS, STAR_LEVELS, WINDOW, WINDOW_GROUPS, Detail, Indices, sky_colours
from node.camera.scenery import CLOUD_SUMS, QUANTILES, Scenery
from node.camera.sensor import Floats, Pixels, Setting, develop, white_balance
from node.camera.sky import Light

_CLOUD_SPEEDS = (1 / 2600, 1 / 1500)
"""Picture widths a second."""
_CLOUD_SOFTNESS = 90.0
_TURN_S = 86164.0
_STARS_FROM_NIGHT = 0.6
_LIT_SHARE, _WINDOW_S = 0.6, 1800.0
_SNOW_ALBEDO = 0.8
_STRIPE_PIXELS = 65536
_ALBEDO = np.array([material.albedo for material in MATERIALS], dtype=np.float32)
_GLOW = np.array([material.glow for material in MATERIALS], dtype=np.float32)
_HOLDS_SNOW = np.array([[material.holds_snow] for material in MATERIALS], dtype=np.float32)
_DISTANCE_KM = np.array([[material.distance_km] for material in MATERIALS], dtype=np.float32)
_FLAKE_WEIGHT = {True: 0.75, False: 0.22}
_LUMA_WEIGHTS = (77, 150, 29)


def paint(scenery: Scenery, light: Light, setting: Setting, seed: int, at_s: float) -> Pixels:
    """Rows × columns × 4 (red, green, blue, padding), 8 bits each."""
    colours = _palette(scenery, light, setting, seed, at_s)
    moment = _Moment(
        words=colours.view(np.uint32).ravel(),
        clouds=_cloud_numbers(scenery, light.cover),
        drift=tuple(int(at_s * speed * scenery.ground.shape[1]) for speed in _CLOUD_SPEEDS),
        grain=scramble(seed ^ round(at_s * 1000)) % scenery.width,
    )
    out = np.empty((scenery.height, scenery.width), dtype=np.uint32)
    step = max(1, _STRIPE_PIXELS // (scenery.width * scenery.enlarge))
    for top in range(0, scenery.ground.shape[0], step):
        _paint_stripe(out, scenery, moment, slice(top, top + step))
    if light.night > _STARS_FROM_NIGHT:
        _strew(out, scenery, light, moment, at_s)
    return out.view(np.uint8).reshape(scenery.height, scenery.width, 4)


@dataclass(frozen=True, slots=True)
class _Moment:
    """What a picture looks its pixels up in: colours by number, numbers by clouds, places of clouds and grain."""

    words: npt.NDArray[np.uint32]
    clouds: Indices
    drift: tuple[int, ...]
    grain: int


def _palette(scenery: Scenery, light: Light, setting: Setting, seed: int, at_s: float) -> Pixels:
    detail = scenery.detail
    radiance = np.concatenate([_sky(light, detail), _ground(light, detail, seed, at_s), _stars(light)])
    balance = white_balance(light.ambient / max(1e-9, float(light.ambient[1])), at_s)
    colours = develop(radiance, setting, balance, scenery.grain_colours)
    if light.weather.precipitation:
        _whiten(colours, light, detail)
    return colours


def _paint_stripe(out: npt.NDArray[np.uint32], scenery: Scenery, moment: _Moment, rows: slice) -> None:
    """Some rows of the map at a time: what it takes in between stays small, and near the processor."""
    numbers = scenery.ground[rows].astype(np.intp)
    open_sky = scenery.open_sky[rows]
    if open_sky.size:
        sky = moment.clouds[_cloud_sums(scenery, moment, rows)] + scenery.bands[rows]
        np.copyto(numbers[: len(open_sky)], sky, where=open_sky)
    if scenery.enlarge > 1:
        numbers = numbers.repeat(scenery.enlarge, axis=0).repeat(scenery.enlarge, axis=1)
    top = rows.start * scenery.enlarge
    stripe = out[top : top + len(numbers)]
    numbers = numbers[: len(stripe), : scenery.width]
    numbers += scenery.grain[top : top + len(stripe), moment.grain : moment.grain + scenery.width]
    np.take(moment.words, numbers, out=stripe, mode="clip")


def _cloud_sums(scenery: Scenery, moment: _Moment, rows: slice) -> npt.NDArray[np.uint16]:
    """Both layers where they have drifted to, 0..510."""
    width = scenery.open_sky.shape[1]
    parts = []
    for layer, drift in zip(scenery.clouds, moment.drift, strict=True):
        start = drift % (2 * width)
        parts.append(layer[rows, start : start + width])
    return np.add(parts[0], parts[1], dtype=np.uint16)


def luma(pixels: Pixels, widest: int) -> Pixels:
    """A small 8-bit Y plane: every n-th pixel, at most `widest` across."""
    step = -(-pixels.shape[1] // widest)
    small = pixels[::step, ::step].astype(np.uint16)
    red, green, blue = _LUMA_WEIGHTS
    return ((small[:, :, 0] * red + small[:, :, 1] * green + small[:, :, 2] * blue) >> 8).astype(np.uint8)


def _sky(light: Light, detail: Detail) -> Floats:
    """Colours by height above the horizon and density of cloud; haze thickens towards the horizon."""
    depth, density = _ramp(detail.bands), _ramp(detail.densities)
    air = light.zenith + (light.horizon - light.zenith) * depth**1.8
    cloud = light.cloud_bright + (light.cloud_dark - light.cloud_bright) * density**1.3
    alpha = np.minimum(1.0, 1.5 * density)
    colours = air[:, None, :] * (1 - alpha) + cloud[None, :, :] * alpha
    clear = np.exp(-light.weather.veil * 0.4 / (1.06 - depth))[:, :, None]
    veiled: Floats = (colours * clear + light.fog * (1 - clear)).reshape(-1, 3).astype(np.float32)
    return veiled


def _ground(light: Light, detail: Detail, seed: int, at_s: float) -> Floats:
    """Colours by material and shade, seen through the air between."""
    snow = _HOLDS_SNOW * np.float32(light.weather.white_ground)
    lit = (_ALBEDO + (_SNOW_ALBEDO - _ALBEDO) * snow) * light.ambient
    if light.night > 0:
        glow = _GLOW * np.float32(light.night)
        glow[WINDOW:] *= _lit_windows(seed, at_s)
        lit += glow
    # snow evens out what lies below it
    contrast = 1 + (0.4 + 1.2 * _ramp(detail.shades)[None] - 1) * (1 - 0.65 * snow[:, :, None])
    colours = lit[:, None, :] * contrast
    clear = np.exp(np.float32(-light.weather.veil) * _DISTANCE_KM)[:, :, None]
    veiled: Floats = (colours * clear + light.fog * (1 - clear)).reshape(-1, 3).astype(np.float32)
    return veiled


@lru_cache(16)
def _ramp(steps: int) -> Floats:
    """0 to 1 as a column.  Small pictures cost little else than such things."""
    return np.linspace(0, 1, steps, dtype=np.float32)[:, None]


def _lit_windows(seed: int, at_s: float) -> Floats:
    period = floor(at_s / _WINDOW_S)
    lit = [[chance(seed + group, period) < _LIT_SHARE] for group in range(WINDOW_GROUPS)]
    return np.array(lit, dtype=np.float32)


def _stars(light: Light) -> Floats:
    return light.zenith + (0.2 + 2 * _ramp(STAR_LEVELS)) * np.float32(light.night)


def _whiten(colours: Pixels, light: Light, detail: Detail) -> None:
    """Makes the last grain colour a flake of snow or a drop of rain: lighter than what is behind it."""
    weight = _FLAKE_WEIGHT[light.weather.white_ground > 0]
    bright = colours[: sky_colours(detail), :-1, :3].mean()
    behind = colours[:, 0, :3].astype(np.float32)
    target = min(250.0, float(bright) * 1.15)
    colours[:, -1, :3] = behind + np.maximum(0, target - behind) * weight


def _threshold(scenery: Scenery, cover: float) -> float:
    """The sum of both layers from which there is cloud, so that the share `cover` of the sky has some."""
    return float(np.interp(1 - cover, np.linspace(0, 1, QUANTILES), scenery.cloud_quantiles))


def _cloud_numbers(scenery: Scenery, cover: float) -> Indices:
    """By the sum of both layers, 0..510: the density, as palette numbers."""
    over = (np.arange(CLOUD_SUMS) - _threshold(scenery, cover)) / _CLOUD_SOFTNESS
    density = np.clip(over, 0, 1)
    detail = scenery.detail
    numbers: Indices = (density * (detail.densities - 1)).astype(np.intp) * detail.grains
    return numbers


def _strew(out: npt.NDArray[np.uint32], scenery: Scenery, light: Light, moment: _Moment, at_s: float) -> None:
    """Stars, turning about a pole above the picture, where neither cloud nor house hides them."""
    rows, width = scenery.open_sky.shape
    turn = 2 * np.pi * (scenery.stars[:, 0] + at_s / _TURN_S % 1.0)
    x = (width * (0.5 + scenery.stars[:, 1] * np.cos(turn))).astype(np.intp)
    y = (width * (0.1 + scenery.stars[:, 1] * np.sin(turn))).astype(np.intp)
    seen = (x >= 0) & (x < width) & (y >= 0) & (y < rows)
    x, y, level = x[seen], y[seen], scenery.stars[seen, 2]
    first, second = (layer[y, (x + by) % (2 * width)] for layer, by in zip(scenery.clouds, moment.drift, strict=True))
    free = scenery.open_sky[y, x] & (np.add(first, second, dtype=np.uint16) < _threshold(scenery, light.cover))
    detail = scenery.detail
    darkest = sky_colours(detail) + len(MATERIALS) * detail.shades
    number = (darkest + (level[free] * STAR_LEVELS).astype(np.intp)) * detail.grains
    out[y[free] * scenery.enlarge, x[free] * scenery.enlarge] = moment.words[number]
