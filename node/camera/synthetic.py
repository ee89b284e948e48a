"""The synthetic camera: a sky made from the sun's elevation, seen through a sensor's model, with scripted faults."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import simplejpeg

from node.camera import picture, scenery, script, sensor, sky, sun
from node.camera.base import CameraConfig, CameraHealth, CameraInfo, Capabilities, ExposurePlan, Shot, ShotSpec
from node.camera.sensor import Pixels, Setting
from node.clock import US, Clock
from node.domain.errors import CameraAbsent, CameraBusy, CameraFault, CameraTimeout
from node.domain.frame import Exposure

BACKEND = "synthetic"
DEFAULT_SIZE = (1280, 720)
LUMA_WIDTH = 160
SLOW_SHARE = 0.6
TRUNCATED_SHARE = 0.6
_GREY, _BLOCK = 128, 16
_AT_START = Setting(1 / 60, 1.0)
_FRAMES_BEYOND_SETTLE = 8
_WEATHER_SECONDS_APART = 10_000_000


def hang() -> None:
    """For ever, deaf to every signal but SIGKILL, as a call into a stuck driver is."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    threading.Event().wait()


def crash() -> None:
    """A native crash, without a core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal.SIGSEGV)


@dataclass(frozen=True, slots=True)
class _Scene:
    """What an open camera looks at."""

    scenery: scenery.Scenery
    seed: int
    weather: str
    latitude: float
    longitude: float
    faults: tuple[script.Fault, ...]


class SyntheticCamera:
    """`hang` and `crash` are what scripted faults do; a simulation without processes passes its own."""

    def __init__(self, clock: Clock, *, hang: Callable[[], None] = hang, crash: Callable[[], None] = crash) -> None:
        self._clock = clock
        self._hang, self._crash = hang, crash
        self._config: CameraConfig | None = None
        self._scene: _Scene | None = None
        self._dead = False
        self._count = 0
        self._shots = 0
        self._setting = _AT_START
        self._plan = ExposurePlan()
        self._last: Shot | None = None

    def probe(self) -> list[CameraInfo]:
        return [CameraInfo(BACKEND, "synthetic sky")]

    def open(self, config: CameraConfig) -> None:
        options = config.options
        faults = script.read(options.get("faults", ()))
        self._count = config.shots_before
        self._fail_opening(script.fault_at(faults, self._count, script.AT_OPENING))
        width = config.width or options.get("width", DEFAULT_SIZE[0])
        height = config.height or options.get("height", DEFAULT_SIZE[1])
        seed, weather = int(options.get("seed", 1)), options.get("weather", "cloudy")
        precipitation = sky.WEATHERS[weather].precipitation > 0
        self._scene = _Scene(
            scenery=_reused(self._scene, width, height, seed, weather)
            or scenery.build(width, height, seed, precipitation=precipitation),
            seed=seed,
            weather=weather,
            latitude=float(options.get("latitude", 52.5)),
            longitude=float(options.get("longitude", 13.4)),
            faults=faults,
        )
        self._config, self._dead, self._setting, self._last = config, False, _AT_START, None

    def capabilities(self) -> Capabilities:
        scene = self._looking()
        return Capabilities(
            width=scene.scenery.width,
            height=scene.scenery.height,
            exposure_min_s=sensor.EXPOSURE_MIN_S,
            exposure_max_s=sensor.EXPOSURE_MAX_S,
            gain_max=sensor.GAIN_MAX,
            sets_exposure=True,
        )

    def apply(self, plan: ExposurePlan) -> tuple[str, ...]:
        self._looking()
        self._plan = plan
        if plan.exposure_s is None or plan.gain is None:
            return ()
        able = sensor.clamped(plan.exposure_s, plan.gain)
        wanted = {"exposure_s": plan.exposure_s != able.exposure_s, "gain": plan.gain != able.gain}
        return tuple(name for name, changed in wanted.items() if changed)

    def capture(self, deadline_s: float, spec: ShotSpec) -> Shot:
        scene = self._looking()
        fault = script.fault_at(scene.faults, self._count)
        self._count += 1
        self._fail(fault, deadline_s)
        if fault == "stale" and self._last is not None:
            return replace(self._last, captured_us=self._clock.now_us())
        self._last = self._expose(scene, spec, fault)
        self._shots += 1
        return self._last

    def close(self) -> None:
        self._config = None

    def health(self) -> CameraHealth:
        return CameraHealth(open=self._config is not None and not self._dead, shots=self._shots)

    # --- faults ---------------------------------------------------------------------------------------------

    def _looking(self) -> _Scene:
        if self._config is None or self._scene is None:
            raise CameraFault("the camera is not open")
        if self._dead:
            raise CameraFault("the camera failed before; it must be closed first")
        return self._scene

    def _fail_opening(self, kind: str | None) -> None:
        if kind == "absent":
            raise CameraAbsent("scripted: nothing is connected")
        if kind == "crash":
            self._crash()

    def _fail(self, kind: str | None, deadline_s: float) -> None:
        self._dead = kind in {"absent", "fault"}
        self._fail_opening(kind)
        if kind == "busy":
            raise CameraBusy("scripted: another program holds it")
        if kind == "fault":
            raise CameraFault("scripted")
        if kind == "stall":
            self._hang()
            raise CameraTimeout("scripted")
        if kind == "slow":
            self._clock.wait(threading.Event(), deadline_s * SLOW_SHARE)

    # --- one exposure ---------------------------------------------------------------------------------------

    def _expose(self, scene: _Scene, spec: ShotSpec, fault: str | None) -> Shot:
        assert self._config
        at_s, light = _look(scene, self._config, spec.at_us)
        aim = _aim(self._plan, light)
        frames = min(sensor.frames_to_settle(self._setting, aim), self._config.settle_frames + _FRAMES_BEYOND_SETTLE)
        used = sensor.on_the_way(self._setting, aim, frames)
        self._setting = used
        shown = replace(used, exposure_s=0.0) if fault == "black" else used
        pixels = _spoilt(picture.paint(scene.scenery, light, shown, scene.seed, at_s), fault)
        small = picture.luma(pixels, LUMA_WIDTH)
        return Shot(
            jpeg=_encoded(pixels, self._config.jpeg_quality, fault),
            width=pixels.shape[1],
            height=pixels.shape[0],
            captured_us=self._clock.now_us(),
            requested=Exposure(self._plan.exposure_s, self._plan.gain, self._plan.ev_stops),
            actual=Exposure(used.exposure_s, used.gain, self._plan.ev_stops),
            settled=abs(used.amount / aim.amount - 1) <= sensor.SETTLED_SHARE,
            frames_used=frames + 1,
            backend=BACKEND,
            luma=small.tobytes(),
            luma_width=small.shape[1],
            luma_height=small.shape[0],
            lux=round(light.lux, 3),
        )


def _reused(before: _Scene | None, width: int, height: int, seed: int, weather: str) -> scenery.Scenery | None:
    """The scenery of an earlier opening where it fits: building one takes longer than a shot."""
    if before is None or (before.seed, before.weather) != (seed, weather):
        return None
    known = before.scenery
    return known if (known.width, known.height) == (width, height) else None


def _look(scene: _Scene, config: CameraConfig, at_us: int) -> tuple[float, sky.Light]:
    """Seconds of the scene's own time, and the light then."""
    ahead_us = at_us - config.sun_from_us
    if config.sun_factor > 1 and ahead_us > 0:
        at_us = config.sun_from_us + round(ahead_us * config.sun_factor)
    elevation = sun.elevation_deg(at_us, scene.latitude, scene.longitude)
    return at_us / US, sky.at(elevation, scene.weather, scene.seed + _WEATHER_SECONDS_APART, at_us / US)


def _aim(plan: ExposurePlan, light: sky.Light) -> Setting:
    if plan.exposure_s is None or plan.gain is None:
        return sensor.metered(sky.scene_luminance(light), plan.ev_stops)
    return sensor.clamped(plan.exposure_s, plan.gain)


def _spoilt(pixels: Pixels, fault: str | None) -> Pixels:
    if fault == "magenta":  # the green rows of the sensor's mosaic lost
        pixels[:, :, 1] >>= 2
    if fault == "half_grey":  # what a decoder leaves of scan data that stopped inside a row of blocks
        height, width = pixels.shape[:2]
        row = height * 11 // 20 // _BLOCK * _BLOCK
        pixels[row : row + _BLOCK, width // 3 // _BLOCK * _BLOCK :] = _GREY
        pixels[row + _BLOCK :] = _GREY
    return pixels


def _encoded(pixels: Pixels, quality: int, fault: str | None) -> bytes:
    jpeg: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGBX", "420")
    return jpeg[: int(len(jpeg) * TRUNCATED_SHARE)] if fault == "truncated" else jpeg
