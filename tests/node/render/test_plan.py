from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domain.config import Render
from node.domain.errors import CodecUnknown, MemoryShort, NoFrames
from node.domain.quality import Integrity
from node.render.plan import (
    MB,
    TIERS,
    LeftOut,
    Plan,
    Settings,
    Source,
    Why,
    choose,
    fit,
    output_size,
    plan_from,
    plan_of,
    settings_of,
)

TWELVE = (4056, 3040)


def source(number: int, size: tuple[int, int] = TWELVE, **changes: object) -> Source:
    made = Source(f"f{number:05}", Path(f"/frames/{number}.jpg"), *size, number)
    return replace(made, **changes)


def sources(count: int, size: tuple[int, int] = TWELVE) -> list[Source]:
    return [source(number, size) for number in range(count)]


def there(_path: Path) -> int | None:
    return 1000


def plan(count: int = 20, size: tuple[int, int] = TWELVE, cores: int = 4, **asked: object) -> Plan:
    return plan_of(choose(sources(count, size), there), Settings(**asked), cores=cores)


def test_frames_are_shown_in_the_order_of_capture_and_each_once() -> None:
    mixed = [source(3), source(1), source(2), source(1)]
    assert [each.frame_id for each in choose(mixed, there).frames] == ["f00001", "f00002", "f00003"]


@pytest.mark.parametrize(
    ("changes", "size", "why"),
    [
        ({"flagged": True}, 1000, Why.FLAGGED),
        ({"quarantined": True}, 1000, Why.DAMAGED),
        ({"integrity": Integrity.TRUNCATED}, 1000, Why.DAMAGED),
        ({"width": 2028, "height": 1520}, 1000, Why.OTHER_SIZE),
        ({}, None, Why.MISSING),
        ({}, 0, Why.EMPTY),
    ],
)
def test_a_frame_that_is_not_worth_showing_is_left_out_and_named(
    changes: dict[str, object], size: int | None, why: Why
) -> None:
    odd = source(2, **changes)
    chosen = choose([source(1), odd, source(3)], lambda path: size if path == odd.path else 1000)
    assert [each.frame_id for each in chosen.frames] == ["f00001", "f00003"]
    assert chosen.left_out == (LeftOut("f00002", why),)


def test_the_usual_size_is_that_of_most_frames_that_can_be_shown() -> None:
    small = [replace(each, flagged=True) for each in sources(5, (640, 480))]
    chosen = choose([*small, source(7), source(8), source(9, (640, 480))], there)
    assert [each.frame_id for each in chosen.frames] == ["f00007", "f00008"]
    assert chosen.left_out[-1] == LeftOut("f00009", Why.OTHER_SIZE)


def test_of_two_sizes_equally_many_the_first_counts() -> None:
    chosen = choose([source(1, (640, 480)), source(2), source(3, (640, 480)), source(4)], there)
    assert [each.width for each in chosen.frames] == [640, 640]


def test_what_is_on_disk_decides_without_being_told(tmp_path: Path) -> None:
    whole, empty, folder = (tmp_path / name for name in ("whole.jpg", "empty.jpg", "folder.jpg"))
    whole.write_bytes(b"something")
    empty.touch()
    folder.mkdir()
    gone = tmp_path / "gone.jpg"
    chosen = choose([source(number, path=path) for number, path in enumerate((whole, empty, folder, gone))])
    assert [each.path for each in chosen.frames] == [whole]
    assert [each.why for each in chosen.left_out] == [Why.EMPTY, Why.MISSING, Why.MISSING]


def test_no_frames_are_no_video() -> None:
    assert choose([], there).frames == ()
    with pytest.raises(NoFrames):
        plan(0)


def test_too_few_frames_are_no_video_and_the_error_counts_them() -> None:
    with pytest.raises(NoFrames, match="9 of 10, 0 left out"):
        plan(9)
    assert len(plan(10).frames) == 10


def test_a_codec_that_nobody_has_heard_of_is_refused() -> None:
    with pytest.raises(CodecUnknown, match="theora"):
        plan(codec="theora")


@pytest.mark.parametrize(
    ("source_size", "max_width", "expected"),
    [
        (TWELVE, 1920, (1920, 1440)),
        ((1920, 1080), 1920, (1920, 1080)),
        ((1280, 720), 1920, (1280, 720)),  # not enlarged
        ((641, 481), 1920, (640, 480)),
        ((3, 3), 1920, (2, 2)),
        ((4056, 3040), 4056, (4056, 3040)),
        ((1000, 10), 64, (64, 2)),
        ((16384, 16384), 8192, (8192, 8192)),
    ],
)
def test_a_video_is_even_keeps_its_shape_and_is_never_larger(
    source_size: tuple[int, int], max_width: int, expected: tuple[int, int]
) -> None:
    assert output_size(*source_size, max_width) == expected


