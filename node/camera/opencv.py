"""Cameras through OpenCV: USB devices, network streams, and video files for trying things out."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from node.camera.base import CameraConfig, CameraHealth, CameraInfo, Capabilities, ExposurePlan, Shot, ShotSpec
from node.clock import Clock
from node.domain.errors import CameraAbsent, CameraBusy, CameraError, CameraFault, CameraMismatch, CameraTimeout
from node.domain.frame import Exposure

BACKEND = "opencv"
LUMA_WIDTH = 160
Picture = npt.NDArray[np.uint8]

_DEVICES = Path("/dev")
_STALE_GRABS = 8
"""Buffers that a driver may hold: after an idle time the first ones are as old as it was long."""
_STREAM_IDLE_S = 3.0
"""A stream that nobody read for longer is opened again: what its pipes hold is old."""
_MANUAL, _AUTO = 1.0, 3.0
"""V4L2's exposure modes; its exposures count in units of 100 µs."""
_UNITS_PER_S = 10_000.0
_ALMOST = 0.9


@dataclass(frozen=True, slots=True)
class Source:
    """What is opened: a device by path or number, a URL, or a video file."""

    name: str
    device: Path | None
    stream: bool


def source_of(text: str) -> Source:
    """`/dev/video0` and `0` are devices, what has a scheme is a stream, anything else is a file."""
    if text.isdigit():
        return Source(text, _DEVICES / f"video{text}", stream=False)
    if text.startswith("/dev/"):
        return Source(text, Path(text), stream=False)
    return Source(text, None, stream="://" in text)


