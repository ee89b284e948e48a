"""Reads a video again, as somebody would who knows nothing of how it was made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from node.domain.errors import VideoWrong
from node.host.disk import failures_named
from node.imaging.decode import check
from node.render.judge import Facts

PIECE_BYTES = 1024 * 1024


def read(video: Path, poster: Path, progress: Callable[[], None]) -> Facts:
    """Raises VideoWrong where it is no video, or its poster no picture; DiskReadOnly where it cannot be read."""
    with failures_named(video):
        sha256 = _hashed(video, progress)
        size = video.stat().st_size
    with failures_named(poster):
        if check(poster.read_bytes()).pixels is None:
            raise VideoWrong("poster does not decode")
    try:
        return _facts(video, size, sha256, progress)
    except FFmpegError as error:
        raise VideoWrong(f"it does not open: {error.strerror}") from error


def _hashed(video: Path, progress: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    with video.open("rb") as content:
        while piece := content.read(PIECE_BYTES):
            digest.update(piece)
            progress()
    return digest.hexdigest()


def _facts(video: Path, size: int, sha256: str, progress: Callable[[], None]) -> Facts:
    with av.open(str(video)) as container:
        if [stream.type for stream in container.streams] != ["video"]:
            raise VideoWrong("it has not one stream of pictures")
        stream = container.streams.video[0]
        if cast("object", stream.codec_context) is None:  # a torn header may name none
            raise VideoWrong("it does not say how it is encoded")
        times = []
        for packet in container.demux(stream):
            if packet.size and packet.pts is not None:
                times.append(packet.pts)
                progress()
        duration_s = _lasts_s(stream)
        return Facts(
            frames=len(times),
            fps=len(times) / duration_s if duration_s else 0.0,
            duration_s=duration_s,
            width=stream.width,
            height=stream.height,
            codec=stream.codec_context.name,
            first_decodes=bool(times) and _decodes(container, stream, min(times)),
            last_decodes=bool(times) and _decodes(container, stream, max(times)),
            size_bytes=size,
            sha256=sha256,
        )


def _lasts_s(stream: VideoStream) -> float:
    if stream.duration is None or stream.time_base is None:
        return 0.0
    return float(stream.duration * stream.time_base)


def _decodes(container: InputContainer, stream: VideoStream, at: int) -> bool:
    """Whether the frame of this time comes out of the decoder, started at the key frame before it."""
    with suppress(FFmpegError):
        container.seek(at, stream=stream, backward=True)
        return any(frame.pts == at for frame in container.decode(stream))
    return False
