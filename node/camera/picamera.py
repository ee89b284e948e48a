"""Raspberry Pi cameras through picamera2: one configuration while open, a deadline on every wait.

Written around what picamera2 0.3.38 was measured to do: a wait that timed out leaves its job queued, so the open
camera is dead after it; stopping waits for ever on a dead event thread; a failed opening leaks descriptors, so the
cameras are counted before one is opened; `configure` changes formats silently, so the result is read back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import simplejpeg

from node.camera.base import CameraConfig, CameraHealth, CameraInfo, Capabilities, ExposurePlan, Shot, ShotSpec
from node.clock import Clock
from node.domain.errors import (
    CameraAbsent,
    CameraBusy,
    CameraError,
    CameraFault,
    CameraMismatch,
    CameraNoMemory,
    CameraTimeout,
)
from node.domain.frame import Exposure

BACKEND = "picamera2"
FORMAT = "YUV420"
BUFFERS = 2
LORES_SIZE = (640, 360)
PIPELINE_DEPTH = 4
SETTLED_SHARE = 0.05
CLOSE_S = 2.0
_US, _NS = 1_000_000, 1_000_000_000
_SHORTEST_FRAME_US, _AUTO_LONGEST_US = 33_333, 500_000
_FRAME_OVERHEAD_US = 1_000

Plane = npt.NDArray[np.uint8]

# picamera2 wraps libcamera's errors in RuntimeErrors that differ only in their words
_OPENING_WORDS: tuple[tuple[str, type[CameraError]], ...] = (
    ("busy", CameraBusy),
    ("in use", CameraBusy),
    ("did not complete", CameraBusy),
    ("allocate", CameraNoMemory),
    ("memory", CameraNoMemory),
    ("not found", CameraAbsent),
)


class _Request(Protocol):
    """What of picamera2's completed request is used."""

    def get_metadata(self) -> dict[str, Any]: ...
    def make_array(self, name: str) -> Plane: ...
    def release(self) -> None: ...


class _Job(Protocol):
    get_result: Callable[..., _Request]


class _Device(Protocol):
    """What of Picamera2 is used."""

    sensor_resolution: tuple[int, int]
    camera_controls: dict[str, tuple[Any, ...]]

    def create_still_configuration(self, **given: object) -> dict[str, Any]: ...

    configure: Callable[[dict[str, Any]], None]

    def camera_configuration(self) -> dict[str, Any]: ...

    start: Callable[..., None]

    def set_controls(self, controls: Mapping[str, Any]) -> None: ...
    def capture_request(self, *, wait: bool) -> _Job: ...
    def cancel_all_and_flush(self) -> None: ...
    def close(self) -> None: ...