class OpencvCamera:
    """One source.  A stream is opened again after idle time; a device's stale buffers are drained by timestamp."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._config: CameraConfig | None = None
        self._source = Source("", None, stream=False)
        self._capture: cv2.VideoCapture | None = None
        self._size = (0, 0)
        self._settle = 0
        self._last_read_s = 0.0
        self._shots = 0
        self._plan = ExposurePlan()

    def probe(self) -> list[CameraInfo]:
        return [CameraInfo(str(path), _model(path)) for path in sorted(_DEVICES.glob("video*"))]

    def open(self, config: CameraConfig) -> None:
        # one camera, one core: OpenCV's pool of threads only costs memory
        cv2.setNumThreads(1)
        self._config = config
        self._source = source_of(config.options["source"])
        self._connect(config)

    def capabilities(self) -> Capabilities:
        width, height = self._size
        return Capabilities(width, height, sets_exposure=self._source.device is not None)

    def apply(self, plan: ExposurePlan) -> tuple[str, ...]:
        """A device takes an exposure time; gains and streams' exposures are the camera's own."""
        capture = self._opened()
        changed, self._plan = plan != self._plan, plan
        if self._source.device is None:
            values = {"exposure_s": plan.exposure_s, "gain": plan.gain, "ev_stops": plan.ev_stops}
            return tuple(name for name, value in values.items() if value)
        if changed:
            capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, _AUTO if plan.exposure_s is None else _MANUAL)
            if plan.exposure_s is not None:
                capture.set(cv2.CAP_PROP_EXPOSURE, plan.exposure_s * _UNITS_PER_S)
        return tuple(name for name, value in (("gain", plan.gain), ("ev_stops", plan.ev_stops)) if value)

    def capture(self, deadline_s: float, spec: ShotSpec) -> Shot:
        self._opened()
        until_s = self._clock.monotonic() + deadline_s
        if self._source.stream and self._clock.monotonic() - self._last_read_s > _STREAM_IDLE_S:
            self._connect(self._required_config())
        frames = self._skip_stale(until_s)
        picture = self._retrieve()
        self._last_read_s = self._clock.monotonic()
        self._shots += 1
        return self._shot(picture, spec, frames)

    def close(self) -> None:
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

    def health(self) -> CameraHealth:
        return CameraHealth(open=self._capture is not None, shots=self._shots, detail=self._source.name)

    # --- opening --------------------------------------------------------------------------------------------

    def _connect(self, config: CameraConfig) -> None:
        self.close()
        capture = _open_source(self._source, config)
        if not capture.isOpened():
            capture.release()
            raise _why_closed(self._source)
        size = self._agreed_size(capture, config)
        if size is None:
            found = f"{capture.get(cv2.CAP_PROP_FRAME_WIDTH):.0f}x{capture.get(cv2.CAP_PROP_FRAME_HEIGHT):.0f}"
            capture.release()
            raise CameraMismatch(f"{self._source.name} gives {found}, not {config.width}x{config.height}")
        self._capture, self._size, self._settle = capture, size, self._settle_frames(config)
        self._plan = ExposurePlan()
        self._last_read_s = self._clock.monotonic()

    def _agreed_size(self, capture: cv2.VideoCapture, config: CameraConfig) -> tuple[int, int] | None:
        """Only devices can be asked for a size, and they answer with one near it, silently."""
        if self._source.device is not None and config.width and config.height:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, config.width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, config.height)
        size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        return size if config.width is None or size == (config.width, config.height) else None

    def _settle_frames(self, config: CameraConfig) -> int:
        return config.settle_frames if self._source.device is not None or self._source.stream else 0

    def _required_config(self) -> CameraConfig:
        assert self._config
        return self._config

    def _opened(self) -> cv2.VideoCapture:
        if self._capture is None:
            raise CameraFault("the camera is not open")
        return self._capture

    # --- reading --------------------------------------------------------------------------------------------

    def _skip_stale(self, until_s: float) -> int:
        """Grab until the picture is of now; returns how many were grabbed."""
        asked_s = self._clock.monotonic()
        for frames in range(1, self._settle + _STALE_GRABS + 2):
            self._grab(until_s)
            if frames > self._settle and self._is_fresh(asked_s, frames - self._settle):
                self._settle = 0
                return frames
        raise CameraFault(f"{self._source.name} delivers only pictures from before the shot was asked for")

    def _is_fresh(self, asked_s: float, frames: int) -> bool:
        if self._source.device is None:
            return True
        taken_s = self._opened().get(cv2.CAP_PROP_POS_MSEC) / 1000
        # drivers that give no timestamps leave only the count of buffers to go by
        return taken_s >= asked_s if taken_s > 0 else frames > _STALE_GRABS // 2

    def _grab(self, until_s: float) -> None:
        capture = self._opened()
        began_s = self._clock.monotonic()
        if began_s >= until_s:
            self.close()
            raise CameraTimeout(f"{self._source.name} gave no fresh picture in time")
        if capture.grab() or (self._rewound(capture) and capture.grab()):
            return
        took_s = self._clock.monotonic() - began_s
        patience_s = float(self._required_config().options.get("read_timeout_s", 0.0))
        self.close()
        if self._source.stream and took_s >= patience_s * _ALMOST:
            raise CameraTimeout(f"{self._source.name} sent nothing for {took_s:.1f} s")
        raise CameraFault(f"{self._source.name} ended")

    def _rewound(self, capture: cv2.VideoCapture) -> bool:
        """A video file starts again."""
        is_file = self._source.device is None and not self._source.stream
        return is_file and bool(capture.set(cv2.CAP_PROP_POS_FRAMES, 0))

    def _retrieve(self) -> Picture:
        well, picture = self._opened().retrieve()
        if not well or picture is None:
            self.close()
            raise CameraFault(f"{self._source.name}: picture cannot be decoded")
        return np.ascontiguousarray(picture, dtype=np.uint8)

    def _shot(self, picture: Picture, spec: ShotSpec, frames: int) -> Shot:
        height, width = picture.shape[:2]
        small_size = (min(LUMA_WIDTH, width), max(1, height * min(LUMA_WIDTH, width) // width))
        small = cv2.cvtColor(cv2.resize(picture, small_size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
        return Shot(
            jpeg=simplejpeg.encode_jpeg(picture, self._required_config().jpeg_quality, "BGR", "420"),
            width=width,
            height=height,
            captured_us=self._clock.now_us(),
            requested=Exposure(spec.plan.exposure_s, spec.plan.gain, spec.plan.ev_stops),
            actual=Exposure(self._reported_exposure_s()),
            settled=spec.plan.exposure_s is None,
            frames_used=frames,
            backend=BACKEND,
            luma=small.tobytes(),
            luma_width=small.shape[1],
            luma_height=small.shape[0],
        )

    def _reported_exposure_s(self) -> float | None:
        if self._source.device is None:
            return None
        units = self._opened().get(cv2.CAP_PROP_EXPOSURE)
        return units / _UNITS_PER_S if units > 0 else None


def _open_source(source: Source, config: CameraConfig) -> cv2.VideoCapture:
    if source.device is not None:
        return cv2.VideoCapture(str(source.device), cv2.CAP_V4L2)
    # UDP loses packets silently and shows smeared pictures; OpenCV reads this at each opening
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
    options = config.options
    timeouts = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(1000 * options.get("open_timeout_s", 10.0)),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(1000 * options.get("read_timeout_s", 5.0)),
    ]  # fmt: skip
    return cv2.VideoCapture(source.name, cv2.CAP_FFMPEG, timeouts)


_OPEN_ERRORS: dict[int, Callable[[str], CameraError]] = {
    errno.EBUSY: CameraBusy,
    errno.ENOENT: CameraAbsent,
    errno.ENODEV: CameraAbsent,
    errno.ENXIO: CameraAbsent,
}


def _why_closed(source: Source) -> CameraError:
    """OpenCV does not say why it could not open; the device itself does."""
    if source.device is None:
        return CameraAbsent(f"{source.name} cannot be opened")
    try:
        os.close(os.open(source.device, os.O_RDWR | os.O_NONBLOCK))
    except OSError as error:
        kind = _OPEN_ERRORS.get(error.errno or 0, CameraFault)
        return kind(f"{source.device}: {error.strerror}")
    return CameraBusy(f"{source.device} opens, but does not stream")


def _model(device: Path) -> str:
    try:
        return (Path("/sys/class/video4linux") / device.name / "name").read_text().strip()
    except OSError:
        return ""
