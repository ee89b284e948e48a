"""A shell on a node, on a real terminal: a stand-in for ssh, in a tmux of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.nodes import ended, wait_for

Tmux = Callable[..., str]
PROGRAM = """
import asyncio, sys
from pathlib import Path
from console.app import FleetApp
from console.fleet.desk import Desk
from console.fleet.ending import Ending
from console.fleet.inventory import Host
from console.fleet.poller import Fleet
from console.fleet.state import Book
from console.fleet.clock import Clock

class Quiet(Fleet):
    async def run(self):
        while True:
            await asyncio.sleep(0.05)
            self.note("alive", "the fleet goes on")
            Path("alive").touch()

fleet = Quiet([Host("kyoto", "127.0.0.1", 1, "http", ssh=("-p", "22", "kyoto.example"))])
desk = Desk(fleet, Book.open(Path("state"), Path("inventory.yml"), Clock()), operator="mw")

async def main():
    ending = Ending()
    ending.watch(asyncio.get_running_loop())
    await FleetApp(desk, stop=ending.event).run_async()
    print("the console has ended", ending.exit_status, flush=True)
    Path("ended").touch()

asyncio.run(main())
"""
SSH = """
import os, signal, sys
signal.signal(signal.SIGINT, lambda *_: print("interrupted", flush=True))
print("ssh was called with", *sys.argv[1:], flush=True)
open("pid", "w").write(str(os.getpid()))
for line in sys.stdin:
    print("far away:", line.strip(), flush=True)
    if line.strip() == "exit":
        sys.exit(3)
"""
TMUX = shutil.which("tmux") or ""


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    if not TMUX:
        pytest.skip("this machine has no tmux")
    program = tmp_path / "ssh"
    program.write_text(f"#!{sys.executable}{SSH}")
    program.chmod(0o755)
    (tmp_path / "program.py").write_text(PROGRAM)
    environ = {name: value for name, value in os.environ.items() if name not in {"TMUX", "NO_COLOR"}}
    environ |= {"PATH": str(tmp_path), "PYTHONPATH": str(Path.cwd()), "LC_ALL": "C.UTF-8"}

    def run(*words: str) -> str:
        command = [TMUX, "-S", str(tmp_path / "tmux.sock"), "-f", "/dev/null", *words]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10, env=environ)
        return done.stdout

    run("new-session", "-d", "-x", "100", "-y", "24", "-c", str(tmp_path), sys.executable, "program.py")
    yield run
    subprocess.run([TMUX, "-S", str(tmp_path / "tmux.sock"), "kill-server"], check=False, capture_output=True)


def on_screen(tmux: Tmux, words: str) -> None:
    wait_for(lambda: words in tmux("capture-pane", "-p"), words)


def test_ssh_has_the_terminal_for_itself_and_the_fleet_goes_on(tmux: Tmux, tmp_path: Path) -> None:
    on_screen(tmux, "READ-ONLY")
    tmux("send-keys", "!")
    on_screen(tmux, "ssh was called with -p 22 kyoto.example")
    (tmp_path / "alive").unlink()
    tmux("send-keys", "hello", "Enter")
    on_screen(tmux, "far away: hello")
    tmux("send-keys", "C-z")
    tmux("send-keys", "C-c")
    on_screen(tmux, "interrupted")
    tmux("send-keys", "still", "Enter")
    on_screen(tmux, "far away: still")
    assert "READ-ONLY" not in tmux("capture-pane", "-p")
    wait_for((tmp_path / "alive").exists, "the fleet goes on")
    tmux("send-keys", "exit", "Enter")
    on_screen(tmux, "ssh to kyoto has ended with 3")
    on_screen(tmux, "READ-ONLY")
    assert "ssh -p 22 kyoto.example" in (tmp_path / "state" / "commands.jsonl").read_text()
    tmux("send-keys", "v")
    on_screen(tmux, '"node": "kyoto"')


def test_without_the_program_the_screen_says_so(tmux: Tmux, tmp_path: Path) -> None:
    on_screen(tmux, "READ-ONLY")
    (tmp_path / "ssh").unlink()
    tmux("send-keys", "!")
    on_screen(tmux, "ssh: No such file or directory")


def test_a_console_that_is_ended_meanwhile_takes_ssh_with_it(tmux: Tmux, tmp_path: Path) -> None:
    on_screen(tmux, "READ-ONLY")
    tmux("send-keys", "!")
    on_screen(tmux, "ssh was called with")
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "ssh runs")
    os.kill(int(tmux("display", "-p", "#{pane_pid}")), signal.SIGTERM)
    wait_for((tmp_path / "ended").exists, "the console ends")
    wait_for(lambda: ended([int((tmp_path / "pid").read_text())]), "ssh ends")
