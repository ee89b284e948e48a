from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from node.domain.errors import PictureUnreadable
from node.imaging.decode import check
from node.imaging.thumbnail import shrink, small
from tests import scenes

PHOTO = scenes.jpeg(scenes.scene(3))


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("width", [1, 40, 120, 160, 240, 320, 333, 640, 959, 960])
def test_it_is_as_wide_as_asked_and_keeps_its_shape(width: int) -> None:
    assert opened(small(PHOTO, width)).size == (width, max(1, round(width * 2 / 3)))


def test_nothing_is_enlarged() -> None:
    assert opened(small(PHOTO, 5000)).size == (960, 640)


def test_portrait_and_odd_sizes_keep_their_shape() -> None:
    portrait = scenes.jpeg(scenes.scene(3, 641, 960))
    assert opened(small(portrait, 320)).size == (320, 479)


@pytest.mark.parametrize("width", [57, 160, 320, 500])
def test_it_looks_as_a_careful_reduction_does(width: int) -> None:
    found = opened(small(PHOTO, width))
    expected = opened(PHOTO).convert("RGB").resize(found.size, Image.Resampling.BOX)
    difference = np.asarray(found, float) - np.asarray(expected, float)
    assert abs(difference.mean()) < 2
    assert np.abs(difference).mean() < 9


def test_pixels_decoded_for_the_judge_serve_as_well() -> None:
    checked = check(PHOTO)
    assert checked.pixels is not None
    assert opened(shrink(checked.pixels, checked.width, checked.height, 320)).size == (320, 213)


def test_it_is_small_in_bytes() -> None:
    assert len(small(PHOTO, 320)) < 30_000


@pytest.mark.parametrize(("data", "word"), [(b"", "empty"), (PHOTO[:5000], "truncated"), (b"GIF89a", "wrong_type")])
def test_a_broken_original_is_refused_by_name(data: bytes, word: str) -> None:
    with pytest.raises(PictureUnreadable, match=word):
        small(data, 320)
