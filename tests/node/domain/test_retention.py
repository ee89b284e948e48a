"""The order in which files go, and what no rule ever takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domain.config import Retention
from node.domain.retention import RULES, Candidate, Choice, Policy, choose
from node.domain.times import US

NOW = 1_800_000_000 * US
DAY = 86400 * US
EVERYTHING = 2**60

retentions = st.builds(
    Retention,
    receipts_needed=st.integers(1, 3),
    frames_days=st.sampled_from([0, 1, 30, 3650]),
    order=st.sampled_from(["oldest", "thin"]),
    without_target=st.sampled_from(["stop", "overwrite_oldest"]),
    thumbnails_days=st.sampled_from([0, 365]),
    videos_days=st.sampled_from([None, 1]),
    quarantined_days=st.sampled_from([None, 1]),
)
policies = st.builds(Policy, retentions, st.sampled_from([(), ("nas",), ("nas", "office")]), st.booleans())
candidates = st.lists(
    st.builds(
        Candidate,
        what=st.sampled_from(["leftover", "thumbnail", "quarantined", "video", "frame"]),
        item=st.text("abcdefgh", min_size=6, max_size=12),
        path=st.just("p"),
        size_bytes=st.integers(0, 10_000_000),
        at_us=st.integers(NOW - 4000 * DAY, NOW + 10 * DAY) | st.just(0),
        dated=st.booleans(),
        receipts=st.integers(0, 4),
        score=st.none() | st.integers(0, 100),
        wanted=st.booleans(),
        ends=st.booleans(),
        newest=st.booleans(),
        pinned=st.booleans(),
    ),
    max_size=40,
    unique_by=lambda each: each.item,
)
needs = st.integers(0, 100_000_000) | st.just(EVERYTHING)


@given(candidates, needs, policies)
def test_a_frame_without_its_receipts_goes_by_the_one_named_exception_alone(
    found: list[Candidate], need: int, policy: Policy
) -> None:
    for choice in choose(found, need, policy, NOW):
        frame = choice.candidate
        if frame.what == "frame" and frame.receipts < policy.retention.receipts_needed:
            assert choice.rule.name == "without_target"
            assert policy.targets == ()
            assert policy.retention.without_target == "overwrite_oldest"
            assert need > 0


@given(candidates, needs, policies)
def test_pinned_videos_and_newest_thumbnails_never_go(found: list[Candidate], need: int, policy: Policy) -> None:
    for choice in choose(found, need, policy, NOW):
        assert not (choice.candidate.what == "video" and choice.candidate.pinned)
        assert not (choice.candidate.what == "thumbnail" and choice.candidate.newest)
        assert choice.candidate.what == choice.rule.what


@given(candidates, needs, policies)
def test_for_room_no_more_goes_than_is_needed(found: list[Candidate], need: int, policy: Policy) -> None:
    chosen = choose(found, need, policy, NOW)
    assert len({choice.candidate.item for choice in chosen}) == len(chosen)
    for_room = [choice for choice in chosen if choice.rule.for_room]
    if for_room:
        freed = sum(choice.candidate.size_bytes for choice in chosen)
        assert freed - for_room[-1].candidate.size_bytes < need


@given(candidates, policies)
def test_a_clock_that_is_not_set_makes_nothing_old(found: list[Candidate], policy: Policy) -> None:
    chosen = choose(found, 0, replace(policy, clock_synced=False), NOW)
    assert {choice.rule.name for choice in chosen} <= {"unfinished"}


@given(candidates, needs, policies)
def test_the_order_is_that_of_the_rules(found: list[Candidate], need: int, policy: Policy) -> None:
    places = [RULES.index(choice.rule) for choice in choose(found, need, policy, NOW)]
    assert places == sorted(places)


def frame(item: str, age_days: float = 100, **changes: object) -> Candidate:
    made = Candidate("frame", item, f"{item}.jpg", 10, NOW - round(age_days * DAY), receipts=1)
    return replace(made, **changes)


def items(chosen: tuple[Choice, ...]) -> list[str]:
    return [choice.candidate.item for choice in chosen]


ONE = Policy(Retention(), ("nas",))
THIN = Policy(Retention(order="thin", frames_days=3650), ("nas",))


def test_of_nothing_nothing_goes() -> None:
    assert choose((), EVERYTHING, ONE, NOW) == ()


def test_the_oldest_go_first_and_no_more_than_is_needed() -> None:
    frames = [frame("b", 2), frame("a", 3), frame("c", 1)]
    assert items(choose(frames, 20, ONE, NOW)) == ["a", "b"]
    assert items(choose(frames, 0, ONE, NOW)) == []


def test_what_is_too_old_goes_whether_room_is_short_or_not_and_counts_as_room() -> None:
    frames = [frame("old", 31), frame("young", 29)]
    assert items(choose(frames, 0, ONE, NOW)) == ["old"]
    assert items(choose(frames, 10, ONE, NOW)) == ["old"]
    assert items(choose(frames, 11, ONE, NOW)) == ["old", "young"]


def test_thinning_goes_by_score_then_age_and_leaves_unscored_ones_and_ends_to_the_last() -> None:
    frames = [
        frame("end", score=0, ends=True),
        frame("none", score=None),
        frame("good", score=90),
        frame("bad", 1, score=5),
        frame("worse", 50, score=5),
        frame("awaited", score=1, wanted=True),
    ]
    assert items(choose(frames, EVERYTHING, THIN, NOW)) == ["worse", "bad", "good", "none", "awaited", "end"]


def test_ends_of_shoots_outlast_videos() -> None:
    video = Candidate("video", "v", "v.mp4", 10, NOW - DAY)
    assert items(choose([frame("end", ends=True), video], EVERYTHING, THIN, NOW)) == ["v", "end"]


def test_videos_that_are_held_elsewhere_go_before_those_that_are_not() -> None:
    older = Candidate("video", "alone", "a.mp4", 10, NOW - 9 * DAY)
    newer = Candidate("video", "held", "h.mp4", 10, NOW - DAY, receipts=1)
    assert items(choose([older, newer], EVERYTHING, ONE, NOW)) == ["held", "alone"]


@pytest.mark.parametrize("years", [-60, 60])
def test_another_clock_takes_no_unverified_frame(years: int) -> None:
    alone = frame("alone", receipts=0)
    assert choose([alone], EVERYTHING, ONE, NOW + years * 365 * DAY) == ()


def test_a_hundred_thousand_frames_are_chosen_from_at_once() -> None:
    frames = [frame(f"{number:06}", 20 - number / 100_000, score=number % 101) for number in range(100_000)]
    assert items(choose(frames, 30, ONE, NOW)) == ["000000", "000001", "000002"]
    assert items(choose(frames, 20, THIN, NOW)) == ["000000", "000101"]


def test_only_a_node_whose_node_yml_names_no_target_overwrites() -> None:
    overwrite = Retention(without_target="overwrite_oldest")
    frames = [frame("x", 1, receipts=0)]
    assert items(choose(frames, 1, Policy(overwrite), NOW)) == ["x"]
    assert choose(frames, 1, Policy(overwrite, ("nas",)), NOW) == ()
    assert choose(frames, 1, Policy(Retention()), NOW) == ()
