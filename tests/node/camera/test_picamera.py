"""The Pi's backend against a picamera2 that misbehaves as the real one does."""

from __future__ import annotations

import errno
import sys
import threading
import time
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import simplejpeg

from node.camera import picamera
from node.camera.base import CameraConfig, ExposurePlan, Shot, ShotSpec
from node.camera.picamera import Picamera
from node.clock import SystemClock
from node.domain.errors import (
    CameraAbsent,
    CameraBusy,
    CameraError,
    CameraFault,
    CameraMismatch,
    CameraNoMemory,
    CameraTimeout,
)

MANUAL = ExposurePlan("manual", 0.02, 2.0)


@pytest.fixture
def camera(board: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Picamera:
    monkeypatch.setattr(picamera, "CLOSE_S", 0.2)
    return Picamera(SystemClock())


def config(**given: Any) -> CameraConfig:
    return CameraConfig("main", {"backend": "picamera2", "number": 0}, **given)


def shoot(camera: Picamera, plan: ExposurePlan | None = None, deadline_s: float = 5.0) -> Shot:
    plan = plan or ExposurePlan()
    camera.apply(plan)
    return camera.capture(deadline_s, ShotSpec(1, plan))


def test_one_small_configuration_is_made_and_kept(camera: Picamera, board: ModuleType) -> None:
    camera.open(config())
    shoot(camera)
    made = board.opened[0].config
    assert (made["main"]["format"], made["main"]["size"]) == ("YUV420", (1536, 864))
    assert (made["lores"]["format"], made["lores"]["size"]) == ("YUV420", (640, 360))
    assert (made["buffer_count"], made["raw"], made["queue"]) == (2, None, False)


def test_rows_that_are_padded_to_the_stride_are_cut(camera: Picamera, board: ModuleType) -> None:
    camera.open(config(width=100, height=80))
    shot = shoot(camera)
    assert board.opened[0].config["main"]["stride"] == 128
    assert simplejpeg.decode_jpeg(shot.jpeg).shape == (80, 100, 3)
    assert (shot.luma_width, shot.luma_height) == (100, 80)


def test_what_the_sensor_says_comes_with_the_shot(camera: Picamera) -> None:
    camera.open(config())
    shot = shoot(camera)
    assert (shot.lux, shot.colour_temperature_k) == (400.0, 5200)
    assert shot.sensor_ns
    assert shot.sensor_temperature_c is None


def test_a_silently_changed_format_is_a_mismatch(camera: Picamera, board: ModuleType) -> None:
    board.plan.adjust = lambda made: made["main"].update(format="BGR888")
    with pytest.raises(CameraMismatch, match="BGR888"):
        camera.open(config())
    assert board.opened[0].closed


def test_a_size_that_the_camera_changes_is_a_mismatch_that_names_both(camera: Picamera) -> None:
    with pytest.raises(CameraMismatch, match="asked for 101x81 YUV420, the camera gives 100x80"):
        camera.open(config(width=101, height=81))


def test_a_manual_exposure_is_settled_when_it_has_come_through(camera: Picamera) -> None:
    camera.open(config())
    shoot(camera)
    shot = shoot(camera, MANUAL)
    assert shot.settled
    assert shot.frames_used > 1
    assert (shot.actual.exposure_s, shot.actual.gain) == (0.02, 2.0)


def test_automatic_exposure_is_never_switched_in_one_batch_with_exposure_values(
    camera: Picamera, board: ModuleType
) -> None:
    camera.open(config())
    for plan in (ExposurePlan(), MANUAL, ExposurePlan(ev_stops=1.0), MANUAL):
        shoot(camera, plan)
    for batch in board.opened[0].batches:
        assert not ({"AeEnable"} & batch.keys() and {"ExposureTime", "AnalogueGain"} & batch.keys())
        assert "FrameDurationLimits" in batch


def test_the_longest_frame_leaves_room_for_the_exposure(camera: Picamera, board: ModuleType) -> None:
    camera.open(config())
    camera.apply(ExposurePlan("manual", 2.0, 1.0))
    batch = board.opened[0].batches[-1]
    assert batch["FrameDurationLimits"][1] > batch["ExposureTime"] == 2_000_000


def test_the_same_plan_is_sent_once(camera: Picamera, board: ModuleType) -> None:
    camera.open(config())
    shoot(camera, MANUAL)
    shoot(camera, MANUAL)
    assert len(board.opened[0].batches) == 1


def test_values_out_of_range_are_clamped_and_named(camera: Picamera, board: ModuleType) -> None:
    camera.open(config())
    assert camera.apply(ExposurePlan("manual", 60.0, 2.0)) == ("exposure_s",)
    assert board.opened[0].batches[-1]["ExposureTime"] == 10_000_000


def test_a_stall_ends_at_the_deadline_and_only_closing_is_legal_after_it(camera: Picamera, board: ModuleType) -> None:
    camera.open(config())
    shoot(camera)
    board.plan.silent_after = 0
    began = time.monotonic()
    with pytest.raises(CameraTimeout):
        shoot(camera, deadline_s=0.2)
    assert time.monotonic() - began < 10  # bounded: without a deadline it would block for ever
    board.plan.silent_after = None
    assert not camera.health().open
    with pytest.raises(CameraFault, match="closed first"):
        shoot(camera)


def test_closing_after_a_stall_is_bounded_and_reopening_works(camera: Picamera, board: ModuleType) -> None:
    camera.open(config())
    board.plan.silent_after = 0
    with pytest.raises(CameraTimeout):
        shoot(camera, deadline_s=0.1)
    began = time.monotonic()
    camera.close()
    assert time.monotonic() - began < 10  # bounded: without a deadline it would block for ever
    board.plan.silent_after = None
    camera.open(config())
    assert shoot(camera).jpeg


def test_a_close_that_never_returns_is_left_behind_and_said_at_the_next_opening(
    camera: Picamera, board: ModuleType
) -> None:
    camera.open(config())
    board.plan.stop_blocks = True
    began = time.monotonic()
    camera.close()
    assert time.monotonic() - began < 10  # bounded: without a deadline it would block for ever
    with pytest.raises(CameraFault, match="earlier close"):
        camera.open(config())


def test_every_buffer_goes_back_also_when_a_capture_raises(camera: Picamera, board: ModuleType) -> None:
    camera.open(config())
    board.plan.array_error = RuntimeError("mapping failed")
    for _ in range(4):
        with pytest.raises(RuntimeError):
            shoot(camera)
    board.plan.array_error = None
    assert shoot(camera).jpeg


def test_an_error_inside_the_event_loop_is_a_fault(camera: Picamera, board: ModuleType) -> None:
    camera.open(config())
    board.plan.job_error = RuntimeError("request failed")
    with pytest.raises(CameraFault, match="request failed"):
        shoot(camera)


def test_frames_without_exposure_time_are_delivered_unsettled(camera: Picamera, board: ModuleType) -> None:
    board.plan.without_exposure = True
    camera.open(config(settle_frames=1))
    shot = shoot(camera)
    assert not shot.settled
    assert shot.actual.exposure_s is None
    assert shot.frames_used == 5


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("Failed to acquire camera: Device or resource busy"), CameraBusy),
        (RuntimeError("Camera __init__ sequence did not complete."), CameraBusy),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), CameraNoMemory),
        (RuntimeError("Failed to allocate buffers."), CameraNoMemory),
        (MemoryError(), CameraNoMemory),
        (RuntimeError("Camera(s) not found"), CameraAbsent),
        (RuntimeError("something else"), CameraFault),
        (IndexError("list index out of range"), CameraFault),
    ],
)
def test_what_opening_raises_is_told_apart(
    camera: Picamera, board: ModuleType, error: Exception, expected: type[CameraError]
) -> None:
    board.plan.open_error = error
    with pytest.raises(expected):
        camera.open(config())
    assert not camera.health().open


