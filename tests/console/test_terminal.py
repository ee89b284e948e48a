"""The console as a real program on a real terminal, before two small nodes: how it begins, bears things, and ends."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import selectors
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import wait_for

pytestmark = pytest.mark.slow

PATIENCE_S = 40.0
LOGIN = "import os, sys; os.login_tty(0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
"""Makes its standard input the controlling terminal of a new session, as a login does, and becomes the program."""
ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[=>78c])")
ENTER_SCREEN, LEAVE_SCREEN, SHOW_CURSOR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"
MOUSE_OFF = b"\x1b[?1003l"
LARGE, TINY = (80, 24), (20, 5)


@dataclass
class Terminal:
    """A program on a pseudo terminal; `seen` is all that it has written there."""

    words: list[str]
    login: tuple[str, ...] = (LOGIN,)
    seen: bytes = b""
    master: int = field(init=False)
    slave: int = field(init=False)
    before: list[Any] = field(init=False)
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.resize(LARGE)
        tty: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), self.slave)
        home = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "TMUX"}}
        self.process = subprocess.Popen(
            [sys.executable, "-c", *self.login, "-m", "console.cli", *self.words],
            env={**home, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}, **tty,
        )  # fmt: skip
        self.handle = os.pidfd_open(self.process.pid)

    def resize(self, size: tuple[int, int]) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def shows(self, *words: str) -> None:
        """Waits until each of them has been written since the last call; the program must be alive."""
        mark = len(self.seen)
        self.read_until(lambda: all(word in self.text(mark) for word in words))

    def text(self, since: int = 0) -> str:
        """What was written, without its escapes."""
        return ESCAPES.sub(b"", self.seen[since:]).decode(errors="replace")

    def ends(self) -> int:
        """Waits until the program has; its status."""
        self.read_until(lambda: False, ends=True)
        return self.process.wait()

    def hang_up(self) -> None:
        os.close(self.master)
        self.master = -1

    def gone(self) -> int:
        """Waits until the program has ended, without a terminal to read from."""
        with selectors.DefaultSelector() as ready:
            ready.register(self.handle, selectors.EVENT_READ)
            assert ready.select(PATIENCE_S), "it goes on without a terminal"
        return self.process.wait()

    @property
    def restored(self) -> bool:
        """Whether it left the terminal as it was."""
        return termios.tcgetattr(self.slave) == self.before

    @property
    def left_behind(self) -> bytes:
        """What stands on the terminal after its own screen was closed."""
        return ESCAPES.sub(b"", self.seen[self.seen.rindex(LEAVE_SCREEN) :]).strip()

    def read_until(self, done: Callable[[], bool], *, ends: bool = False) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        with selectors.DefaultSelector() as ready:
            ready.register(self.master, selectors.EVENT_READ)
            ready.register(self.handle, selectors.EVENT_READ)
            while not done():
                found = {key.fd for key, _ in ready.select(max(0.0, deadline_s - time.monotonic()))}
                assert found, f"waited in vain; it wrote {self.text()[-3000:]!r}"
                if self.master in found:
                    self.seen += os.read(self.master, 65536)
                elif ends:
                    return
                else:
                    pytest.fail(f"it ended with {self.process.wait()}: {self.text()[-3000:]!r}")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.handle)
        os.close(self.slave)
        if self.master >= 0:
            os.close(self.master)


@pytest.fixture
def nodes(start_node: Callable[..., Any]) -> list[Any]:
    return [start_node("kyoto"), start_node("cusco", state="warn", reasons=["the disk is filling"])]


@pytest.fixture
def listed(nodes: list[Any], inventory: Callable[..., str]) -> str:
    return inventory(*nodes)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def start(listed: str, state: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts the console on a terminal of its own and waits until both nodes are there."""
    opened: list[Terminal] = []

    def begin(folder: Path = state, shows: str = "1 ok") -> Terminal:
        terminal = Terminal(["console", "-i", listed, "--state", str(folder)])
        opened.append(terminal)
        terminal.shows("kyoto", "cusco", shows)
        return terminal

    yield begin
    for terminal in opened:
        terminal.close()


# --- beginning and ending ---------------------------------------------------------------------------------------------


def test_it_shows_the_fleet_and_ends_by_q(start: Callable[..., Terminal]) -> None:
    terminal = start()
    assert ENTER_SCREEN in terminal.seen
    terminal.type(":q\r")
    assert terminal.ends() == 0
    assert terminal.restored
    assert terminal.left_behind == b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_and_the_terminal_is_as_before(start: Callable[..., Terminal], number: int) -> None:
    terminal = start()
    terminal.process.send_signal(number)
    assert terminal.ends() == 128 + number
    assert terminal.restored
    closing = terminal.seen[terminal.seen.rindex(ENTER_SCREEN) :]
    assert [closing.count(each) > 0 for each in (LEAVE_SCREEN, SHOW_CURSOR, MOUSE_OFF)] == [True, True, True]
    assert terminal.left_behind == b""


