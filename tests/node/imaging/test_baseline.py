from __future__ import annotations

import hashlib
import io
from dataclasses import replace

import numpy as np
import pytest

from node.imaging.baseline import MAX_BANDS, Baseline, key_of, light, light_of, restore
from node.imaging.decode import check
from node.imaging.measure import Picture, measure
from tests import scenes

SCENE = scenes.scene(5)
KEY = "auto/high/960x640"


def measured(picture: scenes.Scene) -> Picture:
    data = scenes.jpeg(picture)
    return measure(data, check(data))


def taught(count: int = 12, remembered: int = 50) -> Baseline:
    dice = np.random.default_rng(7)
    baseline = Baseline()
    for _ in range(count):
        baseline.learn(measured(scenes.live(SCENE, dice)), KEY, remembered)
    return baseline


WARM = taught()


@pytest.mark.parametrize(
    ("elevation", "name"),
    [(None, "any"), (62.0, "high"), (10.0, "high"), (9.9, "low"), (-4.0, "low"), (-4.1, "dusk"), (-12.5, "night"),
     (-90.0, "night"), (-91.0, "night")],
)  # fmt: skip
def test_light_has_four_bands_and_one_for_the_unknown(elevation: float | None, name: str) -> None:
    assert light(elevation) == name


def test_pictures_of_another_profile_light_or_size_are_not_compared() -> None:
    picture = measured(SCENE)
    key = key_of(picture, "auto", 30.0)
    assert key == KEY
    assert light_of(key) == "high"
    others = {key_of(picture, "hdr", 30.0), key_of(picture, "auto", -30.0)}
    others.add(key_of(replace(picture, width=320), "auto", 30.0))
    assert len(others | {key}) == 4
    assert all(WARM.compare(picture, other) is None for other in others)


def test_the_next_frame_of_a_quiet_camera_is_usual() -> None:
    norm = WARM.compare(measured(scenes.live(SCENE, np.random.default_rng(99))), KEY)
    assert norm is not None
    assert norm.frames == 12
    assert norm.sharpness == pytest.approx(1, abs=0.1)
    assert norm.match > 0.9
    assert norm.own_match > 0.7
    assert norm.shift == 0


@pytest.mark.parametrize("per_mille", [2, 3, 5])
def test_a_lens_out_of_focus_is_less_sharp(per_mille: float) -> None:
    dice = np.random.default_rng(8)
    norm = WARM.compare(measured(scenes.noisy(scenes.blurred(SCENE, per_mille), dice)), KEY)
    assert norm is not None
    assert norm.sharpness < 0.5


@pytest.mark.parametrize("density", [0.5, 1, 2, 4, 8])
def test_fog_is_not_less_sharp(density: float) -> None:
    norm = WARM.compare(measured(scenes.fogged(SCENE, density)), KEY)
    assert norm is not None
    assert norm.sharpness > 0.8


@pytest.mark.parametrize(("across", "down"), [(0.15, 0), (-0.15, 0), (0, 0.14), (0.2, 0.1), (-0.3, 0)])
def test_a_turned_camera_shows_how_far_it_was_turned(across: float, down: float) -> None:
    norm = WARM.compare(measured(scenes.turned(SCENE, across, down)), KEY)
    assert norm is not None
    # rows are measured in the width of a block, which is not quite square in a 3:2 picture
    assert norm.shift == pytest.approx(np.hypot(across, down * 9 / 8), abs=0.03)


def test_sway_by_a_few_pixels_is_no_shift() -> None:
    for across in (-0.01, 0.005, 0.015):
        norm = WARM.compare(measured(scenes.turned(SCENE, across)), KEY)
        assert norm is not None
        assert norm.shift < 0.03


def test_it_remembers_the_last_so_many_and_follows_the_seasons() -> None:
    baseline = taught(8, remembered=10)
    snow = scenes.snow_covered(SCENE)
    dice = np.random.default_rng(9)
    before = baseline.compare(measured(snow), KEY)
    for _ in range(30):
        baseline.learn(measured(scenes.live(snow, dice)), KEY, 10)
    after = baseline.compare(measured(snow), KEY)
    assert before is not None
    assert after is not None
    assert baseline.frames(KEY) == after.frames == 10
    assert after.match > before.match


def test_the_number_of_bands_is_bounded_and_the_oldest_goes() -> None:
    baseline, picture = Baseline(), measured(SCENE)
    for number in range(MAX_BANDS + 5):
        baseline.learn(picture, f"p{number}/high/960x640", 50)
        baseline.learn(picture, KEY, 50)
    assert baseline.frames(KEY) > 0
    assert baseline.frames("p0/high/960x640") == 0
    assert baseline.frames(f"p{MAX_BANDS + 4}/high/960x640") == 1


def test_a_forgotten_band_is_unknown_again() -> None:
    baseline = taught(2)
    baseline.forget(KEY)
    baseline.forget("never/high/1x1")
    assert baseline.frames(KEY) == 0


def test_what_was_written_comes_back_the_same() -> None:
    picture = measured(scenes.turned(SCENE, 0.1))
    again = restore(WARM.dump())
    assert again.compare(picture, KEY) == WARM.compare(picture, KEY)
    assert again.dump() == WARM.dump()


def test_a_file_of_a_band_is_small() -> None:
    assert len(WARM.dump()) < 40_000


def test_a_damaged_file_is_refused() -> None:
    whole = WARM.dump()
    dice = np.random.default_rng(3)
    torn = [b"", b"no archive", whole[:1000], whole[:-30], whole[500:]]
    for data in torn:
        with pytest.raises(ValueError, match=r"."):
            restore(data)
    for _ in range(300):
        data = bytearray(whole)
        for at in dice.integers(0, len(whole), 3):
            data[at] ^= int(dice.integers(1, 256))
        with pytest.raises(ValueError, match="checksum"):
            restore(bytes(data))


def rewritten(**changed: object) -> bytes:
    with np.load(io.BytesIO(WARM.dump()[32:]), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files} | changed
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return hashlib.sha256(out.getvalue()).digest() + out.getvalue()


@pytest.mark.parametrize(
    "changed",
    [
        {"rows0": np.full((12, 6), np.nan, np.float32)},
        {"rows0": np.zeros((12, 5), np.float32)},
        {"rows0": np.zeros((0, 6), np.float32)},
        {"rows0": np.zeros((501, 6), np.float32)},
        {"maps0": np.zeros((3, 48, 64), np.float64)},
        {"maps0": np.zeros((3, 9, 9), np.float32)},
        {"maps0": np.array([{}], dtype=object)},
        {"head": np.frombuffer(b'{"format": 2, "columns": [], "keys": []}', np.uint8)},
        {"head": np.frombuffer(b"[]", np.uint8)},
        {"head": np.frombuffer(b"{", np.uint8)},
    ],
)
def test_numbers_that_are_no_baseline_are_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        restore(rewritten(**changed))
