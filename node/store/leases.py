"""The lease's file: changed under a lock of its own, so that the service and commands beside it see the same."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from node.clock import Clock, boot_id
from node.crashpoint import crash_point
from node.domain.errors import LeaseBusy, LeaseGone
from node.domain.lease import Lease, Moment, Wish, from_json, refuse_others, taken, to_json
from node.host import disk
from node.host.files import sync
from node.store.files import replace_atomic

FILE, LOCK = "lease.json", "lock-lease"
LARGEST_BYTES = 16 * 1024
PATIENCE_S, LOOK_S = 5.0, 0.02


class Leases:
    """Safe from any thread and process.

    Every method raises DiskReadOnly, DirectoryMissing; those that change something also DiskFull, and LeaseBusy where
    another process does not let go of the lock.
    """

    def __init__(self, data_dir: Path, clock: Clock, boot: str | None = None) -> None:
        self._path, self._lock = data_dir / FILE, data_dir / LOCK
        self._clock, self._boot = clock, boot or boot_id()

    def current(self) -> Lease | None:
        """Who holds it now; None = nobody does."""
        lease = self._read()
        return lease.as_of(self._now()) if lease else None

    def take(self, wish: Wish) -> Lease:
        """Take it, or renew one's own.  Raises LeaseHeld."""
        with self._locked():
            lease = taken(self._read(), wish, self._now())
            self._write(lease)
        return lease

    def renew(self, wish: Wish) -> Lease:
        """Only one's own, which lasts still.  Raises LeaseHeld, LeaseGone; an empty message is the one before."""
        with self._locked():
            held = self.current()
            refuse_others(held, wish.owner)
            if held is None:
                raise LeaseGone(wish.owner)
            lease = taken(held, replace(wish, message=wish.message or held.message), self._now())
            self._write(lease)
        return lease

    def release(self, owner: str, *, force: bool = False) -> Lease | None:
        """What was let go of; None where nobody held it.  Raises LeaseHeld where it is another's, but for `force`."""
        with self._locked():
            held = self.current()
            if not force:
                refuse_others(held, owner)
            self._drop()
        return held

    @contextmanager
    def respected(self, owner: str) -> Iterator[None]:
        """Nobody holds it, or this owner does, and that stays so meanwhile.  Raises LeaseHeld."""
        with self._locked():
            refuse_others(self.current(), owner)
            yield

    def settle(self) -> Lease | None:
        """As `current`, by who looks often: one of the boot before is written down anew for this one.

        Else a clock that comes right only later would move its end.
        """
        lease = self._read()
        if lease is not None and lease.boot != self._boot:
            with self._locked(0.0):
                lease = self.current()
                if lease is not None:
                    self._write(lease)
        return lease.as_of(self._now()) if lease else None

    # --- inside -----------------------------------------------------------------------------------------------

    def _now(self) -> Moment:
        return Moment(self._clock.now_us(), self._boot, self._clock.monotonic())

    def _read(self) -> Lease | None:
        try:
            with self._path.open("rb") as file:
                data = file.read(LARGEST_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise disk.meaning(error, self._path.name) from error
        return from_json(data) if len(data) <= LARGEST_BYTES else None

    def _write(self, lease: Lease) -> None:
        crash_point("before_lease")
        replace_atomic(self._path, to_json(lease))
        crash_point("lease_written")

    def _drop(self) -> None:
        with disk.failures_named(self._path):
            self._path.unlink(missing_ok=True)
            sync(self._path.parent)

    @contextmanager
    def _locked(self, patience_s: float = PATIENCE_S) -> Iterator[None]:
        """The lock goes with the process, however it ends."""
        with disk.failures_named(self._lock):
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            self._wait_for(descriptor, patience_s)
            yield
        finally:
            os.close(descriptor)

    def _wait_for(self, descriptor: int, patience_s: float) -> None:
        until_s = self._clock.monotonic() + patience_s
        while not _try(descriptor):
            if self._clock.monotonic() >= until_s:
                raise LeaseBusy(f"another process holds {LOCK}")
            self._clock.wait(threading.Event(), LOOK_S)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
