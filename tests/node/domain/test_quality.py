from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domain.config import QualityLimits
from node.domain.quality import (
    CHECKS,
    Evidence,
    Finding,
    Integrity,
    Judgement,
    Measures,
    Norm,
    Verdict,
    band,
    condemn,
    is_day,
    judge,
    ramp,
    speaks_against,
    unjudged,
    went_dark,
)

LIMITS = QualityLimits()
GOOD = Measures(mean=0.45, clipped=0.01, contrast=0.2, tint=0.05, warmth=0.1, filled=0.0, fill_light=0.4)
USUAL = Norm(
    frames=50,
    sharpness=1.0,
    tint=(0.02, 0.08),
    warmth=(-0.1, 0.3),
    filled=0.0,
    contrast=0.2,
    recent_low=0.4,
    shift=0.0,
    match=0.95,
    own_match=0.9,
)
COLD = replace(USUAL, frames=LIMITS.cold_below - 1)
EVIDENCE = Evidence(measures=GOOD, norm=USUAL, limits=LIMITS, day=True, repeats=1)
GREY = 128 / 255


def with_measures(evidence: Evidence = EVIDENCE, **changed: float) -> Evidence:
    return replace(evidence, measures=replace(evidence.measures, **changed))


def with_norm(evidence: Evidence = EVIDENCE, **changed: object) -> Evidence:
    return replace(evidence, norm=replace(evidence.norm or USUAL, **changed))


def reasons(evidence: Evidence) -> list[str]:
    return [reason.code for reason in judge(evidence).reasons]


def bad(evidence: Evidence) -> bool:
    return judge(evidence).verdict is Verdict.BAD


def test_a_usual_picture_is_perfect() -> None:
    assert judge(EVIDENCE) == Judgement(Verdict.GOOD, 100, (), baseline_frames=50, cold=False)


BAD = {
    "black": with_measures(mean=0.01),
    "blown": with_measures(clipped=0.95),
    "blurred": with_norm(sharpness=0.2),
    "stuck": replace(EVIDENCE, repeats=3),
    "filled": with_measures(filled=0.5, fill_light=GREY),
    "cast": with_measures(tint=0.9),
    "moved": with_norm(shift=0.2),
}


def test_every_check_has_a_case_here() -> None:
    assert {check.code for check in CHECKS} == set(BAD)


@pytest.mark.parametrize("code", BAD)
def test_each_fault_is_bad_with_its_reason_named(code: str) -> None:
    judgement = judge(BAD[code])
    assert judgement.verdict is Verdict.BAD
    assert [reason.code for reason in judgement.reasons] == [code]
    assert judgement.score == judgement.reasons[0].score < LIMITS.bad_below


def test_the_worst_reason_gives_the_score_and_stands_first() -> None:
    both = with_norm(with_measures(mean=0.02), shift=0.5)
    judgement = judge(both)
    assert [reason.code for reason in judgement.reasons] == ["moved", "black"]
    assert judgement.score == judgement.reasons[0].score == 0


def test_what_costs_less_than_ten_points_is_no_reason() -> None:
    slight = with_norm(sharpness=0.78)
    assert 90 <= (judge(slight).score or 0) < 100
    assert reasons(slight) == []
    assert reasons(with_norm(sharpness=0.6)) == ["blurred"]
    assert not bad(with_norm(sharpness=0.6))


LIMITS_REACHED = {
    "black": with_measures(mean=LIMITS.black_mean),
    "blown": with_measures(clipped=LIMITS.blown_share),
    "stuck": replace(EVIDENCE, repeats=LIMITS.stuck_count),
    "filled": with_measures(filled=LIMITS.filled_share, fill_light=GREY),
    "moved": with_norm(shift=LIMITS.moved_share),
    "blurred": with_norm(sharpness=LIMITS.blur_ratio),
}


@pytest.mark.parametrize("code", LIMITS_REACHED)
def test_at_its_limit_a_measure_is_bad_and_just_before_it_is_not(code: str) -> None:
    judgement = judge(LIMITS_REACHED[code])
    assert judgement.score == LIMITS.bad_below - 1
    (reason,) = judgement.reasons
    assert reason.measure == reason.limit


@pytest.mark.parametrize(
    "evidence",
    [
        with_measures(mean=0.0301),
        with_measures(clipped=0.849),
        replace(EVIDENCE, repeats=2),
        with_measures(filled=0.099, fill_light=GREY),
        with_norm(shift=0.119),
        with_norm(sharpness=0.501),
    ],
)
def test_before_the_limit_a_picture_is_good(evidence: Evidence) -> None:
    assert not bad(evidence)


def test_limits_are_the_documents() -> None:
    strict = QualityLimits(blur_ratio=0.9, moved_share=0.03, bad_below=80)
    assert bad(replace(with_norm(sharpness=0.88), limits=strict))
    assert bad(replace(with_norm(shift=0.03), limits=strict))
    assert not bad(replace(BAD["black"], limits=QualityLimits(bad_below=0)))


