from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from node.imaging.decode import check
from node.imaging.exif import HEAD_BYTES, read_sidecar, taken_at, with_sidecar
from tests import scenes

PHOTO = scenes.jpeg(scenes.scene(2, 320, 240))
SIDECAR = {"schema": 1, "id": "01KA", "captured_us": 1_763_612_129_123_456, "camera": "main", "reasons": ["black"]}
EXIF_IFD, GPS_IFD = ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def camera_photo(**tags: Any) -> bytes:
    """A photograph as a camera writes it, with EXIF of its own, by another library than ours."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "Maker & Sons"
    exif[ExifTags.Base.DateTime] = "2020:01:02 03:04:05"
    inner = exif.get_ifd(EXIF_IFD)
    inner[ExifTags.Base.ExposureTime] = (1, 60)
    inner[ExifTags.Base.DateTimeOriginal] = tags.get("original", "2019:12:31 23:59:58")
    inner[ExifTags.Base.UserComment] = tags.get("comment", b"ASCII\0\0\0seen from the roof")
    inner[ExifTags.Base.MakerNote] = b"offsets inside" * 10
    if "offset" in tags:
        inner[ExifTags.Base.OffsetTimeOriginal] = tags["offset"]
        inner[ExifTags.Base.SubsecTimeOriginal] = "25"
    place = exif.get_ifd(GPS_IFD)
    place[ExifTags.GPS.GPSLatitudeRef] = "N"
    place[ExifTags.GPS.GPSLatitude] = (52.0, 30.0, 1.5)
    return scenes.jpeg(scenes.scene(2, 320, 240), exif=exif.tobytes())


def exif_of(data: bytes) -> Image.Exif:
    return Image.open(io.BytesIO(data)).getexif()


def test_the_sidecar_comes_back_exactly() -> None:
    assert read_sidecar(with_sidecar(PHOTO, SIDECAR)) == SIDECAR


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=6))
def test_any_json_comes_back_exactly_with_its_schema_first(body: dict[str, Any]) -> None:
    sidecar = {**body, "schema": 7}
    found = read_sidecar(with_sidecar(PHOTO, sidecar))
    assert found == sidecar
    assert next(iter(found)) == "schema"


def test_a_schema_is_added_where_it_is_missing() -> None:
    assert read_sidecar(with_sidecar(PHOTO, {"id": "x"})) == {"schema": 1, "id": "x"}


def test_another_library_reads_comment_and_time() -> None:
    found = exif_of(with_sidecar(PHOTO, SIDECAR)).get_ifd(EXIF_IFD)
    assert found[ExifTags.Base.UserComment][:8] == b"ASCII\0\0\0"
    assert json.loads(found[ExifTags.Base.UserComment][8:]) == SIDECAR
    assert found[ExifTags.Base.DateTimeOriginal] == "2025:11:20 04:15:29"
    assert found[ExifTags.Base.OffsetTimeOriginal] == "+00:00"
    assert found[ExifTags.Base.SubsecTimeOriginal] == "123456"


def test_image_data_is_not_touched() -> None:
    sealed = with_sidecar(PHOTO, SIDECAR)
    before, after = check(PHOTO), check(sealed)
    assert sealed[after.scan_start :] == PHOTO[before.scan_start :]
    assert sealed.startswith(b"\xff\xd8\xff\xe0")
    assert np.array_equal(Image.open(io.BytesIO(sealed)), Image.open(io.BytesIO(PHOTO)))


def test_sealing_again_replaces_the_sidecar() -> None:
    once = with_sidecar(PHOTO, SIDECAR)
    twice = with_sidecar(once, {**SIDECAR, "id": "01KB"})
    assert len(twice) == len(once)
    assert read_sidecar(twice) == {**SIDECAR, "id": "01KB"}
    assert with_sidecar(twice, SIDECAR) == once


def test_the_beginning_of_a_file_suffices_to_read_it() -> None:
    assert read_sidecar(with_sidecar(PHOTO, SIDECAR)[:HEAD_BYTES]) == SIDECAR


def test_the_cameras_own_exif_stays_but_for_what_holds_offsets() -> None:
    sealed = with_sidecar(camera_photo(), SIDECAR)
    exif = exif_of(sealed)
    inner, place = exif.get_ifd(EXIF_IFD), exif.get_ifd(GPS_IFD)
    assert exif[ExifTags.Base.Orientation] == 6
    assert exif[ExifTags.Base.Make] == "Maker & Sons"
    assert inner[ExifTags.Base.ExposureTime] == (1, 60)
    assert place[ExifTags.GPS.GPSLatitude] == (52.0, 30.0, 1.5)
    assert ExifTags.Base.MakerNote not in inner
    assert inner[ExifTags.Base.DateTimeOriginal] == "2025:11:20 04:15:29"
    assert read_sidecar(sealed) == SIDECAR


def test_big_endian_exif_is_read_and_kept() -> None:
    exif = Image.Exif()
    exif.endian = ">"
    exif[ExifTags.Base.Orientation] = 3
    exif.get_ifd(EXIF_IFD)[ExifTags.Base.DateTimeOriginal] = "2019:12:31 23:59:58"
    photo = scenes.jpeg(scenes.scene(2, 320, 240), exif=exif.tobytes())
    assert b"Exif\0\0MM" in photo
    assert taken_at(photo) == datetime.fromisoformat("2019-12-31T23:59:58")
    sealed = with_sidecar(photo, SIDECAR)
    assert exif_of(sealed)[ExifTags.Base.Orientation] == 3
    assert read_sidecar(sealed) == SIDECAR


def test_exif_too_large_to_share_a_segment_gives_way() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "x" * 64_000
    photo = scenes.jpeg(scenes.scene(2, 320, 240), exif=exif.tobytes())
    sealed = with_sidecar(photo, {**SIDECAR, "long": "y" * 5000})
    assert read_sidecar(sealed) == {**SIDECAR, "long": "y" * 5000}
    assert ExifTags.Base.ImageDescription not in exif_of(sealed)


def test_a_sidecar_over_64_kb_is_refused() -> None:
    with pytest.raises(ValueError, match="64 KB"):
        with_sidecar(PHOTO, {"long": "y" * 66_000})


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_only_a_jpeg_takes_a_sidecar(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a JPEG"):
        with_sidecar(data, SIDECAR)
    assert read_sidecar(data) is None
    assert taken_at(data) is None


def test_a_torn_jpeg_takes_one_too() -> None:
    torn = PHOTO[:300]
    assert read_sidecar(with_sidecar(torn, SIDECAR)) == SIDECAR
    assert read_sidecar(with_sidecar(b"\xff\xd8", SIDECAR)) == SIDECAR
    assert read_sidecar(with_sidecar(b"\xff\xd8\xff\xe1\xff\xff", SIDECAR)) == SIDECAR


@pytest.mark.parametrize(
    "comment",
    [b"", b"ASCII\0\0\0", b"ASCII\0\0\0hello", b"ASCII\0\0\0[1]", b'ASCII\0\0\0{"id": 1}', b"ASCII\0\0\0\xff\xfe",
     b"JIS\0\0\0\0\0\x1b$B", b"UNICODE\0\xd8"],
)  # fmt: skip
def test_a_comment_that_is_not_ours_is_no_sidecar(comment: bytes) -> None:
    assert read_sidecar(camera_photo(comment=comment)) is None


@pytest.mark.parametrize(
    "comment",
    [
        bytes(8) + '{"schema":1,"name":"Köln"}'.encode(),
        b"UNICODE\0" + '{"schema":1,"name":"Köln"}'.encode("utf-16-le"),
        b"UNICODE\0" + '{"schema":1,"name":"Köln"}'.encode("utf-16-be"),
    ],
)
def test_a_sidecar_that_another_program_wrote_anew_is_read(comment: bytes) -> None:
    assert read_sidecar(camera_photo(comment=comment)) == {"schema": 1, "name": "Köln"}


def test_the_time_taken_is_naive_without_an_offset_and_aware_with_one() -> None:
    assert taken_at(camera_photo()) == datetime.fromisoformat("2019-12-31T23:59:58")
    aware = taken_at(camera_photo(offset="+02:00"))
    assert aware == datetime(2019, 12, 31, 21, 59, 58, 250_000, tzinfo=UTC)
    assert aware is not None
    assert aware.utcoffset() == timedelta(hours=2)
    assert taken_at(with_sidecar(PHOTO, SIDECAR)) == datetime(2025, 11, 20, 4, 15, 29, 123_456, tzinfo=UTC)


@pytest.mark.parametrize("original", ["    :  :     :  :  ", "0000:00:00 00:00:00", "yesterday"])
def test_a_time_that_is_none_is_none(original: str) -> None:
    assert taken_at(camera_photo(original=original)) is None


def test_without_exif_there_is_neither_time_nor_sidecar() -> None:
    assert taken_at(PHOTO) is None
    assert read_sidecar(PHOTO) is None


def test_spoilt_exif_never_raises() -> None:
    dice = np.random.default_rng(4)
    photo = camera_photo()
    start = photo.index(b"Exif") + 6
    for _ in range(500):
        data = bytearray(photo)
        for at in dice.integers(start, start + 400, 4):
            data[at] = dice.integers(0, 256)
        taken_at(bytes(data))
        read_sidecar(bytes(data))
        assert read_sidecar(with_sidecar(bytes(data), SIDECAR)) == SIDECAR
