"""A stand-in for picamera2 0.3.38 that misbehaves as the real one was measured to.

* A wait that times out leaves its job in the queue: the next frame goes to it, never to who asks later.
* A capture that raises inside the event loop keeps its buffer; two lost buffers, and no frame comes any more.
* `capture_request(wait=True)` and `stop` wait for ever where no frame comes.
* An exception in a callback ends the event thread without a word.
* Each opening that fails leaks two file descriptors.
* `configure` changes formats and sizes that it does not like, and says nothing.
* `Job.cancel` does not call the job's signal function.
* `capture_file` to a full disk returns as if all were well.
* `capture_request(flush=True)` needs ExposureTime in the metadata.
* Controls take effect some frames later; AeEnable in one batch with exposure values undoes them.

Tests shape it through `plan`; nothing here is the library's own code.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

CONTROL_LATENCY = 3
FRAME_S = 0.004


@dataclass
class Plan:
    """What this board's camera does wrong."""

    cameras: list[dict[str, Any]] = field(default_factory=lambda: [{"Model": "imx708", "Id": "/base/imx708", "Num": 0}])
    open_error: Exception | None = None
    start_error: Exception | None = None
    silent_after: int | None = None
    without_exposure: bool = False
    array_error: Exception | None = None
    job_error: Exception | None = None
    adjust: Callable[[dict[str, Any]], None] | None = None
    stop_blocks: bool = False


plan = Plan()
leaked: list[int] = []
opened: list[Picamera2] = []


def reset() -> None:
    """A healthy board; what a test left open is ended."""
    global plan  # noqa: PLW0603 - the module is the board
    for camera in opened:
        camera.end()
    opened.clear()
    for descriptor in leaked:
        os.close(descriptor)
    leaked.clear()
    plan = Plan()


class Job:
    """Runs in the event loop; its result is a future's."""

    def __init__(self, function: Callable[[], tuple[bool, Any]], signal: Callable[[Job], None] | None = None) -> None:
        self._function = function
        self._signal = signal
        self._future: Future[Any] = Future()
        self._future.set_running_or_notify_cancel()

    def execute(self) -> bool:
        try:
            done, result = self._function()
        except Exception as error:  # noqa: BLE001 - as the library does
            self._future.set_exception(error)
            return True
        if done and not self._future.done():
            self._future.set_result(result)
            if self._signal:
                self._signal(self)
        return done

    def get_result(self, timeout: float | None = None) -> Any:
        return self._future.result(timeout=timeout)

    def cancel(self) -> None:
        self._future.set_exception(CancelledError())