def test_a_start_that_fails_closes_the_camera(camera: Picamera, board: ModuleType) -> None:
    board.plan.start_error = RuntimeError("Failed to allocate buffers.")
    with pytest.raises(CameraNoMemory):
        camera.open(config())
    assert board.opened[0].closed


def test_a_camera_that_is_not_connected_is_absent_and_leaks_nothing(camera: Picamera, board: ModuleType) -> None:
    board.plan.cameras = []
    with pytest.raises(CameraAbsent, match="camera 0 of 0"):
        camera.open(config())
    assert board.leaked == []


def test_without_the_library_the_camera_is_absent_and_the_hint_says_where_it_comes_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(CameraAbsent, match="apt"):
        Picamera(SystemClock()).open(config())


def test_the_capabilities_are_the_sensors(camera: Picamera) -> None:
    camera.open(config())
    able = camera.capabilities()
    assert (able.width, able.exposure_min_s, able.exposure_max_s, able.gain_max) == (1536, 1e-4, 10.0, 16.0)


# --- the fake itself: that it misbehaves as measured ------------------------------------------------------------


def started(board: ModuleType) -> Any:
    device = board.Picamera2(0)
    stream = {"format": "YUV420", "size": (64, 48)}
    device.configure(device.create_still_configuration(main=stream, lores=stream, raw=None, buffer_count=2))
    device.start()
    return device


