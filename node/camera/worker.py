"""The camera worker: a process of its own that alone touches a camera library and ends with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import import_module
from typing import IO, Any, cast

from node.camera import messages
from node.camera.base import Camera
from node.clock import SystemClock
from node.domain.errors import CameraFault, CameraLost, CameraNoMemory, HeliographError

# imported when first asked for, so that a worker holds only its own backend's libraries
BACKENDS = {
    "synthetic": ("node.camera.synthetic", "SyntheticCamera"),
    "replay": ("node.camera.replay", "ReplayCamera"),
    "opencv": ("node.camera.opencv", "OpencvCamera"),
    "picamera2": ("node.camera.picamera", "Picamera"),
}
_PR_SET_PDEATHSIG = 1


def make_camera(backend: str) -> Camera:
    """A backend by its name in node.yml."""
    module, name = BACKENDS[backend]
    return cast("Camera", getattr(import_module(module), name)(SystemClock()))


class Worker:
    """Answers requests, one at a time, in order."""

    def __init__(self, make: Callable[[str], Camera] = make_camera) -> None:
        self._make = make
        self._camera: Camera | None = None
        self._backend = ""
        self._verbs: dict[str, Callable[[Mapping[str, Any]], messages.Message]] = {
            "probe": self._probe,
            "open": self._open,
            "shoot": self._shoot,
            "ping": self._ping,
            "close": self._close,
        }

    def answer(self, request: messages.Message) -> messages.Message:
        """The answer to a request: never raises, an error is an answer."""
        try:
            return self._verbs[request.header["do"]](request.header)
        except HeliographError as error:
            return messages.from_error(error)
        except MemoryError as error:
            return messages.from_error(CameraNoMemory(str(error)))
        except Exception as error:  # noqa: BLE001 - the loop's boundary: a library's surprise is the camera's fault
            traceback.print_exc()
            return messages.from_error(CameraFault(f"{type(error).__name__}: {error}"))

    def close(self) -> None:
        """Release the camera."""
        if self._camera is not None:
            self._camera.close()

    def _take(self, backend: str) -> Camera:
        if self._camera is None or backend != self._backend:
            self.close()
            self._camera, self._backend = self._make(backend), backend
        return self._camera

    def _opened(self) -> Camera:
        if self._camera is None:
            raise CameraLost("no camera was opened in this worker")
        return self._camera

    def _probe(self, body: Mapping[str, Any]) -> messages.Message:
        options = body["options"]
        camera = self._camera or self._make(options["backend"])
        return messages.Message({"cameras": [asdict(info) for info in camera.probe()]})

    def _open(self, body: Mapping[str, Any]) -> messages.Message:
        config = messages.to_config(body["config"])
        camera = self._take(config.options["backend"])
        camera.close()
        camera.open(config)
        trim_memory()
        return messages.Message(asdict(camera.capabilities()))

    def _shoot(self, body: Mapping[str, Any]) -> messages.Message:
        camera, spec = self._opened(), messages.to_spec(body["spec"])
        camera.apply(spec.plan)
        return messages.from_shot(camera.capture(body["deadline_s"], spec))

    def _ping(self, _body: Mapping[str, Any]) -> messages.Message:
        return messages.Message(asdict(self._opened().health()))

    def _close(self, _body: Mapping[str, Any]) -> messages.Message:
        self.close()
        return messages.Message({})


def serve(worker: Worker, requests: IO[bytes], answers: IO[bytes]) -> None:
    """Until the end of the pipe: the parent has ended, or wants this to end."""
    while prefix := requests.read(messages.PREFIX.size):
        if len(prefix) < messages.PREFIX.size:
            return
        header_size, parts_size = messages.lengths(prefix)
        request = messages.unpack(requests.read(header_size), memoryview(requests.read(parts_size)))
        for buffer in messages.pack(worker.answer(request)):
            answers.write(buffer)
        answers.flush()


def take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Requests and answers, moved away from descriptors 0 and 1: what a library prints goes to stderr."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_RDONLY)
    os.dup2(silence, 0)
    os.close(silence)
    os.dup2(2, 1)
    return requests, answers


def die_with_parent() -> None:
    """End-of-file ends an idle worker; the kernel's signal ends one that hangs in a driver."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def trim_memory() -> None:
    """Give back what opening needed only once; glibc would keep it."""
    ctypes.CDLL(None).malloc_trim(0)


def main() -> None:
    """Serve until the pipe ends.  Ctrl-C and the unit's SIGTERM are the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    die_with_parent()
    requests, answers = take_pipes()
    worker = Worker()
    try:
        serve(worker, requests, answers)
        worker.close()
    except (BrokenPipeError, messages.Garbled) as error:
        sys.stderr.write(f"{error}\n")
    # native libraries may hang in their destructors: nothing is left to do that the kernel does not do
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
