"""The way to the lab's hosts through its control host, as `ssh -N -D` opens one."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.lab import Lab
from tests.nodes import wait_for

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        return int(one.getsockname()[1])


@contextmanager
def jump(lab: Lab, port: int) -> Iterator[None]:
    """A SOCKS proxy there, from this machine."""
    command = ["ssh", "-F", str(lab.place.ssh_config), "-N", "-D", str(port), "control"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: _open(port), f"a proxy at {port}")
            yield
        finally:
            process.terminate()


def _open(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex((LOOPBACK, port)) == 0