def test_the_fake_gives_the_next_frame_to_the_wait_that_timed_out(board: ModuleType) -> None:
    device = started(board)
    board.plan.silent_after = 0
    lost = device.capture_request(wait=False)
    with pytest.raises(TimeoutError):
        lost.get_result(timeout=0.05)
    board.plan.silent_after = None
    assert device.capture_request(wait=False).get_result(timeout=1)
    assert lost.get_result(timeout=0).released is False


def test_the_fake_runs_dry_when_two_captures_raised_inside_it(board: ModuleType) -> None:
    device = started(board)
    board.plan.job_error = RuntimeError("no")
    for _ in range(2):
        with pytest.raises(RuntimeError):
            device.capture_request(wait=False).get_result(timeout=1)
    board.plan.job_error = None
    with pytest.raises(TimeoutError):
        device.capture_request(wait=False).get_result(timeout=0.1)


def test_the_fake_loses_its_event_thread_to_a_callback(board: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _args: ended.set())
    device = started(board)
    device.post_callback = lambda _request: 1 / 0
    assert ended.wait(1)
    with pytest.raises(TimeoutError):
        device.capture_request(wait=False).get_result(timeout=0.1)


def test_the_fake_leaks_two_descriptors_with_each_failed_opening(board: ModuleType) -> None:
    board.plan.open_error = RuntimeError("no")
    with pytest.raises(RuntimeError):
        board.Picamera2(0)
    assert len(board.leaked) == 2


def test_the_fake_needs_exposure_times_to_flush(board: ModuleType) -> None:
    device = started(board)
    assert device.capture_request(wait=False, flush=True).get_result(timeout=1)
    board.plan.without_exposure = True
    time.sleep(0.05)
    with pytest.raises(KeyError):
        device.capture_request(wait=False, flush=True).get_result(timeout=1)


def test_the_fake_cancels_without_calling_the_signal_function(board: ModuleType) -> None:
    device = started(board)
    board.plan.silent_after = 0
    called = []
    device.capture_request(wait=False, signal_function=called.append)
    device.cancel_all_and_flush()
    assert called == []


def test_the_fake_writes_to_a_full_disk_without_a_word(board: ModuleType) -> None:
    assert started(board).capture_file("/dev/full")["Lux"] == 400.0


def test_the_fake_undoes_exposure_values_sent_with_the_automatics(board: ModuleType) -> None:
    device = started(board)
    device.set_controls({"AeEnable": False, "ExposureTime": 777})
    time.sleep(0.1)
    assert device.capture_request(wait=False).get_result(timeout=1).get_metadata()["ExposureTime"] != 777


def test_the_fake_stops_only_when_nobody_waits(board: ModuleType) -> None:
    device = started(board)
    board.plan.silent_after = 0
    device.capture_request(wait=False)
    closing = threading.Thread(target=device.close, daemon=True)
    closing.start()
    closing.join(0.1)
    assert closing.is_alive()


def test_a_shot_is_the_picture_that_the_buffer_holds(camera: Picamera) -> None:
    camera.open(config(width=128, height=96))
    grey = simplejpeg.decode_jpeg(shoot(camera, ExposurePlan("manual", 0.005, 1.0)).jpeg, "GRAY")[:, :, 0]
    assert np.ptp(grey.astype(int).mean(axis=0)) == pytest.approx(100, abs=5)
