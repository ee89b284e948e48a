from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import av
import pytest

from node.domain.errors import DirectoryMissing, VideoWrong
from node.render.encode import encode
from node.render.judge import faults
from node.render.plan import Plan
from node.render.verify import read
from tests.films import HEIGHT, WIDTH, film


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return film(tmp_path / "frames", 40)


@pytest.fixture
def made(plan: Plan, tmp_path: Path) -> tuple[Path, Path]:
    video, poster = tmp_path / "out.mp4", tmp_path / "out.jpg"
    encode(plan, video, poster, lambda _done: None)
    return video, poster


def silent() -> None:
    pass


def test_the_facts_are_those_of_the_file(plan: Plan, made: tuple[Path, Path]) -> None:
    facts = read(*made, silent)
    assert (facts.frames, facts.width, facts.height, facts.codec) == (40, WIDTH, HEIGHT, "h264")
    assert facts.fps == pytest.approx(25)
    assert facts.duration_s == pytest.approx(1.6)
    assert facts.first_decodes
    assert facts.last_decodes
    assert facts.size_bytes == made[0].stat().st_size
    assert facts.sha256 == hashlib.sha256(made[0].read_bytes()).hexdigest()
    assert faults(plan, 40, facts) == []


def test_a_video_with_many_key_frames_is_read_to_its_last_frame(tmp_path: Path) -> None:
    plan = film(tmp_path / "frames", 600, 64, 48)
    video, poster = tmp_path / "out.mp4", tmp_path / "out.jpg"
    encode(plan, video, poster, lambda _done: None)
    assert faults(plan, 600, read(video, poster, silent)) == []


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 0.99])
def test_a_torn_video_is_found_out_wherever_it_is_torn(plan: Plan, made: tuple[Path, Path], share: float) -> None:
    video, poster = made
    content = video.read_bytes()
    video.write_bytes(content[: int(len(content) * share)])
    try:
        said = faults(plan, 40, read(video, poster, silent))
    except VideoWrong as error:
        said = [error.detail]
    assert said


def copied(video: Path, *asked: str) -> None:
    """Made again by somebody else's program."""
    other = video.with_name("other.mp4")
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(video), *asked, str(other)], check=True)
    other.replace(video)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["-c", "copy", "-frames:v", "39"], "39 frames, 40 went in"),
        (["-vf", "select=not(eq(n\\,20))", "-fps_mode", "passthrough"], "39 frames, 40 went in"),
        (["-vf", "scale=160:120"], "160 × 120 pixels"),
        (["-r", "20"], "20 frames per second, 25 planned"),
        (["-c:v", "mpeg4"], "codec mpeg4"),
    ],
    ids=["cut", "dropped", "scaled", "slowed", "codec"],
)
def test_another_video_than_planned_is_found_out(
    plan: Plan, made: tuple[Path, Path], asked: list[str], said: str
) -> None:
    copied(made[0], *asked)
    assert any(said in each for each in faults(plan, 40, read(*made, silent)))


def test_a_last_frame_that_is_spoilt_does_not_decode(plan: Plan, made: tuple[Path, Path]) -> None:
    with av.open(str(made[0])) as container:
        last = max((packet for packet in container.demux() if packet.size), key=lambda packet: packet.pts)
        start, size = last.pos, last.size
    content = bytearray(made[0].read_bytes())
    content[start : start + size] = b"\xff" * size
    made[0].write_bytes(content)
    assert "last frame does not decode" in faults(plan, 40, read(*made, silent))


@pytest.mark.parametrize("content", [b"", b"no video at all", b"\x00\x00\x00\x18ftypmp42" + bytes(1000)])
def test_what_is_no_video_is_wrong(made: tuple[Path, Path], content: bytes) -> None:
    made[0].write_bytes(content)
    with pytest.raises(VideoWrong, match="it does not open"):
        read(*made, silent)


def test_sound_is_not_asked_for(made: tuple[Path, Path]) -> None:
    copied(made[0], "-f", "lavfi", "-i", "anullsrc", "-shortest", "-c:v", "copy")
    with pytest.raises(VideoWrong, match="one stream"):
        read(*made, silent)


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_a_poster_that_is_no_picture_is_wrong(made: tuple[Path, Path], content: bytes | None) -> None:
    if content is None:
        content = made[1].read_bytes()[:-600]
    made[1].write_bytes(content)
    with pytest.raises(VideoWrong, match="poster does not decode"):
        read(*made, silent)


def test_files_that_have_gone_are_named(made: tuple[Path, Path]) -> None:
    made[1].unlink()
    with pytest.raises(DirectoryMissing, match=r"out\.jpg"):
        read(*made, silent)
    made[0].unlink()
    with pytest.raises(DirectoryMissing, match=r"out\.mp4"):
        read(*made, silent)


def test_reading_is_heard_of_at_each_piece_and_packet(made: tuple[Path, Path]) -> None:
    heard: list[int] = []
    read(*made, lambda: heard.append(1))
    assert len(heard) > 40
