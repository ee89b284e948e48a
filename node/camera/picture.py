"""Paints a synthetic picture: the palette of a moment, looked up for every pixel's number."""

from __future__ import annotations

from math import floor

import numpy as np

from node.camera.palette import MATERIALS, STAR_LEVELS, WINDOW, WINDOW_GROUPS, Detail, Indices, sky_colours
from node.camera.scenery import QUANTILES, Scenery
from node.camera.sensor import Floats, Pixels, Setting, develop, white_balance
from node.camera.sky import Light, chance, scramble

_CLOUD_SPEEDS = (1 / 2600, 1 / 1500)
"""Picture widths a second."""
_CLOUD_SOFTNESS = 90.0
_TURN_S = 86164.0
_STARS_FROM_NIGHT = 0.6
_LIT_SHARE, _WINDOW_S = 0.6, 1800.0
_SNOW_ALBEDO = 0.8
_FLAKE_WEIGHT = {True: 0.75, False: 0.22}
_LUMA_WEIGHTS = (77, 150, 29)


def paint(scenery: Scenery, light: Light, setting: Setting, seed: int, at_s: float) -> Pixels:
    """Rows × columns × 4 (red, green, blue, padding), 8 bits each."""
    radiance = np.concatenate([_sky(light, scenery.detail), _ground(light, scenery.detail, seed, at_s), _stars(light)])
    balance = white_balance(light.ambient / max(1e-9, float(light.ambient[1])), at_s)
    colours = develop(radiance, setting, balance, scenery.grain_colours)
    if light.weather.precipitation:
        _whiten(colours, light, scenery.detail)
    numbers = _enlarged(_numbers(scenery, light, at_s), scenery)
    start = scramble(seed ^ round(at_s * 1000)) % scenery.width
    numbers = numbers + scenery.grain[:, start : start + scenery.width]
    words = colours.view(np.uint32).ravel().take(numbers)
    return words.view(np.uint8).reshape(scenery.height, scenery.width, 4)


