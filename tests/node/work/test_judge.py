from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from node.domain import quality as rules
from node.domain.config import Quality, QualityLimits
from node.domain.quality import Check, Finding, Integrity, Verdict
from node.imaging import thumbnail
from node.work import judge as work
from node.work.judge import Assessed, Judge
from tests import scenes
from tests.scenes import Scene

DAY, NIGHT = 35.0, -25.0
QUALITY = Quality()
SEEDS = (11, 12, 13)


def dice(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def warmed(judge: Judge, picture: Scene, count: int = 12, sun: float | None = DAY) -> Judge:
    chance = dice(count)
    for _ in range(count):
        judge.learn(judge.assess(scenes.jpeg(scenes.live(picture, chance)), "auto", sun, QUALITY))
    return judge


@pytest.fixture(scope="module")
def judges() -> dict[int, Judge]:
    """One judge for each scene that has seen twelve good frames by day; no test here teaches it more."""
    return {seed: warmed(Judge(None, "main"), scenes.scene(seed)) for seed in SEEDS}


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    return Judge(tmp_path / "baseline", "main")


def codes(assessed: Assessed) -> list[str]:
    return [reason.code for reason in assessed.judgement.reasons]


WEATHER: dict[str, Callable[[Scene], Scene]] = {
    "thin fog": lambda picture: scenes.fogged(picture, 1),
    "fog": lambda picture: scenes.fogged(picture, 2),
    "thick fog": lambda picture: scenes.fogged(picture, 4),
    "nothing but fog": lambda picture: scenes.fogged(picture, 8),
    "falling snow": lambda picture: scenes.snowing(picture, dice()),
    "lying snow": scenes.snow_covered,
    "rain": lambda picture: scenes.raining(picture, dice()),
    "dusk": lambda picture: picture * 0.25,
    "glare": scenes.glared,
    "infrared": scenes.infrared,
    "sunset": scenes.sunset,
    "a stop more": lambda picture: picture * 1.4,
    "a stop less": lambda picture: picture * 0.6,
    "sway": lambda picture: scenes.turned(picture, 0.012, 0.006),
    "noise": lambda picture: scenes.noisy(picture, dice(), 8),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("weather", WEATHER)
@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_weather_is_good(judges: dict[int, Judge], seed: int, weather: str, noise: float) -> None:
    picture = scenes.noisy(WEATHER[weather](scenes.scene(seed)), dice(seed), noise)
    for sun in (DAY, 0.5):
        assessed = judges[seed].assess(scenes.jpeg(picture), "auto", sun, QUALITY)
        assert assessed.judgement.verdict is Verdict.GOOD, assessed
        assert assessed.judgement.score is not None


FAULTS: dict[str, tuple[str, Callable[[Scene], Scene]]] = {
    "no light": ("black", lambda picture: picture * 0),
    "a black level of 5": ("black", lambda picture: picture * 0 + 5),
    "all white": ("blown", lambda picture: picture * 0 + 255),
    "far overexposed": ("blown", lambda picture: picture * 6 + 120),
    "focus lost": ("blurred", lambda picture: scenes.blurred(picture, 3)),
    "focus far off": ("blurred", lambda picture: scenes.blurred(picture, 6)),
    "half grey": ("filled", lambda picture: scenes.filled(picture, 0.5)),
    "a fifth grey": ("filled", lambda picture: scenes.filled(picture, 0.2)),
    "half black": ("filled", lambda picture: scenes.filled(picture, 0.5, 0)),
    "magenta": ("cast", scenes.magenta),
    "all magenta": ("cast", lambda picture: scenes.magenta(picture, 0.1)),
    "all green": ("cast", lambda picture: picture * np.array([0.3, 1, 0.3], np.float32)),
    "turned aside": ("moved", lambda picture: scenes.turned(picture, 0.2)),
    "turned down": ("moved", lambda picture: scenes.turned(picture, 0, 0.15)),
    "fallen on its side": ("moved", lambda _: np.rot90(scenes.scene(11, 640, 960))),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_bad_and_named(judges: dict[int, Judge], seed: int, fault: str) -> None:
    code, spoil = FAULTS[fault]
    # the flat end that a broken read leaves has no noise; what the sensor saw has
    picture = spoil(scenes.noisy(scenes.scene(seed), dice(seed)))
    assessed = judges[seed].assess(scenes.jpeg(picture), "auto", DAY, QUALITY)
    assert assessed.judgement.verdict is Verdict.BAD, assessed
    assert code in codes(assessed)
    assert not assessed.judgement.cold


def test_a_live_series_has_no_false_alarm(judge: Judge) -> None:
    chance, picture = dice(3), scenes.scene(21)
    for number in range(40):
        sun = 40.0 - 2 * number
        light = max(0.02, min(1.0, (sun + 12) / 30))
        frame = scenes.noisy(scenes.live(picture, chance) * light, chance, 2 + 3 * (1 - light))
        assessed = judge.assess(scenes.jpeg(frame), "auto", sun, QUALITY)
        assert assessed.judgement.verdict is Verdict.GOOD, (number, assessed)
        judge.learn(assessed)


def test_the_same_series_without_the_suns_place_has_none_either(judge: Judge) -> None:
    chance, picture = dice(3), scenes.scene(21)
    for number in range(60):
        light = max(0.01, abs(1 - number / 30))
        frame = scenes.noisy(scenes.live(picture, chance) * light, chance, 2 + 3 * (1 - light))
        assessed = judge.assess(scenes.jpeg(frame), "auto", None, QUALITY)
        assert assessed.judgement.verdict is Verdict.GOOD, (number, assessed)
        judge.learn(assessed)


def test_a_night_without_any_light_is_good(judge: Judge) -> None:
    for number in range(20):
        night = scenes.noisy(scenes.scene(11) * 0.01, dice(number), 1)
        assessed = judge.assess(scenes.jpeg(night), "auto", NIGHT, QUALITY)
        assert assessed.judgement.score == 100
        judge.learn(assessed)


def test_a_frame_is_judged_by_the_light_it_was_taken_in(judges: dict[int, Judge]) -> None:
    dark = scenes.jpeg(scenes.noisy(scenes.scene(11) * 0.01, dice()))
    assert judges[11].assess(dark, "auto", DAY, QUALITY).judgement.verdict is Verdict.BAD
    assert judges[11].assess(dark, "auto", NIGHT, QUALITY).judgement.verdict is Verdict.GOOD


# --- stuck ------------------------------------------------------------------------------------------------------


def frames(*order: int) -> Iterator[bytes]:
    pictures = {number: scenes.jpeg(scenes.noisy(scenes.scene(15), dice(number))) for number in set(order)}
    return (pictures[number] for number in order)


def verdicts(judge: Judge, pictures: Iterator[bytes], limits: QualityLimits | None = None) -> str:
    quality = Quality(limits=limits or QualityLimits())
    found = [judge.assess(picture, "auto", DAY, quality).judgement for picture in pictures]
    return "".join("s" if any(reason.code == "stuck" for reason in each.reasons) else "." for each in found)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ((1, 1, 1, 1), "..ss"),
        ((1, 2, 3, 3), "...."),
        ((1, 1, 2, 2, 3, 3), "......"),
        ((1, 2, 1, 2, 1, 2), "......"),
        ((1, 1, 2, 1, 1), "...ss"),
        ((1, 1, 1, 2, 3, 4), "..s..."),
    ],
    ids=["frozen", "one repeat", "each one twice", "two by turns", "one in between", "free again"],
)
def test_stuck_is_the_same_picture_again_and_again(judge: Judge, order: tuple[int, ...], expected: str) -> None:
    assert verdicts(judge, frames(*order)) == expected


def test_how_often_is_the_documents(judge: Judge) -> None:
    assert verdicts(judge, frames(1, 1, 1, 1, 1, 1), QualityLimits(stuck_count=5)) == "....ss"


def test_a_dark_night_is_stuck_only_if_not_a_bit_changes(judge: Judge) -> None:
    night = scenes.scene(15) * 0
    noisy = (scenes.jpeg(scenes.noisy(night, dice(number), 0.7), 95) for number in range(6))
    assert verdicts(judge, noisy) == "......"
    assert verdicts(judge, iter([scenes.jpeg(night)] * 4)) == "..ss"


def test_the_sensors_own_plane_shows_life_that_the_picture_hides(judge: Judge) -> None:
    (picture,) = frames(1)
    found = [judge.assess(picture, "auto", DAY, QUALITY, (bytes([number]) * 4, 2, 2)) for number in range(5)]
    assert [codes(assessed) for assessed in found] == [[]] * 5


# --- the memory -------------------------------------------------------------------------------------------------


def test_without_history_it_says_so_and_leans_to_good(judge: Judge) -> None:
    assessed = judge.assess(scenes.jpeg(scenes.blurred(scenes.scene(16), 5)), "auto", DAY, QUALITY)
    assert (assessed.judgement.verdict, assessed.judgement.cold) == (Verdict.GOOD, True)
    assert assessed.judgement.baseline_frames == 0


def test_it_is_warm_again_after_a_restart(judge: Judge, tmp_path: Path) -> None:
    warmed(judge, scenes.scene(16)).save()
    again = Judge(tmp_path / "baseline", "main")
    frame = scenes.jpeg(scenes.blurred(scenes.scene(16), 4))
    before, after = (each.assess(frame, "auto", DAY, QUALITY).judgement for each in (judge, again))
    assert after == before
    assert (after.baseline_frames, after.cold, after.verdict) == (12, False, Verdict.BAD)


def test_it_saves_by_itself_now_and_then(judge: Judge, tmp_path: Path) -> None:
    warmed(judge, scenes.scene(16), work.SAVE_EVERY)
    again = Judge(tmp_path / "baseline", "main")
    assert again.assess(scenes.jpeg(scenes.scene(16)), "auto", DAY, QUALITY).judgement.baseline_frames == 20


def test_nothing_learnt_writes_nothing(judge: Judge, tmp_path: Path) -> None:
    judge.assess(scenes.jpeg(scenes.scene(16)), "auto", DAY, QUALITY)
    judge.save()
    assert not (tmp_path / "baseline").exists()


@pytest.mark.parametrize("spoil", [lambda data: b"", lambda data: data[:500], lambda data: b"\0" * len(data)])
def test_a_damaged_memory_is_a_cold_start_that_is_said_once(
    judge: Judge, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    warmed(judge, scenes.scene(16)).save()
    (file,) = (tmp_path / "baseline").iterdir()
    file.write_bytes(spoil(file.read_bytes()))
    again = Judge(tmp_path / "baseline", "main")
    first, second = (again.assess(scenes.jpeg(scenes.scene(16)), "auto", DAY, QUALITY) for _ in range(2))
    assert first.judgement.cold
    assert [error.code for error in first.errors] == ["QUA-003"]
    assert second.errors == ()
    again.learn(first)
    again.save()
    whole = Judge(tmp_path / "baseline", "main").assess(scenes.jpeg(scenes.scene(16)), "auto", DAY, QUALITY)
    assert (whole.judgement.baseline_frames, whole.errors) == (1, ())


def test_an_oversized_memory_is_not_read(judge: Judge, tmp_path: Path) -> None:
    (tmp_path / "baseline").mkdir()
    with (tmp_path / "baseline" / "main.baseline").open("wb") as file:
        os.truncate(file.fileno(), work.LARGEST_FILE + 1)
    assessed = Judge(tmp_path / "baseline", "main").assess(scenes.jpeg(scenes.scene(16)), "auto", DAY, QUALITY)
    assert [error.code for error in assessed.errors] == ["QUA-003"]


def test_a_memory_that_cannot_be_saved_is_said_and_costs_no_frame(tmp_path: Path) -> None:
    (tmp_path / "baseline").write_bytes(b"a file where the folder should be")
    judge = warmed(Judge(tmp_path / "baseline", "main"), scenes.scene(16), work.SAVE_EVERY)
    assessed = judge.assess(scenes.jpeg(scenes.scene(16)), "auto", DAY, QUALITY)
    assert [error.code for error in assessed.errors] == ["DSK-004"]
    assert assessed.judgement.verdict is Verdict.GOOD


def test_only_good_frames_are_learnt(judge: Judge) -> None:
    judge.learn(judge.assess(b"", "auto", DAY, QUALITY))
    judge.learn(judge.assess(scenes.jpeg(scenes.scene(16) * 0), "auto", DAY, QUALITY))
    judge.learn(judge.assess(scenes.jpeg(scenes.scene(16)), "auto", DAY, Quality(enabled=False)))
    assert judge.assess(scenes.jpeg(scenes.scene(16)), "auto", DAY, QUALITY).judgement.baseline_frames == 0


def test_frames_that_were_not_kept_are_not_learnt(judges: dict[int, Judge]) -> None:
    before = judges[11].assess(scenes.jpeg(scenes.scene(11)), "auto", DAY, QUALITY).judgement.baseline_frames
    after = judges[11].assess(scenes.jpeg(scenes.scene(11)), "auto", DAY, QUALITY).judgement.baseline_frames
    assert before == after == 12


def test_cameras_do_not_share_a_memory(judge: Judge, tmp_path: Path) -> None:
    warmed(judge, scenes.scene(16)).save()
    other = Judge(tmp_path / "baseline", "yard")
    assert other.assess(scenes.jpeg(scenes.scene(16)), "auto", DAY, QUALITY).judgement.baseline_frames == 0


def test_a_camera_turned_for_good_is_at_home_again_after_a_while(judge: Judge) -> None:
    limits = QualityLimits(history_frames=12)
    warmed(judge, scenes.scene(17))
    chance, turned = dice(2), scenes.turned(scenes.scene(17), 0.25)
    words = []
    for _ in range(40):
        frame = scenes.jpeg(scenes.live(turned, chance))
        assessed = judge.assess(frame, "auto", DAY, Quality(limits=limits))
        judge.learn(assessed)
        words.append(assessed.judgement.verdict)
    assert words == [Verdict.BAD] * 12 + [Verdict.GOOD] * 28
    back = judge.assess(scenes.jpeg(scenes.live(scenes.scene(17), chance)), "auto", DAY, Quality(limits=limits))
    assert codes(back) == ["moved"]


def test_a_lens_out_of_focus_never_becomes_usual(judge: Judge) -> None:
    limits = QualityLimits(history_frames=12)
    warmed(judge, scenes.scene(17))
    chance, soft = dice(2), scenes.blurred(scenes.scene(17), 4)
    for _ in range(30):
        frame = scenes.jpeg(scenes.noisy(soft, chance))
        assessed = judge.assess(frame, "auto", DAY, Quality(limits=limits))
        judge.learn(assessed)
        assert assessed.judgement.verdict is Verdict.BAD


def test_night_that_comes_at_once_is_accepted_where_the_suns_place_is_not_known(judge: Judge) -> None:
    quality = Quality(limits=QualityLimits(history_frames=12))
    warmed(judge, scenes.scene(18), sun=None)
    words = []
    for number in range(40):
        frame = scenes.jpeg(scenes.noisy(scenes.scene(18) * 0.01, dice(number), 1.5))
        assessed = judge.assess(frame, "auto", None, quality)
        judge.learn(assessed)
        words.append(assessed.judgement.verdict)
    assert words == [Verdict.BAD] * 12 + [Verdict.GOOD] * 28


# --- the edges --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "integrity"),
    [(b"", Integrity.EMPTY), (b"GIF89a", Integrity.WRONG_TYPE), (b"\xff\xd8\xff", Integrity.TRUNCATED)],
)
@pytest.mark.parametrize("enabled", [True, False])
def test_a_damaged_file_is_bad_with_its_integrity_as_the_reason(
    judge: Judge, data: bytes, integrity: Integrity, *, enabled: bool
) -> None:
    assessed = judge.assess(data, "auto", DAY, Quality(enabled=enabled))
    assert (assessed.integrity, assessed.judgement.score) == (integrity, 0)
    assert codes(assessed) == [integrity.value]
    assert assessed.pixels is None


def test_switched_off_it_still_checks_that_files_are_whole(judge: Judge) -> None:
    assessed = judge.assess(scenes.jpeg(scenes.scene(16) * 0), "auto", DAY, Quality(enabled=False))
    assert (assessed.integrity, assessed.judgement.verdict) == (Integrity.INTACT, Verdict.UNJUDGED)
    assert (assessed.width, assessed.height, assessed.judgement.score) == (960, 640, None)


def broken(_: object) -> Finding:
    return Finding(1 / 0, 0, 1, 2)


def no_number(_: object) -> Finding:
    return Finding(float("nan"), 0, 1, 2)


@pytest.mark.parametrize(("find", "said"), [(broken, "ZeroDivisionError"), (no_number, "veiled measured nan")])
def test_a_check_that_fails_makes_a_frame_unjudged_and_is_reported(
    judge: Judge, monkeypatch: pytest.MonkeyPatch, find: Callable[[object], Finding], said: str
) -> None:
    monkeypatch.setattr(rules, "CHECKS", (*rules.CHECKS, Check("veiled", find)))
    assessed = judge.assess(scenes.jpeg(scenes.scene(16)), "auto", DAY, QUALITY)
    assert (assessed.judgement.verdict, assessed.judgement.score) == (Verdict.UNJUDGED, None)
    assert [error.code for error in assessed.errors] == ["QUA-002"]
    assert said in str(assessed.errors[0])
    assert assessed.integrity is Integrity.INTACT


def test_measures_are_ready_for_json(judges: dict[int, Judge]) -> None:
    assessed = judges[11].assess(scenes.jpeg(scenes.scene(11)), "auto", DAY, QUALITY)
    assert {"mean", "clipped", "tint", "filled", "repeats", "sharpness", "shift", "match"} <= set(assessed.measures)
    assert all(isinstance(value, int | float) for value in assessed.measures.values())


def test_its_pixels_serve_for_a_thumbnail(judges: dict[int, Judge]) -> None:
    assessed = judges[11].assess(scenes.jpeg(scenes.scene(11)), "auto", DAY, QUALITY)
    assert assessed.pixels is not None
    assert thumbnail.shrink(assessed.pixels, assessed.width, assessed.height, 320).startswith(b"\xff\xd8")


def test_an_assessment_without_its_maps_cannot_be_learnt(judge: Judge) -> None:
    assessed = judge.assess(scenes.jpeg(scenes.scene(16)), "auto", DAY, QUALITY)
    judge.learn(replace(assessed, picture=None))
    assert judge.assess(scenes.jpeg(scenes.scene(16)), "auto", DAY, QUALITY).judgement.baseline_frames == 0
