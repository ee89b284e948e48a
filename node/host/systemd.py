"""Words to the service manager (sd_notify): ready, alive, stopping.  Nothing is said where nobody listens."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"


def more_time(seconds: float) -> str:
    """The start takes longer than the unit allows: wait so long for the next word."""
    return f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}"


def status(text: str) -> str:
    """One line for `systemctl status`."""
    return "STATUS=" + " ".join(text.split())


def notify(*words: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send to $NOTIFY_SOCKET (a path, or @name for an abstract one); False where nobody takes it.  Never waits."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto("\n".join(words).encode(), socket.MSG_DONTWAIT, address)
        except OSError:  # the manager is being restarted, or its queue is full: the next word comes soon
            return False
    return True
