"""ansible-playbook as a child: started, read line by line as it speaks, and ended in bounded time."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from console.fleet.text import clean
from node.wire.errors import PlaybookUnusable, ProgramMissing

PROGRAM = "ansible-playbook"
LIFELINE = "HELIOGRAPH_LIFELINE"
"""Names the descriptor at whose end of file the playbook ends: whoever watched over it is gone."""
OWNER, MESSAGE = "HELIOGRAPH_LEASE_OWNER", "HELIOGRAPH_LEASE_MESSAGE"
"""In whose name the playbook's roles take the leases of the nodes, and what for."""
HIDES = "HELIOGRAPH_SECRET_"
"""Begins the names under which secret variables are handed over, which neither a file nor a command line shows."""
ITS_OWN = {
    "ANSIBLE_STDOUT_CALLBACK": "heliograph_lines",
    "ANSIBLE_RETRY_FILES_ENABLED": "false",
    "ANSIBLE_NOCOLOR": "true",
    "SSH_ASKPASS_REQUIRE": "never",  # nobody is there to be asked
    "LC_ALL": "C.UTF-8",
}
FORBIDDEN = ("ANSIBLE_FORCE_COLOR", "DISPLAY")
LONGEST_LINE_BYTES = 1024 * 1024
PIECE_BYTES = 64 * 1024
LAST_WORDS = 5
ERROR = "[ERROR]: "
ENDINGS: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGINT, 20.0), (signal.SIGTERM, 5.0))
"""What ends it, and how long each may take, in seconds, before SIGKILL to it and all that it has started."""


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a playbook over these nodes.

    `variables` are given as -e would, `secrets` too; `keep` are descriptors that stay open in it.
    """

    playbook: Path
    fleet: Path
    inventory: Path | None
    nodes: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    owner: str = ""
    message: str = ""
    check: bool = False
    keep: tuple[int, ...] = ()


def program() -> str:
    """Beside our own interpreter, else on the path.  Raises ProgramMissing."""
    beside = Path(sys.executable).parent / PROGRAM
    found = str(beside) if beside.exists() else shutil.which(PROGRAM)
    if found is None:
        raise ProgramMissing(f"{PROGRAM}: install heliograph[ops]")
    return found


def environment(call: Call, lifeline: int) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if name not in FORBIDDEN}
    lease = {OWNER: call.owner, MESSAGE: call.message, LIFELINE: str(lifeline)}
    hidden = {f"{HIDES}{name}": value for name, value in call.secrets.items()}
    return {**ours, **ITS_OWN, **lease, **hidden, "ANSIBLE_CONFIG": str(call.fleet / "ansible.cfg")}


def words(call: Call, limit: int) -> list[str]:
    """The command line.  Nodes go by a file in memory: they may be many."""
    given = call.inventory
    named = [] if given is None else ["-i", str(given if "," in str(given) else given.absolute())]
    looking = ["--check", "--diff"] if call.check else ["--diff"]
    hidden = {name: f"{{{{ lookup('ansible.builtin.env', '{HIDES}{name}') }}}}" for name in call.secrets}
    variables = json.dumps({**call.variables, **hidden})
    return [program(), *named, *looking, "--limit", f"@/dev/fd/{limit}", "-e", variables, "--", str(call.playbook)]


class Child:
    """A playbook that runs.  Whoever starts it reads `lines` to their end, or calls `stop`; then `close`."""

    def __init__(self, process: Process, lifeline: int) -> None:
        self._process, self._lifeline = process, lifeline
        self._errors: deque[str] = deque(maxlen=LAST_WORDS)
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, call: Call) -> Child:
        """Raises ProgramMissing, PlaybookUnusable."""
        ours, its = os.pipe()[::-1]
        limit = _in_memory("\n".join(call.nodes))
        try:
            process = await asyncio.create_subprocess_exec(
                *words(call, limit),
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                env=environment(call, its),
                cwd=call.fleet,
                pass_fds=(limit, its, *call.keep),
                start_new_session=True,  # the terminal's Ctrl-C is ours alone
            )
        except OSError as error:
            os.close(ours)
            raise PlaybookUnusable(f"{PROGRAM} could not be started: {error.strerror or error}") from None
        except BaseException:
            os.close(ours)
            raise
        finally:
            for each in (limit, its):
                os.close(each)
        return cls(process, ours)

    async def lines(self) -> AsyncIterator[bytes]:
        """Each as it comes; what is longer than can be is cut."""
        stdout, rest = self._process.stdout, b""
        assert stdout is not None
        while piece := await stdout.read(PIECE_BYTES):
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield line
            rest = rest[:LONGEST_LINE_BYTES]
        if rest:
            yield rest

    async def wait(self) -> int:
        """Its exit status, once it has ended."""
        await asyncio.wait([self._listening])
        return await self._process.wait()

    @property
    def last_words(self) -> str:
        """What it could not do at all; empty = nothing of the kind."""
        return "; ".join(self._errors)

    async def stop(self, hurry: asyncio.Event, endings: tuple[tuple[signal.Signals, float], ...] = ENDINGS) -> None:
        """Ended when this returns, by the mildest signal that does it; `hurry` goes on to the next one at once."""
        for number, seconds in endings:
            self._signal(number)
            if await self._ended(seconds, hurry):
                return
            hurry.clear()
        for pid in [*_below(self._process.pid), self._process.pid]:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        await self._process.wait()

    async def close(self) -> None:
        """Nothing of it is left here."""
        if self._process.returncode is None:
            await self.stop(asyncio.Event())
        self._listening.cancel()
        await asyncio.wait([self._listening])
        os.close(self._lifeline)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _ended(self, seconds: float, hurry: asyncio.Event) -> bool:
        waits = [asyncio.ensure_future(self._process.wait()), asyncio.ensure_future(hurry.wait())]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()
        return self._process.returncode is not None

    async def _listen(self) -> None:
        """Its errors in their first lines: those after show where they stand, and what else stands there."""
        assert self._process.stderr is not None
        rest = b""
        while piece := await self._process.stderr.read(PIECE_BYTES):
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                text = line.decode(errors="replace")
                if text.startswith(ERROR):
                    self._errors.append(clean(text.removeprefix(ERROR)))
            rest = rest[:LONGEST_LINE_BYTES]


def _in_memory(text: str) -> int:
    """A descriptor of a file that stands nowhere."""
    handle = os.memfd_create("heliograph")
    with os.fdopen(os.dup(handle), "w") as file:
        file.write(text)
    return handle


def _below(pid: int) -> Iterator[int]:
    """All that this process has started, and they, children before their parents."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError, ValueError):
            after_name = stat.read_text().rpartition(")")[2].split()
            children.setdefault(int(after_name[1]), []).append(int(stat.parent.name))
    yield from _descendants(pid, children)


def _descendants(pid: int, children: Mapping[int, list[int]]) -> Iterator[int]:
    for child in children.get(pid, ()):
        yield from _descendants(child, children)
        yield child
