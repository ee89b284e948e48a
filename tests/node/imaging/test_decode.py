from __future__ import annotations

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from node.domain.quality import Integrity
from node.imaging.decode import MAX_SCANS, check
from tests import scenes

PHOTO = scenes.jpeg(scenes.scene(1))
PROGRESSIVE = scenes.jpeg(scenes.scene(1), progressive=True)


def scan_start(data: bytes) -> int:
    return check(data).scan_start


def with_size(data: bytes, width: int, height: int) -> bytes:
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def test_a_whole_picture_is_intact_and_small() -> None:
    checked = check(PHOTO)
    assert (checked.integrity, checked.width, checked.height) == (Integrity.INTACT, 960, 640)
    assert checked.pixels is not None
    assert checked.pixels.shape == (240, 360, 3)
    assert checked.pixels.dtype == np.uint8


@pytest.mark.parametrize(
    ("size", "across"),
    [((64, 48), 64), ((640, 480), 320), ((1280, 720), 480), ((1920, 1080), 480), ((2592, 1944), 324)],
)
def test_the_scale_follows_the_size_of_the_picture(size: tuple[int, int], across: int) -> None:
    pixels = check(scenes.jpeg(np.full((size[1], size[0], 3), 90, np.float32))).pixels
    assert pixels is not None
    assert pixels.shape[1] == across


@pytest.mark.parametrize("columns", [1, 100, 360, 500, 960, 5000])
def test_as_many_columns_come_as_are_asked_for_and_there_are(columns: int) -> None:
    pixels = check(PHOTO, columns).pixels
    assert pixels is not None
    assert min(columns, 960) <= pixels.shape[1] <= 960


def flipped_headers() -> list[bytes]:
    dice = np.random.default_rng(5)
    start = scan_start(PHOTO)
    spoilt = []
    for _ in range(200):
        data = bytearray(PHOTO)
        for at in dice.integers(2, start, 3):
            data[at] = dice.integers(0, 256)
        spoilt.append(bytes(data))
    return spoilt


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.8, 0.97, 0.999])
@pytest.mark.parametrize("photo", [PHOTO, PROGRESSIVE], ids=["baseline", "progressive"])
@pytest.mark.parametrize("tail", [b"", b"\xff\xd9", bytes(4096)], ids=["cut", "faked end", "zeros to the end"])
def test_a_truncated_picture_is_named_so(photo: bytes, share: float, tail: bytes) -> None:
    cut = photo[: round(len(photo) * share)] + tail
    assert check(cut).integrity is Integrity.TRUNCATED
    assert check(cut).pixels is None