@pytest.mark.parametrize("day", [False, None])
def test_a_dark_night_is_no_black_frame(day: bool | None) -> None:
    night = replace(with_norm(with_measures(mean=0.005), recent_low=0.006), day=day)
    assert judge(night).score == 100


def test_sudden_darkness_is_black_also_where_the_suns_place_is_not_known() -> None:
    assert bad(replace(with_measures(mean=0.005), day=None))


def test_without_sun_and_history_darkness_is_named_but_not_bad() -> None:
    for norm in (None, COLD):
        judgement = judge(replace(with_measures(mean=0.005), day=None, norm=norm))
        assert (judgement.verdict, judgement.score, judgement.cold) == (Verdict.GOOD, LIMITS.bad_below, True)
        assert [reason.code for reason in judgement.reasons] == ["black"]


def test_without_history_only_what_is_certain_is_bad() -> None:
    for code in ("black", "blown", "stuck", "filled"):
        assert bad(replace(BAD[code], norm=None)), code
    for code in ("blurred", "cast", "moved"):
        assert not bad(replace(BAD[code], norm=replace(BAD[code].norm or USUAL, frames=9))), code
        assert not bad(replace(BAD[code], norm=None)), code


def test_history_is_counted_in_the_judgement() -> None:
    judgement = judge(replace(EVIDENCE, norm=None))
    assert (judgement.baseline_frames, judgement.cold) == (0, True)
    assert judge(replace(EVIDENCE, norm=COLD)).baseline_frames == 9


@pytest.mark.parametrize(
    ("share", "light", "day", "norm", "is_bad"),
    [
        (0.5, GREY, True, USUAL, True),
        (0.5, GREY, False, None, True),
        (0.5, 0.0, True, USUAL, True),
        (0.5, 0.0, False, USUAL, False),
        (0.5, 0.0, None, USUAL, False),
        (0.5, 0.0, True, COLD, False),
        (0.5, 1.0, True, None, False),
        (1.0, GREY, True, USUAL, False),
        (0.15, GREY, True, replace(USUAL, filled=0.15), False),
        (0.5, GREY, True, replace(USUAL, filled=0.15), True),
    ],
    ids=["grey", "grey by night", "black by day", "black by night", "black at an unknown hour", "black bar when cold",
         "burnt snow when cold", "all of it", "a caption that is always there", "more than the caption"],
)  # fmt: skip
def test_a_flat_end_counts_where_nature_has_none(
    share: float,
    light: float,
    day: bool | None,
    norm: Norm | None,
    is_bad: bool,
) -> None:
    evidence = replace(with_measures(filled=share, fill_light=light), day=day, norm=norm)
    assert ("filled" in reasons(evidence)) is is_bad


@pytest.mark.parametrize(
    ("tint", "own", "is_bad"),
    [
        (0.0, (-0.4, -0.3), False),
        (0.0, (0.2, 0.4), False),
        (0.6, (-0.4, -0.3), True),
        (-0.9, (-0.4, -0.3), True),
        (0.45, (0.3, 0.4), False),
    ],
    ids=["snow over a meadow", "fog over a red wall", "magenta", "green", "near what it always is"],
)
def test_a_cast_lies_beyond_the_cameras_own_colour_not_towards_grey(
    tint: float,
    own: tuple[float, float],
    is_bad: bool,
) -> None:
    assert bad(with_norm(with_measures(tint=tint), tint=own)) is is_bad


def test_a_cast_is_looked_for_by_day_and_in_light() -> None:
    assert not bad(replace(BAD["cast"], day=False))
    assert not bad(with_measures(BAD["cast"], mean=0.045))


def test_the_red_of_a_sunset_is_no_cast() -> None:
    assert not bad(with_measures(warmth=1.2))


def test_a_view_that_is_lost_altogether_is_moved() -> None:
    judgement = judge(with_norm(match=0.1))
    assert [(reason.code, reason.measure, reason.score) for reason in judgement.reasons] == [("moved", 1.0, 0)]


def test_thick_fog_that_hides_the_view_has_not_moved_it() -> None:
    assert not bad(with_measures(with_norm(match=0.05), contrast=0.02))
    assert not bad(with_measures(with_norm(shift=0.4), contrast=0.02))


def test_a_camera_whose_view_never_repeats_cannot_lose_it() -> None:
    assert not bad(with_norm(match=0.05, own_match=0.3))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("evidence", [with_measures, with_norm])
def test_a_measure_that_is_no_number_is_an_error_not_a_verdict(value: float, evidence: object) -> None:
    spoilt = with_measures(mean=value) if evidence is with_measures else with_norm(sharpness=value)
    with pytest.raises(ValueError, match="measured"):
        judge(spoilt)


