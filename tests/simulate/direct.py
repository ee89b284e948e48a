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


class _Still(SyntheticCamera):
    """Shows the same good picture for some shots: rendering is most of what a simulated shot costs."""

    def __init__(self, clock: Clock, same_for: int) -> None:
        super().__init__(clock, hang=_hang, crash=_crash)
        self._good: Shot | None = None
        self._same_for, self._shown = same_for, 0

    def _expose(self, scene: Any, spec: ShotSpec, fault: str | None) -> Shot:
        if fault not in {None, "slow"}:
            return super()._expose(scene, spec, fault)
        if self._good is None or self._shown >= self._same_for:
            self._good, self._shown = super()._expose(scene, spec, fault), 0
        self._shown += 1
        return replace(self._good, captured_us=self._clock.now_us())


class DirectLink:
    """Stands in for ProcessLink: a hang costs the whole deadline on the clock, a crash ends the link at once.

    `same_picture_for` > 1 shows that many good shots the same picture, each with its own time.
    """

    def __init__(self, clock: Clock, *, same_picture_for: int = 1) -> None:
        self._clock = clock
        self._camera: Camera = _Still(clock, same_picture_for)
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
        self._bounded(deadline_s, lambda: self._camera.open(config))
        return self._camera.capabilities()

    def shoot(self, spec: ShotSpec, deadline_s: float) -> Shot:
        self._camera.apply(spec.plan)
        return self._bounded(deadline_s, lambda: self._camera.capture(deadline_s * 0.9, spec))

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
