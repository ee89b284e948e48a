"""The way to a host over SSH: one connection that all commands share, and what complaints mean."""

from __future__ import annotations

import os
import secrets
import select
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from node.archive.child import LOOK_S, Child, Said, end, installed, start, tail
from node.clock import Clock
from node.domain.errors import ArchiveError, TargetFull, TargetRefused, TargetUnavailable
from node.domain.nodefile import RsyncTarget
from node.host.credentials import file_of

_UP = "connection is up"
_HELD_OPEN = f"echo {_UP}; exec cat"  # cat ends at the end of its input, and that is this process
_MEANINGS: Sequence[tuple[str, type[ArchiveError]]] = (
    ("No space left on device", TargetFull),
    ("Disk quota exceeded", TargetFull),
    ("Permission denied", TargetRefused),
    ("Host key verification failed", TargetRefused),
    ("Read-only file system", TargetRefused),
    ("Too many authentication failures", TargetRefused),
)  # words of ssh, rsync and the C library in English; all else = it cannot be reached
_HERE = "[sender]"  # rsync complains of files on this side


class Link:
    """Not for two threads at once."""

    def __init__(self, endpoint: RsyncTarget, scratch: Path, clock: Clock, timeout_s: float) -> None:
        self._endpoint, self._scratch, self._clock, self._timeout_s = endpoint, scratch, clock, timeout_s
        self._master: subprocess.Popen[bytes] | None = None
        self._control = _control()

    @property
    def destination(self) -> str:
        return f"{self._endpoint.user}@{self._endpoint.host}"

    @property
    def rsync_destination(self) -> str:
        """The same for rsync, to which a host ends at a colon: an IPv6 address is put in brackets."""
        host = self._endpoint.host
        return f"{self._endpoint.user}@[{host}]" if ":" in host else self.destination

    @property
    def remote_shell(self) -> str:
        """What rsync starts to reach the host."""
        return shlex.join(self._ssh("no"))

    def connect(self, said: Said) -> None:
        """Raises TargetUnavailable, TargetRefused."""
        if self._master and self._master.poll() is None:
            return
        self.close()
        installed("ssh")
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._control = _control()
        with TemporaryFile(dir=self._scratch) as complaints:
            words = [*self._ssh("yes"), self.destination, _HELD_OPEN]
            self._master = start(words, self._scratch, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints)
            try:
                self._wait_until_up(self._master, complaints, said)
            except BaseException:
                self.close()
                raise

    def start(self, script: str, *arguments: str, given: bytes = b"", into: IO[bytes] | None = None) -> Child:
        """A shell script there, with its arguments as $1, $2 ... and `given` on its input."""
        remote = shlex.join(["sh", "-c", script, "sh", *arguments])
        return Child([*self._ssh("no"), self.destination, remote], self._scratch, given, into)

    def close(self) -> None:
        if self._master:
            end(self._master)
            for pipe in (self._master.stdin, self._master.stdout):
                if pipe:
                    pipe.close()
        self._master = None

    def _wait_until_up(self, master: subprocess.Popen[bytes], complaints: IO[bytes], said: Said) -> None:
        """A host may accept and then say nothing: ssh's own time-out does not cover the exchange of keys."""
        assert master.stdout
        heard, until = b"", self._clock.monotonic() + self._timeout_s
        while _UP.encode() not in heard:
            said("")
            if select.select([master.stdout], [], [], LOOK_S)[0]:
                piece = os.read(master.stdout.fileno(), 4096)
                if not piece:
                    raise meaning(tail(complaints))
                heard += piece
            if self._clock.monotonic() > until:
                raise TargetUnavailable(f"no connection within {self._timeout_s:g} s")

    def _ssh(self, master: str) -> list[str]:
        """Nothing of the user's or the system's own settings; nobody is ever asked."""
        node, seconds = self._endpoint, max(1, int(self._timeout_s))
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": seconds,
            "ControlMaster": master,
            "ControlPath": self._control,
            "GlobalKnownHostsFile": "none",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "IdentityFile": _quoted(file_of(node.key)),
            "LogLevel": "ERROR",
            "ServerAliveCountMax": 3,
            "ServerAliveInterval": max(1, seconds // 3),
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": _quoted(file_of(node.known_hosts)),
        }
        settings = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", "-p", str(node.port), *settings]


def meaning(complaints: str) -> ArchiveError:
    """Of the words that a failed command left."""
    lines = [line.strip() for line in complaints.splitlines() if line.strip() and _HERE not in line]
    for words, error in _MEANINGS:
        for line in lines:
            if words in line:
                return error(line[:300])
    return TargetUnavailable(lines[-1][:300] if lines else "the connection was cut")


def _control() -> str:
    """A socket that no other connection ever has: not one to another host, nor of an earlier life, nor beside it.

    Relative to the scratch folder: the kernel takes 108 characters.
    """
    return f"control-{secrets.token_hex(8)}"


def _quoted(path: str) -> str:
    """As ssh reads a path in its settings: in quotes, and percent signs doubled."""
    return '"{}"'.format(path.replace("%", "%%"))