def test_ctrl_c_ends_it_as_it_ends_a_command(start: Callable[..., Terminal]) -> None:
    terminal = start()
    terminal.type("\x03")
    assert terminal.ends() == 128 + signal.SIGINT
    assert terminal.restored


def test_a_lost_terminal_ends_it(start: Callable[..., Terminal], state: Path) -> None:
    terminal = start()
    terminal.hang_up()
    assert terminal.gone() == 128 + signal.SIGHUP
    assert (state / "snapshot.json").exists(), "what is known is kept also then"


# --- size -------------------------------------------------------------------------------------------------------------


def test_a_terminal_that_shrinks_to_almost_nothing_and_grows_again(start: Callable[..., Terminal]) -> None:
    terminal = start()
    terminal.resize(TINY)
    terminal.shows("fleet", "2/2")
    terminal.type("jk?")
    terminal.shows("Keys")
    terminal.type("\x1b")
    terminal.shows("2/2")
    terminal.resize(LARGE)
    terminal.shows("kyoto", "cusco", "READ-ONLY")
    terminal.type(":q\r")
    assert terminal.ends() == 0
    assert "Traceback" not in terminal.text()


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_where_nothing_can_be_kept_it_says_so_and_runs(start: Callable[..., Terminal]) -> None:
    terminal = start(Path("/proc/heliograph"))
    assert "/proc/heliograph" in terminal.text()
    terminal.type(":q\r")
    assert terminal.ends() == 0


NEWER = {
    "snapshot.json": '{"format":2,"nodes":"elsewhere"}',
    "inventory.json": '{"format":2,"hosts":"elsewhere"}',
    "views.json": '{"format":2,"views":"elsewhere"}',
    "acks.jsonl": '{"format":2,"ack":"elsewhere"}\n',
}


def test_what_a_newer_version_wrote_is_left_as_it_is(start: Callable[..., Terminal], state: Path) -> None:
    state.mkdir()
    for name, text in NEWER.items():
        (state / name).write_text(text)
    terminal = start()
    assert "newer" in terminal.text()
    terminal.type(":q\r")
    assert terminal.ends() == 0
    assert {name: (state / name).read_text() for name in NEWER} == NEWER


def test_the_screens_open_from_what_was_known_the_last_time(start: Callable[..., Terminal], nodes: list[Any]) -> None:
    first = start()
    first.type(":q\r")
    assert first.ends() == 0
    nodes[0].code = 500
    second = start(shows="1 stale")
    assert not re.search(r"● ok +kyoto", second.text()), "what is remembered is never green"


# --- the inventory ----------------------------------------------------------------------------------------------------


def test_an_inventory_that_breaks_leaves_the_nodes_and_one_that_is_mended_brings_new_ones(
    start: Callable[..., Terminal], start_node: Callable[..., Any], nodes: list[Any], inventory: Callable[..., str]
) -> None:
    terminal = start()
    listed = Path(inventory(*nodes))
    listed.write_text("{ broken")
    terminal.shows("FLT-001")
    terminal.type("/kyo\r")
    terminal.shows("/ kyo")
    terminal.type("\x1b")
    inventory(*nodes, start_node("tromso"))
    terminal.shows("tromso")
    terminal.type(":q\r")
    assert terminal.ends() == 0
    assert "Traceback" not in terminal.text()


# --- acknowledgements -------------------------------------------------------------------------------------------------


def acks(state: Path) -> list[dict[str, Any]]:
    lines = filter(None, (state / "acks.jsonl").read_text().splitlines())
    return [entry["ack"] for entry in map(json.loads, lines) if "ack" in entry]


def test_what_was_acknowledged_outlives_kill_9(start: Callable[..., Terminal], nodes: list[Any], state: Path) -> None:
    since = "2027-01-15T07:00:00.000Z"
    alert = {"code": "disk_low", "severity": "crit", "subject": "data", "since": since, "sentence": "it is full"}
    nodes[1].says(state="crit", alerts=[alert])
    terminal = start(shows="1 unacked")
    terminal.type("ga")
    terminal.shows("fleet › alerts", "disk_low")
    terminal.type("a")
    terminal.shows("reason")
    terminal.type("seen it\r")
    terminal.shows("acknowledged 1 alert")
    terminal.process.kill()
    assert terminal.ends() == -signal.SIGKILL
    assert [(one["key"], one["reason"]) for one in acks(state)] == [("cusco/disk_low/data", "seen it")]
    again = start(shows="1 crit")
    again.type("ga")
    again.shows("disk_low", "acked 1")
    assert "unacked" not in again.text()


# --- a terminal that is stuck, gone, or somebody else's ---------------------------------------------------------------

SHELL = """
import os, signal, sys
os.login_tty(0)
for each in (signal.SIGTTOU, signal.SIGHUP):
    signal.signal(each, signal.SIG_IGN)
signal.signal(signal.SIGUSR1, lambda *_: os.tcsetpgrp(0, os.getpgrp()))
front = sys.argv.pop(1) == "front"
job = os.fork()
if not job:
    os.setpgid(0, 0)
    if front:
        os.tcsetpgrp(0, os.getpid())
    for each in (signal.SIGTTOU, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
print("job", job, "begins", flush=True)
while True:
    signal.pause()
"""
"""A shell with one job, in front of it or behind; at SIGUSR1 the shell takes the terminal back."""


