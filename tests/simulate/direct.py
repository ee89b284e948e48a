"""A camera link without a process: the backend runs in this thread, on a passed clock, for simulated months."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from node.camera.base import Camera, CameraConfig, CameraHealth, CameraInfo, Capabilities, Shot, ShotSpec
from node.camera.synthetic import SyntheticCamera
from node.clock import Clock
from node.domain.errors import CameraLost, CameraTimeout

T = TypeVar("T")


class _Hung(Exception):
    """The backend would never return."""


class _Crashed(Exception):
    """The backend would take its process down."""


def _hang() -> None:
    raise _Hung


def _crash() -> None:
    raise _Crashed


class DirectLink:
    """Stands in for ProcessLink: a hang costs the whole deadline on the clock, a crash ends the link at once.

    `same_picture_for` > 1 shows that many shots the same picture (with its own time): rendering is most of the cost.
    """

    def __init__(self, clock: Clock, *, same_picture_for: int = 1) -> None:
        self._clock = clock
        self._camera: Camera = SyntheticCamera(clock, hang=_hang, crash=_crash)
        self._same_for = same_picture_for
        self._shown: Shot | None = None
        self._shown_for = 0
        self._scripted = False
        self._ended = False

    @property
    def alive(self) -> bool:
        return not self._ended

    @property
    def pid(self) -> int | None:
        return None

    def probe(self, options: Mapping[str, Any], deadline_s: float) -> list[CameraInfo]:
        return self._bounded(deadline_s, self._camera.probe)

    def open(self, config: CameraConfig, deadline_s: float) -> Capabilities:
        self._scripted = bool(config.options.get("faults"))
        self._bounded(deadline_s, lambda: self._camera.open(config))
        return self._camera.capabilities()

    def shoot(self, spec: ShotSpec, deadline_s: float) -> Shot:
        if self._shown and 0 < self._shown_for < self._same_for and not self._scripted:
            self._shown_for += 1
            return replace(self._shown, captured_us=self._clock.now_us())
        self._camera.apply(spec.plan)
        shot = self._bounded(deadline_s, lambda: self._camera.capture(deadline_s * 0.9, spec))
        self._shown, self._shown_for = shot, 1
        return shot

    def ping(self, deadline_s: float) -> CameraHealth:
        return self._bounded(deadline_s, self._camera.health)

    def close(self, deadline_s: float) -> None:
        self._bounded(deadline_s, self._camera.close)

    def kill(self) -> bool:
        self._ended = True
        return True

    def _bounded(self, deadline_s: float, act: Callable[[], T]) -> T:
        if self._ended:
            raise CameraLost("this worker has ended")
        try:
            return act()
        except _Hung:
            self._clock.wait(threading.Event(), deadline_s)
            self._ended = True
            raise CameraTimeout(f"no answer within {deadline_s:.1f} s") from None
        except _Crashed:
            self._ended = True
            raise CameraLost("worker closed its pipe, signal 11") from None