class CompletedRequest:
    """One buffer with its picture; released, it goes back to the pipeline."""

    def __init__(self, camera: Picamera2, number: int, metadata: dict[str, Any]) -> None:
        self._camera, self._number, self._metadata = camera, number, metadata
        self.released = False

    def get_metadata(self) -> dict[str, Any]:
        return dict(self._metadata)

    def make_array(self, name: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
        if plan.array_error:
            raise plan.array_error
        stream = self._camera.config[name]
        stride, height = stream["stride"], stream["size"][1]
        array = np.full((height * 3 // 2, stride), 128, dtype=np.uint8)
        brightness = self._metadata.get("ExposureTime", 10_000) * self._metadata["AnalogueGain"] / 100
        array[:height] = np.clip(np.linspace(0, 100, stride) + brightness, 0, 255)[None, :].astype(np.uint8)
        return array

    def release(self) -> None:
        if self.released:
            raise RuntimeError("CompletedRequest: lock now has negative ref_count")
        self.released = True
        self._camera.free.release()


class Picamera2:
    """One camera of the board."""

    sensor_resolution: ClassVar[tuple[int, int]] = (1536, 864)

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return plan.cameras

    def __init__(self, camera_num: int = 0) -> None:
        if plan.open_error:
            leaked.extend(os.pipe())
            raise plan.open_error
        if camera_num >= len(plan.cameras):
            leaked.extend(os.pipe())
            raise IndexError("list index out of range")
        self.camera_controls = {
            "ExposureTime": (100, 10_000_000, 20_000),
            "AnalogueGain": (1.0, 16.0, 1.0),
            "FrameDurationLimits": (33_333, 120_000_000, 33_333),
            "AeEnable": (False, True, True),
        }
        self.config: dict[str, Any] = {}
        self.batches: list[dict[str, Any]] = []
        self.post_callback: Callable[[CompletedRequest], None] | None = None
        self.free = threading.Semaphore(0)
        self.frames = 0
        self.started = False
        self.closed = False
        self._jobs: list[Job] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._pending: list[tuple[int, dict[str, Any]]] = []
        self._active: dict[str, Any] = {"ExposureTime": 10_000, "AnalogueGain": 1.0}
        self._waiting: CompletedRequest | None = None
        opened.append(self)

    def create_still_configuration(self, **given: Any) -> dict[str, Any]:
        base = {"main": {"format": "BGR888", "size": self.sensor_resolution}, "lores": None, "raw": {}, "queue": True}
        return {**base, "buffer_count": 1, "controls": {}, **given}

    def configure(self, configuration: dict[str, Any]) -> None:
        if self.started:
            raise RuntimeError("Camera must be stopped before configuring")
        made = {name: dict(value) if isinstance(value, dict) else value for name, value in configuration.items()}
        for name in ("main", "lores"):
            width, height = made[name]["size"]
            made[name]["size"] = (width - width % 2, height - height % 2)
            made[name]["stride"] = -(-width // 64) * 64
        if plan.adjust:
            plan.adjust(made)
        self.config = made

    def camera_configuration(self) -> dict[str, Any]:
        return self.config

    def start(self, **_how: Any) -> None:
        if plan.start_error:
            raise plan.start_error
        self.started = True
        for _ in range(self.config["buffer_count"]):
            self.free.release()
        self.thread = threading.Thread(target=self._loop, daemon=True)
        self.thread.start()

    def set_controls(self, controls: dict[str, Any]) -> None:
        self.batches.append(dict(controls))
        taken = dict(controls)
        if "AeEnable" in taken:
            taken.pop("ExposureTime", None)
            taken.pop("AnalogueGain", None)
        self._pending.append((self.frames + CONTROL_LATENCY, taken))

    def capture_request(self, wait: bool | None = None, flush: bool | None = None, signal_function: Any = None) -> Any:
        asked_ns = time.monotonic_ns()

        def take() -> tuple[bool, CompletedRequest | None]:
            request, self._waiting = self._waiting, None
            if request is None:
                return False, None
            if plan.job_error:
                raise plan.job_error  # the request is nobody's now, and never released
            metadata = request.get_metadata()
            if flush and metadata["SensorTimestamp"] - metadata["ExposureTime"] * 1000 < asked_ns:
                request.release()
                return False, None
            return True, request

        job = Job(take, signal_function)
        with self._lock:
            self._jobs.append(job)
        return job.get_result() if wait is None or wait is True else job

    def capture_file(self, path: str) -> dict[str, Any]:
        request: CompletedRequest = self.capture_request()
        with suppress(OSError):  # as measured: a full disk is not told
            Path(path).write_bytes(request.make_array("main").tobytes())
        metadata = request.get_metadata()
        request.release()
        return metadata

    def cancel_all_and_flush(self) -> None:
        with self._lock:
            for job in self._jobs:
                job.cancel()
            self._jobs.clear()

    def stop(self) -> None:
        if plan.stop_blocks or self._jobs:
            self._over.wait()  # a job that waits behind others in a loop that does not run
        self.end()
        self.started = False

    def close(self) -> None:
        if self.closed:
            return
        if self.started:
            self.stop()
        self.closed = True

    def end(self) -> None:
        """For the test's own clean-up."""
        self._over.set()
        self.free.release()

    def _loop(self) -> None:
        while not self._over.wait(FRAME_S):
            if plan.silent_after is not None and self.frames >= plan.silent_after:
                continue
            if not self.free.acquire(timeout=1):
                continue
            self._complete()

    def _complete(self) -> None:
        self.frames += 1
        for due, controls in [entry for entry in self._pending if entry[0] <= self.frames]:
            self._active.update(controls)
            self._pending.remove((due, controls))
        metadata = {"SensorTimestamp": time.monotonic_ns(), "Lux": 400.0, "ColourTemperature": 5200, "DigitalGain": 1.0}
        metadata |= {name: self._active[name] for name in ("ExposureTime", "AnalogueGain")}
        if plan.without_exposure:
            del metadata["ExposureTime"]
        request = CompletedRequest(self, self.frames, metadata)
        if self.post_callback:
            self.post_callback(request)
        self._waiting = request
        with self._lock:
            while self._jobs and self._jobs[0].execute():
                self._jobs.pop(0)
        if self._waiting is request:
            self._waiting = None
            request.release()
