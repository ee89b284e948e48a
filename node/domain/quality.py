"""The judge's types and rules: measures and deviations in, a verdict with named reasons out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pydantic is 19 MB that the encoder's process does not need
    from node.domain.config import QualityLimits

PERFECT = 100
BANDS = ((90, "excellent"), (70, "good"), (50, "acceptable"), (30, "poor"), (0, "severe"))
EXCELLENT = BANDS[0][0]


class Integrity(StrEnum):
    """The certain answer about a file (closed)."""

    INTACT = "intact"
    EMPTY = "empty"
    WRONG_TYPE = "wrong_type"
    UNDECODABLE = "undecodable"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    TOO_SMALL = "too_small"


class Verdict(StrEnum):
    GOOD = "good"
    BAD = "bad"
    UNJUDGED = "unjudged"


@dataclass(frozen=True, slots=True)
class Reason:
    """One failed check: its code, what was measured, where the limit lay, and the score that it allows at most."""

    code: str
    measure: float
    limit: float
    score: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judge's whole answer.  `score` is 0..100, 100 = perfect; None when unjudged."""

    verdict: Verdict
    score: int | None
    reasons: tuple[Reason, ...] = ()
    baseline_frames: int = 0
    cold: bool = True


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured in one picture, without any history.  Luminance and shares are 0..1.

    `contrast` is the spread of luminance between larger parts.  `tint` is magenta (+) against green (-) in the tenth
    of the picture that is most magenta, `warmth` red (+) against blue (-), both divided by brightness.  `filled` is the
    share of rows at the end that have one flat colour, `fill_light` that colour's luminance.
    """

    mean: float
    clipped: float
    contrast: float
    tint: float
    warmth: float
    filled: float
    fill_light: float


@dataclass(frozen=True, slots=True)
class Norm:
    """How a picture stands against what is usual for this camera under this light.

    `sharpness` is fine against coarse contrast, as a share of what it usually is where both pictures have edges: fog
    lowers both contrasts alike, a lens out of focus only the fine one.  `match` is how alike the pattern of edges is
    to the camera's own where it fits best (-1..1), `own_match` what nine of ten good frames reach unshifted; `shift` is
    the framing's displacement as a share of the picture's width, 0 where none is certain.  Ranges and the rest are of
    the frames remembered.
    """

    frames: int
    sharpness: float
    tint: tuple[float, float]
    warmth: tuple[float, float]
    filled: float
    contrast: float
    recent_low: float
    shift: float
    match: float
    own_match: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a check may look at.  `day` is None without the sun's place; `repeats` counts this picture, too."""

    measures: Measures
    norm: Norm | None
    limits: QualityLimits
    day: bool | None
    repeats: int

    @property
    def cold(self) -> bool:
        return self.norm is None or self.norm.frames < self.limits.cold_below


