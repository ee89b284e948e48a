"""The rules of a video: which frames, how large, how fast, by which encoder, and what memory that takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.domain.errors import CodecUnknown, MemoryShort, NoFrames
from node.domain.quality import Integrity

if TYPE_CHECKING:  # pydantic is 19 MB that the encoder's process does not need
    from node.domain.config import Codec, Preset, Render, Tier

MB = 1024 * 1024
MOST_THREADS, LOOKAHEAD = 2, 10


class Why(StrEnum):
    """Why a frame is not in the video (closed)."""

    FLAGGED = "flagged"
    DAMAGED = "damaged"
    MISSING = "missing"
    EMPTY = "empty"
    OTHER_SIZE = "other_size"
    UNDECODABLE = "undecodable"


@dataclass(frozen=True, slots=True)
class Source:
    """A kept frame as its row tells it; `path` is absolute."""

    frame_id: str
    path: Path
    width: int
    height: int
    captured_us: int
    integrity: Integrity = Integrity.INTACT
    flagged: bool = False
    quarantined: bool = False


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A frame that the video does not show."""

    frame_id: str
    why: Why


@dataclass(frozen=True, slots=True)
class Chosen:
    """The frames of a video in the order of capture, all of one size."""

    frames: tuple[Source, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class Still:
    """One picture of a plan; `path` is absolute."""

    frame_id: str
    path: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What is asked of a video; None = as the tier has it."""

    tier: Tier = "standard"
    codec: Codec = "h264"
    max_width: int = 1920
    fps: float = 25.0
    target_s: float | None = None
    fps_min: float = 10.0
    fps_max: float = 60.0
    crf: int | None = None
    preset: Preset | None = None
    threads: int = 0
    min_frames: int = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the child needs.  `crf`, `preset`, `threads` and `lookahead` (frames) are the encoder's."""

    frames: tuple[Still, ...]
    source_width: int
    source_height: int
    width: int
    height: int
    fps: float
    tier: Tier
    codec: Codec
    encoder: str
    crf: int
    preset: Preset
    threads: int
    lookahead: int
    decoders: int
    min_frames: int

    @property
    def predicted_bytes(self) -> int:
        """Peak memory of the child that encodes it."""
        return predict_bytes(self)

    @property
    def duration_s(self) -> float:
        """Seconds that the video lasts when every frame decodes."""
        return len(self.frames) / self.fps


def plan_from(given: Mapping[str, Any]) -> Plan:
    """The plan that `dataclasses.asdict` made, after its way through JSON."""
    stills = tuple(Still(**still) for still in given["frames"])
    return Plan(**{**given, "frames": stills})


@dataclass(frozen=True, slots=True)
class Quality:
    """What a tier means to an encoder."""

    crf: int
    preset: Preset


TIERS: Mapping[Codec, Mapping[Tier, Quality]] = {
    # beside medium at 23, the usual call: as good and as large, for half the time
    "h264": {
        "preview": Quality(28, "veryfast"),
        "standard": Quality(21, "veryfast"),
        "archive": Quality(18, "faster"),
    },
    # as good again, in half the bytes
    "hevc": {
        "preview": Quality(30, "veryfast"),
        "standard": Quality(23, "veryfast"),
        "archive": Quality(20, "faster"),
    },
}
ENCODERS: Mapping[Codec, str] = {"h264": "libx264", "hevc": "libx265"}


def settings_of(
    render: Render, *, tier: Tier | None = None, fps: float | None = None, codec: Codec | None = None
) -> Settings:
    """The document's, with what a job asks for instead: a rate is fixed then, another tier or codec as in the table."""
    own = tier in (None, render.tier) and codec in (None, render.codec)
    return Settings(
        tier=tier or render.tier,
        codec=codec or render.codec,
        max_width=render.max_width,
        fps=fps or render.fps,
        target_s=None if fps else render.target_s,
        fps_min=render.fps_min,
        fps_max=render.fps_max,
        crf=render.crf if own else None,
        preset=render.preset if own else None,
        threads=render.threads,
        min_frames=render.min_frames,
    )


def choose(sources: Sequence[Source], size_of: Callable[[Path], int | None] | None = None) -> Chosen:
    """The frames worth showing, and why each other one is not.

    `size_of` tells the bytes of a file, None where there is none; default: the file system.
    """
    looked = size_of or file_size
    ordered = sorted({source.frame_id: source for source in sources}.values(), key=_moment)
    doubts = {source.frame_id: _doubt(source, looked) for source in ordered}
    usual = _usual_size([source for source in ordered if doubts[source.frame_id] is None])
    frames, left_out = [], []
    for source in ordered:
        why = doubts[source.frame_id] or (Why.OTHER_SIZE if (source.width, source.height) != usual else None)
        if why is None:
            frames.append(source)
        else:
            left_out.append(LeftOut(source.frame_id, why))
    return Chosen(tuple(frames), tuple(left_out))


def file_size(path: Path) -> int | None:
    """Bytes of a regular file; None where there is none."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _moment(source: Source) -> tuple[int, str]:
    return source.captured_us, source.frame_id


def _doubt(source: Source, size_of: Callable[[Path], int | None]) -> Why | None:
    if source.flagged:
        return Why.FLAGGED
    if source.quarantined or source.integrity is not Integrity.INTACT:
        return Why.DAMAGED
    size = size_of(source.path)
    if size is None:
        return Why.MISSING
    return None if size else Why.EMPTY


def _usual_size(sources: Sequence[Source]) -> tuple[int, int] | None:
    """What most of them have; of equals, the one that came first."""
    sizes = Counter((source.width, source.height) for source in sources)
    return max(sizes, key=sizes.__getitem__, default=None)


def plan_of(chosen: Chosen, settings: Settings, *, cores: int) -> Plan:
    """The video of these frames.  Raises NoFrames, CodecUnknown."""
    count = len(chosen.frames)
    if count < max(1, settings.min_frames):
        raise NoFrames(f"{count} of {settings.min_frames}, {len(chosen.left_out)} left out")
    if settings.codec not in ENCODERS:
        raise CodecUnknown(str(settings.codec)[:40])
    first, quality = chosen.frames[0], TIERS[settings.codec][settings.tier]
    width, height = output_size(first.width, first.height, settings.max_width)
    return Plan(
        frames=tuple(Still(source.frame_id, str(source.path)) for source in chosen.frames),
        source_width=first.width,
        source_height=first.height,
        width=width,
        height=height,
        fps=rate(count, settings),
        tier=settings.tier,
        codec=settings.codec,
        encoder=ENCODERS[settings.codec],
        crf=quality.crf if settings.crf is None else settings.crf,
        preset=settings.preset or quality.preset,
        threads=settings.threads or min(MOST_THREADS, max(1, cores)),
        lookahead=LOOKAHEAD,
        decoders=2 if cores > MOST_THREADS else 1,
        min_frames=max(1, settings.min_frames),
    )


def output_size(width: int, height: int, max_width: int) -> tuple[int, int]:
    """Even sides (colour is stored at half the size), of the source's shape, never larger than it."""
    columns = min(width, max_width) & ~1
    rows = min(height & ~1, 2 * round(columns * height / width / 2))
    return max(2, columns), max(2, rows)


def rate(count: int, settings: Settings) -> float:
    """Frames per second: fixed, or so that the video lasts as long as it should, within its bounds."""
    if settings.target_s is None:
        return settings.fps
    wanted = count / settings.target_s
    return round(min(settings.fps_max, max(settings.fps_min, wanted)), 3)


@dataclass(frozen=True, slots=True)
class Appetite:
    """What an encoder holds in bytes: for each pixel of the video, and for each again and frame of look-ahead."""

    pixel: float
    ahead: float


APPETITES: Mapping[Preset, Appetite] = {
    "ultrafast": Appetite(12, 0),  # these two do not look ahead
    "superfast": Appetite(38, 0),
    "veryfast": Appetite(29, 3.25),
    "faster": Appetite(30, 3.25),
    "fast": Appetite(31, 3.25),
    "medium": Appetite(37, 3.25),
    "slow": Appetite(49, 3.25),
}
PROGRAM_BYTES, DECODER_BYTES, THREAD_PIXEL_BYTES = 58 * MB, 4 * MB, 1.5
HEVC_BYTES, HEVC_PIXEL_BYTES = 26 * MB, 62


def predict_bytes(plan: Plan) -> int:
    """Peak memory of the child, fitted to measurements of both encoders from 320 to 3840 pixels wide.

    The program; in each decoder a picture as it was decoded, and as it waits for the encoder; the encoder.
    """
    pixels, eighths = plan.width * plan.height, min(8, -(-8 * plan.width // plan.source_width))
    decoded = 3 * plan.source_width * plan.source_height * eighths**2 // 64
    appetite = APPETITES[plan.preset]
    each = appetite.pixel + appetite.ahead * plan.lookahead + THREAD_PIXEL_BYTES * min(plan.threads - 1, 2)
    if plan.codec == "hevc":
        each += HEVC_PIXEL_BYTES
    fixed = PROGRAM_BYTES + (HEVC_BYTES if plan.codec == "hevc" else 0)
    return round(fixed + plan.decoders * (decoded + 3 * pixels + DECODER_BYTES) + each * pixels)


LIGHTER: tuple[Mapping[str, Any], ...] = (
    {"threads": 1, "decoders": 1},
    {"lookahead": 5},
    {"preset": "veryfast"},
    {"max_width": 1280},
    {"max_width": 960},
    {"max_width": 640},
)
"""What a plan gives up, in this order, until it fits into memory."""


def fit(plan: Plan, room_bytes: int) -> Plan:
    """The plan itself, or what is left of it on a small machine.  Raises MemoryShort where nothing fits."""
    tried = plan
    for tried in _lighter(plan):
        if tried.predicted_bytes <= room_bytes:
            return tried
    raise MemoryShort(f"{tried.predicted_bytes // MB} MiB needed at least, {room_bytes // MB} MiB free")


def _lighter(plan: Plan) -> Iterator[Plan]:
    """Each step that helps, on top of those before it."""
    yield plan
    for step in LIGHTER:
        less = _changed(plan, **step)
        if less.predicted_bytes < plan.predicted_bytes:
            plan = less
            yield plan


def _changed(plan: Plan, *, max_width: int | None = None, **fields: Any) -> Plan:  # noqa: ANN401 - fields of a plan
    if max_width is None:
        return replace(plan, **fields)
    width, height = output_size(plan.source_width, plan.source_height, min(plan.width, max_width))
    return replace(plan, width=width, height=height, **fields)