@pytest.mark.parametrize("integrity", [word for word in Integrity if word is not Integrity.INTACT])
def test_a_damaged_file_scores_nothing_and_says_why(integrity: Integrity) -> None:
    judgement = condemn(integrity)
    assert (judgement.verdict, judgement.score) == (Verdict.BAD, 0)
    assert judgement.reasons[0].code == integrity.value


def test_an_unjudged_frame_has_no_score() -> None:
    assert (unjudged().verdict, unjudged().score) == (Verdict.UNJUDGED, None)


@pytest.mark.parametrize(
    ("score", "word"),
    [(100, "excellent"), (90, "excellent"), (89, "good"), (70, "good"), (69, "acceptable"), (50, "acceptable"),
     (49, "poor"), (30, "poor"), (29, "severe"), (0, "severe")],
)  # fmt: skip
def test_scores_have_words(score: int, word: str) -> None:
    assert band(score) == word


def test_day_begins_above_its_elevation() -> None:
    assert is_day(None, LIMITS) is None
    assert is_day(0.0, LIMITS) is False
    assert is_day(0.1, LIMITS) is True
    assert is_day(-3.0, QualityLimits(day_elevation_deg=-6)) is True


shares = st.floats(0, 1)


@given(shares, shares, st.integers(0, 100))
def test_a_ramp_never_rises_with_a_worse_measure(one: float, other: float, bad_below: int) -> None:
    better, worse = sorted((one, other))
    rising = [ramp(Finding(measure, 0.2, 0.5, 0.9), bad_below) for measure in (better, worse)]
    falling = [ramp(Finding(measure, 0.9, 0.5, 0.2), bad_below) for measure in (worse, better)]
    assert 100 >= rising[0] >= rising[1] >= 0
    assert 100 >= falling[0] >= falling[1] >= 0


@given(shares, st.integers(1, 100))
def test_a_ramp_is_bad_from_its_limit_on(measure: float, bad_below: int) -> None:
    assert (ramp(Finding(measure, 0.2, 0.5, 0.9), bad_below) < bad_below) is (measure >= 0.5)
    assert (ramp(Finding(measure, 0.9, 0.5, 0.2), bad_below) < bad_below) is (measure <= 0.5)


measures = st.builds(Measures, shares, shares, shares, st.floats(-3, 3), st.floats(-3, 3), shares, shares)
ranges = st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(lambda pair: (min(pair), max(pair)))
norms = st.none() | st.builds(
    Norm, st.integers(1, 500), st.floats(0, 10), ranges, ranges, shares, shares, shares, shares,
    st.floats(-1, 1), st.floats(-1, 1),
)  # fmt: skip
limits = st.builds(
    QualityLimits, bad_below=st.integers(0, 100), black_mean=shares, blown_share=shares, blur_ratio=shares,
    stuck_count=st.integers(2, 100), filled_share=st.floats(0.02, 1), cast_distance=shares, moved_share=shares,
)  # fmt: skip


@given(measures, norms, limits, st.sampled_from([None, True, False]), st.integers(1, 101))
def test_whatever_is_measured_the_judgement_is_whole(
    found: Measures,
    norm: Norm | None,
    given_limits: QualityLimits,
    day: bool | None,
    repeats: int,
) -> None:
    judgement = judge(Evidence(found, norm, given_limits, day, repeats))
    assert judgement.score is not None
    assert 0 <= judgement.score <= 100
    assert (judgement.verdict is Verdict.BAD) is (judgement.score < given_limits.bad_below)
    assert all(reason.score >= judgement.score for reason in judgement.reasons)
    assert judgement.verdict is Verdict.GOOD or judgement.reasons


@pytest.mark.parametrize(
    ("codes", "now", "then", "against"),
    [
        ((), 30.0, -20.0, False),
        (("blown", "cast"), 30.0, -20.0, False),
        (("black",), 30.0, -20.0, True),
        (("black",), -20.0, 30.0, False),
        (("blown",), -20.0, 30.0, True),
        (("blurred",), 30.0, 29.0, True),
        (("blown",), None, -20.0, True),
        (("blown",), 30.0, None, True),
    ],
)
def test_a_proof_shot_of_another_light_is_condemned_only_for_what_cannot_be(
    codes: tuple[str, ...], now: float | None, then: float | None, against: bool
) -> None:
    assert speaks_against(codes, now, then) is against


@pytest.mark.parametrize(
    ("mean", "usual", "dark"),
    [
        (0.003, 0.5, True),
        (0.003, 0.05, True),
        (0.003, 0.01, False),
        (0.02, 0.05, False),
        (0.02, 0.09, True),
        (0.1, 0.9, False),
    ],
)
def test_pictures_that_went_dark_are_told_from_a_dark_night(mean: float, usual: float, dark: bool) -> None:
    assert went_dark(mean, usual, QualityLimits()) is dark
