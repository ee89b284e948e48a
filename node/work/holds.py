"""Who may not capture now: an operator's holds, in the database and, for the loops, in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from node.clock import US
from node.crashpoint import crash_point
from node.domain.errors import DatabaseError, DiskError
from node.domain.hold import CameraHold
from node.journal import Held, Journal
from node.store import holds
from node.store.log import Actor


class Holds:
    """Safe from any thread.  Loops read; orders are entered first, then they are in force."""

    def __init__(self, journal: Journal) -> None:
        self._journal, self._clock = journal, journal.clock
        self._lock = threading.Lock()
        self._in_doubt = False
        self._of = self._read()

    # --- asked by the loops -----------------------------------------------------------------------------------

    def current(self, camera: str) -> CameraHold | None:
        """What holds the camera now."""
        latest = self.latest(camera)
        return latest if latest is not None and latest.lasts(self._clock.now_us()) else None

    def latest(self, camera: str) -> CameraHold | None:
        """What holds the camera, or held it last."""
        known = self._of.get(camera)
        return known[-1] if known else None

    def explain(self, camera: str, due_us: int) -> bool:
        """Whether the slot came due while the camera was held."""
        return any(hold.explains(due_us) for hold in self._of.get(camera, ()))

    def stop(self, camera: str, due_us: int) -> bool:
        """Whether a slot that may be started still must not be: also one that came due just before the order."""
        return self.current(camera) is not None or self.explain(camera, due_us)

    # --- orders -----------------------------------------------------------------------------------------------

    def hold(self, camera: str, reason: str, for_s: int | None, actor: Actor) -> Held:
        """From now on no slot of it is taken; one that is held gets this reason and this end."""
        now_us = self._clock.now_us()
        until_us = None if for_s is None else now_us + for_s * US
        wanted = CameraHold(0, camera, now_us, until_us, reason, actor.who)
        return self._entered(partial(self._journal.hold, wanted, actor))

    def resume(self, camera: str, actor: Actor) -> Held:
        """From now on its slots are taken again; nothing changes where it is not held."""
        return self._entered(partial(self._journal.resume, camera, actor))

    def tick(self) -> None:
        """Once a second: those whose time is over end, as of then.  Raises DatabaseError, DiskError."""
        now_us = self._clock.now_us()
        if self._in_doubt:
            self._load()
        for camera in [camera for camera, known in self._of.items() if known[-1].lapsed(now_us)]:
            self._entered(partial(self._journal.end_hold, camera))

    def forget_before(self, at_us: int) -> None:
        """Drop what no slot asks about any more.  Raises DatabaseError, DiskError."""
        several = any(len(known) > 1 for known in self._of.values())  # each camera's newest stays
        if several and self._journal.forget_holds(at_us):
            self._load()

    # --- inside -----------------------------------------------------------------------------------------------

    def _entered(self, enter: Callable[[], Held]) -> Held:
        """What the database did not confirm in time may have been entered all the same: the next tick looks."""
        with self._lock:
            try:
                held = enter()
            except (DatabaseError, DiskError):
                self._in_doubt = True
                raise
            crash_point("hold_entered")
            if held.known:
                self._of = {**self._of, held.known[0].camera: held.known}
        return held

    def _load(self) -> None:
        with self._lock:
            self._of = self._read()
            self._in_doubt = False

    def _read(self) -> dict[str, tuple[CameraHold, ...]]:
        found: dict[str, tuple[CameraHold, ...]] = {}
        for hold in holds.every(self._journal.database):
            found[hold.camera] = (*found.get(hold.camera, ()), hold)
        return found
