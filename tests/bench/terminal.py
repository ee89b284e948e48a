"""The whole console on a real terminal over a simulated fleet: what an operator at its keys gets, and what it costs."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import random
import re
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from console.fleet.clock import Clock
from console.fleet.desk import SNAPSHOT_S
from console.fleet.state import Book
from tests.bench.figure import Figure, percentile
from tests.bench.fleet import beside
from tests.bench.fleet.watcher import TICK_S

LOGIN = "import os, sys; os.login_tty(0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
"""Makes its standard input the controlling terminal of a new session, as a login does, and becomes the program."""
COLUMNS, LINES = 120, 40
POINTER = re.compile(rb"\x1b\[(\d+);\d+H(?:\x1b\[[\d;]*m)*\xe2\x80\xba")
"""Where the sign before the cursor's row is painted: `fleet > nodes` above has its own, but not at a line's start."""
TICKS = os.sysconf("SC_CLK_TCK")
LONGEST_S = 20.0
LAST_BYTES, LONGEST_MOVE = 4096, 64
ALONE, LISTED = range(2, 40), range(4, 30)
"""The screen's rows that list something."""
SIGN = "›".encode()
NONE_PASSES = b"nothing passes"
STILL_S, EOF_S = 20.0, 0.05


class Unanswered(Exception):
    """The program did not show in time what it should."""


