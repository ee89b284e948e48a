"""Somebody changes files behind the node's back: at a target before it gives its receipt, or a frame here.

What a target does to a file after a true receipt, when the original may be gone, no receipt can prevent: that is found
by reading again, and is another test's matter.  So these lie about what has no receipt yet.  Where a liar comes late,
between the reading and the receipt's entry, it takes the lie back, and the item is counted apart.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from node.clock import US, SystemClock
from tests.archives import LIES
from tests.faults.station import NAS, Lie, Station

LOOK_S = 0.02
READ_US = US
"""The longest that may lie between the reading of a file and the time in its receipt."""
_WAITING = (
    "SELECT id, path, sha256 FROM outbox JOIN frames ON id = item WHERE target = ? AND NOT EXISTS"
    " (SELECT 1 FROM receipts WHERE receipts.item = id AND receipts.target = ?) ORDER BY id DESC LIMIT 40"
)
_UNSENT = (
    "SELECT id, path FROM frames WHERE quarantined = 0 AND id NOT IN (SELECT item FROM receipts)"
    " AND id NOT IN (SELECT frame_id FROM frames_gone) ORDER BY id DESC LIMIT 3"
)


class Liar:
    """Spoils frames at the directory target as they arrive, as long as their originals are here."""

    def __init__(self, station: Station, dice: random.Random) -> None:
        self._station, self._dice, self.told = station, dice, 0
        self._known = set(_there(station))
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(LOOK_S):
            for path in _there(self._station):
                if path not in self._known:
                    self._known.add(path)
                    self._spoil(path)
            take_back_what_came_late(self._station)

    def stop(self) -> None:
        self._over.set()

    def _spoil(self, path: Path) -> None:
        own = path.relative_to(self._station.at(NAS)).as_posix()
        rows = self._station.rows("SELECT id, sha256 FROM frames WHERE path = ?", own)
        with suppress(OSError):
            true = path.read_bytes()
            if (
                rows
                and true
                and hashlib.sha256(true).hexdigest() == rows[0][1]
                and (self._station.home.data / own).exists()
            ):
                self._station.lies.append(Lie(rows[0][0], path, true, SystemClock().now_us()))
                self._dice.choice(LIES)(path)
                self.told += 1


@contextmanager
def spoil_what_arrives(station: Station, dice: random.Random) -> Iterator[Liar]:
    liar = Liar(station, dice)
    thread = threading.Thread(target=liar.run, name="liar")
    thread.start()
    try:
        yield liar
    finally:
        liar.stop()
        thread.join()


def take_back_what_came_late(station: Station) -> None:
    """Of lies about files that were proved before them; those that were found out have no receipt, or a later one."""
    for lie in station.lies.copy():
        rows = station.rows("SELECT verified_us FROM receipts WHERE item = ? AND target = ?", lie.item, NAS)
        if rows and rows[0][0] <= lie.at_us + READ_US:
            _write(lie.path, lie.true)
            station.late.add(lie.item)
        if rows:
            with suppress(ValueError):  # another thread was quicker
                station.lies.remove(lie)


def lie_while_nobody_sends(station: Station, dice: random.Random, target: str) -> int:
    """ship is killed: what has arrived and has no receipt is spoilt, and something else lies where others will go."""
    station.kill("ship")
    told = 0
    for _, path, _ in station.rows(_WAITING, target, target):
        there = station.at(target) / path
        with suppress(OSError):
            if there.exists() and there.stat().st_size:
                dice.choice(LIES)(there)
                told += 1
            elif not there.exists() and dice.random() < 0.5:
                there.parent.mkdir(parents=True, exist_ok=True)
                size = (station.home.data / path).stat().st_size
                there.write_bytes(dice.randbytes(size + dice.choice([0, 0, -size, 1, -1])))
                told += 1
    return told


def spoil_a_frame(station: Station, dice: random.Random) -> bool:
    """One bit of one that nobody else has yet."""
    for frame, own in station.rows(_UNSENT):
        path = station.home.data / own
        if frame in station.flipped:
            continue
        with suppress(OSError):
            true = path.read_bytes()
            at = dice.randrange(len(true) // 2, len(true) - 2)
            station.witness.spoilt.add(frame)
            station.flipped[frame] = (
                path,
                true,
                true[:at] + bytes([true[at] ^ 1 << dice.randrange(8)]) + true[at + 1 :],
            )
            with path.open("r+b") as file:
                file.write(station.flipped[frame][2])
            return True
    return False


def mend_frames(station: Station) -> None:
    """The bits are as they were, of those that are still here."""
    for path, true, _ in station.flipped.values():
        with suppress(FileNotFoundError), path.open("r+b") as file:
            file.write(true)


def _there(station: Station) -> list[Path]:
    with suppress(OSError):
        return [path for path in station.at(NAS).rglob("*.jpg") if not path.name.startswith(".")]
    return []


def _write(path: Path, data: bytes) -> None:
    """In one step, so that nobody reads half of it."""
    tmp = path.with_name(f".{path.name}.back")
    with suppress(OSError):
        tmp.write_bytes(data)
        tmp.replace(path)