def overflow(terminal: Terminal) -> None:
    """Reads nothing, and makes it paint until it can no more."""
    deadline_s = time.monotonic() + 6
    while time.monotonic() < deadline_s:
        for size in (TINY, LARGE):
            terminal.resize(size)
            select.select([], [], [], 0.05)


def test_one_that_is_stuck_for_a_while_is_painted_anew(start: Callable[..., Terminal], nodes: list[Any]) -> None:
    terminal = start()
    overflow(terminal)
    nodes[0].says(state="crit", reasons=["the sky fell"])
    terminal.shows("1 crit", "kyoto", "cusco")
    terminal.type(":q\r")
    assert terminal.ends() == 0
    assert terminal.restored


def test_one_that_is_stuck_does_not_keep_it_from_ending(start: Callable[..., Terminal], state: Path) -> None:
    terminal = start()
    overflow(terminal)
    began_s = time.monotonic()
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.gone() == 128 + signal.SIGTERM
    assert time.monotonic() - began_s < 8
    assert (state / "snapshot.json").exists()
    assert terminal.restored


@pytest.mark.parametrize("stuck", [False, True])
@pytest.mark.parametrize("stopped", [False, True])
def test_one_that_is_lost_ends_it_whatever_it_does(
    start: Callable[..., Terminal], state: Path, stuck: bool, stopped: bool
) -> None:
    terminal = start()
    if stuck:
        overflow(terminal)
    if stopped:
        terminal.process.send_signal(signal.SIGSTOP)
    terminal.hang_up()
    began_s = time.monotonic()
    if stopped:
        terminal.process.send_signal(signal.SIGCONT)
    assert terminal.gone() == 128 + signal.SIGHUP
    assert time.monotonic() - began_s < 8
    assert (state / "snapshot.json").exists()


class Job:
    """The console as a job of a shell, which leads the session and ignores that the terminal is lost."""

    def __init__(self, terminal: Terminal) -> None:
        terminal.read_until(lambda: re.search(r"job \d+ begins", terminal.text()) is not None)
        found = re.search(r"job (\d+) begins", terminal.text())
        assert found is not None
        self.pid = int(found[1])
        self.handle = os.pidfd_open(self.pid)

    def is_stopped(self) -> bool:
        return Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"

    def ends(self) -> bool:
        return bool(select.select([self.handle], [], [], PATIENCE_S)[0])

    def close(self) -> None:
        if not select.select([self.handle], [], [], 0)[0]:
            signal.pidfd_send_signal(self.handle, signal.SIGKILL)
        os.close(self.handle)


@pytest.fixture
def job(listed: str, state: Path) -> Iterator[Callable[[str], tuple[Terminal, Job]]]:
    opened: list[Terminal | Job] = []

    def begin(where: str) -> tuple[Terminal, Job]:
        terminal = Terminal(["console", "-i", listed, "--state", str(state)], login=(SHELL, where))
        opened.insert(0, terminal)
        console = Job(terminal)
        opened.insert(0, console)
        return terminal, console

    yield begin
    for each in opened:
        each.close()


def test_one_that_is_lost_ends_it_also_where_nobody_is_told(
    job: Callable[[str], tuple[Terminal, Job]], state: Path
) -> None:
    terminal, behind = job("front")
    terminal.shows("kyoto", "cusco", "1 ok")
    terminal.process.send_signal(signal.SIGUSR1)
    wait_for(lambda: os.tcgetpgrp(terminal.master) == terminal.process.pid, "the shell takes the terminal back", 10)
    terminal.hang_up()
    assert behind.ends()
    assert (state / "snapshot.json").exists()


def test_one_that_others_hold_does_not_keep_it_from_ending(job: Callable[[str], tuple[Terminal, Job]]) -> None:
    """As `timeout` does it: it puts itself and its command in the background, where to set a terminal stops them."""
    terminal, behind = job("behind")
    wait_for(behind.is_stopped, "it is stopped", PATIENCE_S)
    os.kill(behind.pid, signal.SIGTERM)
    os.kill(behind.pid, signal.SIGCONT)
    assert behind.ends()
    assert terminal.restored


@pytest.mark.parametrize("stuck", [False, True])
def test_a_demo_that_loses_it_ends_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stuck: bool
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    terminal = Terminal(["demo", "--nodes", "1", "--faults"])
    try:
        terminal.shows("another terminal")
        terminal.shows("reykjavik", "READ-ONLY")
        if stuck:
            overflow(terminal)
        terminal.hang_up()
        began_s = time.monotonic()
        assert terminal.gone() == 128 + signal.SIGHUP
        assert time.monotonic() - began_s < 12
        assert list(tmp_path.iterdir()) == []
    finally:
        terminal.close()
