"""A document that makes pictures clearly worse, though not bad, is taken back; weather is not."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFilter

from node.camera.base import CameraConfig, Capabilities, Shot, ShotSpec
from node.clock import US
from node.domain.nodefile import Probation
from node.store.log import Actor
from tests.clocks import JumpClock
from tests.simulate.direct import DirectLink
from tests.simulate.ledger import events
from tests.simulate.rig import CAMERA, Plan, Rig, rigged

MINUTE, HOUR = 60 * US, 3600 * US
NOON = 1_795_089_600 * US - 2 * 3600 * US  # 2026-11-19T10:00Z: the sun stays high over Berlin for three hours
NIGHT, DAY = NOON + 8 * HOUR, NOON + 24 * HOUR
SITE = {"latitude": 52.5, "longitude": 13.4, "timezone": "Europe/Berlin"}
EVERY_MINUTE: dict[str, Any] = {"site": SITE, "schedules": {"all": {"interval_s": 60}}}
SPOILT = {**EVERY_MINUTE, "cameras": {CAMERA: {"settle_frames": 0}}}
"""What these cameras take for an order to spoil their pictures."""
HARMLESS = {**EVERY_MINUTE, "site": {**SITE, "name": "North"}}
ME = Actor("me", "admin")
Spoil = Callable[[Image.Image], Image.Image]


class Lens(DirectLink):
    """Spoils pictures by order of the document, or all of them from an instant on, as weather does."""

    def __init__(self, clock: JumpClock, by_order: Spoil | None = None, weather: Spoil | None = None) -> None:
        super().__init__(clock)
        self._time, self._by_order, self._weather = clock, by_order, weather
        self._ordered = False
        self.weather_from_us = 2**62

    def open(self, config: CameraConfig, deadline_s: float) -> Capabilities:
        self._ordered = config.settle_frames == 0
        return super().open(config, deadline_s)

    def shoot(self, spec: ShotSpec, deadline_s: float) -> Shot:
        shot = super().shoot(spec, deadline_s)
        spoils = [self._by_order] if self._ordered else []
        spoils += [self._weather] if self._time.now_us() >= self.weather_from_us else []
        for spoil in filter(None, spoils):
            shot = spoilt(shot, spoil)
        return shot


def spoilt(shot: Shot, spoil: Spoil) -> Shot:
    out = io.BytesIO()
    spoil(Image.open(io.BytesIO(shot.jpeg))).save(out, "JPEG", quality=90)
    return replace(shot, jpeg=out.getvalue(), luma=b"")


def soft(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(0.5))


def dim(image: Image.Image) -> Image.Image:
    return image.point(lambda value: int(value * 0.12))


def foggy(image: Image.Image) -> Image.Image:
    return Image.blend(image, Image.new("RGB", image.size, (190, 190, 190)), 0.75)


def rainy(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(0.5))


def plan_of(folder: Path, lens: Lens, clock: JumpClock) -> Plan:
    return Plan(folder, clock, EVERY_MINUTE, link=lambda: lens, probation=Probation(good_frames=3, min_s=180))


def run_to(rig: Rig, until_us: int) -> None:
    rig.run(until_us, rig.reload.tick)


def put(rig: Rig, document: dict[str, Any]) -> None:
    rig.reload.put(document, rig.reload.facts().version, ME)


def reasons(rig: Rig) -> list[str]:
    return [event["reason"] for event in events(rig.folder, "config_rolled_back")]


def scores(rig: Rig, last: int = 3) -> list[int | None]:
    return [frame.score for frame in rig.frames.last_committed(last)]


@pytest.mark.parametrize("spoil", [soft, dim], ids=["focus", "exposure"])
def test_a_document_that_makes_pictures_clearly_worse_is_taken_back(tmp_path: Path, spoil: Spoil) -> None:
    clock = JumpClock(NOON)
    with rigged(plan_of(tmp_path, Lens(clock, by_order=spoil), clock)) as rig:
        run_to(rig, NOON + 30 * MINUTE)
        put(rig, SPOILT)
        run_to(rig, NOON + 45 * MINUTE)
        worse = [score for score in scores(rig, 40) if score is not None and score < 100]
        assert len(worse) >= 2
        assert min(worse) >= 50  # no single picture is bad
        assert reasons(rig) == ["bad_quality"]
        assert scores(rig) == [100, 100, 100]


@pytest.mark.parametrize(("weather", "pairs"), [(foggy, 0), (rainy, 1)], ids=["fog", "rain on the lens"])
def test_weather_that_comes_with_the_document_takes_nothing_back(tmp_path: Path, weather: Spoil, pairs: int) -> None:
    clock = JumpClock(NOON)
    lens = Lens(clock, weather=weather)
    with rigged(plan_of(tmp_path, lens, clock)) as rig:
        run_to(rig, NOON + 30 * MINUTE)
        lens.weather_from_us = clock.now_us()
        told: list[float | None] = []
        compared = rig.loop._compared
        rig.loop._compared = lambda *said: (told.append(said[-1]), compared(*said))[1]
        put(rig, HARMLESS)
        run_to(rig, NOON + 60 * MINUTE)
        assert len(told) == pairs  # rain lowers the score, and that of the version before as well
        assert (reasons(rig), rig.reload._running.activation.word) == ([], "confirmed")


@pytest.mark.parametrize("kind", ["clear", "cloudy", "fog", "rain", "snow"])
@pytest.mark.parametrize("hour", [0, 8], ids=["noon", "night"])
def test_a_harmless_document_is_never_taken_back_under_any_sky(tmp_path: Path, kind: str, hour: int) -> None:
    start = NOON + hour * HOUR
    plan = Plan(tmp_path, JumpClock(start), EVERY_MINUTE, {"weather": "clear"}, probation=Probation())
    with rigged(plan) as rig:
        run_to(rig, start + 30 * MINUTE)
    with rigged(replace(plan, camera={"weather": kind})) as rig:  # the sky of another day
        put(rig, HARMLESS)
        run_to(rig, start + 60 * MINUTE)
        assert reasons(rig) == []


def test_what_a_night_hid_is_found_by_the_first_pictures_of_the_day(tmp_path: Path) -> None:
    clock = JumpClock(NOON)
    lens = Lens(clock, by_order=soft)
    with rigged(plan_of(tmp_path, lens, clock)) as rig:
        run_to(rig, NIGHT)
        lens._by_order = None  # by night it does not show
        put(rig, SPOILT)
        run_to(rig, NIGHT + 30 * MINUTE)
        assert rig.reload.facts().provisional
        lens._by_order = soft
        run_to(rig, DAY)
        assert [reason for reason in reasons(rig) if reason not in ("bad_quality", "bad_frames")] == []
        assert len(reasons(rig)) == 1


def test_where_the_comparison_cannot_be_made_nothing_is_taken_back(tmp_path: Path) -> None:
    clock = JumpClock(NOON)
    lens = Lens(clock, by_order=soft)
    with rigged(plan_of(tmp_path, lens, clock)) as rig:
        run_to(rig, NOON + 30 * MINUTE)
        put(rig, SPOILT)
        rig.loop._before_trial = lambda: None
        run_to(rig, NOON + 31 * MINUTE)
        assert reasons(rig) == []
