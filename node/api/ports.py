"""Who listens on a TCP port: from /proc/net/tcp and the descriptors of every process that may be looked at."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
_LISTEN = "0A"
_SHOWN_CHARS = 200


def holder(port: int, proc: Path = PROC) -> str:
    """`pid 123: command`, or that the system does not say."""
    inodes = set(_listening(port, proc))
    for folder in proc.iterdir():
        if folder.name.isdecimal() and inodes.intersection(_sockets(folder)):
            return f"pid {folder.name}: {_command(folder)}"
    return "a process that this user may not look at"


def _listening(port: int, proc: Path) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        for line in _text(proc / "net" / table).splitlines()[1:]:
            local, state, inode = (line.split()[place] for place in (1, 3, 9))
            if state == _LISTEN and int(local.rpartition(":")[2], 16) == port:
                yield inode


def _sockets(folder: Path) -> Iterator[str]:
    try:
        links = list((folder / "fd").iterdir())
    except OSError:  # another user's, or it has ended
        return
    for link in links:
        try:
            target = str(link.readlink())
        except OSError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            yield target[len("socket:[") : -1]


def _command(folder: Path) -> str:
    words = _text(folder / "cmdline").rstrip("\0").split("\0")
    return shlex.join(words)[:_SHOWN_CHARS]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
