from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import simplejpeg

from node.camera import scenery
from node.camera.base import CameraConfig, ExposurePlan, Shot, ShotSpec
from node.camera.sky import WEATHERS
from node.camera.synthetic import SyntheticCamera
from node.domain.errors import CameraAbsent, CameraBusy, CameraError, CameraFault
from node.domain.times import US, from_text
from tests.clocks import JumpClock

SETTINGS = ("shots_before", "sun_factor", "sun_from_us", "settle_frames")
NOON, DUSK, NIGHT = (from_text(f"2026-06-10T{text}:00Z") for text in ("11:00", "19:40", "23:00"))
MIDNIGHT_US = from_text("2026-06-10T00:00:00Z")


def opened(*faults: dict[str, Any], clock: JumpClock | None = None, **given: Any) -> SyntheticCamera:
    settings = {name: given.pop(name) for name in SETTINGS if name in given}
    options = {"backend": "synthetic", "width": 320, "height": 240, "faults": list(faults), **given}
    camera = SyntheticCamera(clock or JumpClock())
    camera.open(CameraConfig("main", options, **settings))
    return camera


def shot_at(at_us: int, *faults: dict[str, Any], plan: ExposurePlan | None = None, **given: Any) -> Shot:
    camera = opened(*faults, **given)
    camera.apply(plan or ExposurePlan())
    return camera.capture(5.0, ShotSpec(at_us, plan or ExposurePlan()))


def pixels(shot: Shot) -> np.ndarray[Any, np.dtype[np.float64]]:
    return simplejpeg.decode_jpeg(shot.jpeg).astype(float)


def sharpness(shot: Shot) -> float:
    grey = pixels(shot).mean(axis=2)
    return float(np.abs(np.diff(grey, axis=1)).mean())


def test_the_same_seed_and_time_give_the_same_picture() -> None:
    assert shot_at(NOON, seed=7).jpeg == shot_at(NOON, seed=7).jpeg


def test_a_picture_does_not_depend_on_the_shots_before_it() -> None:
    camera = opened()
    for minute in range(3):
        camera.capture(5.0, ShotSpec(NOON - (60 - minute) * 60 * US))
    assert camera.capture(5.0, ShotSpec(NOON)).jpeg == shot_at(NOON).jpeg


def test_another_seed_is_another_place() -> None:
    near = np.abs(pixels(shot_at(NOON, seed=1)) - pixels(shot_at(NOON, seed=2))).mean()
    assert near > 10


@pytest.mark.parametrize("weather", WEATHERS)
@pytest.mark.parametrize(("at_us", "darkest", "brightest"), [(NOON, 70, 180), (DUSK, 60, 180), (NIGHT, 8, 90)])
def test_every_weather_is_exposed_as_a_camera_would(weather: str, at_us: int, darkest: int, brightest: int) -> None:
    mean = pixels(shot_at(at_us, weather=weather)).mean()
    assert darkest < mean < brightest


def test_the_day_is_lit_by_the_sun_over_the_place() -> None:
    lux = [shot_at(MIDNIGHT_US + hour * 3600 * US, weather="clear").lux or 0 for hour in (23, 2, 4, 6, 11)]
    assert lux == sorted(lux)
    assert lux[-1] > 10_000
    assert (shot_at(NOON, longitude=-166.6).lux or 0) < 2_000


def test_fog_hides_what_is_far() -> None:
    assert sharpness(shot_at(NOON, weather="fog")) < 0.7 * sharpness(shot_at(NOON, weather="clear"))


def test_snow_lies_on_the_ground() -> None:
    ground = [pixels(shot_at(NOON, weather=weather))[-40:] for weather in ("clear", "snow")]
    assert ground[1].mean() > ground[0].mean() + 30
    assert np.ptp(ground[1].mean(axis=(0, 1))) < np.ptp(ground[0].mean(axis=(0, 1)))


def test_clouds_drift_and_the_foreground_stands_still() -> None:
    first, later = (pixels(shot_at(at_us, weather="cloudy")) for at_us in (NOON, NOON + 300 * US))
    moved = np.abs(first - later).mean(axis=(1, 2))
    assert moved[:60].mean() > 3 * moved[-60:].mean()


def test_stars_stand_in_a_clear_night() -> None:
    sky = pixels(shot_at(NIGHT, weather="clear", width=640, height=480, seed=3)).mean(axis=2)[:150]
    assert (sky > sky.mean() + 60).sum() > 10


def test_windows_are_lit_at_night() -> None:
    picture = pixels(shot_at(NIGHT, weather="clear"))
    warm = (picture[:, :, 0] > 150) & (picture[:, :, 0] > picture[:, :, 2] + 40)
    assert warm.sum() > 50


def test_a_brighter_exposure_is_brighter() -> None:
    means = [
        pixels(shot_at(NOON, plan=ExposurePlan("manual", exposure_s, 1.0))).mean() for exposure_s in (2e-4, 1e-3, 5e-3)
    ]
    assert means == sorted(means)
    assert means[0] < 80
    assert means[2] > 180


def test_a_correction_in_stops_is_brighter() -> None:
    assert pixels(shot_at(NOON, plan=ExposurePlan(ev_stops=1.0))).mean() > pixels(shot_at(NOON)).mean() + 20


def test_few_frames_after_a_change_of_exposure_are_not_settled() -> None:
    plan = ExposurePlan("manual", 1 / 16000, 1.0)
    far = ExposurePlan("manual", 30.0, 16.0)
    camera = opened(settle_frames=0)
    camera.apply(far)
    assert camera.capture(5.0, ShotSpec(NOON, far)).frames_used > 3
    camera.apply(plan)
    shot = camera.capture(5.0, ShotSpec(NOON, plan))
    assert not shot.settled
    assert camera.capture(5.0, ShotSpec(NOON, plan)).settled


