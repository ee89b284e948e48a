"""Speaking with a lab's keeper."""

from __future__ import annotations

import json
import socket
import struct
from contextlib import suppress
from typing import Any

from tests.lab.names import Place, Refused

ANSWER_S = 120.0


def ask(place: Place, do: str, **words: object) -> dict[str, Any]:
    """Raises Refused with what the keeper said, or where there is none."""
    try:
        with _connected(place) as line:
            line.sendall(json.dumps({"do": do, **words}).encode() + b"\n")
            said: dict[str, Any] = json.loads(line.makefile().readline() or '{"error": "the lab has ended"}')
    except (OSError, ValueError) as fault:
        raise _none(place) from fault
    if "error" in said:
        raise Refused(said["error"])
    return said


def keeper(place: Place) -> int | None:
    """The process that listens at the lab's socket, asked of the kernel: no file can be out of date."""
    with suppress(OSError), _connected(place) as line:
        pid: int = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        return pid
    return None


def found(place: Place) -> int:
    """The keeper's process.  Raises Refused where there is none."""
    pid = keeper(place)
    if pid is None:
        raise _none(place)
    return pid


def _none(place: Place) -> Refused:
    return Refused(f"no lab is up in {place.folder}: python -m tests.lab up")


def _connected(place: Place) -> socket.socket:
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(ANSWER_S)
    try:
        line.connect(str(place.socket))
    except OSError:
        line.close()
        raise
    return line
