"""Encodes a plan: pictures decoded at the scale that is needed, in threads, while the encoder takes those before."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from node.crashpoint import crash_point
from node.domain.errors import CodecUnknown, EncoderFailed, NoFrames
from node.domain.quality import Integrity
from node.host.disk import failures_named
from node.imaging.decode import Pixels, check
from node.imaging.thumbnail import shrink
from node.render.plan import LeftOut, Plan, Still, Why

POSTER_WIDTH, POSTER_QUALITY = 640, 80
INDEX_BYTES, INDEX_FRAME_BYTES = 4096, 40  # at most about 30 of a frame's are used
_PIXELS, _FILTER = "yuv420p", Interpolation.LANCZOS | Interpolation.ACCURATE_RND
_COLOURS = {"color_range": "tv", "colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"}
_DOUBTS = {Integrity.EMPTY: Why.EMPTY}
_PARAMETERS = {
    "libx264": "rc-lookahead={lookahead}:b-pyramid=none",
    "libx265": "rc-lookahead={lookahead}:pools={threads}:frame-threads=1:log-level=error",
}
_TAGS = {"h264": "avc1", "hevc": "hvc1"}  # in MP4; of hev1, which is usual too, Apple's players want nothing

Progress = Callable[[int], None]
Picture = av.VideoFrame | Why


@dataclass(slots=True)
class Encoded:
    """Pictures that went in, those that could not, and how many are in the file by now."""

    used: list[Still] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    packets: int = 0

    @property
    def done(self) -> int:
        """Frames of the plan that are settled."""
        return self.packets + len(self.left_out)


def encode(plan: Plan, video: Path, poster: Path, progress: Progress) -> Encoded:
    """Both files, synced.  Raises NoFrames, CodecUnknown, EncoderFailed, DiskFull, DiskReadOnly, MemoryError."""
    encoded = Encoded()
    with failures_named(video):
        _write_video(plan, video, encoded, progress)
        progress(encoded.done)
        crash_point("render_closed")
        if len(encoded.used) < plan.min_frames:  # without any, there is not even a file
            raise NoFrames(f"{len(encoded.used)} of {plan.min_frames} can be decoded")
        _sync(video)
        crash_point("render_synced")
    with failures_named(poster):
        poster.write_bytes(_poster(plan, encoded.used))
        _sync(poster)
    crash_point("render_poster")
    return encoded


def _write_video(plan: Plan, video: Path, encoded: Encoded, progress: Progress) -> None:
    try:
        with av.open(str(video), "w", format="mp4", options=_container_options(plan)) as container:
            stream = _opened(plan, container)
            for packet in _packets(plan, stream, encoded, progress):
                container.mux(packet)
                encoded.packets += 1
                crash_point("render_packet")
    except (ValueError, RuntimeError, LookupError) as error:  # what PyAV raises beside OSError
        raise EncoderFailed(f"{plan.encoder}: {error}") from error


def _opened(plan: Plan, container: OutputContainer) -> VideoStream:
    """Listed is not usable: only the opened encoder proves that this machine has it."""
    try:
        stream = cast("VideoStream", container.add_stream(plan.encoder, rate=_rate(plan), options=_options(plan)))
        stream.width, stream.height = plan.width, plan.height
        stream.codec_context.codec_tag = _TAGS[plan.codec]
        stream.codec_context.open()
    except (ValueError, RuntimeError, LookupError, OSError) as error:
        raise CodecUnknown(f"{plan.encoder}: {error}") from error
    return stream


def _container_options(plan: Plan) -> dict[str, str]:
    """Room for the index at the front, where players look first: to move it there in the end writes all twice."""
    return {"moov_size": str(INDEX_BYTES + INDEX_FRAME_BYTES * len(plan.frames))}


def _options(plan: Plan) -> dict[str, str]:
    parameters = _PARAMETERS.get(plan.encoder, "").format(lookahead=plan.lookahead, threads=plan.threads)
    own = {"preset": plan.preset, "crf": str(plan.crf), "threads": str(plan.threads)}
    return own | _COLOURS | {f"{plan.encoder.removeprefix('lib')}-params": parameters}


def _rate(plan: Plan) -> Fraction:
    return Fraction(plan.fps).limit_denominator(1000)


def _packets(plan: Plan, stream: VideoStream, encoded: Encoded, progress: Progress) -> Iterator[Packet[VideoStream]]:
    for still, picture in _pictures(plan):
        progress(encoded.done)
        if isinstance(picture, Why):
            encoded.left_out.append(LeftOut(still.frame_id, picture))
            continue
        picture.pts, picture.time_base = len(encoded.used), 1 / _rate(plan)
        encoded.used.append(still)
        yield from stream.encode(picture)
    for packet in stream.encode(None):
        progress(encoded.done)
        yield packet


def _pictures(plan: Plan) -> Iterator[tuple[Still, Picture]]:
    """In order, decoded ahead by no more than the threads need."""
    with ThreadPoolExecutor(plan.decoders, thread_name_prefix="decode") as pool:
        waiting: deque[tuple[Still, Future[Picture]]] = deque()
        for still in plan.frames:
            waiting.append((still, pool.submit(_picture, still, plan)))
            if len(waiting) > plan.decoders:
                first, picture = waiting.popleft()
                yield first, picture.result()
        for still, picture in waiting:
            yield still, picture.result()


def _picture(still: Still, plan: Plan) -> Picture:
    """A picture in the encoder's form, or why there is none."""
    pixels = _pixels(still, plan, plan.width)
    if isinstance(pixels, Why):
        return pixels
    return VideoReformatter().reformat(
        av.VideoFrame.from_numpy_buffer(pixels, format="rgb24"),
        plan.width,
        plan.height,
        _PIXELS,
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        interpolation=_FILTER,
        threads=1,
    )


def _pixels(still: Still, plan: Plan, columns: int) -> Pixels | Why:
    """RGB of at least so many columns, as far as the picture has them."""
    try:
        data = Path(still.path).read_bytes()
    except FileNotFoundError:
        return Why.MISSING
    except OSError:
        return Why.UNDECODABLE
    checked = check(data, columns)
    if checked.pixels is None:
        return _DOUBTS.get(checked.integrity, Why.UNDECODABLE)
    if (checked.width, checked.height) != (plan.source_width, plan.source_height):
        return Why.OTHER_SIZE
    return checked.pixels


def _poster(plan: Plan, used: Sequence[Still]) -> bytes:
    """The middle picture, 640 wide, as JPEG; the next one where that has gone meanwhile."""
    middle = len(used) // 2
    for still in (*used[middle:], *used[:middle]):
        pixels = _pixels(still, plan, POSTER_WIDTH)
        if not isinstance(pixels, Why):
            return shrink(pixels, plan.source_width, plan.source_height, min(POSTER_WIDTH, plan.width), POSTER_QUALITY)
    raise EncoderFailed("no picture for the poster is left")


def _sync(path: Path) -> None:
    with path.open("rb+") as written:
        os.fsync(written.fileno())
