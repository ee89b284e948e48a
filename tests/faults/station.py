"""A node with its three processes and two targets, each on a file system of its own; whatever dies is started again."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from node.almanac import Sun
from node.clock import US, SystemClock
from node.crashpoint import VARIABLE
from node.domain.config import Site
from node.host import pulse
from node.store.database import NAME
from tests import sshd
from tests.faults.witness import Bystander
from tests.nodes import EACH_SECOND, PROGRAM, SMALL, Home, Node, clean_environment, heliograph_node, wait_for

MB = 1 << 20
UNMEASURED = {"COVERAGE_PROCESS_CONFIG": ""}  # a killed process leaves no figures, and starts faster without
NAS, STORE = "nas", "store"
TARGETS = (NAS, STORE)
AGAIN_S, ASK_S, SOON_S = 0.3, 2.0, 15.0
LEAD_S, STARTS = 2.0, 4
"""The first window begins so many seconds, and so many starts of a program, after the last preparation."""
_NEW_MOUNTS = 0x20000  # CLONE_NEWNS of unshare(2)
KINDS = ("render", "thumbnail", "backup", "upkeep", "reconcile", "transfer", "verify-archive", "restore")
"""Kinds that are tried again after a second, so often that none of them dies of the faults."""


def alone() -> None:
    """Mounts of this thread, and of what it starts from now on, are its own: they go with the last of them."""
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare")
    for way in ("--make-rprivate", "--make-rshared"):
        subprocess.run(["mount", way, "/"], check=True)


class Disk:
    """A small file system, and the place where it is mounted or not."""

    def __init__(self, behind: Path, place: Path, size_bytes: int) -> None:
        self.behind, self.place = behind, place
        for folder in (behind, place):
            folder.mkdir(parents=True, exist_ok=True)
        _mount("-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", behind)
        self.attach()

    def attach(self) -> None:
        _mount("--bind", self.behind, self.place)

    def vanish(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.place)], check=True)

    def read_only(self, *, on: bool) -> None:
        """For this place only."""
        _mount("-o", f"remount,bind,{'ro' if on else 'rw'}", self.place)

    def fill(self, leave_bytes: int = 0) -> None:
        """All but so much, by somebody else; what is freed meanwhile stays free."""
        space = os.statvfs(self.behind)
        size = max(0, space.f_bavail * space.f_frsize - leave_bytes)
        with (self.behind / "filler").open("ab") as file, suppress(OSError):
            os.posix_fallocate(file.fileno(), file.tell(), max(1, size))

    def cover(self) -> None:
        """An empty disk lies over it until that vanishes."""
        _mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", self.place)

    def free(self) -> None:
        (self.behind / "filler").unlink(missing_ok=True)


@dataclass(frozen=True)
class Lie:
    """What somebody did to the file of a frame at a target, and when it was done."""

    item: str
    path: Path
    true: bytes
    at_us: int


@dataclass(frozen=True)
class Shape:
    """What one node differs in.  `programs` stand in place of the true one, by word: a planted bug."""

    receipts_needed: int = 1
    together: bool = False  # work and ship in one process
    window_s: int = 20
    windows: int = 8
    programs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    data_bytes: int = 48 * MB
    document: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Calendar:
    """Windows without a pause between them; where it is about noon, their edges know seconds."""

    site: Mapping[str, Any]
    noon_us: int
    first_s: int
    window_s: int
    windows: int

    @property
    def from_us(self) -> int:
        return self.noon_us + self.first_s * US

    @property
    def until_us(self) -> int:
        return self.from_us + self.window_s * self.windows * US

    def wanted(self, at_us: int) -> bool:
        return self.from_us <= at_us < self.until_us

    def schedules(self) -> dict[str, Any]:
        starts = [self.first_s + self.window_s * number for number in range(self.windows)]
        edges = [({"anchor": "noon", "offset_s": at_s} for at_s in (start, start + self.window_s)) for start in starts]
        windows = [{"kind": "solar", "start": start, "end": end} for start, end in edges]
        return {f"w{number}": {"interval_s": 1, "window": window} for number, window in enumerate(windows)}


def calendar(in_s: int, shape: Shape) -> Calendar:
    now_us = SystemClock().now_us()
    site = {"latitude": 20.0, "longitude": (43_200 - now_us / US % 86_400) / 240}
    sun = Sun(Site(**site))
    noon_us = sun.noon_us(sun.solar_day(now_us))
    return Calendar(site, noon_us, (now_us - noon_us) // US + in_s, shape.window_s, shape.windows)


def document_of(shape: Shape, days: Calendar) -> dict[str, Any]:
    """Nothing is kept here for longer than it must; whatever fails is tried again soon."""
    quick = {
        "breaker": {"failures": 3, "pause_s": 1, "successes": 1}, "timeout_s": 4, "gather_s": 1, "batch_frames": 40,
    }  # fmt: skip
    return {
        **EACH_SECOND,
        "site": dict(days.site),
        "schedules": days.schedules(),
        "render": {"min_frames": 3, "preset": "ultrafast"},
        "jobs": {"retry_s": {kind: [1] * 500 for kind in KINDS}},
        "archive": {"targets": dict.fromkeys(TARGETS, quick)},
        "retention": {"frames_days": 0, "receipts_needed": shape.receipts_needed, "backups": 2},
        "triggers": {"often": {"on": "capture", "throttle_s": 15, "last_s": 60}},
        **shape.document,
    }


class Station:
    """One home and all that belongs to it; used by the thread that made it."""

    def __init__(self, folder: Path, shape: Shape, host: sshd.Host) -> None:
        self.folder, self.shape, self.host = folder, shape, host
        self.disks = {
            "data": Disk(folder / "disks" / "data", folder / "data", shape.data_bytes),
            NAS: Disk(folder / "disks" / NAS, folder / NAS, 48 * MB),
            STORE: Disk(folder / "disks" / STORE, folder / STORE, 48 * MB),
        }
        endpoints = {
            NAS: {"kind": "directory", "path": str(folder / NAS)},
            STORE: host.endpoint(path=str(folder / STORE)).model_dump(),
        }
        node_file = {"archive": endpoints, "clock": {"trusted": True}}
        cameras = {"main": {**SMALL, "weather": "clear"}}
        self.home = Home(folder, cameras, {}, node_file)
        self.days = calendar(round(LEAD_S + STARTS * self._marked_s()), shape)
        self.home = Home(folder, cameras, document_of(shape, self.days), node_file)
        self.witness, self.stack, self.doorway = Bystander(), ExitStack(), ExitStack()
        self.node: Node | None = None
        self.beside: dict[str, subprocess.Popen[bytes]] = {}
        self.planned: dict[str, str] = {}
        self.since: dict[str, float] = {}
        self.exits: list[tuple[str, int]] = []
        self.killed: set[int] = set()
        self.up = False
        self.lies: list[Lie] = []
        self.late: set[str] = set()
        self.flipped: dict[str, tuple[Path, bytes, bytes]] = {}
        self.lies_told = folder / "lies"

    def _marked_s(self) -> float:
        """Marks the targets; the seconds that a command takes here and now."""
        begun_s = time.monotonic()
        for target in TARGETS:
            made = heliograph_node("archive", "init", target, "--config", self.home.config)
            assert made.returncode == 0, made.stderr
        return (time.monotonic() - begun_s) / len(TARGETS)

    # --- processes --------------------------------------------------------------------------------------------

    @property
    def words(self) -> Mapping[str, tuple[str, ...]]:
        """The processes beside the service."""
        return {"work": ("work", "--ship")} if self.shape.together else {"work": ("work",), "ship": ("ship",)}

    def pid(self, name: str) -> int | None:
        """Of run, work or ship, while it lives."""
        if name == "run":
            return self.node.pid if self.node and self.node.alive else None
        process = self.beside.get(self.owner(name))
        return process.pid if process and process.poll() is None else None

    def tend(self) -> None:
        """What has died is started again, as the service manager does."""
        if self.node is None or not self.node.alive:
            self._tend_node()
        elif not self.up and self.home.ready_file.exists():
            self.up = True
            self.stack.enter_context(self.witness.watching(self.node.ready()))
        for name in self.words:
            process = self.beside.get(name)
            if process is None or process.poll() is not None:
                self._tend_beside(name, process)

    def _tend_node(self) -> None:
        if self.node is not None and self._rests("run", self.node.pid, self.node.process.returncode):
            return
        self.stack.close()
        if self.node is not None:
            self.node.kill()  # its connections
        self.up, self.node = False, self.home.start(**UNMEASURED, **self._plan("run"))

    def _tend_beside(self, name: str, process: subprocess.Popen[bytes] | None) -> None:
        if process is not None and self._rests(name, process.pid, process.returncode):
            return
        program = self.shape.programs.get(name, [PROGRAM])
        command = [*program, *self.words[name], "--config", str(self.home.config)]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.beside[name] = subprocess.Popen(
                command, stderr=log, env=clean_environment(UNMEASURED | self._plan(name))
            )

    def _plan(self, name: str) -> dict[str, str]:
        """Where this life ends."""
        return {VARIABLE: self.planned.pop(name)} if name in self.planned else {}

    def _rests(self, name: str, pid: int, status: int) -> bool:
        """Whether it has ended just now."""
        key = f"{name}/{pid}"
        if key not in self.since:
            self.since[key] = time.monotonic()
            if pid not in self.killed:
                self.exits.append((name, status))
        return time.monotonic() - self.since[key] < AGAIN_S

    def kill(self, *names: str) -> None:
        """SIGKILL, of those that live; they are dead when this returns."""
        for name in names:
            pid = self.pid(name)
            if pid is not None:
                self.killed.add(pid)
                os.kill(pid, signal.SIGKILL)
        for name in names:
            process = self.node.process if name == "run" and self.node else self.beside.get(self.owner(name))
            if process is not None:
                process.wait(SOON_S)

    def owner(self, name: str) -> str:
        """The process that does it."""
        return name if name in ("run", *self.words) else "work"

    def status_of(self, name: str) -> int | None:
        """Exit status of run or a process beside it; None while it lives."""
        process = self.node.process if name == "run" and self.node else self.beside.get(name)
        return process.poll() if process else None

    def stop(self) -> dict[str, int]:
        """In order; the exit status of each."""
        ended = {}
        for process in self.beside.values():
            process.send_signal(signal.SIGTERM)
        for name, process in self.beside.items():
            ended[name] = process.wait(30)
        if self.node is not None:
            ended["run"] = self.node.stop()[0]
        self.stack.close()
        return ended

    def close(self) -> None:
        """At once."""
        for process in self.beside.values():
            process.kill()
            process.wait()
        if self.node is not None:
            self.node.kill()
        self.stack.close()
        self.doorway.close()

    # --- the archive's host -----------------------------------------------------------------------------------

    def doors(self) -> list[int]:
        """The pids of its sshd, without the sessions."""
        settings = str(self.host.folder / "sshd_config")
        found = {
            int(path.name) for path in Path("/proc").glob("[0-9]*") if settings in " ".join(words_of(int(path.name)))
        }
        return sorted(found - {child for pid in found for child in offspring(pid)})

    def open_door(self) -> None:
        """Another life of its sshd."""
        self.doorway.enter_context(sshd.serving(self.host))

    # --- what is asked and read -------------------------------------------------------------------------------

    def ask(self, method: str, path: str, **how: Any) -> httpx.Response | None:
        """None where nobody answers in time, or not well."""
        if self.node is None or not self.up:
            return None
        with suppress(httpx.HTTPError):
            answer = self.node.ask(method, path, timeout=ASK_S, **how)
            return answer if answer.is_success else None
        return None

    def rows(self, sql: str, *values: object) -> list[Any]:
        """By plain SQL; none where the database cannot be read at the moment."""
        try:
            with closing(sqlite3.connect(f"file:{self.home.data}/{NAME}?mode=ro", uri=True)) as database:
                return database.execute(sql, values).fetchall()
        except sqlite3.Error:
            return []

    def pulse(self, loop: str) -> pulse.Pulse | None:
        return pulse.read(self.home.run, loop)

    def at(self, target: str) -> Path:
        """The folder of this node's files at a target, however its mount stands."""
        return self.disks[target].behind / "test"

    def wait(self, holds: Callable[[], object], what: str, within_s: float = 60.0) -> None:
        """Keeping everything up meanwhile."""

        def tended() -> object:
            self.tend()
            time.sleep(0.1)
            return holds()

        wait_for(tended, what, within_s)


def _mount(*words: object) -> None:
    subprocess.run(["mount", *map(str, words)], check=True)


def offspring(pid: int) -> list[int]:
    """Children and theirs."""
    with suppress(OSError):
        texts = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
        children = [int(child) for text in texts for child in text.split()]
        return [*children, *(grandchild for child in children for grandchild in offspring(child))]
    return []


def words_of(pid: int) -> list[str]:
    """Its command line; empty where it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


@contextmanager
def station(folder: Path, shape: Shape) -> Iterator[Station]:
    """In this thread's own mount name space; everything ends with the block."""
    alone()
    with sshd.running(folder / "sshd", folder / STORE) as host:
        made = Station(folder, shape, host)
        try:
            yield made
        finally:
            made.close()
            for disk in made.disks.values():
                for place in (disk.place, disk.behind):
                    subprocess.run(["umount", "--lazy", str(place)], check=False, stderr=subprocess.DEVNULL)
            shutil.rmtree(folder / "disks", ignore_errors=True)


def in_a_thread(act: Callable[[], None]) -> None:
    """Whose mounts are its own."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(act).result()
