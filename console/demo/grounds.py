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

from console.demo.places import FOLDERS, ROLES, TARGET, Plan
from console.fleet.inventory import FLEET_GROUP, Host
from console.fleet.state import DEMO_MARK, DEMO_STATE

PREFIX = "heliograph-demo-"
OWN_ENVIRONMENT = "HELIOGRAPH_"
LOCK = "lock"
LAST_LINES = 12
SHELVES = Path("/dev/shm")  # noqa: S108 - a file system of its own is the point; the folder is the demo's alone
_PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(slots=True)
class DemoNode:
    """One node's folder, its service, and what works beside it once that is ready."""

    name: str
    folder: Path
    process: subprocess.Popen[bytes]
    beside: subprocess.Popen[bytes] | None = None
    host: Host | None = None

    @property
    def processes(self) -> list[subprocess.Popen[bytes]]:
        return [self.process, *([] if self.beside is None else [self.beside])]

    def ended(self) -> bool:
        """Whether the service has ended."""
        return _has_ended(self.process)

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
        self._shelf_lock = _shelved(_shelf_of(self.root))
        self.shelf = self._other_shelf()

    def token_file(self, role: str) -> Path:
        return self.root / f"{role}.token"

    @property
    def inventory(self) -> Path:
        return self.root / "inventory.yml"

    @property
    def state(self) -> Path:
        """What the console keeps."""
        return self.root / DEMO_STATE

    def start(self, plan: Plan) -> None:
        """Writes the node's two files and starts its process."""
        folder = self.root / plan.name
        for name in FOLDERS:
            (folder / name).mkdir(parents=True)
        (folder / "node.yml").write_text(yaml.safe_dump(plan.node_file, sort_keys=False))
        (folder / "config.yml").write_text(yaml.safe_dump(plan.document, sort_keys=False))
        with (folder / "log").open("wb") as log:
            self.nodes.append(DemoNode(plan.name, folder, _spawn(folder, service(folder), log)))

    def mark_shelf(self, node: DemoNode) -> None:
        """Makes the shelf an archive target, which no folder is by itself; all nodes share it."""
        with (node.folder / "archive.log").open("wb") as log:
            _spawn(node.folder, marking(node.folder), log).wait()

    def start_worker(self, node: DemoNode) -> None:
        """What makes its videos and sends its frames: one process for both."""
        with (node.folder / "worker.log").open("wb") as log:
            node.beside = _spawn(node.folder, worker(node.folder), log)

    def write_inventory(self) -> Path:
        """An Ansible inventory of the nodes that are ready."""
        hosts = {node.name: _variables(node.host) for node in self.nodes if node.host is not None}
        (self.root / DEMO_MARK).touch()
        self.inventory.write_text(yaml.safe_dump({FLEET_GROUP: {"hosts": hosts}}, sort_keys=False))
        return self.inventory

    def ask_to_end(self) -> None:
        """Asks every process to end; returns at once."""
        for process in self._processes():
            if not _has_ended(process):
                process.send_signal(signal.SIGTERM)

    def ended(self) -> bool:
        """Whether every process has."""
        return all(_has_ended(process) for process in self._processes())

    def clear(self) -> None:
        """Kills what still runs and removes the folder, at once.  May be called again."""
        for process in self._processes():
            _end(process)
        self.nodes.clear()
        for folder in (self.root, _shelf_of(self.root)):
            shutil.rmtree(folder, ignore_errors=True)
        self._lock.close()
        lock, self._shelf_lock = self._shelf_lock, None
        if lock is not None:
            os.close(lock)

    def _processes(self) -> list[subprocess.Popen[bytes]]:
        return [process for node in self.nodes for process in node.processes]

    def _other_shelf(self) -> Path | None:
        """An archive on a file system that is not that of the nodes; None where this machine has no second one."""
        shelf = _shelf_of(self.root)
        other = self._shelf_lock is not None and shelf.stat().st_dev != self.root.stat().st_dev
        return shelf if other else None


def sweep() -> None:
    """Removes what demos left that were killed: their folders are no longer locked."""
    for root in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if root.stat().st_uid == os.getuid():
                _locked(root / LOCK, "r").close()
                shutil.rmtree(root, ignore_errors=True)
    for shelf in SHELVES.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if shelf.stat().st_uid == os.getuid():
                os.close(_locked_folder(shelf))
                shutil.rmtree(shelf, ignore_errors=True)


def _shelved(shelf: Path) -> int | None:
    """Makes that folder, locked for as long as the descriptor is open; None where it cannot be.

    A lock of its own: the demo that sweeps may have another temporary folder, and so not see that of this one.  It has
    its name only once it is locked: nobody can sweep it before.
    """
    new = shelf.with_name(f".{shelf.name}")
    try:
        new.mkdir(mode=0o700)
        lock = _locked_folder(new)
        new.rename(shelf)
    except OSError:
        return None
    return lock


def _locked_folder(folder: Path) -> int:
    """Raises OSError where it is not there or somebody else holds it."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(number)
        raise
    return number


def _shelf_of(root: Path) -> Path:
    return SHELVES / root.name


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


def command(folder: Path, *words: str) -> list[str]:
    """A command of the node that lives in that folder."""
    where = ["--config", str(folder / "node.yml"), "--root", str(folder)]
    return [sys.executable, "-m", "node.cli", *words, *where]


def service(folder: Path) -> list[str]:
    """Its service."""
    first = ["--document", str(folder / "config.yml"), "--ready-file", str(folder / "ready.json")]
    return [*command(folder, "run"), *first]


def marking(folder: Path) -> list[str]:
    """What is done once for an archive target."""
    return [*command(folder, "archive"), "init", TARGET]


def worker(folder: Path) -> list[str]:
    """What works beside it."""
    return [*command(folder, "work"), "--ship"]


def _spawn(folder: Path, words: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    """In a session of its own: Ctrl-C in the terminal is for the demo, which ends its nodes in order."""
    # the operator's own settings for a node must not reach the demo's
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OWN_ENVIRONMENT)}
    return subprocess.Popen(  # noqa: S603 - our own interpreter, our own module
        words,
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


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Without reaping it, so that its id stays its own."""
    if process.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kills the whole group: the leader is not reaped before, so the number is still its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
