"""What goes wrong between capture and archive: each fault begins with its block and its cause is gone at the end."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Self

from node.archive.base import MARKER
from node.clock import US
from tests.faults.liars import Liar, lie_while_nobody_sends, spoil_a_frame, spoil_what_arrives
from tests.faults.station import NAS, STORE, Disk, Station, offspring, words_of

Dice = random.Random
Act = Callable[[Station, Dice], AbstractContextManager[object]]
Sign = Literal["run", "work", "ship", "nas", "store", "both"]
HUNT_S, LOOK_S = 10.0, 0.02
_RENDERS = "SELECT 1 FROM jobs WHERE kind = 'render' AND state = 'leased'"
WORK_POINTS = (
    "job_claimed", "job_handled", "job_settled", "render_verified", "after_rename", "render_named", "render_committed",
    "reclaim_proved", "reclaim_marked", "reclaim_unlinked", "before_commit", "after_commit", "thumbs_made",
    "before_rename",
)  # fmt: skip
SHIP_POINTS = (
    "job_claimed", "job_handled", "job_settled", "after_put", "before_receipts", "target_half_written",
    "target_before_rename", "target_after_rename", "target_sent", "before_commit", "after_commit",
)  # fmt: skip
RUN_POINTS = ("before_shot", "shot_taken", "before_rename", "after_rename", "file_written", "before_commit",
              "after_commit", "frame_committed")  # fmt: skip


class Missed(Exception):
    """Nothing came of it: what it was to hit was not there."""


@dataclass(frozen=True)
class Fault:
    """How it is done, and how long it lasts in seconds.

    Two faults of the same `place` do not overlap.  `sign` is what shows that the node has overcome it; `often` how many
    times a deck of faults holds it.
    """

    act: Act
    lasts_s: tuple[float, float] = (0.0, 0.0)
    place: str = ""
    sign: Sign = "both"
    often: int = 1


# --- processes --------------------------------------------------------------------------------------------------------


@contextmanager
def killed(station: Station, _dice: Dice, *, names: Sequence[str]) -> Iterator[None]:
    if all(station.pid(name) is None for name in names):
        raise Missed
    station.kill(*names)
    yield


@contextmanager
def killed_at_a_point(station: Station, dice: Dice, *, name: str, points: Sequence[str]) -> Iterator[None]:
    """Its next life ends at a named point, unless that is not passed in time."""
    point, passage = dice.choice(points), dice.randint(1, 3)
    key = station.owner(name)
    station.planned[key] = f"{point}:{passage}"
    station.kill(name)
    yield
    if station.planned.pop(key, None) is None and station.status_of(key) is None:
        station.kill(name)  # it would die later, when nobody expects it


@contextmanager
def frozen(station: Station, _dice: Dice, *, name: str) -> Iterator[None]:
    pid = station.pid(name)
    if pid is None:
        raise Missed
    with stopped([pid]):
        yield


@contextmanager
def stopped(pids: Sequence[int]) -> Iterator[None]:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


class Hunt:
    """Kills what is looked for as soon as there is any, or a moment after."""

    def __init__(self, look: Callable[[], Sequence[int]], after_s: float) -> None:
        self._look, self._after_s = look, after_s
        self._over, self.caught = threading.Event(), 0
        self._thread = threading.Thread(target=self._run, name="hunt")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if not self.caught:
            raise Missed

    def _run(self) -> None:
        while not self.caught and not self._over.wait(LOOK_S):
            found = self._look()
            if found and not self._over.wait(self._after_s):
                for pid in found:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        self.caught += 1


def children_with(station: Station, name: str, word: str) -> list[int]:
    """Descendants of that process with the word in their command lines: the oldest one."""
    pid = station.pid(name)
    found = [child for child in offspring(pid) if word in (Path(part).name for part in words_of(child))] if pid else []
    return found[:1]


@contextmanager
def encoder_killed(station: Station, dice: Dice) -> Iterator[Hunt]:
    """While it begins, encodes or reads its video again."""
    ask_for_a_video(station)
    with Hunt(lambda: children_with(station, "work", "node.render.child"), dice.uniform(0.0, 1.0)) as hunt:
        yield hunt


def ask_for_a_video(station: Station) -> None:
    last = station.rows("SELECT MAX(captured_us) FROM frames WHERE quarantined = 0")
    if last and last[0][0]:
        since, until = (rfc3339(last[0][0] + more_s * US) for more_s in (-12, 1))
        station.ask("POST", "/v1/videos", json={"camera": "main", "from": since, "to": until})


def take_a_frame(station: Station) -> None:
    """Of no slot: there is something to be shown, sent and deleted even when the last window has ended."""
    station.ask("POST", "/v1/cameras/main/capture", json={})


def rfc3339(at_us: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_us // US))


@contextmanager
def sender_killed(station: Station, dice: Dice) -> Iterator[Hunt]:
    """rsync, or one of the connections that it and the hashes go through."""
    word = dice.choice(["rsync", "ssh"])
    with Hunt(lambda: children_with(station, "ship", word), dice.uniform(0.0, 0.2)) as hunt:
        yield hunt


@contextmanager
def killed_in_a_render(station: Station, dice: Dice) -> Iterator[Hunt]:
    """The worker, while it has one under way."""

    def look() -> list[int]:
        pid = station.pid("work")
        return [pid] if pid and station.rows(_RENDERS) else []

    with Hunt(look, dice.uniform(0.0, 0.2)) as hunt:
        yield hunt


@contextmanager
def camera_killed(station: Station, _dice: Dice) -> Iterator[None]:
    workers = station.node.workers() if station.node and station.node.alive else []
    if not workers:
        raise Missed
    with suppress(ProcessLookupError):
        os.kill(workers[0], signal.SIGKILL)
    yield


# --- the way to the archive host --------------------------------------------------------------------------------------


@contextmanager
def sessions_cut(station: Station, dice: Dice) -> Iterator[Hunt]:
    """Connections break; new ones are accepted."""
    doors = station.doors()
    with Hunt(lambda: [pid for door in doors for pid in offspring(door)], dice.uniform(0.0, 0.3)) as hunt:
        yield hunt


@contextmanager
def host_down(station: Station, _dice: Dice) -> Iterator[None]:
    """Nobody answers, and what was open breaks."""
    doors = station.doors()
    for pid in [*doors, *(child for door in doors for child in offspring(door))]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    try:
        yield
    finally:
        station.open_door()


@contextmanager
def host_silent(station: Station, _dice: Dice) -> Iterator[None]:
    """As a network that swallows everything: connections stand, nothing comes of them."""
    doors = station.doors()
    with stopped([*doors, *(child for door in doors for child in offspring(door))]):
        yield


# --- disks ------------------------------------------------------------------------------------------------------------


@contextmanager
def full(station: Station, dice: Dice, *, disk: str) -> Iterator[None]:
    """Filled once, or again and again whatever is freed."""
    leave, again = dice.choice([0, 0, 4096, 65_536, 500_000]), dice.random() < 0.5
    place, over = station.disks[disk], threading.Event()

    def fill() -> None:
        place.fill(leave)
        while again and not over.wait(0.2):
            place.fill(leave)

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        place.free()


@contextmanager
def gone(station: Station, dice: Dice, *, disk: str) -> Iterator[None]:
    """Unmounted; or an empty disk lies over it."""
    place = station.disks[disk]
    with dice.choice([_unmounted, _covered])(place):
        yield


@contextmanager
def _unmounted(disk: Disk) -> Iterator[None]:
    disk.vanish()
    try:
        yield
    finally:
        disk.attach()


@contextmanager
def _covered(disk: Disk) -> Iterator[None]:
    disk.cover()
    try:
        yield
    finally:
        disk.vanish()


@contextmanager
def unmarked(station: Station, _dice: Dice, *, disk: str) -> Iterator[None]:
    marker = station.disks[disk].behind / MARKER
    aside = marker.with_name("aside")
    marker.rename(aside)
    try:
        yield
    finally:
        aside.rename(marker)


@contextmanager
def read_only(station: Station, _dice: Dice, *, disk: str) -> Iterator[None]:
    """Refused while somebody writes there just then."""
    try:
        station.disks[disk].read_only(on=True)
    except OSError as error:
        raise Missed from error
    try:
        yield
    finally:
        station.disks[disk].read_only(on=False)


# --- lies -------------------------------------------------------------------------------------------------------------


@contextmanager
def arrivals_spoilt(station: Station, dice: Dice) -> Iterator[Liar]:
    with spoil_what_arrives(station, dice) as liar:
        yield liar


@contextmanager
def spoilt_unsent(station: Station, dice: Dice, *, target: str) -> Iterator[None]:
    """ship dies, and before it lives again the target is not what it was."""
    if not lie_while_nobody_sends(station, dice, target):
        raise Missed
    yield


@contextmanager
def bit_flipped(station: Station, dice: Dice) -> Iterator[None]:
    """In a frame here that was not sent yet."""
    if not spoil_a_frame(station, dice):
        raise Missed
    yield


# what rsync has written there since it began, while its connection stands, spoilt before anybody hashes it
LIES = {
    "dropped": "rm -f",
    "cut short": "truncate -s -300",
    "corrupted": "sh -c 'for file; do printf X | dd of=\"$file\" bs=1 seek=700 conv=notrunc status=none; done' sh",
    "emptied": "truncate -s 0",
}
SPOILS = """
stamp=$(mktemp); $REAL "$@"; status=$?
if [ $status = 0 ] && kill -0 $PPID; then
  find {store} -type f -cnewer $stamp -name '[!.]*' -print -exec {lie} {{}} + >>{told}
