"""Which hosts a lab has, and where it keeps what."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
INVENTORY = ROOT / "inventory" / "lab"
LINK = ".lab"
"""Beside the inventory's files: leads to the state folder.  Ansible reads no names that begin with a dot."""
CONTROL = "10.77.0.1"
PREFIX = 24
BRIDGE = "lab"
SHELF_PORT = 2022
MIRROR = "deb.debian.org"
WHEELS = "/srv/wheels"
"""Where a host finds the wheels of its suite, read-only."""
FOLDER, CACHE = "/var/tmp/heliograph-lab", "/var/cache/heliograph-lab"
TIED = "--tied"
"""The keeper's standard input is a pipe of who started it: the lab ends with that process."""
LONGEST = 60
"""Characters of a state folder: below it lie sockets, whose whole path may have 107."""
PLAIN = re.compile(r"/[A-Za-z0-9_./-]+")


class Refused(Exception):
    """What the lab cannot do, in one line for who asked."""


@dataclass(frozen=True, slots=True)
class Machine:
    name: str
    suite: str
    address: str

    @property
    def port(self) -> str:
        """Its end of the cable, on the lab's bridge."""
        return f"vb-{self.name}"


MACHINES = {
    machine.name: machine
    for machine in (
        Machine("alpha", "trixie", "10.77.0.11"),
        Machine("bravo", "trixie", "10.77.0.12"),
        Machine("charlie", "bookworm", "10.77.0.13"),
        Machine("delta", "trixie", "10.77.0.14"),
    )
}
SPARE = "delta"
"""Started on demand only."""
USUAL = tuple(name for name in MACHINES if name != SPARE)
PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}


@dataclass(frozen=True, slots=True)
class Place:
    """One lab's state folder, and the cache that all labs of this machine share."""

    folder: Path
    cache: Path

    @classmethod
    def given(cls, default: str = FOLDER) -> Place:
        """As the environment says."""
        folder = Path(os.environ.get("HELIOGRAPH_LAB") or default).absolute()
        return cls(folder, Path(os.environ.get("HELIOGRAPH_LAB_CACHE") or CACHE).absolute())

    def checked(self) -> Place:
        if len(str(self.folder)) > LONGEST or not PLAIN.fullmatch(str(self.folder)):
            raise Refused(f"{self.folder}: a lab's folder has at most {LONGEST} plain characters: set HELIOGRAPH_LAB")
        return self

    @property
    def cgroup(self) -> str:
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]
        return f"heliograph-lab-{self.folder.name}-{digest}"

    @property
    def socket(self) -> Path:
        return self.folder / "keeper.sock"

    @property
    def door(self) -> Path:
        """The way in from outside, for ssh's ProxyCommand."""
        return self.folder / "control.sock"

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        return self.folder / "ssh_config"

    @property
    def log(self) -> Path:
        return self.folder / "keeper.log"

    @property
    def shelf(self) -> Path:
        """The archive host's folder."""
        return self.folder / "shelf"

    @property
    def pki(self) -> Path:
        """The fleet's authority and its papers."""
        return self.folder / "pki"

    @property
    def inventory(self) -> Path:
        """The one of the tree, for this lab."""
        return self.folder / "inventory"

    @property
    def usual(self) -> bool:
        """The lab that `make lab` makes: the inventory in the tree itself is for this one."""
        return self.folder == Path(FOLDER)

    def host(self, name: str) -> Path:
        return self.folder / "hosts" / name

    def wheels(self, suite: str) -> Path:
        return self.folder / "wheels" / suite
