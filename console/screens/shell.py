"""A shell on a node: ssh has the terminal while the console waits, and goes on asking nodes, behind it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from textual.app import SuspendNotSupported
from textual.worker import Worker

from console.fleet.state import CommandEntry
from console.fleet.watch import aside
from console.screens.base import Handler, View

PROGRAM = "ssh"
TERMINAL = "/dev/tty"


def shell_handlers(view: View) -> Mapping[str, Handler]:
    return {"ssh": lambda ask: _ssh(view, ask.words)}


def _ssh(view: View, words: str) -> None:
    name = words or view.node_here()
    why = _why_not(view, name)
    if why:
        view.reply(why)
        return
    command = [PROGRAM, *view.model.views[name].host.ssh]
    work = partial(_session, view, name, command)
    _: Worker[None] = view.app.run_worker(work, name="ssh", group="ssh", exclusive=True)


def _why_not(view: View, name: str) -> str:
    """Empty where ssh can be tried."""
    if not view.desk.live:
        return "a recording has no node to go to"
    if name not in view.model.views:
        return f"no node {name[:40]}" if name else "no node here"
    return "" if view.model.views[name].host.ssh else f"the inventory says nothing of ssh to {name}"


async def _session(view: View, name: str, command: Sequence[str]) -> None:
    try:
        with view.app.batch_update(), view.app.suspend():  # nothing is painted meanwhile
            said = await _lent(name, command)
    except SuspendNotSupported:
        view.reply("this terminal cannot be lent to ssh")
        return
    view.app.refresh()
    _log(view, command, said)
    view.reply(said)


async def _lent(name: str, command: Sequence[str]) -> str:
    """How it went.  Nothing may be raised here, or the terminal would not be taken back."""
    try:
        status = await in_foreground(command)
    except OSError as error:
        return f"{PROGRAM}: {error.strerror}"
    return f"{PROGRAM} to {name} has ended" + (f" with {status}" if status else "")


def _log(view: View, command: Sequence[str], said: str) -> None:
    desk = view.desk
    if desk.book is not None:
        desk.book.log(CommandEntry(desk.clock.utc_us(), desk.operator, shlex.join(command), said))


async def in_foreground(command: Sequence[str]) -> int:
    """Its exit status.  It has the terminal for itself: Ctrl-C and Ctrl-Z are its own, not the console's."""
    process = subprocess.Popen(command, process_group=0)  # noqa: ASYNC220, S603 - the inventory's words, and no shell
    try:
        return await aside(partial(_attend, process))
    finally:
        if process.returncode is None:  # the console ends: nobody is left to sit before it
            process.terminate()


def _attend(process: subprocess.Popen[bytes]) -> int:
    with _terminal() as terminal:
        _hand_over(terminal, process.pid)
        while True:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                process.returncode = os.waitstatus_to_exitcode(status)
                return process.returncode
            _hand_over(terminal, process.pid)  # nobody else could let it go on


def _hand_over(terminal: int, group: int) -> None:
    os.tcsetpgrp(terminal, group)
    os.killpg(group, signal.SIGCONT)


@contextmanager
def _terminal() -> Iterator[int]:
    """The terminal; at the end it is this process's own again."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})  # of this thread: else taking it back would stop us
    handle = os.open(TERMINAL, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.tcsetpgrp(handle, os.getpgrp())
        os.close(handle)