@dataclass(slots=True)
class Terminal:
    """A program on a pseudo terminal of its own; what it writes is read at once, and little of it kept."""

    words: Sequence[str]
    size: tuple[int, int] = (COLUMNS, LINES)
    written: int = 0
    last: bytes = b""
    row: int = 0
    """Where the cursor's sign was painted last; the screen's first row is 1."""
    began_s: float = 0.0
    signs: int = 0
    """How often it was painted anywhere."""
    _master: int = field(init=False)
    _process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", self.size[1], self.size[0], 0, 0))
        around = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "TMUX"}}
        around |= {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        self.began_s = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-c", LOGIN, "-m", *self.words], env=around, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)

    @property
    def pid(self) -> int:
        return self._process.pid

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def read(self, seconds: float) -> bytes:
        """What comes next, within that time."""
        if not select.select([self._master], [], [], max(0.0, seconds))[0]:
            return b""
        try:
            got = os.read(self._master, 65536)
        except OSError:  # it has ended
            time.sleep(EOF_S)
            return b""
        self.written += len(got)
        self.last = (self.last + got)[-LAST_BYTES:]
        found = POINTER.findall(self.last[-len(got) - LONGEST_MOVE :])
        self.row = int(found[-1]) if found else self.row
        self.signs += got.count(SIGN)
        return got

    def watch(self, seconds: float) -> None:
        """Reads for so long."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            self.read(left_s)

    def until(self, shown: Callable[[], bool], within_s: float = LONGEST_S) -> float:
        """Reads until that is so; seconds that it took."""
        began_s = time.monotonic()
        while not shown():
            left_s = began_s + within_s - time.monotonic()
            if left_s <= 0:
                raise Unanswered(f"waited in vain; last it wrote {self.last[-2000:]!r}")
            self.read(left_s)
        return time.monotonic() - began_s

    def cpu_s(self) -> float:
        """All threads of the program, without its children."""
        told = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(told[11]) + int(told[12])) / TICKS

    def memory_mb(self) -> tuple[float, float]:
        """RSS, and PSS: what it shares with other programs counted only in part."""
        told = dict(re.findall(r"^(\w+): +(\d+) kB", Path(f"/proc/{self.pid}/smaps_rollup").read_text(), re.MULTILINE))
        return int(told["Rss"]) * 1024 / 1e6, int(told["Pss"]) * 1024 / 1e6

    def ended(self) -> bool:
        return self._process.poll() is not None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)


@contextlib.contextmanager
def opened(*words: str) -> Iterator[Terminal]:
    terminal = Terminal(words)
    try:
        yield terminal
    finally:
        terminal.close()


def keys_ms(terminal: Terminal, count: int, rows: range, *, signs: bool = False) -> list[float]:
    """From a key that moves the cursor to its row being painted; at moments that nothing in the program knows of.

    With `signs` any painting of the cursor's sign will do, for a program that does not say where it paints.
    """
    taken, down, dice = [], True, random.Random(count)
    for _ in range(count):
        terminal.watch(dice.uniform(0.05, 0.3))
        down = terminal.row < rows[3] or (down and terminal.row < rows[-3])
        wanted, before = terminal.row + (1 if down else -1), terminal.signs
        terminal.type("j" if down else "k")
        shown = partial(_newer, terminal, before) if signs else partial(_at, terminal, wanted)
        taken.append(terminal.until(shown) * 1000)
    return taken


def _at(terminal: Terminal, row: int) -> bool:
    return terminal.row == row


def _newer(terminal: Terminal, signs: int) -> bool:
    return terminal.signs > signs


# --- the grid alone ---------------------------------------------------------------------------------------------------


def _alone(*, short: bool) -> Iterator[Figure]:
    ours, peer = (_grid(way, 30 if short else 150) for way in ("ours", "peer"))
    note = "the peer is Textual's DataTable"
    yield Figure("grid of 1000 rows alone, all cells each second, CPU", "%", ours["cpu"], peer["cpu"], 6, note=note)
    yield Figure("grid of 1000 rows alone, key to paint p95", "ms", ours["p95"], peer["p95"], 20)
    yield Figure("grid of 1000 rows alone, longest stall of a second", "ms", ours["stall"], peer["stall"], 20)


def _grid(way: str, keys: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder:
        told = Path(folder) / "stall"
        with opened("tests.bench.grid", way, str(told)) as terminal:
            terminal.until(lambda: terminal.signs > 0)
            terminal.row = ALONE[0]
            terminal.watch(2)
            cpu = _cpu_pct(terminal, STILL_S)
            p95 = percentile(keys_ms(terminal, keys, ALONE, signs=way == "peer"), 0.95)
            terminal.type("p")
            terminal.watch(STILL_S)
            terminal.type("q")
            terminal.until(terminal.ended)
            return {"cpu": cpu, "p95": p95, "stall": _stall_ms(json.loads(told.read_text()))}


def _stall_ms(late_ms: Sequence[float]) -> float:
    """The longest of each second, of these the median: other programs that want the processor are not the grid's."""
    a_second = round(1 / TICK_S)
    whole = range(0, len(late_ms) - a_second + 1, a_second)
    return statistics.median(max(late_ms[at : at + a_second]) for at in whole)


def _cpu_pct(terminal: Terminal, seconds: float) -> float:
    before_s, began_s = terminal.cpu_s(), time.monotonic()
    terminal.watch(seconds)
    return 100 * (terminal.cpu_s() - before_s) / (time.monotonic() - began_s)


# --- the whole console ------------------------------------------------------------------------------------------------


def figures(*, short: bool) -> Iterator[Figure]:
    yield from _alone(short=short)
    yield from _ready(1000, rounds=1 if short else 5)
    yield from _heard(500)
    yield from _steady(200 if short else 1000, 15, {"p95": 50, "cpu": 30, "rss": 100}, short=short)
    if not short:
        yield from _steady(5000, 45, {"p95": 50, "rss": 400}, short=short, faults=0.0005)
    yield from _hostile(short=short)
    yield from _idle(seconds=20 if short else 60)


@contextlib.contextmanager
def console(*options: str, settle_s: float = 0.0) -> Iterator[Terminal]:
    """Over a simulated fleet, with the nodes known from an earlier time: ansible needs many seconds to list them."""
    with (
        tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder,
        beside.fleet(Path(folder), "--tls", *options) as hosts,
    ):
        inventory, state = Path(folder) / "hosts.yml", Path(folder) / "state"
        Book.open(state, inventory, Clock()).write_hosts(hosts)
        with opened("console.cli", "console", "-i", str(inventory), "--state", str(state)) as terminal:
            terminal.until(lambda: terminal.row > 0)
            terminal.watch(settle_s)
            yield terminal


def _steady(
    nodes: int, settle_s: float, limits: Mapping[str, float], *, short: bool, faults: float = 0.002
) -> Iterator[Figure]:
    fleet = f"console on {nodes} nodes over TLS"
    options = ("--nodes", str(nodes), "--faults", str(faults))
    with console(*options, settle_s=5 if short else settle_s) as terminal:
        written = terminal.written
        seconds = 5 if short else STILL_S
        cpu = _cpu_pct(terminal, seconds)
        per_min = (terminal.written - written) * 60 / seconds / 1000
        taken = _keys(terminal, 30 if short else 150)
        rss, pss = terminal.memory_mb()
    yield Figure(f"{fleet}, key to paint p95", "ms", percentile(taken, 0.95), limit=limits["p95"], note=_spread(taken))
    yield Figure(f"{fleet}, CPU", "%", cpu, limit=limits.get("cpu"), note=f"{per_min:.0f} KB a minute; {_load()}")
    yield Figure(f"{fleet}, RSS", "MB", rss, limit=limits["rss"], note=f"PSS {pss:.0f} MB")


def _keys(terminal: Terminal, count: int) -> list[float]:
    terminal.type("gg")  # the row that was first may be out of sight by now
    terminal.until(lambda: terminal.row == LISTED[0])
    return keys_ms(terminal, count, LISTED)


def _heard(nodes: int) -> Iterator[Figure]:
    with console("--nodes", str(nodes), "--faults", "0") as terminal:
        terminal.type("/state:waiting\r")
        taken_s = terminal.until(lambda: NONE_PASSES in terminal.last)
    yield Figure(f"console, {nodes} nodes refreshed after its first painting", "s", taken_s, limit=2, note=_load())


def _ready(nodes: int, rounds: int) -> Iterator[Figure]:
    taken_s, cpu_s = [], []
    with console("--nodes", str(nodes), settle_s=SNAPSHOT_S + 5) as first:
        for _ in range(rounds):
            with opened(*first.words) as terminal:
                terminal.until(lambda: terminal.row > 0)
                taken_s.append(time.monotonic() - terminal.began_s)
                cpu_s.append(terminal.cpu_s())
    note = f"CPU {statistics.median(cpu_s):.2f} s; beside another console; {_load()}"
    yield Figure(
        f"console ready from a snapshot of {nodes} nodes", "s", statistics.median(taken_s), limit=0.4, note=note
    )


def _hostile(*, short: bool) -> Iterator[Figure]:
    options = ("--nodes", "100", "--hostile", "92")
    with console(*options, settle_s=3 if short else 10) as terminal:
        taken = _keys(terminal, 30 if short else 150)
    name = "console, 92 hostile nodes of 192, key to paint p95"
    yield Figure(name, "ms", percentile(taken, 0.95), limit=50, note=_spread(taken))


def _idle(seconds: float) -> Iterator[Figure]:
    with console("--nodes", "100", "--rests", settle_s=15) as terminal:
        before = terminal.written
        terminal.watch(seconds)
        per_min = (terminal.written - before) * 60 / seconds / 1000
    yield Figure("console where nothing happens, to the terminal", "KB/min", per_min, limit=10)


def _spread(taken: Sequence[float]) -> str:
    return f"median {statistics.median(taken):.0f}, at most {max(taken):.0f}; {_load()}"


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"
