from __future__ import annotations

import numpy as np
import pytest

from node.imaging.decode import check
from node.imaging.measure import MAP_COLUMNS, MAP_ROWS, Picture, measure
from tests import scenes

SCENE = scenes.scene(4)


def measured(picture: scenes.Scene, quality: int = 88, luma: bytes = b"") -> Picture:
    data = scenes.jpeg(picture, quality)
    return measure(data, check(data), luma)


def flat(level: float, width: int = 320, height: int = 240) -> scenes.Scene:
    return np.full((height, width, 3), level, np.float32)


@pytest.mark.parametrize("level", [0, 30, 128, 255])
def test_the_mean_is_the_luminance_as_a_share(level: float) -> None:
    assert measured(flat(level)).measures.mean == pytest.approx(level / 255, abs=0.005)


def test_clipped_counts_what_is_burnt() -> None:
    picture = flat(120)
    picture[:60] = 255
    assert measured(picture).measures.clipped == pytest.approx(0.25, abs=0.01)


def test_tint_and_warmth_name_the_colour_whatever_the_exposure() -> None:
    grey, magenta = measured(flat(120)).measures, measured(scenes.magenta(flat(120))).measures
    assert grey.tint == pytest.approx(0, abs=0.02)
    assert magenta.tint == pytest.approx(0.6, abs=0.03)
    assert measured(scenes.magenta(flat(60))).measures.tint == pytest.approx(magenta.tint, abs=0.03)
    assert measured(scenes.sunset(flat(120))).measures.warmth == pytest.approx(0.59, abs=0.03)


def test_darkness_has_no_colour() -> None:
    dark = measured(flat(3) * np.array([1, 0, 1], np.float32)).measures
    assert (dark.tint, dark.warmth) == (0.0, 0.0)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_end_is_measured_in_rows(share: float, level: float) -> None:
    found = measured(scenes.filled(SCENE, share, level)).measures
    assert found.filled == pytest.approx(share, abs=0.02)
    assert found.fill_light == pytest.approx(level / 255, abs=0.01)


def test_a_picture_without_a_flat_end_has_none() -> None:
    assert measured(SCENE).measures.filled == 0
    assert measured(scenes.fogged(SCENE, 3)).measures.filled < 0.05


def test_maps_have_one_size_whatever_the_pictures() -> None:
    for width, height in ((64, 48), (640, 480), (1280, 720), (480, 900)):
        picture = measured(scenes.scene(4, width, height))
        for found in (picture.detail, picture.edges, picture.light):
            assert found.shape == (MAP_ROWS, MAP_COLUMNS)
            assert np.isfinite(found).all()


def test_the_light_map_shows_the_picture() -> None:
    picture = flat(40)
    picture[120:, 160:] = 200
    light = measured(picture).light
    assert light[:20, :20].mean() == pytest.approx(40, abs=2)
    assert light[-20:, -20:].mean() == pytest.approx(200, abs=2)


def test_blur_takes_detail_and_leaves_edges() -> None:
    sharp, blurred = measured(SCENE), measured(scenes.blurred(SCENE, 2))
    assert blurred.detail.mean() < 0.25 * sharp.detail.mean()
    assert blurred.edges.mean() > 0.6 * sharp.edges.mean()


def test_only_pictures_without_any_change_share_a_fingerprint() -> None:
    dice = np.random.default_rng(1)
    one = scenes.noisy(SCENE, dice)
    assert measured(one).fingerprint == measured(one).fingerprint
    assert measured(one).fingerprint != measured(scenes.noisy(SCENE, dice)).fingerprint
    changed = one.copy()
    changed[-20:-10, 10:20] += 40
    assert measured(one).fingerprint != measured(changed).fingerprint


def test_the_noise_of_a_dark_night_tells_two_pictures_apart() -> None:
    dice = np.random.default_rng(2)
    nights = {measured(scenes.noisy(flat(6, 640, 480), dice, 1.5), 95).fingerprint for _ in range(20)}
    assert len(nights) == 20


def test_headers_are_not_part_of_the_fingerprint() -> None:
    data = scenes.jpeg(SCENE)
    stamped = data[:2] + b"\xff\xfe\x00\x0a12:00:00" + data[2:]
    assert measure(data, check(data)).fingerprint == measure(stamped, check(stamped)).fingerprint


def test_the_sensors_own_plane_counts_as_a_change() -> None:
    assert measured(SCENE, luma=b"\1\2").fingerprint != measured(SCENE, luma=b"\1\3").fingerprint


def test_a_damaged_picture_cannot_be_measured() -> None:
    data = scenes.jpeg(SCENE)[:5000]
    with pytest.raises(ValueError, match="truncated"):
        measure(data, check(data))