@dataclass(frozen=True, slots=True)
class Finding:
    """A measure on its ramp: `clear` and nothing is lost, `limit` and it is bad, `total` and nothing is left."""

    measure: float
    clear: float
    limit: float
    total: float


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that can be wrong.  `find` answers None where it cannot tell.

    With `own` it compares with the camera's own history, and cannot make a picture bad while that is cold.
    """

    code: str
    find: Callable[[Evidence], Finding | None]
    own: bool = False


# The numbers below were tried on Debian's wallpaper photographs and scikit-learn's samples (17 real scenes) with
# simulated weather and faults; tests/node/work/test_judge.py holds the same trial on generated scenes.
SAME_LIGHT_DEG = 5.0  # of the sun's elevation
_VISIBLE = 0.015  # mean luminance; below it there is little to lose
_SUDDEN = 4.0  # times the limit of black: what recent frames had at least, if dusk has not led here
_CLEAR_BLACK, _CLEAR_BLOWN, _CLEAR_FILLED = 3.0, 0.6, 0.5  # of the limit
_CLEAR_BLURRED, _CLEAR_CAST, _CLEAR_MOVED = 1.6, 0.5, 0.5
_TOTAL_CAST, _TOTAL_MOVED = 3.0, 4.0
_TINT_WEIGHT, _WARMTH_WEIGHT = 0.75, 0.15  # the sun's height and clouds change red against blue by themselves
_BY_ANY_LIGHT = 0.6  # of the limit of blur
_DARK_FILL, _BRIGHT_FILL = 0.08, 0.96  # crushed shadows and burnt snow are flat by nature
_DIM = 0.05  # mean luminance below which the mean colour is the sensor's noise
_LOST_MATCH, _SURE_MATCH, _VISIBLE_CONTRAST = 0.4, 0.5, 0.3


def judge(evidence: Evidence) -> Judgement:
    """The verdict: the least score that any check allows.  Raises ValueError where a measure is not a number."""
    limits, norm = evidence.limits, evidence.norm
    reasons = [reason for check in CHECKS if (reason := _examine(check, evidence))]
    reasons.sort(key=lambda reason: reason.score)
    score = min((reason.score for reason in reasons), default=PERFECT)
    return Judgement(
        Verdict.BAD if score < limits.bad_below else Verdict.GOOD,
        score,
        tuple(reason for reason in reasons if reason.score < max(EXCELLENT, limits.bad_below)),
        norm.frames if norm else 0,
        evidence.cold,
    )


def condemn(integrity: Integrity) -> Judgement:
    """The judgement of a file that is not intact: nothing of it is left to score."""
    return Judgement(Verdict.BAD, 0, (Reason(integrity.value, 1.0, 1.0, 0),))


def unjudged() -> Judgement:
    return Judgement(Verdict.UNJUDGED, None)


def band(score: int) -> str:
    """The score in a word."""
    return next(word for least, word in BANDS if score >= least)


def speaks_against(codes: Sequence[str], sun_now_deg: float | None, sun_then_deg: float | None) -> bool:
    """Whether a proof shot taken now condemns an exposure that is meant for another light.

    A night's exposure is blown by day and a day's one black by night: that proves nothing.  The other way round it
    does.  Where the light is much the same, or the sun's place is not known, every fault counts.
    """
    if sun_now_deg is None or sun_then_deg is None or abs(sun_now_deg - sun_then_deg) < SAME_LIGHT_DEG:
        return bool(codes)
    return ("black" if sun_then_deg < sun_now_deg else "blown") in codes


def went_dark(mean: float, usual: float, limits: QualityLimits) -> bool:
    """Whether a picture is black where the camera's last ones, by whatever profile, showed something: two stops more.

    For a document on probation: a profile of its own has no history that could speak, the sun may not be known, and
    a night that the camera could see is no excuse.
    """
    return mean <= limits.black_mean and usual >= max(_VISIBLE, _SUDDEN * mean)


def is_day(sun_elevation_deg: float | None, limits: QualityLimits) -> bool | None:
    return None if sun_elevation_deg is None else sun_elevation_deg > limits.day_elevation_deg


def ramp(finding: Finding, bad_below: int) -> int:
    """100 at `clear`, just bad at `limit`, 0 at `total`; straight lines between.  The measure may rise or fall."""
    measure, clear, limit, total = finding.measure, finding.clear, finding.limit, finding.total
    direction = 1 if limit >= clear else -1
    if (measure - limit) * direction < 0:
        way = _share(measure - limit, clear - limit)
        return math.floor(bad_below + (PERFECT - bad_below) * way)
    return math.floor(max(0, bad_below - 1) * (1 - _share(measure - limit, total - limit)))


def _share(part: float, whole: float) -> float:
    return min(1.0, max(0.0, part / whole)) if whole else 1.0


def _examine(check: Check, evidence: Evidence) -> Reason | None:
    finding = check.find(evidence)
    if finding is None:
        return None
    if not math.isfinite(finding.measure):
        message = f"{check.code} measured {finding.measure}"
        raise ValueError(message)
    bad_below = evidence.limits.bad_below
    score = ramp(finding, bad_below)
    if check.own and evidence.cold:
        score = max(score, bad_below)
    return Reason(check.code, round(finding.measure, 4), round(finding.limit, 4), score)


# --- the checks -------------------------------------------------------------------------------------------------


def _black(evidence: Evidence) -> Finding | None:
    return _darkness(evidence) if evidence.day else None


def _darkened(evidence: Evidence) -> Finding | None:
    """Where the sun's place is not known: only sudden darkness, since dusk leads to night over several frames."""
    norm, limit = evidence.norm, evidence.limits.black_mean
    dusk_led_here = norm is not None and not evidence.cold and norm.recent_low <= _SUDDEN * limit
    return None if evidence.day is not None or dusk_led_here else _darkness(evidence)


