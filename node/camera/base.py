"""The camera protocol: what every backend does, and the values that cross to its worker and back.

Synchronous, one thread; the worker process around a backend supplies deadlines.  No enum of any camera library
stands here.  Errors are the CAM-001..007 classes of node.domain.errors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from node.domain.frame import Exposure


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """One camera that a probe found, without opening it."""

    identity: str
    model: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an open camera can do.  Pixels, seconds, linear gain; None = not known or not settable."""

    width: int
    height: int
    exposure_min_s: float | None = None
    exposure_max_s: float | None = None
    gain_max: float | None = None
    sets_exposure: bool = False


@dataclass(frozen=True, slots=True)
class CameraConfig:
    """How to open a camera.  `options` is its section of node.yml (already validated), `sun` is for synthetic skies.

    None for width and height leaves the size to the camera.  `shot_margin_s` is the time a shot may take beyond its
    exposures.  `shots_before` counts the shots and failed openings of earlier workers, so that a scripted fault goes
    on where a killed worker left off; the supervisor fills it in.
    """

    name: str
    options: dict[str, Any]
    width: int | None = None
    height: int | None = None
    jpeg_quality: int = 90
    settle_frames: int = 2
    sun_factor: float = 1.0
    sun_from_us: int = 0
    shot_margin_s: float = 5.0
    shots_before: int = 0


@dataclass(frozen=True, slots=True)
class ExposurePlan:
    """The exposure asked for: mode auto (with a correction in stops) or manual (seconds, linear gain)."""

    mode: str = "auto"
    exposure_s: float | None = None
    gain: float | None = None
    ev_stops: float = 0.0


@dataclass(frozen=True, slots=True)
class ShotSpec:
    """One shot asked for at `at_us` (UTC microseconds), as the node's clock has it."""

    at_us: int
    plan: ExposurePlan = field(default_factory=ExposurePlan)


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture.  `luma` is a small 8-bit Y plane, rows × columns, row-major; empty where the backend has none.

    `captured_us` is the UTC of the exposure's end as the worker's clock had it.  A shot is settled when its exposure
    began after the request and exposure × gain is within 5 % of what was asked.  `source` names the file where the
    picture comes from one.
    """

    jpeg: bytes
    width: int
    height: int
    captured_us: int
    requested: Exposure
    actual: Exposure
    settled: bool
    frames_used: int
    backend: str
    luma: bytes = b""
    luma_width: int = 0
    luma_height: int = 0
    sensor_ns: int | None = None
    lux: float | None = None
    colour_temperature_k: float | None = None
    sensor_temperature_c: float | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """What a backend says about itself."""

    open: bool
    shots: int
    detail: str = ""


class Camera(Protocol):
    """One backend.  `close` is idempotent and bounded; after any CameraTimeout or CameraFault only `close` is legal."""

    def probe(self) -> list[CameraInfo]:
        """The cameras that this backend can see, without opening one."""

    def open(self, config: CameraConfig) -> None:
        """Open and start.  Raises any camera error but CameraLost."""

    def capabilities(self) -> Capabilities:
        """Of the open camera."""

    def apply(self, plan: ExposurePlan) -> tuple[str, ...]:
        """Set the exposure for the next shots; returns the names of the values that were clamped."""

    def capture(self, deadline_s: float, spec: ShotSpec) -> Shot:
        """One shot within `deadline_s` seconds.  Raises any camera error."""

    def close(self) -> None:
        """Release the camera."""

    def health(self) -> CameraHealth:
        """Cheap, never raises."""
