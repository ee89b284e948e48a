"""Pulses of the processes beside the service: small files on tmpfs, so that idle processes write nothing that lasts."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

ENDING = ".pulse"


@dataclass(frozen=True, slots=True)
class Pulse:
    """What one loop of a process last said: at that monotonic second (one clock for all processes of a boot).

    The next one comes within `promise_s`; `job` is the id of what it works on.
    """

    pid: int
    at_s: float
    promise_s: float
    job: str = ""


def write(folder: Path, name: str, pulse: Pulse) -> None:
    """The pulse of the loop `name`.  A file that cannot be written is a pulse that is not felt: nothing is raised."""
    path = folder / f"{name}{ENDING}"
    tmp = path.with_name(f".{path.name}.tmp")
    with suppress(OSError):
        tmp.write_text(json.dumps(asdict(pulse)), encoding="ascii")
        tmp.replace(path)


def read(folder: Path, name: str) -> Pulse | None:
    """The last pulse of a process that lives; None where there is none, or its process has ended."""
    try:
        pulse = Pulse(**json.loads((folder / f"{name}{ENDING}").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return pulse if _lives(pulse.pid) else None


def end(folder: Path, name: str) -> None:
    """The loop has ended in order."""
    with suppress(OSError):
        (folder / f"{name}{ENDING}").unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's: it is there
        return True
    return True
