from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from console.widgets.picture import (
    DARK_TO_LIGHT,
    HIGHEST,
    MOST_PIXELS,
    WIDEST,
    Kept,
    Raster,
    decode,
    fitting,
    half_blocks,
    signs,
)
from node.wire.errors import NodeAnswerWrong


def jpeg(width: int = 320, height: int = 180, colour: tuple[int, int, int] = (10, 200, 30), mode: str = "RGB") -> bytes:
    image = Image.new("RGB", (width, height), colour).convert(mode)
    into = io.BytesIO()
    image.save(into, "JPEG", quality=95)
    return into.getvalue()


def resized(data: bytes, width: int, height: int) -> bytes:
    """The same file, whose head claims another size."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_picture_fills_the_cells_that_its_shape_allows(mode: str) -> None:
    raster = decode(jpeg(mode=mode), (40, 30))
    assert (raster.width, raster.height) == (40, 22)
    assert len(raster.pixels) == 3 * 40 * 22


def test_its_colours_are_those_of_the_picture() -> None:
    assert all(
        abs(one - other) < 6 for one, other in zip(decode(jpeg(), (20, 20)).at(5, 5), (10, 200, 30), strict=True)
    )


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xd8\xff", jpeg()[:700], jpeg()[:-200], b"\xff\xd8\xff" + b"x" * 5000, b"\x89PNG\r\n\x1a\n" * 40],
)
def test_what_is_no_whole_jpeg_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(NodeAnswerWrong, match="picture"):
        decode(data, (40, 20))


def test_another_format_is_refused_whatever_it_calls_itself() -> None:
    into = io.BytesIO()
    Image.new("RGB", (30, 30)).save(into, "PNG")
    with pytest.raises(NodeAnswerWrong):
        decode(into.getvalue(), (40, 20))


@pytest.mark.parametrize("size", [(65_500, 65_500), (MOST_PIXELS, 1), (30_000, 200)])
def test_a_picture_that_would_be_huge_is_refused_before_it_is_made(size: tuple[int, int]) -> None:
    width, height = min(size[0], 65_500), min(size[1] + 100, 65_500)
    with pytest.raises(NodeAnswerWrong, match="pixels"):
        decode(resized(jpeg(), width, height), (40, 20))


@pytest.mark.parametrize("size", [(1, 1), (2000, 1), (1, 2000), (640, 360)])
@pytest.mark.parametrize("cells", [(1, 1), (8, 3), (500, 500)])
def test_any_shape_fits_into_any_room(size: tuple[int, int], cells: tuple[int, int]) -> None:
    width, height = fitting(*size, cells)
    assert 1 <= width <= min(cells[0], WIDEST)
    assert 2 <= height <= min(2 * cells[1], HIGHEST)
    raster = decode(jpeg(*size), cells)
    assert (raster.width, raster.height) == (width, height)
    assert sum(len(half_blocks(raster, y)) for y in range(0, height, 2)) == width * ((height + 1) // 2)


def test_a_half_block_holds_two_pixels_one_above_the_other() -> None:
    raster = Raster(1, 3, bytes([255, 0, 0, 0, 0, 255, 0, 255, 0]))
    (first,), (last,) = half_blocks(raster, 0), half_blocks(raster, 2)
    assert first.style is not None
    assert last.style is not None
    assert (str(first.style), str(last.style)) == ("#ff0000 on #0000ff", "#00ff00 on #00ff00")


def test_without_colours_brightness_is_told_by_signs() -> None:
    grey = Raster(3, 2, bytes([0, 0, 0, 130, 130, 130, 255, 255, 255] * 2))
    assert signs(grey, 0, dark=True) == DARK_TO_LIGHT[0] + DARK_TO_LIGHT[5] + DARK_TO_LIGHT[-1]
    assert signs(grey, 0, dark=False) == DARK_TO_LIGHT[-1] + DARK_TO_LIGHT[4] + DARK_TO_LIGHT[0]


def test_pictures_are_kept_up_to_so_many_bytes_the_latest_looked_at_last() -> None:
    kept = Kept(30)
    for name in "abc":
        kept.put(name, b"x" * 10)
    assert kept.get("a") is not None
    kept.put("d", b"x" * 10)
    assert [name for name in "abcd" if kept.get(name)] == ["a", "c", "d"]
    kept.put("d", b"x" * 5)
    assert kept.size == 25
    kept.put("e", b"x" * 31)
    assert (kept.size, kept.get("e")) == (0, None)
