"""A real sshd on loopback with keys of its own, as the user who runs the tests; it ends with them."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

from node.domain.nodefile import RsyncTarget

PROGRAM = "/usr/sbin/sshd"
READY_S = 10.0
OTHER_DISK = Path("/dev/shm")
LOOPBACK_6 = "0::1"
"""As node.yml takes it."""
SETTINGS = """
ListenAddress 127.0.0.1:{port}
{other_addresses}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
PrintMotd no
PrintLastLog no
MaxStartups 200
SetEnv PATH={path} HOME={folder}
"""
# started by root it wants a folder that only the distribution's service makes: it gets one that nobody else sees
AS_ROOT = "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec {command}"


@dataclass(frozen=True, slots=True)
class Host:
    """An archive host.  What it stores lies in `store`, on another file system than the tests' temporary folders.

    `programs` comes first in the PATH of its commands: put a false rsync or sha256sum there.
    """

    folder: Path
    store: Path
    programs: Path
    port: int

    def endpoint(self, **changes: object) -> RsyncTarget:
        """As in node.yml."""
        made = {
            "kind": "rsync",
            "host": "127.0.0.1",
            "port": self.port,
            "user": getuser(),
            "path": str(self.store),
            "key": str(self.folder / "key"),
            "known_hosts": str(self.folder / "known_hosts"),
        }
        return RsyncTarget.model_validate(made | changes)

    def false(self, program: str, script: str) -> None:
        """A shell script in that program's place; `$REAL` is the true one."""
        path = self.programs / program
        real = subprocess.check_output(["sh", "-c", f"command -v {program}"], text=True).strip()
        path.write_text(f"#!/bin/sh\nREAL={real}\n{script}\n")
        path.chmod(0o755)

    def accepted(self) -> int:
        """Connections so far."""
        return (self.folder / "log").read_text().count("Accepted publickey")

    def honest(self) -> None:
        """The true programs again."""
        for path in self.programs.iterdir():
            path.unlink()


@contextmanager
def running(folder: Path, store: Path | None = None) -> Iterator[Host]:
    """sshd below `folder`, until the end of the block, or of this process."""
    (folder / "programs").mkdir(parents=True)
    _keys(folder)
    with tempfile.TemporaryDirectory(prefix="heliograph-store-", dir=OTHER_DISK) as other:
        host = Host(folder, store or Path(other), folder / "programs", _free_port())
        names = f"[127.0.0.1]:{host.port},[::1]:{host.port}"  # as ssh writes an address, however it was given
        (folder / "known_hosts").write_text(f"{names} {(folder / 'host_key.pub').read_text()}")
        with serving(host):
            yield host


@contextmanager
def serving(host: Host) -> Iterator[subprocess.Popen[bytes]]:
    """One life of its sshd."""
    settings = host.folder / "sshd_config"
    path = f"{host.programs}:{os.environ['PATH']}"
    also = f"ListenAddress [::1]:{host.port}" if speaks_6() else ""
    settings.write_text(SETTINGS.format(port=host.port, other_addresses=also, folder=host.folder, path=path))
    with (host.folder / "log").open("ab") as log:
        process = subprocess.Popen(_command(settings), stderr=log, stdin=subprocess.DEVNULL)
    try:
        _wait(host, process)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(READY_S)


def speaks_6() -> bool:
    """Whether this machine has IPv6 on its loopback."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def _command(settings: Path) -> list[str]:
    """Ended by the kernel when the tests end, however they do."""
    plain = [PROGRAM, "-D", "-e", "-f", str(settings)]
    if os.geteuid() != 0:
        return ["setpriv", "--pdeathsig", "TERM", *plain]
    inside = AS_ROOT.format(command=shlex.join(plain))
    # mounts that a test makes later are seen inside, too
    return ["setpriv", "--pdeathsig", "TERM", "unshare", "--mount", "--propagation", "slave", "sh", "-c", inside]


def _keys(folder: Path) -> None:
    for name in ("host_key", "key"):
        made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f", str(folder / name)]
        subprocess.run(made, check=True, stdin=subprocess.DEVNULL)
    (folder / "authorized_keys").write_text((folder / "key.pub").read_text())


def _free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port: int = door.getsockname()[1]
        return port


def _wait(host: Host, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_S
    while not _answers(host.port):
        assert process.poll() is None, (host.folder / "log").read_text()
        assert time.monotonic() < deadline, "sshd is not ready"
        time.sleep(0.02)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0) as door:
            return door.recv(4) == b"SSH-"
    except OSError:
        return False