@pytest.mark.parametrize("start", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("length", [200, 4096])
def test_a_zeroed_disk_block_inside_the_scan_is_damage(start: float, length: int) -> None:
    at = round(len(PHOTO) * start)
    assert check(PHOTO[:at] + bytes(length) + PHOTO[at + length :]).integrity is Integrity.DAMAGED


def test_a_flat_picture_may_be_made_of_zeros() -> None:
    flat = np.full((1200, 1600, 3), 60, np.float32)
    for photo in (scenes.jpeg(flat), scenes.jpeg(flat, optimize=True), scenes.jpeg(flat, progressive=True)):
        assert check(photo).integrity is Integrity.INTACT
    assert bytes(64) in scenes.jpeg(flat, optimize=True)


def test_a_zeroed_block_is_damage_also_where_the_decoder_finds_no_fault() -> None:
    missed = 0
    for at in range(scan_start(PHOTO), len(PHOTO) - 600, len(PHOTO) // 150):
        spoilt = PHOTO[:at] + bytes(512) + PHOTO[at + 512 :]
        missed += check(spoilt).integrity is Integrity.INTACT
    assert missed == 0


@pytest.mark.parametrize("after", [b"\0", b"trailing" * 1000, PHOTO, b"\xff\xff\xff", bytes(4096) + b"\xff\xd9"])
def test_bytes_behind_the_end_marker_are_no_damage(after: bytes) -> None:
    assert check(PHOTO + after).integrity is Integrity.INTACT


@pytest.mark.parametrize(
    "encoded",
    [
        PROGRESSIVE,
        scenes.jpeg(scenes.scene(1), optimize=True),
        scenes.jpeg(scenes.scene(1), subsampling=0),
        scenes.jpeg(scenes.scene(1), subsampling=1),
        scenes.jpeg(scenes.scene(1), restart_marker_blocks=16),
        scenes.jpeg(scenes.scene(1), comment=b"\xff\xd9\xff\xda\xff\xc0"),
    ],
    ids=["progressive", "optimised", "4:4:4", "4:2:2", "restart markers", "markers in a comment"],
)
def test_every_way_to_encode_is_intact_and_looks_the_same(encoded: bytes) -> None:
    pixels, expected = check(encoded).pixels, check(PHOTO).pixels
    assert pixels is not None
    assert expected is not None
    assert np.abs(pixels.astype(int) - expected).mean() < 3


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_pictures_become_rgb(mode: str) -> None:
    photo = Image.fromarray(scenes.scene(1).astype(np.uint8)).convert(mode)
    out = io.BytesIO()
    photo.save(out, "JPEG", quality=90)
    pixels = check(out.getvalue()).pixels
    assert pixels is not None
    expected = np.asarray(photo.convert("RGB").resize((pixels.shape[1], pixels.shape[0]), Image.Resampling.BOX))
    assert np.abs(pixels.astype(int) - expected).mean() < 4


@pytest.mark.parametrize(
    ("data", "integrity"),
    [
        (b"", Integrity.EMPTY),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), Integrity.WRONG_TYPE),
        (bytes(100_000), Integrity.WRONG_TYPE),
        (b"<html>", Integrity.WRONG_TYPE),
        (b"\xff", Integrity.WRONG_TYPE),
        (b"\xff\xd8", Integrity.WRONG_TYPE),
        (b"\xff\xd8\xff", Integrity.TRUNCATED),
        (PHOTO[:2] + b"\xff\xff\xff", Integrity.TRUNCATED),
        (PHOTO[:3], Integrity.TRUNCATED),
        (PHOTO[:100], Integrity.TRUNCATED),
        (PHOTO[: PHOTO.index(b"\xff\xda") + 3], Integrity.TRUNCATED),
        (b"\xff\xd8\xff\xd9", Integrity.UNDECODABLE),
        (b"\xff\xd8\xff\xe0\x00\x01", Integrity.UNDECODABLE),
        (b"\xff\xd8\xff\xe0\x00\x04ab\x00", Integrity.TRUNCATED),
        (b"\xff\xd8\xff\xe0\x00\x04ab\x00\x00", Integrity.UNDECODABLE),
        (b"\xff\xd8\xff\xda\x00\x02" + bytes(50), Integrity.UNDECODABLE),
        (b"\xff\xd8\xff\xc0\x00\x04\x08\x00\xff\xda\x00\x02", Integrity.UNDECODABLE),
        (b"\xff\xd8\xff\x01" + PHOTO[2:], Integrity.INTACT),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_named(data: bytes, integrity: Integrity) -> None:
    assert check(data).integrity is integrity


@pytest.mark.parametrize(
    ("width", "height", "integrity"),
    [
        (960, 1280, Integrity.TRUNCATED),
        (960, 320, Integrity.DAMAGED),
        (0, 640, Integrity.UNDECODABLE),
        (960, 0, Integrity.UNDECODABLE),
        (65535, 65535, Integrity.UNDECODABLE),
        (16384, 16384, Integrity.TRUNCATED),
    ],
)
def test_a_header_that_lies_about_its_size_is_found_out(width: int, height: int, integrity: Integrity) -> None:
    assert check(with_size(PHOTO, width, height)).integrity is integrity


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (47, 800), (800, 47)])
def test_a_tiny_picture_is_too_small(size: tuple[int, int]) -> None:
    tiny = scenes.jpeg(np.full((size[1], size[0], 3), 90, np.float32))
    assert check(tiny).integrity is Integrity.TOO_SMALL


def test_a_progressive_bomb_is_refused_before_it_is_decoded() -> None:
    at = PROGRESSIVE.index(b"\xff\xc2") + 5
    huge = PROGRESSIVE[:at] + struct.pack(">HH", 16000, 16000) + PROGRESSIVE[at + 4 :]
    assert check(huge).integrity is Integrity.UNDECODABLE
    scans = PROGRESSIVE.index(b"\xff\xda")
    many = PROGRESSIVE[:-2] + PROGRESSIVE[scans : scans + 40] * MAX_SCANS + b"\xff\xd9"
    assert check(many).integrity is Integrity.UNDECODABLE


def test_spoilt_headers_never_raise() -> None:
    assert {check(data).integrity for data in flipped_headers()} <= set(Integrity)


def test_spoilt_scans_never_raise() -> None:
    dice = np.random.default_rng(6)
    start = scan_start(PHOTO)
    for _ in range(60):
        data = bytearray(PHOTO)
        for at in dice.integers(start, len(PHOTO), 20):
            data[at] = dice.integers(0, 256)
        assert check(bytes(data)).integrity in Integrity


@pytest.mark.slow
def test_checking_a_12_mp_picture_takes_little_memory() -> None:
    # in a process of its own: the peak is a process's, and this one has held more
    program = """
import resource, sys
from node.imaging.decode import check
from node.imaging.measure import measure
data = sys.stdin.buffer.read()
small = data[:int(sys.argv[1])]; data = data[int(sys.argv[1]):]
measure(small, check(small))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
measure(data, check(data))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    tiles = np.tile(scenes.scene(1, 1014, 760), (4, 4, 1))
    big = scenes.jpeg(scenes.noisy(tiles, np.random.default_rng(1)), 80)
    assert len(big) > 2_000_000
    done = subprocess.run(
        [sys.executable, "-c", program, str(len(PHOTO))], input=PHOTO + big, capture_output=True, check=True
    )
    assert int(done.stdout) < 30 * 1024
