"""Whether a video, as it was read again, is what its plan asked for."""

from __future__ import annotations

from dataclasses import dataclass

from node.render.plan import Plan

RATE_PPM = 1000


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file holds.  `frames` are counted packets; the two flags say that those frames came out of a decoder."""

    frames: int
    fps: float
    duration_s: float
    width: int
    height: int
    codec: str
    first_decodes: bool
    last_decodes: bool
    size_bytes: int
    sha256: str


def faults(plan: Plan, encoded: int, facts: Facts) -> list[str]:
    """Every way in which it differs; `encoded` pictures went into it."""
    expected_s = encoded / plan.fps
    checks = (
        (facts.frames == encoded, f"{facts.frames} frames, {encoded} went in"),
        (encoded >= plan.min_frames, f"{encoded} frames, {plan.min_frames} are needed"),
        (_near(facts.fps, plan.fps, plan.fps), f"{facts.fps:g} frames per second, {plan.fps:g} planned"),
        (_near(facts.duration_s, expected_s, expected_s), f"lasts {facts.duration_s:g} s, not {expected_s:g} s"),
        ((facts.width, facts.height) == (plan.width, plan.height), f"{facts.width} × {facts.height} pixels"),
        (facts.codec == plan.codec, f"codec {facts.codec}"),
        (facts.first_decodes, "first frame does not decode"),
        (facts.last_decodes, "last frame does not decode"),
    )
    return [said for holds, said in checks if not holds]


def _near(value: float, wanted: float, scale: float) -> bool:
    return abs(value - wanted) * 1_000_000 <= RATE_PPM * scale