def luma(pixels: Pixels, widest: int) -> Pixels:
    """A small 8-bit Y plane: every n-th pixel, at most `widest` across."""
    step = -(-pixels.shape[1] // widest)
    small = pixels[::step, ::step].astype(np.uint16)
    red, green, blue = _LUMA_WEIGHTS
    return ((small[:, :, 0] * red + small[:, :, 1] * green + small[:, :, 2] * blue) >> 8).astype(np.uint8)


def _sky(light: Light, detail: Detail) -> Floats:
    """Colours by height above the horizon and density of cloud; haze thickens towards the horizon."""
    depth = np.linspace(0, 1, detail.bands, dtype=np.float32)[:, None]
    air = light.zenith + (light.horizon - light.zenith) * depth**1.8
    density = np.linspace(0, 1, detail.densities, dtype=np.float32)[:, None]
    cloud = light.cloud_bright + (light.cloud_dark - light.cloud_bright) * density**1.3
    alpha = np.minimum(1.0, 1.5 * density)
    colours = air[:, None, :] * (1 - alpha) + cloud[None, :, :] * alpha
    clear = np.exp(-light.weather.veil * 0.12 / (1.06 - depth))[:, :, None]
    veiled: Floats = (colours * clear + light.fog * (1 - clear)).reshape(-1, 3).astype(np.float32)
    return veiled


def _ground(light: Light, detail: Detail, seed: int, at_s: float) -> Floats:
    """Colours by material and shade, seen through the air between."""
    albedo = np.array([material.albedo for material in MATERIALS], dtype=np.float32)
    snow = np.array([[material.holds_snow] for material in MATERIALS], dtype=np.float32) * light.weather.white_ground
    albedo += (_SNOW_ALBEDO - albedo) * snow
    shade = np.linspace(0.4, 1.6, detail.shades, dtype=np.float32)
    # snow evens out what lies below it
    contrast = 1 + (shade[None, :, None] - 1) * (1 - 0.65 * snow[:, :, None])
    glow = np.array([material.glow for material in MATERIALS], dtype=np.float32) * np.float32(light.night)
    glow[WINDOW:] *= _lit_windows(seed, at_s)
    colours = albedo[:, None, :] * contrast * light.ambient + glow[:, None, :] * contrast
    clear = np.exp([[[-light.weather.veil * material.distance_km]] for material in MATERIALS]).astype(np.float32)
    veiled: Floats = (colours * clear + light.fog * (1 - clear)).reshape(-1, 3).astype(np.float32)
    return veiled


def _lit_windows(seed: int, at_s: float) -> Floats:
    period = floor(at_s / _WINDOW_S)
    lit = [[chance(seed + group, period) < _LIT_SHARE] for group in range(WINDOW_GROUPS)]
    return np.array(lit, dtype=np.float32)


def _stars(light: Light) -> Floats:
    brightness = np.linspace(0.2, 2.2, STAR_LEVELS, dtype=np.float32)[:, None]
    return light.zenith + brightness * np.float32(light.night)


def _whiten(colours: Pixels, light: Light, detail: Detail) -> None:
    """Makes the last grain colour a flake of snow or a drop of rain: lighter than what is behind it."""
    weight = _FLAKE_WEIGHT[light.weather.white_ground > 0]
    bright = colours[: sky_colours(detail), :-1, :3].mean()
    behind = colours[:, 0, :3].astype(np.float32)
    target = min(250.0, float(bright) * 1.15)
    colours[:, -1, :3] = behind + np.maximum(0, target - behind) * weight


def _numbers(scenery: Scenery, light: Light, at_s: float) -> Indices:
    numbers = scenery.ground.copy()
    rows, width = scenery.open_sky.shape
    together = _drifted(scenery, 0, at_s, width).astype(np.uint16) + _drifted(scenery, 1, at_s, width)
    sky = _cloud_numbers(scenery, light.cover)[together] + scenery.bands
    if light.night > _STARS_FROM_NIGHT:
        _strew(sky, together, scenery, light, at_s)
    np.copyto(numbers[:rows], sky, where=scenery.open_sky)
    return numbers


def _drifted(scenery: Scenery, layer: int, at_s: float, width: int) -> Pixels:
    start = int(at_s * _CLOUD_SPEEDS[layer] * width) % (2 * width)
    return scenery.clouds[layer][:, start : start + width]


def _threshold(scenery: Scenery, cover: float) -> float:
    """The sum of both layers from which there is cloud, so that the share `cover` of the sky has some."""
    return float(np.interp(1 - cover, np.linspace(0, 1, QUANTILES), scenery.cloud_quantiles))


def _cloud_numbers(scenery: Scenery, cover: float) -> Indices:
    """By the sum of both layers, 0..510: the density, as palette numbers."""
    over = (np.arange(511) - _threshold(scenery, cover)) / _CLOUD_SOFTNESS
    density = np.clip(over, 0, 1)
    detail = scenery.detail
    numbers: Indices = (density * (detail.densities - 1)).astype(np.intp) * detail.grains
    return numbers


def _strew(sky: Indices, clouds: Pixels, scenery: Scenery, light: Light, at_s: float) -> None:
    """Stars, turning about a pole above the picture, where no cloud hides them."""
    rows, width = sky.shape
    turn = 2 * np.pi * (scenery.stars[:, 0] + at_s / _TURN_S % 1.0)
    x = (width * (0.5 + scenery.stars[:, 1] * np.cos(turn))).astype(np.intp)
    y = (width * (0.1 + scenery.stars[:, 1] * np.sin(turn))).astype(np.intp)
    seen = (x >= 0) & (x < width) & (y >= 0) & (y < rows)
    x, y, level = x[seen], y[seen], scenery.stars[seen, 2]
    free = clouds[y, x] < _threshold(scenery, light.cover)
    detail = scenery.detail
    first = sky_colours(detail) + len(MATERIALS) * detail.shades
    number = (first + (level[free] * STAR_LEVELS).astype(np.intp)) * detail.grains
    sky[y[free], x[free]] = number


def _enlarged(numbers: Indices, scenery: Scenery) -> Indices:
    if scenery.enlarge == 1:
        return numbers
    wide = numbers.repeat(scenery.enlarge, axis=0).repeat(scenery.enlarge, axis=1)
    return wide[: scenery.height, : scenery.width]
