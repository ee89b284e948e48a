"""The columns of a list of frames and gaps."""

from __future__ import annotations

from console.columns.table import Cell, Column, Manner, Table
from console.fleet.frames import FRAMES, FrameRow, exposure_s, gain

LOOKS = {
    "good": ("●", "+", "ok"),
    "bad": ("✖", "X", "crit"),
    "gap": ("○", "o", "warn"),
    "unjudged": ("◌", "~", "dim"),
}
"""Sign, sign in ASCII, style."""
LOW_SCORE = 50
KILO = 1000
SHORTEST_S = 1e-6
"""No shutter is faster; and one divided by far less is no number."""
MOST_BYTES = 10**30


def verdict_cell(row: FrameRow, manner: Manner) -> Cell:
    sign, plain, style = LOOKS[row.verdict]
    return Cell(f"{plain if manner.ascii else sign} {row.verdict}", style)


def _time(row: FrameRow, manner: Manner) -> Cell:
    return Cell(manner.time(row.at) or manner.unknown)


def _camera(row: FrameRow, _manner: Manner) -> Cell:
    return Cell(row.camera, "name")


def _score(row: FrameRow, manner: Manner) -> Cell:
    if row.score is None:
        return Cell(manner.unknown, "dim")
    return Cell(str(row.score), "warn" if row.score < LOW_SCORE else "plain")


def _why(row: FrameRow, _manner: Manner) -> Cell:
    return Cell(row.why)


def _size(row: FrameRow, manner: Manner) -> Cell:
    size = row.frame.size_bytes if row.frame is not None else None
    return Cell(manner.unknown if size is None else bytes_text(size), "dim")


def _exposure(row: FrameRow, manner: Manner) -> Cell:
    return Cell(shutter(exposure_s(row)) or manner.unknown, "dim")


def _gain(row: FrameRow, manner: Manner) -> Cell:
    value = gain(row)
    return Cell(manner.unknown if value is None else f"{value:.1f}", "dim")


def shutter(seconds: float | None) -> str:
    """As photographers write it: 1/60 s, 2.5 s; empty where it is not known."""
    if seconds is None or seconds <= 0:
        return ""
    if seconds < SHORTEST_S:
        return f"{seconds:.0e} s"
    return f"{seconds:.3g} s" if seconds >= 0.3 else f"1/{round(1 / seconds)} s"  # noqa: PLR2004 - as cameras do


def bytes_text(size: float) -> str:
    """In decimal units, three digits: 812 B, 1.25 MB."""
    value, units = float(max(-MOST_BYTES, min(MOST_BYTES, size))), ["B", "kB", "MB", "GB", "TB"]
    while value >= KILO and len(units) > 1:
        value /= KILO
        units.pop(0)
    return f"{value:.3g} {units[0]}" if value < KILO else f"{value:.0f} {units[0]}"


FRAME_TABLE: Table[FrameRow] = Table(
    kind=FRAMES,
    columns=(
        Column("verdict", "VERDICT", 10, 10, 0, verdict_cell, "how it was judged; gap = there is none"),
        Column("time", "TIME", 9, 12, 0, _time, "when it was taken, or was due", right=True),
        Column("camera", "CAMERA", 6, 20, 3, _camera, "whose it is"),
        Column("score", "SCORE", 5, 5, 1, _score, "100 = perfect", right=True),
        Column("why", "WHY", 16, 400, 2, _why, "what is wrong with it, or why there is none"),
        Column("size", "SIZE", 7, 7, 4, _size, "of the original", right=True),
        Column("exposure", "SHUTTER", 12, 12, 5, _exposure, "how long it was exposed", right=True),
        Column("gain", "GAIN", 5, 5, 6, _gain, "by which it was brightened", right=True),
    ),
    growth=(("why", 30), ("time", 12), ("why", 400)),
    name="verdict",
)