def test_a_faster_sun_goes_ahead_of_the_clock() -> None:
    slow = shot_at(NOON, sun_from_us=NOON - 3600 * US).lux or 0
    fast = shot_at(NOON, sun_from_us=NOON - 3600 * US, sun_factor=12.0).lux or 0
    assert slow > 10_000
    assert fast < 100


@pytest.mark.parametrize(("width", "height"), [(64, 48), (65, 49), (160, 120), (1280, 720), (2999, 1201)])
def test_any_size_is_rendered(width: int, height: int) -> None:
    for at_us in (NOON, NIGHT):
        shot = shot_at(at_us, width=width, height=height, weather="rain")
        assert pixels(shot).shape == (height, width, 3)
        assert shot.luma_width <= 160


def test_the_document_sets_the_size_over_node_yml() -> None:
    camera = SyntheticCamera(JumpClock())
    camera.open(CameraConfig("main", {"backend": "synthetic"}, width=100, height=80))
    assert (camera.capabilities().width, camera.capabilities().height) == (100, 80)


def test_reopening_at_the_same_size_builds_no_new_scenery(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = opened()
    monkeypatch.setattr(scenery, "build", lambda *_given, **_named: pytest.fail("built again"))
    camera.close()
    camera.open(CameraConfig("main", {"backend": "synthetic", "width": 320, "height": 240}))


# --- scripted faults --------------------------------------------------------------------------------------------


def raising(error: type[Exception]) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(("kind", "error"), [("busy", CameraBusy), ("fault", CameraFault), ("absent", CameraAbsent)])
def test_scripted_errors_come_at_their_shot(kind: str, error: type[CameraError]) -> None:
    camera = opened({"kind": kind, "after_shots": 1})
    camera.capture(5.0, ShotSpec(NOON))
    with pytest.raises(error):
        camera.capture(5.0, ShotSpec(NOON))


def test_a_busy_camera_answers_again_without_reopening() -> None:
    camera = opened({"kind": "busy"})
    with pytest.raises(CameraBusy):
        camera.capture(5.0, ShotSpec(NOON))
    assert camera.capture(5.0, ShotSpec(NOON)).jpeg


@pytest.mark.parametrize("kind", ["fault", "absent"])
def test_after_a_fault_only_closing_helps(kind: str) -> None:
    camera = opened({"kind": kind, "after_shots": 1})
    camera.capture(5.0, ShotSpec(NOON))
    with pytest.raises(CameraError):
        camera.capture(5.0, ShotSpec(NOON))
    assert not camera.health().open
    with pytest.raises(CameraFault, match="closed first"):
        camera.capture(5.0, ShotSpec(NOON))
    camera.close()
    camera.open(CameraConfig("main", {"backend": "synthetic", "width": 64, "height": 48}, shots_before=2))
    assert camera.capture(5.0, ShotSpec(NOON)).jpeg


def test_hangs_and_crashes_are_what_the_caller_passes() -> None:
    for kind, error in (("stall", ZeroDivisionError), ("crash", KeyError)):
        camera = SyntheticCamera(JumpClock(), hang=raising(ZeroDivisionError), crash=raising(KeyError))
        options = {"backend": "synthetic", "width": 64, "height": 48, "faults": [{"kind": kind, "after_shots": 1}]}
        camera.open(CameraConfig("main", options))
        camera.capture(5.0, ShotSpec(NOON))
        with pytest.raises(error):
            camera.capture(5.0, ShotSpec(NOON))


def test_absence_spoils_openings_until_its_count_is_used_up() -> None:
    fault = {"kind": "absent", "after_shots": 2, "shots": 2}
    for before, fails in ((0, False), (2, True), (3, True), (4, False)):
        if fails:
            with pytest.raises(CameraAbsent):
                opened(fault, shots_before=before)
        else:
            opened(fault, shots_before=before)


def test_a_slow_shot_takes_most_of_its_deadline() -> None:
    clock = JumpClock()
    camera = opened({"kind": "slow"}, clock=clock)
    camera.capture(5.0, ShotSpec(NOON))
    assert clock.monotonic() == pytest.approx(3.0)


def test_a_stale_shot_is_the_last_picture_again() -> None:
    camera = opened({"kind": "stale", "after_shots": 1, "shots": 2})
    shots = [camera.capture(5.0, ShotSpec(NOON + minute * 60 * US)) for minute in range(4)]
    assert shots[0].jpeg == shots[1].jpeg == shots[2].jpeg
    assert shots[3].jpeg != shots[0].jpeg


def test_a_stale_first_shot_has_nothing_to_repeat() -> None:
    assert opened({"kind": "stale"}).capture(5.0, ShotSpec(NOON)).jpeg


def test_a_black_shot_is_black() -> None:
    assert pixels(shot_at(NOON, {"kind": "black"})).mean() < 3


def test_a_magenta_shot_has_lost_its_green() -> None:
    red, green, blue = pixels(shot_at(NOON, {"kind": "magenta"})).mean(axis=(0, 1))
    assert green < 0.5 * min(red, blue)


def test_a_half_grey_shot_is_whole_above_and_flat_below() -> None:
    picture = pixels(shot_at(NOON, {"kind": "half_grey"}))
    assert picture[150:].std() < 1
    assert picture[150:].mean() == pytest.approx(128, abs=2)
    assert np.abs(picture[:120] - pixels(shot_at(NOON))[:120]).mean() < 2


def test_a_truncated_shot_does_not_decode_strictly() -> None:
    with pytest.raises(ValueError, match=r"(?i)premature|corrupt"):
        simplejpeg.decode_jpeg(shot_at(NOON, {"kind": "truncated"}).jpeg)
