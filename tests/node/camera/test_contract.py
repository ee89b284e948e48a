"""One contract for every backend: what base.Camera promises holds whatever is behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import simplejpeg

from node.camera.base import Camera, CameraConfig, ExposurePlan, ShotSpec
from node.camera.link import ProcessLink
from node.camera.worker import BACKENDS, make_camera
from node.clock import SystemClock
from node.domain.errors import CameraFault
from tests.node.camera.conftest import FAKES

BACKEND_NAMES = tuple(BACKENDS)
DEADLINE_S = 10.0
SPEC = ShotSpec(at_us=1_795_000_000_000_000)
ConfigOf = Callable[..., CameraConfig]


@pytest.fixture(params=BACKEND_NAMES)
def backend(request: pytest.FixtureRequest, board: ModuleType) -> str:
    return str(request.param)


@pytest.fixture
def camera(backend: str) -> Iterator[Camera]:
    made = make_camera(backend)
    yield made
    made.close()


@pytest.fixture
def open_camera(camera: Camera, backend: str, config_of: ConfigOf) -> Camera:
    camera.open(config_of(backend))
    camera.apply(SPEC.plan)
    return camera


def test_probing_opens_nothing(camera: Camera) -> None:
    assert isinstance(camera.probe(), list)
    assert not camera.health().open


def test_an_open_camera_says_its_size(open_camera: Camera) -> None:
    able = open_camera.capabilities()
    assert able.width > 0
    assert able.height > 0


def test_a_shot_is_a_jpeg_of_the_size_it_states(open_camera: Camera) -> None:
    shot = open_camera.capture(DEADLINE_S, SPEC)
    assert simplejpeg.decode_jpeg(shot.jpeg).shape == (shot.height, shot.width, 3)


def test_the_small_luma_plane_has_the_size_it_states(open_camera: Camera) -> None:
    shot = open_camera.capture(DEADLINE_S, SPEC)
    assert len(shot.luma) == shot.luma_width * shot.luma_height


def test_the_small_luma_plane_shows_the_picture(open_camera: Camera) -> None:
    shot = open_camera.capture(DEADLINE_S, SPEC)
    if shot.luma:
        whole = simplejpeg.decode_jpeg(shot.jpeg, "GRAY").mean()
        assert np.frombuffer(shot.luma, np.uint8).mean() == pytest.approx(whole, abs=6)


def test_shots_follow_each_other(open_camera: Camera, backend: str) -> None:
    shots = [open_camera.capture(DEADLINE_S, SPEC) for _ in range(7)]
    assert {shot.backend for shot in shots} == {backend}
    assert open_camera.health().shots == 7


def test_a_shot_repeats_what_was_requested(open_camera: Camera) -> None:
    plan = ExposurePlan("manual", exposure_s=0.01, gain=2.0)
    open_camera.apply(plan)
    shot = open_camera.capture(DEADLINE_S, ShotSpec(SPEC.at_us, plan))
    assert (shot.requested.exposure_s, shot.requested.gain) == (0.01, 2.0)


def test_clamped_values_are_named(open_camera: Camera) -> None:
    clamped = open_camera.apply(ExposurePlan("manual", exposure_s=600.0, gain=64.0))
    assert set(clamped) <= {"exposure_s", "gain", "ev_stops"}
    assert "gain" in clamped


def test_closing_twice_is_closing_once(open_camera: Camera) -> None:
    open_camera.close()
    open_camera.close()
    assert not open_camera.health().open


def test_a_camera_that_was_never_opened_can_be_closed(camera: Camera) -> None:
    camera.close()
    assert not camera.health().open


def test_a_closed_camera_takes_no_shot(camera: Camera) -> None:
    with pytest.raises(CameraFault):
        camera.capture(DEADLINE_S, SPEC)


def test_a_closed_camera_opens_again(open_camera: Camera, backend: str, config_of: ConfigOf) -> None:
    open_camera.close()
    open_camera.open(config_of(backend))
    open_camera.apply(SPEC.plan)
    assert open_camera.capture(DEADLINE_S, SPEC).jpeg


def test_health_answers_before_opening_and_after(camera: Camera, backend: str, config_of: ConfigOf) -> None:
    assert not camera.health().open
    camera.open(config_of(backend))
    assert camera.health().open


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKEND_NAMES)
def test_the_same_holds_in_a_worker_process(backend: str, tmp_path: Path, config_of: ConfigOf) -> None:
    link = ProcessLink("main", tmp_path, clock=SystemClock(), env={"PYTHONPATH": str(FAKES)})
    try:
        assert isinstance(link.probe(config_of(backend).options, 30), list)
        able = link.open(config_of(backend), 30)
        shots = [link.shoot(SPEC, DEADLINE_S) for _ in range(3)]
        assert able.width > 0
        assert all(simplejpeg.decode_jpeg(shot.jpeg).shape[:2] == (shot.height, shot.width) for shot in shots)
        assert link.ping(5).open
        link.close(5)
        assert not link.ping(5).open
        link.open(config_of(backend), 30)
        assert link.shoot(SPEC, DEADLINE_S).frames_used >= 1
    finally:
        assert link.kill()
