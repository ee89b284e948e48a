"""One at a time, over all processes of this machine."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.names import Place, Refused


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits for whoever has it."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def session(place: Place) -> Iterator[None]:
    """A lab for one run of tests.  Raises Refused where another run has it."""
    place.folder.mkdir(parents=True, exist_ok=True)
    with (place.folder / "session").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise Refused(f"another run of tests has the lab in {place.folder}: set HELIOGRAPH_LAB") from fault
        yield
