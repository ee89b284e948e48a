from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_FSIZE, setrlimit
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from node.domain.errors import CodecUnknown, DirectoryMissing, DiskFull, EncoderFailed, NoFrames
from node.render import encode as module
from node.render.encode import Encoded, encode
from node.render.plan import LeftOut, Plan, Still, Why
from tests.films import COUNT, HEIGHT, WIDTH, film, picture, pixels, probed, shown


def silent(_done: int) -> None:
    pass


def encoded(plan: Plan, folder: Path) -> tuple[Encoded, Path, Path]:
    video, poster = folder / ".out.mp4.tmp", folder / ".out.jpg.tmp"
    return encode(plan, video, poster, silent), video, poster


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """As a full disk: the system refuses to write more (Python ignores the signal that goes with it)."""
    setrlimit(RLIMIT_FSIZE, (size, RLIM_INFINITY))
    try:
        yield
    finally:
        setrlimit(RLIMIT_FSIZE, (RLIM_INFINITY, RLIM_INFINITY))


def test_every_picture_is_in_the_file_once_at_its_rate(tmp_path: Path) -> None:
    made, video, _ = encoded(film(tmp_path / "frames"), tmp_path)
    found = probed(video)
    assert len(made.used) == made.packets == made.done == COUNT
    assert int(found["nb_read_packets"]) == int(found["nb_read_frames"]) == COUNT
    assert (found["codec_name"], found["width"], found["height"]) == ("h264", WIDTH, HEIGHT)
    assert found["pix_fmt"] == "yuv420p"
    assert found["avg_frame_rate"] == found["r_frame_rate"] == "25/1"
    assert float(found["duration"]) == pytest.approx(COUNT / 25)


def test_pictures_come_in_order_in_the_colours_that_they_had(tmp_path: Path) -> None:
    _, video, _ = encoded(film(tmp_path / "frames", crf=10), tmp_path)
    frames = shown(video)
    assert len(frames) == COUNT
    for number, frame in enumerate(frames):
        offs = [np.abs(frame.astype(int) - pixels(other)).mean() for other in range(COUNT)]
        assert min(offs) == offs[number] < 1.5


def test_the_file_says_which_colours_it_means(tmp_path: Path) -> None:
    found = probed(encoded(film(tmp_path / "frames"), tmp_path)[1])
    assert {found[name] for name in ("color_space", "color_primaries", "color_transfer")} == {"bt709"}
    assert found["color_range"] == "tv"


def test_a_player_can_begin_before_it_has_the_whole_file(tmp_path: Path) -> None:
    content = encoded(film(tmp_path / "frames"), tmp_path)[1].read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize(("fps", "rate"), [(12.5, "25/2"), (1.0, "1/1"), (120.0, "120/1"), (14.286, "14286/1000")])
def test_the_rate_may_be_any(tmp_path: Path, fps: float, rate: str) -> None:
    found = probed(encoded(film(tmp_path / "frames", fps=fps), tmp_path)[1])
    assert float(Fraction(found["avg_frame_rate"])) == pytest.approx(float(Fraction(rate)), rel=1e-4)
    assert float(found["duration"]) == pytest.approx(COUNT / fps, rel=1e-3)


def test_hevc_carries_the_tag_that_all_players_read(tmp_path: Path) -> None:
    found = probed(encoded(film(tmp_path / "frames", codec="hevc"), tmp_path)[1])
    assert (found["codec_name"], found["codec_tag_string"]) == ("hevc", "hvc1")
    assert int(found["nb_read_frames"]) == COUNT


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((321, 241), (320, 240)),
        ((65, 49), (64, 48)),
        ((641, 51), (640, 50)),
        ((51, 641), (50, 628)),
        ((6001, 64), (1920, 20)),
        ((5000, 4000), (1920, 1536)),
    ],
)
def test_odd_narrow_and_large_pictures_become_even_ones(
    tmp_path: Path, size: tuple[int, int], shape: tuple[int, int]
) -> None:
    found = probed(encoded(film(tmp_path / "frames", 3, *size, preset="ultrafast"), tmp_path)[1])
    assert (found["width"], found["height"], found["nb_read_frames"]) == (*shape, "3")


def damaged(plan: Plan, number: int, content: bytes | None) -> None:
    path = Path(plan.frames[number].path)
    path.unlink()
    if content is not None:
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, Why.MISSING),
        (b"", Why.EMPTY),
        (b"not a picture", Why.UNDECODABLE),
        (picture(5)[: len(picture(5)) // 2], Why.UNDECODABLE),
        (picture(5, 640, 480), Why.OTHER_SIZE),
        (picture(5, 160, 120), Why.OTHER_SIZE),
        (b"\xff\xd8\xff" + bytes(5000), Why.UNDECODABLE),
    ],
    ids=["missing", "empty", "text", "torn", "larger", "smaller", "zeros"],
)
@pytest.mark.parametrize("number", [0, 5, COUNT - 1])
def test_a_picture_that_cannot_be_used_is_left_out_and_named(
    tmp_path: Path, content: bytes | None, why: Why, number: int
) -> None:
    plan = film(tmp_path / "frames")
    damaged(plan, number, content)
    made, video, _ = encoded(plan, tmp_path)
    assert made.left_out == [LeftOut(f"frame-{number:05}", why)]
    assert len(made.used) == int(probed(video)["nb_read_frames"]) == COUNT - 1
    assert made.done == COUNT


def test_a_folder_in_place_of_a_picture_is_left_out(tmp_path: Path) -> None:
    plan = film(tmp_path / "frames")
    damaged(plan, 3, None)
    Path(plan.frames[3].path).mkdir()
    assert encoded(plan, tmp_path)[0].left_out == [LeftOut("frame-00003", Why.UNDECODABLE)]


