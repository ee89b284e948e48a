"""What the demo starts and writes, and how all of it goes away again."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml

from console.demo.places import FOLDERS, ROLES, Plan
from console.fleet.inventory import FLEET_GROUP, Host

PREFIX = "heliograph-demo-"
OWN_ENVIRONMENT = "HELIOGRAPH_"
LOCK = "lock"
LAST_LINES = 12
_PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(slots=True)
class DemoNode:
    """One node's process and its folder."""

    name: str
    folder: Path
    process: subprocess.Popen[bytes]
    host: Host | None = None

    def ended(self) -> bool:
        """Whether the process has ended; it is not reaped, so that its id stays its own."""
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def last_words(self) -> list[str]:
        """The last lines of its log."""
        try:
            lines = (self.folder / "log").read_text(errors="replace").splitlines()
        except OSError:
            return []
        return lines[-LAST_LINES:]

    def read_ready(self, token_file: Path) -> Host | None:
        """Where it listens, once it has said so."""
        try:
            ready = json.loads((self.folder / "ready.json").read_text())
        except (OSError, ValueError):
            return None
        self.host = Host(self.name, "127.0.0.1", int(ready["port"]), "http", token_file=str(token_file))
        return self.host


class Grounds:
    """A folder below the system's temporary one, and the processes started in it.

    `ask_to_end` is how they go in order; `clear` ends what is left of them and removes the folder.
    """

    def __init__(self) -> None:
        sweep()
        self.root = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = _locked(self.root / LOCK)
        self.tokens = {role: secrets.token_urlsafe(32) for role in ROLES}
        for role, token in self.tokens.items():
            self.token_file(role).touch(mode=0o600)
            self.token_file(role).write_text(token + "\n", encoding="ascii")
        self.nodes: list[DemoNode] = []

    def token_file(self, role: str) -> Path:
        return self.root / f"{role}.token"

    @property
    def inventory(self) -> Path:
        return self.root / "inventory.yml"

    def start(self, plan: Plan) -> None:
        """Writes the node's two files and starts its process."""
        folder = self.root / plan.name
        for name in FOLDERS:
            (folder / name).mkdir(parents=True)
        (folder / "node.yml").write_text(yaml.safe_dump(plan.node_file, sort_keys=False))
        (folder / "config.yml").write_text(yaml.safe_dump(plan.document, sort_keys=False))
        with (folder / "log").open("wb") as log:
            self.nodes.append(DemoNode(plan.name, folder, _spawn(folder, log)))

    def write_inventory(self) -> Path:
        """An Ansible inventory of the nodes that are ready."""
        hosts = {node.name: _variables(node.host) for node in self.nodes if node.host is not None}
        self.inventory.write_text(yaml.safe_dump({FLEET_GROUP: {"hosts": hosts}}, sort_keys=False))
        return self.inventory

    def ask_to_end(self) -> None:
        """Asks every process to end; returns at once."""
        for node in self.nodes:
            if not node.ended():
                node.process.send_signal(signal.SIGTERM)

    def ended(self) -> bool:
        """Whether every process has."""
        return all(node.ended() for node in self.nodes)

    def clear(self) -> None:
        """Kills what still runs and removes the folder, at once.  May be called again."""
        for node in self.nodes:
            _end(node)
        self.nodes.clear()
        shutil.rmtree(self.root, ignore_errors=True)
        self._lock.close()


def sweep() -> None:
    """Removes what demos left that were killed: their folders are no longer locked."""
    for root in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if root.stat().st_uid == os.getuid():
                _locked(root / LOCK, "r").close()
                shutil.rmtree(root, ignore_errors=True)


def _locked(path: Path, mode: str = "w") -> IO[Any]:
    """That file, open and locked.  Raises OSError where it is not there or somebody else holds it."""
    file = path.open(mode)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


def _variables(host: Host) -> dict[str, Any]:
    return {
        "ansible_host": host.address,
        "heliograph_port": host.port,
        "heliograph_scheme": host.scheme,
        "heliograph_token_file": host.token_file,
    }


def command(folder: Path) -> list[str]:
    """The command line of a node that lives in that folder."""
    return [
        sys.executable, "-m", "node.cli", "run",
        "--config", str(folder / "node.yml"), "--document", str(folder / "config.yml"),
        "--root", str(folder), "--ready-file", str(folder / "ready.json"),
    ]  # fmt: skip


def _spawn(folder: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """In a session of its own: Ctrl-C in the terminal is for the demo, which ends its nodes in order."""
    # the operator's own settings for a node must not reach the demo's
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OWN_ENVIRONMENT)}
    return subprocess.Popen(  # noqa: S603 - our own interpreter, our own module
        command(folder),
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_dies_with(os.getpid()),  # noqa: PLW1509 - it only makes two system calls, and no thread forks here
    )


def _dies_with(parent: int) -> Callable[[], None]:
    """What a child does first, so that it never outlives a demo that was killed (Linux)."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it went between fork and prctl
            os._exit(1)

    return bind


def _end(node: DemoNode) -> None:
    """Kills the whole group: the leader is not reaped before, so the number is still its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(node.process.pid, signal.SIGKILL)
    node.process.wait()