@given(st.integers(48, 16384), st.integers(48, 16384), st.integers(64, 8192))
def test_any_size_becomes_an_even_one_inside_it(width: int, height: int, max_width: int) -> None:
    columns, rows = output_size(width, height, max_width)
    assert columns % 2 == rows % 2 == 0
    assert 2 <= columns <= min(width, max_width)
    assert 2 <= rows <= height
    assert abs(rows - columns * height / width) <= 2


@pytest.mark.parametrize(
    ("asked", "count", "fps"),
    [
        ({"fps": 12.5}, 100, 12.5),
        ({"target_s": 40.0}, 1000, 25.0),
        ({"target_s": 40.0}, 100_000, 60.0),
        ({"target_s": 40.0}, 50, 10.0),
        ({"target_s": 7.0}, 100, 14.286),
    ],
)
def test_the_rate_is_fixed_or_follows_the_wanted_duration_within_bounds(
    asked: dict[str, object], count: int, fps: float
) -> None:
    assert plan(count, **asked).fps == fps


def test_a_rate_asked_for_goes_before_the_duration_of_the_document() -> None:
    document = Render(target_s=40)
    assert settings_of(document).target_s == 40
    asked = settings_of(document, fps=30)
    assert (asked.fps, asked.target_s) == (30, None)


def test_a_job_asks_for_another_tier_and_codec_than_the_document() -> None:
    document = Render(tier="archive", crf=17, preset="slow")
    own = settings_of(document)
    assert (own.tier, own.crf, own.preset, own.codec) == ("archive", 17, "slow", "h264")
    other = settings_of(document, tier="preview", codec="hevc")
    assert (other.tier, other.crf, other.preset, other.codec) == ("preview", None, None, "hevc")


def test_the_tiers_are_in_order_and_the_documents_own_figures_go_before_them() -> None:
    for qualities in TIERS.values():
        assert qualities["preview"].crf > qualities["standard"].crf > qualities["archive"].crf
    assert plan(tier="preview").crf == TIERS["h264"]["preview"].crf
    assert plan(crf=0).crf == 0
    assert plan(preset="slow").preset == "slow"


def test_a_plan_survives_its_way_through_json() -> None:
    made = plan()
    assert plan_from(json.loads(json.dumps(asdict(made)))) == made


def test_a_plan_says_how_long_its_video_lasts() -> None:
    assert plan(100, fps=20.0).duration_s == 5.0


def test_more_pixels_threads_and_lookahead_are_foreseen_to_take_more_memory() -> None:
    small = plan(size=(640, 480), cores=1)
    assert plan(cores=1).predicted_bytes > small.predicted_bytes > 20 * MB
    one = plan(cores=1)
    assert replace(one, threads=4).predicted_bytes > one.predicted_bytes
    assert replace(one, lookahead=40).predicted_bytes > one.predicted_bytes
    assert replace(one, decoders=4).predicted_bytes > one.predicted_bytes


def test_a_plan_that_fits_stays_as_it_is() -> None:
    made = plan()
    assert fit(made, made.predicted_bytes) == made


def fitted(made: Plan) -> list[Plan]:
    """What is left of it as memory shrinks, until nothing fits."""
    found = [made]
    with suppress(MemoryShort):
        for room in range(made.predicted_bytes // MB + 1, 0, -1):
            found.append(fit(made, room * MB))
            assert found[-1].predicted_bytes <= room * MB
    return found


def test_where_nothing_fits_the_error_says_what_is_needed() -> None:
    made = plan()
    least = fitted(made)[-1].predicted_bytes
    assert fit(made, least).predicted_bytes == least
    with pytest.raises(MemoryShort, match=f"{least // MB} MiB needed at least, {(least - 1) // MB} MiB free"):
        fit(made, least - 1)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_plan_gives_up_threads_then_lookahead_then_width_until_it_fits(codec: str) -> None:
    steps = fitted(plan(codec=codec))
    assert steps[0] == plan(codec=codec)
    assert [each.predicted_bytes for each in steps] == sorted((each.predicted_bytes for each in steps), reverse=True)
    assert (steps[-1].width, steps[-1].height, steps[-1].threads, steps[-1].lookahead) == (640, 480, 1, 5)


def test_a_preset_that_takes_less_memory_than_the_lighter_ones_is_kept() -> None:
    assert {each.preset for each in fitted(plan(preset="ultrafast"))} == {"ultrafast"}
    assert fitted(plan(preset="slow"))[-1].preset == "veryfast"


def test_a_small_video_is_not_made_wider_by_what_it_gives_up() -> None:
    assert {each.width for each in fitted(plan(size=(320, 240)))} == {320}


def test_twelve_megapixels_to_1920_are_foreseen_within_250_mebibytes() -> None:
    assert plan(cores=2).predicted_bytes <= 250 * MB
