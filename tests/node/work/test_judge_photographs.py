"""The judge on real photographs: Debian's mate-backgrounds (packages.txt, group test)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from node.domain.config import Quality
from node.domain.quality import Integrity, Verdict
from node.imaging.decode import check
from node.imaging.exif import read_sidecar, with_sidecar
from node.work.judge import Assessed, Judge
from tests import scenes
from tests.scenes import Scene

pytestmark = pytest.mark.slow

FOLDER = Path("/usr/share/backgrounds/mate")
# landscapes, gardens and close-ups; the all-green ones hold no grey in which a magenta cast would show
NAMES = ("Dune", "FreshFlower", "Storm", "Wood", "Aqua", "TwoWings", "LadyBird", "YellowFlower")
WIDTH = 1280
QUALITY = Quality()


def files() -> list[Path]:
    found = sorted(FOLDER.rglob("*.jpg"))
    if not found:
        pytest.fail(f"no photographs in {FOLDER}: install mate-backgrounds (make deps)")
    return found


@lru_cache
def photograph(name: str) -> Scene:
    (path,) = (path for path in files() if path.stem == name)
    photo = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    height = round(WIDTH * photo.shape[0] / photo.shape[1])
    return cv2.resize(photo, (WIDTH, height), interpolation=cv2.INTER_AREA).astype(np.float32)


@lru_cache
def warm(name: str) -> Judge:
    judge, dice = Judge(None, name), np.random.default_rng(1)
    for _ in range(12):
        judge.learn(judge.assess(scenes.jpeg(scenes.live(photograph(name), dice)), "auto", 30.0, QUALITY))
    return judge


def judged(name: str, change: Callable[[Scene], Scene], noise: float = 2.0) -> Assessed:
    picture = change(scenes.noisy(photograph(name), np.random.default_rng(2), noise))
    return warm(name).assess(scenes.jpeg(picture), "auto", 30.0, QUALITY)


def test_every_photograph_is_intact_also_with_a_sidecar() -> None:
    for path in files():
        data = path.read_bytes()
        sealed = with_sidecar(data, {"schema": 1, "id": path.name})
        assert check(data).integrity is check(sealed).integrity is Integrity.INTACT, path
        assert read_sidecar(sealed) == {"schema": 1, "id": path.name}


@pytest.mark.parametrize("name", NAMES)
def test_cut_and_zeroed_photographs_are_never_intact(name: str) -> None:
    data = scenes.jpeg(photograph(name))
    for share in np.linspace(0.05, 0.98, 12):
        at = round(len(data) * share)
        assert check(data[:at]).integrity is Integrity.TRUNCATED
        assert check(data[:at] + b"\xff\xd9").integrity is Integrity.TRUNCATED
        assert check(data[:at] + bytes(1024) + data[at + 1024 :]).integrity is not Integrity.INTACT


WEATHER: dict[str, Callable[[Scene], Scene]] = {
    "nothing": lambda picture: picture,
    "fog": lambda picture: scenes.fogged(picture, 2),
    "thick fog": lambda picture: scenes.fogged(picture, 4),
    "nothing but fog": lambda picture: scenes.fogged(picture, 8),
    "falling snow": lambda picture: scenes.snowing(picture, np.random.default_rng(3)),
    "rain": lambda picture: scenes.raining(picture, np.random.default_rng(3)),
    "dusk": lambda picture: picture * 0.25,
    "glare": scenes.glared,
    "infrared": scenes.infrared,
    "sunset": scenes.sunset,
    "a stop less": lambda picture: picture * 0.5,
    "sway": lambda picture: scenes.turned(picture, 0.01, 0.006),
}


@pytest.mark.parametrize("name", NAMES)
def test_weather_on_a_photograph_is_good(name: str) -> None:
    for weather, change in WEATHER.items():
        for noise in (0.0, 2.0):
            assessed = judged(name, change, noise)
            assert assessed.judgement.verdict is Verdict.GOOD, (weather, noise, assessed)


FAULTS: dict[str, Callable[[Scene], Scene]] = {
    "black": lambda picture: picture * 0,
    "blown": lambda picture: picture * 0 + 255,
    "blurred": lambda picture: scenes.blurred(picture, 4),
    "filled": lambda picture: scenes.filled(picture, 0.3),
    "cast": lambda picture: scenes.magenta(picture, 0.35),
    "moved": lambda picture: scenes.turned(picture, 0.18, 0.05),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_on_a_photograph_is_bad_and_named(name: str) -> None:
    for code, spoil in FAULTS.items():
        assessed = judged(name, spoil)
        assert assessed.judgement.verdict is Verdict.BAD, (code, assessed)
        assert code in [reason.code for reason in assessed.judgement.reasons], (code, assessed)


def test_mixed_photographs_played_back_are_all_good() -> None:
    small = [scenes.jpeg(cv2.resize(photograph(name), (640, 427), interpolation=cv2.INTER_AREA)) for name in NAMES]
    for sun in (None, 30.0):
        judge = Judge(None, "replay")
        for _ in range(6):
            for photo in small:
                assessed = judge.assess(photo, "auto", sun, QUALITY)
                judge.learn(assessed)
                assert assessed.judgement.verdict is Verdict.GOOD, assessed