fi
rm -f $stamp; exit $status
"""
BROKEN = {
    "rsync": ("exit 12", 'timeout 0.1 "$REAL" "$@"; exit 12', "exit 0", "head -c 100 /dev/zero; exit 0"),
    "sha256sum": ("exit 1", "echo no hash", "sleep 30", ":"),
    "sync": ("exit 1",),
}


@contextmanager
def host_lies(station: Station, dice: Dice) -> Iterator[None]:
    """It takes everything, says that all is well, and keeps something else."""
    lie = dice.choice(sorted(LIES))
    station.host.false("rsync", SPOILS.format(store=station.at(STORE), lie=LIES[lie], told=station.lies_told))
    try:
        yield
    finally:
        station.host.honest()


@contextmanager
def host_broken(station: Station, dice: Dice) -> Iterator[None]:
    """A program there fails, hangs, or says nothing sensible."""
    program = dice.choice(sorted(BROKEN))
    station.host.false(program, dice.choice(BROKEN[program]))
    try:
        yield
    finally:
        station.host.honest()


FAULTS: dict[str, Fault] = {
    "run killed": Fault(partial(killed, names=["run"]), sign="run", often=2),
    "work killed": Fault(partial(killed, names=["work"]), sign="work", often=3),
    "ship killed": Fault(partial(killed, names=["ship"]), sign="ship", often=3),
    "all killed at once": Fault(partial(killed, names=["run", "work", "ship"]), sign="run"),
    "run killed at a point": Fault(
        partial(killed_at_a_point, name="run", points=RUN_POINTS), (4, 6), "run", sign="run"
    ),
    "work killed at a point": Fault(
        partial(killed_at_a_point, name="work", points=WORK_POINTS), (3, 5), "work", sign="work", often=3
    ),
    "ship killed at a point": Fault(
        partial(killed_at_a_point, name="ship", points=SHIP_POINTS), (3, 5), "work", sign="ship", often=3
    ),
    "encoder killed": Fault(encoder_killed, (HUNT_S, HUNT_S), "encoder", sign="work", often=2),
    "work killed in a render": Fault(killed_in_a_render, (HUNT_S, HUNT_S), "work", sign="work"),
    "rsync or ssh killed": Fault(sender_killed, (4, 4), "sender", sign="store", often=2),
    "camera worker killed": Fault(camera_killed, sign="run"),
    "run stopped": Fault(partial(frozen, name="run"), (1, 4), "run", sign="run"),
    "work stopped": Fault(partial(frozen, name="work"), (1, 4), "work", sign="work"),
    "ship stopped": Fault(partial(frozen, name="ship"), (1, 4), "work", sign="ship"),
    "connections cut": Fault(sessions_cut, (4, 4), "host", sign="store", often=2),
    "host down": Fault(host_down, (1, 4), "host", sign="store", often=2),
    "host silent": Fault(host_silent, (2, 6), "host", sign="store", often=2),
    "host lies": Fault(host_lies, (2, 4), "programs", sign="store", often=3),
    "host broken": Fault(host_broken, (2, 4), "programs", sign="store", often=2),
    "data disk full": Fault(partial(full, disk="data"), (2, 5), "data", sign="run", often=2),
    "directory full": Fault(partial(full, disk=NAS), (2, 4), NAS, sign="nas", often=2),
    "host full": Fault(partial(full, disk=STORE), (2, 4), STORE, sign="store", often=2),
    "directory unmounted": Fault(partial(gone, disk=NAS), (1, 4), NAS, sign="nas", often=2),
    "host's disk unmounted": Fault(partial(gone, disk=STORE), (1, 4), STORE, sign="store"),
    "directory's marker gone": Fault(partial(unmarked, disk=NAS), (1, 4), NAS, sign="nas"),
    "host's marker gone": Fault(partial(unmarked, disk=STORE), (1, 4), STORE, sign="store"),
    "directory read-only": Fault(partial(read_only, disk=NAS), (1, 4), NAS, sign="nas"),
    "arrivals spoilt": Fault(arrivals_spoilt, (2, 4), "nas files", sign="nas", often=2),
    "directory spoilt unsent": Fault(partial(spoilt_unsent, target=NAS), sign="nas", often=2),
    "host spoilt unsent": Fault(partial(spoilt_unsent, target=STORE), sign="store", often=2),
    "frame's bit flipped": Fault(bit_flipped, sign="both", often=2),
}  # fmt: skip
