"""OpenCV's backend on real files and a real stream over loopback; devices by a stand-in for cv2.VideoCapture."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg

from node.camera import opencv
from node.camera.base import CameraConfig, ExposurePlan, ShotSpec
from node.camera.opencv import OpencvCamera, source_of
from node.clock import SystemClock
from node.domain.errors import CameraAbsent, CameraBusy, CameraError, CameraFault, CameraMismatch, CameraTimeout
from tests.clocks import JumpClock
from tests.node.camera.conftest import HEIGHT, WIDTH, picture

SPEC = ShotSpec(7)


def config(source: str, *, options: dict[str, Any] | None = None, **given: Any) -> CameraConfig:
    more = {"open_timeout_s": 3.0, "read_timeout_s": 0.5, **(options or {})}
    return CameraConfig("main", {"backend": "opencv", "source": source, **more}, **given)


def brightness(jpeg: bytes) -> float:
    return float(simplejpeg.decode_jpeg(jpeg, "GRAY").mean())


@pytest.fixture
def camera() -> Iterator[OpencvCamera]:
    made = OpencvCamera(SystemClock())
    yield made
    made.close()


# --- files ------------------------------------------------------------------------------------------------------


def test_sources_are_told_apart_by_their_look() -> None:
    assert source_of("2").device == Path("/dev/video2")
    assert source_of("/dev/v4l/by-id/cam").device == Path("/dev/v4l/by-id/cam")
    assert source_of("rtsp://host/stream").stream
    assert (source_of("/tmp/film.avi").device, source_of("/tmp/film.avi").stream) == (None, False)


def test_a_video_file_starts_again_at_its_end(camera: OpencvCamera, video: Path) -> None:
    camera.open(config(str(video)))
    seen = [brightness(camera.capture(5.0, SPEC).jpeg) for _ in range(7)]
    assert seen[:5] == pytest.approx([0, 50, 100, 150, 200], abs=4)
    assert seen[5:] == pytest.approx(seen[:2], abs=4)


def test_a_file_that_is_missing_is_an_absent_camera(camera: OpencvCamera, tmp_path: Path) -> None:
    with pytest.raises(CameraAbsent, match=r"film\.avi"):
        camera.open(config(str(tmp_path / "film.avi")))


def test_another_size_than_the_source_has_is_a_mismatch_that_names_both(camera: OpencvCamera, video: Path) -> None:
    with pytest.raises(CameraMismatch, match="gives 160x120, not 640x480"):
        camera.open(config(str(video), width=640, height=480))
    camera.open(config(str(video), width=WIDTH, height=HEIGHT))
    assert camera.capabilities().width == WIDTH


# --- a stream ---------------------------------------------------------------------------------------------------


class Stream:
    """Motion JPEG over HTTP on loopback; its picture gets lighter with the time, and it can go silent."""

    def __init__(self) -> None:
        self.silent = threading.Event()
        self.over = threading.Event()
        self.connections = 0
        stream = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stream.connections += 1
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                while not stream.over.is_set():
                    if not stream.silent.is_set() and not self._send():
                        return
                    stream.over.wait(0.02)

            def _send(self) -> bool:
                part = picture(stream.connections * 40)
                head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(part)
                try:
                    self.wfile.write(head + part + b"\r\n")
                except OSError:
                    return False
                return True

            def log_message(self, *_given: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/stream.mjpg"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def end(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def stream() -> Iterator[Stream]:
    made = Stream()
    yield made
    made.end()


def test_pictures_come_from_a_stream(camera: OpencvCamera, stream: Stream) -> None:
    camera.open(config(stream.url))
    shot = camera.capture(5.0, SPEC)
    assert (shot.width, shot.height) == (WIDTH, HEIGHT)
    assert camera.capture(5.0, SPEC).jpeg


def until_it_fails(camera: OpencvCamera) -> None:
    """What had come before the silence is still delivered."""
    for _ in range(50):
        camera.capture(5.0, SPEC)


def test_a_stream_that_falls_silent_is_a_timeout_within_its_patience(camera: OpencvCamera, stream: Stream) -> None:
    camera.open(config(stream.url))
    camera.capture(5.0, SPEC)
    stream.silent.set()
    began = time.monotonic()
    with pytest.raises((CameraTimeout, CameraFault)):
        until_it_fails(camera)
    assert time.monotonic() - began < 20  # bounded: the server never answers
    assert not camera.health().open


def test_a_stream_that_idled_is_opened_again_so_that_its_picture_is_new(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = JumpClock()
    camera = OpencvCamera(clock)
    camera.open(config(stream.url, settle_frames=0))
    first = brightness(camera.capture(5.0, SPEC).jpeg)
    clock.advance(60)
    second = brightness(camera.capture(5.0, SPEC).jpeg)
    camera.close()
    assert stream.connections == 2
    assert second > first + 20


def test_a_stream_that_nobody_serves_is_absent(camera: OpencvCamera, stream: Stream) -> None:
    stream.end()
    with pytest.raises(CameraAbsent, match=r"127\.0\.0\.1"):
        camera.open(config(stream.url))


def test_streams_ask_for_tcp(camera: OpencvCamera, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", raising=False)
    camera.open(config(str(video)))
    assert os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] == "rtsp_transport;tcp"


# --- a device ---------------------------------------------------------------------------------------------------


class Device:
    """As cv2.VideoCapture over V4L2: buffers keep their age, sizes change silently."""

    def __init__(self, clock: JumpClock) -> None:
        self.clock = clock
        self.ages = [0.0]
        self.stamps = True
        self.opens = self.grabs_well = self.retrieves_well = True
        self.size = (640.0, 480.0)
        self.set_values: dict[int, float] = {}
        self.grabs = 0
        self._stamp_s = 0.0

    def __call__(self, *given: Any) -> Device:
        return self

    def isOpened(self) -> bool:  # noqa: N802 - cv2's name
        return self.opens

    def get(self, what: int) -> float:
        if what == cv2.CAP_PROP_POS_MSEC:
            return self._stamp_s * 1000 if self.stamps else 0.0
        known = {cv2.CAP_PROP_FRAME_WIDTH: self.size[0], cv2.CAP_PROP_FRAME_HEIGHT: self.size[1]}
        return known.get(what, self.set_values.get(what, 0.0))

    def set(self, what: int, value: float) -> bool:
        self.set_values[what] = value
        return True

    def grab(self) -> bool:
        age = self.ages.pop(0) if len(self.ages) > 1 else self.ages[0]
        self.clock.advance(0.03)
        self._stamp_s = self.clock.monotonic() - age
        self.grabs += 1
        return self.grabs_well

    def retrieve(self) -> tuple[bool, Any]:
        return self.retrieves_well, np.zeros((480, 640, 3), dtype=np.uint8)

    def release(self) -> None:
        self.opens = False


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    made = Device(JumpClock())
    monkeypatch.setattr(opencv.cv2, "VideoCapture", made)
    return made


@pytest.fixture
def usb(device: Device) -> OpencvCamera:
    device.clock.advance(100)
    camera = OpencvCamera(device.clock)
    camera.open(config("0", settle_frames=0))
    return camera


def test_stale_buffers_are_drained_by_their_timestamps(usb: OpencvCamera, device: Device) -> None:
    device.ages = [1.9, 1.9, 1.9, 1.9, 0.0]
    assert usb.capture(5.0, SPEC).frames_used == 5


def test_without_timestamps_as_many_as_a_driver_holds_are_dropped(usb: OpencvCamera, device: Device) -> None:
    device.stamps = False
    assert usb.capture(5.0, SPEC).frames_used == 5


def test_a_device_that_only_has_old_pictures_is_at_fault(usb: OpencvCamera, device: Device) -> None:
    device.ages = [60.0]
    with pytest.raises(CameraFault, match="from before"):
        usb.capture(5.0, SPEC)


def test_draining_ends_at_the_deadline(usb: OpencvCamera, device: Device) -> None:
    device.ages = [60.0]
    with pytest.raises(CameraTimeout):
        usb.capture(0.1, SPEC)
    assert not usb.health().open


def test_settle_frames_are_dropped_once_after_opening(device: Device) -> None:
    camera = OpencvCamera(device.clock)
    camera.open(config("0", settle_frames=3))
    device.clock.advance(10)
    assert [camera.capture(5.0, SPEC).frames_used for _ in range(2)] == [4, 1]


def test_a_device_that_ends_is_at_fault(usb: OpencvCamera, device: Device) -> None:
    device.grabs_well = False
    with pytest.raises(CameraFault, match="ended"):
        usb.capture(5.0, SPEC)


def test_a_picture_that_does_not_decode_is_a_fault(usb: OpencvCamera, device: Device) -> None:
    device.retrieves_well = False
    with pytest.raises(CameraFault, match="decoded"):
        usb.capture(5.0, SPEC)


def test_a_device_is_asked_for_its_size_and_its_answer_is_read_back(device: Device) -> None:
    camera = OpencvCamera(device.clock)
    with pytest.raises(CameraMismatch, match="gives 640x480, not 1920x1080"):
        camera.open(config("0", width=1920, height=1080))
    assert device.set_values[cv2.CAP_PROP_FRAME_WIDTH] == 1920


def test_a_device_takes_an_exposure_time(usb: OpencvCamera, device: Device) -> None:
    plan = ExposurePlan("manual", 0.02, 2.0)
    assert usb.apply(plan) == ("gain",)
    assert device.set_values[cv2.CAP_PROP_EXPOSURE] == 200
    assert usb.capture(5.0, ShotSpec(7, plan)).actual.exposure_s == 0.02
    assert usb.apply(ExposurePlan()) == ()
    assert device.set_values[cv2.CAP_PROP_AUTO_EXPOSURE] == 3


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EBUSY, CameraBusy),
        (errno.ENOENT, CameraAbsent),
        (errno.ENODEV, CameraAbsent),
        (errno.EACCES, CameraFault),
    ],
)
def test_why_a_device_does_not_open_is_asked_of_the_device(
    device: Device, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[CameraError]
) -> None:
    def refuse(*_given: Any) -> int:
        raise OSError(number, os.strerror(number))

    device.opens = False
    monkeypatch.setattr(opencv.os, "open", refuse)
    with pytest.raises(expected, match="/dev/video0"):
        OpencvCamera(device.clock).open(config("0"))


def test_a_device_that_opens_but_does_not_stream_is_busy(device: Device, tmp_path: Path) -> None:
    device.opens = False
    node_of_it = tmp_path / "video0"
    node_of_it.write_bytes(b"")
    made = opencv.Source("video0", node_of_it, stream=False)
    assert isinstance(opencv._why_closed(made), CameraBusy)


def test_devices_are_listed_with_their_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "video0").write_bytes(b"")
    monkeypatch.setattr(opencv, "_DEVICES", tmp_path)
    found: Callable[[], list[Any]] = OpencvCamera(SystemClock()).probe
    assert [info.identity for info in found()] == [str(tmp_path / "video0")]