class Picamera:
    """One camera of the board.  After a timeout or fault only `close` is legal."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._device: _Device | None = None
        self._config: CameraConfig | None = None
        self._dead = False
        self._stuck: threading.Thread | None = None
        self._strides = {"main": 0, "lores": 0}
        self._sizes = {"main": (0, 0), "lores": (0, 0)}
        self._plan: ExposurePlan | None = None
        self._shots = 0

    def probe(self) -> list[CameraInfo]:
        found = _library().Picamera2.global_camera_info()
        return [CameraInfo(str(camera.get("Id", "")), str(camera.get("Model", ""))) for camera in found]

    def open(self, config: CameraConfig) -> None:
        if self._stuck is not None and self._stuck.is_alive():
            raise CameraFault("an earlier close is still waiting inside picamera2")
        number = int(config.options.get("number", 0))
        known = self.probe()
        if number >= len(known):
            raise CameraAbsent(f"camera {number} of {len(known)}")
        try:
            self._device = self._started(_library().Picamera2(number), config)
        except (RuntimeError, OSError, MemoryError, IndexError) as error:
            self.close()
            raise _opening_error(error) from error
        except CameraError:
            self.close()
            raise
        self._config, self._dead, self._plan = config, False, None

    def capabilities(self) -> Capabilities:
        controls = self._live().camera_controls
        shortest_us, longest_us = controls["ExposureTime"][:2]
        width, height = self._sizes["main"]
        return Capabilities(
            width=width,
            height=height,
            exposure_min_s=shortest_us / _US,
            exposure_max_s=longest_us / _US if longest_us else None,
            gain_max=controls["AnalogueGain"][1],
            sets_exposure=True,
        )

    def apply(self, plan: ExposurePlan) -> tuple[str, ...]:
        device = self._live()
        controls, clamped = _controls(plan, device.camera_controls)
        if plan != self._plan:
            device.set_controls(controls)
            self._plan = plan
        return clamped

    def capture(self, deadline_s: float, spec: ShotSpec) -> Shot:
        device = self._live()
        assert self._config
        asked_s = self._clock.monotonic()
        until_s, asked_ns = asked_s + deadline_s, int(asked_s * _NS)
        for frames in range(1, PIPELINE_DEPTH + self._config.settle_frames + 1):
            request = self._next_request(device, until_s)
            try:
                metadata = request.get_metadata()
                settled = _is_settled(metadata, spec.plan, asked_ns)
                if settled or frames == PIPELINE_DEPTH + self._config.settle_frames:
                    return self._shot(request, metadata, spec, settled=settled, frames=frames)
            finally:
                # held by nobody else: not released, it would be gone for the pipeline, which has only two
                request.release()
        raise CameraFault("no frame was asked for")

    def close(self) -> None:
        """Bounded: a close that picamera2 does not return from is left behind, and the next `open` refuses."""
        device, self._device = self._device, None
        if device is None:
            return
        closing = threading.Thread(target=_shut, args=(device,), name="picamera2-close", daemon=True)
        closing.start()
        closing.join(CLOSE_S)
        self._stuck = closing if closing.is_alive() else None

    def health(self) -> CameraHealth:
        return CameraHealth(open=self._device is not None and not self._dead, shots=self._shots)

    # --- one frame ------------------------------------------------------------------------------------------

    def _live(self) -> _Device:
        if self._device is None:
            raise CameraFault("the camera is not open")
        if self._dead:
            raise CameraFault("the camera failed before; it must be closed first")
        return self._device

    def _next_request(self, device: _Device, until_s: float) -> _Request:
        job = device.capture_request(wait=False)
        try:
            return job.get_result(timeout=max(0.0, until_s - self._clock.monotonic()))
        except TimeoutError as error:
            self._dead = True
            raise CameraTimeout("no frame came; its job stays queued inside picamera2") from error
        except RuntimeError as error:
            self._dead = True
            raise CameraFault(str(error)) from error

    def _shot(
        self, request: _Request, metadata: Mapping[str, Any], spec: ShotSpec, *, settled: bool, frames: int
    ) -> Shot:
        assert self._config
        luma, blue, red = self._planes(request.make_array("main"), "main")
        small = np.ascontiguousarray(self._planes(request.make_array("lores"), "lores")[0])
        self._shots += 1
        return Shot(
            jpeg=simplejpeg.encode_jpeg_yuv_planes(luma, blue, red, self._config.jpeg_quality),
            width=luma.shape[1],
            height=luma.shape[0],
            captured_us=self._clock.now_us(),
            requested=Exposure(spec.plan.exposure_s, spec.plan.gain, spec.plan.ev_stops),
            actual=_actual(metadata, spec.plan),
            settled=settled,
            frames_used=frames,
            backend=BACKEND,
            luma=small.tobytes(),
            luma_width=small.shape[1],
            luma_height=small.shape[0],
            sensor_ns=metadata.get("SensorTimestamp"),
            lux=metadata.get("Lux"),
            colour_temperature_k=metadata.get("ColourTemperature"),
            sensor_temperature_c=metadata.get("SensorTemperature"),
        )

    def _planes(self, array: Plane, stream: str) -> tuple[Plane, Plane, Plane]:
        """Y, U and V of a stream's buffer: rows are padded to its stride, colour rows to half of it."""
        width, height = self._sizes[stream]
        stride = self._strides[stream]
        flat = array.reshape(-1)
        split, quarter = height * stride, height * stride // 4
        colour = (height // 2, stride // 2)
        return (
            flat[:split].reshape(height, stride)[:, :width],
            flat[split : split + quarter].reshape(colour)[:, : width // 2],
            flat[split + quarter : split + 2 * quarter].reshape(colour)[:, : width // 2],
        )

    # --- opening --------------------------------------------------------------------------------------------

    def _started(self, device: _Device, config: CameraConfig) -> _Device:
        # known before anything can fail, so that `close` finds it
        self._device = device
        wanted = (config.width, config.height) if config.width and config.height else tuple(device.sensor_resolution)
        lores = LORES_SIZE if wanted[0] >= LORES_SIZE[0] and wanted[1] >= LORES_SIZE[1] else wanted
        # without a queue each request is of a frame that completed after it; raw buffers would only cost memory
        device.configure(
            device.create_still_configuration(
                main={"format": FORMAT, "size": wanted},
                lores={"format": FORMAT, "size": lores},
                raw=None,
                buffer_count=BUFFERS,
                queue=False,
                controls={"FrameDurationLimits": (_SHORTEST_FRAME_US, _AUTO_LONGEST_US)},
            )
        )
        self._read_back(device.camera_configuration(), wanted)
        device.start(show_preview=False)
        return device

    def _read_back(self, got: Mapping[str, Any], wanted: tuple[Any, ...]) -> None:
        main = got["main"]
        if main["format"] != FORMAT or (config_size := tuple(main["size"])) != tuple(wanted):
            given = "x".join(str(edge) for edge in main["size"])
            asked = "x".join(str(edge) for edge in wanted)
            raise CameraMismatch(f"asked for {asked} {FORMAT}, the camera gives {given} {main['format']}")
        self._sizes = {"main": config_size, "lores": tuple(got["lores"]["size"])}
        self._strides = {name: int(got[name]["stride"]) for name in self._strides}


def _library() -> ModuleType:
    try:
        return import_module("picamera2")
    except ImportError as error:
        raise CameraAbsent(f"picamera2 cannot be imported ({error}); it comes with apt's python3-picamera2") from error


def _shut(device: _Device) -> None:
    # what is still queued would be waited for
    device.cancel_all_and_flush()
    device.close()


def _opening_error(error: Exception) -> CameraError:
    words = str(error)
    if isinstance(error, MemoryError):
        return CameraNoMemory(words)
    for part, kind in _OPENING_WORDS:
        if part in words.lower():
            return kind(words)
    return CameraFault(words)


def _controls(plan: ExposurePlan, able: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The controls of a plan, and the names of the values that were clamped.

    Both exposure values switch the automatics off by themselves; AeEnable in the same batch would undo them.
    The longest frame caps the exposure, so it goes with it.
    """
    if plan.exposure_s is None or plan.gain is None:
        limits = (_SHORTEST_FRAME_US, _AUTO_LONGEST_US)
        return {"AeEnable": True, "ExposureValue": plan.ev_stops, "FrameDurationLimits": limits}, ()
    asked_us = round(plan.exposure_s * _US)
    exposure_us = int(_within(asked_us, able["ExposureTime"]))
    gain = _within(plan.gain, able["AnalogueGain"])
    frame_us = max(_SHORTEST_FRAME_US, exposure_us + _FRAME_OVERHEAD_US)
    controls = {"ExposureTime": exposure_us, "AnalogueGain": gain, "FrameDurationLimits": (frame_us, frame_us)}
    changed = {"exposure_s": exposure_us != asked_us, "gain": gain != plan.gain}
    return controls, tuple(name for name, is_changed in changed.items() if is_changed)


def _within(value: float, limits: tuple[float, ...]) -> float:
    """0 as the upper limit means that there is none."""
    low, high = limits[:2]
    return max(value, low) if not high else min(max(value, low), high)


def _actual(metadata: Mapping[str, Any], plan: ExposurePlan) -> Exposure:
    exposure_us = metadata.get("ExposureTime")
    exposure_s = None if exposure_us is None else exposure_us / _US
    return Exposure(exposure_s, metadata.get("AnalogueGain"), plan.ev_stops)


def _is_settled(metadata: Mapping[str, Any], plan: ExposurePlan, asked_ns: int) -> bool:
    """The exposure began after the request, and exposure × gain is what was asked for (or has settled by itself).

    Some frames come without ExposureTime: of those it is not known.
    """
    exposure_us, timestamp = metadata.get("ExposureTime"), metadata.get("SensorTimestamp")
    if exposure_us is None or timestamp is None:
        return False
    if timestamp - exposure_us * _NS // _US < asked_ns:
        return False
    if plan.exposure_s is None or plan.gain is None:
        return bool(metadata.get("AeLocked", True))
    amount = exposure_us / _US * metadata.get("AnalogueGain", 1.0) * metadata.get("DigitalGain", 1.0)
    return bool(abs(amount / (plan.exposure_s * plan.gain) - 1) <= SETTLED_SHARE)