def _darkness(evidence: Evidence) -> Finding:
    limit = evidence.limits.black_mean
    return Finding(evidence.measures.mean, _CLEAR_BLACK * limit, limit, 0.0)


def _blown(evidence: Evidence) -> Finding:
    limit = evidence.limits.blown_share
    return Finding(evidence.measures.clipped, _CLEAR_BLOWN * limit, limit, 1.0)


def _blurred(evidence: Evidence) -> Finding | None:
    """Where the sun's place is not known the history may be of nights, whose noise passes for detail."""
    if evidence.norm is None or not _looks_one_way(evidence.norm):
        return None
    limit = evidence.limits.blur_ratio * (_BY_ANY_LIGHT if evidence.day is None else 1.0)
    return Finding(evidence.norm.sharpness, min(1.0, _CLEAR_BLURRED * limit), limit, 0.0)


def _looks_one_way(norm: Norm) -> bool:
    """Whether this camera has a view of its own; a folder of mixed photographs played back has none."""
    return norm.own_match >= _SURE_MATCH


def _stuck(evidence: Evidence) -> Finding:
    limit = evidence.limits.stuck_count
    return Finding(evidence.repeats, limit - 1, limit, 2 * limit)


def _filled(evidence: Evidence) -> Finding | None:
    """A flat end in some colour; a picture that is flat all over is black or blown, not filled."""
    measures, limit = evidence.measures, evidence.limits.filled_share
    usual = evidence.norm.filled if evidence.norm else 0.0
    natural = not _DARK_FILL < measures.fill_light < _BRIGHT_FILL
    if measures.filled >= 1.0 or (natural and (evidence.cold or evidence.day is not True)):
        return None
    return Finding(max(0.0, measures.filled - usual), _CLEAR_FILLED * limit, limit, 1.0)


def _cast(evidence: Evidence) -> Finding | None:
    """A colour that this camera never has by day.  Towards grey is weather: fog, snow, infrared."""
    measures, norm, limit = evidence.measures, evidence.norm, evidence.limits.cast_distance
    if norm is None or not _looks_one_way(norm) or evidence.day is False or measures.mean < _DIM:
        return None
    distance = math.hypot(
        _TINT_WEIGHT * _beyond(measures.tint, norm.tint), _WARMTH_WEIGHT * _beyond(measures.warmth, norm.warmth)
    )
    return Finding(distance, _CLEAR_CAST * limit, limit, _TOTAL_CAST * limit)


def _beyond(value: float, usual: tuple[float, float]) -> float:
    """How far a colour lies outside of what is usual, on the far side from grey."""
    low, high = min(0.0, usual[0]), max(0.0, usual[1])
    return max(0.0, value - high, low - value)


def _moved(evidence: Evidence) -> Finding | None:
    """The framing shifted, or left what it showed altogether; thick fog leaves too little to tell."""
    norm, limit = evidence.norm, evidence.limits.moved_share
    if norm is None or evidence.measures.contrast < _VISIBLE_CONTRAST * norm.contrast:
        return None
    lost = _looks_one_way(norm) and norm.match < _LOST_MATCH * norm.own_match
    return Finding(1.0 if lost else norm.shift, _CLEAR_MOVED * limit, limit, _TOTAL_MOVED * limit)


CHECKS = (
    Check("black", _black),
    Check("black", _darkened, own=True),
    Check("blown", _blown),
    Check("blurred", _blurred, own=True),
    Check("stuck", _stuck),
    Check("filled", _filled),
    Check("cast", _cast, own=True),
    Check("moved", _moved, own=True),
)
