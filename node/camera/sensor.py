"""A sensor: exposure, gain, noise, clipping, a tone curve, automatic exposure and white balance that drift and lag."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2, pi, sin

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

EXPOSURE_MIN_S, EXPOSURE_MAX_S, AUTO_MAX_S = 1 / 16000, 30.0, 0.5
GAIN_MAX = 16.0
LATENCY_FRAMES = 3
SETTLED_SHARE = 0.05
# signal 1.0 = clipped; chosen so that a clear noon of 100 klx is well exposed at 1/2000 s
_SENSITIVITY = 0.028
_TARGET = 0.21
_FULL_WELL, _READ_NOISE = 9000.0, 0.0004
_LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
_WHITE_BALANCE_PERIOD_S, _WHITE_BALANCE_DRIFT, _WHITE_BALANCE_STRENGTH = 2400.0, 0.02, 0.7
_CURVE_STEPS = 4096
_LINEAR_BELOW = 0.0031308


def _tone_curve() -> Floats:
    """Signal 0..1 to 0..255: the sRGB curve with a soft shoulder, so that highlights do not end in a step."""
    signal = np.linspace(0, 1, _CURVE_STEPS, dtype=np.float32)
    soft = signal * (1.12 - 0.12 * signal)
    low = 12.92 * soft
    high = 1.055 * np.power(np.maximum(soft, 1e-9), 1 / 2.4) - 0.055
    return (255 * np.where(soft <= _LINEAR_BELOW, low, high)).astype(np.float32)


_CURVE = _tone_curve()
_SLOPE = np.gradient(_CURVE, 1 / _CURVE_STEPS).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Setting:
    """Seconds and linear gain."""

    exposure_s: float
    gain: float

    @property
    def amount(self) -> float:
        """What the picture's brightness depends on."""
        return self.exposure_s * self.gain


def luminance(colour: Floats) -> float:
    """Of a linear RGB colour."""
    return float(colour @ _LUMA)


def split(amount: float, longest_s: float = AUTO_MAX_S) -> Setting:
    """Exposure × gain as a setting: shutter first, then gain; clamped to what the sensor can."""
    exposure_s = min(max(amount, EXPOSURE_MIN_S), longest_s)
    return Setting(exposure_s, min(max(amount / exposure_s, 1.0), GAIN_MAX))


def metered(scene_luminance: float, ev_stops: float) -> Setting:
    """The setting that brings a scene's mean to the target."""
    amount = _TARGET * 2.0**ev_stops / (_SENSITIVITY * max(scene_luminance, 1e-6))
    return split(amount)


def clamped(exposure_s: float, gain: float) -> Setting:
    """A manual setting within what the sensor can."""
    return Setting(min(max(exposure_s, EXPOSURE_MIN_S), EXPOSURE_MAX_S), min(max(gain, 1.0), GAIN_MAX))


def frames_to_settle(before: Setting, after: Setting) -> int:
    """Frames until a change has come through: the latency, then one for each halving of what is left."""
    stops = abs(log2(after.amount / before.amount))
    if stops == 0:
        return 0
    return LATENCY_FRAMES + max(0, int(np.ceil(log2(stops / log2(1 + SETTLED_SHARE)))))


def on_the_way(before: Setting, after: Setting, frames: int) -> Setting:
    """The setting in effect so many frames after the change was asked for."""
    seen = frames - LATENCY_FRAMES
    if seen < 0:
        return before
    stops_left = log2(before.amount / after.amount) * 0.5**seen
    if abs(stops_left) <= log2(1 + SETTLED_SHARE):
        return after
    return split(after.amount * 2.0**stops_left)


def white_balance(light: Floats, at_s: float) -> Floats:
    """Channel gains: most of the light's colour taken out, green kept, slowly wandering as the real ones do."""
    gains = (light[1] / np.maximum(light, 1e-9)) ** _WHITE_BALANCE_STRENGTH
    drift = _WHITE_BALANCE_DRIFT * sin(2 * pi * at_s / _WHITE_BALANCE_PERIOD_S)
    return np.array([gains[0] * (1 + drift), 1.0, gains[2] * (1 - drift)], dtype=np.float32)


def develop(radiance: Floats, setting: Setting, balance: Floats, grain: Floats) -> Pixels:
    """Linear RGB colours (n × 3) as 8-bit ones, each in as many noisy variants as `grain` (g × 3) has: n × g × 4.

    Shot noise grows with the root of the signal and with gain, read noise with gain (EMVA 1288's linear model).
    The fourth channel is padding, so that one pixel is one 32-bit word.
    """
    raw = np.minimum(radiance * np.float32(_SENSITIVITY * setting.amount), 1.0)
    sigma = np.sqrt(raw * np.float32(setting.gain / _FULL_WELL)) + np.float32(_READ_NOISE * setting.gain)
    signal = np.minimum(raw * balance, 1.0)
    step = (signal * (_CURVE_STEPS - 1)).astype(np.intp)
    value, spread = _CURVE[step], np.minimum(_SLOPE[step], 2000.0) * sigma
    noisy = value[:, None, :] + spread[:, None, :] * grain[None, :, :]
    noisy += 0.5  # cut off below: rounds
    out = np.zeros((*noisy.shape[:2], 4), dtype=np.uint8)
    np.clip(noisy, 0, 255, out=noisy)
    out[:, :, :3] = noisy
    return out
