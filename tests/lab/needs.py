"""What a lab takes of the machine that it runs on."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.lab.names import Refused

PROGRAMS = (
    "systemd-nspawn", "mmdebstrap", "nft", "socat", "ip", "tc", "mkfs.ext4", "e2fsck", "ssh", "ssh-keygen", "unshare",
    "nsenter",
)  # fmt: skip
SSHD = "/usr/sbin/sshd"
FILE_SYSTEMS = ("overlay", "cgroup2", "tmpfs")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where its programs are, also for who has no sbin in the PATH."""
TRY = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "true"]


def check() -> None:
    """Raises Refused with the one reason."""
    for wanted in (_root, _programs, _kernel, _rights):
        wanted()


def _root() -> None:
    if os.geteuid() != 0:
        raise Refused("the lab makes machines: run it as root")


def _programs() -> None:
    missing = [name for name in PROGRAMS if not shutil.which(name, path=PATH)]
    missing += [] if Path(SSHD).exists() else ["sshd"]
    if missing:
        raise Refused(f"missing: {', '.join(missing)}: run 'make deps' as root on Debian")


def _kernel() -> None:
    known = Path("/proc/filesystems").read_text().split()
    missing = [name for name in FILE_SYSTEMS if name not in known]
    if missing:
        raise Refused(f"this kernel has no {', '.join(missing)}: the lab needs it")


def _rights() -> None:
    tried = subprocess.run(TRY, capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        said = tried.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise Refused(f"the lab may not make namespaces here: {said[0]}")
