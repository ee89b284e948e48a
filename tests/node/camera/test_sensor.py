from __future__ import annotations

import numpy as np
import pytest

from node.camera import sensor
from node.camera.sensor import Setting

GREY = np.ones((1, 3), dtype=np.float32)
NEUTRAL = np.ones(3, dtype=np.float32)
SILENT = np.zeros((1, 3), dtype=np.float32)
NOISY = np.random.default_rng(1).normal(size=(512, 3)).astype(np.float32)


def level(luminance: float, setting: Setting) -> float:
    return float(sensor.develop(GREY * luminance, setting, NEUTRAL, SILENT)[0, 0, :3].mean())


@pytest.mark.parametrize("luminance", [30.0, 1000.0, 30_000.0])
def test_automatic_exposure_brings_any_scene_to_the_same_brightness(luminance: float) -> None:
    assert level(luminance, sensor.metered(luminance, 0.0)) == pytest.approx(134, abs=3)


def test_a_stop_of_correction_doubles_the_exposure() -> None:
    assert sensor.metered(1000.0, 1.0).amount == pytest.approx(2 * sensor.metered(1000.0, 0.0).amount)


def test_the_shutter_goes_first_then_the_gain() -> None:
    assert sensor.split(0.25) == Setting(0.25, 1.0)
    assert sensor.split(2.0) == Setting(0.5, 4.0)
    assert sensor.split(1000.0) == Setting(0.5, 16.0)


def test_manual_values_are_clamped_to_what_the_sensor_can() -> None:
    assert sensor.clamped(600.0, 64.0) == Setting(30.0, 16.0)
    assert sensor.clamped(1e-6, 1.0).exposure_s == sensor.EXPOSURE_MIN_S


def test_too_much_light_clips() -> None:
    assert level(1e6, Setting(1.0, 1.0)) == 255


def test_no_light_is_black() -> None:
    assert level(0.0, Setting(1.0, 1.0)) == 0


def test_noise_grows_with_gain_at_the_same_brightness() -> None:
    spread = [
        sensor.develop(GREY * 10, Setting(1 / gain, gain), NEUTRAL, NOISY)[0, :, 1].std() for gain in (1.0, 4.0, 16.0)
    ]
    assert spread[0] < spread[1] < spread[2]


def test_a_change_comes_through_after_the_latency_and_then_by_halves() -> None:
    before, after = Setting(0.01, 1.0), Setting(0.16, 1.0)
    amounts = [sensor.on_the_way(before, after, frames).amount for frames in range(14)]
    assert amounts[: sensor.LATENCY_FRAMES + 1] == pytest.approx([0.01] * 4)
    assert amounts[sensor.LATENCY_FRAMES + 1] == pytest.approx(0.04)
    assert amounts[sensor.frames_to_settle(before, after)] == pytest.approx(0.16)


def test_no_change_needs_no_frames() -> None:
    assert sensor.frames_to_settle(Setting(0.1, 2.0), Setting(0.2, 1.0)) == 0


def test_white_balance_takes_most_of_a_colour_out_and_wanders_a_little() -> None:
    warm = np.array([1.3, 1.0, 0.7], dtype=np.float32)
    gains = [sensor.white_balance(warm, at_s) for at_s in (0.0, 600.0)]
    assert gains[0][0] < 1 < gains[0][2]
    assert 0 < abs(gains[0][0] - gains[1][0]) < 0.05