def test_a_progressive_picture_is_as_good_as_any(tmp_path: Path) -> None:
    plan = film(tmp_path / "frames")
    Image.fromarray(pixels(4)).save(plan.frames[4].path, "JPEG", progressive=True)
    assert encoded(plan, tmp_path)[0].left_out == []


def test_too_few_that_can_be_used_make_no_video(tmp_path: Path) -> None:
    plan = film(tmp_path / "frames", min_frames=COUNT)
    damaged(plan, 1, b"")
    with pytest.raises(NoFrames, match=f"{COUNT - 1} of {COUNT} can be decoded"):
        encoded(plan, tmp_path)


def test_none_that_can_be_used_make_no_video(tmp_path: Path) -> None:
    plan = film(tmp_path / "frames")
    for number in range(COUNT):
        damaged(plan, number, b"")
    with pytest.raises(NoFrames, match="0 of 2 can be decoded"):
        encoded(plan, tmp_path)


@pytest.mark.parametrize("encoder", ["h264_v4l2m2m", "libnothing"])
def test_an_encoder_that_does_not_open_here_is_unknown_even_where_it_is_listed(tmp_path: Path, encoder: str) -> None:
    with pytest.raises(CodecUnknown, match=encoder):
        encoded(replace(film(tmp_path / "frames"), encoder=encoder), tmp_path)


@pytest.mark.parametrize("size", [0, 100, 2000])
def test_a_disk_that_fills_up_is_named(tmp_path: Path, size: int) -> None:
    plan = film(tmp_path / "frames")
    with files_no_larger_than(size), pytest.raises(DiskFull, match=r"out\.mp4\.tmp: File too large"):
        encoded(plan, tmp_path)


def test_a_disk_that_fills_up_at_the_poster_is_named(tmp_path: Path) -> None:
    plan = film(tmp_path / "frames", crf=51, width=1280, height=960, max_width=64)
    video = tmp_path / "free.mp4"
    encode(plan, video, tmp_path / "free.jpg", silent)
    larger = replace(plan, width=640, height=480)
    assert video.stat().st_size < 8000
    with files_no_larger_than(8000), pytest.raises(DiskFull, match="tmp"):
        encoded(larger, tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    plan = film(tmp_path / "frames")
    with pytest.raises(DirectoryMissing):
        encode(plan, tmp_path / "gone" / "out.mp4", tmp_path / "out.jpg", silent)
    with pytest.raises(DirectoryMissing):
        encode(plan, tmp_path / "out.mp4", tmp_path / "gone" / "out.jpg", silent)


def test_progress_counts_what_is_in_the_file_or_left_out_and_never_runs_back(tmp_path: Path) -> None:
    plan = film(tmp_path / "frames", 30)
    for number in range(0, 30, 3):
        damaged(plan, number, b"")
    told: list[int] = []
    encode(plan, tmp_path / "out.mp4", tmp_path / "out.jpg", told.append)
    assert told == sorted(told)
    assert told[-1] == 30


def test_the_poster_is_the_middle_picture_640_wide(tmp_path: Path) -> None:
    poster = encoded(film(tmp_path / "frames", 5, 1280, 960), tmp_path)[2].read_bytes()
    seen = simplejpeg.decode_jpeg(poster).astype(int)
    assert seen.shape == (480, 640, 3)
    offs = [np.abs(seen - pixels(number, 1280, 960)[::2, ::2]).mean() for number in range(5)]
    assert min(offs) == offs[2]


def test_the_poster_is_never_larger_than_the_video(tmp_path: Path) -> None:
    poster = encoded(film(tmp_path / "frames", max_width=160), tmp_path)[2].read_bytes()
    assert simplejpeg.decode_jpeg_header(poster)[:2] == (120, 160)


def test_a_middle_picture_that_has_gone_meanwhile_gives_way_to_another(tmp_path: Path) -> None:
    plan = film(tmp_path / "frames", 4)
    used = list(plan.frames)
    for gone in (2, 3, 0):
        damaged(plan, gone, None)
    assert simplejpeg.decode_jpeg_header(module._poster(plan, used))[:2] == (HEIGHT, WIDTH)
    damaged(plan, 1, None)
    with pytest.raises(EncoderFailed):
        module._poster(plan, used)


@pytest.mark.parametrize("decoders", [1, 3])
def test_no_more_is_decoded_ahead_than_there_are_decoders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoders: int
) -> None:
    begun: list[Still] = []

    def note(still: Still, _plan: Plan) -> Why:
        begun.append(still)
        return Why.EMPTY

    monkeypatch.setattr(module, "_picture", note)
    plan = replace(film(tmp_path / "frames", 40), decoders=decoders)
    for taken, (still, _) in enumerate(module._pictures(plan), 1):
        assert still == plan.frames[taken - 1]
        time.sleep(0.001)  # longer than a decoder needs to run ahead
        assert len(begun) <= taken + decoders
    assert len(begun) == 40


def test_both_files_are_on_disk_when_they_are_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = module.os.fsync

    def note(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").resolve().name)
        real(descriptor)

    monkeypatch.setattr(module.os, "fsync", note)
    encoded(film(tmp_path / "frames"), tmp_path)
    assert synced == [".out.mp4.tmp", ".out.jpg.tmp"]


def test_the_encoders_own_complaint_is_an_encoders_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: Any) -> Iterator[Any]:
        message = "no more"
        raise ValueError(message)
        yield

    monkeypatch.setattr(module, "_packets", refuse)
    with pytest.raises(EncoderFailed, match="libx264: no more"):
        encoded(film(tmp_path / "frames"), tmp_path)
